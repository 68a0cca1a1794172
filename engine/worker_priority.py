"""Training and search give way altogether while there are positions.

Workers are niced: they get a smaller share of full cores, but a share. An exit crosses several
threads, and at each of them it may find a worker on its core: measured by ``bench_stop_to_wire``
on two full cores, its p99 was 8 ms beside niced workers and 5 beside idle-class ones. Nobody
but root can take a process out of the idle class again, so a worker is put there only when there is
something to protect, which on a weekend never happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

LOOK_S = 0.05  # a worker that has just been started would hold up exits for 3 ms at a time until it is seen

log = logging.getLogger(__name__)


def give_way(pid: int) -> bool:
    """Puts every thread of a process into the idle class; new threads inherit that. False: not possible here."""
    if sys.platform != "linux":
        return False
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))
    except OSError as error:  # it has just ended, or a container forbids it: then niceness has to do
        log.info("process %d keeps its priority: %s", pid, error)
        return False
    return True


class WorkerPriority:
    """``workers``: name and process id of those that run; ``holds``: whether there are positions."""

    def __init__(self, workers: Callable[[], Iterable[tuple[str, int]]], holds: Callable[[], bool]) -> None:
        self._workers, self._holds = workers, holds
        self._told: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="worker priority")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def look(self) -> None:
        """Once for each worker, as soon as there are positions beside it."""
        if not self._holds():
            return
        running = {pid: name for name, pid in self._workers()}
        for pid in running.keys() - self._told:
            if give_way(pid):
                log.info("%s (process %d) gives way to exits from now on", running[pid], pid)
        self._told = set(running)

    async def _watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)
