"""Orders, fills, positions, drift, the entries latch and flatten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from engine.events.engine_events import AlertRaised, AlertRecovered
from engine.events.event import Event, Level, dollars


@dataclass(frozen=True, kw_only=True)
class EntryRefused(Event):
    level: ClassVar[Level] = Level.WARNING
    symbol: str
    gate: str
    reason: str
    shares: int = 0  # bought before the refusal

    @property
    def text(self) -> str:
        what = f"entered with {self.shares} shares only" if self.shares else "not entered"
        return f"{self.symbol} {what}, {self.gate}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class OrderSent(Event):
    symbol: str
    side: str
    shares: int
    kind_of_order: str
    limit_price: Decimal | None
    client_order_id: str
    why: str

    @property
    def text(self) -> str:
        price = f" at {dollars(self.limit_price)}" if self.limit_price is not None else ""
        return f"{self.side} {self.shares} {self.symbol} {self.kind_of_order}{price} ({self.why})"


@dataclass(frozen=True, kw_only=True)
class OrderChanged(Event):
    symbol: str
    client_order_id: str
    status: str
    filled_shares: int
    average_price: Decimal | None
    detail: str = ""

    @property
    def text(self) -> str:
        fill = f", {self.filled_shares} filled at {dollars(self.average_price)}" if self.filled_shares else ""
        return f"{self.symbol} order {self.status}{fill}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, kw_only=True)
class FillReceived(Event):
    level: ClassVar[Level] = Level.NOTICE
    symbol: str
    side: str
    shares: int
    price: Decimal
    client_order_id: str

    @property
    def text(self) -> str:
        return f"filled: {self.side} {self.shares} {self.symbol} at {dollars(self.price)}"


@dataclass(frozen=True, kw_only=True)
class TshChanged(Event):
    symbol: str
    state: str
    price: Decimal
    why_next: str

    @property
    def text(self) -> str:
        return f"{self.symbol} {self.state} at {dollars(self.price)}: {self.why_next}"


@dataclass(frozen=True, kw_only=True)
class PositionClosed(Event):
    level: ClassVar[Level] = Level.NOTICE
    symbol: str
    shares: int
    entry: Decimal
    exit: Decimal
    pnl: Decimal
    reason: str

    @property
    def text(self) -> str:
        prices = f"{dollars(self.entry)} to {dollars(self.exit)}"
        return f"{self.symbol} closed by {self.reason}: {prices}, {self.pnl:+.2f} $"


@dataclass(frozen=True, kw_only=True)
class Reconciled(Event):
    level: ClassVar[Level] = Level.DEBUG
    clean: bool
    open_orders: int
    positions: int
    foreign: tuple[str, ...] = ()
    detail: str = ""

    @property
    def text(self) -> str:
        verdict = "clean" if self.clean else f"NOT clean: {self.detail}"
        return f"reconciled: {verdict}, {self.open_orders} orders, {self.positions} positions"


DAY_LOSS = "daily loss"  # how the reason of a latch begins that the day's loss set


@dataclass(frozen=True, kw_only=True)
class DriftFound(AlertRaised):
    """The engine and the broker disagree about something that nobody here did."""

    ours: str
    theirs: str


@dataclass(frozen=True, kw_only=True)
class DriftEnded(AlertRecovered):
    """Belief and broker agree again."""

    @property
    def text(self) -> str:
        return f"drift settled: {self.message}"


@dataclass(frozen=True, kw_only=True)
class EntriesLatched(Event):
    level: ClassVar[Level] = Level.ALERT
    reason: str

    @property
    def text(self) -> str:
        return f"entries latched off: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class EntriesUnlatched(Event):
    level: ClassVar[Level] = Level.NOTICE
    by: str

    @property
    def text(self) -> str:
        return f"entries allowed again by {self.by}"


@dataclass(frozen=True, kw_only=True)
class FlattenChanged(Event):
    level: ClassVar[Level] = Level.NOTICE
    step: str
    symbol: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        return (
            f"flatten: {self.step}"
            + (f" {self.symbol}" if self.symbol else "")
            + (f" - {self.detail}" if self.detail else "")
        )


@dataclass(frozen=True, kw_only=True)
class DayClosed(Event):
    level: ClassVar[Level] = Level.NOTICE
    session: date
    pnl: Decimal
    trades: int

    @property
    def text(self) -> str:
        return f"{self.session} closed: {self.trades} trades, {self.pnl:+.2f} $"
