"""Work that repeats for as long as the engine lives, each duty on its own: a slow one holds up no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from engine.errors import OperatorError

log = logging.getLogger(__name__)


class Duties:
    """The tasks of one desk; ``stop`` ends them all."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()

    def repeat(self, name: str, duty: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Runs ``duty`` every ``every_s`` wall seconds; a failure is logged and the next turn comes."""

        async def run() -> None:
            while True:
                await asyncio.sleep(every_s)
                try:
                    await duty()
                except OperatorError as error:
                    log.warning("execution, %s: %s", name, error)
                except Exception:  # a duty must go on: the next turn may work
                    log.exception("execution, %s failed", name)

        self.once(run(), name)

    def once(self, work: Awaitable[None], name: str) -> None:
        """Runs ``work`` beside everything else."""
        task = asyncio.ensure_future(work)
        if isinstance(task, asyncio.Task):
            task.set_name(f"execution {name}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
