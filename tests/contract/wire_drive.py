"""Every REST endpoint of the simulator, asked by the engine's own client, by alpaca-py and by raw HTTP.

``drive`` gives every exchange it had, success and failure; what is judged of them stands in
``test_openapi_conformance``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import requests
from alpaca.data.historical import NewsClient, StockHistoricalDataClient
from alpaca.data.requests import (
    NewsRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
)
from execution_rig import MARKET_DATE, rest_of

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.errors import BrokerError
from engine.broker.order_lane import LaneAnswer, OrderLane
from engine.orders_model import OrderIntent, OrderKind, Side
from engine.simulator import Simulator

OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)  # Monday 09:30
NOBODY = "00000000-0000-4000-8000-000000000000"  # an order id that no order has


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answer and who asked."""

    by: str  # engine, sdk or raw
    response: requests.Response


@dataclass
class Witness:
    """Hears every answer of the clients it listens to."""

    heard: list[Exchange] = field(default_factory=list)

    def listen(self, session: requests.Session, by: str) -> None:
        def hear(response: requests.Response, *_: Any, **__: Any) -> None:
            self.heard.append(Exchange(by, response))

        session.hooks["response"].append(hear)

    def listen_lane(self, lane: OrderLane, by: str) -> None:
        def hear(answer: LaneAnswer) -> None:
            response = requests.Response()
            response.request = requests.Request(answer.method, answer.url, data=answer.sent).prepare()
            response.status_code, response.url = answer.status, answer.url
            response.headers.update(answer.headers)
            response._content = answer.body.encode()
            self.heard.append(Exchange(by, response))

        lane.listeners.append(hear)


class Raw:
    """Plain HTTP, for what neither client would send."""

    def __init__(self, sim: Simulator, witness: Witness, *, secret: str = "") -> None:
        self._origin = sim.rest_url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": secret or sim.secret})
        witness.listen(self._session, "raw")

    def __call__(self, method: str, path: str, body: Any = None, **query: str) -> requests.Response:
        return self._session.request(method, self._origin + path, params=query, json=body, timeout=10)


def every_request(symbol: str, order_id: str) -> list[tuple[str, str, Any, dict[str, str]]]:
    """One well-formed request to each public route: (method, path, body, query)."""
    day = MARKET_DATE.isoformat()
    order = {"symbol": symbol, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    return [
        ("GET", "/v2/account", None, {}),
        ("GET", "/v2/account/configurations", None, {}),
        ("GET", "/v2/assets", None, {"status": "active"}),
        ("GET", f"/v2/assets/{symbol}", None, {}),
        ("GET", "/v2/clock", None, {}),
        ("GET", "/v2/calendar", None, {"start": day, "end": day}),
        ("POST", "/v2/orders", order, {}),
        ("GET", "/v2/orders", None, {"status": "all", "limit": "500", "direction": "asc"}),
        ("DELETE", "/v2/orders", None, {}),
        ("GET", "/v2/orders:by_client_order_id", None, {"client_order_id": "x"}),
        ("GET", f"/v2/orders/{order_id}", None, {}),
        ("PATCH", f"/v2/orders/{order_id}", {"qty": "2"}, {}),
        ("DELETE", f"/v2/orders/{order_id}", None, {}),
        ("GET", "/v2/positions", None, {}),
        ("DELETE", "/v2/positions", None, {}),
        ("GET", f"/v2/positions/{symbol}", None, {}),
        ("DELETE", f"/v2/positions/{symbol}", None, {}),
        ("GET", "/v2/stocks/bars", None, {"symbols": symbol, "timeframe": "1Day", "start": day}),
        ("GET", "/v2/stocks/bars/latest", None, {"symbols": symbol}),
        ("GET", "/v2/stocks/trades/latest", None, {"symbols": symbol}),
        ("GET", "/v2/stocks/quotes/latest", None, {"symbols": symbol}),
        ("GET", "/v2/stocks/snapshots", None, {"symbols": symbol}),
        ("GET", "/v1beta1/news", None, {"symbols": symbol}),
    ]


async def drive(sim: Simulator, narrow: Simulator, witness: Witness) -> None:
    """Asks everything. ``sim`` stands on Friday evening; ``narrow`` allows one request a minute of each kind."""
    raw = Raw(sim, witness)
    rest = rest_of(sim)
    for client in (rest._trading_client, rest._data_client, rest._news_client):
        witness.listen(client._session, "engine")
    witness.listen_lane(rest._lane, "engine")
    names = await _engine_reads(rest)
    _sdk_reads(sim, witness, names)
    sim.clock(jump_to=OPEN + timedelta(minutes=1), rate=20)
    await _engine_trades(rest, names[0])
    _sdk_trades(sim, witness, names[1:4])
    _refusals(raw, sim, names)
    wrong, spent = Raw(sim, witness, secret="wrong"), Raw(narrow, witness)
    for path in ("/v2/clock", "/v1beta1/news"):
        spent("GET", path)  # the only request of this minute that is answered
    for method, path, body, query in every_request(names[0], NOBODY):
        wrong(method, path, body, **query)
        spent(method, path, body, **query)
    for status in (500, 504):
        sim.fault("answer", path="/v2/clock", status=status)
        raw("GET", "/v2/clock")
    await rest.close()


async def _engine_reads(rest: AlpacaRest) -> list[str]:
    """All of the engine's questions; symbols that trade and cost a few dollars."""
    await rest.account()
    await rest.clock()
    await rest.calendar(date(2026, 11, 23), date(2026, 11, 29))
    symbols = [a.symbol for a in await rest.assets() if a.tradable and not a.attributes]
    bars = await rest.daily_bars(symbols, date(2026, 1, 2), MARKET_DATE, "sip")
    await rest.latest_quotes([*symbols[:5], "NOSUCH"])
    await rest.latest_trades([*symbols[:5], "NOSUCH"])
    await rest.news(symbols, datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 20, 21, 30, tzinfo=UTC))
    await rest.orders("open")
    await rest.orders("all", after=datetime(2026, 11, 1, tzinfo=UTC))
    await rest.positions()
    last = [b for b in bars if b.session == MARKET_DATE and 3 < b.close < 200]
    return [b.symbol for b in sorted(last, key=lambda b: -b.volume * b.close)]


