"""Order updates in one lane a symbol: in order within it, and no symbol waits for another's disk.

A fill is committed to the journal before anybody acts on it. On one road for all, the end
of a stop would wait for the fills of every other name that happens to trade then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from engine.broker.broker_types import TradeUpdate

log = logging.getLogger(__name__)


class UpdateLanes:
    """``book`` gets the updates of a symbol one after the other, in the broker's order."""

    def __init__(self, book: Callable[[TradeUpdate], Awaitable[object]]) -> None:
        self._book = book
        self._lanes: dict[str, deque[TradeUpdate]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, update: TradeUpdate) -> None:
        symbol = update.order.symbol
        lane = self._lanes.get(symbol)
        if lane is not None:
            lane.append(update)
            return
        self._lanes[symbol] = deque([update])
        task = asyncio.create_task(self._drive(symbol), name=f"updates {symbol}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drained(self) -> None:
        """Returns when everything that was put has been booked."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _drive(self, symbol: str) -> None:
        lane = self._lanes[symbol]
        while lane:
            update = lane.popleft()
            try:
                await self._book(update)
            except Exception:  # the lane must go on; the periodic reconcile repairs what was missed
                log.exception("the handler of an update of %s failed", update.order.client_order_id)
        del self._lanes[symbol]
