"""A day's decisions are repeated from its sparse record, for any path of prints; an altered record is found."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.brackets import DEFAULT_BRACKETS
from engine.execution.order_ids import outside_id
from engine.execution.positions_book import PositionsBook
from engine.execution.tsh_record import (
    TshRecorder,
    event_json,
    event_of,
    rules_json,
    rules_of,
    state_json,
    state_of,
)
from engine.execution.tsh_replay import against_the_journal, carried_over, replay
from engine.execution.tsh_trade_management import (
    Bought,
    ClockAdvanced,
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
    opened,
)  # fmt: skip
from engine.journal import JournalDb
from engine.model import Session, Tick
from engine.orders_model import Fill, OrderIntent
from engine.tsh_log import TshRow

DAY = date(2026, 11, 23)
OPEN, CLOSE = datetime(2026, 11, 23, 14, 30, tzinfo=UTC), datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
CAPTURE, RIDE = TshRules(DEFAULT_BRACKETS), TshRules(DEFAULT_BRACKETS, ride=True)
SYMBOL = "ABCD"


def after_open(seconds: float) -> datetime:
    return OPEN + timedelta(seconds=seconds)


class Live:
    """A position as it is lived: the book, its recorder, and every exit that was asked for."""

    def __init__(self, rules: TshRules = CAPTURE, price: str = "20") -> None:
        self.recorder = TshRecorder()
        self.recorder.begin([])
        self.book = PositionsBook(rules, self.recorder)
        self.exits: list[tuple[str, str]] = []
        self.fills: list[Fill] = []
        self.fill("buy", 100, Decimal(price), OPEN)

    def fill(self, side: str, shares: int, price: Decimal, at: datetime) -> None:
        number = len(self.fills)
        fill = Fill(f"o{number}", f"e{number}", f"c{number}", SYMBOL, side, shares, price, at)
        known = self.book.holdings.get(SYMBOL)
        if side == "sell":
            shares = 0 if known is None else min(shares, known.tsh.shares)
        if shares:
            self.fills.append(replace(fill, shares=shares))
            self.book.on_fill(self.fills[-1], DAY, CLOSE)

    def live(self, event: TshEvent) -> None:
        holding = self.book.holdings[SYMBOL]
        change = None
        match event:
            case Tick():
                change = self.book.on_tick(event)
            case Bought():
                if not holding.tsh.closed:
                    self.fill("buy", event.shares, event.price, event.at)
            case Sold():
                self.fill("sell", event.shares, event.price, event.at)
            case Halted():
                change = self.book.on_halt(SYMBOL, True, event.at)
            case Resumed():
                change = self.book.on_halt(SYMBOL, False, event.at)
            case ExitRequested():
                change = self.book.request_exit(SYMBOL, event.reason)
            case ClockAdvanced():
                for change in self.book.on_clock(event.at, event.rate, Session(DAY, OPEN, CLOSE)):
                    self._heard(change)
                return
        if change is not None:
            self._heard(change)

    def _heard(self, change: Any) -> None:
        if change.exit is not None:
            self.exits.append((change.exit.reason.value, str(change.exit.at_price)))

    def rows(self) -> list[TshRow]:
        """As the journal gives them back: through JSON, numbered."""
        self.recorder.pending = list(self.recorder.pending)
        return [
            replace(row, data=json.loads(json.dumps(row.data)), seq=n)
            for n, row in enumerate(self.recorder.pending)
        ]


prices = st.decimals(min_value=Decimal("18.80"), max_value=Decimal("20.60"), places=2)
sub_penny = st.decimals(min_value=Decimal("19.9000"), max_value=Decimal("20.4500"), places=4)
moments = st.integers(-50, 24_000).map(after_open)
ticks = st.builds(lambda p, at: Tick(SYMBOL, p, at, 0.0), st.one_of(prices, sub_penny), moments)
stories = st.lists(
    st.one_of(
        ticks, ticks, ticks, ticks,
        st.builds(ClockAdvanced, moments, st.sampled_from([1.0, 20.0, 300.0])),
        st.builds(Halted, moments),
        st.builds(Resumed, moments),
        st.builds(Bought, st.integers(1, 300), prices, moments),
        st.builds(Sold, st.integers(1, 200), prices, moments),
        st.sampled_from([ExitRequested(ExitReason.MANUAL), ExitRequested(ExitReason.DAY_LOSS)]),
    ),
    max_size=80,
)  # fmt: skip
rules = st.sampled_from([CAPTURE, RIDE])


def walk(steps: list[int], start: int = 2000) -> list[Tick]:
    """Prints of a cent's random walk, a second apart."""
    found, price = [], start
    for number, step in enumerate(steps, start=1):
        price = max(100, price + step)
        found.append(Tick(SYMBOL, Decimal(price) / 100, after_open(number), 0.0))
    return found


