"""The book: every TSH position of this home, fed by fills and prices, never by wishes.

Shares change by executions alone. A position's life is the pure machine of
``tsh_trade_management``; the book keeps one per symbol, its money, and what has been
closed. It does no I/O: exits that a price or the clock asks for are returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from engine.execution.tsh_record import TshRecorder
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
from engine.model import Session, Tick, utc_text
from engine.orders_model import Fill


@dataclass(frozen=True, slots=True)
class Holding:
    """One position with what only money and screens need."""

    tsh: TshState
    session: date  # of the entry
    proceeds: Decimal = Decimal(0)  # dollars of its sells so far
    sold: int = 0
    priced_at: float | None = None  # monotonic seconds of the last price, None before the first
    source: str = "stream"  # or "rest"
    trouble: str = ""  # why the last exit attempt did not work

    @property
    def symbol(self) -> str:
        return self.tsh.symbol

    @property
    def realised(self) -> Decimal:
        return self.proceeds - self.tsh.entry * self.sold

    @property
    def unrealised(self) -> Decimal:
        return (self.tsh.last - self.tsh.entry) * self.tsh.shares


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    symbol: str
    session: date  # of the exit
    shares: int
    entry: Decimal
    exit: Decimal
    pnl: Decimal
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What one event did: the holding after it, the exit it asks for, whether its phase is new."""

    holding: Holding
    exit: Exit | None
    phase_changed: bool
    closed: ClosedTrade | None = None


