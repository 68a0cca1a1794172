"""One look at the account: what of it is ours to close, and what belongs to somebody else.

Whose shares they are follows from the filled orders, oldest first: our orders carry this
home's prefix. What the orders of the window do not explain was there before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import BrokerOrder, BrokerPosition
from engine.broker.errors import BrokerUnavailable
from engine.execution.order_ids import is_foreign

LOOK_BACK = timedelta(days=30)  # how far TSH positions are searched for in the broker's orders
_MORE_THAN_OURS = Decimal(10**9)  # shares held, when nobody can say how many


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to close (``orders``, ``positions``), and what is left alone or for a person to do."""

    orders: tuple[BrokerOrder, ...]
    positions: tuple[BrokerPosition, ...]
    foreign: tuple[str, ...]
    short: tuple[str, ...] = ()  # symbols that our own sells have left below zero: never flat
    in_doubt: frozenset[str] = frozenset()  # symbols of which an order may be on its way: not sold, and not flat

    @property
    def flat(self) -> bool:
        return not self.orders and not self.positions and not self.short and not self.in_doubt

    @property
    def exposure(self) -> Decimal:
        return sum((p.value or Decimal(0) for p in self.positions), Decimal(0))


async def look(rest: AlpacaRest, home8: str, now: datetime, *, include_foreign: bool) -> Seen:
    """Orders and positions that flatten would close; raises BrokerError when the broker cannot be asked."""
    found = {o.id: o for o in await rest.orders("all", after=now - LOOK_BACK)}
    found.update((o.id, o) for o in await rest.orders("open"))
    return seen_in(found.values(), await rest.positions(), home8, include_foreign=include_foreign)


def seen_in(
    orders: Iterable[BrokerOrder], positions: Iterable[BrokerPosition], home8: str, *, include_foreign: bool
) -> Seen:
    """The same from lists that the broker gave; ``orders`` of the last ``LOOK_BACK`` and all that are open.

    Raises BrokerUnavailable for a position that cannot be read and may be ours.
    """
    known = list(orders)
    to_close, foreign, short = [], [], []
    for position in positions:
        of_symbol = [order for order in known if order.symbol == position.symbol]
        if not position.readable:
            if our_shares(_MORE_THAN_OURS, of_symbol, home8):
                raise BrokerUnavailable(f"the position in {position.symbol} cannot be read")
            foreign.append(f"{position.symbol}, a position that cannot be read")
            to_close += [position] if include_foreign else []
            continue
        mine = our_shares(position.shares, of_symbol, home8)
        beyond = position.shares - mine
        if mine < 0:
            short.append(position.symbol)
            beyond = Decimal(0)
        if beyond != 0:
            foreign.append(f"{position.symbol} {beyond.normalize():f} shares")
        if include_foreign:
            to_close.append(position)
        elif mine > 0:
            to_close.append(_part(position, mine))
    still_open = [order for order in known if not order.ended]
    foreign += [o.words for o in still_open if is_foreign(o.client_order_id, home8)]
    return Seen(
        tuple(o for o in still_open if include_foreign or not is_foreign(o.client_order_id, home8)),
        tuple(to_close),
        tuple(foreign),
        tuple(short),
    )


def our_shares(held: Decimal, orders: Iterable[BrokerOrder], home8: str) -> int:
    """How many of the ``held`` shares of one symbol are ours; negative when sales of ours made the account short.

    Walks the fills oldest first. What was held before the first of them is not ours: a sale of ours takes
    from our shares first, a sale of somebody else's from theirs, and only what exceeds them from the other's
    (a person who sells our position by hand). No side falls below zero by that, so the sale of what was bought
    before the window does not eat what was bought after it.
    """
    filled = sorted((order for order in orders if order.filled > 0), key=lambda order: order.updated_at)
    net = sum((order.filled if order.side == "buy" else -order.filled for order in filled), Decimal(0))
    mine, theirs = Decimal(0), max(Decimal(0), held - net)
    short = Decimal(0)  # what we have sold without having it
    for order in filled:
        foreign, shares = is_foreign(order.client_order_id, home8), order.filled
        if order.side == "buy":
            covered = min(short, shares)
            short -= covered
            mine, theirs = (mine, theirs + shares - covered) if foreign else (mine + shares - covered, theirs)
            continue
        if foreign:
            of_theirs = min(theirs, shares)
            of_mine = min(mine, shares - of_theirs)
        else:
            of_mine = min(mine, shares)
            of_theirs = min(theirs, shares - of_mine)
            short += shares - of_mine - of_theirs
        mine, theirs = mine - of_mine, theirs - of_theirs
    if held < 0:
        return int(max(held, -short))
    return int(min(mine, held))


def _part(position: BrokerPosition, shares: int) -> BrokerPosition:
    value = None if position.price is None else position.price * shares
    available = min(position.available, Decimal(shares))
    return BrokerPosition(
        position.symbol, Decimal(shares), available, position.average_entry, position.price, value
    )
