"""Somebody who watches a whole run through a console's client and remembers what every screen showed, and when."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from app.client import EngineClient
from engine.home import Home
from engine.views import View


@dataclass(frozen=True)
class Stood:
    """A view that a screen showed unchanged from one wall time to another."""

    name: str
    view: View
    since: datetime
    until: datetime


class Onlooker:
    """Attaches as soon as an engine runs on ``home``; ``stood`` is complete when the block has ended."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()), name="onlooker")
        self._seen: dict[str, tuple[View, datetime]] = {}
        self.stood: list[Stood] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(30)

    async def _look(self) -> None:
        async with EngineClient(self._home, read_only=True, name="onlooker") as client:
            listening = asyncio.create_task(self._listen(client))
            while not self._ending.is_set():  # noqa: ASYNC110 - another thread ends it
                await asyncio.sleep(0.1)
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    async def _listen(self, client: EngineClient) -> None:
        async for news in client.updates():
            if isinstance(news, str):
                view, now = getattr(client.state, news), datetime.now(UTC)
                before = self._seen.get(news)
                if before is not None:
                    self.stood.append(Stood(news, before[0], before[1], now))
                self._seen[news] = (view, now)
