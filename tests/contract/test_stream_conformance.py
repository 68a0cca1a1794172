"""Both websockets message by message against the wire contract (ALPACA.md, sections 4 and 5).

No published document describes the streams; the shapes below are ALPACA.md's tables. The
order inside an update is the one of REST, and is judged by its published schema where the
documents are at hand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import websockets
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, ReplaceOrderRequest
from execution_rig import MARKET_DATE, until
from jsonschema import Draft202012Validator, FormatChecker
from published import SPECS, published

from engine.broker.broker_types import TradeUpdate
from engine.simulator import Simulator, start

OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
TEXT, NUMBER, WHOLE = {"type": "string", "minLength": 1}, {"type": "number"}, {"type": "integer"}
TIME = {"type": "string", "format": "date-time"}
AMOUNT = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}  # numbers in updates are texts
LETTERS = {"type": "array", "items": {"type": "string"}}


def shape(required: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Exactly these fields: ``required`` ones, and ``more`` that may be absent."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **more},
        "additionalProperties": False,
    }


EVENTS = [
    "new",
    "fill",
    "partial_fill",
    "canceled",
    "expired",
    "done_for_day",
    "replaced",
    "accepted",
    "rejected",
    "pending_new",
    "stopped",
    "pending_cancel",
    "pending_replace",
    "calculated",
    "suspended",
    "order_replace_rejected",
    "order_cancel_rejected",
]
UPDATE = shape(
    {"event": {"enum": EVENTS}, "order": {"type": "object"}, "timestamp": TIME, "at": TIME, "event_id": TEXT},
    position_qty=AMOUNT,
    execution_id=TEXT,
    price=AMOUNT,
    qty=AMOUNT,
    flag=TEXT,  # the simulator's word for a symbol that disappeared
)
CHANNELS = [
    "trades",
    "quotes",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
]
_TRADE = {"S": TEXT, "i": WHOLE, "x": TEXT, "p": NUMBER, "s": WHOLE, "c": LETTERS, "z": TEXT, "t": TIME}
_QUOTE = {"S": TEXT, "bx": TEXT, "bp": NUMBER, "bs": WHOLE, "ax": TEXT, "ap": NUMBER, "as": WHOLE}
_BAR = {"S": TEXT, **dict.fromkeys(("o", "h", "l", "c", "vw"), NUMBER), "v": WHOLE, "n": WHOLE, "t": TIME}
_STATUS = {
    "S": TEXT,
    "sc": {"enum": list("HPQT23")},
    "sm": TEXT,
    "rc": {"type": "string"},
    "rm": {"type": "string"},
}
CODES = [400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 500]
PRICES = {
    "success": shape({"T": TEXT, "msg": {"enum": ["connected", "authenticated"]}}),
    "subscription": shape({"T": TEXT, **dict.fromkeys(CHANNELS, LETTERS)}),
    "error": shape({"T": TEXT, "code": {"enum": CODES}, "msg": TEXT}),
    "t": shape({"T": TEXT, **_TRADE}),
    "q": shape({"T": TEXT, **_QUOTE, "c": LETTERS, "z": TEXT, "t": TIME}),
    "b": shape({"T": TEXT, **_BAR}),
    "s": shape({"T": TEXT, **_STATUS, "z": TEXT, "t": TIME}),
}  # fmt: skip


def broken(schema: dict[str, Any], message: Any) -> list[str]:
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return [f"{e.json_path}: {e.message}" for e in validator.iter_errors(message)]


@pytest.fixture
def sim(tmp_path: Path) -> Any:
    """Monday, a minute after the open."""
    with start(date=MARKET_DATE, symbols=60, folder=tmp_path, trading_limit=10**6, cash=10**6) as simulator:
        simulator.clock(jump_to=OPEN + timedelta(minutes=1), rate=60)
        yield simulator


@asynccontextmanager
async def listening(url: str, *hello: Any) -> AsyncIterator[tuple[Any, list[Any]]]:
    """(socket, frames heard so far): the frames are collected while the block works."""
    async with websockets.connect(url, proxy=None) as socket:
        frames: list[Any] = []

        async def collect() -> None:
            async for frame in socket:
                frames.append(frame)

        task = asyncio.create_task(collect())
        for message in hello:
            await socket.send(json.dumps(message))
        yield socket, frames
        task.cancel()


def names_of(sim: Simulator) -> tuple[TradingClient, list[str]]:
    client = TradingClient(sim.key, sim.secret, url_override=sim.rest_url)
    return client, [
        a.symbol for a in client.get_all_assets() if a.tradable and a.fractionable and not a.attributes
    ]


async def test_every_order_update_has_the_shape_of_the_contract(sim: Simulator) -> None:
    client, names = await asyncio.to_thread(names_of, sim)
    auth = {"action": "auth", "key": sim.key, "secret": sim.secret}
    listen = {"action": "listen", "data": {"streams": ["trade_updates"]}}
    async with listening(sim.trade_stream_url, auth, listen) as (_, frames):
        await until(lambda: len(frames) >= 2, "logged in")
        sim.fault("partial_fill", symbol=names[0])
        sim.fault("reject_order", symbol=names[2])
        await asyncio.to_thread(_trade, client, names)

        def events() -> set[str]:
            return {json.loads(f)["data"].get("event") for f in frames}

        wanted = {
            "pending_new",
            "new",
            "partial_fill",
            "fill",
            "pending_cancel",
            "canceled",
            "replaced",
            "rejected",
        }
        await until(lambda: wanted <= events(), "every event of these orders")
    assert all(isinstance(frame, bytes) for frame in frames)  # binary frames that hold JSON text
    login, heard, *updates = [json.loads(frame) for frame in frames]
    assert login == {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
    assert heard == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
    for message in updates:
        assert set(message) == {"stream", "data"}
        assert message["stream"] == "trade_updates"
        assert broken(UPDATE, message["data"]) == []
        execution = {"execution_id", "price", "qty"} & set(message["data"])
        assert bool(execution) == (message["data"]["event"] in ("fill", "partial_fill"))
        assert len(execution) in (0, 3)
        if SPECS is not None:
            found = published().broken("trading", "Order", message["data"]["order"])
            assert [t for t in found if "source: not" not in t and "subtag: not" not in t] == []
        assert TradeUpdate.parse(message["data"]).order.client_order_id


def _trade(client: TradingClient, names: list[str]) -> None:
    def buy(name: str, **more: Any) -> Any:
        kind = LimitOrderRequest if "limit_price" in more else MarketOrderRequest
        return client.submit_order(
            kind(symbol=name, qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, **more)
        )

    buy(names[0])
    resting = buy(names[1], limit_price=1.01)
    buy(names[2])
    for _ in range(500):
        if client.get_order_by_id(resting.id).status.value == "new":
            break
    replaced = client.replace_order_by_id(resting.id, ReplaceOrderRequest(qty=9))
    client.cancel_order_by_id(replaced.id)


async def test_an_unknown_login_and_nonsense_are_answered_as_the_contract_says(sim: Simulator) -> None:
    wrong = {"action": "authenticate", "data": {"key_id": sim.key, "secret_key": "wrong"}}
    listen = {"action": "listen", "data": {"streams": ["trade_updates"]}}
    async with listening(sim.trade_stream_url, wrong, listen, {"action": "dance"}) as (socket, frames):
        await asyncio.wait_for(socket.wait_closed(), 60)
    assert [json.loads(f) for f in frames] == [
        {"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}},
        {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}},
        {"action": "error", "data": {"error_message": "unknown action dance"}},
    ]


async def test_every_price_message_has_the_shape_of_the_contract(sim: Simulator) -> None:
    _, names = await asyncio.to_thread(names_of, sim)
    auth = {"action": "auth", "key": sim.key, "secret": sim.secret}
    some = names[:3]
    subscribe = {"action": "subscribe", "trades": some, "quotes": some, "bars": some, "statuses": ["*"]}
    url = sim.price_stream_url
    async with listening(url, auth, subscribe, auth, {"action": "dance"}) as (_, frames):
        await until(lambda: len(frames) > 3, "prices")
        sim.fault("halt", symbol=some[0], market_seconds=30)

        def kinds() -> set[str]:
            return {item["T"] for f in frames for item in json.loads(f)}

        await until(lambda: kinds() >= set(PRICES), "every kind of message")
        await until(lambda: sum('"T":"s"' in f for f in frames) >= 2, "a halt and its end")
    for frame in frames:
        assert isinstance(frame, str)  # JSON, because the handshake did not ask for msgpack
        items = json.loads(frame)
        assert isinstance(items, list)
        control = [item for item in items if item["T"] in ("success", "error", "subscription")]
        assert not control or len(items) == 1  # control messages come alone
        for item in items:
            assert broken(PRICES[item["T"]], item) == [], item
    first, second, third = (json.loads(frame)[0] for frame in frames[:3])
    assert (first["msg"], second["msg"], third["T"]) == ("connected", "authenticated", "subscription")
    assert third["trades"] == third["corrections"] == third["cancelErrors"] == sorted(some)


@pytest.mark.parametrize(
    ("code", "messages"),
    [
        (401, [{"action": "subscribe", "trades": ["AAAA"]}]),
        (402, [{"action": "auth", "key": "nobody", "secret": "wrong"}]),
        (400, [{"action": "dance"}]),
    ],
)
async def test_errors_before_the_login_have_their_codes(
    sim: Simulator, code: int, messages: list[dict[str, Any]]
) -> None:
    async with listening(sim.price_stream_url, *messages) as (_, frames):
        await until(lambda: len(frames) >= 2, "an answer")
    error = json.loads(frames[1])[0]
    assert broken(PRICES["error"], error) == []
    assert error["code"] == code
