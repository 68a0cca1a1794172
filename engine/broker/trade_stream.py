"""Order updates: what happened to our orders, one message an event, nothing replayed.

After every connect ``on_connected`` must reconcile by REST: what happened while the
stream was away is never sent again. Messages may come as text or as binary JSON.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection

from engine.broker import wire
from engine.broker.broker_types import TradeUpdate
from engine.broker.credentials import Credentials
from engine.broker.stream_link import UNREADABLE, LinkState, StreamBroken, StreamLink
from engine.redaction import struck

log = logging.getLogger(__name__)


class TradeStream(StreamLink):
    """``on_update`` is awaited, one update after the other, in the order of the broker."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        on_update: Callable[[TradeUpdate], Awaitable[None]],
        on_state: Callable[[str, LinkState, str], None],
        on_connected: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__("orders", url, credentials, on_state=on_state, on_connected=on_connected)
        self._on_update = on_update

    async def _login(self, socket: ClientConnection) -> None:
        await socket.send(
            json.dumps({"action": "auth", "key": self._credentials.key, "secret": self._credentials.secret})
        )
        answer = await self._answer(socket, "authorization")
        if answer.get("status") != "authorized":
            raise self._keys_refused()
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        listening = await self._answer(socket, "listening")
        if "trade_updates" not in (listening.get("streams") or ()):
            raise StreamBroken("the order stream does not listen to trade_updates")

    async def _answer(self, socket: ClientConnection, stream: str) -> Mapping[str, Any]:
        while True:
            message = _message(await socket.recv())
            if message.get("action") == "error":
                raise StreamBroken(f"the order stream reported {_error(message)}")
            if message.get("stream") == stream:
                return wire.record(message.get("data"), "data")
            if message.get("stream") == "authorization":
                raise self._keys_refused()

    async def _receive(self, message: str | bytes) -> None:
        parsed = _message(message)
        if parsed.get("action") == "error":
            raise StreamBroken(f"the order stream reported {_error(parsed)}")
        if parsed.get("stream") != "trade_updates":
            return
        try:
            update = TradeUpdate.parse(wire.record(parsed.get("data"), "data"))
        except UNREADABLE as error:  # whatever it is, the others must come through; reconcile finds what it said
            self._skip(error)
            return
        try:
            await self._on_update(update)
        except Exception:  # the stream must go on; the periodic reconcile repairs what was missed
            log.exception("orders: the handler of an update failed")


def _message(message: str | bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(message)
    except ValueError:
        log.warning("orders: a message that is not JSON was skipped")
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _error(message: Mapping[str, Any]) -> str:
    data = message.get("data")
    return struck(str(data.get("error_message", "an error")))[:200] if isinstance(data, dict) else "an error"