@given(stories, rules)
def test_every_story_is_decided_again_exactly_as_it_was_lived(story: list[TshEvent], how: TshRules) -> None:
    lived = Live(how)
    for event in story:
        lived.live(event)
    decisions = replay(lived.rows())
    assert [d.finding for d in decisions if not d.same] == []
    assert [d.exit for d in decisions if d.exit] == [reason for reason, _ in lived.exits]
    assert against_the_journal(lived.rows(), lived.fills, []) == []


@given(st.lists(st.integers(-6, 6), max_size=400), rules)
def test_random_walks_of_prints_give_the_same_exit_again(steps: list[int], how: TshRules) -> None:
    lived = Live(how)
    for tick in walk(steps):
        lived.live(tick)
    decisions = replay(lived.rows())
    assert all(d.same for d in decisions)
    assert [d.exit for d in decisions if d.exit] == [reason for reason, _ in lived.exits]
    assert decisions[-1].phase == (lived.rows()[-1].data["after"]["phase"])


@settings(max_examples=20)
@given(st.integers(0, 10**9))
def test_the_record_is_sparse_and_bounded_by_the_grid_of_prices(seed: int) -> None:
    """2,000 prints: no row a print, and never more rows than cents between arm level and target, plus a few."""
    lived = Live()
    for tick in walk(random.Random(seed).choices((-1, 0, 1), k=2000)):
        lived.live(tick)
    tsh = opened(SYMBOL, 100, Decimal(20), OPEN, CLOSE, CAPTURE)
    cents = int((tsh.target_price - tsh.arm_price) * 100) + 1
    assert len(lived.rows()) <= cents + 3


def test_quiet_hours_leave_one_row_that_knows_their_extremes() -> None:
    lived = Live()
    for n in range(1, 5001):
        lived.live(Tick(SYMBOL, Decimal("19.90") + Decimal(n % 30) / 100, after_open(n / 100), 0.0))
    lived.live(ExitRequested(ExitReason.MANUAL))
    first, last = lived.rows()
    assert first.kind == "opened"
    assert last.data["gap"]["prints"] == 5000
    assert (last.data["gap"]["low"], last.data["gap"]["high"]) == ("19.90", "20.19")
    assert all(d.same for d in replay(lived.rows()))


# --- tampering ----------------------------------------------------------------------------------


def lived_day(how: TshRules = CAPTURE) -> Live:
    """Armed, two higher highs, trailed out, sold in two parts."""
    lived = Live(how)
    for second, price in enumerate(
        ("20.05", "19.95", "20.25", "20.28", "20.20", "20.31", "20.22", "20.10"), start=1
    ):
        lived.live(Tick(SYMBOL, Decimal(price), after_open(second), 0.0))
    lived.live(Sold(60, Decimal("20.09"), after_open(20)))
    lived.live(Sold(40, Decimal("20.08"), after_open(21)))
    return lived


