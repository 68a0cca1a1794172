"""``/v2/{feed}``: trades, quotes and minute bars over a websocket, msgpack or JSON by the handshake's header.

Every message is an array. With ``Content-Type: application/msgpack`` frames are binary and
times are msgpack timestamps; otherwise text with RFC 3339 times (ALPACA.md section 5).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgpack
import orjson
from aiohttp import WSMsgType, web

from engine.simulator.faults import Fault
from engine.simulator.market import Bar
from engine.simulator.orders import Json
from engine.simulator.sessions import Moment, Phase
from engine.simulator.tape import Print, TopOfBook
from engine.simulator.venue import Venue
from engine.simulator.wire import rfc3339

CHANNELS = (
    "trades",
    "quotes",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
)
AUTH_WITHIN_S = 10.0
QUEUE = 4000  # frames a slow client may lag before it is dropped with 407
SYMBOL_LIMIT = 10_000  # on trades and quotes together
_SYMBOL = re.compile(r"^(\*|[A-Z0-9]{1,8}([./-][A-Z0-9]{1,5})?)$")
_ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}


def trade_json(made: Print) -> Json:
    """A trade as REST and the stream share it; the stream adds T and S."""
    number = int(made.at.timestamp() * 1000)
    return {"t": made.at, "x": "V", "p": made.price, "s": made.size, "c": ["@"], "i": number, "z": "C"}


def quote_json(top: TopOfBook) -> Json:
    return {
        "t": top.at, "ax": "V", "ap": top.ask, "as": top.ask_size, "bx": "V", "bp": top.bid, "bs": top.bid_size,
        "c": ["R"], "z": "C",
    }  # fmt: skip


def bar_json(at: Any, bar: Bar) -> Json:
    middle = (bar.open + bar.high + bar.low + bar.close) / 4
    return {
        "t": at, "o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close, "v": bar.volume,
        "n": max(1, bar.volume // 120), "vw": min(max(round(middle, 6), bar.low), bar.high),
    }  # fmt: skip


@dataclass(eq=False)
class _Client:
    socket: web.WebSocketResponse
    packed: bool
    authenticated: bool = False
    wants: dict[str, set[str]] = field(default_factory=lambda: {c: set() for c in CHANNELS})
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))

    def encode(self, messages: list[Json]) -> bytes:
        if not self.packed:
            return orjson.dumps([{k: _text(v) for k, v in m.items()} for m in messages])
        packed: bytes = msgpack.packb(messages, datetime=True)
        return packed


def _text(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


class PriceSocket:
    """The price stream's clients and what each has subscribed to."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._clients: set[_Client] = set()
        self._muted_until = 0.0
        self._login_errors: list[int] = []  # codes that the next logins meet
        self._too_many = 0  # so many subscriptions meet 405, and the connection stays
        venue.price_listeners.append(self)

    @property
    def wanted(self) -> bool:
        return any(c.wants["trades"] or c.wants["quotes"] or c.wants["bars"] for c in self._clients)

    @property
    def listening(self) -> int:
        """Clients that have subscribed to something."""
        return sum(any(c.wants.values()) for c in self._clients)

    def prices(self, moment: Moment) -> None:
        """Sends each client the prints, quotes and finished minute bars of this moment."""
        if time.monotonic() < self._muted_until or moment.session is None:
            return
        made: dict[tuple[str, str], Json | None] = {}
        for client in list(self._clients):
            batch: list[Json] = []
            for channel in ("quotes", "trades", "bars"):
                for symbol in client.wants[channel]:
                    key = (channel, symbol)
                    if key not in made:
                        made[key] = self._message(channel, symbol, moment)
                    message = made[key]
                    if message is not None:
                        batch.append(message)
            if batch:
                self._put(client, batch)

    def _message(self, channel: str, symbol: str, moment: Moment) -> Json | None:
        """What happens in that channel now; None when the symbol does not trade or no bar has ended."""
        tape, session, at = self._venue.tape, moment.session, moment.at
        path = tape.path(symbol, session) if session else None
        if path is None or session is None or tape.halted(symbol, at):
            return None
        if channel == "quotes":
            quote = tape.quote(symbol, at) if moment.phase is not Phase.CLOSE else None
            return {"T": "q", "S": symbol, **quote_json(quote)} if quote else None
        if channel == "trades":
            made = tape.last(symbol, at)
            return {"T": "t", "S": symbol, **trade_json(made)} if made else None
        ended = moment.phase in (Phase.TRADE, Phase.CLOSE) and (at - session.open).total_seconds() % 60 == 0
        begin = at - timedelta(minutes=1)
        return {"T": "b", "S": symbol, **bar_json(begin, path.so_far(begin, at))} if ended else None

    def act(self, fault: Fault) -> None:
        if fault.kind == "mute":
            self._muted_until = time.monotonic() + fault.seconds
            self._login_errors.clear()
        elif fault.kind in ("drop", "socket_error"):
            code = fault.status if fault.kind == "socket_error" else 0
            if code == 405:
                self._too_many += fault.times
                return
            for client in list(self._clients):
                self._drop(client, code)
            if code not in (0, 407):
                self._login_errors += [code] * fault.times

    def status(self, symbol: str, at: datetime, *, halted: bool) -> None:
        """Tells subscribers that a symbol halts or trades again (codes of tape C)."""
        message = {"T": "s", "S": symbol, "t": at, "z": "C"}
        message |= {"sc": "H", "sm": "Trading Halt"} if halted else {"sc": "T", "sm": "Trading Resumption"}
        message |= {"rc": "T12", "rm": "halted on order"} if halted else {"rc": "", "rm": ""}
        for client in list(self._clients):
            if {symbol, "*"} & client.wants["statuses"]:
                self._put(client, [message])

    def _put(self, client: _Client, messages: list[Json]) -> None:
        try:
            client.queue.put_nowait(client.encode(messages))
        except asyncio.QueueFull:
            self._drop(client, 407)

    def _drop(self, client: _Client, code: int = 0) -> None:
        self._clients.discard(client)
        while not client.queue.empty():
            client.queue.get_nowait()
        if code:
            client.queue.put_nowait(client.encode([_error(code)]))
        client.queue.put_nowait(None)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from handshake to end."""
        socket = web.WebSocketResponse(max_msg_size=1 << 22)
        await socket.prepare(request)
        client = _Client(socket, packed="msgpack" in request.headers.get("Content-Type", ""))
        self._clients.add(client)
        writer = asyncio.create_task(self._write(client))
        self._put(client, [{"T": "success", "msg": "connected"}])
        self._authenticate(
            client,
            request.headers.get("APCA-API-KEY-ID"),
            request.headers.get("APCA-API-SECRET-KEY"),
            offered=False,
        )
        deadline = asyncio.get_running_loop().call_later(AUTH_WITHIN_S, self._too_late, client)
        try:
            async for frame in socket:
                if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._handle(client, _decoded(frame.data, client.packed))
        finally:
            deadline.cancel()
            self._clients.discard(client)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return socket

    async def _write(self, client: _Client) -> None:
        """Sends what is queued; None ends the connection."""
        with contextlib.suppress(ConnectionError):
            while (frame := await client.queue.get()) is not None:
                if client.packed:
                    await client.socket.send_bytes(frame)
                else:
                    await client.socket.send_str(frame.decode())
            await client.socket.close()

    def _too_late(self, client: _Client) -> None:
        if not client.authenticated:
            self._drop(client, 404)

    def _handle(self, client: _Client, message: Any) -> None:
        action = message.get("action") if isinstance(message, dict) else None
        if action == "auth" and client.authenticated:
            self._put(client, [_error(403)])
        elif action == "auth":
            self._authenticate(client, message.get("key"), message.get("secret"), offered=True)
        elif action not in ("subscribe", "unsubscribe"):
            self._put(client, [_error(400)])
        elif not client.authenticated:
            self._put(client, [_error(401)])
        else:
            self._subscribe(client, message, add=action == "subscribe")

    def _authenticate(self, client: _Client, key: Any, secret: Any, *, offered: bool) -> None:
        options = self._venue.options
        if hmac.compare_digest(str(key).encode(), options.key.encode()) and hmac.compare_digest(
            str(secret).encode(), options.secret.encode()
        ):
            if self._login_errors:
                self._drop(client, self._login_errors.pop(0))
                return
            client.authenticated = True
            self._put(client, [{"T": "success", "msg": "authenticated"}])
        elif offered:
            self._put(client, [_error(402)])

    def _subscribe(self, client: _Client, message: dict[str, Any], *, add: bool) -> None:
        asked = {c: message[c] for c in CHANNELS if message.get(c)}
        symbols = [s for names in asked.values() for s in (names if isinstance(names, list) else [None])]
        if not all(isinstance(s, str) and _SYMBOL.match(s) for s in symbols):
            self._put(client, [_error(400)])
            return
        wants = {c: set(v) for c, v in client.wants.items()}
        for channel, names in asked.items():
            wants[channel] = wants[channel] | set(names) if add else wants[channel] - set(names)
        # Prices of every symbol at once are more than any plan of ours sends: only statuses take '*'.
        everything = any("*" in wants[c] for c in ("trades", "quotes", "bars"))
        ordered = add and self._too_many > 0
        self._too_many -= ordered
        if everything or ordered or len(wants["trades"]) + len(wants["quotes"]) > SYMBOL_LIMIT:
            self._put(client, [_error(405)])
            return
        wants["corrections"] = wants["cancelErrors"] = set(wants["trades"])
        client.wants = wants
        self._put(client, [{"T": "subscription", **{c: sorted(wants[c]) for c in CHANNELS}}])


def _decoded(data: str | bytes, packed: bool) -> Any:
    """The client's message; None when it is neither msgpack nor JSON as agreed."""
    try:
        if packed and isinstance(data, bytes):
            return msgpack.unpackb(data)
        return orjson.loads(data)
    except (orjson.JSONDecodeError, ValueError, msgpack.UnpackException):
        return None


def _error(code: int) -> Json:
    return {"T": "error", "code": code, "msg": _ERRORS.get(code, "error on order")}
