"""Both streams against the simulator: states, reconnects, subscriptions while live, refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from execution_rig import MARKET_DATE, credentials, rest_of, until
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import TradeUpdate
from engine.broker.credentials import Credentials
from engine.broker.price_stream import PriceStream
from engine.broker.stream_link import SKIPPED
from engine.broker.trade_stream import TradeStream
from engine.model import Tick
from engine.simulator import Simulator, start

MIDDAY = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A market at Monday noon: prints flow."""
    with start(
        date=MARKET_DATE, symbols=60, folder=tmp_path_factory.mktemp("sim"), trading_limit=100_000
    ) as running:
        running.clock(jump_to=MIDDAY, rate=20)
        yield running


@pytest.fixture
async def rest(sim: Simulator) -> AsyncIterator[AlpacaRest]:
    client = rest_of(sim)
    yield client
    await client.close()


class Watched:
    """A price stream whose states and ticks are remembered."""

    def __init__(self, sim: Simulator, keys: Credentials | None = None, stale_after_s: float = 5.0) -> None:
        self.states: list[tuple[str, str]] = []
        self.ticks: list[Tick] = []
        self.connected = 0
        self.stream = PriceStream(
            sim.price_stream_url,
            keys or credentials(sim),
            on_state=lambda name, state, detail: self.states.append((state, detail)),
            on_tick=self.ticks.append,
            on_connected=self._on_connected,
            expects_data=lambda: True,
            stale_after_s=stale_after_s,
        )

    async def _on_connected(self) -> None:
        self.connected += 1

    async def __aenter__(self) -> Watched:
        self.stream.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.stop()


async def symbols_of(rest: AlpacaRest, count: int) -> list[str]:
    return [a.symbol for a in await rest.assets() if a.tradable][:count]


async def test_prints_arrive_in_order_and_subscriptions_change_while_live(
    sim: Simulator, rest: AlpacaRest
) -> None:
    first, second = await symbols_of(rest, 2)
    async with Watched(sim) as watched:
        await watched.stream.subscribe([first])
        await until(lambda: watched.ticks, "a first print")
        await watched.stream.subscribe([second])
        await until(lambda: second in watched.stream.latest, "prints of the second symbol")
        await watched.stream.unsubscribe([first])
        times = [t.at for t in watched.ticks if t.symbol == first]
        assert times == sorted(times)
        assert watched.stream.state == "live"
        assert second in watched.stream.quotes


async def test_after_a_drop_it_reconnects_subscribes_again_and_says_so(sim: Simulator, rest: AlpacaRest) -> None:
    (symbol,) = await symbols_of(rest, 1)
    async with Watched(sim) as watched:
        await watched.stream.subscribe([symbol])
        await until(lambda: watched.ticks, "a first print")
        sim.fault("drop", socket="price")
        await until(lambda: watched.connected == 2, "the second login")
        seen = len(watched.ticks)
        await until(lambda: len(watched.ticks) > seen, "prints after the drop")
        assert "down" in [state for state, _ in watched.states]


async def test_a_mute_socket_becomes_stale_and_live_again(sim: Simulator, rest: AlpacaRest) -> None:
    (symbol,) = await symbols_of(rest, 1)
    async with Watched(sim, stale_after_s=0.5) as watched:
        await watched.stream.subscribe([symbol])
        await until(lambda: watched.ticks, "a first print")
        sim.fault("mute", socket="price", seconds=2.0)
        await until(lambda: watched.stream.state == "stale", "stale")
        await until(lambda: watched.stream.state == "live", "live again")


async def test_wrong_keys_refuse_the_stream_for_good(sim: Simulator) -> None:
    async with Watched(sim, Credentials("PKWRONGWRONG", "SECRETSECRET")) as watched:
        await until(lambda: watched.stream.state == "refused", "refused")
        assert "APCA_API_KEY_ID" in watched.stream.detail
        assert "SECRETSECRET" not in watched.stream.detail


