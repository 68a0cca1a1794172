"""stocks_data.db: what is stored comes back, the week's tables are cut as CONTRACTS says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from storage_samples import ADX, SPACES, bars, group, names, outcome, panel, pruned, weekdays

from engine.errors import DataError, StorageError
from engine.model import DAYS, LOOKBACK, TRAINING_ROWS, DailyBar, Panel
from engine.records import Candidate, QualScore, TradePick
from engine.storage.stocks_data_db import StocksDataDb

SESSIONS = weekdays(69)
WEEK = panel(names(30), SESSIONS)
SAMPLE = WEEK.symbols[3:23]


@pytest.fixture
async def stocks(tmp_path: Path):
    opened = await StocksDataDb.open(tmp_path / "stocks_data.db")
    yield opened
    await opened.close()


async def _built(stocks: StocksDataDb, week: Panel = WEEK) -> None:
    await stocks.begin_history("week", week.sessions)
    half = len(week.symbols) // 2 * len(week.sessions)
    await stocks.append_history(1, bars(week)[half:])
    await stocks.append_history(0, bars(week)[:half])
    await stocks.replace_weekly_data(SAMPLE, seed=7)


async def test_history_comes_back_bit_for_bit_in_symbol_order_whatever_the_order_of_chunks(
    stocks: StocksDataDb,
) -> None:
    await _built(stocks)
    history = await stocks.history()
    assert history.symbols == WEEK.symbols
    assert history.sessions == SESSIONS
    assert np.array_equal(history.bars, WEEK.bars)


async def test_only_complete_symbols_are_history(stocks: StocksDataDb) -> None:
    await stocks.begin_history("week", SESSIONS)
    await stocks.append_history(0, bars(WEEK)[1:])
    assert (await stocks.history()).symbols == WEEK.symbols[1:]


async def test_the_same_key_resumes_a_build_and_another_one_starts_anew(stocks: StocksDataDb) -> None:
    assert await stocks.begin_history("week", SESSIONS) == set()
    await stocks.append_history(4, bars(WEEK), dropped={"fund": 3})
    await stocks.append_history(4, bars(WEEK), dropped={"fund": 3})
    await stocks.append_history(6, [], dropped={"fund": 1, "warrant": 2})
    assert await stocks.begin_history("week", SESSIONS) == {4, 6}
    assert await stocks.history_dropped() == {"fund": 4, "warrant": 2}
    assert len((await stocks.history()).symbols) == 30
    assert await stocks.begin_history("next week", SESSIONS) == set()
    assert (await stocks.history()).symbols == ()
    assert await stocks.history_dropped() == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"close": float("nan")}, "not a finite number"),
        ({"high": float("inf")}, "not a finite number"),
        ({"low": -1.0}, "not positive"),
        ({"session": date(2020, 1, 2)}, "not one of the sessions"),
    ],
)
async def test_a_bar_that_must_not_be_used_is_refused_by_name_and_the_whole_chunk_with_it(
    stocks: StocksDataDb, change: dict[str, object], why: str
) -> None:
    await stocks.begin_history("week", SESSIONS)
    good = bars(WEEK)
    bad: DailyBar = replace(good[70], **change)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"{bad.symbol} on {bad.session}.*{why}"):
        await stocks.append_history(0, [*good[:70], bad, *good[71:]])
    assert await stocks.begin_history("week", SESSIONS) == set()


async def test_each_training_day_has_its_65_rows_newest_first(stocks: StocksDataDb) -> None:
    await _built(stocks)
    assert await stocks.sessions() == SESSIONS[-5:]
    rows = [WEEK.symbols.index(s) for s in SAMPLE]
    for day in range(1, DAYS + 1):
        symbols, windows = await stocks.day_windows(day)
        assert symbols == SAMPLE
        assert windows.shape == (len(SAMPLE), TRAINING_ROWS, 5)
        assert np.array_equal(windows, WEEK.windows(LOOKBACK + day - 1, TRAINING_ROWS)[rows])
        outside, held = await stocks.holdout_windows(day)
        assert set(outside) == set(WEEK.symbols) - set(SAMPLE)
        others = [WEEK.symbols.index(s) for s in outside]
        assert np.array_equal(held, WEEK.windows(LOOKBACK + day - 1, TRAINING_ROWS)[others])


async def test_the_tables_read_as_the_contract_writes_them(stocks: StocksDataDb) -> None:
    await _built(stocks)
    bar = ["symbol", "session", "open", "high", "low", "close", "volume"]
    assert [c for c, _ in await stocks.columns("history")] == bar
    for day in range(1, DAYS + 1):
        assert [c for c, _ in await stocks.columns(f"dict_day{day}")] == bar
        assert [c for c, _ in await stocks.columns(f"ds_day{day}")] == ["symbol", "row", *bar[1:]]
        session = SESSIONS[LOOKBACK + day - 1].isoformat()
        assert await stocks.row(f"SELECT COUNT(*), MIN(session), MAX(session) FROM dict_day{day}") == (
            len(WEEK.symbols), session, session,
        )  # fmt: skip
        assert await stocks.row(f'SELECT MIN("row"), MAX("row"), COUNT(*) FROM ds_day{day}') == (1, 65, 20 * 65)
        assert await stocks.row(f'SELECT DISTINCT session FROM ds_day{day} WHERE "row" = 1') == (session,)
    # day1's signal bar (row 2) is the 64th session, its oldest bar the first one.
    assert await stocks.row('SELECT DISTINCT session FROM ds_day1 WHERE "row" = 2') == (SESSIONS[63].isoformat(),)
    assert await stocks.row('SELECT DISTINCT session FROM ds_day1 WHERE "row" = 65') == (SESSIONS[0].isoformat(),)


async def test_cutting_the_week_again_changes_nothing(stocks: StocksDataDb) -> None:
    await _built(stocks)
    once = await stocks.table_hashes()
    await stocks.replace_weekly_data(tuple(reversed(SAMPLE)), seed=7)
    assert await stocks.table_hashes() == once


async def test_a_sampled_symbol_without_all_bars_is_refused_and_last_week_stays(stocks: StocksDataDb) -> None:
    await _built(stocks)
    with pytest.raises(DataError, match=r"1 sampled symbols lack bars \(NEVER"):
        await stocks.replace_weekly_data([*SAMPLE, "NEVER"], seed=8)
    assert (await stocks.day_windows(1))[0] == SAMPLE


async def test_holdout_of_a_half_built_week_is_refused(stocks: StocksDataDb) -> None:
    await _built(stocks)
    later = weekdays(69, date(2026, 11, 27))
    await stocks.begin_history("next week", later)
    await stocks.append_history(0, bars(panel(names(30), later)))
    with pytest.raises(DataError, match="weekly_5d_data is unfinished"):
        await stocks.holdout_windows(1)


async def test_an_empty_home_says_which_stage_is_missing(stocks: StocksDataDb) -> None:
    assert await stocks.sessions() == ()
    with pytest.raises(DataError, match="tshc weekend"):
        await stocks.day_windows(1)
    with pytest.raises(DataError, match="tshc weekday"):
        await stocks.dictionary()
    assert await stocks.final_groups() == (None, [])
    assert await stocks.pruned(ADX) == []
    assert await stocks.shortlist() == (None, [])
    assert await stocks.trade_list() == (None, "", [], [], "")


async def test_the_dictionary_keeps_the_window_and_the_longer_lookback(stocks: StocksDataDb) -> None:
    days = weekdays(86)
    universe = panel(names(12), days)
    await stocks.replace_dictionary(days[-1], panel(names(5, "X"), days))
    await stocks.replace_dictionary(days[-1], universe)
    session, back = await stocks.dictionary()
    assert session == days[-1]
    assert back.symbols == universe.symbols
    assert back.sessions == days
    assert np.array_equal(back.bars, universe.bars)
    assert await stocks.row('SELECT MIN("row"), MAX("row"), COUNT(*) FROM dictionary_table') == (1, 64, 12 * 64)
    newest = await stocks.row(
        'SELECT session, close FROM dictionary_table WHERE symbol = ? AND "row" = 1', ("SAAA",)
    )
    assert newest == (days[-1].isoformat(), universe.bars[0, -1, 3])
    with pytest.raises(DataError, match="at least 64 sessions ending"):
        await stocks.replace_dictionary(days[-2], universe)


async def test_pruned_variations_and_groups_come_back_whole(stocks: StocksDataDb) -> None:
    for space in SPACES:
        await stocks.replace_pruned(space, pruned(space, 20))
        await stocks.replace_pruned(space, pruned(space, 11))
        assert await stocks.pruned(space) == pruned(space, 11)
    groups = [group(1, 1), group(2), group(3, 2, holdout=False)]
    await stocks.replace_final_groups(outcome(), [group(9)])
    await stocks.replace_final_groups(outcome(), groups)
    assert await stocks.final_groups() == (outcome(), groups)
    assert await stocks.group_row_counts() == {
        "pruned_adx": 11, "pruned_kelt": 11, "final_groups": 3, "search_outcome": 1,
    }  # fmt: skip
    await stocks.wipe_groups()
    assert await stocks.final_groups() == (None, [])
    assert await stocks.pruned(ADX) == []


async def test_groups_of_a_version_that_kept_no_counts_of_shuffles_are_read(tmp_path: Path) -> None:
    path = tmp_path / "stocks_data.db"
    stocks = await StocksDataDb.open(path)
    await stocks.replace_final_groups(outcome(), [group(1, 1), group(2)])
    await stocks.close()
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(final_groups)")]
        for name in names:
            if name.startswith("shuffles_"):
                connection.execute(f"ALTER TABLE final_groups DROP COLUMN {name}")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    stocks = await StocksDataDb.open(path)
    try:
        _, groups = await stocks.final_groups()
        assert groups[1].p_value == 0.03
        assert (groups[1].shuffles_reached, groups[1].shuffles_done) == (None, None)
        await stocks.replace_final_groups(outcome(), [group(1, 1), group(2)])
        assert (await stocks.final_groups())[1] == [group(1, 1), group(2)]
    finally:
        await stocks.close()


async def test_a_group_whose_score_is_not_a_number_is_refused_and_the_old_groups_stay(
    stocks: StocksDataDb,
) -> None:
    await stocks.replace_final_groups(outcome(), [group(1, 1)])
    with pytest.raises(StorageError, match="nothing was changed"):
        await stocks.replace_final_groups(outcome(), [replace(group(1), score=float("nan"))])
    assert await stocks.final_groups() == (outcome(), [group(1, 1)])


async def test_two_groups_cannot_both_be_the_one_that_trades(stocks: StocksDataDb) -> None:
    with pytest.raises(StorageError, match="share a rank or a selection"):
        await stocks.replace_final_groups(outcome(), [group(1, 1), group(2, 1)])


async def test_shortlist_and_trade_list_come_back_with_their_session_even_when_empty(stocks: StocksDataDb) -> None:
    day, tomorrow = date(2026, 11, 20), date(2026, 11, 23)
    rows = [
        Candidate(1, "AAPL", "Apple Inc.", 190.5, 0.8, {"firings": 0.3}, {"atr_pct": 2.1}, (1.0, 2.0)),
        Candidate(0, "TSLA", "Tesla, Inc.", 250.0, 0.1, {}, {}, (), veto="top 2 % by ATR%"),
        Candidate(0, "NVDA", "NVIDIA", 150.0, 0.1, {}, {}, (), veto="top 2 % by ATR%"),
    ]
    await stocks.replace_shortlist(day, "adx(9,20,2) + kelt(20,10,0.7)", rows)
    assert await stocks.shortlist() == (day, rows)
    assert await stocks.shortlist_group() == "adx(9,20,2) + kelt(20,10,0.7)"
    picks = [
        TradePick(1, "AAPL", 0.83, 0.8, 0.2, "rank 1, news +0.20"),
        TradePick(2, "X", 0.5, 0.5, None, "no news"),
    ]
    scores = [
        QualScore("AAPL", 0.2, "LEXICON", ((17, "beats", 0.2),), ("earnings",)),
        QualScore("X", None, "LEXICON"),
    ]
    await stocks.replace_trade_list(tomorrow, "abc123", picks, scores, "only 2 candidates")
    assert await stocks.trade_list() == (tomorrow, "abc123", picks, scores, "only 2 candidates")
    await stocks.replace_shortlist(tomorrow, "", [])
    await stocks.replace_trade_list(tomorrow, "", [], [], "NO_CANDIDATES")
    assert await stocks.shortlist() == (tomorrow, [])
    assert await stocks.trade_list() == (tomorrow, "", [], [], "NO_CANDIDATES")


async def test_table_hashes_tell_results_apart_and_ignore_the_clock(stocks: StocksDataDb, tmp_path: Path) -> None:
    await _built(stocks)
    await stocks.replace_final_groups(outcome(), [group(1, 1)])
    first = await stocks.table_hashes()
    await stocks.replace_final_groups(replace(outcome(), seconds=99.0, ledger={"used": 1.0}), [group(1, 1)])
    assert await stocks.table_hashes() == first
    await stocks.replace_final_groups(replace(outcome(), tests=5), [group(1, 1)])
    second = await stocks.table_hashes()
    assert {table for table in first if first[table] != second[table]} == {"search_outcome"}
    other = await StocksDataDb.open(tmp_path / "other.db")
    await _built(other, panel(names(30), SESSIONS, seed=2))
    different = await other.table_hashes()
    assert {t for t in first if first[t] != different[t]} >= {"history", "dict_day1", "ds_day5", "final_groups"}
    await other.close()


async def test_another_process_sees_a_data_set_as_soon_as_it_is_stored(stocks: StocksDataDb) -> None:
    await _built(stocks)
    with closing(sqlite3.connect(stocks.path)) as other:
        assert other.execute("SELECT COUNT(*) FROM ds_day3").fetchone() == (20 * 65,)
