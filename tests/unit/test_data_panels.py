"""Bars as they come: only whole symbols pass, a source gone wrong is refused, sessions are final ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_samples import bars, names, panel, weekdays

from engine.data.bar_panels import NO_COVERAGE, UNUSABLE, bars_of, checked_panel, joined
from engine.data.market_source import POINTS_A_REQUEST, for_each, in_chunks, last_final_sessions
from engine.errors import DataError
from engine.model import DailyBar, Session

SESSIONS = weekdays(30)
PANEL = panel(names(60), SESSIONS)
BARS = bars(PANEL)


@settings(max_examples=20)
@given(order=st.integers(0, 2**32))
def test_bars_in_any_order_make_the_same_panel(order: int) -> None:
    shuffled = list(BARS)
    Random(order).shuffle(shuffled)
    checked = checked_panel(PANEL.symbols, SESSIONS, shuffled)
    assert checked.panel.symbols == PANEL.symbols
    assert np.array_equal(checked.panel.bars, PANEL.bars)
    assert checked.dropped == {}
    assert bars_of(checked.panel) == BARS


def test_a_gap_or_a_session_without_volume_drops_the_symbol_and_never_fills_it() -> None:
    holes = [b for b in BARS if not (b.symbol == "SAAA" and b.session == SESSIONS[11])]
    holes = [replace(b, volume=0.0) if (b.symbol, b.session) == ("SAAB", SESSIONS[4]) else b for b in holes]
    checked = checked_panel((*PANEL.symbols, "NEVER"), SESSIONS, holes)
    assert set(PANEL.symbols) - set(checked.panel.symbols) == {"SAAA", "SAAB"}
    assert checked.dropped == {NO_COVERAGE: 3}


def _spoilt(count: int, **change: object) -> list[DailyBar]:
    chosen = set(PANEL.symbols[:count])
    return [replace(b, **change) if b.symbol in chosen and b.session == SESSIONS[7] else b for b in BARS]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"close": float("nan")}, {"open": float("inf")}, {"low": 0.0}, {"high": 1.0}, {"session": date(2020, 1, 2)}],
)
def test_a_few_unusable_bars_cost_their_symbols_only(change: dict[str, object]) -> None:
    checked = checked_panel(PANEL.symbols, SESSIONS, _spoilt(3, **change))
    assert checked.panel.symbols == PANEL.symbols[3:]
    assert checked.dropped == {UNUSABLE: 3}


def test_many_unusable_bars_condemn_the_source_and_name_a_symbol_and_a_session() -> None:
    with pytest.raises(DataError, match=rf"of 4 of 60 symbols.*SAAA on {SESSIONS[7]}: not a finite number"):
        checked_panel(PANEL.symbols, SESSIONS, _spoilt(4, close=float("nan")))


def test_a_bar_sent_twice_is_not_trusted() -> None:
    assert checked_panel(PANEL.symbols, SESSIONS, [*BARS, BARS[0]]).dropped == {UNUSABLE: 1}


def test_bars_nobody_asked_for_are_refused() -> None:
    with pytest.raises(DataError, match="sent bars of SAAA"):
        checked_panel(PANEL.symbols[1:], SESSIONS, BARS)


def test_a_newest_session_that_most_symbols_lack_is_not_complete_yet() -> None:
    late = {b.symbol for b in BARS[: 40 * 30]}
    early = [b for b in BARS if b.session != SESSIONS[-1] or b.symbol not in late]
    with pytest.raises(DataError, match=rf"bars of {SESSIONS[-1]} for only 20 of 60 symbols.*try again"):
        checked_panel(PANEL.symbols, SESSIONS, early)


def test_no_bars_at_all_are_no_coverage() -> None:
    checked = checked_panel(PANEL.symbols, SESSIONS, [])
    assert checked.panel.symbols == ()
    assert checked.dropped == {NO_COVERAGE: 60}


def test_panels_join_in_symbol_order() -> None:
    a, b = panel(names(3, "B"), SESSIONS), panel(names(2, "A"), SESSIONS)
    both = joined([a, b])
    assert both.symbols == (*b.symbols, *a.symbols)
    assert np.array_equal(both.bars, np.concatenate([b.bars, a.bars]))
    assert joined([]).symbols == ()


# --- sessions and requests ---------------------------------------------------------------------


def _session(day: date, close_hour: int = 21) -> Session:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Session(day, at.replace(hour=14, minute=30), at.replace(hour=close_hour))


CALENDAR = [_session(day, 18 if day == date(2026, 11, 20) else 21) for day in weekdays(10, date(2026, 11, 24))]


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (datetime(2026, 11, 20, 18, 19, 59, tzinfo=UTC), date(2026, 11, 19)),
        (datetime(2026, 11, 20, 18, 20, tzinfo=UTC), date(2026, 11, 20)),  # a half day is final early
        (datetime(2026, 11, 22, 12, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 11, 23, 21, 19, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 11, 23, 21, 20, tzinfo=UTC), date(2026, 11, 23)),
    ],
)
def test_a_session_is_final_twenty_minutes_after_its_own_close(now: datetime, last: date) -> None:
    found = last_final_sessions(reversed(CALENDAR), now, 5, 20)
    assert found == weekdays(5, last)


def test_a_calendar_that_is_too_short_is_told_with_its_numbers() -> None:
    with pytest.raises(DataError, match="has 8 finished sessions up to 2026-11-20 16:30 New York, 69 are needed"):
        last_final_sessions(CALENDAR, datetime(2026, 11, 20, 21, 30, tzinfo=UTC), 69, 20)


@given(count=st.integers(0, 7000), sessions=st.sampled_from([1, 69, 86, 20_000]))
def test_chunks_hold_every_symbol_once_and_fit_one_answer(count: int, sessions: int) -> None:
    symbols = [str(i) for i in range(count)]
    chunks = in_chunks(symbols, sessions)
    assert [s for chunk in chunks for s in chunk] == symbols
    assert all(len(c) == 1 or len(c) * sessions <= POINTS_A_REQUEST for c in chunks)


def test_six_thousand_symbols_need_at_most_sixty_requests() -> None:
    symbols = [str(i) for i in range(6000)]
    assert len(in_chunks(symbols, 69)) == 42
    assert len(in_chunks(symbols, 86)) == 52


async def test_work_runs_a_few_at_a_time_and_the_first_error_ends_it() -> None:
    running, most, done = 0, 0, []

    async def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        if number == 9:
            raise DataError("the ninth is wrong")
        done.append(number)

    await for_each(range(8), work, in_flight=3)
    assert sorted(done) == list(range(8))
    assert most == 3
    with pytest.raises(DataError, match="the ninth is wrong"):
        await for_each(range(8, 2000), work, in_flight=3)
    assert len(done) < 20
