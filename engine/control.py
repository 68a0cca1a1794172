"""The control channel: how consoles see and command the engine of their home folder.

A local websocket, JSON text frames. On attach one snapshot, then events (each once, in
order) and views (the newest only, 4 Hz). Commands carry an id and always get an answer:
accepted, or refused with the reason. A console that cannot keep up is dropped; it never
slows the engine, and its next attach starts from a new snapshot.

    client  {"hello": {"version": 1, "read_only": false, "client": "console", "token": ""}}
    server  {"snapshot": {...}}  {"event": {...}}  {"view": {"name": ..., "data": {...}}}  {"heartbeat": {...}}
    client  {"id": 7, "command": "weekend", "arguments": {...}}
    server  {"answer": {"id": 7, "accepted": true, "reason": "", "data": {}}}
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.errors import OperatorError
from engine.home import Home
from engine.model import UTC, utc_text
from engine.view_board import ViewBoard
from engine.views import EventView, View

PROTOCOL_VERSION = 3  # raise it with every change of a view: a reader refuses fields it does not know
# Said to a console of another version, whose own words cannot be changed any more; a close frame takes 123 bytes.
REFUSED_HELLO = (
    f"the engine speaks protocol {PROTOCOL_VERSION}: update this console, or restart the engine with "
    "its version; 'tshc flatten' works without it"
)
VIEW_PERIOD_S = 0.25
HEARTBEAT_S = 0.5
QUEUE_LIMIT = 5000  # events a console may lag behind before it is dropped
HELLO_TIMEOUT_S = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine says to a command."""

    accepted: bool
    reason: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a command."""

    name: str
    read_only: bool


Execute = Callable[[str, dict[str, Any], Caller], Awaitable[Answer]]

# What a read-only console may ask: it looks, it never acts.
LOOKING = frozenset({"report", "status", "explain"})


class _Attached:
    """One console: its queue of events and what it has already seen of each view."""

    def __init__(self, socket: ServerConnection, caller: Caller) -> None:
        self.socket, self.caller = socket, caller
        self.events: asyncio.Queue[EventView] = asyncio.Queue(QUEUE_LIMIT)
        self.seen: dict[str, View] = {}


class ControlServer:
    """Serves the control channel of one engine; start it only while holding the engine lock."""

    def __init__(self, home: Home, board: ViewBoard, execute: Execute) -> None:
        self._home, self._board, self._execute = home, board, execute
        self._attached: set[_Attached] = set()
        self._server: Server | None = None
        self._token = ""

    @property
    def people(self) -> int:
        """How many consoles that may command are attached (an approval waits for them)."""
        return sum(1 for a in self._attached if not a.caller.read_only and a.caller.name == "console")

    @property
    def consoles(self) -> int:
        """How many consoles in terminals are attached, those that only look included: an alert rings at each.

        A page in a browser attaches as "web": it rings nobody, so nobody is told by it.
        """
        return sum(1 for a in self._attached if a.caller.name == "console")

    async def start(self) -> None:
        """Listens and writes the engine record; the lock makes a left-over socket file ours to replace."""
        record: dict[str, Any] = {"pid": os.getpid(), "version": PROTOCOL_VERSION}
        if sys.platform == "win32":
            self._token = secrets.token_urlsafe(24)
            self._server = await serve(self._attend, "127.0.0.1", 0, max_size=1 << 20)
            port = next(iter(self._server.sockets)).getsockname()[1]
            record |= {"host": "127.0.0.1", "port": port, "token": self._token}
        else:
            from websockets.asyncio.server import unix_serve

            path = self._home.socket_path()
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._server = await unix_serve(self._attend, str(path), max_size=1 << 20)
            finally:
                os.umask(before)
            record["socket"] = str(path)
        temporary = self._home.engine_record.with_suffix(".tmp")
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.chmod(0o600)
        temporary.replace(self._home.engine_record)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._home.engine_record.unlink(missing_ok=True)
        if sys.platform != "win32":
            self._home.socket_path().unlink(missing_ok=True)

    def publish(self, event: EventView) -> None:
        """Queues one event for every console; one that is full is dropped, not waited for."""
        for attached in list(self._attached):
            try:
                attached.events.put_nowait(event)
            except asyncio.QueueFull:
                log.warning("console %s cannot keep up and is dropped", attached.caller.name)
                self._attached.discard(attached)
                attached.socket.transport.abort()

    async def _attend(self, socket: ServerConnection) -> None:
        try:
            caller = await self._greet(socket)
        except (ConnectionClosed, TimeoutError):
            return
        if caller is None:
            return
        attached = _Attached(socket, caller)
        attached.seen = self._board.views()
        # No await between taking the snapshot and joining: an event can be in one of them only.
        snapshot = self._board.snapshot()
        self._attached.add(attached)
        sender = asyncio.create_task(self._send(attached, snapshot.model_dump_json()))
        answers: set[asyncio.Task[None]] = set()
        try:
            async for frame in socket:
                task = asyncio.create_task(self._answer(attached, frame))
                answers.add(task)
                task.add_done_callback(answers.discard)
        except ConnectionClosed:
            pass
        finally:
            self._attached.discard(attached)
            sender.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await sender

    async def _greet(self, socket: ServerConnection) -> Caller | None:
        """Reads the hello; None (and a closed socket) when it is not one of ours."""
        frame = await asyncio.wait_for(socket.recv(), HELLO_TIMEOUT_S)
        hello = _parsed(frame).get("hello")
        if not isinstance(hello, dict) or hello.get("version") != PROTOCOL_VERSION:
            await socket.close(1002, REFUSED_HELLO)
            return None
        if self._token and not secrets.compare_digest(str(hello.get("token", "")), self._token):
            await socket.close(1008, "wrong token")
            return None
        return Caller(str(hello.get("client", "unnamed"))[:40], bool(hello.get("read_only", True)))

    async def _send(self, attached: _Attached, snapshot: str) -> None:
        socket, loop = attached.socket, asyncio.get_running_loop()
        await socket.send(f'{{"snapshot": {snapshot}}}')
        beat = 0.0
        while True:
            while not attached.events.empty():
                await socket.send(f'{{"event": {attached.events.get_nowait().model_dump_json()}}}')
            for name, view in self._board.views().items():
                if view is not attached.seen.get(name) and view != attached.seen.get(name):
                    await socket.send(f'{{"view": {{"name": "{name}", "data": {view.model_dump_json()}}}}}')
                attached.seen[name] = view
            if loop.time() >= beat:
                beat = loop.time() + HEARTBEAT_S
                await socket.send(json.dumps({"heartbeat": {"at": utc_text(datetime.now(UTC))}}))
            await asyncio.sleep(VIEW_PERIOD_S)

    async def _answer(self, attached: _Attached, frame: str | bytes) -> None:
        request = _parsed(frame)
        command, arguments = request.get("command"), request.get("arguments") or {}
        if not isinstance(command, str) or not isinstance(arguments, dict):
            answer = Answer(False, "not a command: send id, command and arguments")
        elif attached.caller.read_only and command not in LOOKING:
            answer = Answer(False, "this console is read-only")
        else:
            answer = await self._run(command, arguments, attached.caller)
        reply = {
            "id": request.get("id"),
            "accepted": answer.accepted,
            "reason": answer.reason,
            "data": answer.data,
        }
        with suppress(ConnectionClosed):
            await attached.socket.send(json.dumps({"answer": reply}))

    async def _run(self, command: str, arguments: dict[str, Any], caller: Caller) -> Answer:
        try:
            return await self._execute(command, arguments, caller)
        except OperatorError as error:
            return Answer(False, str(error))
        except Exception:  # one bad command must not take the engine down; the log has the trace
            log.exception("command %s failed", command)
            return Answer(False, f"the engine failed at '{command}'; 'tshc engine logs' has the details")


def _parsed(frame: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(frame)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
