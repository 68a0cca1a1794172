"""TSH trade management: one position's life as a pure state machine.

``step(state, event) -> (state, action)`` does no I/O and reads no clock: the same
arguments give the same answer, so a recorded day can be replayed. The caller sends the
exit that a step asks for and feeds the fills back in.

    WATCH --(high reaches arm)--> ARMED --(price falls to the trailing stop)--> EXITING
      |                             |
      +------(price reaches target: capture sells, ride goes on)--> TARGET --> EXITING
      +------(price falls to the protective stop)------------------------------> EXITING
      any of them --(end of day, manual, flatten)--> EXITING --(sold)--> CLOSED
      any of them --(session closed, still held)--> CARRIED --(next open)--> EXITING

Prices are Decimal dollars, shares whole, times aware UTC in *market time*. Percentages
come from the bracket of the average fill; the trail alone is percent of the local high.
A position asks for at most one exit a session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from engine.brackets import Bracket, BracketTable
from engine.broker.capability import price_grid
from engine.events import dollars
from engine.execution.allocation import down_to_grid, up_to_grid
from engine.model import NEW_YORK, Tick

_LEVEL = Decimal("0.0001")  # levels are kept to a hundredth of a cent


class Phase(StrEnum):
    WATCH = "WATCH"
    ARMED = "ARMED"
    TARGET = "TARGET"  # ride only: the target was reached and is now the floor
    EXITING = "EXITING"
    CLOSED = "CLOSED"
    CARRIED = "CARRIED"  # missed its close; leaves at the next open


class ExitReason(StrEnum):
    TARGET = "TARGET"
    TRAIL = "TRAIL"
    PROTECTIVE = "PROTECTIVE"
    END_OF_DAY = "END_OF_DAY"
    MANUAL = "MANUAL"
    FLATTEN = "FLATTEN"
    DAY_LOSS = "DAY_LOSS"
    CARRIED = "CARRIED"
    UNPROTECTED = "UNPROTECTED"  # no protective stop could be placed at the broker
    OUTSIDE = "OUTSIDE"  # sold by somebody else: seen by reconcile, never asked for by TSH


def exit_start(session_close: datetime, exit_minutes: float, exit_wall_s: float, rate: float) -> datetime:
    """End-of-day exits start max(exit_minutes, exit_wall_s x rate) before the close (CONTRACTS, *Time*).

    ``rate``: market seconds a wall second.
    """
    return session_close - max(timedelta(minutes=exit_minutes), timedelta(seconds=exit_wall_s * max(rate, 0.0)))


@dataclass(frozen=True, slots=True)
class TshRules:
    """What is the same for every position of a session."""

    brackets: BracketTable
    ride: bool = False  # False: capture, sell at the target
    exit_minutes: float = 10.0  # market minutes before the close
    exit_wall_s: float = 10.0  # wall seconds before the close, whichever is earlier

    def exit_starts(self, session_close: datetime, rate: float) -> datetime:
        """When the end-of-day exits of the session begin."""
        return exit_start(session_close, self.exit_minutes, self.exit_wall_s, rate)


@dataclass(frozen=True, slots=True)
class TshState:
    """One position. Build it with ``opened``; every later one comes out of ``step``."""

    symbol: str
    rules: TshRules
    session_close: datetime
    phase: Phase
    shares: int  # still held
    bought: int  # shares of all entry fills
    entry: Decimal  # average of the entry fills
    high: Decimal  # highest print since the entry
    last: Decimal
    last_at: datetime
    stop: Decimal | None = None  # trailing stop once armed; never falls
    halted_at: datetime | None = None
    reason: ExitReason | None = None

    @property
    def closed(self) -> bool:
        return self.phase is Phase.CLOSED

    @property
    def leaving(self) -> bool:
        return self.phase in (Phase.EXITING, Phase.CLOSED)

    @property
    def target_price(self) -> Decimal:
        return _above(self.entry, self._bracket().target_pct)

    @property
    def arm_price(self) -> Decimal:
        return _above(self.entry, self._bracket().arm_pct)

    @property
    def protective_price(self) -> Decimal:
        return _above(self.entry, -self._bracket().protective_pct)

    def _bracket(self) -> Bracket:
        return self.rules.brackets.at(float(self.entry))

    @property
    def trail_pct(self) -> float:
        """Percent of the local high; half of it after the target when riding."""
        trail = self._bracket().trail_pct
        return trail / 2 if self.phase is Phase.TARGET else trail

    @property
    def sells_at(self) -> Decimal | None:
        """The trailing stop as prices are quoted: the highest price on the grid that sells; None before arming.

        Riding above the target sells strictly below the level, armed at the level or below.
        """
        if self.stop is None:
            return None
        if self.phase is not Phase.TARGET:
            return down_to_grid(self.stop)
        above = up_to_grid(self.stop)
        return above - price_grid(above)

    @property
    def why_next(self) -> str:
        """What would make this position leave next, in words."""
        match self.phase:
            case Phase.WATCH:
                words = (
                    f"sells at the target {up_to_grid(self.target_price)}, arms at {up_to_grid(self.arm_price)}, "
                    f"protective stop {down_to_grid(self.protective_price)}"
                )
            case Phase.ARMED:
                words = (
                    f"sells at the target {up_to_grid(self.target_price)} or at the trailing stop "
                    f"{self.sells_at} ({self.trail_pct:g} % below the high {dollars(self.high)})"
                )
            case Phase.TARGET:
                words = f"target reached, rides: sells at {self.sells_at} or below"
            case Phase.EXITING:
                words = f"selling {self.shares} shares: {self.reason}"
            case Phase.CARRIED:
                words = "missed the close: sells at the next open"
            case Phase.CLOSED:
                return f"closed by {self.reason}"
        return f"HALTED; {words}" if self.halted_at else words

    def exits_when(self, rate: float = 1.0) -> str:
        """``why_next`` in a few signs for a table; ``rate`` moves the end-of-day exit of a fast clock."""
        match self.phase:
            case Phase.WATCH:
                ends = self.rules.exit_starts(self.session_close, rate).astimezone(NEW_YORK)
                words = f"≥ {up_to_grid(self.arm_price)} arms, {ends:%H:%M} sells"
            case Phase.ARMED:
                words = f"≤ {self.sells_at} or ≥ {up_to_grid(self.target_price)} sells"
            case Phase.TARGET:
                words = f"≤ {self.sells_at}, rides above the target"
            case Phase.EXITING:
                words = f"selling {self.shares:,}: {self.reason}"
            case _:
                return self.why_next
        return f"HALTED; {words}" if self.halted_at else words


@dataclass(frozen=True, slots=True)
class ClockAdvanced:
    """Market time went on without a print; ``rate`` is market seconds per wall second."""

    at: datetime
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Halted:
    """Trading in the symbol stopped: prints up to ``at`` make no exit; a later one means it goes on."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Resumed:
    at: datetime


