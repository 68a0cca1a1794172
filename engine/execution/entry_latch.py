"""May entries leave? The latch: a file and a line in the journal, either of which says no."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from engine.errors import StorageError
from engine.events import EntriesLatched, EntriesUnlatched, EventSink
from engine.execution.latch_file import lift_latch, read_latch, write_latch
from engine.home import Home
from engine.journal import JournalDb

log = logging.getLogger(__name__)

YIELD_S = 30.0  # exits wait at most so long for another seller behind the LATCH file (wall seconds)
LOOK_S = 0.25


class EntryLatch:
    """Survives restarts; only a person lifts it."""

    def __init__(self, journal: JournalDb, home: Home, events: EventSink) -> None:
        self._journal, self._path, self._events = journal, home.latch, events
        self._reason: str | None = None

    async def restore(self) -> None:
        self._reason = await self._journal.latch()

    @property
    def reason(self) -> str:
        """Why no entry may leave, or empty; asks the file each time."""
        file = read_latch(self._path)
        return file.reason if file is not None else self._reason or ""

    async def set(self, reason: str) -> None:
        """Latches; in force at once, even when neither journal nor file can be written.

        Raises OSError or StorageError then: the latch would not survive a restart.
        """
        known, self._reason = self._reason, reason
        if known is None:
            self._events.publish(EntriesLatched(reason=reason))
        if not self.another_acts():  # their sign of life keeps our sellers back, and latches as well
            write_latch(self._path, reason)
        await self._journal.set_latch(reason)

    async def lift(self, by: str) -> None:
        await self._journal.set_latch(None)
        lift_latch(self._path)
        self._reason = None
        self._events.publish(EntriesUnlatched(by=by))

    def another_acts(self) -> bool:
        """Whether somebody outside this engine sells right now."""
        file = read_latch(self._path)
        return file is not None and file.acting

    def another_was_here(self) -> bool:
        """Whether the file was written outside this engine: the broker may hold less than the book knows."""
        file = read_latch(self._path)
        return file is not None and file.foreign

    async def yield_to_other_seller(self) -> None:
        """Waits while somebody outside this engine sells behind the file; bounded, because exits go on."""
        waited = 0.0
        while waited < YIELD_S:
            if not self.another_acts():
                return
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        log.warning("the LATCH file still says that somebody sells; exits go on after %g s", YIELD_S)


UNWRITABLE = (OSError, StorageError, sqlite3.Error)
