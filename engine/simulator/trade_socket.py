"""``/stream``: order updates over a websocket, binary frames that hold JSON text, as the paper venue sends them.

A client authenticates, says which streams it listens to, and hears every update from then
on; nothing is repeated after a reconnect, as at the venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from engine.simulator.exchange import Update
from engine.simulator.faults import Fault
from engine.simulator.orders import Json
from engine.simulator.venue import Venue
from engine.simulator.wire import rfc3339

OVERTAKEN_S = 1.0  # wall seconds that an update waits for another one to overtake it
QUEUE = 2000  # messages a slow client may lag before it is dropped


@dataclass(eq=False)
class _Client:
    socket: web.WebSocketResponse
    streams: set[str] = field(default_factory=set)
    authorized: bool = False
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))


class TradeSocket:
    """The trade stream's clients."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._clients: set[_Client] = set()
        self._sent = 0
        self._muted_until = 0.0
        self._overtaken: bytes | None = None  # told after the update that follows it
        venue.update_listeners.append(self)

    @property
    def listening(self) -> int:
        """Clients that hear order updates."""
        return sum("trade_updates" in c.streams for c in self._clients)

    def update(self, update: Update) -> None:
        self._sent += 1
        data: Json = {
            "event": update.event,
            "order": update.order,
            "timestamp": rfc3339(update.at),
            "at": rfc3339(update.at),
            "event_id": f"01SIM{self._sent:021d}",
            "position_qty": f"{update.position:f}" if update.position is not None else None,
        }
        if update.price is not None and update.shares is not None:
            data |= {
                "price": f"{update.price:f}",
                "qty": f"{update.shares:f}",
                "execution_id": update.execution_id,
            }
        if update.flag:
            data["flag"] = update.flag
        message = orjson.dumps({"stream": "trade_updates", "data": data})
        faults, symbol = self._venue.faults, str(update.order["symbol"])
        if time.monotonic() < self._muted_until or faults.take_order("lose_update", symbol):
            return
        if self._overtaken is None and faults.take_order("swap_updates", symbol):
            self._overtaken = message
            asyncio.get_running_loop().call_later(OVERTAKEN_S, self._tell_overtaken)
            return
        for _ in range(2 if faults.take_order("duplicate_update", symbol) else 1):
            self._tell(message)
        self._tell_overtaken()

    def _tell_overtaken(self) -> None:
        """The update that another one has overtaken, or that none has followed in time."""
        message, self._overtaken = self._overtaken, None
        if message is not None:
            self._tell(message)

    def _tell(self, message: bytes) -> None:
        for client in list(self._clients):
            if "trade_updates" in client.streams:
                self._put(client, message)

    def act(self, fault: Fault) -> None:
        if fault.kind == "mute":
            self._muted_until = time.monotonic() + fault.seconds
        elif fault.kind == "drop":
            for client in list(self._clients):
                self._drop(client)

    def _put(self, client: _Client, message: bytes) -> None:
        try:
            client.queue.put_nowait(message)
        except asyncio.QueueFull:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client)
        while not client.queue.empty():
            client.queue.get_nowait()
        client.queue.put_nowait(None)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from handshake to end."""
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        client = _Client(socket)
        self._clients.add(client)
        writer = asyncio.create_task(self._write(client))
        try:
            async for frame in socket:
                if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                try:
                    message = orjson.loads(frame.data)
                except orjson.JSONDecodeError:
                    message = None
                if not isinstance(message, dict):
                    self._put(client, _error("invalid JSON"))
                    self._put_end(client)
                    continue
                self._handle(client, message)
        finally:
            self._clients.discard(client)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return socket

    def _put_end(self, client: _Client) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            client.queue.put_nowait(None)

    async def _write(self, client: _Client) -> None:
        """Sends what is queued; None ends the connection."""
        with contextlib.suppress(ConnectionError):
            while (message := await client.queue.get()) is not None:
                await client.socket.send_bytes(message)
            await client.socket.close()

    def _handle(self, client: _Client, message: dict[str, Any]) -> None:
        action = message.get("action")
        given = message.get("data")
        data: dict[str, Any] = given if isinstance(given, dict) else {}
        if action in ("auth", "authenticate"):
            key = str(data.get("key_id") or message.get("key") or "")
            secret = str(data.get("secret_key") or message.get("secret") or "")
            options = self._venue.options
            client.authorized = hmac.compare_digest(key.encode(), options.key.encode()) and hmac.compare_digest(
                secret.encode(), options.secret.encode()
            )
            status = "authorized" if client.authorized else "unauthorized"
            self._put(client, _authorization(status, "authenticate"))
        elif action == "listen" and not client.authorized:
            self._put(client, _authorization("unauthorized", "listen"))
        elif action == "listen":
            asked = data.get("streams")
            client.streams = {s for s in asked if isinstance(s, str)} if isinstance(asked, list) else set()
            self._put(client, orjson.dumps({"stream": "listening", "data": {"streams": sorted(client.streams)}}))
        else:
            self._put(client, _error(f"unknown action {action}"))
            self._put_end(client)


def _authorization(status: str, action: str) -> bytes:
    return orjson.dumps({"stream": "authorization", "data": {"status": status, "action": action}})


def _error(text: str) -> bytes:
    return orjson.dumps({"action": "error", "data": {"error_message": text}})