@asynccontextmanager
async def venue_that_says(*frames: str) -> AsyncIterator[str]:
    """A real socket of a venue that greets, takes the keys and then says ``frames``."""

    async def serve_one(socket: ServerConnection) -> None:
        await socket.send('[{"T":"success","msg":"connected"}]')
        await socket.recv()
        for frame in frames:
            await socket.send(frame)
        await socket.wait_closed()

    async with serve(serve_one, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v2/iex"


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (402, "refused", "APCA_API_KEY_ID"),
        (409, "refused", "set broker.feed to iex"),
        (406, "down", "406"),
        (401, "down", "401"),
        (404, "down", "404"),
        (407, "down", "407"),
        (500, "down", "500"),
    ],
)
async def test_errors_at_the_login_refuse_or_are_tried_again(
    sim: Simulator, code: int, state: str, words: str
) -> None:
    async with venue_that_says(f'[{{"T":"error","code":{code},"msg":"no"}}]') as url:
        watched = Watched(sim)
        watched.stream.url = url
        async with watched:
            await until(lambda: watched.stream.state == state, state)
            assert words in watched.stream.detail


async def test_a_taken_slot_is_not_asked_for_again_within_half_a_minute(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "stream prices":
            pauses.append(seconds)
            seconds = 0
        await sleep(seconds)

    async with venue_that_says('[{"T":"error","code":406,"msg":"connection limit exceeded"}]') as url:
        watched = Watched(sim)
        watched.stream.url = url
        monkeypatch.setattr("engine.broker.stream_link.asyncio.sleep", noted)
        async with watched:
            for _ in range(10_000):
                if len(pauses) >= 8:
                    break
                await sleep(0.001)
        monkeypatch.undo()
    assert len(pauses) >= 8
    assert all(30 <= pause <= 120 for pause in pauses)
    assert len(set(pauses)) == len(pauses)  # never in step with others


async def test_too_many_symbols_are_told_and_the_connection_stays(sim: Simulator) -> None:
    login = '[{"T":"success","msg":"authenticated"}]'
    refusal = '[{"T":"error","code":405,"msg":"symbol limit exceeded"}]'
    async with venue_that_says(login, refusal) as url:
        watched = Watched(sim)
        watched.stream.url = url
        async with watched:
            await until(lambda: "symbol limit exceeded" in watched.stream.detail, "the refusal")
            assert (watched.stream.state, watched.connected) == ("live", 1)


async def test_one_broken_message_does_not_lose_the_rest_of_its_frame(sim: Simulator) -> None:
    watched = Watched(sim)
    frame = (
        '[{"T":"t","S":"AAA","p":1.5,"t":"2026-11-23T17:00:00Z"},{"T":"t","S":"AAA","p":"inf","t":"x"},7,'
        '{"T":"t","S":"BBB","p":2.5,"t":"2026-11-23T17:00:00Z"},'
        '{"T":"t","S":"CCC","p":9,"t":"2026-11-23T17:00:00Z","c":["@","Z"]}]'
    )
    await watched.stream._receive(frame)
    assert [t.symbol for t in watched.ticks] == ["AAA", "BBB"]


LOGIN = '[{"T":"success","msg":"authenticated"}]'
PRINT = '{"T":"t","S":"AAA","p":1.5,"t":"2026-11-23T17:00:00Z","c":%s}'


async def test_a_print_that_nobody_foresaw_costs_neither_the_stream_nor_the_next_print(sim: Simulator) -> None:
    odd = [f"[{PRINT % conditions}]" for conditions in ("5", "[[1]]", '{"Z":1}', "[7]")]
    early = '[{"T":"q","S":"AAA","bp":1,"ap":2,"t":"0001-01-01T00:00:00+14:00"}]'
    async with venue_that_says(LOGIN, *odd, early, f"[{PRINT % 'null'},{PRINT % '[]'}]") as url:
        watched = Watched(sim)
        watched.stream.url = url
        async with watched:
            await until(lambda: len(watched.ticks) == 2, "the prints behind the odd ones")
            assert (watched.stream.state, watched.connected, watched.stream.skipped) == ("live", 1, 5)
            told = [detail for state, detail in watched.states if state == "live"]
            assert told == ["", SKIPPED]  # once, however many follow


async def test_a_stream_that_meets_what_nobody_foresaw_says_down_and_connects_again(sim: Simulator) -> None:
    """The login is answered with a number where a list must be; the second time the venue is sound."""
    listens: list[Any] = [5, ["trade_updates"]]
    states: list[tuple[str, str]] = []

    async def serve_one(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"stream":"authorization","data":{"status":"authorized"}}')
        await socket.recv()
        await socket.send(json.dumps({"stream": "listening", "data": {"streams": listens.pop(0)}}))
        await socket.wait_closed()

    async def ignore(update: TradeUpdate) -> None:
        return

    async with serve(serve_one, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        stream = TradeStream(
            f"ws://127.0.0.1:{port}/stream",
            credentials(sim),
            on_update=ignore,
            on_state=lambda name, state, detail: states.append((state, detail)),
        )
        stream.start()
        try:
            await until(lambda: stream.state == "live", "live at the second connection")
        finally:
            await stream.stop()
    assert ("down", "an unexpected error (TypeError); see the log") in states


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
SOUND = {"S": "AAA", "p": 1, "t": "2026-11-23T17:00:00Z", "c": ["@"], "bp": 1, "ap": 2, "sc": "H"}
FIELDS = (
    [("t", name) for name in "Sptc"]
    + [("q", name) for name in ("S", "bp", "ap", "t")]
    + [("s", "sc"), ("s", "rm")]
)
ITEMS = st.builds(lambda field, odd: {"T": field[0], **SOUND, field[1]: odd}, st.sampled_from(FIELDS), JSON)


@settings(max_examples=200)
@given(st.lists(ITEMS, min_size=1, max_size=6))
async def test_no_frame_of_data_ends_a_stream(items: list[Any]) -> None:
    stream = PriceStream("ws://127.0.0.1:9", Credentials("k", "s"), on_state=lambda *_: None)
    await stream._receive(json.dumps([*items, json.loads(PRINT % "null")]))
    assert stream.latest["AAA"].price == Decimal("1.5")


async def test_a_faulty_handler_does_not_lose_the_rest_of_the_frame(sim: Simulator) -> None:
    watched = Watched(sim)

    def fail(tick: Tick) -> None:
        watched.ticks.append(tick)
        raise RuntimeError("a handler's fault")

    watched.stream._on_tick = fail
    one = '{"T":"t","S":"AAA","p":1.5,"t":"2026-11-23T17:00:00Z"}'
    await watched.stream._receive(f"[{one},{one}]")
    assert len(watched.ticks) == 2


async def test_order_updates_arrive_and_a_drop_calls_for_reconcile(sim: Simulator, rest: AlpacaRest) -> None:
    updates: list[TradeUpdate] = []
    connections: list[int] = []

    async def on_update(update: TradeUpdate) -> None:
        updates.append(update)

    async def on_connected() -> None:
        connections.append(1)

    stream = TradeStream(
        sim.trade_stream_url,
        credentials(sim),
        on_update=on_update,
        on_state=lambda *_: None,
        on_connected=on_connected,
    )
    stream.start()
    try:
        assert await stream.wait_live(60)
        (symbol,) = await symbols_of(rest, 1)
        body = {"symbol": symbol, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
        sim.request("POST", "/v2/orders", body)
        await until(lambda: "fill" in [u.event for u in updates], "the fill")
        fill = next(u for u in updates if u.event == "fill")
        assert fill.execution_id
        assert (fill.shares, fill.order.filled) == (1, 1)
        assert fill.at > MIDDAY
        sim.fault("drop", socket="trade")
        await until(lambda: len(connections) == 2, "the second login")
    finally:
        await stream.stop()
