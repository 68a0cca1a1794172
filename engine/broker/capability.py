"""What Alpaca would refuse, refused here with the same words: no request, no id and no intent is spent.

Only what is certain is refused: the form of the order, the price grid, and conflicts with
orders and shares that the caller knows of. Silence means "ask the broker", not "accepted".
Sources of the words: ALPACA.md section 2 (*Errors*) and section 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

KINDS = {"market": (False, False), "limit": (True, False), "stop": (False, True)}  # (limit price, stop price)
TIMES_IN_FORCE = frozenset({"day", "gtc", "ioc", "fok", "opg", "cls"})
AUCTIONS = frozenset({"opg", "cls"})
LONGEST_ID = 128
CENT, HUNDREDTH_CENT = Decimal("0.01"), Decimal("0.0001")


class Working(Protocol):
    """An open order of the account, ours or not."""

    @property
    def symbol(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def limit_price(self) -> Decimal | None: ...


class Asked(Working, Protocol):
    """The order that is about to be sent."""

    @property
    def client_order_id(self) -> str: ...
    @property
    def shares(self) -> int: ...
    @property
    def stop_price(self) -> Decimal | None: ...
    @property
    def time_in_force(self) -> str: ...


def price_grid(price: Decimal) -> Decimal:
    """A cent from one dollar up, a hundredth of a cent below."""
    return CENT if price >= 1 else HUNDREDTH_CENT


def malformed(order: Asked) -> str:
    """Why no account could send this order, or empty."""
    if order.kind not in KINDS:
        return f"invalid order type: {order.kind}"
    if order.time_in_force not in TIMES_IN_FORCE:
        return f"invalid time_in_force: {order.time_in_force}"
    if order.time_in_force in AUCTIONS and order.kind == "stop":
        return f"{order.time_in_force} orders must be market or limit orders"
    if isinstance(order.shares, bool) or not isinstance(order.shares, int):
        return f"qty must be whole shares, not {order.shares}"
    if order.shares <= 0:
        return "qty must be > 0"
    if len(order.client_order_id) > LONGEST_ID:
        return f"client_order_id must be no more than {LONGEST_ID} characters"
    for name, wanted, price in zip(
        ("limit_price", "stop_price"), KINDS[order.kind], (order.limit_price, order.stop_price), strict=True
    ):
        if wanted != (price is not None):
            return f"{name} is required" if wanted else f"{order.kind} orders must not have a {name}"
        if price is None:
            continue
        if not price.is_finite() or price <= 0:
            return f"{name} must be > 0"
        if price % price_grid(price):
            return (
                f"invalid {name} {price:f}. sub-penny increment does not fulfill minimum pricing criteria "
                f"(the grid is {price_grid(price)})"
            )
    return ""


def wash_trade(order: Asked, working: Iterable[Working]) -> str:
    """Why the wash-trade guard would refuse: an open order of the other side in the same symbol."""
    for other in working:
        if other.symbol != order.symbol or {other.side, order.side} != {"buy", "sell"}:
            continue
        kinds = (order.kind, other.kind)
        if "market" in kinds:
            reason = "opposite side market order exists"
        elif any("stop" in kind for kind in kinds):
            reason = "opposite side stop order exists"
        else:
            buy, sell = (order, other) if order.side == "buy" else (other, order)
            if (buy.limit_price or Decimal(0)) < (sell.limit_price or Decimal(0)):
                continue
            reason = "opposite side limit order exists"
        return f"potential wash trade detected. use complex orders ({reason})"
    return ""


def short_of_shares(order: Asked, held: int, reserved: int) -> str:
    """Why a sell would be refused: ``reserved`` of the ``held`` shares are in other open sells."""
    available = held - reserved
    if order.side != "sell" or order.shares <= available:
        return ""
    return f"insufficient qty available for order (requested: {order.shares}, available: {available})"
