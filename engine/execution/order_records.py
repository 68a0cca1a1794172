"""What the broker says of orders, written to the journal soon after it is known.

The end of a protective stop must not wait for the disk: the sale behind it does not depend
on that record, only on its own intent, which is committed before it leaves. A kill in
between costs nothing: the journal then knows less than the broker, and reconcile asks for
every order whose end it does not know. Executions are not written here: they are money.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from engine.journal import JournalDb
from engine.orders_model import OrderState

GATHER_S = 0.02  # an end often comes with its next order, whose intent must find the disk free


class OrderRecords:
    """One writer task while there is something to write; of one order only the latest state is kept anyway."""

    def __init__(self, journal: JournalDb, keep: Callable[[str, Awaitable[object]], Awaitable[None]]) -> None:
        self._journal, self._keep = journal, keep
        self._waiting: dict[str, OrderState] = {}
        self._writer: asyncio.Task[None] | None = None

    def soon(self, state: OrderState) -> None:
        """Takes a state that supersedes what was told of this order before."""
        self._waiting[state.order_id] = state
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="order records")

    async def written(self) -> None:
        """Returns when everything taken so far is in the journal, or known to be lost to it."""
        while self._writer is not None and not self._writer.done():
            await asyncio.shield(self._writer)

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_S)
            batch, self._waiting = list(self._waiting.values()), {}
            await self._keep("the state of orders", self._journal.record_orders(batch))
