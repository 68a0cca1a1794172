"""The exchange's sessions: which days trade, from when to when, and the moments the market steps through.

Times are aware UTC, days are New York dates. A session is in progress from its open
(inclusive) to its close (exclusive): at 16:00:00 the market is shut.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from engine.errors import DataError
from engine.model import NEW_YORK, UTC, Session
from engine.simulator.session_cache import year_sessions

STEP_SECONDS = 15  # distance of two points of an intraday path
PRE_MARKET = time(4, 0)  # New York; the venue takes last evening's orders, and the day rolls over


class Phase(StrEnum):
    """What a moment is for the exchange."""

    DAWN = "dawn"  # 04:00 of a session's day
    OPEN = "open"
    TRADE = "trade"  # a point of the intraday paths
    CLOSE = "close"
    BETWEEN = "between"  # any other moment: nothing trades on the grid


@dataclass(frozen=True, slots=True)
class Moment:
    at: datetime
    phase: Phase
    session: Session | None


def new_york_time(day: date, at: time) -> datetime:
    """That wall time in New York as UTC."""
    return datetime.combine(day, at, tzinfo=NEW_YORK).astimezone(UTC)


class Sessions:
    """An ordered list of sessions; ValueError when they overlap or are out of order."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        if not sessions:
            raise ValueError("a calendar needs at least one session")
        self._set(sessions)

    def _set(self, sessions: Sequence[Session]) -> None:
        self.all = tuple(sessions)
        self._opens = [s.open for s in sessions]
        self._closes = [s.close for s in sessions]
        self.days = tuple(s.day for s in sessions)
        flat = [t for s in sessions for t in (s.open, s.close)]
        if flat != sorted(set(flat)):
            raise ValueError("sessions must be distinct and in order")

    def close_early(self, session: Session, at: datetime) -> None:
        """The session in progress ends at ``at``; ValueError when that is not inside it."""
        if not session.open < at <= session.close:
            raise ValueError(f"{at.isoformat()} is not inside the session of {session.day}")
        self._set([replace(s, close=at) if s.day == session.day else s for s in self.all])

    def on(self, day: date) -> Session | None:
        position = bisect_left(self.days, day)
        return self.all[position] if position < len(self.days) and self.days[position] == day else None

    def in_progress(self, at: datetime) -> Session | None:
        position = bisect_right(self._opens, at) - 1
        return self.all[position] if position >= 0 and at < self._closes[position] else None

    def last_closed(self, at: datetime) -> Session | None:
        """The latest session whose close has passed."""
        position = bisect_right(self._closes, at) - 1
        return self.all[position] if position >= 0 else None

    def last_opened(self, at: datetime) -> Session | None:
        position = bisect_right(self._opens, at) - 1
        return self.all[position] if position >= 0 else None

    def unfinished(self, at: datetime) -> Session | None:
        """The session in progress, or else the next one; None after the last."""
        position = bisect_right(self._closes, at)
        return self.all[position] if position < len(self.all) else None

    def next_open(self, at: datetime) -> datetime | None:
        position = bisect_right(self._opens, at)
        return self._opens[position] if position < len(self.all) else None

    def next_close(self, at: datetime) -> datetime | None:
        session = self.unfinished(at)
        return session.close if session else None

    def before(self, day: date) -> Session | None:
        position = bisect_left(self.days, day) - 1
        return self.all[position] if position >= 0 else None

    def between(self, first: date, last: date) -> tuple[Session, ...]:
        """Sessions from ``first`` to ``last``, both inclusive."""
        return self.all[bisect_left(self.days, first) : bisect_right(self.days, last)]

    def moments(self, start: datetime, end: datetime, *, steps: bool) -> Iterator[Moment]:
        """What happens in (start, end], in order: dawns, opens, closes and, with ``steps``, every path point."""
        position = bisect_right(self._closes, start)
        for session in self.all[position:]:
            dawn = new_york_time(session.day, PRE_MARKET)
            if dawn > end:
                return
            if dawn > start:
                yield Moment(dawn, Phase.DAWN, session)
            if session.open > end:
                return
            if session.open > start:
                yield Moment(session.open, Phase.OPEN, session)
            if steps:
                yield from self._steps(session, max(start, session.open), min(end, session.close))
            if session.close > end:
                return
            yield Moment(session.close, Phase.CLOSE, session)

    @staticmethod
    def _steps(session: Session, start: datetime, end: datetime) -> Iterator[Moment]:
        step = timedelta(seconds=STEP_SECONDS)
        at = session.open + ((start - session.open) // step + 1) * step
        while at <= end and at < session.close:
            yield Moment(at, Phase.TRADE, session)
            at += step


def nyse_sessions(first: date, last: date) -> tuple[Session, ...]:
    """XNYS sessions from ``first`` to ``last``: 09:30-16:00 New York, 13:00 on early closes."""
    try:
        years = year_sessions(first.year, last.year)
    except ValueError as error:
        raise DataError(
            f"no exchange calendar from {first} to {last}: {error}; choose a market date between 1990 and 2100"
        ) from error
    return tuple(session for session in years if first <= session.day <= last)


def file_sessions(days: Sequence[date], *, margin: timedelta) -> Sessions:
    """A recorded market's own days where it has any, XNYS around them for ``margin`` either side.

    A day of the file that XNYS does not know gets regular hours: the file saw it trade.
    """
    known = {s.day: s for s in nyse_sessions(days[0] - margin, days[-1] + margin)}
    covered = {
        day: known.get(day) or Session(day, new_york_time(day, time(9, 30)), new_york_time(day, time(16, 0)))
        for day in days
    }
    outside = {day: s for day, s in known.items() if not days[0] <= day <= days[-1]}
    return Sessions([s for _, s in sorted((outside | covered).items())])
