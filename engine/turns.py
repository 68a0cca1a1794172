"""Whose turn it is: a lock in which what cannot wait goes before what can."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Like ``asyncio.Lock``, first come first served, but urgent waiters are served before the others.

    A turn under way is never interrupted. The urgent must be few: nothing keeps them from starving the rest.
    """

    def __init__(self) -> None:
        self._taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Waits for the turn, and gives it on at the end of the block."""
        if self._taken:
            await self._wait(self._urgent if urgent else self._others)
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, line: deque[asyncio.Future[None]]) -> None:
        place = asyncio.get_running_loop().create_future()
        line.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._pass_on()  # the turn had come in the same moment
            raise

    def _pass_on(self) -> None:
        for line in (self._urgent, self._others):
            while line:
                place = line.popleft()
                if not place.done():  # else its owner was cancelled while he waited
                    place.set_result(None)
                    return
        self._taken = False
