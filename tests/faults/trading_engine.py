"""A process that only trades: the execution desk of one home, to be killed (-9) at any moment.

``python -m tests.faults.trading_engine HOME`` reads one JSON line on stdin (the simulator's
addresses, the session, the names), says {"ready": true}, and then obeys one JSON command a
line: enter, exit, flatten, status. Every command is answered with one JSON line; enter, exit
and flatten are answered when they have begun.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.brackets import Bracket
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.clock import MarketClock
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.errors import OperatorError
from engine.events import Event
from engine.execution.desk import ExecutionDesk
from engine.home import Home
from engine.journal import JournalDb
from engine.model import Session
from engine.settings import BrokerSettings, ExecutionSettings, Settings

WIDE = Bracket(0.0, 45.0, 40.0, 40.0, 20.0)
log = logging.getLogger("trading engine")


class Logged:
    """An EventSink that writes the log, from which a failed trial is read."""

    def publish(self, event: Event) -> None:
        log.info("%s", event.text)


class TradingEngine:
    """The desk and what it was told to do."""

    def __init__(self, desk: ExecutionDesk, asked: dict[str, Any]) -> None:
        self.desk, self.asked = desk, asked
        day = datetime.fromisoformat(asked["open"]), datetime.fromisoformat(asked["close"])
        self.session = Session(day[0].astimezone().date(), *day)
        self._work: set[asyncio.Task[None]] = set()

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "enter":
                self._begin(self._enter())
            case "exit":
                self._begin(self.desk.exit_one(command["symbol"], "the trial"))
            case "flatten":
                self._begin(self._flatten())
            case "status":
                return self._status()
        return {"begun": command["do"]}

    def _begin(self, work: Any) -> None:
        async def run() -> None:
            try:
                await work
            except OperatorError as error:
                log.warning("refused: %s", error)

        task = asyncio.create_task(run())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _enter(self) -> None:
        closes: dict[str, float] = self.asked["closes"]
        picks = [(name, place) for place, name in enumerate(self.asked["names"], start=1)]
        atr = {name: close * 0.2 for name, close in closes.items()}
        await self.desk.enter(self.session, self.asked["list_hash"], picks, closes, atr)

    async def _flatten(self) -> None:
        await self.desk.flatten("the trial")

    def _status(self) -> dict[str, Any]:
        desk = self.desk
        rows = [r for r in desk.views().rows if r.state in ("WATCH", "ARMED", "TARGET", "EXITING", "CARRIED")]
        return {
            "held": {h.symbol: h.tsh.shares for h in desk.book.open_holdings()},
            "bare": [r.symbol for r in rows if r.resting_stop is None and r.state != "EXITING"],
            "leaving": [r.symbol for r in rows if r.state == "EXITING"],
            "busy": bool(self._work) or desk.flattening,
            "clean": desk.is_clean,
            "doubts": [o.intent.client_order_id for o in desk.desk.unresolved()],
            "flatten": desk.flatten_view().state,
            "latched": desk.latched,
        }


async def run(home: Home) -> None:
    loop = asyncio.get_running_loop()
    asked = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    broker = BrokerSettings(requests_per_minute=3000, timeout_s=3.0, reconcile_s=2.0)
    execution = ExecutionSettings(brackets=(WIDE,), exit_minutes=1.0, exit_wall_s=1.0)
    keys = Credentials(asked["key"], asked["secret"])
    endpoints = Endpoints.of_simulator(asked["rest_url"], asked["trade_stream_url"], asked["price_stream_url"])
    rest = AlpacaRest(broker, endpoints, keys)
    clock = MarketClock(rest.clock)
    journal = await JournalDb.open(home.journal)
    desk = ExecutionDesk(rest, keys, clock, journal, home, Settings(broker=broker, execution=execution), Logged())
    await desk.start()
    engine = TradingEngine(desk, asked)
    _say({"ready": True})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _say(engine.obey(json.loads(line)))
    await desk.stop()
    await journal.close()
    await rest.close()


def _say(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("websockets", "urllib3", "aiosqlite"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    place = Home(Path(sys.argv[1]))
    place.create()
    asyncio.run(run(place))