@dataclass(frozen=True, slots=True)
class Bought:
    """A further fill of the entry order."""

    shares: int
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Sold:
    """A fill of an exit order (or shares that reconcile no longer finds)."""

    shares: int
    price: Decimal
    at: datetime
    reason: ExitReason | None = None  # only when TSH itself did not ask for it


@dataclass(frozen=True, slots=True)
class ExitRequested:
    """A person, flatten or the day-loss limit wants out."""

    reason: ExitReason


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session is over."""

    at: datetime


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A new session is open; ``session_close`` is its close."""

    at: datetime
    session_close: datetime


TshEvent = Tick | ClockAdvanced | Halted | Resumed | Bought | Sold | ExitRequested | SessionClosed | SessionOpened


@dataclass(frozen=True, slots=True)
class Exit:
    """The action: sell everything this position still holds."""

    reason: ExitReason
    at_price: Decimal  # the last print, which the exit's limit may start from


def opened(
    symbol: str, shares: int, price: Decimal, at: datetime, session_close: datetime, rules: TshRules
) -> TshState:
    """The state after the first entry fill of ``shares`` at ``price`` dollars.

    Raises ValueError for no shares or a price that is not positive.
    """
    if shares <= 0 or price <= 0:
        raise ValueError(f"{symbol}: a position needs shares and a price, not {shares} at {price}")
    return TshState(
        symbol=symbol,
        rules=rules,
        session_close=session_close,
        phase=Phase.WATCH,
        shares=shares,
        bought=shares,
        entry=price,
        high=price,
        last=price,
        last_at=at,
    )


