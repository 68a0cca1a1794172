"""What the broker said last of its clock and of the account, and how long ago that was.

One request may take the better part of a minute (time limits and repetitions are the
transport's), so the state of the link follows from the age of the last answer, never from a
request that has not ended. Clock and account age apart: one can fail while the other answers.
Asking is slow on a real broker (its rate limit is shared with orders) and quick on the
simulator, where market time runs up to 300 times faster.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, date, datetime

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import Account
from engine.broker.clock import MarketClock
from engine.broker.errors import BrokerError
from engine.errors import OperatorError
from engine.journal import JournalDb
from engine.model import NEW_YORK, Session
from engine.pipeline.day_low import DayLow, loaded, looked
from engine.views import LinkView

PERIODS = 2.0  # without an answer in so many periods what is known is stale
LEAST_STALE_S = 3.0  # where the period is shorter than a moment of load on this machine
HELD_S = 2.0  # with shares on the account it is asked again so soon: its day's P&L stands beside live prices
FILLS_TOGETHER_S = 0.2  # fills of one moment cost one request
KEEP_S = 15.0  # how often the day's low is written down at most
_LOW = "day_low"  # its key in the journal

log = logging.getLogger(__name__)


class LastAnswer:
    """When something that is asked every ``period_s`` wall seconds answered last, and what is wrong since."""

    def __init__(self, period_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.period_s = period_s
        self.problem = ""
        self._monotonic = monotonic
        self._at: float | None = None

    def came(self) -> None:
        self._at, self.problem = self._monotonic(), ""

    def failed(self, why: str) -> None:
        self.problem = why[:200]

    @property
    def age_s(self) -> float | None:
        """To the tenth of a second; None before the first answer."""
        return None if self._at is None else round(self._monotonic() - self._at, 1)

    @property
    def stale(self) -> bool:
        age = self.age_s
        return age is not None and age > max(PERIODS * self.period_s, LEAST_STALE_S)

    def link(self, latency_ms: float | None) -> LinkView:
        """The state that follows; ``latency_ms`` of the last answer is told while it is fresh."""
        age = self.age_s
        if self.problem:
            return LinkView(state="down", age_s=age, detail=self.problem)
        if age is None:
            return LinkView(state="connecting")
        if self.stale:
            return LinkView(state="stale", age_s=age, detail="the request under way has no answer yet")
        return LinkView(state="live", age_s=age, latency_ms=latency_ms)


class BrokerWatch:
    """Asks in a rhythm; what came last stays, with its age.

    ``calendar`` reads the broker's sessions; ``answered`` is told the latency (ms) and the skew (s) of every
    answer of the clock.
    """

    def __init__(
        self,
        rest: AlpacaRest,
        market: MarketClock,
        journal: JournalDb,
        calendar: Callable[[], Awaitable[list[Session]]],
        *,
        simulated: bool,
        answered: Callable[[float, float], None],
    ) -> None:
        self._rest, self._market, self._journal, self._calendar = rest, market, journal, calendar
        self._answered = answered
        self.clock = LastAnswer(0.5 if simulated else 5.0)
        self.money = LastAnswer(1.0 if simulated else 10.0)
        self.account: Account | None = None
        self.sessions: list[Session] = []
        self._latency_ms: float | None = None
        self._low: DayLow | None = None
        self._low_kept_at = float("-inf")
        self._money_moved = asyncio.Event()  # a fill: the account is read at once

    @property
    def link(self) -> LinkView:
        """The broker's REST, by its clock."""
        return self.clock.link(self._latency_ms)

    @property
    def day_pct(self) -> float | None:
        """The day's P&L in percent of the equity at the last close, by the last answer."""
        account = self.account
        if account is None or account.last_equity <= 0:
            return None
        return float(account.day_pnl / account.last_equity * 100)

    @property
    def account_pause_s(self) -> float:
        """Wall seconds between two looks at the account: few while its worth moves with prices."""
        held = self.account is not None and self.account.equity != self.account.cash
        return min(self.money.period_s, HELD_S) if held else self.money.period_s

    def day_low(self, today: date) -> tuple[float | None, str]:
        """The lowest ``day_pct`` of today that was seen, and what it may be called."""
        if self._low is None or self._low.day != today:
            return None, "day low"
        return self._low.percent, self._low.name(self._session(today))

    def money_moved(self) -> None:
        self._money_moved.set()

    async def restore(self) -> None:
        """Reads the low that an earlier life of the engine kept."""
        kept = await self._journal.get(_LOW)
        try:
            self._low = None if kept is None else loaded(kept)
        except (KeyError, ValueError, TypeError) as error:
            log.warning("the kept low of the day cannot be read (%r): it begins anew", error)

    # --- asking --------------------------------------------------------------------------------

    async def ask_clock(self) -> None:
        began, asked = time.monotonic(), datetime.now(UTC)
        try:
            reading = await self._market.refresh()
        except BrokerError as error:
            self.clock.failed(str(error))
            return
        took = time.monotonic() - began
        self._latency_ms = round(took * 1000, 1)
        self.clock.came()
        self._answered(took * 1000, (reading.at - asked).total_seconds() - took / 2)

    async def ask_account(self) -> None:
        """Reads the account now, then waits for a fill or the pause, whichever is first."""
        self._money_moved.clear()
        try:
            self.account = await self._rest.account()
        except BrokerError as error:
            self.money.failed(str(error))
        else:
            self.money.came()
            await self._read_calendar()
            await self._note_low()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._money_moved.wait(), self.account_pause_s)
        await asyncio.sleep(FILLS_TOGETHER_S)

    async def _read_calendar(self) -> None:
        today = self._market.now().astimezone(NEW_YORK).date()
        if not self.sessions or all(s.day <= today for s in self.sessions[-5:]):
            with suppress(BrokerError):  # without it the views wait; the next account brings the next try
                self.sessions = await self._calendar()

    def _session(self, day: date) -> Session | None:
        return next((s for s in self.sessions if s.day == day), None)

    async def _note_low(self) -> None:
        percent = self.day_pct
        if percent is None or not self.sessions:
            return
        now, before = self._market.now(), self._low
        session = self._session(now.astimezone(NEW_YORK).date())
        self._low = looked(before, percent, now, datetime.now(UTC), session)
        moves = self._market.is_open or before is None or self._low.percent != before.percent
        if moves and time.monotonic() - self._low_kept_at >= KEEP_S:
            await self.keep()

    async def keep(self) -> None:
        """Writes the low down for the next life of the engine; a journal that takes nothing stops nobody."""
        if self._low is None:
            return
        self._low_kept_at = time.monotonic()
        try:
            await self._journal.put(_LOW, self._low.dump())
        except (OperatorError, sqlite3.Error, OSError) as error:
            log.warning("the low of the day cannot be kept over a restart: %s", error)
