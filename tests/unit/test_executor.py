"""mp2_p3: the selected group on today's bars, with the real compute engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from synthetic_week import panel

from engine.brackets import DEFAULT_BRACKETS
from engine.compute import open_engine
from engine.daily import ranking
from engine.daily.mp2_p3_executor import GroupDay, drift_of, execute, fires, following_excess, shortlist
from engine.errors import DataError, RefusedError
from engine.events import AlertRaised, Event
from engine.model import ExitModel, Panel, ParameterSet, excess_of, profit_percentage
from engine.records import FinalGroup, picks_bytes
from engine.settings import DailySettings
from engine.storage.stocks_data_db import StocksDataDb

ENGINE = open_engine("native")
UNIVERSE = panel(21, tickers=600, sessions=90)
RSI = ParameterSet("rsi", (9, 45, 4))
MFI = ParameterSet("mfi", (10, 50, 2))
EMA = ParameterSet("ema", (5, 20, 4))
TARGET = ExitModel.TARGET_OR_CLOSE


def group(*members: ParameterSet, day_picks: tuple[int, ...] = (30,) * 5, rank: int = 1) -> FinalGroup:
    return FinalGroup(
        rank=rank,
        members=members,
        score=0.5,
        mean=0.5,
        deviation=0.1,
        day_means=(0.5,) * 5,
        day_picks=day_picks,
        pp_mean=0.5,
        picks=picks_bytes(np.zeros((5, 16), dtype=np.uint64)),
        leave_one_out=0.4,
        selection_score=0.4,
        standard_error=0.1,
    )


def day_of(chosen: FinalGroup, universe: Panel = UNIVERSE, settings: DailySettings | None = None) -> GroupDay:
    return execute([chosen], universe, ENGINE, settings or DailySettings(), DEFAULT_BRACKETS, TARGET)[0]


def members_today(universe: Panel, members: Sequence[ParameterSet]) -> set[str]:
    """The plain definition: what every member buys on the last 64 bars, newest first."""
    windows = np.ascontiguousarray(universe.bars[:, -64:][:, ::-1])
    buys = ENGINE.evaluate(windows, members, mode="execution").buys
    return {s for s, bought in zip(universe.symbols, buys.all(axis=1), strict=True) if bought}


def test_the_candidates_are_what_every_member_buys_on_windows_that_end_today() -> None:
    day = day_of(group(RSI, MFI))
    found = {c.symbol for c in day.rows} | set(day.symbols)
    assert found == members_today(UNIVERSE, [RSI, MFI])
    assert len(found) > 4
    assert found < members_today(UNIVERSE, [RSI])
    assert day.candidates == len(found)
    assert day.session == UNIVERSE.sessions[-1]


def test_execution_today_is_training_tomorrow_without_the_confirmation_row() -> None:
    """The rows are shifted by one: a buy at today's close is what training would call a buy of the next day."""
    windows = UNIVERSE.windows(len(UNIVERSE.sessions) - 1, 65)
    trained = ENGINE.evaluate(windows, [RSI, MFI]).buys.all(axis=1)
    yesterday = replace(UNIVERSE, sessions=UNIVERSE.sessions[:-1], bars=UNIVERSE.bars[:, :-1])
    assert {s for s, b in zip(UNIVERSE.symbols, trained, strict=True) if b} == members_today(yesterday, [RSI, MFI])


def test_ranks_run_from_one_by_score_and_the_parts_sum_to_it() -> None:
    day = day_of(group(RSI))
    assert [c.rank for c in day.ranked] == list(range(1, len(day.ranked) + 1))
    scores = [c.rank_score for c in day.ranked]
    assert scores == sorted(scores, reverse=True)
    assert tuple(c.symbol for c in day.ranked) == day.symbols[: len(day.ranked)]
    assert len(day.ranked) == 20 < len(day.symbols)
    for c in day.ranked:
        assert 0 <= c.rank_score <= 1
        assert sum(c.parts.values()) == pytest.approx(c.rank_score)
        assert set(c.parts) == set(ranking.PARTS)
        assert len(c.closes) == 21
        assert c.closes[-1] == c.close
        assert not c.veto


def test_vetoed_candidates_are_listed_with_the_reason_and_never_ranked() -> None:
    loose = DailySettings(veto_volatility_pct=30.0, veto_loss_pct=30.0)
    day = day_of(group(RSI), settings=loose)
    assert day.vetoed
    assert {c.symbol for c in day.vetoed}.isdisjoint(day.symbols)
    assert all(c.rank == 0 and "30 %" in c.veto for c in day.vetoed)
    strict = day_of(group(RSI))
    assert len(strict.vetoed) < len(day.vetoed)
    assert strict.candidates == day.candidates


def test_past_firings_are_the_group_on_the_last_21_signal_days_and_what_followed() -> None:
    day = day_of(group(RSI, MFI))
    last = len(UNIVERSE.sessions) - 1
    count = dict.fromkeys(UNIVERSE.symbols, 0)
    total = dict.fromkeys(UNIVERSE.symbols, 0)
    for signal in range(last - 21, last):
        earlier = replace(UNIVERSE, sessions=UNIVERSE.sessions[: signal + 1], bars=UNIVERSE.bars[:, : signal + 1])
        excess = excess_of(profit_percentage(UNIVERSE.bars[:, signal + 1], DEFAULT_BRACKETS, TARGET))
        bought = members_today(earlier, [RSI, MFI])
        assert day.past_picks[signal - (last - 21)] == len(bought)
        for i, symbol in enumerate(UNIVERSE.symbols):
            if symbol in bought:
                count[symbol] += 1
                total[symbol] += int(excess[i])
    for c in day.rows:
        n = count[c.symbol]
        assert c.measures["firings"] == n
        assert c.measures["firings_excess_pct"] == pytest.approx(total[c.symbol] / 1e6 / (n + 4))
    picked = sum(count.values())
    assert picked > 0
    assert day.past_excess_pct == pytest.approx(sum(total.values()) / 1e6 / picked)


