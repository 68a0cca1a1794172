"""The simulator's one HTTP origin: who may ask, how often, what goes wrong on order, and all routes.

Every answer carries the rate-limit headers. Limits count wall minutes: market time may run
fast, a client's request budget does not.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from engine.simulator.faults import Fault
from engine.simulator.orders import VenueError
from engine.simulator.price_socket import PriceSocket
from engine.simulator.request_book import SWITCHED
from engine.simulator.rest_control import ControlRoutes
from engine.simulator.rest_market_data import MarketDataRoutes
from engine.simulator.rest_trading import TradingRoutes
from engine.simulator.trade_socket import TradeSocket
from engine.simulator.venue import Venue
from engine.simulator.wire import answer

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LONGEST_LINE = 64 * 1024  # bytes of a request line: several thousand symbols
_MESSAGES = {401: "unauthorized.", 429: "too many requests.", 500: "internal server error occurred"}


@dataclass
class RateLimit:
    """Requests a window of wall time; ``take`` counts one and says whether it still fits."""

    limit: int
    window_s: float = 60.0
    used: int = 0
    resets_at: float = 0.0  # unix seconds

    def take(self) -> bool:
        now = time.time()
        if now >= self.resets_at:
            self.used, self.resets_at = 0, now + self.window_s
        self.used += 1
        return self.used <= self.limit

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str(int(self.resets_at) + 1),
        }


class Border:
    """Keys, rate limits and faults in front of every REST handler."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._trading = RateLimit(venue.options.trading_limit, venue.options.limit_window_s)
        self._data = RateLimit(venue.options.data_limit, venue.options.limit_window_s)
        self.heard_at = time.monotonic()  # when anybody last asked for anything

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.heard_at = time.monotonic()
        path = request.path
        if (
            path.startswith("/sim/")
            or path == "/stream"
            or request.headers.get("Upgrade", "").lower() == "websocket"
        ):
            if not path.startswith("/sim/"):
                self._venue.asked.note(request.method, _route(request), SWITCHED)
            return await self._handled(request, handler)
        limit = self._data if path.startswith(("/v2/stocks", "/v1beta1")) else self._trading
        fits = limit.take()
        response = await self._guarded(request, handler) if fits else _failure(429)
        response.headers.update(limit.headers())
        self._venue.asked.note(request.method, _route(request), response.status)
        return response

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._known(request):
            return _failure(401)
        faults, asked = self._venue.faults, (request.method, request.path)
        await request.read()  # what has arrived takes effect, however soon its sender hangs up
        slow = faults.take_answer("slow", *asked)
        if slow is not None:
            faults.held_back += 1
            try:
                await asyncio.sleep(slow.seconds)
            finally:
                faults.held_back -= 1
        wrong = faults.take_answer("answer", *asked)
        if wrong is not None:
            return _failure(wrong.status)
        echoed = faults.take_answer("echo", *asked)
        if echoed is not None:
            return _echo(request, echoed.status)
        if faults.take_answer("hang_up", *asked) is not None:
            return _hung_up(request)
        lost = faults.take_answer("answer_after_accept", *asked)
        late = faults.take_answer("slow_after_accept", *asked)
        drip = faults.take_answer("drip", *asked)
        cut = faults.take_answer("hang_up_after_accept", *asked)
        response = await self._handled(request, handler)
        if late is not None:
            await asyncio.sleep(late.seconds)
        if cut is not None:
            return _hung_up(request)
        if drip is not None:
            return await _dripped(request, response, drip.seconds)
        return response if lost is None else _failure(lost.status)

    def _known(self, request: web.Request) -> bool:
        options, headers = self._venue.options, request.headers
        key, secret = headers.get("APCA-API-KEY-ID", ""), headers.get("APCA-API-SECRET-KEY", "")
        return hmac.compare_digest(key.encode(), options.key.encode()) and hmac.compare_digest(
            secret.encode(), options.secret.encode()
        )

    @staticmethod
    async def _handled(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except VenueError as refusal:
            return answer(refusal.body, refusal.http)
        except web.HTTPException as error:
            return answer({"code": 40410000, "message": "endpoint not found."}, error.status)
        except Exception:  # one broken answer must not end the venue; the log has the rest
            log.exception("%s %s failed", request.method, request.path)
            return _failure(500)


def _route(request: web.Request) -> str:
    """The path that was asked, with ``{}`` for what varies in it."""
    resource = request.match_info.route.resource
    return request.path if resource is None else re.sub(r"\{[^}]*\}", "{}", resource.canonical)


def _hung_up(request: web.Request) -> web.Response:
    """Ends the connection; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _dripped(request: web.Request, answer: web.StreamResponse, seconds: float) -> web.StreamResponse:
    """The same answer, spread over ``seconds``: no single read of it takes long."""
    text = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
    slow = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
    slow.content_length = len(text)
    try:
        await slow.prepare(request)
        for byte in text:
            await asyncio.sleep(seconds / len(text))
            await slow.write(bytes((byte,)))
    except ConnectionError:
        log.info("%s %s: who asked did not wait for the end", request.method, request.path)
    return slow


def _echo(request: web.Request, status: int) -> web.Response:
    """What no gateway should say, and some do."""
    sent = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
    if status == 200:
        return web.Response(text=f"<html><body>you sent {sent}</body></html>", content_type="text/html")
    return answer({"code": 40010000, "message": f"cannot be processed, you sent {sent}"}, status)


def _failure(status: int) -> web.Response:
    """An error without a numeric code; gateway errors are HTML, as from a proxy."""
    if status in (502, 503, 504):
        return web.Response(
            text=f"<html><body>{status} gateway error</body></html>", status=status, content_type="text/html"
        )
    return answer({"message": _MESSAGES.get(status, "request failed")}, status)


@dataclass
class Server:
    """A venue on its socket."""

    venue: Venue
    runner: web.AppRunner
    port: int
    ticking: asyncio.Task[None]
    border: Border

    @property
    def silent_s(self) -> float:
        """Wall seconds since the last request."""
        return time.monotonic() - self.border.heard_at

    @property
    def origin(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def close(self) -> None:
        self.ticking.cancel()
        await asyncio.wait({self.ticking})
        self.venue.order_fault(Fault("drop"))
        await self.runner.cleanup()
        self.venue.close()


async def serve(venue: Venue, port: int = 0) -> Server:
    """Listens on loopback (``port`` 0: any free one) and starts market time."""
    border = Border(venue)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await border(request, handler)

    app = web.Application(middlewares=[guard], client_max_size=1 << 20)
    trades, prices = TradeSocket(venue), PriceSocket(venue)
    app.add_routes(
        [
            *TradingRoutes(venue).routes(),
            *MarketDataRoutes(venue).routes(),
            *ControlRoutes(venue).routes(),
            web.get("/stream", trades.serve),
            web.get(r"/v2/{feed:iex|sip|delayed_sip|test}", prices.serve),
        ]
    )
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=1.0, max_line_size=LONGEST_LINE, max_field_size=LONGEST_LINE
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound: int = runner.addresses[0][1]
    return Server(venue, runner, bound, asyncio.create_task(venue.run()), border)
