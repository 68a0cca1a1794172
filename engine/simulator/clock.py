"""Market time: runs at a rate against the machine's monotonic clock, never backwards.

The rate is market seconds per wall second. While orders or positions exist (``busy``) it is
capped, because a jump over an exit would be a lie about the market. ``hold_at`` stops time
at a moment until the hold is changed; that is how an approval deadline waits for a person.
Safe to use from several threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

BUSY_RATE = 300.0  # market seconds per wall second, at most, while orders or positions exist
TOP_RATE = 1000.0


class ClockError(ValueError):
    """An order to the clock that it will not follow; the sentence says why."""


class SimulatedClock:
    """Market time from ``start``, at most until ``end`` (the last session that the market knows)."""

    def __init__(
        self, start: datetime, end: datetime, rate: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._base, self._base_wall = start, monotonic()
        self._end = end
        self._asked = self._checked(rate)
        self._busy = False
        self._hold: datetime | None = None

    @staticmethod
    def _checked(rate: float) -> float:
        if not 0 < rate <= TOP_RATE:
            raise ClockError(f"rate {rate:g} is outside 0..{TOP_RATE:g} market seconds per second")
        return float(rate)

    def _running_rate(self) -> float:
        return min(self._asked, BUSY_RATE) if self._busy else self._asked

    def _now(self) -> datetime:
        elapsed = max(0.0, self._monotonic() - self._base_wall)
        limit = self._end if self._hold is None else min(self._end, self._hold)
        running = self._base + timedelta(seconds=elapsed * self._running_rate())
        return max(self._base, min(running, limit))

    def _rebase(self) -> None:
        self._base = self._now()
        self._base_wall = self._monotonic()

    def now(self) -> datetime:
        with self._lock:
            return self._now()

    @property
    def rate(self) -> float:
        """Market seconds per wall second right now; 0 while held or at the end of the market."""
        with self._lock:
            limit = self._end if self._hold is None else min(self._end, self._hold)
            return 0.0 if self._now() >= limit else self._running_rate()

    @property
    def asked_rate(self) -> float:
        with self._lock:
            return self._asked

    @property
    def hold_at(self) -> datetime | None:
        with self._lock:
            return self._hold

    def go_on(self, at: datetime, rate: float, hold_at: datetime | None) -> None:
        """Takes up the time, rate and hold of an earlier life."""
        with self._lock:
            self._base, self._base_wall = max(self._base, at), self._monotonic()
            self._asked, self._hold = self._checked(rate), hold_at

    def set_busy(self, busy: bool) -> None:
        """Whether orders or positions exist; caps the rate from now on."""
        with self._lock:
            if busy != self._busy:
                self._rebase()
                self._busy = busy

    def set_rate(self, rate: float) -> None:
        with self._lock:
            checked = self._checked(rate)
            self._rebase()
            self._asked = checked

    def set_hold(self, at: datetime | None) -> None:
        """Market time stops at ``at``; None lets it run on. ClockError when ``at`` has passed."""
        with self._lock:
            self._rebase()
            if at is not None and at < self._base:
                raise ClockError(f"hold_at {at.isoformat()} has passed: market time is {self._base.isoformat()}")
            self._hold = at

    def check_jump(self, to: datetime) -> None:
        """ClockError when a jump to ``to`` would go backwards, over a hold, or past the market's end."""
        with self._lock:
            now = self._now()
            if to < now:
                raise ClockError(f"market time never goes backwards: it is {now.isoformat()}")
            if self._hold is not None and to > self._hold:
                raise ClockError(f"market time is held at {self._hold.isoformat()}: clear hold_at first")
            if to > self._end:
                raise ClockError(f"this market ends at {self._end.isoformat()}")

    def jump(self, to: datetime) -> None:
        """Sets market time forward; the caller processes what lies between. See ``check_jump``."""
        self.check_jump(to)
        with self._lock:
            self._base, self._base_wall = max(self._now(), to), self._monotonic()
