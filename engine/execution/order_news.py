"""What the broker's words mean for our orders: the fill that is not booked yet, the intent of a found order.

Pure. A fill counts by the order's cumulative quantity, so that repeated, late and missing
messages add up to the same shares and the same money.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from engine.broker.broker_types import BrokerOrder, TradeUpdate
from engine.execution.desk_order import DeskOrder
from engine.execution.order_ids import OrderId
from engine.orders_model import Fill, OrderIntent, OrderKind, OrderState

_MICRO = Decimal("0.000001")


def unbooked(order: DeskOrder, found: BrokerOrder, update: TradeUpdate | None) -> Fill | None:
    """The part of the cumulative fill that is not booked yet, priced so that the sums agree.

    None when there is none, or when the broker has not said its price yet: the next look has one.
    """
    cumulative = int(found.filled)
    shares = cumulative - order.filled
    if shares <= 0:
        return None
    execution: str | None = None
    if update is not None and update.shares == shares and update.price is not None:
        price, at, execution = update.price, update.at, update.execution_id
    elif found.average_price is not None:
        price = (found.average_price * cumulative - order.cost) / shares
        price = price.quantize(_MICRO) if price > 0 else found.average_price
        at = update.at if update is not None else found.updated_at
    else:
        return None
    return Fill(
        order_id=found.id,
        execution_id=execution or f"cumulative-{cumulative}",
        client_order_id=found.client_order_id,
        symbol=found.symbol,
        side=found.side,
        shares=shares,
        price=price,
        at=at,
    )


def adopted_intent(found: BrokerOrder, parts: OrderId) -> OrderIntent:
    """The intent of an order of ours that this journal does not know (``tshc flatten`` sent it, for instance)."""
    kinds: dict[str, OrderKind] = {"limit": "limit", "stop": "stop"}
    return OrderIntent(
        client_order_id=found.client_order_id,
        session=parts.session,
        symbol=found.symbol,
        side="sell" if found.side == "sell" else "buy",
        shares=max(1, int(found.shares)),
        kind=kinds.get(found.kind, "market"),
        limit_price=found.limit_price,
        stop_price=found.stop_price,
        time_in_force=found.time_in_force,
        leg=parts.leg,
        attempt=parts.attempt,
        why="found at the broker, not in this journal",
        at=found.submitted_at,
    )


def refused_state(intent: OrderIntent) -> OrderState:
    """A refused order as the journal keeps it: ``rejected`` under our own id, so that nobody looks for it."""
    now = datetime.now(UTC)
    return OrderState(
        order_id=f"refused-{intent.client_order_id}",
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        kind=intent.kind,
        shares=intent.shares,
        filled_shares=0,
        average_price=None,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        status="rejected",
        submitted_at=now,
        updated_at=now,
    )
