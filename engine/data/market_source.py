"""What the data stages ask of a broker, and how they ask it: whole chunks, a few in flight.

A request answers at most 10,000 bars, so a chunk is as many symbols as fill one answer: the
number of requests is what the rate limit counts, and what a build costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

from engine.errors import DataError
from engine.model import NEW_YORK, Asset, DailyBar, Session

POINTS_A_REQUEST = 10_000
IN_FLIGHT = 4
# Regular sessions are at least 250 of 365 days; the rest is room for a long closure.
_CALENDAR_DAYS_A_SESSION = 1.6
_CALENDAR_DAYS_MORE = 20


class MarketSource(Protocol):
    """The broker's reading side (``engine.broker.alpaca_rest.AlpacaRest``)."""

    async def assets(self) -> list[Asset]: ...

    async def calendar(self, start: date, end: date) -> list[Session]: ...

    async def daily_bars(self, symbols: Sequence[str], start: date, end: date, feed: str) -> list[DailyBar]:
        """Split-adjusted daily bars of the sessions ``start``..``end`` inclusive."""
        ...


async def final_sessions(source: MarketSource, now: datetime, count: int, settle_minutes: int) -> tuple[date, ...]:
    """The ``count`` most recent sessions whose bars are final at market time ``now``, oldest first.

    A session is final ``settle_minutes`` after its own close (half days included). Raises
    DataError when the broker's calendar holds fewer.
    """
    today = now.astimezone(NEW_YORK).date()
    days = int(count * _CALENDAR_DAYS_A_SESSION) + _CALENDAR_DAYS_MORE
    calendar = await source.calendar(today - timedelta(days=days), today)
    return last_final_sessions(calendar, now, count, settle_minutes)


def last_final_sessions(
    calendar: Iterable[Session], now: datetime, count: int, settle_minutes: int
) -> tuple[date, ...]:
    """The pure part of ``final_sessions``."""
    settled = timedelta(minutes=settle_minutes)
    final = sorted({session.day for session in calendar if session.close + settled <= now})
    if len(final) < count:
        raise DataError(
            f"the broker's calendar has {len(final)} finished sessions up to "
            f"{now.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York, {count} are needed; "
            "choose a later date, or a market file that begins earlier"
        )
    return tuple(final[-count:])


def in_chunks(symbols: Sequence[str], sessions: int) -> list[tuple[str, ...]]:
    """The symbols in groups whose bars of ``sessions`` sessions fit one answer."""
    size = max(1, POINTS_A_REQUEST // sessions)
    return [tuple(symbols[i : i + size]) for i in range(0, len(symbols), size)]


async def for_each(
    numbers: Iterable[int], work: Callable[[int], Awaitable[None]], in_flight: int = IN_FLIGHT
) -> None:
    """Runs ``work`` for each number, ``in_flight`` at a time; the first error stops the others and is raised."""
    waiting = iter(numbers)

    async def worker() -> None:
        for number in waiting:
            await work(number)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
