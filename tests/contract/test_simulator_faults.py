"""Every fault of the simulator as a client sees it: on the wire, on time, and gone afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from execution_rig import MARKET_DATE, endpoints, rest_of, until
from websockets.asyncio.client import connect

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.errors import BrokerUnavailable, OrderRefused, OrderUnknown
from engine.errors import OperatorError, UsageError
from engine.orders_model import OrderIntent, OrderKind
from engine.simulator import Simulator, start, start_process
from engine.simulator.fault_script import ScriptedFault, read_script


def at_ten(folder: Path) -> Simulator:
    """A simulator on Monday, 10:00, at the pace of the world."""
    sim = start_process(date=MARKET_DATE, symbols=60, folder=folder, trading_limit=100_000)
    sim.clock(jump_to=datetime.fromisoformat("2026-11-23T10:00:00-05:00"))
    return sim


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    sim = at_ten(tmp_path_factory.mktemp("shared"))
    yield sim
    sim.stop()


@pytest.fixture
def trading(shared: Simulator) -> Iterator[Simulator]:
    """For faults that leave nothing behind."""
    yield shared
    shared.clear_faults()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Simulator]:
    """For faults that change the day."""
    sim = at_ten(tmp_path / "sim")
    yield sim
    sim.stop()


COUNT = itertools.count(1)


def name_in(sim: Simulator) -> str:
    """A symbol that trades."""
    assets = sim.request("GET", "/v2/assets?status=active")
    return next(a["symbol"] for a in assets if a["tradable"] and not a["attributes"])


def order(sim: Simulator, kind: OrderKind = "market", limit: Decimal | None = None) -> OrderIntent:
    """A buy of ten shares with an id of its own."""
    number, now = next(COUNT), datetime.now(UTC)
    return OrderIntent(
        f"test-{number}",
        MARKET_DATE,
        name_in(sim),
        "buy",
        10,
        kind,
        limit,
        None,
        "day",
        "entry",
        number,
        "test",
        now,
    )


@asynccontextmanager
async def client(sim: Simulator, **settings: Any) -> AsyncIterator[AlpacaRest]:
    rest = rest_of(sim, **settings)
    try:
        yield rest
    finally:
        await rest.close()


@asynccontextmanager
async def price_stream(sim: Simulator) -> AsyncIterator[Any]:
    async with connect(endpoints(sim).price_stream_url, proxy=None) as socket:
        await socket.recv()
        await socket.send(json.dumps({"action": "auth", "key": sim.key, "secret": sim.secret}))
        yield socket


async def heard(socket: Any, kind: str, **fields: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            for item in json.loads(await socket.recv()):
                if item["T"] == kind and all(item.get(k) == v for k, v in fields.items()):
                    return item


async def test_a_halt_stops_prices_and_fills_and_resumes_with_its_gap(own: Simulator) -> None:
    name = name_in(own)
    async with client(own) as rest, price_stream(own) as socket:
        await socket.send(json.dumps({"action": "subscribe", "trades": [name], "statuses": ["*"]}))
        before = (await heard(socket, "t"))["p"]
        own.fault("halt", symbol=name, market_seconds=60, gap_pct=-10.0)
        assert (await heard(socket, "s", S=name))["sc"] == "H"
        sent = await rest.submit(order(own))
        own.clock(rate=20)
        await heard(socket, "s", sc="T")
        after = (await heard(socket, "t"))["p"]
        assert after == pytest.approx(before * 0.9, rel=0.03)
        found = None
        while found is None or not found.ended:
            found = await rest.order_by_client_id(sent.client_order_id)
        assert found.status == "filled"
        assert found.updated_at - sent.submitted_at >= timedelta(seconds=50)


@pytest.mark.parametrize("code", [406, 407, 409])
async def test_the_price_socket_refuses_on_order(trading: Simulator, code: int) -> None:
    async with price_stream(trading) as socket:
        await heard(socket, "success", msg="authenticated")
        trading.fault("socket_error", status=code, times=1)
        if code == 407:
            assert (await heard(socket, "error"))["code"] == 407
            return
    async with price_stream(trading) as second:
        assert (await heard(second, "error"))["code"] == code
    async with price_stream(trading) as third:
        await heard(third, "success", msg="authenticated")


async def test_a_refused_subscription_leaves_the_connection_and_the_others(trading: Simulator) -> None:
    first, second = (a["symbol"] for a in trading.request("GET", "/v2/assets?status=active")[:2])
    async with price_stream(trading) as socket:
        await heard(socket, "success", msg="authenticated")
        await socket.send(json.dumps({"action": "subscribe", "quotes": [first]}))
        await heard(socket, "subscription", quotes=[first])
        trading.fault("socket_error", status=405, times=1)
        await socket.send(json.dumps({"action": "subscribe", "quotes": [second]}))
        assert (await heard(socket, "error"))["code"] == 405
        await socket.send(json.dumps({"action": "unsubscribe", "quotes": [second]}))
        await heard(socket, "subscription", quotes=[first])  # as it was
        await socket.send(json.dumps({"action": "subscribe", "quotes": [second]}))
        await heard(socket, "subscription", quotes=sorted((first, second)))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("held", "insufficient qty available"),
        ("wash_trade", "potential wash trade"),
        ("buying_power", "buying power"),
    ],
)
async def test_an_order_is_refused_in_the_venues_words(trading: Simulator, reason: str, words: str) -> None:
    async with client(trading) as rest:
        trading.fault("refuse_order", reason=reason)
        wanted = order(trading)
        with pytest.raises(OrderRefused, match=words):
            await rest.submit(wanted)
        assert (await rest.submit(wanted)).client_order_id == wanted.client_order_id  # the refusal took no id


async def test_a_connection_that_ends_leaves_the_order_in_doubt(trading: Simulator) -> None:
    async with client(trading) as rest:
        trading.fault("hang_up", method="POST", path="/v2/orders")
        first, second = order(trading), order(trading)
        with pytest.raises(OrderUnknown):
            await rest.submit(first)
        assert await rest.order_by_client_id(first.client_order_id) is None
        trading.fault("hang_up_after_accept", method="POST", path="/v2/orders")
        with pytest.raises(OrderUnknown):
            await rest.submit(second)
        assert await rest.order_by_client_id(second.client_order_id) is not None
        trading.fault("hang_up", method="GET", path="/v2/account", times=9)
        with pytest.raises(BrokerUnavailable):
            await rest.account()


async def test_an_answer_later_than_the_timeout_belongs_to_an_order_that_exists(trading: Simulator) -> None:
    async with client(trading, timeout_s=0.3) as rest:
        trading.fault("slow_after_accept", method="POST", path="/v2/orders", seconds=1.0)
        late = order(trading)
        with pytest.raises(OrderUnknown):
            await rest.submit(late)
        assert await rest.order_by_client_id(late.client_order_id) is not None


async def test_a_request_later_than_the_timeout_arrives_all_the_same(trading: Simulator) -> None:
    """Its sender has given up, and has found nothing: what is under way arrives for all that."""
    async with client(trading, timeout_s=0.3) as rest:
        trading.fault("slow", method="POST", path="/v2/orders", seconds=1.0)
        late = order(trading)
        with pytest.raises(OrderUnknown):
            await rest.submit(late)
        assert await rest.order_by_client_id(late.client_order_id) is None
        await until(lambda: not trading.state()["held_back"], "it has arrived")
        assert await rest.order_by_client_id(late.client_order_id) is not None


async def test_a_lost_cancel_is_taken_and_does_nothing(trading: Simulator) -> None:
    async with client(trading) as rest:
        sent = await rest.submit(order(trading, "limit", limit=Decimal("0.5")))
        trading.fault("lose_cancel")
        assert await rest.cancel(sent.id)
        await asyncio.sleep(0.3)
        assert [o.status for o in await rest.orders("open")] == ["new"]
        assert await rest.cancel(sent.id)
        await until(lambda: trading.request("GET", "/v2/orders?status=open") == [], "cancelled")


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("duplicate_update", ["pending_new", "pending_new", "new", "fill"]),
        ("swap_updates", ["new", "pending_new", "fill"]),
        ("lose_update", ["new", "fill"]),
    ],
)
async def test_updates_are_repeated_swapped_and_lost(trading: Simulator, kind: str, wanted: list[str]) -> None:
    async with client(trading) as rest, connect(endpoints(trading).trade_stream_url, proxy=None) as socket:
        await socket.send(json.dumps({"action": "auth", "key": trading.key, "secret": trading.secret}))
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        await socket.recv()
        await socket.recv()
        trading.fault(kind)
        await rest.submit(order(trading))
        events = []
        async with asyncio.timeout(60):
            while "fill" not in events:
                events.append(json.loads(await socket.recv())["data"]["event"])
        assert events == wanted


async def test_an_early_close_ends_the_session_and_its_day_orders(own: Simulator) -> None:
    async with client(own) as rest:
        own.fault("early_close", market_seconds=60)
        clock = await rest.clock()
        assert clock.next_close - clock.at <= timedelta(seconds=120)
        (session,) = await rest.calendar(MARKET_DATE + timedelta(days=3), MARKET_DATE + timedelta(days=3))
        assert session.close == clock.next_close
        await rest.submit(order(own, "limit", limit=Decimal("0.5")))
        own.clock(rate=60)
        await until(lambda: not own.request("GET", "/v2/clock")["is_open"], "the close")
        assert [o.status for o in await rest.orders("all")] == ["expired"]


async def test_a_skewed_clock_is_off_until_the_faults_are_cleared(trading: Simulator) -> None:
    async with client(trading) as rest:
        true = (await rest.clock()).at
        trading.fault("clock_skew", market_seconds=-90)
        assert (await rest.clock()).at < true - timedelta(seconds=60)
        trading.clear_faults()
        assert (await rest.clock()).at >= true


async def test_the_night_can_be_jumped_over_with_a_position_and_the_session_cannot(own: Simulator) -> None:
    name = name_in(own)
    async with client(own) as rest:
        await rest.submit(order(own))
        await until(lambda: own.request("GET", "/v2/positions"), "the position")
        with pytest.raises(OperatorError, match="no jump over trading hours"):
            own.clock(jump_to=datetime.fromisoformat("2026-11-23T15:00:00-05:00"))
        own.fault("early_close", market_seconds=5)
        own.clock(rate=20)
        await until(lambda: not own.request("GET", "/v2/clock")["is_open"], "the close")
        with pytest.raises(OperatorError, match="no jump"):
            own.clock(jump_to=datetime.fromisoformat("2026-11-24T09:30:00-05:00"))
        clock = own.clock(jump_to=datetime.fromisoformat("2026-11-24T09:29:50-05:00"))
        assert clock["timestamp"].startswith("2026-11-24T09:29:50")
        assert [p.symbol for p in await rest.positions()] == [name]


# --- scripts -------------------------------------------------------------------------------------


def test_a_script_orders_its_faults_at_their_market_times(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(
        '[[fault]]\nkind = "answer"\npath = "/v2/account"\nstatus = 500\ntimes = 1\n'
        '[[fault]]\nat = 09:31:00\nkind = "clock_skew"\nmarket_seconds = 3600\n'
    )
    with start(date=MARKET_DATE, symbols=60, folder=tmp_path / "scripted", faults=script) as sim:
        with pytest.raises(OperatorError, match="internal server error"):
            sim.request("GET", "/v2/account")
        assert sim.request("GET", "/v2/account")["status"] == "ACTIVE"
        assert sim.clock()["timestamp"].startswith("2026-11-20T16:30")
        sim.clock(jump_to=datetime.fromisoformat("2026-11-23T09:30:30-05:00"))
        assert sim.clock()["timestamp"].startswith("2026-11-23T09:30")
        sim.clock(jump_to=datetime.fromisoformat("2026-11-23T09:31:00-05:00"))
        assert sim.clock()["timestamp"].startswith("2026-11-23T10:31")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[fault]\n", "not valid TOML"),
        ("speed = 3\n", r"must hold \[\[fault\]\] tables"),
        ('[[fault]]\nkind = "flood"\n', "fault 1: a fault needs a kind"),
        ('[[fault]]\nkind = "halt"\n', "needs market_seconds"),
        ('[[fault]]\nkind = "drop"\nat = "noon"\n', "fault 1"),
        ('[[fault]]\nkind = "refuse_order"\n', "needs a reason"),
        ('[[fault]]\nkind = "slow"\nseconds = "long"\n', "seconds is a number"),
    ],
)
def test_a_wrong_script_is_refused_with_the_file_and_the_row(tmp_path: Path, text: str, words: str) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_script(script)


def test_a_time_of_day_means_its_next_session_day() -> None:
    friday_evening = datetime.fromisoformat("2026-11-20T21:30:00+00:00")
    days = [MARKET_DATE, MARKET_DATE + timedelta(days=3)]
    fault = ScriptedFault.parse({"kind": "drop", "at": "09:31"})
    assert fault.due_after(friday_evening, days) == datetime.fromisoformat("2026-11-23T14:31:00+00:00")
    with pytest.raises(ValueError, match="no session is left"):
        fault.due_after(friday_evening, days[:1])
    later = ScriptedFault.parse({"kind": "drop", "at": "2026-11-24T09:31:00"})
    assert later.due_after(friday_evening, days) == datetime.fromisoformat("2026-11-24T14:31:00+00:00")
