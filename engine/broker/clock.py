"""Market time: the broker's last reading, carried on by our monotonic clock at the announced rate.

Market time decides session events, deadlines and end-of-day exits; wall time decides
everything else (CONTRACTS, *Time*). ``now`` never goes backwards: when a reading lies
behind our estimate, market time stands still until the broker has caught up.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from engine.broker.broker_types import ClockReading
from engine.errors import OperatorError

LOOK_EVERY_S = 0.25  # how often a wait looks again, wall seconds


class MarketClock:
    """``read`` asks the broker; without it the clock lives on ``update`` alone."""

    def __init__(
        self,
        read: Callable[[], Awaitable[ClockReading]] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._reading: ClockReading | None = None
        self._read_at = 0.0
        self._shown: datetime | None = None
        self._news = asyncio.Event()

    @property
    def known(self) -> bool:
        return self._reading is not None

    @property
    def reading(self) -> ClockReading:
        """The last reading. OperatorError before the first one."""
        if self._reading is None:
            raise OperatorError(
                "market time is not known yet: the broker's clock has not answered; check the link"
            )
        return self._reading

    @property
    def rate(self) -> float:
        """Market seconds per wall second, as last announced."""
        return self.reading.rate

    @property
    def reading_age_s(self) -> float:
        """Wall seconds since the last reading."""
        return self._monotonic() - self._read_at if self._reading else math.inf

    @property
    def is_open(self) -> bool:
        """Whether the regular session is open now, carried on from the last reading's next open and close."""
        reading, now = self.reading, self.now()
        if reading.is_open:
            return now < reading.next_close
        return reading.next_open <= now < reading.next_close

    def update(self, reading: ClockReading) -> None:
        self._reading = reading
        self._read_at = self._monotonic()
        self._news.set()

    async def refresh(self) -> ClockReading:
        """Asks the broker now; raises what the broker raises."""
        if self._read is not None:
            self.update(await self._read())
        return self.reading

    def now(self) -> datetime:
        """Market time, aware UTC; never earlier than a time already given."""
        reading = self.reading
        estimate = reading.at + timedelta(seconds=reading.rate * max(0.0, self._monotonic() - self._read_at))
        if reading.hold_at is not None and reading.hold_at >= reading.at:
            estimate = min(estimate, reading.hold_at)
        if self._shown is None or estimate > self._shown:
            self._shown = estimate
        return self._shown

    def seconds_until(self, at: datetime) -> float:
        """Wall seconds until market time ``at`` at the present rate; 0 when past, inf while time stands still."""
        market = (at - self.now()).total_seconds()
        if market <= 0:
            return 0.0
        rate = self.rate
        held = self.reading.hold_at is not None and self.reading.hold_at < at
        return math.inf if rate <= 0 or held else market / rate

    async def wait_until(self, at: datetime) -> None:
        """Returns when the broker's own clock has reached ``at``; follows rate changes, holds and jumps.

        Where time runs fast the estimate may lead the broker, so the end is confirmed by a fresh reading.
        """
        while True:
            wait = self.seconds_until(at)
            if wait <= 0:
                if self._read is None or self.reading.at >= at:
                    return
                if (await self.refresh()).at >= at:
                    return
                wait = (at - self.reading.at).total_seconds() / self.rate if self.rate > 0 else LOOK_EVERY_S
                wait = max(wait, 0.005)
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), min(wait, LOOK_EVERY_S))
            except TimeoutError:
                if wait == math.inf and self._read is not None and self.reading_age_s > 1.0:
                    await self.refresh()
