"""Flatten inside the engine: the machine of ``flatten`` on the journalled order path, kept over restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import BrokerOrder
from engine.broker.clock import MarketClock
from engine.broker.errors import BrokerUnavailable
from engine.events import EventSink, FlattenChanged
from engine.execution import account_look
from engine.execution import flatten as flattening
from engine.execution.account_look import Seen
from engine.execution.flatten import Flattener, FlattenPorts
from engine.execution.order_ids import FLATTEN
from engine.execution.orders import OrderDesk
from engine.execution.trading_calendar import TradingCalendar
from engine.home import Home
from engine.journal import JournalDb
from engine.model import UTC
from engine.views import FlattenView

log = logging.getLogger(__name__)

_KEY = "flatten"


class EngineFlatten:
    """At most one flatten at a time; ``take_over`` silences every other seller first."""

    def __init__(
        self,
        rest: AlpacaRest,
        desk: OrderDesk,
        clock: MarketClock,
        calendar: TradingCalendar,
        journal: JournalDb,
        home: Home,
        events: EventSink,
        take_over: Callable[[], Awaitable[None]],
    ) -> None:
        self.view = FlattenView()
        self._rest, self._desk, self._clock, self._calendar = rest, desk, clock, calendar
        self._journal, self._home8, self._events = journal, home.id8, events
        self._take_over = take_over
        self._include_foreign = False
        self._asked_at = datetime.min.replace(tzinfo=UTC)
        self._task: asyncio.Task[FlattenView] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def sells(self) -> bool:
        """Flatten is the only seller: it works, or its sales wait for the open."""
        return self.running or self.view.state == "queued"

    def begin(self, include_foreign: bool) -> asyncio.Task[FlattenView]:
        """Starts, or joins the run under way."""
        if self._task is None or self._task.done():
            self._include_foreign = include_foreign
            # At once: what an earlier flatten found must not be read as this one's answer.
            begun_at = max(datetime.now(UTC), self._asked_at)  # the machine's clock may have been set back
            self.view = FlattenView(state="running", step="entries latched, beginning", begun_at=begun_at)
            self._task = asyncio.create_task(self._run(include_foreign), name="flatten")
            self._task.add_done_callback(self._broke_off)
        return self._task

    def _broke_off(self, task: asyncio.Task[FlattenView]) -> None:
        """A run that ended by an error is over and not flat: nobody may read it as still at work."""
        if task.cancelled() or task.exception() is None:
            return
        words = f"broke off: {task.exception()}; flatten again"
        log.error("flatten broke off", exc_info=task.exception())
        self.view = self.view.model_copy(update={"state": "failed", "step": words})
        self._events.publish(FlattenChanged(step="failed", detail=words))

    def answered_since(self, include_foreign: bool) -> datetime:
        """A flatten asked for now is answered by the end of one that began at this moment (UTC) or later."""
        joined = self.running and (self._include_foreign or not include_foreign)
        if joined and self.view.begun_at is not None:
            return self.view.begun_at
        self._asked_at = max(datetime.now(UTC), self._asked_at)
        return self._asked_at

    async def run(self, include_foreign: bool) -> FlattenView:
        """The final view. A run under way is joined; when only the second takes foreign positions, both run."""
        if self.running and include_foreign and not self._include_foreign:
            await asyncio.shield(self.begin(False))
        return await asyncio.shield(self.begin(include_foreign))

    async def resume(self) -> None:
        """Goes on with a flatten that an earlier life of the engine had not finished."""
        kept = await self._journal.get(_KEY, {})
        if kept.get("state") in ("running", "queued"):
            self.begin(bool(kept.get("include_foreign")))

    def market_opened(self) -> None:
        """Sells queued for the open are followed to their end."""
        if self.view.state == "queued" and not self.running:
            self.begin(self._include_foreign)

    def forget(self) -> None:
        """A person lifted the latch: the last flatten is history (sells that are queued are not)."""
        if not self.running and self.view.state in ("flat", "failed"):
            self.view = FlattenView()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _settle_doubts(self) -> None:
        """Returns when no order is on its way and none is in doubt; BrokerUnavailable while one is.

        What may still arrive at the broker may still buy: that is not flat.
        """
        for order in self._desk.open_orders():
            if order.sending:
                await self._desk.quiet(order.intent.symbol)
            if order.unresolved:
                await self._desk.resolve(order)
            if order.unresolved:
                raise BrokerUnavailable(f"nobody knows yet whether {order.intent.client_order_id} exists")

    async def _run(self, include_foreign: bool) -> FlattenView:
        await self._take_over()

        async def look() -> Seen:
            await self._settle_doubts()
            seen = await account_look.look(
                self._rest, self._home8, self._clock.now(), include_foreign=include_foreign
            )
            for order in seen.orders:
                await self._desk.apply(order)
            return seen

        async def cancel(order: BrokerOrder) -> None:
            await self._rest.cancel(order.id)

        async def sell(symbol: str, shares: int) -> str:
            session = self._calendar.session_day()
            order = await self._desk.send(
                session, symbol, "sell", shares, "market", None, leg=FLATTEN, why="flatten"
            )
            return order.problem

        async def close(symbol: str) -> str:
            return (await self._rest.close_position(symbol)).id

        async def market_open() -> bool:
            return (await self._clock.refresh()).is_open

        async def save(state: flattening.State, step: str) -> None:
            self._events.publish(FlattenChanged(step=state, detail=step))
            kept = {"state": state, "include_foreign": include_foreign}
            await self._desk.keep("the flatten's state", self._journal.put(_KEY, kept))

        def report(view: FlattenView) -> None:
            self.view = view

        async def pause() -> None:
            await asyncio.sleep(flattening.PAUSE_S)

        ports = FlattenPorts(look, cancel, sell, close, market_open, save, report, pause)
        return await Flattener(ports, self.view.begun_at).run(keys_proven=True)
