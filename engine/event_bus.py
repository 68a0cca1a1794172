"""From a stage's ``publish`` to the journal, then to the consoles - in that order.

Publishing never waits: a stage hands over a fact and goes on. One writer task appends to
the journal and only then shows the event, so that nobody sees what a crash could still
take back. Orders do not come this way: their intents are committed before they are sent.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from engine.errors import OperatorError
from engine.events import AlertRaised, AlertRecovered, Event, Level, Progress
from engine.journal import JournalDb
from engine.views import EventView

TOGETHER = 200  # events of one transaction at most
GATHER_S = 0.02  # one wait for the disk for what belongs together; an order's intent must find the disk free

Listener = Callable[[Event, EventView], None]
Published = tuple[Event, datetime, datetime | None]  # when: by the wall, and market time
Alarm = Callable[[Event], bool]

log = logging.getLogger(__name__)


class EventBus:
    """The engine's one ``EventSink``."""

    def __init__(self, journal: JournalDb, market_now: Callable[[], datetime | None]) -> None:
        self._journal, self._market_now = journal, market_now
        self._queue: asyncio.Queue[Published] = asyncio.Queue()
        self._listeners: list[Listener] = []
        self._writer: asyncio.Task[None] | None = None
        self._stopping = False
        self._open_alerts: set[str] = set()
        self._alarm: Alarm = self._first_of_its_key
        self._stop_entries: Callable[[str], Awaitable[None]] | None = None
        self.commit_ms: float | None = None  # wall time of the last append
        self.failed: str = ""  # why the journal could not be written; entries must stop then

    @property
    def waiting(self) -> int:
        """Events that are not in the journal yet."""
        return self._queue.qsize()

    def listen(self, listener: Listener) -> None:
        """``listener`` is called for each journalled event, in order, in the engine's loop."""
        self._listeners.append(listener)

    def on_failure(self, stop_entries: Callable[[str], Awaitable[None]]) -> None:
        """``stop_entries`` is awaited once, with the reason, when the journal can first not be written."""
        self._stop_entries = stop_entries

    def on_alarm(self, alarm: Alarm) -> None:
        """``alarm`` hears every event as it is published, before the journal; False drops it (a repeated alert).

        Alerts come this way, because a disk that takes no events is one of the reasons for them.
        """
        self._alarm = alarm

    def publish(self, event: Event) -> None:
        """Takes an event. Progress is shown by the views alone; a repeated open alert is dropped."""
        if isinstance(event, Progress):
            return
        at, market_at = datetime.now(UTC), self._market_now()
        try:
            is_news = self._alarm(event)
        except Exception:  # whoever publishes trades: no fault of the alerts may reach it
            log.exception("the alerts failed at: %s", event.text)
            is_news = True
        if is_news:
            self._queue.put_nowait((event, at, market_at))

    def _first_of_its_key(self, event: Event) -> bool:
        """Without an alert desk: an alert is news once, until it is over."""
        if isinstance(event, AlertRecovered):
            self._open_alerts.discard(event.key)
        if not isinstance(event, AlertRaised):
            return True
        if event.key in self._open_alerts:
            return False
        self._open_alerts.add(event.key)
        return True

    def start(self) -> None:
        self._writer = asyncio.create_task(self._write(), name="journal writer")

    async def stop(self) -> None:
        """Writes what is queued, then ends."""
        self._stopping = True
        await self._queue.join()
        if self._writer is not None:
            self._writer.cancel()
            with suppress(asyncio.CancelledError):
                await self._writer

    async def _write(self) -> None:
        while True:
            batch = [await self._queue.get()]
            if not self._stopping:
                await asyncio.sleep(GATHER_S)
            while not self._queue.empty() and len(batch) < TOGETHER:
                batch.append(self._queue.get_nowait())
            for event, _, _ in batch:
                level = logging.WARNING if event.level in (Level.WARNING, Level.ALERT) else logging.INFO
                log.log(level, "%s", event.text)
            try:
                await self._store(batch)
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _store(self, batch: list[Published]) -> None:
        """What was published together waits for the disk together: intents and fills wait for it too."""
        began = time.monotonic()
        try:
            numbers = await self._journal.append_dated([(event, market_at) for event, _, market_at in batch])
        except (sqlite3.Error, OperatorError, OSError, ValueError) as error:
            if len(batch) > 1:  # what one of them made fail must not cost the others
                for published in batch:
                    await self._store([published])
                return
            # Any storage failure ends trading, not the engine: exits go on without the journal.
            first, self.failed = not self.failed, f"the journal cannot be written ({error})"
            log.critical("%s; event lost from the journal: %s", self.failed, batch[0][0].text)
            if first and self._stop_entries is not None:
                await self._stop_entries(self.failed)
            return
        self.commit_ms = (time.monotonic() - began) * 1000
        for (event, at, market_at), seq in zip(batch, numbers, strict=True):
            view = EventView(
                seq=seq,
                at=at,
                market_at=market_at,
                kind=event.kind(),
                level=event.level.value,
                text=event.text,
                data=event.data(),
            )
            for listener in self._listeners:
                listener(event, view)
