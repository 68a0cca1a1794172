"""The simulator's own process: ``python -m engine.simulator`` with one JSON request line on stdin.

Answers with one JSON line (addresses, or the error) and serves until stdin ends, which is
how it dies with its parent; asked to linger, it then waits that long for another client. See
``engine.simulator.process`` for the request's fields.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.errors import OperatorError, UsageError
from engine.simulator.clock import ClockError
from engine.simulator.fault_script import ScriptedFault
from engine.simulator.market import Market
from engine.simulator.server import serve
from engine.simulator.venue import Venue, VenueOptions

_LEAVE_WITHIN_S = 3.0
_READY_SESSIONS = 100  # of daily bars drawn before serving: what a week's data building asks for


def build(request: dict[str, Any]) -> Venue:
    """The venue that ``request`` describes. Raises OperatorError when it cannot be."""
    day, seed, market_name = date.fromisoformat(request["date"]), int(request["seed"]), request["market"]
    market: Market
    if market_name == "synthetic":
        from engine.simulator.synthetic import SyntheticMarket

        market = SyntheticMarket(day, seed=seed, symbols=int(request["symbols"]))
        if market.sessions.on(day) is None:
            near = market.sessions.before(day)
            raise UsageError(
                f"{day} is not a session of the exchange; choose one, "
                f"for example --date {near.day if near else day}"
            )
        market.prepare(day, _READY_SESSIONS)
    else:
        from engine.simulator.replay import ReplayMarket

        market = ReplayMarket(Path(market_name), day)
    options = VenueOptions(
        day=day,
        seed=seed,
        cash=Decimal(str(request["cash"])),
        speed=float(request["speed"]),
        folder=Path(request["folder"]),
        key=request["key"],
        secret=request["secret"],
        account=request.get("account", "sim"),
        trading_limit=int(request["trading_limit"]),
        data_limit=int(request["data_limit"]),
        limit_window_s=float(request.get("limit_window_s", 60.0)),
        partial_fills=float(request["partial_fills"]),
        resume=bool(request.get("resume")),
        faults=tuple(ScriptedFault.parse(row) for row in request.get("faults", ())),
    )
    try:
        return Venue(market, options)
    except ClockError as error:
        raise UsageError(f"the simulator's speed cannot be {options.speed:g}: {error}") from error


def _say(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


async def _run(venue: Venue, port: int, linger_s: float) -> None:
    try:
        server = await serve(venue, port)
    except OSError as error:
        _say(
            {"error": f"the simulator cannot listen on port {port}: {error.strerror}; choose another", "kind": ""}
        )
        return
    _say(
        {
            "rest_url": f"http://{server.origin}",
            "trade_stream_url": f"ws://{server.origin}/stream",
            "price_stream_url": f"ws://{server.origin}/v2/iex",
            "log_path": str(venue.log.path),
        }
    )
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        while server.silent_s < linger_s:  # a killed owner's successor may still come
            time.sleep(0.5)
        threading.Timer(_LEAVE_WITHIN_S, os._exit, (1,)).start()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    leaving = asyncio.create_task(ended.wait())
    await asyncio.wait({leaving, server.ticking}, return_when=asyncio.FIRST_COMPLETED)
    broken = None if leaving.done() else server.ticking.exception()
    if broken is not None:
        logging.error("market time stopped, the simulator ends", exc_info=broken)
    await server.close()
    os._exit(1 if broken else 0)  # neither the leaving timer nor the stdin thread may keep the process


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends us by closing stdin
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    request = json.loads(sys.stdin.buffer.readline())
    try:
        venue = build(request)
    except OperatorError as error:
        _say({"error": str(error), "kind": type(error).__name__})
        raise SystemExit(error.exit_code) from error
    asyncio.run(_run(venue, int(request["port"]), float(request["linger_s"])))


if __name__ == "__main__":
    main()
