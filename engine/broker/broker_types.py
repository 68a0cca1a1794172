"""What the broker says about the account, as frozen values: Decimal dollars and shares, aware UTC.

An account may hold what this program does not trade (an option order of several legs has no
symbol). Such rows must not cost the rest of a list: they are kept as unreadable, foreign things.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from engine.broker import wire
from engine.orders_model import ID_PREFIX, TERMINAL_STATUSES, OrderState

_UNKNOWN = "?"
_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Account:
    number: str
    status: str
    equity: Decimal
    last_equity: Decimal  # at the previous close
    cash: Decimal
    buying_power: Decimal
    trading_blocked: bool = False
    shorting_enabled: bool = False  # a sale too many would open a short position instead of being refused

    @property
    def day_pnl(self) -> Decimal:
        return self.equity - self.last_equity

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Account:
        return cls(
            number=wire.text(raw.get("account_number"), "account_number"),
            status=wire.text(raw.get("status"), "status"),
            equity=wire.number(raw.get("equity"), "equity"),
            last_equity=wire.number(raw.get("last_equity"), "last_equity"),
            cash=wire.number(raw.get("cash"), "cash"),
            buying_power=wire.number(raw.get("buying_power"), "buying_power"),
            trading_blocked=bool(raw.get("trading_blocked")) or bool(raw.get("account_blocked")),
            shorting_enabled=bool(raw.get("shorting_enabled")),
        )


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The broker's clock; ``rate`` is market seconds per wall second (1 except in the simulator)."""

    at: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime
    rate: float = 1.0
    hold_at: datetime | None = None  # the simulator's time stops there

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> ClockReading:
        rate = float(wire.number(raw.get("rate", 1), "rate"))
        if rate < 0:
            raise wire.MalformedAnswer(f"rate is {rate}")
        hold = raw.get("hold_at")
        return cls(
            at=wire.instant(raw.get("timestamp"), "timestamp"),
            is_open=bool(raw.get("is_open")),
            next_open=wire.instant(raw.get("next_open"), "next_open"),
            next_close=wire.instant(raw.get("next_close"), "next_close"),
            rate=rate,
            hold_at=None if hold is None else wire.instant(hold, "hold_at"),
        )


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One order as the broker has it; shares are Decimal because foreign orders may be fractional."""

    id: str
    client_order_id: str
    symbol: str
    side: str
    kind: str
    status: str
    shares: Decimal
    filled: Decimal
    average_price: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str
    submitted_at: datetime
    updated_at: datetime
    readable: bool = True  # False: somebody else's, and only id, status and what texts it has are meant

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL_STATUSES

    @property
    def words(self) -> str:
        """Symbol, side and shares for people."""
        if not self.readable:
            return f"an order that cannot be read ({self.id})"
        return f"{self.symbol} order {self.side} {self.shares.normalize():f}"

    def state(self) -> OrderState:
        """As the journal keeps it; for our own orders, which are of whole shares."""
        return OrderState(
            order_id=self.id,
            client_order_id=self.client_order_id,
            symbol=self.symbol,
            side=self.side,
            kind=self.kind,
            shares=int(self.shares),
            filled_shares=int(self.filled),
            average_price=self.average_price,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            status=self.status,
            submitted_at=self.submitted_at,
            updated_at=self.updated_at,
        )

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> BrokerOrder:
        submitted = raw.get("submitted_at") or raw.get("created_at")
        shares = wire.number_or_none(raw.get("qty"), "qty")
        return cls(
            id=wire.text(raw.get("id"), "id"),
            client_order_id=wire.text(raw.get("client_order_id"), "client_order_id"),
            symbol=wire.text(raw.get("symbol"), "symbol"),
            side=wire.text(raw.get("side"), "side"),
            kind=wire.text(raw.get("type") or raw.get("order_type"), "type"),
            status=wire.text(raw.get("status"), "status"),
            shares=shares if shares is not None else Decimal(0),
            filled=wire.number_or_none(raw.get("filled_qty"), "filled_qty") or Decimal(0),
            average_price=wire.number_or_none(raw.get("filled_avg_price"), "filled_avg_price"),
            limit_price=wire.number_or_none(raw.get("limit_price"), "limit_price"),
            stop_price=wire.number_or_none(raw.get("stop_price"), "stop_price"),
            time_in_force=wire.text(raw.get("time_in_force"), "time_in_force"),
            submitted_at=wire.instant(submitted, "submitted_at"),
            updated_at=wire.instant(raw.get("updated_at") or submitted, "updated_at"),
        )

    @classmethod
    def of_account(cls, raw: Mapping[str, Any]) -> BrokerOrder:
        """Any order of the account: one that cannot be read is opaque unless it carries an id of ours.

        Raises MalformedAnswer for one of ours: what this program sent must be known, or nothing is.
        """
        try:
            return cls.parse(raw)
        except wire.MalformedAnswer:
            if str(raw.get("client_order_id")).startswith(ID_PREFIX):
                raise
        submitted = _instant_or(raw.get("submitted_at") or raw.get("created_at"), _NO_DATE)
        return cls(
            id=_text_or(raw.get("id"), f"unreadable-{hashlib.sha256(repr(raw).encode()).hexdigest()[:12]}"),
            client_order_id=_text_or(raw.get("client_order_id"), ""),
            symbol=_text_or(raw.get("symbol"), _UNKNOWN),
            side=_text_or(raw.get("side"), _UNKNOWN),
            kind=_text_or(raw.get("type"), _UNKNOWN),
            status=_text_or(raw.get("status"), _UNKNOWN),  # an unknown one has not ended
            shares=Decimal(0),
            filled=Decimal(0),
            average_price=None,
            limit_price=None,
            stop_price=None,
            time_in_force=_text_or(raw.get("time_in_force"), _UNKNOWN),
            submitted_at=submitted,
            updated_at=_instant_or(raw.get("updated_at"), submitted),
            readable=False,
        )


def _text_or(value: Any, otherwise: str) -> str:
    try:
        return wire.text(value, "a text") or otherwise
    except wire.MalformedAnswer:
        return otherwise


def _instant_or(value: Any, otherwise: datetime) -> datetime:
    try:
        return wire.instant(value, "a time")
    except wire.MalformedAnswer:
        return otherwise


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    symbol: str
    shares: Decimal
    available: Decimal  # not held by open sell orders
    average_entry: Decimal
    price: Decimal | None
    value: Decimal | None
    readable: bool = True  # False: only the symbol is known; nobody may take its numbers for real

    @classmethod
    def of_account(cls, raw: Mapping[str, Any]) -> BrokerPosition:
        """Any position of the account; one whose numbers cannot be read is kept by its symbol.

        Raises MalformedAnswer without a symbol: nobody can say whose it is.
        """
        try:
            return cls.parse(raw)
        except wire.MalformedAnswer:
            symbol, nothing = wire.text(raw.get("symbol"), "symbol"), Decimal(0)
            return cls(symbol, nothing, nothing, nothing, None, None, readable=False)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> BrokerPosition:
        shares = wire.number(raw.get("qty"), "qty")
        available = wire.number_or_none(raw.get("qty_available"), "qty_available")
        return cls(
            symbol=wire.text(raw.get("symbol"), "symbol"),
            shares=shares,
            available=shares if available is None else available,
            average_entry=wire.number(raw.get("avg_entry_price"), "avg_entry_price"),
            price=wire.number_or_none(raw.get("current_price"), "current_price"),
            value=wire.number_or_none(raw.get("market_value"), "market_value"),
        )


@dataclass(frozen=True, slots=True)
class TradeUpdate:
    """One message of the trade_updates stream; ``shares`` and ``price`` are of this execution."""

    event: str
    order: BrokerOrder
    at: datetime
    execution_id: str | None = None
    shares: Decimal | None = None
    price: Decimal | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> TradeUpdate:
        order = BrokerOrder.of_account(wire.record(raw.get("order"), "order"))
        moment = raw.get("timestamp") or raw.get("at")
        execution = raw.get("execution_id")
        return cls(
            event=wire.text(raw.get("event"), "event"),
            order=order,
            at=wire.instant(moment, "timestamp") if moment else order.updated_at,
            execution_id=None if execution is None else wire.text(execution, "execution_id"),
            shares=wire.number_or_none(raw.get("qty"), "qty"),
            price=wire.number_or_none(raw.get("price"), "price"),
        )
