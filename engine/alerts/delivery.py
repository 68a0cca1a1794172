"""One queue and one worker a sink: a webhook that hangs delays neither the bell nor the engine.

A newer telling of the same key takes the place of the one that still waits, so a queue is
never longer than there are alerts; the most severe leaves first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from engine.alerts.sink import Note, Outcome, Sink

log = logging.getLogger(__name__)

Done = Callable[[Note, Outcome], None]


class Delivery:
    """``done`` is called in the engine's loop with what became of each note."""

    def __init__(self, sinks: Iterable[Sink], done: Done) -> None:
        self.sinks = {sink.name: sink for sink in sinks}
        self._done = done
        self._waiting: dict[str, dict[str, Note]] = {name: {} for name in self.sinks}
        self._wake = {name: asyncio.Event() for name in self.sinks}
        self._busy: set[str] = set()
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._workers = [
            asyncio.create_task(self._work(sink), name=f"alerts by {name}") for name, sink in self.sinks.items()
        ]

    def send(self, sink: str, note: Note) -> None:
        """Queues; waits for nothing."""
        self._waiting[sink].pop(note.key, None)
        self._waiting[sink][note.key] = note
        self._wake[sink].set()

    @property
    def idle(self) -> bool:
        return not self._busy and not any(self._waiting.values())

    async def stop(self, grace_s: float = 3.0) -> None:
        """Gives what is queued a moment, then ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while not self.idle:  # noqa: ASYNC110 - several queues and workers, one question
                    await asyncio.sleep(0.02)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for sink in self.sinks.values():
            await sink.close()

    async def _work(self, sink: Sink) -> None:
        waiting, wake = self._waiting[sink.name], self._wake[sink.name]
        while True:
            await wake.wait()
            wake.clear()
            while waiting:
                key = max(waiting, key=lambda k: waiting[k].severity.rank)
                self._busy.add(sink.name)
                try:
                    await self._send(sink, waiting.pop(key))
                finally:
                    self._busy.discard(sink.name)

    async def _send(self, sink: Sink, note: Note) -> None:
        try:
            outcome = await sink.send(note)
        except Exception as error:  # a sink with a bug must not end the others, nor its own worker
            log.exception("the sink %s failed", sink.name)
            outcome = Outcome(
                sink.name, "failed", f"internal error ({type(error).__name__}); see the engine's log"
            )
        self._done(note, outcome)