async def _engine_trades(rest: AlpacaRest, symbol: str) -> None:
    """Each kind of order that the engine sends, its look-up, cancel and refusals."""
    quote = (await rest.latest_quotes([symbol]))[symbol]
    far = (quote.bid * Decimal("0.8")).quantize(Decimal("0.01"))
    bought = await rest.submit(_intent(symbol, "buy", "limit", limit=quote.ask + 1))
    await _until(lambda: rest.order_by_client_id(bought.client_order_id), lambda o: o.status == "filled")
    stop = await rest.submit(_intent(symbol, "sell", "stop", stop=far))
    await _until(lambda: rest.order_by_client_id(stop.client_order_id), lambda o: o.status == "new")
    await rest.orders("open")
    await rest.positions()
    await rest.account()
    with suppress(BrokerError):  # 403: the shares are held by the stop
        await rest.submit(_intent(symbol, "sell", "market"))
    with suppress(BrokerError):  # 422: the id is taken
        await rest.submit(_intent(symbol, "sell", "stop", stop=far, number=int(stop.client_order_id[-4:])))
    assert await rest.order_by_client_id("tsh-nobody") is None
    assert await rest.cancel(stop.id)
    await _until(lambda: rest.order_by_client_id(stop.client_order_id), lambda o: o.ended)
    assert not await rest.cancel(stop.id)
    sold = await rest.submit(_intent(symbol, "sell", "market"))
    await _until(lambda: rest.order_by_client_id(sold.client_order_id), lambda o: o.status == "filled")
    await rest.submit(_intent(symbol, "buy", "limit", limit=far))
    assert await rest.cancel_all()
    await rest.orders("all")


def _sdk_reads(sim: Simulator, witness: Witness, names: list[str]) -> None:
    trading, data = _sdk(sim, witness)
    news = NewsClient(sim.key, sim.secret, url_override=sim.rest_url)
    witness.listen(news._session, "sdk")
    trading.get_account()
    trading.get_account_configurations()
    trading.get_clock()
    trading.get_calendar(GetCalendarRequest(start=date(2026, 11, 23), end=date(2026, 11, 29)))
    trading.get_all_assets(GetAssetsRequest())
    trading.get_asset(names[0])
    some = names[:3]
    since = datetime(2026, 10, 1, tzinfo=UTC)
    data.get_stock_bars(StockBarsRequest(symbol_or_symbols=some, timeframe=TimeFrame.Day, start=since))
    data.get_stock_bars(StockBarsRequest(symbol_or_symbols=some, timeframe=TimeFrame.Minute, limit=50))
    data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=some))
    data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=some))
    data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=some))
    data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=some))
    news.get_news(NewsRequest(start=since, limit=60, include_content=True))


