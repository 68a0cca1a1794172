"""The one path an order takes: latch, journal, broker, and back into the journal.

1. An entry asks the latch (the file and the journal). 2. The intent is committed.
3. The order is sent once. 4. What is ambiguous is looked up by its client id, never
repeated. 5. Whatever stream or REST tell is applied idempotently: a fill counts by the
order's cumulative quantity, so that no execution is booked twice, in any order of arrival.

An exit goes on when the journal cannot be written (a full disk must not keep a position
open); an entry does not.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import BrokerOrder, TradeUpdate
from engine.broker.errors import (
    BrokerError,
    BrokerUnavailable,
    DuplicateOrderId,
    OrderRefused,
    OrderUnknown,
    RateLimited,
    RequestRefused,
)
from engine.errors import RefusedError, StorageError
from engine.events import (
    AlertRaised,
    EventSink,
    FillReceived,
    OrderChanged,
    OrderSent,
)
from engine.execution.desk_order import DeskOrder
from engine.execution.entry_latch import EntryLatch
from engine.execution.order_ids import ENTRY, is_foreign, parse
from engine.home import Home
from engine.journal import IntentExistsError, JournalDb
from engine.model import UTC
from engine.orders_model import Fill, OrderIntent, OrderKind, OrderState, Side, client_order_id

log = logging.getLogger(__name__)

LOOKUPS_S = (0.1, 0.3, 0.7, 1.5, 3.0)  # pauses before each look-up of an ambiguous order, wall seconds
POLL_S = 1.0  # how often a wait for an order asks REST, in case the stream is silent
RESTORE_DAYS = 10


OnFill = Callable[[Fill, OrderIntent], Awaitable[None]]


class OrderDesk:
    """Sends and follows this home's orders. ``on_fill`` books each new execution, once."""

    def __init__(
        self,
        rest: AlpacaRest,
        journal: JournalDb,
        home: Home,
        events: EventSink,
        on_fill: OnFill,
    ) -> None:
        self.orders: dict[str, DeskOrder] = {}  # by client order id
        self.foreign: dict[str, BrokerOrder] = {}  # open orders of others, by broker id
        self.journal_problem = ""
        self.latch = EntryLatch(journal, home, events)
        self._rest, self._journal = rest, journal
        self._events, self._on_fill = events, on_fill
        self._home8 = home.id8
        self._applying = asyncio.Lock()
        self._sending: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def latched(self) -> str:
        """Why no entry may leave, or empty."""
        return self.latch.reason or self.journal_problem

    # --- surviving a restart -------------------------------------------------------------------

    async def restore(self, today: date) -> list[tuple[Fill, OrderIntent]]:
        """Rebuilds the orders of the last days from the journal; their fills, oldest first."""
        await self.latch.restore()
        fills: list[tuple[Fill, OrderIntent]] = []
        for back in range(RESTORE_DAYS, -1, -1):
            session = today - timedelta(days=back)
            for intent in await self._journal.intents(session):
                self.orders[intent.client_order_id] = DeskOrder(intent)
            for fill in await self._journal.fills(session):
                order = self.orders[fill.client_order_id]
                order.filled += fill.shares
                order.cost += fill.price * fill.shares
                fills.append((fill, order.intent))
        known = list(self.orders)
        for start in range(0, len(known), 500):
            for state in await self._journal.orders(known[start : start + 500]):
                self.orders[state.client_order_id].state = state
        return sorted(fills, key=lambda pair: (pair[0].at, pair[0].side == "sell"))

    # --- sending -------------------------------------------------------------------------------

    def of_session(self, session: date) -> list[DeskOrder]:
        return [order for order in self.orders.values() if order.intent.session == session]

    def open_orders(self, symbol: str | None = None) -> list[DeskOrder]:
        return [o for o in self.orders.values() if not o.ended and symbol in (None, o.intent.symbol)]

    def unresolved(self) -> list[DeskOrder]:
        return [order for order in self.orders.values() if order.unresolved]

    async def send(
        self,
        session: date,
        symbol: str,
        side: Side,
        shares: int,
        kind: OrderKind,
        limit_price: Decimal | None,
        *,
        leg: str,
        why: str,
    ) -> DeskOrder:
        """Journals and sends one order; the order with its fate (``problem`` says what went wrong).

        Raises RefusedError for an entry while latched, StorageError for an entry that the
        journal cannot keep. An exit is sent whatever the latch and the journal say.
        """
        is_exit = side == "sell"
        if not is_exit and self.latched:
            raise RefusedError(f"entries are latched off: {self.latched}; unlatch when the cause is understood")
        if is_exit:
            await self.latch.yield_to_other_seller()
        async with self._sending[symbol]:
            attempt = 1 + max(
                (
                    o.intent.attempt
                    for o in self.orders.values()
                    if (o.intent.session, o.intent.symbol, o.intent.leg) == (session, symbol, leg)
                ),
                default=0,
            )
            intent = OrderIntent(
                client_order_id=client_order_id(self._home8, session, symbol, leg, attempt),
                session=session,
                symbol=symbol,
                side=side,
                shares=shares,
                kind=kind,
                limit_price=limit_price,
                stop_price=None,
                time_in_force="day",
                leg=leg,
                attempt=attempt,
                why=why,
                at=datetime.now(UTC),
            )
            order = DeskOrder(intent)
            self.orders[intent.client_order_id] = order
            try:
                await self._journal.record_intent(intent)
            except IntentExistsError:
                order.problem = "unknown"  # an earlier life meant it: it is looked up, never sent from here
                await self.resolve(order)
                return order
            except (StorageError, sqlite3.Error, OSError) as error:
                if not is_exit:
                    order.problem = "refused: the journal cannot be written"
                    raise
                self._journal_failed("an exit's intent", error)
            self._events.publish(
                OrderSent(
                    symbol=symbol,
                    side=side,
                    shares=shares,
                    kind_of_order=kind,
                    limit_price=limit_price,
                    client_order_id=intent.client_order_id,
                    why=why,
                )
            )
            await self._submit(order)
            return order

    async def _submit(self, order: DeskOrder) -> None:
        order.sending = True
        try:
            await self._send_once(order)
        finally:
            order.sending = False

    async def _send_once(self, order: DeskOrder) -> None:
        intent = order.intent
        try:
            accepted = await self._rest.submit(intent)
        except DuplicateOrderId as refusal:
            order.problem = "unknown"
            await self.resolve(order)
            if order.problem == "absent":  # then it was the other meaning of that code: invalid parameters
                await self._refused(order, refusal.reason)
        except (OrderRefused, RequestRefused) as refusal:
            await self._refused(order, refusal.reason)
        except OrderUnknown as unknown:
            order.problem = "unknown"
            log.warning("%s: %s", intent.client_order_id, unknown)
            await self.resolve(order)
        except (RateLimited, BrokerUnavailable) as error:
            order.problem = "absent"  # it did not leave, or was not processed: the caller may try anew
            self._changed(order, f"not sent: {error}")
        except BrokerError as error:
            await self._refused(order, str(error))
        else:
            await self.apply(accepted)

    async def _refused(self, order: DeskOrder, reason: str) -> None:
        """The broker said no: kept as ``rejected`` under our own id, so that a restart does not look for it."""
        intent, now = order.intent, datetime.now(UTC)
        refused = OrderState(
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
        order.problem = f"refused: {reason}"
        await self.keep("a refusal", self._journal.record_order(refused))
        self._changed(order, reason)

    def _changed(self, order: DeskOrder, detail: str = "") -> None:
        order.changed.set()
        self._events.publish(
            OrderChanged(
                symbol=order.intent.symbol,
                client_order_id=order.intent.client_order_id,
                status=order.status.split(":")[0],
                filled_shares=order.filled,
                average_price=(order.cost / order.filled).quantize(Decimal("0.0001")) if order.filled else None,
                detail=detail,
            )
        )

    # --- resolving -----------------------------------------------------------------------------

    async def resolve(self, order: DeskOrder, *, patient: bool = True) -> None:
        """Looks an ambiguous order up by its client id, a bounded number of times (once when not ``patient``).

        Found: applied. Not there at every look: "absent". No answer: stays "unknown" for reconcile.
        """
        answered = False
        for pause in LOOKUPS_S if patient else LOOKUPS_S[:1]:
            await asyncio.sleep(pause)
            if order.state is not None:  # the stream told first
                return
            try:
                found = await self._rest.order_by_client_id(
                    order.intent.client_order_id, is_exit=order.intent.side == "sell"
                )
            except BrokerError as error:
                log.warning("%s: the look-up failed: %s", order.intent.client_order_id, error)
                continue
            answered = True
            if found is not None:
                await self.apply(found)
                return
        if answered and order.state is None:
            order.problem = "absent"
            self._changed(order, "the broker has no such order")

    async def apply(self, found: BrokerOrder, update: TradeUpdate | None = None) -> DeskOrder | None:
        """Books what the broker says of an order; None for a foreign one. Safe to repeat."""
        if is_foreign(found.client_order_id, self._home8):
            if found.ended:
                self.foreign.pop(found.id, None)
            else:
                self.foreign[found.id] = found
            return None
        async with self._applying:
            order = self.orders.get(found.client_order_id) or await self._adopt(found)
            state = found.state()
            fill = self._new_shares(order, found, update)
            later = order.state is None or state.supersedes(order.state)
            news = later and (
                order.state is None
                or (state.status, state.filled_shares) != (order.state.status, order.state.filled_shares)
            )
            if news:
                await self.keep("an order", self._journal.record_order(state))
            if fill is not None:
                await self.keep("a fill", self._journal.record_fill(fill))
            # Memory changes in one step: who waits for the end of the order must see its shares with it.
            if later:
                order.state, order.problem = state, ""
            if fill is not None:
                order.filled += fill.shares
                order.cost += fill.price * fill.shares
                self._events.publish(
                    FillReceived(
                        symbol=fill.symbol,
                        side=fill.side,
                        shares=fill.shares,
                        price=fill.price,
                        client_order_id=fill.client_order_id,
                    )
                )
                await self._on_fill(fill, order.intent)
            if news or fill is not None:
                self._changed(order)
            return order

    async def on_update(self, update: TradeUpdate) -> None:
        """The trade stream's callback."""
        await self.apply(update.order, update)

    def _new_shares(self, order: DeskOrder, found: BrokerOrder, update: TradeUpdate | None) -> Fill | None:
        """The part of the cumulative fill that is not booked yet, priced so that the sums agree."""
        cumulative = int(found.filled)
        shares = cumulative - order.filled
        if shares <= 0:
            return None
        told = update is not None and update.shares == shares and update.price is not None
        if told and update is not None and update.price is not None:
            price, at = update.price, update.at
        elif found.average_price is not None:
            price = (found.average_price * cumulative - order.cost) / shares
            price = price.quantize(Decimal("0.000001")) if price > 0 else found.average_price
            at = update.at if update is not None else found.updated_at
        else:
            return None  # filled without a price: the next look has one
        execution = update.execution_id if told and update is not None else None
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

    async def _adopt(self, found: BrokerOrder) -> DeskOrder:
        """One of ours that this journal does not know (sent by ``tshc flatten``, or the journal is new)."""
        parts = parse(found.client_order_id)
        intent = await self._journal.intent(found.client_order_id)
        if intent is None:
            if parts is None:
                raise AssertionError("foreign orders are never adopted")
            intent = OrderIntent(
                client_order_id=found.client_order_id,
                session=parts.session,
                symbol=found.symbol,
                side="sell" if found.side == "sell" else "buy",
                shares=max(1, int(found.shares)),
                kind="limit" if found.kind == "limit" else "stop" if found.kind == "stop" else "market",
                limit_price=found.limit_price,
                stop_price=found.stop_price,
                time_in_force=found.time_in_force,
                leg=parts.leg,
                attempt=parts.attempt,
                why="found at the broker, not in this journal",
                at=found.submitted_at,
            )
            await self.keep("an adopted intent", self._journal.record_intent(intent))
            if parts.leg == ENTRY:
                self._events.publish(
                    AlertRaised(
                        key=f"adopted-{found.client_order_id}",
                        message=f"{found.client_order_id} was not in the journal; it is managed from now on",
                    )
                )
        return self.orders.setdefault(found.client_order_id, DeskOrder(intent))

    # --- following -----------------------------------------------------------------------------

    async def settle(self, order: DeskOrder, timeout_s: float) -> bool:
        """Whether the order ended within ``timeout_s`` wall seconds; asks REST when the stream is silent."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not order.ended:
            left = deadline - loop.time()
            if left <= 0:
                return False
            order.changed.clear()
            try:
                await asyncio.wait_for(order.changed.wait(), min(left, POLL_S))
            except TimeoutError:
                await self.look(order)
        return True

    async def look(self, order: DeskOrder) -> None:
        """Asks REST for one order and applies the answer; a failed look changes nothing."""
        try:
            found = await self._rest.order_by_client_id(
                order.intent.client_order_id, is_exit=order.intent.side == "sell"
            )
        except BrokerError as error:
            log.warning("%s: the look-up failed: %s", order.intent.client_order_id, error)
            return
        if found is not None:
            await self.apply(found)

    async def cancel(self, order: DeskOrder, timeout_s: float = 10.0) -> bool:
        """Asks for a cancel and waits for the terminal status; whether it came (a fill may win the race)."""
        if order.state is None:
            await self.look(order)
        if order.ended or order.state is None:
            return order.ended
        try:
            if not await self._rest.cancel(order.state.order_id):
                await self.look(order)
        except BrokerError as error:
            log.warning("%s: the cancel failed: %s", order.intent.client_order_id, error)
        return await self.settle(order, timeout_s)

    # --- the journal ---------------------------------------------------------------------------

    async def keep(self, what: str, writing: Awaitable[object]) -> None:
        """Writes to the journal; a journal that cannot be written stops entries, never what is under way."""
        try:
            await writing
        except (StorageError, sqlite3.Error, OSError) as error:
            self._journal_failed(what, error)

    def _journal_failed(self, what: str, error: Exception) -> None:
        """Entries stop until the engine is restarted on a sound journal; exits go on."""
        self.journal_problem = f"the journal cannot be written ({type(error).__name__})"
        log.critical("%s is not in the journal: %s", what, error)
        self._events.publish(
            AlertRaised(
                key="journal",
                message=f"the journal cannot be written ({error}); entries are off, exits go on; "
                "free the disk and restart the engine",
            )
        )
