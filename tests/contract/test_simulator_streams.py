"""Both websockets: the alpaca-py streams (msgpack, binary JSON) and a direct JSON client on ``websockets``."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import websockets
from alpaca.data.live import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest
from alpaca.trading.stream import TradingStream
from websockets.asyncio.client import ClientConnection, connect

from engine.simulator import Simulator, start

OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Monday, a minute after the open, at 60 market seconds a second."""
    folder = tmp_path_factory.mktemp("streams")
    with start(date=date(2026, 11, 20), symbols=60, folder=folder, trading_limit=10**6, cash=10**6) as sim:
        sim.clock(jump_to=OPEN + timedelta(minutes=1), rate=60)
        yield sim


@pytest.fixture(scope="module")
def client(market: Simulator) -> TradingClient:
    return TradingClient(market.key, market.secret, url_override=market.rest_url)


@pytest.fixture(scope="module")
def symbols(client: TradingClient) -> list[str]:
    return [a.symbol for a in client.get_all_assets() if a.tradable and not a.attributes and a.fractionable]


def submit(client: TradingClient, symbol: str, **more: Any) -> Any:
    kind = LimitOrderRequest if "limit_price" in more else MarketOrderRequest
    return client.submit_order(
        kind(symbol=symbol, qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, **more)
    )


@asynccontextmanager
async def running(stream: Any) -> AsyncIterator[None]:
    """An alpaca-py stream as a task of this loop."""
    task = asyncio.create_task(stream._run_forever())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await stream.close()


async def heard(queue: asyncio.Queue[Any], true: Callable[[Any], bool]) -> Any:
    """The first message that fits; fails after 60 s."""
    async with asyncio.timeout(60):
        while not true(message := await queue.get()):
            pass
        return message


def wait_for_a_listener(sim: Simulator) -> None:
    """Until the trade stream has somebody to tell; fails after 60 s."""
    deadline = time.monotonic() + 60
    while not sim.state()["streams"]["trade"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- alpaca-py --------------------------------------------------------------------------------


async def test_the_sdk_trading_stream_hears_an_order_become_new_and_fill(
    market: Simulator, client: TradingClient, symbols: list[str]
) -> None:
    stream = TradingStream(market.key, market.secret, url_override=market.trade_stream_url)
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(update: Any) -> None:
        queue.put_nowait(update)

    stream.subscribe_trade_updates(handler)
    async with running(stream):
        await asyncio.to_thread(wait_for_a_listener, market)
        order = await asyncio.to_thread(submit, client, symbols[0])
        events = []
        while not events or events[-1].event != "fill":
            events.append(await heard(queue, lambda u: u.order.id == order.id))
    assert [e.event for e in events] == ["pending_new", "new", "fill"]
    fill = events[-1]
    assert (fill.qty, fill.position_qty) == (10.0, 10.0)
    assert float(fill.order.filled_avg_price) == fill.price
    assert fill.execution_id is not None


async def test_the_sdk_data_stream_gets_typed_trades_quotes_and_bars_over_msgpack(
    market: Simulator, symbols: list[str]
) -> None:
    stream = StockDataStream(market.key, market.secret, url_override=market.price_stream_url)
    trades: asyncio.Queue[Any] = asyncio.Queue()
    quotes: asyncio.Queue[Any] = asyncio.Queue()
    bars: asyncio.Queue[Any] = asyncio.Queue()

    def into(queue: asyncio.Queue[Any]) -> Any:
        async def handler(message: Any) -> None:
            queue.put_nowait(message)

        return handler

    stream.subscribe_trades(into(trades), symbols[0])
    stream.subscribe_quotes(into(quotes), *symbols[:2])
    stream.subscribe_bars(into(bars), symbols[0])
    async with running(stream):
        trade = await heard(trades, lambda t: t.symbol == symbols[0])
        quote = await heard(quotes, lambda q: q.symbol == symbols[1])
        bar = await heard(bars, lambda b: b.symbol == symbols[0])
    assert trade.timestamp.tzinfo is not None
    assert OPEN < trade.timestamp < OPEN + timedelta(hours=7)
    assert trade.price > 0
    assert 0 < quote.bid_price < quote.ask_price
    assert bar.low <= bar.open <= bar.high
    assert bar.timestamp.second == 0


# --- a direct JSON client ---------------------------------------------------------------------


@asynccontextmanager
async def prices(sim: Simulator, *, login: bool = True) -> AsyncIterator[ClientConnection]:
    async with connect(sim.price_stream_url, proxy=None) as socket:
        assert json.loads(await socket.recv()) == [{"T": "success", "msg": "connected"}]
        if login:
            await say(socket, action="auth", key=sim.key, secret=sim.secret)
            assert json.loads(await socket.recv()) == [{"T": "success", "msg": "authenticated"}]
        yield socket


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def until(socket: ClientConnection, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            for message in json.loads(await socket.recv()):
                if true(message):
                    return dict(message)


async def test_json_prices_have_text_times_and_subscriptions_add_and_subtract(
    market: Simulator, symbols: list[str]
) -> None:
    first, second = symbols[:2]
    async with prices(market) as socket:
        await say(socket, action="subscribe", trades=[first], quotes=[first], statuses=["*"])
        answer = await until(socket, lambda m: m["T"] == "subscription")
        assert (answer["trades"], answer["quotes"], answer["statuses"]) == ([first], [first], ["*"])
        assert answer["corrections"] == answer["cancelErrors"] == [first]
        await say(socket, action="subscribe", trades=[second])
        answer = await until(socket, lambda m: m["T"] == "subscription")
        assert answer["trades"] == sorted([first, second])
        trade = await until(socket, lambda m: m["T"] == "t" and m["S"] == first)
        assert datetime.fromisoformat(trade["t"]) > OPEN
        await say(socket, action="unsubscribe", trades=[first, second], quotes=[first])
        answer = await until(socket, lambda m: m["T"] == "subscription")
        assert answer["trades"] == answer["quotes"] == []


async def test_prints_move_forward_and_quotes_enclose_the_trades(market: Simulator, symbols: list[str]) -> None:
    async with prices(market) as socket:
        await say(socket, action="subscribe", trades=[symbols[2]], quotes=[symbols[2]])
        times, quotes = [], {}
        async with asyncio.timeout(60):
            while len(times) < 8:
                for message in json.loads(await socket.recv()):
                    if message["T"] == "q":
                        quotes[message["t"]] = message
                    elif message["T"] == "t":
                        times.append(message["t"])
                        assert quotes[message["t"]]["bp"] <= message["p"] <= quotes[message["t"]]["ap"]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("login", "message", "code"),
    [
        (False, {"action": "auth", "key": "x", "secret": "y"}, 402),
        (False, {"action": "subscribe", "trades": ["AAAA"]}, 401),
        (True, {"action": "auth", "key": "x", "secret": "y"}, 403),
        (True, {"action": "dance"}, 400),
        (True, {"action": "subscribe", "trades": ["no symbol"]}, 400),
        (True, {"action": "subscribe", "trades": ["*"]}, 405),
    ],
)
async def test_price_stream_errors_have_the_venues_codes(
    market: Simulator, login: bool, message: dict[str, Any], code: int
) -> None:
    async with prices(market, login=login) as socket:
        await say(socket, **message)
        assert (await until(socket, lambda m: m["T"] == "error"))["code"] == code


async def test_keys_in_the_handshake_authenticate_the_price_stream(market: Simulator) -> None:
    headers = {"APCA-API-KEY-ID": market.key, "APCA-API-SECRET-KEY": market.secret}
    async with connect(market.price_stream_url, proxy=None, additional_headers=headers) as socket:
        await until(socket, lambda m: m.get("msg") == "authenticated")


async def test_the_trade_stream_says_unauthorized_and_takes_both_forms_of_login(market: Simulator) -> None:
    async with connect(market.trade_stream_url, proxy=None) as socket:
        await say(socket, action="listen", data={"streams": ["trade_updates"]})
        frame = await socket.recv()
        assert isinstance(frame, bytes)
        assert json.loads(frame)["data"] == {"status": "unauthorized", "action": "listen"}
        await say(socket, action="auth", key="x", secret="y")
        assert json.loads(await socket.recv())["data"]["status"] == "unauthorized"
        await say(socket, action="auth", key=market.key, secret=market.secret)
        assert json.loads(await socket.recv())["data"]["status"] == "authorized"
        await say(socket, action="listen", data={"streams": ["trade_updates"]})
        assert json.loads(await socket.recv()) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}