def _sdk_trades(sim: Simulator, witness: Witness, names: list[str]) -> None:
    trading, _ = _sdk(sim, witness)
    held, resting, other = names
    buys = [
        trading.submit_order(
            MarketOrderRequest(symbol=name, qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
        )
        for name in (held, other)
    ]
    for order in buys:
        _wait(lambda order=order: trading.get_order_by_id(order.id).status.value == "filled")
    limit = LimitOrderRequest(
        symbol=resting, qty=5, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=1.01
    )
    placed = trading.submit_order(limit)
    _wait(lambda: trading.get_order_by_id(placed.id).status.value == "new")
    replaced = trading.replace_order_by_id(placed.id, ReplaceOrderRequest(qty=6))
    trading.get_order_by_client_id(replaced.client_order_id)
    trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, symbols=names, nested=True))
    trading.get_all_positions()
    trading.get_open_position(held)
    trading.close_position(held, ClosePositionRequest(percentage="50"))
    trading.cancel_order_by_id(replaced.id)
    _wait(lambda: trading.get_order_by_id(replaced.id).status.value == "canceled")
    trading.submit_order(limit)
    sim.fault("refuse_cancel", symbol=resting)
    trading.cancel_orders()
    trading.cancel_orders()
    sim.fault("refuse_order", reason="held", symbol=other)
    trading.close_all_positions(cancel_orders=True)
    trading.close_all_positions(cancel_orders=True)
    _wait(lambda: trading.get_all_positions() == [])


def _refusals(raw: Raw, sim: Simulator, names: list[str]) -> None:
    """404 and 422 of every route that has them, 400 of the data, 403 in each of the venue's words."""
    symbol = names[4]
    order = {"symbol": symbol, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    for path in (f"/v2/orders/{NOBODY}", f"/v2/positions/{symbol}", "/v2/assets/NOSUCH"):
        raw("GET", path)
    raw("GET", "/v2/orders:by_client_order_id", client_order_id="nobody")
    raw("PATCH", f"/v2/orders/{NOBODY}", {"qty": "1"})
    raw("DELETE", f"/v2/orders/{NOBODY}")
    raw("DELETE", f"/v2/positions/{symbol}")
    raw("POST", "/v2/orders", order | {"symbol": "NOSUCH"})
    raw("POST", "/v2/orders", order | {"side": "sell"})
    raw("POST", "/v2/orders", order | {"type": "limit", "limit_price": "10.001"})
    raw("POST", "/v2/orders", order | {"qty": "9999999"})
    for reason in ("held", "wash_trade", "buying_power", "not_tradable"):
        sim.fault("refuse_order", reason=reason, symbol=symbol)
        raw("POST", "/v2/orders", order)
    ended = raw("POST", "/v2/orders", order | {"client_order_id": "ended"}).json()["id"]
    _wait(lambda: raw("GET", f"/v2/orders/{ended}").json()["status"] == "filled")
    raw("PATCH", f"/v2/orders/{ended}", {"qty": "2"})
    raw("DELETE", f"/v2/orders/{ended}")
    raw("DELETE", f"/v2/positions/{symbol}", percentage="100")
    raw("GET", "/v2/stocks/bars", symbols=symbol, timeframe="1Day", adjustment="none")
    raw("GET", "/v2/stocks/quotes/latest", symbols="a b")
    raw("GET", "/v2/stocks/bars", symbols="NOSUCH", timeframe="1Day")


def _sdk(sim: Simulator, witness: Witness) -> tuple[TradingClient, StockHistoricalDataClient]:
    trading = TradingClient(sim.key, sim.secret, url_override=sim.rest_url)
    data = StockHistoricalDataClient(sim.key, sim.secret, url_override=sim.rest_url)
    for client in (trading, data):
        client._retry = 0
        witness.listen(client._session, "sdk")
    return trading, data


_numbers = iter(range(1000, 10_000))


def _intent(
    symbol: str,
    side: Side,
    kind: OrderKind,
    *,
    limit: Decimal | None = None,
    stop: Decimal | None = None,
    number: int | None = None,
) -> OrderIntent:
    attempt = next(_numbers) if number is None else number
    return OrderIntent(
        client_order_id=f"tsh-00000000-20261123-{symbol}-{'entry' if side == 'buy' else 'exit'}-{attempt}",
        session=date(2026, 11, 23),
        symbol=symbol,
        side=side,
        shares=10,
        kind=kind,
        limit_price=limit,
        stop_price=stop,
        time_in_force="day",
        leg="entry" if side == "buy" else "exit",
        attempt=attempt,
        why="conformance",
        at=datetime.now(UTC),
    )


async def _until(ask: Callable[[], Any], true: Callable[[Any], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true(await ask()):
        assert time.monotonic() < deadline, "the order never came there"


def _wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.02)
