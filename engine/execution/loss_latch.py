"""The day's loss latches entries: once a session, until a person lifts it, over the night and over restarts.

Once, because after the person has lifted it the loss is still the same: the gates go on
refusing for that session, but the word of the person stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date

from engine.events import DAY_LOSS
from engine.journal import JournalDb

_KEY = "day_loss_latched"


class LossLatch:
    """``latch`` sets the desk's latch with a reason; ``keep`` writes to the journal, a full disk or not."""

    def __init__(
        self,
        journal: JournalDb,
        latch: Callable[[str], Awaitable[None]],
        keep: Callable[[str, Awaitable[object]], Awaitable[None]],
    ) -> None:
        self._journal, self._latch, self._keep = journal, latch, keep
        self._done: date | None = None  # the last session whose loss has latched

    async def restore(self) -> None:
        """What an earlier life of the engine has latched already."""
        kept = await self._journal.get(_KEY)
        self._done = None if kept is None else date.fromisoformat(kept)

    def due(self, session: date) -> bool:
        """Whether a loss of this session has not latched yet."""
        return self._done != session

    async def set(self, session: date, numbers: str) -> None:
        """Latches for the loss of ``session``. A kill in the middle latches again: better twice than never."""
        self._done = session
        await self._latch(f"{DAY_LOSS}: {numbers}")
        await self._keep("the latch of the day's loss", self._journal.put(_KEY, session.isoformat()))
