"""Requests a minute, with a reserve that only exits may use.

A token bucket in wall seconds, corrected by the broker's own X-RateLimit headers: what
the broker counts is the truth, our own count only keeps us from asking too often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

WINDOW_S = 60.0
BURST_S = 1.0  # pause after a 429 that says requests remain
EXIT_PROBE_S = 2.0  # an exit waits no longer after a 429: the worst that a try costs is another 429


class RequestBudget:
    """``per_minute`` requests; other requests leave ``exit_reserve`` of them untouched.

    The broker may lower the limit at any time, and raise it up to ``ceiling``.
    """

    def __init__(
        self,
        per_minute: int,
        exit_reserve: int = 0,
        *,
        ceiling: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ceiling = ceiling or per_minute
        self._reserve = exit_reserve
        self._monotonic, self._wall = monotonic, wall
        self.per_minute = per_minute
        self._tokens = float(per_minute)
        self._filled_at = monotonic()
        self._blocked_until = 0.0  # monotonic; the broker said 429 ...
        self._refused_at = 0.0  # ... at this moment

    @property
    def exit_reserve(self) -> int:
        """Never more than half of the limit, so that a small limit still lets others through."""
        return min(self._reserve, self.per_minute // 2)

    @property
    def available(self) -> float:
        """Requests that an exit could send now."""
        self._refill()
        return self._tokens

    def wait_s(self, *, is_exit: bool = False) -> float:
        """Wall seconds until the next request may go, 0 when it may go now."""
        self._refill()
        until = min(self._blocked_until, self._refused_at + EXIT_PROBE_S) if is_exit else self._blocked_until
        blocked = until - self._monotonic()
        missing = 1.0 + (0 if is_exit else self.exit_reserve) - self._tokens
        return max(0.0, blocked, missing * WINDOW_S / self.per_minute)

    def take(self) -> None:
        """Counts one request that is about to be sent."""
        self._refill()
        self._tokens -= 1.0

    async def acquire(self, *, is_exit: bool = False) -> None:
        """Returns when the request may be sent, having counted it. Exits never wait behind others."""
        while (wait := self.wait_s(is_exit=is_exit)) > 0:  # noqa: ASYNC110 - only time refills the bucket
            await asyncio.sleep(min(wait, 1.0))
        self.take()

    def learn(self, headers: Mapping[str, str]) -> None:
        """Corrects the count from a response's X-RateLimit-Limit and -Remaining; nonsense is ignored."""
        limit, remaining = _whole(headers, "X-RateLimit-Limit"), _whole(headers, "X-RateLimit-Remaining")
        self._refill()
        if limit:
            known, self.per_minute = self.per_minute, min(self._ceiling, limit)
            self._tokens = min(self._tokens + max(0, self.per_minute - known), float(self.per_minute))
        if remaining is not None:
            self._tokens = min(self._tokens, float(remaining))

    def refused(self, headers: Mapping[str, str]) -> float:
        """A 429 came: nothing goes before the window resets, except that an exit may probe.

        Returns the wall seconds until the reset; a 429 with requests remaining is a burst limit and passes soon.
        """
        self.learn(headers)
        reset = _whole(headers, "X-RateLimit-Reset")
        after = _whole(headers, "Retry-After")
        wait = reset - self._wall() if reset is not None else float(after) if after is not None else 1.0
        if _whole(headers, "X-RateLimit-Remaining"):
            wait = min(wait, BURST_S)
        wait = min(max(wait, 0.2), WINDOW_S)
        self._refused_at = self._monotonic()
        self._blocked_until = max(self._blocked_until, self._monotonic() + wait)
        return wait

    def _refill(self) -> None:
        now = self._monotonic()
        self._tokens = min(
            float(self.per_minute), self._tokens + (now - self._filled_at) * self.per_minute / WINDOW_S
        )
        self._filled_at = now


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 16 else None