def test_the_future_of_a_signal_day_never_enters_its_own_evaluation() -> None:
    """Changing today's bar changes today's candidates, but nothing of the firings before."""
    ends = [85, 88]
    changed = UNIVERSE.bars.copy()
    changed[:, -1, :4] *= 1.3
    other = replace(UNIVERSE, bars=changed)
    assert np.array_equal(fires(UNIVERSE, ends, [[RSI]], ENGINE)[0], fires(other, ends, [[RSI]], ENGINE)[0])
    assert following_excess(UNIVERSE, ends, DEFAULT_BRACKETS, TARGET).sum() != 0


def test_the_shadow_group_gets_its_own_list_from_the_same_day() -> None:
    first, shadow = execute(
        [group(RSI, MFI), group(EMA, RSI, rank=2)], UNIVERSE, ENGINE, DailySettings(), DEFAULT_BRACKETS, TARGET
    )
    assert first == day_of(group(RSI, MFI))
    assert shadow == day_of(group(EMA, RSI, rank=2))
    assert set(first.symbols) != set(shadow.symbols)


def test_the_order_of_the_tickers_does_not_matter() -> None:
    order = np.random.default_rng(1).permutation(len(UNIVERSE.symbols))
    shuffled = Panel(tuple(UNIVERSE.symbols[i] for i in order), UNIVERSE.sessions, UNIVERSE.bars[order])
    assert day_of(group(RSI), shuffled).ranked == day_of(group(RSI)).ranked


@pytest.mark.parametrize("wanted", [0, 1, 3])
def test_few_candidates_are_an_answer(wanted: int) -> None:
    """A universe in which exactly ``wanted`` tickers are bought today and not vetoed."""
    bought = members_today(UNIVERSE, [RSI, MFI])
    free = set(day_of(group(RSI, MFI)).symbols)
    kept = [i for i, s in enumerate(UNIVERSE.symbols) if s not in bought]
    kept += [i for i, s in enumerate(UNIVERSE.symbols) if s in free][:wanted]
    small = Panel(tuple(UNIVERSE.symbols[i] for i in kept), UNIVERSE.sessions, UNIVERSE.bars[kept])
    day = day_of(group(RSI, MFI), small)
    assert len(day.ranked) == wanted
    assert [c.rank for c in day.ranked] == list(range(1, wanted + 1))
    assert bool(day.reason) == (wanted == 0)
    assert "none of the" in day.reason or wanted


def test_a_day_on_which_every_candidate_is_vetoed_says_so() -> None:
    day = day_of(group(RSI), settings=DailySettings(veto_volatility_pct=100.0))
    assert day.ranked == ()
    assert "candidates are vetoed" in day.reason


def test_a_count_far_from_the_promise_raises_the_drift_alarm() -> None:
    assert drift_of(30, 30.0) == drift_of(9, 30.0) == drift_of(90, 30.0) == ""
    assert "8 candidates today" in drift_of(8, 30.0)
    assert "promise about 30" in drift_of(91, 30.0)


def test_a_panel_that_is_too_short_or_broken_is_refused_with_the_remedy() -> None:
    short = Panel(UNIVERSE.symbols, UNIVERSE.sessions[-84:], UNIVERSE.bars[:, -84:])
    with pytest.raises(DataError, match=r"84 sessions.*needs 85.*tshc weekday"):
        day_of(group(RSI), short)
    assert day_of(group(RSI), Panel(UNIVERSE.symbols, UNIVERSE.sessions[-85:], UNIVERSE.bars[:, -85:])).rows
    broken = UNIVERSE.bars.copy()
    broken[3, 40, 1] = np.nan
    with pytest.raises(DataError, match=r"1 tickers.*S0003"):
        day_of(group(RSI), replace(UNIVERSE, bars=broken))


class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


async def test_the_stage_stores_the_first_groups_shortlist_and_returns_both(tmp_path: Path) -> None:
    stocks, sink = await StocksDataDb.open(tmp_path / "stocks.db"), Sink()
    try:
        await stocks.replace_dictionary(UNIVERSE.sessions[-1], UNIVERSE)
        chosen = group(RSI, MFI, day_picks=(2000,) * 5)
        names = {"S0000": "Zero Corp"}
        outcome = await shortlist(
            chosen, group(EMA), stocks, ENGINE, DailySettings(), DEFAULT_BRACKETS, TARGET, sink, names
        )
        session, rows = await stocks.shortlist()
        assert session == UNIVERSE.sessions[-1] == date(2026, 4, 4)
        assert tuple(rows) == outcome.traded.rows
        assert outcome.traded.name.startswith("rsi n 9  lo 45  h 4 · mfi")
        assert outcome.shadow is not None
        assert outcome.shadow.group.members == (EMA,)
        assert [type(e) for e in sink.events if isinstance(e, AlertRaised)] == [AlertRaised]
        with pytest.raises(RefusedError, match="tshc weekend"):
            await shortlist(None, None, stocks, ENGINE, DailySettings(), DEFAULT_BRACKETS, TARGET, sink)
    finally:
        await stocks.close()
