"""The orders of this home in the engine's memory, and how the journal brings them back after a restart."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import date, timedelta

from engine.broker.broker_types import BrokerOrder
from engine.execution.desk_order import DeskOrder
from engine.journal import JournalDb
from engine.orders_model import Fill, OrderIntent

RESTORE_DAYS = 10
_AT_ONCE = 500  # parameters of one question to the journal


class OurOrders:
    """By client order id; ``foreign`` holds the open orders of others by the broker's id."""

    def __init__(self) -> None:
        self.orders: dict[str, DeskOrder] = {}
        self.foreign: dict[str, BrokerOrder] = {}
        self._of_symbol: dict[str, dict[str, DeskOrder]] = {}
        self._alive: dict[str, DeskOrder] = {}  # those that had not ended when last looked at
        self._count: Counter[date] = Counter()  # orders of each session

    async def _restore(self, journal: JournalDb, today: date) -> list[tuple[Fill, OrderIntent]]:
        """Rebuilds the orders of the last days; their fills, oldest first.

        A position may be older (its trading was suspended for weeks): then of all days since it was bought.
        """
        first = min(today - timedelta(days=RESTORE_DAYS), await journal.oldest_open_session() or today)
        for intent in await journal.intents_since(first):
            self._add(DeskOrder(intent))
        fills: list[tuple[Fill, OrderIntent]] = []
        for fill in await journal.fills_since(first):
            order = self.orders[fill.client_order_id]
            order.filled += fill.shares
            order.cost += fill.price * fill.shares
            fills.append((fill, order.intent))
        known = list(self.orders)
        for start in range(0, len(known), _AT_ONCE):
            for state in await journal.orders(known[start : start + _AT_ONCE]):
                self.orders[state.client_order_id].state = state
        return sorted(fills, key=lambda pair: (pair[0].at, pair[0].side == "sell"))

    def _add(self, order: DeskOrder) -> DeskOrder:
        """Keeps an order, or brings one back that counted as absent and has turned up."""
        name = order.intent.client_order_id
        self._count[order.intent.session] += name not in self.orders
        self.orders[name] = self._alive[name] = order
        self._of_symbol.setdefault(order.intent.symbol, {})[name] = order
        return order

    def of_symbol(self, symbol: str) -> list[DeskOrder]:
        """Every order of a symbol, ended ones too, in the order in which they became known."""
        return list(self._of_symbol.get(symbol, {}).values())

    def of_session(self, session: date) -> list[DeskOrder]:
        return [order for order in self.orders.values() if order.intent.session == session]

    def newest_of_session(self, session: date, most: int) -> tuple[list[DeskOrder], int]:
        """For a screen: the ``most`` newest and all that may still trade, newest first; how many are older.

        It costs the same on a day of ten orders and on one of thousands.
        """
        ours = (order for order in reversed(self.orders.values()) if order.intent.session == session)
        chosen = {order.intent.client_order_id: order for order in itertools.islice(ours, most)}
        alive = [order for order in self.open_orders() if order.intent.session == session]
        chosen |= {order.intent.client_order_id: order for order in reversed(alive)}
        return list(chosen.values()), self._count[session] - len(chosen)

    def open_orders(self, symbol: str | None = None) -> list[DeskOrder]:
        for ended in [name for name, order in self._alive.items() if order.ended]:
            del self._alive[ended]
        return [o for o in self._alive.values() if symbol in (None, o.intent.symbol)]

    def unresolved(self) -> list[DeskOrder]:
        return [order for order in self.open_orders() if order.unresolved]

    def meddled_with(self, symbol: str) -> bool:
        """Whether somebody else has cancelled our last sell: he may have sold the shares as well."""
        sells = (o for o in self.of_symbol(symbol) if o.intent.side == "sell")
        last = max(sells, key=lambda o: o.intent.at, default=None)
        return (
            last is not None
            and last.state is not None
            and last.state.status == "canceled"
            and not last.cancel_asked
        )

    def next_attempt(self, session: date, symbol: str, leg: str) -> int:
        """The number that the next order of this leg carries in its id, from 1."""
        taken = (
            o.intent.attempt for o in self.of_symbol(symbol) if (o.intent.session, o.intent.leg) == (session, leg)
        )
        return 1 + max(taken, default=0)
