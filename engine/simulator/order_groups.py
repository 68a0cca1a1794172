"""What binds the orders of a bracket or OTO: who comes to life, who goes, when one of them fills or ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from engine.simulator.orders import Json, Order, Status


class OrderGroups:
    """The groups among ``orders``; ``arrive`` takes a leg that has come to life, ``end`` closes an order."""

    def __init__(
        self,
        orders: Mapping[str, Order],
        arrive: Callable[[Order], None],
        end: Callable[[Order, Status, str, datetime], None],
    ) -> None:
        self._orders, self._arrive, self._end = orders, arrive, end

    @staticmethod
    def bind(parent: Order, leg: Order) -> None:
        leg.parent, parent.legs = parent.id, (*parent.legs, leg.id)

    def json(self, order: Order, *, nested: bool) -> Json:
        """The order on the wire; ``nested`` with its legs inside."""
        inside = [self._orders[leg].json() for leg in order.legs] if nested and order.legs else None
        return order.json(inside)

    def filled(self, order: Order, at: datetime) -> None:
        """A parent's legs come to life; the other leg of a filled one goes."""
        for leg in (self._orders[leg_id] for leg_id in order.legs):
            if leg.status is Status.HELD:
                leg.status = Status.PENDING_NEW
                self._arrive(leg)
        self.ended(order, at)

    def ended(self, order: Order, at: datetime) -> None:
        """Cancels what is open of the group of a leg that is over, or of a parent that was not filled."""
        group: list[Order] = []
        if order.status is Status.REPLACED:
            return  # another has taken its place
        if order.parent is not None:
            parent = self._orders[order.parent]
            group = [parent, *(self._orders[leg] for leg in parent.legs)]
        elif order.status is not Status.FILLED:
            group = [self._orders[leg] for leg in order.legs]
        for other in group:
            if other is not order and other.open:
                other.canceled_at = at
                self._end(other, Status.CANCELED, "canceled", at)

    def hand_over(self, old: Order, fresh: Order) -> None:
        """The order that replaces takes the old one's place in its group."""
        fresh.legs, old.legs = old.legs, ()
        for leg in fresh.legs:
            self._orders[leg].parent = fresh.id
        if old.parent is not None:
            parent = self._orders[old.parent]
            parent.legs = tuple(fresh.id if leg == old.id else leg for leg in parent.legs)