def test_the_day_used_below_is_sound_and_ends_by_its_trailing_stop() -> None:
    lived = lived_day()
    decisions = replay(lived.rows())
    assert all(d.same for d in decisions)
    assert [d.exit for d in decisions if d.exit] == ["TRAIL"]
    assert decisions[-1].phase == "CLOSED"


def changed(row: TshRow, change: Callable[[dict[str, Any]], None]) -> TshRow:
    data = copy.deepcopy(row.data)
    change(data)
    return replace(row, data=data)


@given(st.data())
def test_any_altered_number_or_word_of_the_record_is_found(data: st.DataObject) -> None:
    lived = lived_day()
    rows = lived.rows()
    place = data.draw(st.integers(0, len(rows) - 1))
    after = rows[place].data["after"]
    name = data.draw(st.sampled_from(sorted(after)))
    whole = st.integers(1, 400)
    values = {
        "shares": whole,
        "bought": whole,
        "phase": st.sampled_from([p.value for p in Phase]),
        "reason": st.sampled_from([None, *(r.value for r in ExitReason)]),
        "last_at": st.just(after_open(9_999).isoformat()),
        "halted_at": st.just(after_open(5).isoformat()),
        "session_close": st.just(after_open(1).isoformat()),
    }
    fresh = data.draw(
        values.get(name, st.integers(1, 400).map(str) if name not in ("shares", "bought") else st.integers(1, 400))
    )
    assume(fresh != after[name] and (place, name) != (0, "session_close"))
    rows[place] = changed(rows[place], lambda d: d["after"].__setitem__(name, fresh))
    wrong = [d for d in replay(rows) if not d.same]
    assert wrong or against_the_journal(rows, lived.fills, [])


@pytest.mark.parametrize("place", range(1, 7))
def test_a_row_that_was_taken_out_is_found(place: int) -> None:
    lived = lived_day()
    rows = lived.rows()
    assert len(rows) == 7
    del rows[place]
    assert [d for d in replay(rows) if not d.same] or against_the_journal(rows, lived.fills, [])


def test_an_exit_that_was_not_due_and_one_that_was_left_out_are_found() -> None:
    lived = lived_day()
    rows = lived.rows()
    exits = [n for n, row in enumerate(rows) if "exit" in row.data]
    without = [*rows]
    without[exits[0]] = changed(rows[exits[0]], lambda d: d.pop("exit"))
    assert "exit TRAIL at 20.10, recorded none" in next(d.finding for d in replay(without) if not d.same)
    early = changed(rows[1], lambda d: d.__setitem__("exit", {"reason": "TARGET", "at_price": "20.25"}))
    assert "exit none, recorded TARGET at 20.25" in replay([rows[0], early])[1].finding


def test_prints_that_could_not_have_been_quiet_are_found() -> None:
    lived = lived_day()
    rows = lived.rows()
    gap = next(n for n, row in enumerate(rows) if row.data.get("gap", {}).get("prints"))
    low = changed(rows[gap], lambda d: d["gap"].__setitem__("low", "19.10"))  # below the protective stop
    assert "passed for quiet, the machine decides PROTECTIVE exit" in replay([*rows[:gap], low])[-1].finding
    high = changed(rows[gap], lambda d: d["gap"].__setitem__("high", "20.45"))  # above the target
    assert "passed for quiet, the machine decides TARGET exit" in replay([*rows[:gap], high])[-1].finding


def test_a_clock_that_should_have_ended_the_day_is_found() -> None:
    lived = Live()
    lived.live(ClockAdvanced(CLOSE - timedelta(minutes=11)))
    lived.live(ExitRequested(ExitReason.MANUAL))
    rows = lived.rows()
    assert all(d.same for d in replay(rows))
    late = changed(rows[1], lambda d: d["gap"].__setitem__("clock_at", (CLOSE - timedelta(minutes=9)).isoformat()))
    assert "the machine decides END_OF_DAY" in replay([rows[0], late])[1].finding


