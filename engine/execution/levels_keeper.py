"""What fills cannot tell of a position (its high, its trailing stop, its phase), kept in the journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.journal import JournalDb

LEVELS_S = 1.0  # how often highs and stops are written; a new phase is written at the next beat
_KEY = "tsh_levels"


class LevelsKeeper:
    """Writes the book's levels when they have changed; ``phase_changed`` makes the next beat write them."""

    def __init__(self, journal: JournalDb, desk: OrderDesk, book: PositionsBook) -> None:
        self._journal, self._desk, self._book = journal, desk, book
        self._written, self._at, self._dirty = "", 0.0, False

    def phase_changed(self) -> None:
        self._dirty = True

    async def read(self) -> Mapping[str, Mapping[str, Any]]:
        """The levels of an earlier life of the engine."""
        kept: Mapping[str, Mapping[str, Any]] = await self._journal.get(_KEY, {})
        return kept

    async def watch(self) -> None:
        """A duty: saves when it is time."""
        if self._dirty or time.monotonic() - self._at > LEVELS_S:
            await self.save()

    async def save(self) -> None:
        self._dirty, self._at = False, time.monotonic()
        levels = self._book.levels()
        if (text := repr(levels)) != self._written:
            await self._desk.keep("the positions' levels", self._journal.put(_KEY, levels))
            self._written = text
