"""Wall time of a run: monotonic, without its pauses, going on from earlier lives.

A wall clock that is set forward or back means nothing here, and a pause consumes nothing.
Not thread-safe: its owner holds a lock.
"""

from __future__ import annotations

import time


class RunClock:
    """Started once, ended once; between them it may be paused. All times in seconds."""

    def __init__(self, before_s: float = 0.0) -> None:
        """``before_s``: what earlier lives have used."""
        self._before_s = before_s
        self._started_at: float | None = None
        self._paused_at: float | None = None
        self._paused_s = 0.0
        self._ended_s: float | None = None

    @property
    def started(self) -> bool:
        return self._started_at is not None

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    @property
    def ended(self) -> bool:
        return self._ended_s is not None

    @property
    def now(self) -> float:
        """The monotonic clock, standing still while paused."""
        return time.monotonic() if self._paused_at is None else self._paused_at

    @property
    def elapsed_s(self) -> float:
        if self._ended_s is not None:
            return self._ended_s
        if self._started_at is None:
            return self._before_s
        return self._before_s + self.now - self._started_at - self._paused_s

    def start(self) -> None:
        """RuntimeError when called twice."""
        if self._started_at is not None:
            raise RuntimeError("a run starts once")
        self._started_at = time.monotonic()
        if self._paused_at is not None:  # a pause before the start begins with it
            self._paused_at = self._started_at

    def pause(self) -> None:
        if self._paused_at is None and self._ended_s is None:
            self._paused_at = time.monotonic()

    def resume(self) -> float:
        """Ends the pause; how long it was, 0 without one."""
        if self._paused_at is None:
            return 0.0
        pause_s = time.monotonic() - self._paused_at
        self._paused_s += pause_s
        self._paused_at = None
        return pause_s

    def end(self) -> None:
        if self._ended_s is None:
            self._ended_s = self.elapsed_s