async def test_after_a_drop_nothing_is_replayed_and_rest_has_the_truth(
    market: Simulator, client: TradingClient, symbols: list[str]
) -> None:
    async with connect(market.trade_stream_url, proxy=None) as socket:
        await say(socket, action="auth", key=market.key, secret=market.secret)
        await say(socket, action="listen", data={"streams": ["trade_updates"]})
        assert json.loads(await socket.recv())["stream"] == "authorization"
        assert json.loads(await socket.recv())["stream"] == "listening"
        await asyncio.to_thread(market.fault, "drop", socket="trade")
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 60)
    missed = await asyncio.to_thread(submit, client, symbols[1], limit_price=1.01)
    async with asyncio.timeout(60):  # its own event must be over before anybody listens again
        while (await asyncio.to_thread(client.get_order_by_id, missed.id)).status.value != "new":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with connect(market.trade_stream_url, proxy=None) as socket:
        await say(socket, action="auth", key=market.key, secret=market.secret)
        await say(socket, action="listen", data={"streams": ["trade_updates"]})
        await socket.recv()
        await socket.recv()
        await asyncio.to_thread(client.cancel_order_by_id, missed.id)
        first = json.loads(await asyncio.wait_for(socket.recv(), 60))["data"]
        assert (first["event"], first["order"]["id"]) == ("pending_cancel", str(missed.id))


async def silent(socket: ClientConnection) -> bool:
    """Whether a second passes without a message, once what was under way has arrived."""
    for _ in range(50):
        try:
            await asyncio.wait_for(socket.recv(), 1.0)
        except TimeoutError:
            return True
    return False


async def test_a_mute_price_socket_stays_connected_and_silent(market: Simulator, symbols: list[str]) -> None:
    async with prices(market) as socket:
        await say(socket, action="subscribe", trades=[symbols[0]])
        await until(socket, lambda m: m["T"] == "t")
        await asyncio.to_thread(market.fault, "mute", socket="price", seconds=2)
        assert await silent(socket)
        await asyncio.wait_for(await socket.ping(), 60)
        await until(socket, lambda m: m["T"] == "t")
