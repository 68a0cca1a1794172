"""Selling a position until nothing of it is left, whatever gets in the way.

An exit asks no gate. A target or trail exit first tries a limit just below the bid, for a
moment; everything else, and every later attempt, is a market order. A refusal is shown on
the position and tried again with what the broker says is available.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import Protocol

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.clock import MarketClock
from engine.broker.errors import BrokerError
from engine.execution.allocation import down_to_grid
from engine.execution.order_ids import EXIT
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.execution.tsh_trade_management import ExitReason
from engine.model import Quote

log = logging.getLogger(__name__)

LIMIT_WAIT_S = 2.0  # a marketable limit that has not filled by then becomes a market order
MARKET_WAIT_S = 20.0  # then REST is asked what is going on
BELOW_BID = Decimal("0.003")  # fraction
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
PATIENT = frozenset({ExitReason.TARGET, ExitReason.TRAIL})


class FreshQuotes(Protocol):
    """The latest quote of a symbol if it is fresh, else None."""

    def __call__(self, symbol: str) -> Quote | None: ...


class ExitRunner:
    """One seller a symbol.

    ``session`` names the session whose ids new orders carry; ``catch_up`` books what the broker knows.
    """

    def __init__(
        self,
        rest: AlpacaRest,
        desk: OrderDesk,
        book: PositionsBook,
        clock: MarketClock,
        quotes: FreshQuotes,
        session: Callable[[], date],
        catch_up: Callable[[], Awaitable[object]],
    ) -> None:
        self._rest, self._desk, self._book, self._clock = rest, desk, book, clock
        self._quotes, self._session, self._catch_up = quotes, session, catch_up
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, symbol: str, reason: ExitReason) -> None:
        """Starts selling ``symbol`` unless that is already under way."""
        running = self._tasks.get(symbol)
        if running is None or running.done():
            self._tasks[symbol] = asyncio.create_task(self._run(symbol, reason), name=f"exit {symbol}")

    def running(self, symbol: str) -> bool:
        task = self._tasks.get(symbol)
        return task is not None and not task.done()

    async def halt(self, symbol: str | None = None) -> None:
        """Stops selling here (flatten takes over, or the engine ends); sent orders stay sent."""
        tasks = [t for s, t in self._tasks.items() if symbol in (None, s) and not t.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, symbol: str, reason: ExitReason) -> None:
        attempt = 0
        while self._book.shares(symbol) > 0:
            try:
                if not self._clock.is_open:
                    self._book.note_trouble(symbol, "the market is closed: sells at the next open")
                    return
                attempt += 1
                await self._attempt(symbol, reason, attempt)
            except Exception:  # an exit must be tried again whatever went wrong
                log.exception("%s: the exit attempt %d failed", symbol, attempt)
                self._book.note_trouble(symbol, "the last attempt failed; see the log; trying again")
            if self._book.shares(symbol) > 0:
                await asyncio.sleep(PAUSES_S[min(attempt, len(PAUSES_S)) - 1])

    async def _attempt(self, symbol: str, reason: ExitReason, attempt: int) -> None:
        latch = self._desk.latch
        await latch.yield_to_other_seller()
        await self._desk.quiet(symbol)  # what is on its way must arrive before it can be cancelled
        stuck, meddled = False, self._desk.meddled_with(symbol)
        for order in self._desk.open_orders(symbol):
            if order.unresolved:
                await self._desk.resolve(order)
            # An open entry would buy on; the protective stop or an open exit holds the shares.
            if not await self._desk.cancel(order):
                if order.unresolved:
                    # Selling beside an order in doubt could sell the same shares twice, and end short.
                    name = order.intent.client_order_id
                    self._book.note_trouble(symbol, f"order {name} is in doubt, looking it up")
                    return
                stuck = True
        shares = self._book.shares(symbol)
        if meddled or latch.another_was_here():
            # Somebody else may have sold meanwhile: nothing leaves before the broker has said what is left.
            await self._catch_up()
            shares = min(self._book.shares(symbol), await self._available(symbol, otherwise=0))
        elif attempt > 1 or stuck:
            shares = min(shares, await self._available(symbol, otherwise=shares))
        if shares <= 0:
            self._book.note_trouble(symbol, "no shares available at the broker; reconciling")
            return
        limit = self._limit(symbol) if attempt == 1 and reason in PATIENT else None
        order = await self._desk.send(
            self._session(),
            symbol,
            "sell",
            shares,
            "limit" if limit is not None else "market",
            limit,
            leg=EXIT,
            why=str(reason),
            held=self._book.shares(symbol),
        )
        if order.problem:
            self._book.note_trouble(symbol, order.problem)
            return
        if order.intent.leg != EXIT:
            return  # a stop in doubt had to be sent again: now it exists, and the next attempt takes it away
        at_limit = order.intent.kind == "limit"
        if not await self._desk.settle(order, LIMIT_WAIT_S if at_limit else MARKET_WAIT_S) and at_limit:
            await self._desk.cancel(order)

    async def _available(self, symbol: str, *, otherwise: int) -> int:
        try:
            positions = await self._rest.positions()
        except BrokerError as error:
            self._book.note_trouble(symbol, f"positions cannot be asked: {error}")
            return otherwise  # a failed query is never "flat"
        here = [p for p in positions if p.symbol == symbol]
        if not all(p.readable for p in here):
            self._book.note_trouble(symbol, "the broker's answer on the position cannot be read")
            return otherwise
        return int(sum((p.available for p in here), Decimal(0)))

    def _limit(self, symbol: str) -> Decimal | None:
        quote = self._quotes(symbol)
        if quote is None or quote.bid <= 0:
            return None
        return down_to_grid(quote.bid * (1 - BELOW_BID))
