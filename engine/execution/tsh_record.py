"""What TSH decided and what made it decide so: a sparse record that suffices to repeat a day.

At thousands of prints a second a row a print is out of the question, and not needed. A row is
kept for every step that changes more than the last price: entries and sales, arming, each
new high that moves the trailing stop, halts, requests, the end of the day, each exit. Their
number is bounded by the grid of prices between the arm level and the target, not by prints.

The prints between two rows are *quiet*: each leaves phase, stop, shares, entry and halt as they
are. Of them the next row keeps the lowest and the highest price, the last one, and the beat of
the clock that came nearest to the end of the day. That suffices, because every rule of the
machine is a threshold and no level moves while it is quiet: what neither the lowest nor the
highest print triggers, no print between them does. A replay steps through both and through
every recorded event, and must arrive at the states and exits that were recorded
(``tsh_replay``). Prints that came late are not kept: they change nothing by rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from engine.brackets import Bracket, BracketTable
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
)
from engine.model import Tick, utc_text
from engine.tsh_log import TshRow

Json = dict[str, Any]
OPENED, RESTORED, CLOSE_MOVED = "opened", "restored", "close_moved"  # rows that are no step of the machine


def is_quiet(before: TshState, after: TshState) -> bool:
    """Whether a step changed nothing but the last price (and, below the arm level, the high)."""
    if after is before:
        return True
    free_high = before.phase in (Phase.EXITING, Phase.CARRIED, Phase.CLOSED) or (
        before.phase is Phase.WATCH and before.halted_at is None
    )
    return (
        after.phase is before.phase
        and after.stop == before.stop
        and after.halted_at == before.halted_at
        and (free_high or after.high == before.high)
        and (after.shares, after.bought, after.entry, after.reason, after.session_close)
        == (before.shares, before.bought, before.entry, before.reason, before.session_close)
    )


@dataclass(slots=True)
class Gap:
    """The quiet prints and beats of one position since its last row."""

    prints: int = 0
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    last: Decimal = Decimal(0)
    last_at: datetime | None = None
    clock_at: datetime | None = None  # the beat that came nearest to the end of the day ...
    clock_rate: float = 1.0
    _nearest: datetime | None = None  # ... which would have been due at this rate and time

    def price(self, tick: Tick) -> None:
        if not self.prints:
            self.low = self.high = tick.price
        elif tick.price > self.high:
            self.high = tick.price
        elif tick.price < self.low:
            self.low = tick.price
        self.prints += 1
        self.last, self.last_at = tick.price, tick.at

    def beat(self, state: TshState, clock: ClockAdvanced) -> None:
        due_in = state.session_close - state.rules.exit_starts(state.session_close, clock.rate)
        reached: datetime = clock.at + due_in
        if self._nearest is None or reached > self._nearest:
            self._nearest, self.clock_at, self.clock_rate = reached, clock.at, clock.rate

    def json(self) -> Json | None:
        found: Json = {}
        if self.prints and self.last_at is not None:
            found |= {"prints": self.prints, "low": str(self.low), "high": str(self.high), "last": str(self.last)}
            found["last_at"] = utc_text(self.last_at)
        if self.clock_at is not None:
            found |= {"clock_at": utc_text(self.clock_at), "clock_rate": self.clock_rate}
        return found or None


@dataclass
class TshRecorder:
    """Hears every step of the book; ``take`` gives the rows that are not stored yet.

    Silent until ``begin``: what a restarted engine rebuilds from the journal was recorded in its earlier life.
    """

    pending: list[TshRow] = field(default_factory=list)
    listening: bool = False
    _gaps: dict[str, Gap] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)  # of the last row of each symbol: none may be missing

    def begin(self, holdings: list[tuple[date, TshState]]) -> None:
        """From now on steps are heard; ``holdings`` (session of entry, state) are what an earlier life left."""
        self.listening = True
        for session, state in holdings:
            self._keep(session, state.symbol, state.last_at, RESTORED, {"rules": rules_json(state.rules)}, state)

    def opened(self, session: date, state: TshState) -> None:
        """A first fill opened a position."""
        if self.listening:
            self._gaps.pop(state.symbol, None)
            self._keep(session, state.symbol, state.last_at, OPENED, {"rules": rules_json(state.rules)}, state)

    def close_moved(self, session: date, state: TshState) -> None:
        if self.listening:
            self._keep(session, state.symbol, state.last_at, CLOSE_MOVED, {}, state)

    def stepped(
        self, session: date, before: TshState, event: TshEvent, after: TshState, exit_: Exit | None
    ) -> None:
        """One step of the machine; quiet ones only widen the gap."""
        if not self.listening:
            return
        if exit_ is None and is_quiet(before, after):
            if isinstance(event, Tick):
                if after is not before:
                    self._gap(before.symbol).price(event)
                return
            if isinstance(event, ClockAdvanced):
                self._gap(before.symbol).beat(before, event)
                return
            if after is before:
                return
        at = event.at if not isinstance(event, ExitRequested) else after.last_at
        self._keep(session, before.symbol, at, type(event).__name__, event_json(event), after, exit_)

    def take(self) -> list[TshRow]:
        taken, self.pending = self.pending, []
        return taken

    def _gap(self, symbol: str) -> Gap:
        found = self._gaps.get(symbol)
        if found is None:
            found = self._gaps[symbol] = Gap()
        return found

    def _keep(
        self,
        session: date,
        symbol: str,
        at: datetime,
        kind: str,
        event: Json,
        after: TshState,
        exit_: Exit | None = None,
    ) -> None:
        gap = self._gaps.pop(symbol, None)
        number = 0 if kind == RESTORED else self._numbers.get(symbol, -1) + 1
        self._numbers[symbol] = number
        data: Json = {"number": number, "event": event, "after": state_json(after)}
        if gap is not None and (quiet := gap.json()) is not None:
            data["gap"] = quiet
        if exit_ is not None:
            data["exit"] = {"reason": exit_.reason.value, "at_price": str(exit_.at_price)}
        self.pending.append(TshRow(session, symbol, at, kind, data))


# --- to JSON and back: exact, Decimals as text ------------------------------------------------


def event_json(event: TshEvent) -> Json:
    match event:
        case Tick():
            return {"price": str(event.price), "at": utc_text(event.at)}
        case ClockAdvanced():
            return {"at": utc_text(event.at), "rate": event.rate}
        case Bought():
            return {"shares": event.shares, "price": str(event.price), "at": utc_text(event.at)}
        case Sold():
            reason = None if event.reason is None else event.reason.value
            return {"shares": event.shares, "price": str(event.price), "at": utc_text(event.at), "reason": reason}
        case ExitRequested():
            return {"reason": event.reason.value}
        case SessionOpened():
            return {"at": utc_text(event.at), "session_close": utc_text(event.session_close)}
        case Halted() | Resumed() | SessionClosed():
            return {"at": utc_text(event.at)}


def event_of(symbol: str, kind: str, raw: Mapping[str, Any]) -> TshEvent:
    """The event of a row. KeyError or ValueError for what no recorder wrote."""
    at = datetime.fromisoformat(raw["at"]) if "at" in raw else None
    if kind == "ExitRequested":
        return ExitRequested(ExitReason(raw["reason"]))
    if at is None:
        raise ValueError(f"{kind} without a time")
    match kind:
        case "Tick":
            return Tick(symbol, Decimal(raw["price"]), at, 0.0)
        case "ClockAdvanced":
            return ClockAdvanced(at, float(raw["rate"]))
        case "Bought":
            return Bought(int(raw["shares"]), Decimal(raw["price"]), at)
        case "Sold":
            reason = None if raw["reason"] is None else ExitReason(raw["reason"])
            return Sold(int(raw["shares"]), Decimal(raw["price"]), at, reason)
        case "SessionOpened":
            return SessionOpened(at, datetime.fromisoformat(raw["session_close"]))
        case "Halted":
            return Halted(at)
        case "Resumed":
            return Resumed(at)
        case "SessionClosed":
            return SessionClosed(at)
    raise ValueError(f"no event is called {kind!r}")


def state_json(state: TshState) -> Json:
    return {
        "phase": state.phase.value,
        "shares": state.shares,
        "bought": state.bought,
        "entry": str(state.entry),
        "high": str(state.high),
        "last": str(state.last),
        "last_at": utc_text(state.last_at),
        "stop": None if state.stop is None else str(state.stop),
        "halted_at": None if state.halted_at is None else utc_text(state.halted_at),
        "reason": None if state.reason is None else state.reason.value,
        "session_close": utc_text(state.session_close),
    }


def state_of(symbol: str, raw: Mapping[str, Any], rules: TshRules) -> TshState:
    return TshState(
        symbol=symbol,
        rules=rules,
        session_close=datetime.fromisoformat(raw["session_close"]),
        phase=Phase(raw["phase"]),
        shares=int(raw["shares"]),
        bought=int(raw["bought"]),
        entry=Decimal(raw["entry"]),
        high=Decimal(raw["high"]),
        last=Decimal(raw["last"]),
        last_at=datetime.fromisoformat(raw["last_at"]),
        stop=None if raw["stop"] is None else Decimal(raw["stop"]),
        halted_at=None if raw["halted_at"] is None else datetime.fromisoformat(raw["halted_at"]),
        reason=None if raw["reason"] is None else ExitReason(raw["reason"]),
    )


def rules_json(rules: TshRules) -> Json:
    return {
        "brackets": [
            [b.floor_price, b.target_pct, b.arm_pct, b.trail_pct, b.protective_pct] for b in rules.brackets
        ],
        "ride": rules.ride,
        "exit_minutes": rules.exit_minutes,
        "exit_wall_s": rules.exit_wall_s,
    }


def rules_of(raw: Mapping[str, Any]) -> TshRules:
    brackets = BracketTable([Bracket(*row) for row in raw["brackets"]])
    return TshRules(brackets, bool(raw["ride"]), float(raw["exit_minutes"]), float(raw["exit_wall_s"]))
