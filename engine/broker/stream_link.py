"""One websocket to the broker: connects, logs in, listens, and always says in which state it is.

States: off, connecting, live, stale (connected but mute in regular hours), down (lost,
will try again), refused (will not try again: a person must act). The two streams differ
only in their words; both run as one task of the engine's loop, cancel cleanly, and call
``on_connected`` after every successful login so that REST can fill the gap: the broker
replays nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from engine.broker import wire
from engine.broker.credentials import HOW_TO_SET, Credentials
from engine.broker.endpoints import is_loopback
from engine.redaction import struck

log = logging.getLogger(__name__)

LinkState = Literal["off", "connecting", "live", "stale", "refused", "down"]
LOGIN_S = 10.0  # the broker closes an unauthenticated connection after 10 s
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 30.0
SLOT_BACKOFF_S = 30.0  # 406: a dead session can hold the only slot for about 90 s
STEADY_S = 30.0  # a connection that lived so long starts the backoff anew
# How data of another shape than expected makes itself felt while it is read (MalformedAnswer is a ValueError).
UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
SKIPPED = "a message could not be read and was skipped; see the log"


class StreamRefused(Exception):  # noqa: N818 - named after what the broker did
    """The broker will not let us in, whatever we repeat; ``str()`` says what to do."""


class StreamBroken(Exception):  # noqa: N818 - named after what the connection did
    """This connection is of no use any more; another one may be, after ``wait_s``."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class StreamLink(ABC):
    """``stale_after_s``: wall seconds without a message while ``expects_data()`` holds; None is never stale."""

    def __init__(
        self,
        name: str,
        url: str,
        credentials: Credentials,
        *,
        on_state: Callable[[str, LinkState, str], None],
        on_connected: Callable[[], Awaitable[None]] | None = None,
        expects_data: Callable[[], bool] = lambda: False,
        stale_after_s: float | None = None,
    ) -> None:
        self.name, self.url = name, url
        self.state: LinkState = "off"
        self.detail = ""
        self.connections = 0  # successful logins so far
        self.last_message: float | None = None  # monotonic
        self.skipped = 0  # messages that could not be read, of all connections
        self._credentials = credentials
        self._on_state, self._on_connected = on_state, on_connected
        self._expects_data, self._stale_after_s = expects_data, stale_after_s
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._random = random.Random()
        self._news = asyncio.Event()  # the state changed
        self._followers: set[asyncio.Task[None]] = set()

    @property
    def age_s(self) -> float | None:
        """Wall seconds since the last message, None before the first."""
        return None if self.last_message is None else time.monotonic() - self.last_message

    @property
    def latency_ms(self) -> float | None:
        """Round trip of the last ping, milliseconds; None when not connected."""
        socket = self._socket
        return socket.latency * 1000 if socket is not None and socket.latency else None

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"stream {self.name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        for task in tuple(self._followers):
            task.cancel()
        self._set("off", "")

    async def wait_live(self, timeout_s: float) -> bool:
        """Whether the stream is live within ``timeout_s`` wall seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.state not in ("live", "refused"):
                    self._news.clear()
                    await self._news.wait()
        return self.state == "live"

    # --- what a stream says and understands ----------------------------------------------------

    @abstractmethod
    async def _login(self, socket: ClientConnection) -> None:
        """Returns when logged in and listening; raises StreamRefused or StreamBroken."""

    async def _begin(self) -> None:  # noqa: B027 - a stream that has nothing to add says nothing
        """Called once logged in, when ``_send`` works."""

    @abstractmethod
    async def _receive(self, message: str | bytes) -> None:
        """Handles one message; what is malformed in it is skipped (``_skip``) and the rest kept."""

    def _skip(self, error: Exception) -> None:
        """Tells of a message that could not be read: on the link, and of the 1st, 10th, 100th ... in the log."""
        self.skipped += 1
        if str(self.skipped).strip("0") == "1":
            unforeseen = not isinstance(error, wire.MalformedAnswer)
            words = "%s: message %d that cannot be read was skipped: %s"
            log.warning(words, self.name, self.skipped, struck(str(error))[:200], exc_info=unforeseen)
        self._set(self.state, self.detail or SKIPPED)

    # --- the life of the link ------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            self._set("connecting", "" if not failures else self.detail)
            wait_s: float | None = None
            try:
                await self._connection()
                reason = "the connection was closed"
            except StreamRefused as refusal:
                self._set("refused", str(refusal))
                return
            except StreamBroken as broken:
                reason, wait_s = str(broken), broken.wait_s
            except InvalidURI as error:
                self._set("refused", f"the address is not a websocket address: {error.uri}")
                return
            except InvalidHandshake as error:
                status = getattr(getattr(error, "response", None), "status_code", None)
                if status in (401, 403):
                    self._set("refused", f"keys refused ({status}); {HOW_TO_SET}")
                    return
                reason = f"no websocket there (answered {status})" if status else "the handshake failed"
            except ConnectionClosed as closed:
                reason = f"the connection was lost ({closed.rcvd.code if closed.rcvd else 'no close frame'})"
            except wire.MalformedAnswer as error:
                reason = f"the login was answered with nonsense: {error}"
            except (OSError, TimeoutError) as error:
                reason = f"no connection ({type(error).__name__})"
            except Exception as error:
                # The last guard, for what nobody foresaw, a fault of this program included: without it the task
                # would end for good while the link still says "live", and positions would lose their prices.
                log.exception("%s: the connection ended by an unexpected error", self.name)
                reason = f"an unexpected error ({type(error).__name__}); see the log"
            failures = 1 if time.monotonic() - began > STEADY_S else failures + 1
            pause = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (failures - 1))
            pause = wait_s if wait_s is not None else pause
            self._set("down", reason)
            shortest = 0.75 if wait_s is None else 1.0  # a time that the broker's rules name is never cut short
            await asyncio.sleep(pause * (shortest + 0.5 * self._random.random()))

    async def _connection(self) -> None:
        async with connect(
            self.url,
            ping_interval=10,
            ping_timeout=20,
            open_timeout=LOGIN_S,
            close_timeout=1,
            compression=None,  # the frames are small: unpacking each costs more than it saves
            max_queue=None,
            max_size=8 * 2**20,
            proxy=None if is_loopback(self.url) else True,
        ) as socket:
            async with asyncio.timeout(LOGIN_S):
                await self._login(socket)
            self._socket = socket
            await self._begin()
            self.connections += 1
            self.last_message = time.monotonic()
            self._set("live", "")
            if self._on_connected is not None:
                self._follow(self._on_connected())
            watch = asyncio.create_task(self._watch_staleness(), name=f"staleness {self.name}")
            try:
                async for message in socket:
                    self.last_message = time.monotonic()
                    if self.state == "stale":
                        self._set("live", "")
                    await self._receive(message)
            finally:
                self._socket = None
                watch.cancel()

    def _follow(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:  # the follower is a guest: its failure must not take the stream down
                log.exception("%s: the work after a connect failed", self.name)

        task = asyncio.create_task(run(), name=f"after connect {self.name}")
        self._followers.add(task)
        task.add_done_callback(self._followers.discard)

    async def _watch_staleness(self) -> None:
        if self._stale_after_s is None:
            return
        while True:
            await asyncio.sleep(min(0.5, self._stale_after_s / 4))
            age = self.age_s
            if self.state == "live" and age is not None and age > self._stale_after_s and self._expects_data():
                self._set("stale", f"no message for {age:.0f} s")

    def _set(self, state: LinkState, detail: str) -> None:
        if (state, detail) == (self.state, self.detail):
            return
        self.state, self.detail = state, detail
        self._news.set()
        self._on_state(self.name, state, detail)

    async def _send(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            await self._socket.send(json.dumps(message))

    def _keys_refused(self) -> StreamRefused:
        return StreamRefused(f"keys refused; {HOW_TO_SET}")
