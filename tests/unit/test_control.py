"""The control channel with real sockets: attach, views, events, commands, read-only, lost engines."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from app.client import EngineClient, Link
from engine.control import PROTOCOL_VERSION, Answer, Caller, ControlServer
from engine.errors import OperatorError
from engine.home import Home
from engine.view_board import ViewBoard
from engine.views import EventView, StatusView

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these tests speak over a Unix socket")


class Desk:
    """Answers commands and remembers them."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any], str]] = []

    async def execute(self, command: str, arguments: dict[str, Any], caller: Caller) -> Answer:
        self.heard.append((command, arguments, caller.name))
        if command == "weekday":
            raise OperatorError("no group is selected: run 'tshc weekend' first")
        if command == "swap":
            raise ZeroDivisionError("a bug")
        return Answer(True, data={"run": "weekend-1"})


@asynccontextmanager
async def serving(home: Home) -> AsyncIterator[tuple[ControlServer, ViewBoard, Desk]]:
    home.create()
    board, desk = ViewBoard(), Desk()
    server = ControlServer(home, board, desk.execute)
    await server.start()
    try:
        yield server, board, desk
    finally:
        await server.stop()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def event(seq: int) -> EventView:
    return EventView(seq=seq, at=datetime.now(UTC), kind="stage_started", level="info", text=f"event {seq}")


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a server's state is polled as it is
            await asyncio.sleep(0.02)


async def test_a_console_gets_a_snapshot_then_every_event_once_and_the_newest_view(home: Home) -> None:
    async with serving(home) as (server, board, _):
        board.add_event(event(1))
        async with EngineClient(home) as client:
            await client.attached(60)
            assert [e.seq for e in client.state.events] == [1]
            for seq in (2, 3, 4):
                board.add_event(event(seq))
                server.publish(event(seq))
            for number in range(50):
                board.status = StatusView(positions_open=number)
            await until(lambda: client.state.status.positions_open == 49 and client.state.seq == 4)
            assert [e.seq for e in client.state.events] == [1, 2, 3, 4]


async def test_a_command_is_answered_and_a_refusal_carries_its_reason(home: Home) -> None:
    async with serving(home) as (_, _, desk), EngineClient(home, name="console") as client:
        await client.attached(60)
        accepted = await client.command("weekend", {"cycles": 2})
        assert accepted.accepted
        assert accepted.data == {"run": "weekend-1"}
        refused = await client.command("weekday")
        assert not refused.accepted
        assert "run 'tshc weekend' first" in refused.reason
        assert desk.heard[0] == ("weekend", {"cycles": 2}, "console")


async def test_a_bug_in_one_command_leaves_the_engine_serving(home: Home) -> None:
    async with serving(home), EngineClient(home) as client:
        await client.attached(60)
        broken = await client.command("swap")
        assert not broken.accepted
        assert "tshc engine logs" in broken.reason
        assert (await client.command("weekend")).accepted


async def test_a_read_only_console_commands_nothing_even_with_its_own_client(home: Home) -> None:
    async with serving(home) as (server, _, desk):
        async with unix_connect(str(home.socket_path()), uri="ws://localhost/") as socket:
            hello = {"version": PROTOCOL_VERSION, "read_only": True, "client": "console"}
            await socket.send(json.dumps({"hello": hello}))
            assert "snapshot" in str(await socket.recv())
            await socket.send('{"id": 1, "command": "flatten", "arguments": {}}')
            async with asyncio.timeout(60):
                while '"answer"' not in (frame := str(await socket.recv())):
                    pass
            assert '"accepted": false' in frame
            assert server.people == 0
        assert desk.heard == []


async def test_only_commanding_consoles_count_as_people(home: Home) -> None:
    async with serving(home) as (server, _, _):
        async with EngineClient(home, name="console") as client, EngineClient(home, name="tshc") as tool:
            await client.attached(60)
            await tool.attached(60)
            assert server.people == 1
        await until(lambda: server.people == 0)


@pytest.mark.parametrize("hello", ["not json", "[1]", '{"hello": {"version": 99}}', '{"command": "flatten"}'])
async def test_a_stranger_without_a_valid_hello_is_turned_away(home: Home, hello: str) -> None:
    async with serving(home) as (_, _, desk):
        async with unix_connect(str(home.socket_path()), uri="ws://localhost/") as socket:
            await socket.send(hello)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert desk.heard == []


async def test_the_client_says_lost_when_the_engine_is_gone_and_live_when_it_is_back(home: Home) -> None:
    async with EngineClient(home) as client:
        async with serving(home):
            await client.attached(60)
            assert client.link is Link.LIVE
        await until(lambda: client.link is Link.LOST)
        async with serving(home):
            await until(lambda: client.link is Link.LIVE)


async def test_the_socket_and_the_record_are_for_the_owner_only(home: Home) -> None:
    async with serving(home):
        assert stat.S_IMODE(home.socket_path().stat().st_mode) == 0o600
        assert stat.S_IMODE(home.engine_record.stat().st_mode) == 0o600
    assert not home.engine_record.exists()


async def test_a_home_with_a_long_path_still_gets_a_socket(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("d" * 60) / ("e" * 60))
    async with serving(deep), EngineClient(deep) as client:
        await client.attached(60)
        assert len(str(deep.socket_path())) <= 100
