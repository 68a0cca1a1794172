"""Orders of the simulated venue: what a request must look like, what an order is, how it looks on the wire.

Money and quantities are Decimal; times aware UTC. A request that cannot be an order is
refused here with the venue's own codes (ALPACA.md section 2, *Errors*); what depends on the
account or on other orders is refused by the exchange.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from engine.simulator.wire import rfc3339

Json = dict[str, Any]


class VenueError(Exception):
    """The venue says no to a request: the HTTP status and the body it answers with."""

    def __init__(self, http: int, code: int | None, message: str, **extras: str) -> None:
        super().__init__(message)
        self.http = http
        self.body: Json = (
            {"message": message, **extras} if code is None else {"code": code, "message": message, **extras}
        )


class Status(StrEnum):
    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    HELD = "held"  # a leg whose parent is not filled yet
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


OPEN = frozenset(
    {
        Status.ACCEPTED,
        Status.PENDING_NEW,
        Status.NEW,
        Status.PARTIALLY_FILLED,
        Status.PENDING_CANCEL,
        Status.HELD,
    }
)
KINDS = ("market", "limit", "stop", "stop_limit", "trailing_stop")
CLASSES = ("", "simple", "bracket", "oto")
TIMES_IN_FORCE = ("day", "gtc", "ioc", "fok", "opg", "cls")
UNPROCESSABLE, INVALID, FORBIDDEN, NOT_FOUND = 42210000, 40010001, 40310000, 40410000


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A well-formed request; ``client_order_id`` is always set (the venue invents a missing one)."""

    symbol: str
    side: str
    kind: str
    time_in_force: str
    qty: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    client_order_id: str
    extended_hours: bool
    trail_price: Decimal | None = None  # dollars, or
    trail_percent: Decimal | None = None
    order_class: str = ""  # bracket, oto, or empty for a simple order

    @classmethod
    def parse(cls, body: Any) -> OrderRequest:
        """VenueError (422) for anything that is not an order this venue knows."""
        if not isinstance(body, Mapping):
            raise VenueError(400, 40010000, "request body format is invalid")
        symbol, side = text(body, "symbol"), text(body, "side")
        kind, tif = text(body, "type"), text(body, "time_in_force")
        if side not in ("buy", "sell"):
            raise VenueError(422, INVALID, f"invalid side: {side}")
        if kind not in KINDS:
            raise VenueError(422, INVALID, f"invalid order type: {kind} (this venue simulates {', '.join(KINDS)})")
        if tif not in TIMES_IN_FORCE:
            raise VenueError(422, INVALID, f"invalid time_in_force: {tif}")
        order_class = body.get("order_class") or ""
        if order_class not in CLASSES:
            raise VenueError(422, UNPROCESSABLE, f"order_class {order_class} is not simulated")
        if body.get("notional") is not None or body.get("qty") is None:
            raise VenueError(422, INVALID, "qty is required: notional orders are not simulated")
        limit = price(body, "limit_price", required=kind in ("limit", "stop_limit"))
        stop = price(body, "stop_price", required=kind in ("stop", "stop_limit"))
        if limit is not None and kind not in ("limit", "stop_limit"):
            raise VenueError(422, INVALID, f"{kind} orders must not have a limit_price")
        if stop is not None and kind not in ("stop", "stop_limit"):
            raise VenueError(422, INVALID, f"{kind} orders must not have a stop_price")
        trail, percent = _trail(body, kind)
        if kind == "trailing_stop" and tif not in ("day", "gtc"):
            raise VenueError(422, UNPROCESSABLE, "trailing stop orders must be DAY or GTC orders")
        if tif in ("opg", "cls") and kind not in ("market", "limit"):
            raise VenueError(422, UNPROCESSABLE, f"{tif} orders must be market or limit orders")
        extended = boolean(body.get("extended_hours"))
        if extended and (kind != "limit" or tif != "day"):
            raise VenueError(422, UNPROCESSABLE, "extended hours order must be DAY limit orders")
        client_id = str(body.get("client_order_id") or uuid.uuid4())
        if len(client_id) > 128:
            raise VenueError(422, INVALID, "client_order_id must be no more than 128 characters")
        return cls(
            symbol,
            side,
            kind,
            tif,
            quantity(body["qty"]),
            limit,
            stop,
            client_id,
            extended,
            trail,
            percent,
            "" if order_class == "simple" else order_class,
        )


