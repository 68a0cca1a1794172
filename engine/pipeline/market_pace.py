"""How market time passes between the events of a week.

On a real broker time cannot be hurried: every method only waits. On the embedded
simulator the same waits are made short: it jumps when nothing is pending, slows down for
the open, holds at an approval deadline while a person is attached, and never exceeds its
own limit while orders or positions exist. The cycles call the same methods on both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, Protocol

from engine.broker.clock import MarketClock
from engine.broker.errors import BrokerError, RequestRefused
from engine.broker.simulator_control import SimulatorControl

APPROVAL_LEAD = timedelta(minutes=5)  # market time left for reading the list when a person is there
APPROVAL_RATE = 5.0
LOOK_S = 0.25
EVENING_S = 120.0  # wall seconds that a skipped evening is worth

log = logging.getLogger(__name__)


class MarketPace(Protocol):
    """Where a cycle says what it waits for; all times are aware UTC market times."""

    async def until(self, at: datetime) -> None:
        """Returns when the market clock has reached ``at``; nothing is pending meanwhile."""

    async def evening(self, work: asyncio.Task[None]) -> None:
        """``work`` needs the hours before the open: where those are skipped it is waited for first."""

    async def decision(self, deadline: datetime, decided: asyncio.Event, attended: Callable[[], bool]) -> bool:
        """Waits for ``decided`` until ``deadline``; whether it was set in time."""

    async def entering(self) -> None:
        """The open is near: entries need wall time."""

    async def managing(self) -> None:
        """Positions are watched until they are flat."""

    async def resting(self) -> None:
        """Nothing runs: market time passes as in the world."""


class RealPace:
    """A real broker's time: only waiting."""

    def __init__(self, clock: MarketClock) -> None:
        self._clock = clock

    async def until(self, at: datetime) -> None:
        await self._clock.wait_until(at)

    async def evening(self, work: asyncio.Task[None]) -> None:
        return

    async def decision(self, deadline: datetime, decided: asyncio.Event, attended: Callable[[], bool]) -> bool:
        return await _decided_before(self._clock, deadline, decided)

    async def entering(self) -> None:
        return

    async def managing(self) -> None:
        return

    async def resting(self) -> None:
        return


class SimulatedPace:
    """The embedded market: jumps, slows and holds through the simulator's clock."""

    def __init__(self, clock: MarketClock, control: SimulatorControl, *, speed: float, entry_speed: float) -> None:
        self._clock, self._control = clock, control
        self._speed, self._entry_speed = speed, entry_speed

    async def until(self, at: datetime) -> None:
        if self._clock.now() >= at:
            return
        try:
            await self._set(jump_to=at)
        except RequestRefused as refusal:
            # Orders or positions exist (foreign ones, perhaps): then time passes at speed, not at once.
            log.info("the simulator does not jump: %s", refusal)
            await self._set(rate=self._speed)
        await self._clock.wait_until(at)

    async def evening(self, work: asyncio.Task[None]) -> None:
        await asyncio.wait({work}, timeout=EVENING_S)

    async def decision(self, deadline: datetime, decided: asyncio.Event, attended: Callable[[], bool]) -> bool:
        if self._clock.now() < deadline - APPROVAL_LEAD:
            await self.until(deadline - APPROVAL_LEAD)
        await self._set(rate=APPROVAL_RATE)
        held = self._clock.reading.hold_at is not None  # by an engine that was killed while a person read the list
        try:
            while not decided.is_set() and self._clock.now() < deadline:
                if attended() is not held:
                    held = not held
                    await (self._set(hold_at=deadline) if held else self._set(hold_at="release"))
                try:
                    await asyncio.wait_for(decided.wait(), LOOK_S)
                except TimeoutError:
                    # A held clock stands just before the deadline; the clock object must not run past it.
                    await self._clock.refresh()
            return decided.is_set()
        finally:
            if held:
                await self._set(hold_at="release")

    async def entering(self) -> None:
        await self._set(rate=self._entry_speed)

    async def managing(self) -> None:
        await self._set(rate=self._speed)

    async def resting(self) -> None:
        try:
            await self._set(rate=1.0)
        except BrokerError as error:
            log.info("the simulator's rate stays as it is: %s", error)

    async def _set(
        self,
        *,
        rate: float | None = None,
        jump_to: datetime | None = None,
        hold_at: datetime | Literal["release"] | None = None,
    ) -> None:
        self._clock.update(await self._control.sim_clock(rate=rate, jump_to=jump_to, hold_at=hold_at))


async def _decided_before(clock: MarketClock, deadline: datetime, decided: asyncio.Event) -> bool:
    waiting = {asyncio.create_task(decided.wait()), asyncio.create_task(clock.wait_until(deadline))}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return decided.is_set()
