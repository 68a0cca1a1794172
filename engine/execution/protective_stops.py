"""The protective stop of each position, resting at the broker: it works when nothing here does.

A DAY stop, the bracket's percent below the average fill, for exactly the shares held; it
follows every partial fill. The venue takes no stop beside an open buy of the symbol (wash
trade), so the stop rests from the moment the entry order has ended, and a re-price asks it
to make way. Exits and flatten cancel it themselves, and no new one follows while a position
is leaving. A position whose stop the broker will not take is sold at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from engine.broker.clock import MarketClock
from engine.execution.allocation import down_to_grid
from engine.execution.desk_order import DeskOrder
from engine.execution.order_ids import STOP
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.execution.tsh_trade_management import Phase

log = logging.getLogger(__name__)

PAUSES_S = (0.1, 0.3, 1.0, 2.0, 3.0, 4.0)  # between placements that did not reach the broker; then it is sold
UNWANTED_PAUSE_S = 1.0  # between two attempts to cancel a stop that must not rest
_PROTECTED = frozenset({Phase.WATCH, Phase.ARMED, Phase.TARGET})


@dataclass(frozen=True, slots=True)
class StopWanted:
    """What should rest: whole shares at a price on the grid."""

    shares: int
    price: Decimal


class ProtectiveStops:
    """One keeper task a symbol, alive only while book and broker differ.

    ``paused`` is true while flatten sells; ``give_up`` sells a position that cannot be protected;
    ``caught_up`` reconciles and tells whether book and broker agree.
    """

    def __init__(
        self,
        desk: OrderDesk,
        book: PositionsBook,
        clock: MarketClock,
        session: Callable[[], date],
        *,
        paused: Callable[[], bool],
        give_up: Callable[[str, str], None],
        caught_up: Callable[[], Awaitable[bool]],
    ) -> None:
        self._desk, self._book, self._clock, self._session = desk, book, clock, session
        self._paused, self._give_up, self._caught_up = paused, give_up, caught_up
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._making_way: set[str] = set()  # an entry order is about to be sent, or open

    # --- what others ask -----------------------------------------------------------------------

    def review(self) -> None:
        """Starts a keeper wherever broker and book differ; cheap, called at every fill and heartbeat."""
        symbols = {h.symbol for h in self._book.open_holdings()}
        symbols |= {o.intent.symbol for o in self._desk.open_orders() if o.intent.leg == STOP}
        for symbol in symbols:
            task = self._tasks.get(symbol)
            if (task is None or task.done()) and not self._is_right(symbol):
                self._tasks[symbol] = asyncio.create_task(self._keep(symbol), name=f"stop {symbol}")

    def resting(self, symbol: str) -> Decimal | None:
        """The price of the stop that is open at the broker, or None."""
        stops = [o for o in self._open(symbol) if o.state is not None]
        return stops[-1].intent.stop_price if stops else None

    async def make_way(self, symbol: str) -> bool:
        """Takes the stop away for a further entry order; False when it cannot be cancelled: then none is sent."""
        self._making_way.add(symbol)
        await self._desk.quiet(symbol)
        return all([await self._desk.cancel(stop) for stop in self._open(symbol)])

    def entry_ended(self, symbol: str) -> None:
        """The entry order is over: what was bought is protected again."""
        self._making_way.discard(symbol)
        self.review()

    async def halt(self) -> None:
        """Nothing is placed from here on; stops that rest stay."""
        tasks = [t for t in self._tasks.values() if not t.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- keeping one symbol ----------------------------------------------------------------------

    def _open(self, symbol: str) -> list[DeskOrder]:
        return [o for o in self._desk.open_orders(symbol) if o.intent.leg == STOP]

    def _wanted(self, symbol: str) -> StopWanted | None:
        """What should rest now; None while something else sells, buys, or nothing is held."""
        holding = self._book.holdings.get(symbol)
        if holding is None or holding.tsh.phase not in _PROTECTED or holding.tsh.shares <= 0:
            return None
        if self._paused() or symbol in self._making_way or not self._clock.is_open:
            return None
        if any(o.intent.side == "buy" for o in self._desk.open_orders(symbol)):
            return None
        return StopWanted(holding.tsh.shares, down_to_grid(holding.tsh.protective_price))

    def _leaving(self, symbol: str) -> bool:
        """Somebody else takes the stop away: the exit, flatten, or an entry that asked it to make way."""
        holding = self._book.holdings.get(symbol)
        leaving = holding is not None and holding.tsh.phase is Phase.EXITING
        return leaving or self._paused() or symbol in self._making_way

    def _is_right(self, symbol: str) -> bool:
        stops, wanted = self._open(symbol), self._wanted(symbol)
        if wanted is None:
            # A stop of a position that is gone could sell somebody else's shares.
            return not stops or self._leaving(symbol) or self._book.shares(symbol) > 0
        return len(stops) == 1 and _same(stops[0], wanted)

    async def _keep(self, symbol: str) -> None:
        """Until the broker has what is wanted: one stop, or none."""
        failures = 0
        while not self._is_right(symbol):
            stops = self._open(symbol)
            for stop in stops:
                if stop.unresolved:
                    await self._desk.resolve(stop)
            wanted = self._wanted(symbol)
            wrong = [
                s for s in stops if not s.ended and (wanted is None or not _same(s, wanted) or len(stops) > 1)
            ]
            if wrong:
                cancelled = [await self._desk.cancel(stop) for stop in wrong]
                if not all(cancelled):
                    await asyncio.sleep(UNWANTED_PAUSE_S)
                continue
            if wanted is None or self._open(symbol):
                continue
            meddled = self._desk.latch.another_was_here() or self._desk.meddled_with(symbol)
            if meddled and not await self._caught_up():
                # Somebody else may have sold these shares: a stop for them would sell what is not there.
                await asyncio.sleep(UNWANTED_PAUSE_S)
                continue
            reason = self._rejected(symbol)
            if not reason:
                stop = await self._place(symbol, wanted)
                if not stop.ended or stop.filled or self._wanted(symbol) != wanted:
                    continue
                failures += 1
                reason = _refusal(stop)
                if not reason and failures > len(PAUSES_S):
                    reason = f"{failures} placements did not reach the broker"
            if reason:
                self._give_up(symbol, reason)
                return
            await asyncio.sleep(PAUSES_S[failures - 1])

    def _rejected(self, symbol: str) -> str:
        """Why the broker would not keep the last stop of this position, or empty (a rejection may come late)."""
        ours = (o for o in self._desk.of_symbol(symbol) if o.intent.leg == STOP)
        last = max(ours, key=lambda o: o.intent.at, default=None)
        return "" if last is None or last.intent.session != self._session() or last.filled else _refusal(last)

    async def _place(self, symbol: str, wanted: StopWanted) -> DeskOrder:
        return await self._desk.send(
            self._session(),
            symbol,
            "sell",
            wanted.shares,
            "stop",
            None,
            leg=STOP,
            why=f"protective stop of {wanted.shares} shares",
            stop_price=wanted.price,
            held=self._book.shares(symbol),
            still_wanted=lambda: self._wanted(symbol) == wanted,
        )


def _same(stop: DeskOrder, wanted: StopWanted) -> bool:
    """Whether this open stop covers what is held; one in doubt covers nothing yet."""
    return stop.state is not None and stop.remaining == wanted.shares and stop.intent.stop_price == wanted.price


def _refusal(stop: DeskOrder) -> str:
    """Why the broker does not want it, or empty when it only did not get there."""
    if stop.state is not None and stop.state.status == "rejected":
        return "rejected by the broker"
    return stop.problem.removeprefix("refused: ") if stop.problem.startswith("refused") else ""
