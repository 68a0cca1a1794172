"""Orders that come with others: brackets and one-triggers-other, their legs and what binds them.

The legs are ``held`` until the parent is filled completely, then live; the fill of one
cancels the other, the end of one ends the group (ALPACA.md section 6). Legs inherit the
time in force, so that ``day`` exits vanish at the close. A leg fills whole: what a venue
does with the other leg meanwhile is not published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.simulator.orders import INVALID, UNPROCESSABLE, OrderRequest, VenueError, price

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Legs:
    """What shall follow the fill of the parent; prices in dollars a share."""

    take_profit: Decimal | None  # limit
    stop_loss: Decimal | None  # stop
    stop_loss_limit: Decimal | None


def parse_legs(body: Mapping[str, Any], request: OrderRequest) -> Legs | None:
    """The legs of a bracket or OTO, None for a simple order; VenueError for what is neither."""
    profit, loss = _part(body, "take_profit"), _part(body, "stop_loss")
    if not request.order_class:
        if profit or loss:
            raise VenueError(422, INVALID, "take_profit and stop_loss need order_class bracket or oto")
        return None
    if request.kind == "trailing_stop":
        raise VenueError(422, UNPROCESSABLE, f"{request.order_class} orders cannot be trailing stops")
    if request.time_in_force not in ("day", "gtc"):
        raise VenueError(422, UNPROCESSABLE, f"{request.order_class} orders must be DAY or GTC orders")
    if request.extended_hours or request.qty % 1:
        raise VenueError(422, UNPROCESSABLE, f"{request.order_class} orders take whole shares in regular hours")
    legs = Legs(
        price(profit, "limit_price", required=True) if profit else None,
        price(loss, "stop_price", required=True) if loss else None,
        price(loss, "limit_price", required=False) if loss else None,
    )
    count = (legs.take_profit is not None) + (legs.stop_loss is not None)
    if request.order_class == "bracket" and count != 2:
        raise VenueError(
            422, UNPROCESSABLE, "bracket orders require take_profit.limit_price and stop_loss.stop_price"
        )
    if request.order_class == "oto" and count != 1:
        raise VenueError(422, UNPROCESSABLE, "oto orders require exactly one of take_profit and stop_loss")
    return legs


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    if part is None:
        return {}
    if not isinstance(part, Mapping) or not part:
        raise VenueError(422, INVALID, f"invalid {name}")
    return part


def check_legs(legs: Legs, request: OrderRequest, base: Decimal) -> None:
    """``base`` is the price that the parent is expected to trade at: its own, or the market's."""
    away = 1 if request.side == "buy" else -1
    profit, loss = legs.take_profit, legs.stop_loss
    if profit is not None and loss is not None and (profit - loss) * away <= 0:
        raise VenueError(422, UNPROCESSABLE, "take_profit.limit_price must be beyond stop_loss.stop_price")
    if loss is not None and (base - loss) * away < CENT:
        side = "<= base_price - 0.01" if away > 0 else ">= base_price + 0.01"
        raise VenueError(422, UNPROCESSABLE, f"stop_loss.stop_price must be {side}", base_price=f"{base:f}")
    if profit is not None and (profit - base) * away < CENT:
        side = ">= base_price + 0.01" if away > 0 else "<= base_price - 0.01"
        raise VenueError(422, UNPROCESSABLE, f"take_profit.limit_price must be {side}", base_price=f"{base:f}")


def leg_requests(legs: Legs, parent: OrderRequest, new_id: Callable[[], str]) -> list[OrderRequest]:
    """The orders on the other side, for all the parent's shares: take-profit first."""
    side = "sell" if parent.side == "buy" else "buy"
    made: list[tuple[str, Decimal | None, Decimal | None]] = []
    if legs.take_profit is not None:
        made.append(("limit", legs.take_profit, None))
    if legs.stop_loss is not None:
        made.append(
            ("stop" if legs.stop_loss_limit is None else "stop_limit", legs.stop_loss_limit, legs.stop_loss)
        )
    return [
        OrderRequest(
            parent.symbol,
            side,
            kind,
            parent.time_in_force,
            parent.qty,
            limit,
            stop,
            new_id(),
            extended_hours=False,
            order_class=parent.order_class,
        )
        for kind, limit, stop in made
    ]