def test_the_beat_that_came_nearest_to_the_end_is_the_one_that_is_kept() -> None:
    """At a fast rate the exit is due earlier: a later beat at a slow rate must not hide it."""
    lived = Live()
    lived.live(ClockAdvanced(CLOSE - timedelta(minutes=52), 300.0))
    lived.live(ClockAdvanced(CLOSE - timedelta(minutes=45), 1.0))
    lived.live(ExitRequested(ExitReason.MANUAL))
    assert lived.rows()[1].data["gap"]["clock_rate"] == 300.0


@pytest.mark.parametrize(
    "data", [{}, {"after": None}, {"event": {}, "after": {}}, {"event": 5, "after": {"phase": "?"}}]
)
def test_a_row_that_cannot_be_read_is_a_finding_and_not_a_crash(data: dict[str, Any]) -> None:
    lived = lived_day()
    rows = lived.rows()
    broken = [*rows[:3], replace(rows[3], data=data), *rows[4:]]
    assert any("cannot be read" in d.finding for d in replay(broken))
    assert against_the_journal(broken, lived.fills, []) != []


# --- against fills and orders, restarts, carried positions ---------------------------------------


def intent(why: str, leg: str = "exit") -> OrderIntent:
    return OrderIntent(
        f"tsh-00000000-20261123-{SYMBOL}-{leg}-1", DAY, SYMBOL, "sell", 100, "market", None, None, "day", leg, 1,
        why, CLOSE,
    )  # fmt: skip


def test_fills_that_the_record_does_not_know_and_prices_that_differ_are_found() -> None:
    lived = lived_day()
    rows = lived.rows()
    assert against_the_journal(rows, lived.fills, [intent("TRAIL")]) == []
    assert "sold by the fills" in against_the_journal(rows, lived.fills[:-1], [])[0]
    dearer = [replace(lived.fills[0], price=Decimal("20.01")), *lived.fills[1:]]
    assert "entries cost 2001.0000 $ by the fills, 2000.0000 $" in against_the_journal(rows, dearer, [])[0]
    stranger = Fill("o9", "e9", "c9", "WXYZ", "buy", 5, Decimal(9), OPEN)
    assert "WXYZ" in against_the_journal(rows, [*lived.fills, stranger], [])[0]


def test_an_exit_order_that_nothing_decided_is_found() -> None:
    lived = lived_day()
    assert (
        "says END_OF_DAY, nothing decided so"
        in against_the_journal(lived.rows(), lived.fills, [intent("END_OF_DAY")])[0]
    )
    assert against_the_journal(lived.rows(), lived.fills, [intent("protective stop", "stop")]) == []


def test_a_restarted_engine_goes_on_in_the_same_record() -> None:
    lived = Live()
    for tick in walk([10, 10, 8]):
        lived.live(tick)
    second = PositionsBook(CAPTURE, recorder := TshRecorder())
    for fill in lived.fills:
        second.on_fill(fill, DAY, CLOSE)
    second.restore_levels(lived.book.levels())
    assert recorder.pending == []  # what is rebuilt was recorded in the earlier life
    recorder.begin([(h.session, h.tsh) for h in second.open_holdings()])
    change = second.on_tick(Tick(SYMBOL, Decimal("20.05"), after_open(60), 0.0))
    assert change is not None
    assert change.exit is not None
    rows = lived.rows() + recorder.take()
    decisions = replay(rows)
    assert all(d.same for d in decisions)
    assert [d.event for d in decisions][-2:] == ["restored", "Tick"]
    assert decisions[-1].exit == "TRAIL"
    fallen = changed(rows[-2], lambda d: d["after"].__setitem__("stop", "20.0001"))
    assert "a trailing stop never falls" in replay([*rows[:-2], fallen])[-1].finding
    fewer = changed(rows[-2], lambda d: d["after"].__setitem__("bought", 50))
    assert "restored with 50 shares bought" in replay([*rows[:-2], fewer])[-1].finding


