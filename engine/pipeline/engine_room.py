"""What the cycles work with: one object that the daemon fills once and hands to every stage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.clock import MarketClock
from engine.compute.protocol import ComputeEngine
from engine.errors import OperatorError
from engine.event_bus import EventBus
from engine.execution.desk import ExecutionDesk
from engine.home import Home
from engine.journal import JournalDb
from engine.model import NEW_YORK, Session
from engine.pipeline.market_pace import MarketPace
from engine.settings import Settings
from engine.storage.stocks_data_db import StocksDataDb
from engine.view_board import ViewBoard

CALENDAR_BACK = timedelta(days=200)  # covers the longest lookback in sessions
CALENDAR_AHEAD = timedelta(days=14)


@dataclass
class EngineRoom:
    """The parts of one running engine."""

    home: Home
    settings: Settings
    account: str
    journal: JournalDb
    stocks: StocksDataDb
    rest: AlpacaRest
    clock: MarketClock
    pace: MarketPace
    bus: EventBus
    board: ViewBoard
    desk: ExecutionDesk
    compute: Callable[[], ComputeEngine]  # the native backend: nothing to close
    executor_compute: Callable[[], ComputeEngine]  # the chosen backend; its user closes it (close_engine)
    kernels_ready: Callable[[], Awaitable[None]]  # returns when the kernels are compiled
    attended: Callable[[], bool]  # whether a person with a commanding console is attached

    async def calendar(self) -> list[Session]:
        """The broker's sessions around now, ascending."""
        today = self.clock.now().astimezone(NEW_YORK).date()
        return await self.rest.calendar(today - CALENDAR_BACK, today + CALENDAR_AHEAD)

    def final_sessions(self, calendar: list[Session]) -> list[Session]:
        """Sessions whose daily bars are final now (closed at least settle_minutes ago)."""
        settled = self.clock.now() - timedelta(minutes=self.settings.data.settle_minutes)
        return [session for session in calendar if session.close <= settled]


def next_session(calendar: list[Session], after: date) -> Session:
    """The first session after a date; OperatorError when the calendar ends before it."""
    for session in calendar:
        if session.day > after:
            return session
    raise OperatorError(f"the broker's calendar has no session after {after}; try again later")


def session_of(calendar: list[Session], at: datetime) -> Session | None:
    """The session whose regular hours contain ``at``, or None."""
    return next((s for s in calendar if s.open <= at < s.close), None)
