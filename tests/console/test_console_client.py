"""The client's side of the control channel, against the engine's own server."""

from __future__ import annotations

import asyncio
import json

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, until
from websockets.asyncio.server import ServerConnection, serve, unix_serve

from app.client import LOST_AFTER_S, EngineClient, Link
from engine.control import PROTOCOL_VERSION, Answer
from engine.errors import OperatorError
from engine.home import Home
from engine.views import EventView, StatusView


async def test_attaching_brings_every_view_and_the_recent_events(engine: RecordedEngine) -> None:
    async with EngineClient(engine.home) as client:
        await client.attached(60)
        assert client.state.status == recorded.status()
        assert client.state.groups == recorded.groups()
        assert client.state.shortlist == recorded.shortlist()
        assert [event.seq for event in client.state.events] == list(range(1, 61))
        assert client.link is Link.LIVE


async def test_a_changed_view_and_a_new_event_arrive(engine: RecordedEngine) -> None:
    async with EngineClient(engine.home) as client:
        await client.attached(60)
        engine.board.status = recorded.status().model_copy(update={"latched": "daily loss"})
        fresh = recorded.events()[-1].model_copy(update={"seq": 61, "text": "something happened"})
        engine.server.publish(fresh)
        await until(lambda: client.state.status.latched and client.state.seq == 61)
        assert client.state.events[-1] == fresh


async def test_updates_name_the_view_that_changed(engine: RecordedEngine) -> None:
    async with EngineClient(engine.home) as client:
        await client.attached(60)
        seen: list[EventView | str] = []

        async def listen() -> None:
            async for update in client.updates():
                seen.append(update)

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        engine.board.flatten = recorded.flattening()
        await until(lambda: "flatten" in seen)
        listening.cancel()


async def test_a_command_gets_the_engines_answer(engine: RecordedEngine) -> None:
    engine.answers["weekday"] = Answer(False, "no group is selected: run the weekend first", {"missing": "group"})
    async with EngineClient(engine.home) as client:
        await client.attached(60)
        assert await client.command("unlatch") == Answer(True)
        refused = await client.command("weekday", {"a": 1})
    assert refused == Answer(False, "no group is selected: run the weekend first", {"missing": "group"})
    assert engine.commands == [("unlatch", {}), ("weekday", {"a": 1})]


async def test_a_read_only_client_sends_nothing(engine: RecordedEngine) -> None:
    async with EngineClient(engine.home, read_only=True) as client:
        await client.attached(60)
        answer = await client.command("flatten")
    assert not answer.accepted
    assert "read-only" in answer.reason
    assert engine.commands == []


async def test_an_engine_that_comes_back_is_found_again_with_its_new_views(engine: RecordedEngine) -> None:
    async with EngineClient(engine.home) as client:
        await client.attached(60)
        await engine.stop()
        await until(lambda: client.link is Link.LOST)
        assert client.state.status == recorded.status()  # the last known truth stays on the screen
        engine.board.status = StatusView(pid=777)
        await engine.start()
        await until(lambda: client.link is Link.LIVE)
        assert client.state.status.pid == 777
        assert [event.seq for event in client.state.events] == list(range(1, 61))  # none doubled


async def test_a_command_without_an_engine_says_that_nothing_was_sent(engine: RecordedEngine) -> None:
    async with EngineClient(engine.home) as client:
        await client.attached(60)
        await engine.stop()
        await until(lambda: client.link is Link.LOST)
        answer = await client.command("approve")
    assert not answer.accepted
    assert "nothing was sent" in answer.reason


async def test_no_engine_is_told_in_words_with_what_to_do(home: Home) -> None:
    async with EngineClient(home) as client:
        with pytest.raises(OperatorError, match=r"no engine runs.*tshc engine start"):
            await client.attached(0.3)


@pytest.mark.parametrize("record", ["not json", "[]", '{"pid": 1}'])
async def test_a_broken_engine_record_is_told_in_words(home: Home, record: str) -> None:
    home.engine_record.write_text(record)
    async with EngineClient(home) as client:
        with pytest.raises(OperatorError, match=r"record .*engine\.json"):
            await client.attached(0.3)


async def test_an_engine_that_is_silent_counts_as_lost_though_its_socket_is_open(home: Home) -> None:
    async def mute(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"snapshot": {}}')
        await socket.wait_closed()

    async with unix_serve(mute, str(home.socket_path())):
        home.engine_record.write_text(json.dumps({"pid": 1, "socket": str(home.socket_path())}))
        async with EngineClient(home) as client:
            await client.attached(60)
            await until(lambda: client.link is Link.LOST)
            assert client.trouble == "it is connected but silent"
            assert client.silent_s >= LOST_AFTER_S


async def test_over_tcp_the_token_is_shown(home: Home) -> None:
    hellos: list[dict[str, object]] = []

    async def greet(socket: ServerConnection) -> None:
        hellos.append(json.loads(await socket.recv())["hello"])
        await socket.send('{"snapshot": {}}')
        await socket.wait_closed()

    async with serve(greet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        home.engine_record.write_text(json.dumps({"pid": 1, "host": "127.0.0.1", "port": port, "token": "secret"}))
        async with EngineClient(home, name="cli") as client:
            await client.attached(60)
    assert hellos == [{"version": PROTOCOL_VERSION, "read_only": False, "client": "cli", "token": "secret"}]
