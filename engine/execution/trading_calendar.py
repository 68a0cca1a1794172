"""Which session is it? The broker's calendar read around today, asked by market time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.clock import MarketClock
from engine.model import NEW_YORK, Session

AROUND = timedelta(days=10)
AHEAD = timedelta(days=3)  # read again when the calendar reaches no further than this


class TradingCalendar:
    """Empty until the first ``read``."""

    def __init__(self, rest: AlpacaRest, clock: MarketClock) -> None:
        self._rest, self._clock = rest, clock
        self._sessions: list[Session] = []
        self.moved: list[Session] = []  # sessions whose close the last read has changed

    @property
    def sessions(self) -> tuple[Session, ...]:
        return tuple(self._sessions)

    async def read(self) -> None:
        today, known = self.today(), {s.day: s.close for s in self._sessions}
        self._sessions = await self._rest.calendar(today - AROUND, today + AROUND)
        self.moved = [s for s in self._sessions if known.get(s.day, s.close) != s.close]

    def outdated(self) -> bool:
        """Whether the broker's clock names another close for the session in progress than the calendar read."""
        reading, session = self._clock.reading, self.session()
        if not reading.is_open or session is None or not session.open <= reading.at < reading.next_close:
            return False
        return self._clock.now() < reading.next_close != session.close

    async def keep(self) -> None:
        """Reads again when the known sessions run out."""
        if not self._sessions or self._sessions[-1].day < self.today() + AHEAD:
            await self.read()

    def today(self) -> date:
        return self._clock.now().astimezone(NEW_YORK).date()

    def session(self) -> Session | None:
        """The session that is open or comes next."""
        now = self._clock.now()
        return next((s for s in self._sessions if now < s.close), None)

    def session_day(self) -> date:
        """The New York date that ids and P&L carry: the session that is open, was open today, or comes next."""
        today = self.today()
        if any(s.day == today for s in self._sessions):
            return today
        upcoming = self.session()
        return today if upcoming is None else upcoming.day

    def opened_today(self) -> bool:
        """Whether today has a session that has begun; it may be over."""
        now, today = self._clock.now(), self.today()
        return any(s.day == today and s.open <= now for s in self._sessions)

    def close_of(self, session: date, otherwise: datetime) -> datetime:
        """The close of a session; ``otherwise`` for one too old to be in the calendar: it is over."""
        return next((s.close for s in self._sessions if s.day == session), otherwise)


def at_new_york(day: date, clock: time) -> datetime:
    """A New York time of day of a session, aware."""
    return datetime.combine(day, clock, tzinfo=NEW_YORK)
