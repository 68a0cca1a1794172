"""Live prices: trades, quotes and halts of the subscribed symbols, latest value of each.

Every print that counts as a price is passed to ``on_tick`` at once, in order; a screen
reads ``latest`` instead. Prints that do not make a last price (out of sequence, average
price, derivatively priced, extended hours ...) are dropped here: one of them must not
trigger a stop.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from engine.broker import answers, wire
from engine.broker.credentials import Credentials
from engine.broker.stream_link import (
    SLOT_BACKOFF_S,
    UNREADABLE,
    LinkState,
    StreamBroken,
    StreamLink,
    StreamRefused,
)
from engine.model import Quote, Tick
from engine.redaction import struck

log = logging.getLogger(__name__)

NOT_A_LAST_PRICE = frozenset("BCGHMNPQRTUVWZ479")  # trade conditions of the SIP plans
HALT_CODES, RESUME_CODES = frozenset({"H", "P", "2"}), frozenset({"T", "3"})


@dataclass(frozen=True, slots=True)
class HaltNotice:
    """A trading status of one symbol."""

    symbol: str
    halted: bool
    reason: str
    at: datetime


class PriceStream(StreamLink):
    """``on_tick``, ``on_quote`` and ``on_halt`` are called on the loop and must return at once."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        on_state: Callable[[str, LinkState, str], None],
        on_tick: Callable[[Tick], None] = lambda tick: None,
        on_quote: Callable[[Quote], None] = lambda quote: None,
        on_halt: Callable[[HaltNotice], None] = lambda notice: None,
        on_connected: Callable[[], Awaitable[None]] | None = None,
        expects_data: Callable[[], bool] = lambda: False,
        stale_after_s: float = 5.0,
    ) -> None:
        super().__init__(
            "prices",
            url,
            credentials,
            on_state=on_state,
            on_connected=on_connected,
            expects_data=lambda: bool(self.symbols) and expects_data(),
            stale_after_s=stale_after_s,
        )
        self.symbols: set[str] = set()  # wanted
        self.latest: dict[str, Tick] = {}
        self.quotes: dict[str, Quote] = {}
        self.halted: dict[str, HaltNotice] = {}
        self.errors: list[str] = []  # errors of subscriptions, for the status strip
        self._on_tick, self._on_quote, self._on_halt = on_tick, on_quote, on_halt

    async def subscribe(self, symbols: Collection[str]) -> None:
        """Adds symbols; they stay wanted over reconnects."""
        fresh = sorted(set(symbols) - self.symbols)
        self.symbols.update(fresh)
        await self._change("subscribe", fresh)

    async def unsubscribe(self, symbols: Collection[str]) -> None:
        gone = sorted(set(symbols) & self.symbols)
        self.symbols.difference_update(gone)
        await self._change("unsubscribe", gone)

    async def _change(self, action: str, symbols: list[str]) -> None:
        if symbols and self._socket is not None:
            try:
                await self._send(_subscription(action, symbols))
            except ConnectionClosed:
                log.info("prices: %s of %d symbols waits for the next connection", action, len(symbols))

    # --- words of the stock data stream (ALPACA, section 5) --------------------------------------

    async def _login(self, socket: ClientConnection) -> None:
        await self._expect(socket, "connected")
        await socket.send(
            json.dumps({"action": "auth", "key": self._credentials.key, "secret": self._credentials.secret})
        )
        await self._expect(socket, "authenticated")

    async def _begin(self) -> None:
        if self.symbols:
            await self._send(_subscription("subscribe", sorted(self.symbols)))

    async def _expect(self, socket: ClientConnection, word: str) -> None:
        for item in _items(await socket.recv()):
            if item.get("T") == "error":
                self._on_error(item)
            elif item.get("T") == "success" and item.get("msg") == word:
                return
        raise StreamBroken(f"the price stream did not say '{word}'")

    async def _receive(self, message: str | bytes) -> None:
        for item in _items(message):
            try:
                self._on_item(item)
            except UNREADABLE as error:  # whatever one print is, it must not cost the prices of every position
                self._skip(error)

    def _on_item(self, item: Mapping[str, Any]) -> None:
        kind = item.get("T")
        if kind == "t":
            if NOT_A_LAST_PRICE.isdisjoint(wire.texts(item.get("c"), "c")):
                tick = answers.tick(wire.text(item.get("S"), "S"), item, time.monotonic())
                known = self.latest.get(tick.symbol)
                if known is None or tick.at >= known.at:
                    self.latest[tick.symbol] = tick
                self._guarded(self._on_tick, tick)
        elif kind == "q":
            quote = answers.quote(wire.text(item.get("S"), "S"), item, time.monotonic())
            self.quotes[quote.symbol] = quote
            self._guarded(self._on_quote, quote)
        elif kind == "s":
            self._on_status(item)
        elif kind == "error":
            self._on_error(item)

    def _on_status(self, item: Mapping[str, Any]) -> None:
        code = str(item.get("sc"))
        if code not in HALT_CODES | RESUME_CODES:
            return
        notice = HaltNotice(
            symbol=wire.text(item.get("S"), "S"),
            halted=code in HALT_CODES,
            reason=str(item.get("rm") or item.get("sm") or code)[:200],
            at=wire.instant(item.get("t"), "t"),
        )
        if notice.halted:
            self.halted[notice.symbol] = notice
        else:
            self.halted.pop(notice.symbol, None)
        self._guarded(self._on_halt, notice)

    def _guarded(self, handler: Callable[[Any], None], value: Any) -> None:
        try:
            handler(value)
        except Exception:  # a handler's fault must not lose the rest of the frame or the stream
            log.exception("prices: the handler of %s failed", type(value).__name__)

    def _on_error(self, item: Mapping[str, Any]) -> None:
        """Error classes of ALPACA, section 5: what a repeat can heal, and what only a person can."""
        code, words = item.get("code"), struck(str(item.get("msg", "")))[:200]
        match code:
            case 402:
                raise self._keys_refused()
            case 403:
                return
            case 405 | 400 | 410 | 411:
                self.errors.append(f"{code} {words}")
                del self.errors[:-10]
                log.error("prices: subscription refused: %s %s", code, words)
                self._set(self.state, f"subscription refused: {words} ({code})")
            case 406:
                raise StreamBroken("another session holds the only price connection (406)", SLOT_BACKOFF_S)
            case 409:
                raise StreamRefused("the data plan does not include this feed (409); set broker.feed to iex")
            case _:
                raise StreamBroken(f"the price stream reported {code} {words}".rstrip())


def _subscription(action: str, symbols: list[str]) -> dict[str, Any]:
    return {"action": action, "trades": symbols, "quotes": symbols, "statuses": symbols}


def _items(message: str | bytes) -> list[Mapping[str, Any]]:
    """The objects of one frame; what is not an object is dropped with a log line."""
    try:
        parsed = orjson.loads(message)
    except ValueError:
        log.warning("prices: a frame that is not JSON was skipped")
        return []
    items = parsed if isinstance(parsed, list) else [parsed]
    return [item for item in items if isinstance(item, dict)]