def _trail(body: Mapping[str, Any], kind: str) -> tuple[Decimal | None, Decimal | None]:
    """(dollars, percent) of a trailing stop, exactly one of them; both None for other kinds."""
    given = [name for name in ("trail_price", "trail_percent") if body.get(name) is not None]
    if kind != "trailing_stop":
        if given:
            raise VenueError(422, INVALID, f"{kind} orders must not have a {given[0]}")
        return None, None
    if len(given) != 1:
        raise VenueError(422, INVALID, "trailing stop orders require one of trail_price and trail_percent")
    number = decimal(body[given[0]], given[0])
    if number <= 0 or (given[0] == "trail_percent" and number >= 100):
        raise VenueError(422, INVALID, f"invalid {given[0]}: {number:f}")
    return (number, None) if given[0] == "trail_price" else (None, number)


def text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise VenueError(422, INVALID, f"{name} is required")
    return value


def boolean(value: object) -> bool:
    """``True``, ``"true"``, ``"True"``, 1 and ``"1"`` are yes."""
    return str(value).lower() in ("true", "1")


def decimal(value: object, name: str) -> Decimal:
    """A finite number sent as number or string; VenueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        raise VenueError(422, INVALID, f"invalid {name}")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise VenueError(422, INVALID, f"invalid {name}: {value}") from None
    if not number.is_finite() or abs(number) > 10**12:
        raise VenueError(422, INVALID, f"invalid {name}: {value}")
    return number


def quantity(value: object) -> Decimal:
    number = decimal(value, "qty")
    if number <= 0:
        raise VenueError(422, INVALID, "qty must be > 0")
    whole = number.to_integral_value()
    return whole if whole == number else number


def price(body: Mapping[str, Any], name: str, *, required: bool) -> Decimal | None:
    """A price on the grid: two decimals from a dollar up, four below."""
    if body.get(name) is None:
        if required:
            raise VenueError(422, INVALID, f"{name} is required")
        return None
    number = decimal(body[name], name)
    if number <= 0:
        raise VenueError(422, INVALID, f"{name} must be > 0")
    grid = Decimal("0.01") if number >= 1 else Decimal("0.0001")
    if number % grid:
        raise VenueError(
            422,
            UNPROCESSABLE,
            f"invalid {name} {number:f}. sub-penny increment does not fulfill minimum pricing criteria",
        )
    return number


@dataclass(slots=True)
class Order:
    """One order and its life so far. Changed by the exchange only."""

    id: str
    request: OrderRequest
    asset_id: str
    reserve_price: Decimal  # dollars a share that an open buy takes from buying power
    status: Status
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)  # sum of price x quantity of its fills
    triggered: bool = False  # a stop that has been reached
    resting: bool = False  # has met the market once without filling completely
    split: bool = False  # its first partial fill is behind it
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    hwm: Decimal | None = None  # best price seen by a trailing stop: the highest for a sell, the lowest for a buy
    parent: str | None = None  # order id, of a leg
    legs: tuple[str, ...] = ()  # order ids, of a bracket's or OTO's parent

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def buy(self) -> bool:
        return self.request.side == "buy"

    @property
    def remaining(self) -> Decimal:
        return self.request.qty - self.filled

    @property
    def stop_price(self) -> Decimal | None:
        """The stop as it stands: a trailing one follows its best price."""
        r = self.request
        if r.kind != "trailing_stop":
            return r.stop_price
        if self.hwm is None:
            return None
        away = r.trail_price if r.trail_price is not None else self.hwm * (r.trail_percent or Decimal(0)) / 100
        return (self.hwm + away if self.buy else self.hwm - away).quantize(Decimal("0.01"))

    @property
    def average(self) -> Decimal | None:
        return self.cost / self.filled if self.filled else None

    def json(self, legs: list[Json] | None = None) -> Json:
        """The order as the venue sends it: money and quantities as strings; ``legs`` when asked for nested."""
        r = self.request
        average, stop = self.average, self.stop_price
        content: Json = {
            "id": self.id,
            "client_order_id": r.client_order_id,
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.updated_at),
            "submitted_at": rfc3339(self.created_at),
            "filled_at": rfc3339(self.filled_at),
            "expired_at": rfc3339(self.expired_at),
            "canceled_at": rfc3339(self.canceled_at),
            "failed_at": rfc3339(self.failed_at),
            "replaced_at": rfc3339(self.replaced_at),
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": self.asset_id,
            "symbol": r.symbol,
            "asset_class": "us_equity",
            "notional": None,
            "qty": f"{r.qty:f}",
            "filled_qty": f"{self.filled:f}",
            "filled_avg_price": None
            if average is None
            else f"{average.quantize(Decimal('0.000001')).normalize():f}",
            "order_class": r.order_class,
            "order_type": r.kind,
            "type": r.kind,
            "side": r.side,
            "time_in_force": r.time_in_force,
            "limit_price": None if r.limit_price is None else f"{r.limit_price:f}",
            "stop_price": None if stop is None else f"{stop:f}",
            "status": self.status.value,
            "extended_hours": r.extended_hours,
            "legs": legs,
            "trail_percent": None if r.trail_percent is None else f"{r.trail_percent:f}",
            "trail_price": None if r.trail_price is None else f"{r.trail_price:f}",
            "hwm": None if self.hwm is None else f"{self.hwm:f}",
            "position_intent": "buy_to_open" if self.buy else "sell_to_close",
            "subtag": None,
            "source": None,
        }
        if self.expires_at is not None:  # as published: a time or no such field
            content["expires_at"] = rfc3339(self.expires_at)
        return content


def stop_limit_of(stop_price: Decimal) -> Decimal:
    """The limit that the venue gives a buy stop: 4 % above it under 50 dollars, else 2.5 %."""
    factor = Decimal("1.04") if stop_price < 50 else Decimal("1.025")
    return (stop_price * factor).quantize(Decimal("0.01"))


def reached(order: Order, last: Decimal) -> bool:
    """Whether the stop has been triggered, by this trade or before (the order remembers); true without one."""
    if order.request.kind == "trailing_stop" and not order.triggered:
        best = last if order.hwm is None else order.hwm
        order.hwm = min(best, last) if order.buy else max(best, last)
    stop = order.stop_price
    if stop is not None and not order.triggered:
        order.triggered = last >= stop if order.buy else last <= stop
    return stop is None or order.triggered


def within_limit(order: Order, touch: Decimal) -> bool:
    """Whether the order may trade at ``touch``; market orders always may, buy stops up to the venue's limit."""
    request = order.request
    limit = request.limit_price
    if limit is None and order.buy and request.stop_price is not None:
        limit = stop_limit_of(request.stop_price)
    if limit is None:
        return True
    return touch <= limit if order.buy else touch >= limit


def filtered(
    orders: Iterable[Order],
    *,
    status: str = "open",
    symbols: frozenset[str] = frozenset(),
    side: str = "",
    after: datetime | None = None,
    until: datetime | None = None,
    oldest_first: bool = False,
    limit: int = 50,
) -> list[Order]:
    """The venue's order listing: by status group, symbols, side and submission time, newest first by default."""
    chosen = [
        o
        for o in orders
        if (status == "all" or (status == "open") == o.open)
        and (not symbols or o.request.symbol in symbols)
        and side in ("", o.request.side)
        and (after is None or o.created_at > after)
        and (until is None or o.created_at < until)
    ]
    return (chosen if oldest_first else chosen[::-1])[:limit]
