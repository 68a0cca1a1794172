"""Shares of ours that somebody else sold: booked and journalled like a sale of our own, at the price they brought.

Reconcile finds them missing at the broker. The journal gets an intent under an id of its own
kind (``order_ids.outside_id``; nothing with it is ever sent), the order as filled, and the
fill: a restart replays them, and P&L, cash and the position agree with the account for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from engine.broker.broker_types import BrokerOrder
from engine.execution.order_ids import OUTSIDE, outside_id
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.model import NEW_YORK
from engine.orders_model import Fill, OrderIntent, OrderState

_MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class OutsideSale:
    """What the account's own orders tell of the missing shares: dollars a share, market time, in words."""

    price: Decimal
    at: datetime
    session: date
    why: str


def told_by_orders(orders: Sequence[BrokerOrder], symbol: str, shares: int, since: datetime) -> OutsideSale | None:
    """The latest sells of ``symbol`` in ``orders`` (not ours) after ``since`` that make up ``shares``.

    Their average price; None when they are too few. The session is that of the last of them.
    """
    sells = [
        (order, order.average_price)
        for order in orders
        if order.symbol == symbol and order.side == "sell" and order.filled > 0 and order.updated_at > since
    ]
    missing, dollars, used = Decimal(shares), Decimal(0), []
    for order, price in sorted(sells, key=lambda sell: sell[0].updated_at, reverse=True):
        if missing <= 0 or price is None:
            break
        part = min(missing, order.filled)
        missing, dollars = missing - part, dollars + part * price
        used.append(order)
    if missing > 0:
        return None
    last = used[0].updated_at
    why = f"sold outside TSH by order {', '.join(order.id for order in used)}"
    return OutsideSale((dollars / shares).quantize(_MICRO), last, last.astimezone(NEW_YORK).date(), why)


class OutsideSales:
    """``now`` and ``session`` are market time: when a sale is booked of which the account has no order."""

    def __init__(
        self, desk: OrderDesk, book: PositionsBook, now: Callable[[], datetime], session: Callable[[], date]
    ) -> None:
        self._desk, self._book, self._now, self._session = desk, book, now, session

    async def book(self, symbol: str, shares: int, strangers: Sequence[BrokerOrder]) -> None:
        """Books ``shares`` as sold, priced by the orders of ``strangers``, else at the last price."""
        await self._desk.book_outside(symbol, lambda: self._sale(symbol, shares, strangers))

    def _sale(
        self, symbol: str, missing: int, strangers: Sequence[BrokerOrder]
    ) -> tuple[OrderIntent, OrderState, Fill] | None:
        """Asked when no other news of the symbol is being booked; None when our own sales have come meanwhile."""
        shares = min(missing, self._book.shares(symbol))
        if shares <= 0:
            return None
        tsh = self._book.holdings[symbol].tsh
        sale = told_by_orders(strangers, symbol, shares, self._since(symbol)) or OutsideSale(
            tsh.last,
            self._now(),
            self._session(),
            "gone from the account without a sell order; booked at the last price",
        )
        attempt = self._desk.next_attempt(sale.session, symbol, OUTSIDE)
        name = outside_id(sale.session, symbol, attempt)
        intent = OrderIntent(
            name, sale.session, symbol, "sell", shares, "market", None, None, "day", OUTSIDE, attempt, sale.why,
            datetime.now(UTC),
        )  # fmt: skip
        state = OrderState(
            name,
            name,
            symbol,
            "sell",
            "market",
            shares,
            shares,
            sale.price,
            None,
            None,
            "filled",
            sale.at,
            sale.at,
        )
        return intent, state, Fill(name, name, name, symbol, "sell", shares, sale.price, sale.at)

    def _since(self, symbol: str) -> datetime:
        """Market time after which a sell may be the one: the last such booking, or the position's first buy."""
        ours = [(o.intent, o.state) for o in self._desk.of_symbol(symbol) if o.state is not None]
        booked = [state.updated_at for intent, state in ours if intent.leg == OUTSIDE]
        entered = self._book.holdings[symbol].session
        bought = [s.submitted_at for i, s in ours if i.side == "buy" and i.session == entered]
        return max([*booked, min(bought, default=datetime.min.replace(tzinfo=UTC))])
