"""The one path an order takes: latch, journal, broker, and back into the journal.

1. An entry asks the latch (the file and the journal). 2. The intent is committed.
3. The order is sent once. 4. What is ambiguous is looked up by its client id. A buy that is
not found is not sent again; a sell is, under the same id: should its first request arrive
late, the broker takes only one of the two. 5. Whatever stream or REST tell is applied
idempotently: a fill counts by the order's cumulative quantity, so that no execution is
booked twice, in any order of arrival.

An exit goes on when the journal cannot be written (a full disk must not keep a position
open); an entry does not.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from engine.broker import capability
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import BrokerOrder, TradeUpdate
from engine.broker.errors import (
    AnotherSellerActs,
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
from engine.execution.order_ids import ENTRY, FLATTEN, is_foreign, parse
from engine.execution.order_news import adopted_intent, refused_state, unbooked
from engine.execution.order_records import OrderRecords
from engine.execution.our_orders import OurOrders
from engine.execution.update_lanes import UpdateLanes
from engine.home import Home
from engine.journal import IntentExistsError, JournalDb
from engine.model import UTC
from engine.orders_model import Fill, OrderIntent, OrderKind, OrderState, Side, client_order_id

log = logging.getLogger(__name__)

LOOKUPS_S = (0.1, 0.3, 0.7, 1.5, 3.0)  # pauses before each look-up of an ambiguous order, wall seconds
CANCEL_AGAIN_S = 3.0
POLL_S = 1.0  # how often a wait for an order asks REST, in case the stream is silent


OnFill = Callable[[Fill, OrderIntent], Awaitable[None]]


class OrderDesk(OurOrders):
    """Sends and follows this home's orders. ``on_fill`` books each new execution, once."""

    def __init__(
        self,
        rest: AlpacaRest,
        journal: JournalDb,
        home: Home,
        events: EventSink,
        on_fill: OnFill,
    ) -> None:
        super().__init__()
        self.journal_problem = ""
        self.latch = EntryLatch(journal, home, events)
        self._rest, self._journal = rest, journal
        self._events, self._on_fill = events, on_fill
        self._home8 = home.id8
        self.records = OrderRecords(journal, self.keep)
        self.lanes = UpdateLanes(lambda update: self.apply(update.order, update))
        self._applying: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by symbol
        self._sending: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def latched(self) -> str:
        """Why no entry may leave, or empty."""
        return self.latch.reason or self.journal_problem

    # --- surviving a restart -------------------------------------------------------------------

    async def restore(self, today: date) -> list[tuple[Fill, OrderIntent]]:
        """Rebuilds the orders of the last days from the journal; their fills, oldest first."""
        await self.latch.restore()
        fills = await self._restore(self._journal, today)
        for order in self.orders.values():
            order.doubted = order.state is None  # nobody knows how far that life came
        return fills

    # --- sending -------------------------------------------------------------------------------

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
        stop_price: Decimal | None = None,
        held: int | None = None,
        still_wanted: Callable[[], bool] = lambda: True,
    ) -> DeskOrder:
        """Journals and sends one order; the order with its fate (``problem`` says what went wrong).

        ``held`` (sells): shares that the book knows; what the broker would refuse is refused here first,
        and then neither an id nor an intent is spent. ``still_wanted`` is asked at the last moment, when no
        other order of this symbol is on its way; after a no the order counts as "absent".

        While an earlier sell of the session is in doubt no other sell of the symbol leaves: that one is sent
        again instead, and returned; it may be of another leg, another kind and for fewer shares.

        Raises RefusedError for an entry while latched, StorageError for an entry that the
        journal cannot keep. An exit is sent whatever the latch and the journal say.
        """
        is_exit = side == "sell"
        if not is_exit and self.latched:
            raise RefusedError(f"entries are latched off: {self.latched}; unlatch when the cause is understood")
        if is_exit:
            await self.latch.yield_to_other_seller()
        async with self._sending[symbol]:
            attempt = self.next_attempt(session, symbol, leg)
            intent = OrderIntent(
                client_order_id=client_order_id(self._home8, session, symbol, leg, attempt),
                session=session,
                symbol=symbol,
                side=side,
                shares=shares,
                kind=kind,
                limit_price=limit_price,
                stop_price=stop_price,
                time_in_force="day",
                leg=leg,
                attempt=attempt,
                why=why,
                at=datetime.now(UTC),
            )
            order = DeskOrder(intent)
            if not still_wanted():
                order.problem = "absent"
                return order
            earlier = self._sell_in_doubt(session, symbol) if is_exit else None
            if earlier is not None:
                await self._send_again(earlier, shares)
                return earlier
            refusal = self._refusal(intent, held)
            if refusal:
                order.problem = f"refused: {refusal}"
                self._changed(order, f"not sent, the broker would refuse it: {refusal}")
                return order
            self._add(order)
            try:
                await self._journal.record_intent(intent)
            except IntentExistsError:
                order.problem, order.doubted = "unknown", True  # an earlier life meant it: it is looked up
                await self.resolve(order)
                return order
            except (StorageError, sqlite3.Error, OSError) as error:
                if not is_exit:
                    order.problem = "refused: the journal cannot be written"
                    raise
                self._journal_failed("an exit's intent", error)
            await self._submit(order, why)
            return order

    def _sell_in_doubt(self, session: date, symbol: str) -> DeskOrder | None:
        """A sell whose request may still arrive at the broker: beside it, another could sell the same shares."""
        ours = (o for o in self.of_symbol(symbol) if (o.intent.side, o.intent.session) == ("sell", session))
        return next((o for o in ours if o.state is None and (o.doubted or o.unresolved)), None)

    async def _send_again(self, order: DeskOrder, shares: int) -> None:
        """The same sell under the same id, for at most ``shares``: one of the two requests becomes an order."""
        if order.unresolved:
            order.problem = "unknown"
            await self.resolve(order)
        if order.state is not None or order.unresolved:
            return
        order.problem, order.doubted = "", True
        order.intent = replace(order.intent, shares=min(shares, order.intent.shares))
        self._add(order)
        await self._submit(order, f"{order.intent.why}: sent again, the first request got no answer")

    def _refusal(self, intent: OrderIntent, held: int | None) -> str:
        """What the broker would say no to, in its words; flatten has just asked the broker itself."""
        wrong = capability.malformed(intent)
        if wrong or intent.leg == FLATTEN:
            return wrong
        ours = self.open_orders(intent.symbol)
        working: list[capability.Working] = [*(o.intent for o in ours), *self.foreign.values()]
        reserved = sum(o.remaining for o in ours if o.intent.side == "sell")
        return capability.wash_trade(intent, working) or (
            "" if held is None else capability.short_of_shares(intent, held, reserved)
        )

    async def quiet(self, symbol: str) -> None:
        """Returns when no order of ``symbol`` is on its way to the broker."""
        async with self._sending[symbol]:
            return

    async def _submit(self, order: DeskOrder, why: str) -> None:
        intent = order.intent
        self._events.publish(
            OrderSent(
                symbol=intent.symbol,
                side=intent.side,
                shares=intent.shares,
                kind_of_order=intent.kind,
                limit_price=intent.limit_price if intent.limit_price is not None else intent.stop_price,
                client_order_id=intent.client_order_id,
                why=why,
            )
        )
        order.sending = True
        try:
            await self._send_once(order)
        finally:
            order.sending = False

    async def _send_once(self, order: DeskOrder) -> None:
        intent = order.intent
        again, order.doubted = order.doubted, True  # until an answer says more; also when this task is cut off
        try:
            accepted = await self._rest.submit(intent, last_look=lambda: self._last_look(intent))
        except AnotherSellerActs as stop:
            order.problem, order.doubted = "absent", again
            self._changed(order, f"not sent: {stop}")
        except DuplicateOrderId as refusal:
            order.problem = "unknown"
            await self.resolve(order)
            if order.problem == "absent":  # then it was the other meaning of that code: invalid parameters
                await self._refused(order, refusal.reason)
        except (OrderRefused, RequestRefused) as refusal:
            if again:
                # The first request may have arrived meanwhile, and the refusal may be about its shares.
                order.problem = "unknown"
                await self.resolve(order, patient=False)
                if order.problem != "absent":
                    return
            await self._refused(order, refusal.reason)
        except OrderUnknown as unknown:
            order.problem = "unknown"
            log.warning("%s: %s", intent.client_order_id, unknown)
            await self.resolve(order)
        except (RateLimited, BrokerUnavailable) as error:
            # It did not leave, or was not processed: the caller may try anew.
            order.problem, order.doubted = "absent", again
            self._changed(order, f"not sent: {error}")
        except BrokerError as error:
            if again:
                order.problem = "absent"  # this request came to nothing, which says nothing of the first
                self._changed(order, f"not sent: {error}")
            else:
                await self._refused(order, str(error))
        else:
            await self.apply(accepted)

    def _last_look(self, intent: OrderIntent) -> None:
        """Right before the request leaves: the LATCH file has the last word."""
        if self.latch.another_acts() or (intent.side == "buy" and self.latch.reason):
            raise AnotherSellerActs("the LATCH file appeared in the last moment")

    async def _refused(self, order: DeskOrder, reason: str) -> None:
        """The broker said no: kept as ``rejected`` under our own id, so that a restart does not look for it."""
        order.problem, order.doubted = f"refused: {reason}", False
        await self.keep("a refusal", self._journal.record_order(refused_state(order.intent)))
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
                found = await self._rest.order_by_client_id(order.intent.client_order_id)
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
        async with self._applying[found.symbol]:
            order = self.orders.get(found.client_order_id) or await self._adopt(found)
            state = found.state()
            fill = unbooked(order, found, update)
            later = order.state is None or state.supersedes(order.state)
            news = later and (
                order.state is None
                or (state.status, state.filled_shares) != (order.state.status, order.state.filled_shares)
            )
            if fill is not None:
                await self.keep("a fill", self._journal.record_fill(fill))
            if news:
                self.records.soon(state)
            # Memory changes in one step: who waits for the end of the order must see its shares with it.
            if later:
                order.state, order.problem = state, ""
                self._add(order)
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

    async def book_outside(
        self, symbol: str, sale: Callable[[], tuple[OrderIntent, OrderState, Fill] | None]
    ) -> None:
        """Books shares that somebody else sold (``outside_sales``).

        ``sale`` is asked when no other news of the symbol is being booked; None books nothing.
        """
        async with self._applying[symbol]:
            found = sale()
            if found is None:
                return
            intent, state, fill = found
            await self.keep("a sale outside TSH", self._journal.record_outside_sale(intent, state, fill))
            order = DeskOrder(intent, state, fill.shares, fill.price * fill.shares)
            self._add(order)
            await self._on_fill(fill, intent)
            self._changed(order, intent.why)

    async def on_update(self, update: TradeUpdate) -> None:
        """The trade stream's callback: booked soon, in order within a symbol."""
        self.lanes.put(update)

    async def _adopt(self, found: BrokerOrder) -> DeskOrder:
        """One of ours that this journal does not know (sent by ``tshc flatten``, or the journal is new)."""
        parts = parse(found.client_order_id)
        intent = await self._journal.intent(found.client_order_id)
        if intent is None:
            if parts is None:
                raise AssertionError("foreign orders are never adopted")
            intent = adopted_intent(found, parts)
            await self.keep("an adopted intent", self._journal.record_intent(intent))
            if parts.leg == ENTRY:
                self._events.publish(
                    AlertRaised(
                        key=f"adopted-{found.client_order_id}",
                        message=f"{found.client_order_id} was not in the journal; it is managed from now on",
                    )
                )
        return self.orders.get(found.client_order_id) or self._add(DeskOrder(intent))

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
                async with asyncio.timeout(min(left, POLL_S)):
                    await order.changed.wait()
            except TimeoutError:
                await self.look(order)
        return True

    async def look(self, order: DeskOrder) -> None:
        """Asks REST for one order and applies the answer; a failed look changes nothing."""
        try:
            found = await self._rest.order_by_client_id(order.intent.client_order_id)
        except BrokerError as error:
            log.warning("%s: the look-up failed: %s", order.intent.client_order_id, error)
            return
        if found is not None:
            await self.apply(found)

    async def cancel(self, order: DeskOrder, timeout_s: float = 10.0) -> bool:
        """Asks for a cancel and waits for the terminal status; whether it came (a fill may win the race).

        A request that shows no effect is repeated: cancels get lost.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            if order.state is None:
                await self.look(order)
            if order.ended or order.state is None:
                return order.ended
            order.cancel_asked = True
            try:
                if not await self._rest.cancel(order.state.order_id):
                    await self.look(order)
            except BrokerError as error:
                log.warning("%s: the cancel failed: %s", order.intent.client_order_id, error)
            left = deadline - asyncio.get_running_loop().time()
            if await self.settle(order, min(left, CANCEL_AGAIN_S)) or left <= CANCEL_AGAIN_S:
                return order.ended

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