def test_a_carried_position_is_followed_into_the_next_session() -> None:
    lived = Live()
    lived.live(ClockAdvanced(CLOSE + timedelta(seconds=1)))
    assert lived.book.holdings[SYMBOL].tsh.phase is Phase.CARRIED
    tomorrow = Session(DAY + timedelta(days=1), OPEN + timedelta(days=1), CLOSE + timedelta(days=1))
    lived.book.on_clock(tomorrow.open + timedelta(seconds=1), 1.0, tomorrow)
    sold = Fill("o5", "e5", "c5", SYMBOL, "sell", 100, Decimal("19.5"), tomorrow.open + timedelta(seconds=2))
    lived.book.on_fill(sold, tomorrow.day, tomorrow.close)
    rows = lived.rows()
    assert [d.event for d in replay(rows)] == ["opened", "SessionClosed", "SessionOpened", "Sold"]
    assert all(d.same for d in replay(rows))
    rebought = replace(sold, order_id="o6", side="buy", at=tomorrow.open + timedelta(hours=1))
    later = carried_over(rows, [sold, rebought])
    assert later == [sold]
    assert against_the_journal(rows, [*lived.fills, *later], []) == []


def test_an_early_close_is_part_of_the_record() -> None:
    lived = Live()
    early = CLOSE - timedelta(hours=3)
    lived.book.close_moved(Session(DAY, OPEN, early))
    lived.book.close_moved(Session(DAY, OPEN, early))  # told twice
    lived.live(ClockAdvanced(early - timedelta(minutes=5)))
    decisions = replay(lived.rows())
    assert [d.event for d in decisions] == ["opened", "close_moved", "ClockAdvanced"]
    assert all(d.same for d in decisions)
    assert decisions[-1].exit == "END_OF_DAY"


def test_shares_sold_outside_count_as_sold() -> None:
    lived, name = Live(), outside_id(DAY, SYMBOL, 1)
    sold = Fill(name, name, name, SYMBOL, "sell", 100, Decimal("20.5"), after_open(50))
    lived.book.on_fill(sold, DAY, CLOSE, reason=ExitReason.OUTSIDE)
    assert all(d.same for d in replay(lived.rows()))
    assert against_the_journal(lived.rows(), [*lived.fills, sold], []) == []
    assert against_the_journal(lived.rows(), lived.fills, []) == []  # a journal of before they were kept as fills


@given(stories)
def test_events_and_states_survive_json(story: list[TshEvent]) -> None:
    more = [SessionClosed(CLOSE), SessionOpened(OPEN, CLOSE), Sold(3, Decimal("1.5"), OPEN, ExitReason.OUTSIDE)]
    for event in [*story, *more]:
        assert event_of(SYMBOL, type(event).__name__, json.loads(json.dumps(event_json(event)))) == event
    lived = Live(RIDE)
    for event in story:
        lived.live(event)
    state = lived.book.holdings[SYMBOL].tsh
    again = state_of(SYMBOL, json.loads(json.dumps(state_json(state))), rules_of(rules_json(state.rules)))
    assert state_json(again) == state_json(state)
    assert [again.target_price, again.arm_price] == [state.target_price, state.arm_price]


async def test_the_journal_keeps_the_rows_in_order_and_never_changes_them(tmp_path: Path) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")
    rows = lived_day().rows()
    await journal.append_tsh(rows[:3])
    await journal.append_tsh(rows[3:])
    stored = await journal.tsh_rows(DAY)
    assert [(r.symbol, r.market_at, r.kind, r.data) for r in stored] == [
        (r.symbol, r.market_at, r.kind, r.data) for r in rows
    ]
    assert await journal.tsh_sessions() == [DAY]
    assert all(d.same for d in replay(stored))
    with pytest.raises(Exception, match="append-only"):
        async with journal.transaction() as connection:
            await connection.execute("UPDATE tsh_decisions SET kind = 'Tick'")
    await journal.close()
