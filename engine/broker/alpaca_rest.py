"""Alpaca's REST in typed values, over alpaca-py in raw mode.

Raw mode, because one unknown enum in a list makes the typed SDK call fail for all of it.
Pages are followed here, one budgeted and retried request at a time. Orders carry our
client id and are sent exactly once by ``submit``; who gets ``OrderUnknown`` looks the
order up with ``order_by_client_id`` and never sends it again blindly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from alpaca.common.rest import RESTClient
from alpaca.data.historical.news import NewsClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.trading.client import TradingClient

from engine.broker import answers, wire
from engine.broker.broker_types import Account, BrokerOrder, BrokerPosition, ClockReading
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.broker.errors import BrokerError, BrokerUnavailable, NotFound, RequestRefused
from engine.broker.order_lane import OrderLane
from engine.broker.rate_limit import RequestBudget
from engine.broker.transport import Call, Transport, harden
from engine.model import NEW_YORK, Asset, DailyBar, NewsArticle, Quote, Session, Tick
from engine.settings import BrokerSettings

BAR_PAGE, NEWS_PAGE, ORDER_PAGE = 10_000, 50, 500
DATA_CEILING = 10_000  # requests a minute of the largest data plan; the headers tell the plan's own
WARM_AT_MOST = 4  # connections kept open for exits: the day's names
_PAGES_AT_MOST = 2_000  # a server that never ends its pages is broken

T = TypeVar("T")


class OrderToSend(Protocol):
    """What ``submit`` needs of an order intent."""

    @property
    def client_order_id(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def shares(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def limit_price(self) -> Decimal | None: ...
    @property
    def stop_price(self) -> Decimal | None: ...
    @property
    def time_in_force(self) -> str: ...


class AlpacaRest:
    """One account. Every method may raise a BrokerError; none raises anything else for what the broker did."""

    def __init__(self, settings: BrokerSettings, endpoints: Endpoints, credentials: Credentials) -> None:
        self.endpoints = endpoints
        self.feed = settings.feed
        self.bar_requests = 0  # requests for bars sent so far
        key, secret = credentials.key, credentials.secret
        trading_url, data_url = endpoints.trading_url, endpoints.data_url
        self._trading_client = TradingClient(key, secret, raw_data=True, url_override=trading_url)
        self._data_client = StockHistoricalDataClient(key, secret, raw_data=True, url_override=data_url)
        self._news_client = NewsClient(key, secret, raw_data=True, url_override=data_url)
        self.trading = Transport(
            "the broker", RequestBudget(settings.requests_per_minute, settings.exit_reserve), settings.timeout_s
        )
        self.data = Transport(
            "the market-data service",
            RequestBudget(settings.requests_per_minute, ceiling=DATA_CEILING),
            settings.timeout_s,
        )
        for client, url, transport in (
            (self._trading_client, trading_url, self.trading),
            (self._data_client, data_url, self.data),
            (self._news_client, data_url, self.data),
        ):
            harden(client, url, settings.timeout_s)
            client._session.hooks["response"].append(transport.hear)
        self._lane = OrderLane(
            self._trading_client,
            trading_url,
            settings.timeout_s,
            self.trading.whole_s,
            lambda answer: self.trading.heard(answer.status, answer.headers),
        )

    async def close(self) -> None:
        await self._lane.close()
        self.trading.close()
        self.data.close()
        for client in (self._trading_client, self._data_client, self._news_client):
            await asyncio.to_thread(client._session.close)

    async def keep_warm(self, connections: int) -> None:
        """Uses so many connections at once, so that as many exits at once find one open.

        A new one costs its handshakes, to a real broker tens of milliseconds. One small request each; a broker
        that does not answer is not told here.
        """
        call = Call("the clock", partial(self._lane.send, "GET", "/clock"), is_exit=True)
        asked = (self.trading.call(call) for _ in range(min(connections, WARM_AT_MOST)))
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, BrokerError):
                raise answer

    # --- account, calendar ---------------------------------------------------------------------

    async def account(self, *, is_exit: bool = False) -> Account:
        return await self._read("the account", self._trading_client.get_account, Account.parse, is_exit=is_exit)

    async def clock(self) -> ClockReading:
        """May use the exits' reserve: exits and flatten ask whether the market is open before they sell."""
        return await self._read("the clock", self._trading_client.get_clock, ClockReading.parse, is_exit=True)

    async def calendar(self, start: date, end: date) -> list[Session]:
        """Sessions from ``start`` to ``end`` inclusive, ascending; the broker's New York times as UTC."""
        query = {"start": start.isoformat(), "end": end.isoformat()}
        return await self._read(
            "the calendar", lambda: self._trading_client.get("/calendar", query), answers.sessions
        )

    async def assets(self) -> list[Asset]:
        """Every active US equity."""
        query = {"status": "active", "asset_class": "us_equity"}
        return await self._read(
            "the asset list", lambda: self._trading_client.get("/assets", query), answers.assets
        )

    # --- market data ---------------------------------------------------------------------------

    async def daily_bars(
        self, symbols: Sequence[str], start: date, end: date, feed: str, *, adjustment: str = "split"
    ) -> list[DailyBar]:
        """Daily bars of ``symbols`` for the sessions ``start``..``end`` inclusive, all pages.

        Symbols without data are absent. Bars are as sent: ``DailyBar.fault`` tells which must not be used.
        """
        query = {
            "symbols": ",".join(symbols),
            "timeframe": "1Day",
            "start": _midnight(start),
            "end": _midnight(end),
            "adjustment": adjustment,
            "feed": feed,
            "sort": "asc",
        }
        return await self._pages("/stocks/bars", query, BAR_PAGE, answers.bars)

    async def latest_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        return await self._latest("quotes", symbols, answers.quotes)

    async def latest_trades(self, symbols: Sequence[str]) -> dict[str, Tick]:
        return await self._latest("trades", symbols, answers.ticks)

    async def news(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[NewsArticle]:
        """Articles about ``symbols`` between two UTC times, newest first as sent, all pages."""
        query = {"symbols": ",".join(symbols), "start": _utc(start), "end": _utc(end), "sort": "desc"}
        return await self._pages("/news", query, NEWS_PAGE, answers.articles)

    # --- orders and positions ------------------------------------------------------------------

    async def submit(self, order: OrderToSend, *, last_look: Callable[[], None] = lambda: None) -> BrokerOrder:
        """Sends one order, once. ``last_look`` runs right before, with the connection open, and may raise.

        Raises OrderRefused (it does not exist), DuplicateOrderId, OrderUnknown (look it up),
        RateLimited or BrokerUnavailable (it did not leave), AuthRefused.
        """
        body = {
            "symbol": order.symbol,
            "qty": str(order.shares),
            "side": order.side,
            "type": order.kind,
            "time_in_force": order.time_in_force,
            "client_order_id": order.client_order_id,
        }
        if order.side == "sell":
            body["position_intent"] = "sell_to_close"  # a sale too many is refused where it would open a short
        if order.limit_price is not None:
            body["limit_price"] = f"{order.limit_price:f}"
        if order.stop_price is not None:
            body["stop_price"] = f"{order.stop_price:f}"

        async def post() -> BrokerOrder:
            raw = await self._lane.send("POST", "/orders", body, last_look)
            answered = BrokerOrder.parse(wire.record(raw, "order"))
            if answered.client_order_id != order.client_order_id:
                raise wire.MalformedAnswer("the answer is about another order")
            return answered

        call = Call(
            f"the order {order.client_order_id}",
            post,
            is_read=False,
            sends_order=True,
            is_exit=order.side == "sell",
        )
        return await self.trading.call(call)

    async def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """The order, or None when the broker has none with this id.

        May use the exits' reserve, for a buy too: nothing is flat while an order is in doubt.
        """
        try:
            return await self._read(
                "an order",
                lambda: self._trading_client.get_order_by_client_id(client_order_id),
                BrokerOrder.parse,
                is_exit=True,
            )
        except NotFound:
            return None

    async def orders(self, status: str = "open", after: datetime | None = None) -> list[BrokerOrder]:
        """Orders with ``status`` open, closed or all, submitted after a UTC time; oldest first, complete."""
        found: dict[str, BrokerOrder] = {}
        while True:
            query: dict[str, Any] = {"status": status, "limit": ORDER_PAGE, "direction": "asc"}
            if after is not None:
                query["after"] = _utc(after)
            page = await self._read(
                "orders", partial(self._trading_client.get, "/orders", query), answers.orders, is_exit=True
            )
            fresh = [order for order in page if order.id not in found]
            found.update((order.id, order) for order in fresh)
            if len(page) < ORDER_PAGE or not fresh:
                return list(found.values())
            after = max(order.submitted_at for order in page)  # the last one, but it may be unreadable

    async def cancel(self, order_id: str) -> bool:
        """Asks for a cancel; False when the order had already ended. The terminal status comes later."""
        call: Call[None] = Call(
            "a cancel",
            partial(self._lane.send, "DELETE", f"/orders/{quote(order_id, safe='')}"),
            is_read=False,
            is_exit=True,
        )
        try:
            await self.trading.call(call)
        except RequestRefused as refusal:
            if refusal.status in (404, 422):
                return False
            raise
        return True

    async def close_position(self, symbol: str) -> BrokerOrder:
        """Asks the broker to close a whole position by a market order, also a fraction or a short one.

        Raises as an order does: OrderRefused, or OrderUnknown when nobody knows whether it exists.
        """
        path = f"/positions/{quote(symbol, safe='')}"

        def close() -> BrokerOrder:
            return BrokerOrder.parse(wire.record(self._trading_client.delete(path), "an order"))

        call = Call(
            f"closing {symbol}",
            partial(self.trading.in_thread, close, closes=True),
            is_read=False,
            sends_order=True,
            is_exit=True,
        )
        return await self.trading.call(call)

    async def cancel_all(self) -> list[tuple[str, int]]:
        """Asks to cancel every open order of the account, foreign ones too: (order id, status) of each."""

        def cancel_them() -> list[tuple[str, int]]:
            return answers.cancels(self._trading_client.cancel_orders())

        call = Call(
            "cancel all",
            partial(self.trading.in_thread, cancel_them, closes=True),
            is_read=False,
            is_exit=True,
        )
        return await self.trading.call(call)

    async def positions(self) -> list[BrokerPosition]:
        """Every position of the account, unreadable ones too. A failed query raises: it is never 'flat'."""
        return await self._read(
            "positions", self._trading_client.get_all_positions, answers.positions, is_exit=True
        )

    # --- inside --------------------------------------------------------------------------------

    async def _read(
        self, what: str, ask: Callable[[], Any], parse: Callable[[Any], T], *, is_exit: bool = False
    ) -> T:
        """Asks and parses in a worker thread, so that a long list does not hold up the event loop."""

        def asked() -> T:
            return parse(ask())

        return await self.trading.call(Call(what, partial(self.trading.in_thread, asked), is_exit=is_exit))

    async def _latest(
        self, what: str, symbols: Sequence[str], parse: Callable[[Any], dict[str, T]]
    ) -> dict[str, T]:
        if not symbols:
            return {}
        query = {"symbols": ",".join(symbols), "feed": self.feed}
        path = f"/stocks/{what}/latest"

        def asked() -> dict[str, T]:
            return parse(self._data_client.get(path, query))

        return await self.data.call(
            Call(f"market data ({what})", partial(self.data.in_thread, asked), is_exit=True)
        )

    async def _pages(
        self, path: str, query: Mapping[str, Any], size: int, parse: Callable[[Any], list[T]]
    ) -> list[T]:
        client = self._news_client if path == "/news" else self._data_client
        rows: list[T] = []
        token: str | None = None
        for _ in range(_PAGES_AT_MOST):
            asked = {**query, "limit": size} | ({"page_token": token} if token else {})
            read = partial(self._page, client, path, asked, parse)
            page, following = await self.data.call(
                Call(f"market data ({path})", partial(self.data.in_thread, read))
            )
            rows += page
            if following is None:
                return rows
            if following == token:
                break
            token = following
        raise BrokerUnavailable(f"the market-data service does not end its pages of {path}; try again later")

    def _page(
        self, client: RESTClient, path: str, asked: dict[str, Any], parse: Callable[[Any], list[T]]
    ) -> tuple[list[T], str | None]:
        if path == "/stocks/bars":
            self.bar_requests += 1
        raw = wire.record(client.get(path, asked), "a page")
        following = raw.get("next_page_token")
        return parse(raw), None if following is None else wire.text(following, "next_page_token", 4096)


def _midnight(day: date) -> str:
    return _utc(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK))


def _utc(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("a naive datetime must not cross the broker border")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
