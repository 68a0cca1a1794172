"""The engine's side of the console benchmark: the real control server, ticks behind it.

    python tests/benchmarks/console_feed.py HOME TICKS_PER_SECOND

Eight symbols' prices move at the given rate and the newest ones become a view four times a
second, as in the engine; training, search and the market clock move on as well, one event
a second is journalled on the screen. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "console"))

from recorded_views import NOW, recorded_board

from engine.control import VIEW_PERIOD_S, Answer, Caller, ControlServer
from engine.home import Home
from engine.views import EventView, GapPoint, PositionRow

SYMBOLS = 8
BATCH_S = 0.01  # ticks arrive in bursts of this length


def eight_rows(rows: tuple[PositionRow, ...]) -> list[PositionRow]:
    """As many open positions as the benchmark has symbols."""
    open_rows = [row for row in rows if row.last is not None] or list(rows)
    return [
        open_rows[i % len(open_rows)].model_copy(update={"symbol": f"{open_rows[i % len(open_rows)].symbol}{i}"})
        for i in range(SYMBOLS)
    ]


class Feed:
    """Moves every view as a working engine does."""

    def __init__(self, home: Home, ticks_per_s: int) -> None:
        self.board = recorded_board()
        self.server = ControlServer(home, self.board, self._execute)
        self.ticks_per_s = ticks_per_s
        self.random = random.Random(7)
        self.rows = eight_rows(self.board.positions.rows)
        self.last: dict[str, Decimal] = {row.symbol: row.last or Decimal("10.00") for row in self.rows}
        self.ticks = 0
        self.paints = 0

    async def _execute(self, command: str, arguments: Mapping[str, Any], caller: Caller) -> Answer:
        return Answer(True, f"{command} taken")

    async def tick(self) -> None:
        symbols = list(self.last)
        loop, due = asyncio.get_running_loop(), 0.0
        start = loop.time()
        while True:
            due += BATCH_S
            for _ in range(round(self.ticks_per_s * BATCH_S)):
                symbol = symbols[self.ticks % len(symbols)]
                self.last[symbol] += Decimal(self.random.choice(("-0.01", "0.00", "0.01")))
                self.ticks += 1
            await asyncio.sleep(max(0.0, start + due - loop.time()))

    async def show(self) -> None:
        while True:
            self.paints += 1
            self._positions()
            self._research()
            if self.paints % round(1 / VIEW_PERIOD_S) == 0:
                event = EventView(
                    seq=self.board.seq + 1,
                    at=NOW + timedelta(seconds=self.paints),
                    kind="Note",
                    level="info",
                    text=f"{self.ticks:,} ticks taken",
                )
                self.board.add_event(event)
                self.server.publish(event)
            await asyncio.sleep(VIEW_PERIOD_S)

    def _positions(self) -> None:
        board = self.board
        rows = []
        for row in self.rows:
            last = self.last[row.symbol]
            pnl = (last - row.entry) * row.shares if row.entry is not None else None
            rows.append(row.model_copy(update={"last": last, "pnl": pnl, "age_s": self.random.random()}))
        unrealised = sum((row.pnl for row in rows if row.pnl is not None), Decimal(0))
        board.positions = board.positions.model_copy(update={"rows": tuple(rows), "unrealised": unrealised})
        board.status = board.status.model_copy(
            update={
                "market_time": NOW + timedelta(seconds=self.paints * VIEW_PERIOD_S),
                "day_pnl": unrealised,
                "positions_open": len(rows),
            }
        )

    def _point(self) -> GapPoint:
        """The bound comes down to what is known a little with every paint."""
        at_s = self.paints * VIEW_PERIOD_S
        return GapPoint(at_s=at_s, bound=1.2 + 1.0 / self.paints, incumbent=1.2, threshold=1.0)

    def _research(self) -> None:
        board = self.board
        training, groups = board.training, board.groups
        board.training = training.model_copy(
            update={
                "cycle": self.paints % 200,
                "algorithms": tuple(
                    row.model_copy(update={"tested": row.tested + 8 * self.paints}) for row in training.algorithms
                ),
            }
        )
        board.groups = groups.model_copy(
            update={
                "elapsed_s": self.paints * VIEW_PERIOD_S,
                "visited": groups.visited + 5_000_000 * self.paints,
                "tests_per_s": 6e7 + 1e6 * self.random.random(),
                "curve": (*groups.curve, self._point())[-160:],
                "lanes": tuple(
                    lane.model_copy(update={"used": lane.used + self.paints, "depth": self.paints % 10})
                    for lane in groups.lanes
                ),
            }
        )


async def main(folder: Path, ticks_per_s: int) -> None:
    home = Home(folder)
    home.create()
    feed = Feed(home, ticks_per_s)
    await feed.server.start()
    work = [asyncio.create_task(feed.tick()), asyncio.create_task(feed.show())]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the benchmark closes it
    for task in work:
        if task.done():  # it runs until it is cancelled
            task.result()
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    await feed.server.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
