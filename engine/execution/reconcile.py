"""Reconcile: our book against the broker's, at start, after each reconnect, every 30 s.

The broker is right about what exists; the journal is right about what is ours. Fills that
no stream told are booked from the orders' cumulative quantities; orders in doubt are
looked up; entry orders that nobody re-prices are cancelled; shares that nobody here
bought are foreign. A query that fails proves nothing: the report is not clean, the book
stays as it is, and entries wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import BrokerOrder, BrokerPosition
from engine.broker.errors import BrokerError, BrokerUnavailable
from engine.events import AlertRaised, EventSink, Reconciled
from engine.execution.order_ids import ENTRY
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.execution.trading_calendar import at_new_york
from engine.model import UTC

log = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=7)
YOUNG = timedelta(seconds=30)  # wall time: an older order in doubt would be in the list by now
AT_ONCE = 50  # orders looked at before prices have their turn
MISSES = 3  # disagreements in a row before the book follows the broker (REST may lag behind fills)


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    clean: bool
    detail: str = ""
    open_orders: int = 0
    positions: int = 0
    foreign: tuple[str, ...] = ()
    held: frozenset[str] = frozenset()  # every symbol of the account
    values: tuple[BrokerPosition, ...] = ()
    asked: bool = True  # False: the broker did not answer, so nothing is known


class Reconciler:
    """``entering`` tells whether somebody is re-pricing entries of a symbol right now.

    ``on_lost`` books shares that others have sold; it is given the recent orders of the account that are not ours.
    """

    def __init__(
        self,
        rest: AlpacaRest,
        desk: OrderDesk,
        book: PositionsBook,
        events: EventSink,
        *,
        entering: Callable[[str], bool],
        exiting: Callable[[str], bool],
        now: Callable[[], datetime],
        on_lost: Callable[[str, int, Sequence[BrokerOrder]], Awaitable[None]],
    ) -> None:
        self._rest, self._desk, self._book, self._events = rest, desk, book, events
        self._entering, self._exiting, self._now, self._on_lost = entering, exiting, now, on_lost
        self._misses: dict[str, int] = {}
        self._was_clean: bool | None = None

    async def run(self) -> ReconcileReport:
        """One pass; never raises for what the broker did or did not answer."""
        try:
            report = await self._pass()
        except BrokerError as error:
            report = ReconcileReport(False, f"the broker could not be asked: {error}", asked=False)
        if report.clean is not self._was_clean or not report.clean:
            self._events.publish(
                Reconciled(
                    clean=report.clean,
                    open_orders=report.open_orders,
                    positions=report.positions,
                    foreign=report.foreign,
                    detail=report.detail,
                )
            )
        self._was_clean = report.clean
        return report

    async def _pass(self) -> ReconcileReport:
        problems: list[str] = []
        seen = await self._rest.orders("open")
        recent = await self._rest.orders("all", after=self._since())
        still_open = {order.id for order in seen if not order.ended}
        for gone in [i for i in self._desk.foreign if i not in still_open]:
            del self._desk.foreign[gone]
        strangers = []
        for number, order in enumerate({o.id: o for o in (*seen, *recent)}.values()):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # prices come first: a day may have a thousand orders
            if await self._desk.apply(order) is None:
                strangers.append(order)
        doubtful = self._desk.unresolved()
        now = datetime.now(UTC)
        await asyncio.gather(*(self._desk.resolve(o, patient=now - o.intent.at < YOUNG) for o in doubtful))
        problems += [f"order {o.intent.client_order_id} is in doubt" for o in doubtful if o.unresolved]
        for stray in self._desk.open_orders():
            symbol = stray.intent.symbol
            if stray.intent.leg == ENTRY and not self._entering(symbol) and not await self._desk.cancel(stray):
                problems.append(f"{symbol}: an old entry order is still open")
        positions = await self._rest.positions()
        for position in positions:
            if not position.readable and self._concerns_us(position.symbol):
                raise BrokerUnavailable(f"the position in {position.symbol} cannot be read")
        await self._compare(positions, strangers, problems)
        return ReconcileReport(
            clean=not problems,
            detail="; ".join(problems),
            open_orders=len(self._desk.open_orders()),
            positions=len(self._book.open_holdings()),
            foreign=self._foreign(positions),
            held=frozenset(p.symbol for p in positions),
            values=tuple(positions),
        )

    def _since(self) -> datetime:
        """Market time from which orders are asked for: before every order of ours whose end we do not know.

        After a long absence that is more than the usual days: a stop of a suspended stock has long expired.
        """
        sessions = [at_new_york(o.intent.session, time.min) for o in self._desk.open_orders()]
        return min([self._now(), *sessions]) - LOOK_BACK

    def _concerns_us(self, symbol: str) -> bool:
        return self._book.shares(symbol) > 0 or bool(self._desk.open_orders(symbol))

    async def _compare(
        self, positions: list[BrokerPosition], strangers: list[BrokerOrder], problems: list[str]
    ) -> None:
        """Our shares must exist at the broker; what is missing three times in a row was sold by others."""
        there = {p.symbol: int(p.shares) for p in positions}
        for holding in self._book.open_holdings():
            symbol, ours = holding.symbol, holding.tsh.shares
            missing = ours - there.get(symbol, 0)
            if missing <= 0:
                self._misses.pop(symbol, None)
                continue
            self._misses[symbol] = self._misses.get(symbol, 0) + 1
            if self._misses[symbol] < MISSES:
                if not self._exiting(symbol):
                    problems.append(f"{symbol}: {ours} shares in the journal, {ours - missing} at the broker")
                continue
            self._misses.pop(symbol)
            self._events.publish(
                AlertRaised(
                    key=f"outside-{symbol}",
                    message=f"{symbol}: {missing} shares were sold outside TSH; the position follows the broker",
                )
            )
            await self._on_lost(symbol, missing, strangers)

    def _foreign(self, positions: list[BrokerPosition]) -> tuple[str, ...]:
        """What the account holds or orders beyond our book, in words."""
        words = []
        for position in positions:
            if not position.readable:
                words.append(f"{position.symbol} (cannot be read)")
                continue
            beyond = position.shares - self._book.shares(position.symbol)
            if beyond != 0:
                words.append(f"{position.symbol} {_plain(beyond)}")
        words += [order.words for order in self._desk.foreign.values()]
        return tuple(words)


def _plain(shares: Decimal) -> str:
    return f"{shares.normalize():f}"