class PositionsBook:
    """One engine's positions by symbol; closed ones stay visible until the symbol is bought again."""

    def __init__(self, rules: TshRules, recorder: TshRecorder | None = None) -> None:
        self.rules = rules
        self._recorder = recorder or TshRecorder()
        self.holdings: dict[str, Holding] = {}
        self.closed: list[ClosedTrade] = []

    def open_holdings(self) -> list[Holding]:
        return [h for h in self.holdings.values() if not h.tsh.closed]

    def shares(self, symbol: str) -> int:
        holding = self.holdings.get(symbol)
        return 0 if holding is None else holding.tsh.shares

    # --- fills ---------------------------------------------------------------------------------

    def on_fill(
        self,
        fill: Fill,
        session: date,
        session_close: datetime,
        seen: float | None = None,
        reason: ExitReason | None = None,
    ) -> Change | None:
        """Books one execution (``seen`` monotonic: it is a price too); None: a sell without a position.

        ``reason`` is why it was sold when TSH itself has not asked: the stop at the broker, or somebody else.
        """
        holding = self.holdings.get(fill.symbol)
        if fill.side == "buy":
            if holding is None or holding.tsh.closed:
                tsh = opened(fill.symbol, fill.shares, fill.price, fill.at, session_close, self.rules)
                fresh = Holding(tsh, session, priced_at=seen)
                self.holdings[fill.symbol] = fresh
                self._recorder.opened(session, tsh)
                return Change(fresh, None, True)
            return self._step(holding, Bought(fill.shares, fill.price, fill.at))
        if holding is None or holding.tsh.closed:
            return None
        return self._sold(holding, Sold(fill.shares, fill.price, fill.at, reason), session)

    def _sold(self, holding: Holding, fill: Sold, session: date) -> Change:
        shares = min(fill.shares, holding.tsh.shares)
        holding = replace(
            holding, proceeds=holding.proceeds + fill.price * shares, sold=holding.sold + shares, trouble=""
        )
        change = self._step(holding, fill)
        if not change.holding.tsh.closed:
            return change
        after = change.holding
        trade = ClosedTrade(
            symbol=after.symbol,
            session=session,
            shares=after.sold,
            entry=after.tsh.entry,
            exit=after.proceeds / after.sold,
            pnl=after.realised,
            reason=str(after.tsh.reason or ExitReason.OUTSIDE),
            at=fill.at,
        )
        self.closed.append(trade)
        return replace(change, closed=trade)

    # --- prices, clock, requests ---------------------------------------------------------------

    def on_tick(self, tick: Tick, source: str = "stream") -> Change | None:
        holding = self.holdings.get(tick.symbol)
        if holding is None or holding.tsh.closed:
            return None
        return self._step(replace(holding, priced_at=tick.seen, source=source), tick)

    def on_halt(self, symbol: str, halted: bool, at: datetime) -> Change | None:
        holding = self.holdings.get(symbol)
        if holding is None or holding.tsh.closed:
            return None
        return self._step(holding, Halted(at) if halted else Resumed(at))

    def on_clock(self, now: datetime, rate: float, session: Session | None) -> list[Change]:
        """Market time went on: end-of-day exits, missed closes, exits of carried positions at an open."""
        changes = []
        for holding in self.open_holdings():
            tsh = holding.tsh
            event: TshEvent = ClockAdvanced(now, rate)
            if tsh.phase is Phase.CARRIED:
                if session is None or not session.open <= now < session.close:
                    continue
                event = SessionOpened(now, session.close)
            elif now >= tsh.session_close:
                event = SessionClosed(now)
            change = self._step(holding, event)
            if change.exit is not None or change.phase_changed:
                changes.append(change)
        return changes

    def close_moved(self, session: Session) -> None:
        """The broker's calendar has a new close for ``session`` (an early close)."""
        for holding in self.open_holdings():
            if holding.tsh.session_close == session.close:
                continue
            if holding.session == session.day and holding.tsh.phase is not Phase.CARRIED:
                tsh = replace(holding.tsh, session_close=session.close)
                self.holdings[holding.symbol] = replace(holding, tsh=tsh)
                self._recorder.close_moved(holding.session, tsh)

    def request_exit(self, symbol: str, reason: ExitReason) -> Change | None:
        holding = self.holdings.get(symbol)
        if holding is None or holding.tsh.closed:
            return None
        return self._step(holding, ExitRequested(reason))

    def note_trouble(self, symbol: str, trouble: str) -> None:
        holding = self.holdings.get(symbol)
        if holding is not None:
            self.holdings[symbol] = replace(holding, trouble=trouble)

    def _step(self, holding: Holding, event: TshEvent) -> Change:
        before = holding.tsh
        tsh, exit_ = step(before, event)
        self._recorder.stepped(holding.session, before, event, tsh, exit_)
        holding = replace(holding, tsh=tsh)
        self.holdings[holding.symbol] = holding
        return Change(holding, exit_, tsh.phase is not before.phase)

    # --- money ---------------------------------------------------------------------------------

    def realised(self, session: date) -> Decimal:
        """Dollars of the trades closed in ``session`` and of what open positions have sold already."""
        closed = sum((t.pnl for t in self.closed if t.session == session), Decimal(0))
        return closed + sum((h.realised for h in self.open_holdings()), Decimal(0))

    def unrealised(self) -> Decimal:
        return sum((h.unrealised for h in self.open_holdings()), Decimal(0))

    # --- surviving a restart -------------------------------------------------------------------

    def levels(self) -> dict[str, Any]:
        """What fills cannot tell about open positions (high, stop, phase), JSON-safe."""
        return {
            h.symbol: {
                "entry": str(h.tsh.entry),
                "phase": h.tsh.phase.value,
                "high": str(h.tsh.high),
                "stop": None if h.tsh.stop is None else str(h.tsh.stop),
                "last": str(h.tsh.last),
                "last_at": utc_text(h.tsh.last_at),
                "session_close": utc_text(h.tsh.session_close),
                "reason": None if h.tsh.reason is None else h.tsh.reason.value,
            }
            for h in self.open_holdings()
        }

    def restore_levels(self, levels: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Puts ``levels`` back on the positions that the fills rebuilt; symbols that were leaving."""
        leaving = []
        for holding in self.open_holdings():
            kept = levels.get(holding.symbol)
            if kept is None:
                continue
            tsh = holding.tsh
            stop = None if kept["stop"] is None else Decimal(kept["stop"])
            phase = Phase(kept["phase"])
            tsh = replace(
                tsh,
                phase=Phase.WATCH if phase is Phase.CLOSED else phase,
                high=max(tsh.high, Decimal(kept["high"])),
                stop=stop,
                last=Decimal(kept["last"]),
                last_at=max(tsh.last_at, datetime.fromisoformat(kept["last_at"])),
                session_close=datetime.fromisoformat(kept["session_close"]),
                reason=None if kept["reason"] is None else ExitReason(kept["reason"]),
            )
            self.holdings[holding.symbol] = replace(holding, tsh=tsh)
            if phase is Phase.EXITING:
                leaving.append(holding.symbol)
        return leaving


def trades_of(closed: Iterable[ClosedTrade], session: date) -> list[ClosedTrade]:
    return [trade for trade in closed if trade.session == session]
