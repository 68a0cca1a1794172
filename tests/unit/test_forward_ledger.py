"""The forward ledger's rules: a judged day, a week of days, the journal that keeps both once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brackets import DEFAULT_BRACKETS
from engine.config import load_settings
from engine.daily.forward_ledger import judged, ledger_weeks, live_results, standard_error, week_entries
from engine.errors import UsageError
from engine.home import Home
from engine.journal import JournalDb
from engine.ledger_log import LedgerCandidates, LedgerDay
from engine.model import ExitModel, Mode, Panel
from engine.orders_model import Fill
from engine.trade_costs import CostModel

WEEK, SESSION = date(2026, 11, 20), date(2026, 11, 23)
TARGET, COSTS = ExitModel.TARGET_OR_CLOSE, CostModel()
FREE = CostModel(((0.0, 0.0),), ())
NAMES = tuple(f"T{i:02d}" for i in range(12))


def record(candidates: tuple[tuple[str, float], ...], universe: tuple[str, ...] = NAMES) -> LedgerCandidates:
    return LedgerCandidates(SESSION, 1, "sim", WEEK, "rsi · mfi", candidates, universe)


def flat_bars(closes: dict[str, float], opened: float = 100.0) -> Panel:
    """Bars that neither arm nor stop: the result is the close."""
    rows = [[[opened, max(opened, c), min(opened, c), c, 1000.0]] for c in closes.values()]
    return Panel(tuple(closes), (SESSION,), np.array(rows).reshape(len(rows), 1, 5))


def day_of(candidates: tuple[tuple[str, float], ...], closes: dict[str, float], costs: CostModel) -> LedgerDay:
    return judged(record(candidates), flat_bars(closes), {}, DEFAULT_BRACKETS, TARGET, costs)


def fill(symbol: str, side: str, shares: int, price: str, number: int = 0) -> Fill:
    return Fill(
        order_id=f"{symbol}-{side}-{number}", execution_id=str(number), client_order_id=f"{symbol}-{side}",
        symbol=symbol, side=side, shares=shares, price=Decimal(price), at=datetime(2026, 11, 23, 15, tzinfo=UTC),
    )  # fmt: skip


# --- costs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "volume", "side"),
    [
        (50.0, 20e6, 0.05),
        (50.0, 19.9e6, 0.10),
        (50.0, 5e6, 0.10),
        (50.0, 4.9e6, 0.20),
        (9.99, 20e6, 0.10),
        (10.0, 20e6, 0.05),
        (4.99, 1e6, 0.30),
    ],
)
def test_the_cost_of_a_side_is_the_contracts(price: float, volume: float, side: float) -> None:
    assert COSTS.side_pct(price, volume) == pytest.approx(side)
    assert COSTS.round_trips_pct([price], [volume]) == pytest.approx([2 * side])


@given(st.floats(1, 500), st.floats(0, 1e9), st.floats(1, 3), st.floats(1, 3))
def test_a_dearer_and_busier_name_never_costs_more(
    price: float, volume: float, dearer: float, busier: float
) -> None:
    assert COSTS.side_pct(price * dearer, volume * busier) <= COSTS.side_pct(price, volume)


def test_costs_out_of_order_are_refused_where_they_are_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="largest first"):
        CostModel(((5e6, 0.1), (20e6, 0.05), (0.0, 0.2)))
    with pytest.raises(UsageError, match="smallest first"):
        load_settings(Home(tmp_path), environ={"TSH_LEDGER__COST_BY_PRICE": "[[10, 0.05], [5, 0.1]]"})


# --- a day -------------------------------------------------------------------------------------


@given(st.lists(st.floats(-0.8, 0.55), min_size=len(NAMES), max_size=len(NAMES)))
def test_without_costs_a_group_that_buys_the_universe_has_no_excess(moves: list[float]) -> None:
    closes = {name: 100.0 + move for name, move in zip(NAMES, moves, strict=True)}
    day = day_of(tuple((name, 1e6) for name in NAMES), closes, FREE)
    assert day.pp_excess == pytest.approx(0.0, abs=1e-9)
    assert day.tsh_excess == pytest.approx(0.0, abs=1e-9)
    assert day.pp_universe == pytest.approx(fmean(moves), abs=1e-5)


@given(st.lists(st.floats(-0.8, 0.55), min_size=len(NAMES), max_size=len(NAMES)), st.integers(1, len(NAMES)))
def test_the_excess_is_mean_against_mean_less_the_candidates_costs(moves: list[float], count: int) -> None:
    closes = {name: 100.0 + move for name, move in zip(NAMES, moves, strict=True)}
    day = day_of(tuple((name, 30e6) for name in NAMES[:count]), closes, COSTS)
    assert day.cost == pytest.approx(0.10)
    assert day.candidates == count
    assert day.pp_excess == pytest.approx(fmean(moves[:count]) - 0.10 - fmean(moves), abs=1e-5)
    assert day.tsh_excess == pytest.approx(day.pp_excess)  # these bars leave TSH no choice


def test_a_ticker_that_did_not_trade_is_neither_candidate_nor_universe() -> None:
    day = day_of((("T00", 30e6), ("GONE", 30e6)), {"T00": 100.4, "T01": 100.0}, FREE)
    assert (day.candidates, day.universe) == (1, 2)
    assert day.pp_excess == pytest.approx(0.2)


def test_a_day_without_candidates_is_judged_but_has_no_excess() -> None:
    day = day_of((), {"T00": 100.4}, COSTS)
    assert (day.candidates, day.pp_excess, day.tsh_excess) == (0, None, None)
    assert week_entries([day]) == []


def test_bars_of_another_session_are_refused() -> None:
    other = replace(flat_bars({"T00": 100.0}), sessions=(WEEK,))
    with pytest.raises(ValueError, match="2026-11-23"):
        judged(record(()), other, {}, DEFAULT_BRACKETS, TARGET, COSTS)


def test_the_traded_names_stand_beside_with_their_real_results() -> None:
    bars = flat_bars({"T00": 100.4, "T01": 100.2, "T02": 100.0, "T03": 99.4})
    own = record((("T00", 30e6), ("T01", 30e6), ("T02", 30e6)))
    day = judged(own, bars, {"T00": 0.1, "T01": None, "SPY": 9.0}, DEFAULT_BRACKETS, TARGET, COSTS)
    assert day.pp_universe == pytest.approx(0.0)
    assert day.traded == 2
    assert day.traded_pp_excess == pytest.approx(0.3 - 0.1)
    assert day.traded_live_excess == pytest.approx(0.1)
    assert day.pp_to_live_gap == pytest.approx(0.1 - (0.4 - 0.1))


def test_a_live_result_is_proceeds_against_cost_of_what_was_bought_and_sold_that_day() -> None:
    fills = [
        fill("AAA", "buy", 60, "10"), fill("AAA", "buy", 40, "11", 1), fill("AAA", "sell", 100, "10.92"),
        fill("HELD", "buy", 10, "5"), fill("HELD", "sell", 4, "6"),
        fill("OLD", "sell", 7, "3"),
    ]  # fmt: skip
    found = live_results(fills)
    assert found.keys() == {"AAA", "HELD"}
    assert found["AAA"] == pytest.approx(5.0)
    assert found["HELD"] is None


# --- a week ------------------------------------------------------------------------------------

EXCESS = st.floats(-5, 5)


def days(values: list[tuple[float, float]], **changes: object) -> list[LedgerDay]:
    plain = day_of((("T00", 30e6),), {"T00": 100.1}, COSTS)
    return [
        replace(plain, session=SESSION + timedelta(days=i), pp_excess=a, tsh_excess=b, **changes)  # type: ignore[arg-type]
        for i, (a, b) in enumerate(values)
    ]


@given(st.lists(st.tuples(EXCESS, EXCESS), min_size=2, max_size=5), st.randoms())
def test_a_week_is_the_mean_of_its_days_in_whatever_order(
    values: list[tuple[float, float]], random: object
) -> None:
    own = days(values)
    random.shuffle(own)  # type: ignore[attr-defined]
    (entry,) = week_entries(own)
    assert (entry.week, entry.sessions, entry.candidates) == (WEEK, len(values), len(values))
    assert entry.pp_excess == pytest.approx(fmean(a for a, _ in values))
    assert entry.pp_error == pytest.approx(stdev(a for a, _ in values) / len(values) ** 0.5, abs=1e-12)
    assert entry.tsh_error == pytest.approx(stdev(b for _, b in values) / len(values) ** 0.5, abs=1e-12)


def test_groups_weeks_and_sources_stay_apart_and_one_day_has_no_error() -> None:
    own = days([(1.0, 0.5)])
    apart = [*own, *days([(2.0, 0.5)], selected=2), *days([(3.0, 0.5)], source="paper"),
             *days([(4.0, 0.5)], week=date(2026, 11, 13))]  # fmt: skip
    found = {(e.week, e.selected, e.source): e.pp_excess for e in week_entries(apart)}
    assert sorted(found.values()) == [1.0, 2.0, 3.0, 4.0]
    assert week_entries(own)[0].pp_error is None
    assert standard_error([]) is None


def test_a_group_that_was_replaced_in_its_week_keeps_its_days() -> None:
    first, second = days([(1.0, 0.0), (-3.0, 0.0)])
    (entry,) = week_entries([first, replace(second, members="bb · cci")])
    assert entry.members == "rsi · mfi then bb · cci"
    assert entry.pp_excess == pytest.approx(-1.0)


def test_paper_and_live_share_their_weeks_and_a_session_judged_as_both_is_one() -> None:
    friday = date(2026, 11, 20)

    def day(source: str, session: date, excess: float, selected: int = 1) -> LedgerDay:
        return LedgerDay(
            session=session, selected=selected, source=source, week=friday, members="rsi", universe=50,
            candidates=9, cost=0.2, pp_universe=0.0, tsh_universe=0.0, pp_excess=excess + 0.5, tsh_excess=excess,
            traded=0, traded_pp_excess=None, traded_tsh_excess=None, traded_live_excess=None, pp_to_live_gap=None,
        )  # fmt: skip

    monday, tuesday = friday + timedelta(days=3), friday + timedelta(days=4)
    days = [
        day("paper", monday, 0.1), day("live", monday, 0.1), day("live", tuesday, 0.3), day("sim", tuesday, 9.0),
        day("paper", tuesday, 7.0, selected=2),
    ]  # fmt: skip
    [real] = ledger_weeks(days, Mode.LIVE)
    assert (real.judged, real.tsh_excess, real.pp_excess) == (2, pytest.approx(0.2), pytest.approx(0.7))
    assert [week.tsh_excess for week in ledger_weeks(days, Mode.SIM)] == [9.0]
    assert ledger_weeks(days[3:], Mode.PAPER) == []


# --- the journal -------------------------------------------------------------------------------


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[JournalDb]:
    opened = await JournalDb.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


async def test_candidates_wait_until_their_session_is_judged_and_the_first_ones_stay(journal: JournalDb) -> None:
    own = record((("T00", 30e6), ("T01", 2.5e6)))
    assert await journal.record_ledger_candidates(own)
    assert not await journal.record_ledger_candidates(replace(own, candidates=()))
    assert await journal.record_ledger_candidates(replace(own, selected=2))
    assert await journal.ledger_groups_recorded(SESSION, "sim") == {1, 2}
    assert await journal.ledger_groups_recorded(SESSION, "paper") == set()
    assert await journal.ledger_unjudged("sim", WEEK, SESSION) == [own, replace(own, selected=2)]
    assert await journal.ledger_unjudged("sim", WEEK, SESSION - timedelta(days=1)) == []
    assert await journal.ledger_unjudged("paper", WEEK, SESSION) == []
    await journal.record_ledger_days(days([(1.0, 0.5)]))
    assert await journal.ledger_unjudged("sim", WEEK, SESSION) == [replace(own, selected=2)]


async def test_a_day_judged_twice_changes_nothing(journal: JournalDb) -> None:
    own = days([(1.0, 0.5), (None, None)])  # type: ignore[list-item]
    assert await journal.record_ledger_days(own) == 2
    assert await journal.record_ledger_days([replace(day, pp_excess=9.0) for day in own]) == 0
    assert await journal.ledger_days() == own


async def test_neither_candidates_nor_days_can_be_rewritten(journal: JournalDb) -> None:
    await journal.record_ledger_candidates(record(()))
    await journal.record_ledger_days(days([(1.0, 0.5)]))
    for statement in (
        "UPDATE ledger_days SET pp_excess = 9", "DELETE FROM ledger_days",
        "UPDATE ledger_candidates SET members = ''", "DELETE FROM ledger_candidates",
    ):  # fmt: skip
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            async with journal.transaction() as connection:
                await connection.execute(statement)


async def test_a_journal_without_a_ledger_is_brought_up_to_date_with_its_content(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    schema = JournalDb.SCHEMA
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
        for statements in schema.migrations[:3]:
            for statement in statements:
                connection.execute(statement)
        connection.execute("INSERT INTO settings_kv VALUES ('latch', '\"kept\"', '2026-11-20T00:00:00.000000Z')")
        connection.execute("PRAGMA user_version = 3")
        connection.commit()
    journal = await JournalDb.open(path)
    assert await journal.latch() == "kept"
    assert await journal.ledger_days() == []
    assert await journal.record_ledger_candidates(record(()))
    await journal.close()
