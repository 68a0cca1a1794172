"""Attached to an engine: its latest views, its events, and a way to command it.

A window, not the engine: losing the connection loses nothing, the next attach starts from
a new snapshot. No textual here, so the command line uses the same client. All of it runs
in one asyncio loop and nothing in it blocks.

    async with EngineClient(home) as client:
        await client.attached(10.0)
        answer = await client.command("weekday")
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException

from engine.control import PROTOCOL_VERSION, Answer
from engine.errors import OperatorError
from engine.home import Home
from engine.views import (
    BoardView,
    EventView,
    FlattenView,
    GroupsView,
    OverviewView,
    PositionsView,
    ShortlistView,
    Snapshot,
    StatusView,
    TrainingView,
    View,
)

LOST_AFTER_S = 1.5  # without a frame; with the next look and paint the strip says so within 2 s
WATCH_S = 0.2
EVENTS_KEPT = 5000
LARGEST_FRAME = 64 << 20
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
ANSWER_TIMEOUT_S = 15.0
FLATTEN_WORKS = "'tshc flatten' works without it"

VIEWS: dict[str, type[View]] = {
    "status": StatusView,
    "overview": OverviewView,
    "training": TrainingView,
    "groups": GroupsView,
    "shortlist": ShortlistView,
    "positions": PositionsView,
    "flatten": FlattenView,
    "board": BoardView,
}

log = logging.getLogger(__name__)


class Link(StrEnum):
    """How this client stands to its engine."""

    ATTACHING = "attaching"  # never attached yet
    LIVE = "live"
    LOST = "lost"  # it was attached; the views are the last ones known
    CLOSED = "closed"


class EngineState:
    """The newest of every view. ``revision`` rises with each change of anything."""

    def __init__(self) -> None:
        self.status = StatusView()
        self.overview = OverviewView()
        self.training = TrainingView()
        self.groups = GroupsView()
        self.shortlist = ShortlistView()
        self.positions = PositionsView()
        self.flatten = FlattenView()
        self.board = BoardView()
        self.events: deque[EventView] = deque(maxlen=EVENTS_KEPT)
        self.seq = 0  # of the newest event
        self.revision = 0

    def replace_all(self, snapshot: Snapshot) -> list[EventView]:
        """Takes a snapshot; returns its events that were not known before.

        A journal that starts anew (another home, a wiped one) has smaller numbers: then the
        old events are forgotten.
        """
        for name in VIEWS:
            setattr(self, name, getattr(snapshot, name))
        if snapshot.seq < self.seq:
            self.events.clear()
            self.seq = 0
        fresh = [event for event in snapshot.events if event.seq > self.seq]
        for event in fresh:
            self.add_event(event)
        self.seq = max(self.seq, snapshot.seq)
        self.revision += 1
        return fresh

    def add_event(self, event: EventView) -> None:
        self.events.append(event)
        self.seq = max(self.seq, event.seq)
        self.revision += 1


class Client(Protocol):
    """What the screens need: the newest views of something, and a way to command it.

    That is a running engine (``EngineClient``) or a recorded day (``app.replay_client``).
    """

    home: Home
    read_only: bool
    name: str  # what the engine knows it as: "console" is one that rings
    state: EngineState
    link: Link
    trouble: str

    def start(self) -> None: ...

    async def close(self) -> None: ...

    @property
    def silent_s(self) -> float: ...

    async def command(
        self, name: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Answer: ...


class EngineClient:
    """One connection to the engine of ``home``, remade with backoff for as long as it is open.

    ``read_only`` clients refuse every command themselves (and say so to the engine, which
    refuses too). ``clock`` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        home: Home,
        *,
        read_only: bool = False,
        name: str = "console",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.home, self.read_only, self.name = home, read_only, name
        self.state = EngineState()
        self.link = Link.ATTACHING
        self.trouble = ""  # why there is no connection, in plain words
        self.attempts = 0  # since the last time it was attached
        self._clock = clock
        self._heard = clock()
        self._socket: ClientConnection | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._ids = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._attached = asyncio.Event()
        self._listeners: list[asyncio.Queue[EventView | str]] = []

    # --- life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begins attaching, in the running loop; returns at once."""
        if not self._tasks:
            self._heard = self._clock()
            self._tasks = [
                asyncio.create_task(self._stay_attached(), name="engine client"),
                asyncio.create_task(self._watch(), name="engine watch"),
            ]

    async def close(self) -> None:
        """Detaches; the engine goes on. Commands still waiting are answered as refused."""
        self.link = Link.CLOSED
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        self._drop_waiting("the connection was closed here before the answer came")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def attached(self, timeout_s: float = 10.0) -> None:
        """Waits for the first snapshot; OperatorError with the reason when none comes in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._attached.wait()
        except TimeoutError:
            why = self.trouble or "it does not answer"
            if FLATTEN_WORKS not in why:  # else it says what to do already: one of another version runs
                why += "; start it with 'tshc engine start', 'tshc engine logs' says why it stopped"
            raise OperatorError(f"no engine reached for {self.home.folder} in {timeout_s:g} s: {why}") from None

    @property
    def silent_s(self) -> float:
        """Seconds since anything was heard from the engine."""
        return max(0.0, self._clock() - self._heard)

    # --- asking and listening -----------------------------------------------------------

    async def command(
        self, name: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Answer:
        """Sends one command and waits for its answer. Never raises: what went wrong is the reason.

        A command that got no answer may still have been carried out: the reason says so. To an engine
        that is silent nothing is sent, because it would act on it later, on old prices; only a flatten
        is wanted then as well.
        """
        if self.read_only:
            return Answer(False, "this console is read-only; open one that may command with 'tshc'")
        socket = self._socket
        if self.link is Link.LOST and socket is not None and name != "flatten":
            return Answer(False, f"the engine has been silent for {self.silent_s:.0f} s; nothing was sent")
        if socket is None:
            return Answer(False, f"no engine is attached ({self.trouble or 'connecting'}); nothing was sent")
        number = next(self._ids)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout_s):
                await socket.send(json.dumps({"id": number, "command": name, "arguments": arguments or {}}))
                return await answer
        except TimeoutError:
            return Answer(False, f"no answer in {timeout_s:g} s; whether '{name}' was done is not known")
        except ConnectionClosed:
            return Answer(False, f"the connection broke; whether '{name}' was done is not known")
        finally:
            self._waiting.pop(number, None)

    async def updates(self) -> AsyncIterator[EventView | str]:
        """Every new event, and the name of each view that changed, as they come (for the command line)."""
        queue: asyncio.Queue[EventView | str] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    # --- the connection -----------------------------------------------------------------

    async def _stay_attached(self) -> None:
        while True:
            started = self._clock()
            try:
                await self._attach_once()
                self.trouble = "the engine closed the connection"
            except OperatorError as error:
                self.trouble = str(error)
            except ConnectionClosed as error:
                said = error.rcvd.reason if error.rcvd is not None else ""
                self.trouble = said or "the connection broke"
            except (OSError, InvalidHandshake, TimeoutError) as error:
                self.trouble = f"its address does not answer ({_plain(error)})"
            except WebSocketException as error:
                self.trouble = f"it does not speak our protocol ({_plain(error)})"
            except (ValidationError, ValueError, KeyError) as error:
                log.warning("a frame of the engine could not be read: %s", error)
                self.trouble = another_version("views that this console cannot read")
            finally:
                self._socket = None
                self._drop_waiting("the connection broke; whether it was done is not known")
            if self.link is Link.LIVE:
                self.link = Link.LOST
                self.state.revision += 1
            if self._clock() - started > LOST_AFTER_S:
                self.attempts = 0
            pause = BACKOFF_S[min(self.attempts, len(BACKOFF_S) - 1)]
            self.attempts += 1
            await asyncio.sleep(pause)

    async def _attach_once(self) -> None:
        record = _read_record(self.home)
        speaks = record.get("version", PROTOCOL_VERSION)
        if speaks != PROTOCOL_VERSION:
            raise OperatorError(another_version(f"protocol {speaks}, this console {PROTOCOL_VERSION}"))
        hello = {"version": PROTOCOL_VERSION, "read_only": self.read_only, "client": self.name}
        # Loopback only: no proxy, no compression; the heartbeat replaces the websocket's own pings.
        options: dict[str, Any] = {
            "compression": None,
            "max_size": LARGEST_FRAME,
            "ping_interval": None,
            "proxy": None,
            "open_timeout": 5.0,
            "close_timeout": 1.0,
        }
        if "socket" in record:
            from websockets.asyncio.client import unix_connect

            connection = unix_connect(str(record["socket"]), uri="ws://localhost/", **options)
        else:
            hello["token"] = str(record["token"])
            connection = connect(f"ws://{record['host']}:{record['port']}/", **options)
        async with connection as socket:
            await socket.send(json.dumps({"hello": hello}))
            async for frame in socket:
                self._take(socket, json.loads(frame))

    def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        self._heard = self._clock()
        if "snapshot" in frame:
            self._socket = socket
            self.attempts = 0
            self.trouble = ""
            for event in self.state.replace_all(Snapshot.model_validate(frame["snapshot"])):
                self._tell(event)
            for name in VIEWS:
                self._tell(name)
            self._attached.set()
        elif "event" in frame:
            event = EventView.model_validate(frame["event"])
            self.state.add_event(event)
            self._tell(event)
        elif "view" in frame:
            name = str(frame["view"]["name"])
            if name in VIEWS:  # a newer engine may have more screens than this console
                setattr(self.state, name, VIEWS[name].model_validate(frame["view"]["data"]))
                self.state.revision += 1
                self._tell(name)
        elif "answer" in frame:
            said = frame["answer"]
            waiting = self._waiting.get(said.get("id"))
            if waiting is not None and not waiting.done():
                waiting.set_result(
                    Answer(bool(said["accepted"]), str(said.get("reason", "")), said.get("data") or {})
                )
        if self._socket is not None and self.link is not Link.LIVE:
            self.link = Link.LIVE
            self.state.revision += 1

    def _tell(self, news: EventView | str) -> None:
        for queue in self._listeners:
            queue.put_nowait(news)

    def _drop_waiting(self, reason: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_result(Answer(False, reason))
        self._waiting.clear()

    async def _watch(self) -> None:
        """An engine that hangs keeps its socket open: silence alone must count as lost."""
        while True:
            before = self._clock()
            await asyncio.sleep(WATCH_S)
            if self._clock() - before > LOST_AFTER_S / 2:
                continue  # we were held up ourselves (a suspended terminal): read what waits first
            if self.link is Link.LIVE and self.silent_s > LOST_AFTER_S:
                self.link = Link.LOST
                self.trouble = "it is connected but silent"
                self.state.revision += 1


def another_version(speaks: str) -> str:
    """That the engine is not of this version, with what it ``speaks``, and the ways out."""
    return (
        f"the engine speaks {speaks}: update this console, or restart the engine with this version "
        f"('tshc engine stop --force', then 'tshc'); {FLATTEN_WORKS}"
    )


def _read_record(home: Home) -> dict[str, Any]:
    """The engine record; OperatorError when no engine runs or the file is not ours."""
    try:
        record = json.loads(home.engine_record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OperatorError("no engine runs for this home folder") from None
    except (OSError, ValueError) as error:
        raise OperatorError(f"its record {home.engine_record} cannot be read ({_plain(error)})") from error
    if not isinstance(record, dict) or not ("socket" in record or {"host", "port", "token"} <= record.keys()):
        raise OperatorError(f"its record {home.engine_record} has no address")
    return record


def _plain(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