def step(state: TshState, event: TshEvent) -> tuple[TshState, Exit | None]:
    """Advances one position by one event; the exit to send, if this event asks for one.

    Prints older than the last one change nothing; after CLOSED nothing changes at all.
    """
    if state.closed:
        return state, None
    match event:
        case Tick():
            return _on_tick(state, event)
        case ClockAdvanced(at, rate):
            return _on_clock(state, at, rate)
        case Halted(at):
            return replace(state, halted_at=at), None
        case Resumed():
            return replace(state, halted_at=None), None
        case Bought():
            return _on_bought(state, event), None
        case Sold():
            return _on_sold(state, event), None
        case ExitRequested(reason):
            return _exiting(state, reason)
        case SessionClosed():
            # EXITING too: its DAY order died with the session, so the next open must ask again.
            return replace(state, phase=Phase.CARRIED, halted_at=None), None
        case SessionOpened(at, session_close):
            if state.phase is not Phase.CARRIED:
                return state, None
            state = replace(state, session_close=session_close, last_at=max(at, state.last_at))
            # A flatten whose sale waited for this open is still what sells it.
            return _exiting(
                state, ExitReason.FLATTEN if state.reason is ExitReason.FLATTEN else ExitReason.CARRIED
            )


def _on_tick(state: TshState, tick: Tick) -> tuple[TshState, Exit | None]:
    if tick.symbol != state.symbol or tick.price <= 0 or tick.at < state.last_at:
        return state, None
    state = replace(state, last=tick.price, last_at=tick.at, high=max(state.high, tick.price))
    if state.phase in (Phase.EXITING, Phase.CARRIED):
        return state, None
    if state.halted_at is not None:
        if tick.at <= state.halted_at:
            return state, None
        state = replace(state, halted_at=None)  # a later print is trading: the resumption was missed
    if state.phase is Phase.TARGET:
        if state.stop is not None and tick.price < state.stop:
            floor_hit = state.stop <= state.target_price
            return _exiting(state, ExitReason.TARGET if floor_hit else ExitReason.TRAIL)
        return _trailing(state), None
    if tick.price >= state.target_price:
        if not state.rules.ride:
            return _exiting(state, ExitReason.TARGET)
        floor = max(state.target_price, state.stop or state.target_price)
        return _trailing(replace(state, phase=Phase.TARGET, stop=floor)), None
    if state.stop is not None and tick.price <= state.stop:
        return _exiting(state, ExitReason.TRAIL)
    if tick.price <= state.protective_price:
        return _exiting(state, ExitReason.PROTECTIVE)
    return _trailing(state), None


def _on_clock(state: TshState, at: datetime, rate: float) -> tuple[TshState, Exit | None]:
    if state.phase in (Phase.EXITING, Phase.CARRIED):
        return state, None
    if at >= state.rules.exit_starts(state.session_close, rate):
        return _exiting(state, ExitReason.END_OF_DAY)
    return state, None


def _on_bought(state: TshState, fill: Bought) -> TshState:
    if fill.shares <= 0 or fill.price <= 0:
        return state
    bought = state.bought + fill.shares
    entry = (state.entry * state.bought + fill.price * fill.shares) / bought
    state = replace(
        state,
        shares=state.shares + fill.shares,
        bought=bought,
        entry=entry,
        high=max(state.high, fill.price),
        last_at=max(state.last_at, fill.at),
    )
    return state if state.phase in (Phase.EXITING, Phase.CARRIED) else _trailing(state)


def _on_sold(state: TshState, fill: Sold) -> TshState:
    if fill.shares <= 0:
        return state
    left = max(0, state.shares - fill.shares)
    reason = fill.reason or state.reason  # sold by somebody else, whatever we were about to do
    return replace(state, shares=left, reason=reason, phase=Phase.CLOSED if left == 0 else state.phase)


def _exiting(state: TshState, reason: ExitReason) -> tuple[TshState, Exit | None]:
    if state.phase in (Phase.EXITING, Phase.CLOSED):
        return state, None
    return replace(state, phase=Phase.EXITING, reason=reason), Exit(reason, state.last)


def _trailing(state: TshState) -> TshState:
    """Arms when the high has reached the arm price; raises the stop with the high, never lowers it."""
    phase = state.phase
    if phase is Phase.WATCH and state.high >= state.arm_price:
        phase = Phase.ARMED
    if phase is Phase.WATCH:
        return state
    state = replace(state, phase=phase)
    trailing = _above(state.high, -state.trail_pct)
    return replace(state, stop=trailing if state.stop is None else max(state.stop, trailing))


@lru_cache(4096)  # asked for the same few levels at every print
def _above(price: Decimal, percent: float) -> Decimal:
    return (price * (1 + Decimal(str(percent)) / 100)).quantize(_LEVEL)
