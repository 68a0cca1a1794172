"""The TSH machine: what it promises for every order of events, and its named exits one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.brackets import DEFAULT_BRACKETS
from engine.execution.tsh_trade_management import (
    Bought,
    ClockAdvanced,
    Exit,
    ExitReason,
    ExitRequested,
    Halted,
    Phase,
    Resumed,
    SessionClosed,
    SessionOpened,
    Sold,
    TshEvent,
    TshRules,
    TshState,
    opened,
    step,
)
from engine.model import Tick

OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
CAPTURE, RIDE = TshRules(DEFAULT_BRACKETS), TshRules(DEFAULT_BRACKETS, ride=True)
LEGAL = {
    Phase.WATCH: {Phase.WATCH, Phase.ARMED, Phase.TARGET, Phase.EXITING, Phase.CLOSED, Phase.CARRIED},
    Phase.ARMED: {Phase.ARMED, Phase.TARGET, Phase.EXITING, Phase.CLOSED, Phase.CARRIED},
    Phase.TARGET: {Phase.TARGET, Phase.EXITING, Phase.CLOSED, Phase.CARRIED},
    Phase.EXITING: {Phase.EXITING, Phase.CLOSED, Phase.CARRIED},
    Phase.CARRIED: {Phase.CARRIED, Phase.EXITING, Phase.CLOSED},
    Phase.CLOSED: {Phase.CLOSED},
}


def position(price: str = "20", shares: int = 100, rules: TshRules = CAPTURE) -> TshState:
    """At 20 dollars the bracket is target 2 %, arm 1.2 %, trail 0.8 %, protective 4 %."""
    return opened("ABCD", shares, Decimal(price), OPEN, CLOSE, rules)


def tick(price: str, seconds: float = 1.0) -> Tick:
    return Tick("ABCD", Decimal(price), OPEN + timedelta(seconds=seconds), 0.0)


def play(state: TshState, events: list[TshEvent]) -> tuple[list[TshState], list[Exit]]:
    states, exits = [state], []
    for event in events:
        state, action = step(state, event)
        states.append(state)
        if action is not None:
            exits.append(action)
    return states, exits


prices = st.decimals(min_value=Decimal("15"), max_value=Decimal("25"), places=2)
ticks = st.builds(lambda p, s: Tick("ABCD", p, OPEN + timedelta(seconds=s), 0.0), prices, st.integers(-50, 23_000))
events = st.one_of(
    ticks,
    ticks,
    ticks,
    st.builds(ClockAdvanced, st.integers(0, 26_000).map(lambda s: OPEN + timedelta(seconds=s)), st.just(1.0)),
    st.just(Halted(OPEN + timedelta(seconds=100))),
    st.just(Resumed(OPEN + timedelta(seconds=200))),
    st.builds(Bought, st.integers(1, 50), prices, st.just(OPEN + timedelta(seconds=2))),
    st.builds(Sold, st.integers(1, 200), prices, st.just(OPEN + timedelta(seconds=300))),
    st.sampled_from([ExitRequested(ExitReason.MANUAL), ExitRequested(ExitReason.FLATTEN)]),
)
rules = st.sampled_from([CAPTURE, RIDE])


@given(st.lists(ticks, max_size=80), rules)
def test_the_trailing_stop_never_falls(prints: list[Tick], how: TshRules) -> None:
    states, _ = play(position(rules=how), list(prints))
    stops = [s.stop for s in states if s.stop is not None]
    assert stops == sorted(stops)


@given(st.lists(events, max_size=80), rules)
def test_the_trailing_stop_never_falls_whatever_happens_besides_prints(
    story: list[TshEvent], how: TshRules
) -> None:
    states, _ = play(position(rules=how), story)
    stops = [s.stop for s in states if s.stop is not None]
    assert stops == sorted(stops)


@given(st.lists(events, max_size=80), rules)
def test_a_session_brings_at_most_one_exit(story: list[TshEvent], how: TshRules) -> None:
    _, exits = play(position(rules=how), story)
    assert len(exits) <= 1


@given(st.lists(events, max_size=80), rules)
def test_every_order_of_events_walks_a_legal_path(story: list[TshEvent], how: TshRules) -> None:
    states, _ = play(position(rules=how), story)
    for before, after in pairwise(states):
        assert after.phase in LEGAL[before.phase]
        assert after.shares >= 0
        assert (after.phase is Phase.CLOSED) == (after.shares == 0)


@given(st.lists(events, max_size=40), st.lists(events, max_size=20), rules)
def test_after_closed_nothing_changes_and_nothing_is_asked(
    story: list[TshEvent], after: list[TshEvent], how: TshRules
) -> None:
    states, _ = play(position(rules=how), [*story, Sold(10_000, Decimal(20), CLOSE)])
    end = states[-1]
    assert end.closed
    later, exits = play(end, after)
    assert exits == []
    assert set(later) == {end}


@given(st.lists(events, max_size=40), ticks, rules)
def test_late_prints_change_nothing(story: list[TshEvent], late: Tick, how: TshRules) -> None:
    state = play(position(rules=how), story)[0][-1]
    late = replace(late, at=state.last_at - timedelta(microseconds=1))
    assert step(state, late) == (state, None)


@given(st.lists(events, max_size=60), rules)
def test_the_same_events_give_the_same_day(story: list[TshEvent], how: TshRules) -> None:
    assert play(position(rules=how), story) == play(position(rules=how), story)


@given(st.lists(ticks, max_size=60))
def test_a_position_that_goes_on_is_above_its_stops_and_below_its_target(prints: list[Tick]) -> None:
    states, _ = play(position(), list(prints))
    for state in states:
        if state.phase in (Phase.WATCH, Phase.ARMED):
            assert state.protective_price < state.last < state.target_price
            assert state.stop is None or state.last > state.stop


def test_capture_sells_at_the_target() -> None:
    state, action = step(position(), tick("20.40"))
    assert (state.phase, action) == (Phase.EXITING, Exit(ExitReason.TARGET, Decimal("20.40")))


def test_just_below_the_target_it_arms_and_trails_the_high() -> None:
    state, action = step(position(), tick("20.39"))
    assert (state.phase, action) == (Phase.ARMED, None)
    assert state.stop == Decimal("20.2269")  # 20.39 less 0.8 %


def test_an_armed_position_sells_at_its_trailing_stop() -> None:
    armed, _ = step(position(), tick("20.30", 1))
    assert step(armed, tick("20.14", 2))[1] is None
    state, action = step(armed, tick("20.13", 2))
    assert action == Exit(ExitReason.TRAIL, Decimal("20.13"))
    assert state.reason is ExitReason.TRAIL


def test_below_the_arm_level_there_is_no_trailing_stop() -> None:
    states, exits = play(position(), [tick("20.23", 1), tick("19.30", 2)])
    assert exits == []
    assert states[-1].stop is None


def test_a_falling_price_leaves_at_the_protective_stop() -> None:
    assert step(position(), tick("19.21"))[1] is None
    assert step(position(), tick("19.20"))[1] == Exit(ExitReason.PROTECTIVE, Decimal("19.20"))


def test_ride_makes_the_target_the_floor_and_trails_at_half_the_distance() -> None:
    state, action = step(position(rules=RIDE), tick("20.40", 1))
    assert (state.phase, action, state.stop) == (Phase.TARGET, None, Decimal("20.4000"))
    state, action = step(state, tick("21.00", 2))
    assert (action, state.stop) == (None, Decimal("20.9160"))  # 21.00 less 0.4 %
    assert step(state, tick("20.91", 3))[1] == Exit(ExitReason.TRAIL, Decimal("20.91"))


def test_ride_that_falls_back_from_the_target_leaves_by_target() -> None:
    state, _ = step(position(rules=RIDE), tick("20.40", 1))
    assert step(state, tick("20.39", 2))[1] == Exit(ExitReason.TARGET, Decimal("20.39"))


def test_the_end_of_day_exit_starts_ten_market_minutes_before_the_close() -> None:
    before, due = CLOSE - timedelta(minutes=10, seconds=1), CLOSE - timedelta(minutes=10)
    assert step(position(), ClockAdvanced(before))[1] is None
    assert step(position(), ClockAdvanced(due))[1] == Exit(ExitReason.END_OF_DAY, Decimal(20))


def test_a_fast_clock_leaves_ten_wall_seconds_for_the_end_of_day_exit() -> None:
    fifty_minutes = CLOSE - timedelta(minutes=50)
    assert step(position(), ClockAdvanced(fifty_minutes, rate=300.0))[1] is not None
    assert step(position(), ClockAdvanced(fifty_minutes, rate=60.0))[1] is None


def test_a_half_day_closes_by_its_own_calendar() -> None:
    half = replace(position(), session_close=CLOSE - timedelta(hours=3))
    assert step(half, ClockAdvanced(CLOSE - timedelta(hours=3, minutes=9)))[1] is not None


def test_what_flatten_queued_for_the_open_is_sold_by_flatten() -> None:
    leaving, _ = step(position(), ExitRequested(ExitReason.FLATTEN))
    carried, _ = step(leaving, SessionClosed(CLOSE))
    _, action = step(carried, SessionOpened(OPEN + timedelta(days=1), CLOSE + timedelta(days=1)))
    assert action == Exit(ExitReason.FLATTEN, Decimal(20))


def test_a_position_that_missed_the_close_is_carried_and_sold_at_the_next_open() -> None:
    carried, action = step(position(), SessionClosed(CLOSE))
    assert (carried.phase, action) == (Phase.CARRIED, None)
    assert step(carried, tick("25"))[1] is None
    reopened, action = step(carried, SessionOpened(OPEN + timedelta(days=1), CLOSE + timedelta(days=1)))
    assert (reopened.phase, action) == (Phase.EXITING, Exit(ExitReason.CARRIED, Decimal(20)))


def test_an_exit_that_died_with_the_session_is_asked_again_at_the_next_open() -> None:
    leaving, _ = step(position(), ExitRequested(ExitReason.MANUAL))
    carried, _ = step(leaving, SessionClosed(CLOSE))
    _, action = step(carried, SessionOpened(OPEN + timedelta(days=1), CLOSE + timedelta(days=1)))
    assert action is not None


def test_the_bracket_follows_the_average_fill() -> None:
    state = position("9.99", 100)
    assert state.target_price == Decimal("10.2398")  # 2.5 % below ten dollars
    state, _ = step(state, Bought(300, Decimal("10.05"), OPEN))
    assert state.entry == Decimal("10.035")
    assert state.target_price == Decimal("10.2357")  # 2 % from ten dollars on


def test_partial_sells_close_only_at_the_last_share() -> None:
    leaving, _ = step(position(), ExitRequested(ExitReason.MANUAL))
    half, _ = step(leaving, Sold(60, Decimal(20), OPEN))
    assert (half.phase, half.shares) == (Phase.EXITING, 40)
    done, _ = step(half, Sold(40, Decimal(20), OPEN))
    assert (done.phase, done.shares) == (Phase.CLOSED, 0)


def test_a_halt_holds_prints_back_until_trading_resumes() -> None:
    halted, _ = step(position(), Halted(OPEN + timedelta(seconds=5)))
    assert step(halted, tick("15", 4))[1] is None
    resumed, _ = step(halted, Resumed(OPEN + timedelta(seconds=9)))
    assert step(resumed, tick("15", 10))[1] == Exit(ExitReason.PROTECTIVE, Decimal(15))


def test_a_missed_resumption_cannot_block_the_exit() -> None:
    halted, _ = step(position(), Halted(OPEN + timedelta(seconds=5)))
    assert step(halted, tick("15", 60))[1] is not None


def test_the_end_of_day_exit_comes_even_in_a_halt() -> None:
    halted, _ = step(position(), Halted(OPEN))
    assert step(halted, ClockAdvanced(CLOSE))[1] is not None


def test_every_phase_says_why_it_would_leave_next() -> None:
    watch = position()
    armed, _ = step(watch, tick("20.30"))
    leaving, _ = step(watch, ExitRequested(ExitReason.FLATTEN))
    closed, _ = step(leaving, Sold(100, Decimal(20), OPEN))
    assert "target 20.40" in watch.why_next
    assert "protective stop 19.20" in watch.why_next
    assert "trailing stop 20.13 " in armed.why_next
    assert leaving.why_next == "selling 100 shares: FLATTEN"
    assert closed.why_next == "closed by FLATTEN"


@given(
    st.integers(90_000, 120_000),
    st.lists(st.integers(9_000, 13_000), max_size=8),
    st.sampled_from([CAPTURE, RIDE]),
)
def test_the_stop_on_the_screen_is_the_highest_price_that_sells(
    entry: int, cents: list[int], rules: TshRules
) -> None:
    """Levels fall between cents (an average entry has four decimals); the screen shows what can be quoted."""
    state = position(f"{entry / 10_000:.4f}", rules=rules)
    states, _ = play(state, [tick(f"{price / 1000:.2f}", i + 1.0) for i, price in enumerate(cents)])
    for state in states:
        if state.leaving or state.sells_at is None:
            continue
        cent = Decimal("0.01")
        assert state.sells_at % cent == 0
        assert step(state, tick(str(state.sells_at), 60.0))[1] is not None
        above = step(state, tick(str(state.sells_at + cent), 60.0))[1]
        assert above is None or above.reason is ExitReason.TARGET


def test_what_rests_at_the_broker_and_what_the_sentence_says_is_one_price() -> None:
    assert "protective stop 8.43," in f"{position('8.88').why_next},"  # 5 % below is 8.436


def test_prints_of_other_symbols_are_not_ours() -> None:
    state = position()
    assert step(state, replace(tick("1"), symbol="WXYZ")) == (state, None)
