"""The venue of bench_stop_to_wire: the simulator's own wire, with a flood of trade prints instead of its prices.

``python -m tests.benchmarks.flood_venue``: one JSON line on stdin (the simulator's request, see
``engine.simulator.__main__``), then one JSON command a line; on stdout its addresses, then one
JSON line for each thing that the benchmark must know the time of. Times are monotonic seconds,
taken when the frame has been handed to the socket: on loopback it then lies in the reader's buffer.

Commands: {"flood": {"AAA": "12.34", ...}, "rate": 5000} prints these symbols, evenly and in turn
(rate 0: silence); {"trigger": "AAA", "price": "18.51"} sends one print at that price, once.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from engine.simulator import server
from engine.simulator.__main__ import build
from engine.simulator.price_socket import PriceSocket
from engine.simulator.sessions import Moment
from engine.simulator.trade_socket import TradeSocket
from engine.simulator.venue import Venue
from engine.simulator.wire import rfc3339
from tests.benchmarks.wire_stamp import WireStamp

BEAT_S = 0.001


def say(**content: Any) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


class FloodSocket(PriceSocket):
    """Quotes are the simulator's; every trade print is of the flood, one frame each (the dearest way)."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self.rate, self.prices_of = 0.0, {}  # type: float, dict[str, float]
        self.sent, self.backlog_bytes, self.behind_s = 0, 0, 0.0
        self._task = asyncio.create_task(self._flood())

    def _message(self, channel: str, symbol: str, moment: Moment) -> dict[str, Any] | None:
        return None if channel == "trades" else super()._message(channel, symbol, moment)

    def command(self, order: dict[str, Any]) -> None:
        if "flood" in order:
            self.prices_of = {symbol: float(price) for symbol, price in order["flood"].items()}
            self.rate = float(order["rate"])
        elif "trigger" in order:
            asyncio.get_running_loop().create_task(self._trigger(order["trigger"], float(order["price"])))
        elif "report" in order:
            say(report={"sent": self.sent, "backlog_bytes": self.backlog_bytes, "behind_s": self.behind_s})

    async def _trigger(self, symbol: str, price: float) -> None:
        client = self._listening()[0]
        with stamp_of(client) as stamp:
            self._send_together([self._print_frame(symbol, price, self._time_text())])
            after = time.monotonic()
        say(triggered=symbol, at=stamp.at or after)

    def _time_text(self) -> str:
        return rfc3339(self._venue.clock.now())

    @staticmethod
    def _print_frame(symbol: str, price: float, at: str) -> bytes:
        """A text frame of the websocket protocol, as a server sends it."""
        # The trade id carries the moment of sending, so that the reader knows how old a print is.
        item = {"T": "t", "S": symbol, "i": time.monotonic_ns(), "x": "V", "p": price, "s": 100, "c": ["@"],
                "z": "C", "t": at}  # fmt: skip
        payload = orjson.dumps([item])
        size = (
            struct.pack("!BB", 0x81, len(payload))
            if len(payload) < 126
            else struct.pack("!BBH", 0x81, 126, len(payload))
        )
        return size + payload

    def _send_together(self, frames: list[bytes]) -> None:
        """The frames of a moment with one send: this process shares the engine's cores, an exchange does not."""
        data = b"".join(frames)
        for client in self._listening():
            transport_of(client).write(data)

    def _listening(self) -> list[Any]:
        return [c for c in self._clients if c.authenticated and c.socket._req is not None]

    async def _flood(self) -> None:
        due = began = time.monotonic()
        turn = 0
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            if not self.rate or not self.prices_of:
                due = now
                continue
            self.behind_s = max(self.behind_s, now - due)
            due = max(due, now - 0.1)  # after a hang of this process the gap is not caught up at once
            symbols, at, frames = list(self.prices_of), self._time_text(), []
            while due < now:
                symbol = symbols[turn % len(symbols)]
                cents = (turn // len(symbols)) % 3 - 1
                frames.append(self._print_frame(symbol, round(self.prices_of[symbol] + cents / 100, 2), at))
                turn += 1
                self.sent += 1
                due += 1 / self.rate
            self._send_together(frames)
            if now - began > 0.05:
                began = now
                backlog = (transport_of(c).get_write_buffer_size() for c in self._listening())
                self.backlog_bytes = max(self.backlog_bytes, *backlog, 0)


def transport_of(client: Any) -> Any:
    return client.socket._req.transport


def stamp_of(client: Any) -> WireStamp:
    return WireStamp(transport_of(client).get_extra_info("socket").fileno())


class StampedTradeSocket(TradeSocket):
    """Says when the end of an order left for the engine."""

    async def _write(self, client: Any) -> None:
        send = client.socket.send_bytes

        async def stamped(message: bytes) -> None:
            with stamp_of(client) as stamp:
                await send(message)
                after = time.monotonic()
            at = stamp.at or after
            data = orjson.loads(message).get("data", {})
            if data.get("event") == "canceled":
                say(canceled=data["order"]["id"], symbol=data["order"]["symbol"], at=at)

        client.socket.send_bytes = stamped
        await super()._write(client)


async def run(request: dict[str, Any]) -> None:
    floods: list[FloodSocket] = []

    def flood(venue: Venue) -> FloodSocket:
        floods.append(FloodSocket(venue))
        return floods[0]

    vars(server).update(PriceSocket=flood, TradeSocket=StampedTradeSocket)
    venue = build(request)
    opens = venue.market.sessions.next_open(venue.at)
    assert opens is not None
    venue.jump(opens + timedelta(minutes=1))
    serving = await server.serve(venue)
    session = venue.market.sessions.on(opens.date())
    assert session is not None
    say(
        origin=serving.origin,
        session=str(session.day),
        close=session.close.isoformat(),
        at=_now(venue).isoformat(),
    )
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(floods[0].command, json.loads(line))
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=listen, daemon=True).start()
    await ended.wait()
    await serving.close()


def _now(venue: Venue) -> datetime:
    return venue.clock.now()


if __name__ == "__main__":
    assert web is not None
    if hasattr(os, "nice"):
        os.nice(10)  # an exchange is another machine's work: here it gets what the engine leaves of the cores
    asyncio.run(run(json.loads(sys.stdin.readline())))
