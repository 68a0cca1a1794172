"""The tape: what the last trade and the best quotes of a symbol are at any market time.

Everything is a pure function of (market, seed, symbol, time); nothing of the future leaks,
because a question names its time. Outside the regular session the last values of the
latest session stand, with their old timestamps.
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from engine.model import Session
from engine.simulator.intraday import DayPath, day_path, seeded
from engine.simulator.market import Bar, DayBar, Market
from engine.simulator.sessions import STEP_SECONDS

_PATHS_KEPT = 3000  # about 13 kB each
_LIQUIDITY_SESSIONS = 20
# (median dollars traded a day from, usual spread in basis points)
_SPREADS = ((100e6, 2.0), (20e6, 4.0), (5e6, 8.0), (1e6, 15.0), (0.0, 60.0))


@dataclass(frozen=True, slots=True)
class Print:
    """One trade; ``size`` in shares."""

    symbol: str
    price: float
    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TopOfBook:
    """Best bid below best ask, both on the price grid; sizes in shares."""

    symbol: str
    bid: float
    ask: float
    bid_size: int
    ask_size: int
    at: datetime


class Tape:
    """Prices of one market at any time; keeps the paths it has drawn lately."""

    def __init__(self, market: Market, seed: int) -> None:
        self.market = market
        self.sessions = market.sessions
        self._seed = seed
        self._paths: OrderedDict[tuple[str, date], DayPath | None] = OrderedDict()
        self._altered: dict[tuple[str, date], DayPath] = {}  # paths that a halt has changed
        self._halts: dict[tuple[str, date], list[tuple[datetime, datetime]]] = {}

    def path(self, symbol: str, session: Session) -> DayPath | None:
        """The symbol's path in that session; None when it does not trade then."""
        key = (symbol, session.day)
        if key in self._altered:
            return self._altered[key]
        if key in self._paths:
            self._paths.move_to_end(key)
            return self._paths[key]
        bar = self.market.bar(symbol, session.day)
        drawn = None
        if bar is not None:
            seconds = int((session.close - session.open).total_seconds())
            prices = day_path(self._seed, symbol, session.day, bar, seconds)
            drawn = DayPath(bar, session.open, session.close, prices, self._spread_bps(symbol, session.day))
        self._paths[key] = drawn
        if len(self._paths) > _PATHS_KEPT:
            self._paths.popitem(last=False)
        return drawn

    def _spread_bps(self, symbol: str, day: date) -> float:
        recent = self.market.bars(symbol, day - timedelta(days=45), day - timedelta(days=1))
        dollars = [b.bar.close * b.bar.volume for b in recent[-_LIQUIDITY_SESSIONS:]]
        typical = statistics.median(dollars) if dollars else 0.0
        return next(bps for floor, bps in _SPREADS if typical >= floor)

    def _standing(self, symbol: str, at: datetime) -> tuple[DayPath, datetime] | None:
        """The path whose price stands at ``at``, and when that price was made."""
        session = self.sessions.last_opened(at)
        while session is not None:
            path = self.path(symbol, session)
            if path is not None:
                return path, self._traded_until(symbol, session, min(at, session.close))
            earlier = self.market.bars(symbol, session.day - timedelta(days=30), session.day)
            session = self.sessions.on(earlier[-1].day) if earlier else None
        return None

    # --- halts -------------------------------------------------------------------------------

    def halt(
        self, symbol: str, session: Session, start: datetime, seconds: float, gap_pct: float
    ) -> datetime | None:
        """Stops a symbol from ``start`` for market ``seconds``, then goes on ``gap_pct`` away; when it resumes.

        None when the symbol does not trade in ``session``. What was traded before stays as it was; the
        daily bar that the market tells later is the old one.
        """
        path = self.path(symbol, session)
        if path is None:
            return None
        points = -(-(start - session.open + timedelta(seconds=seconds)) // timedelta(seconds=STEP_SECONDS))
        end = session.open + points * timedelta(seconds=STEP_SECONDS)  # resumes on a point of the path
        self._altered[symbol, session.day] = path.halted(start, end, 1 + gap_pct / 100)
        end = min(end, session.close)
        self._halts.setdefault((symbol, session.day), []).append((start, end))
        return end

    def halted(self, symbol: str, at: datetime) -> bool:
        session = self.sessions.in_progress(at)
        return session is not None and self._traded_until(symbol, session, at) < at

    def _traded_until(self, symbol: str, session: Session, at: datetime) -> datetime:
        """``at``, or the moment at which the halt began that is in force then."""
        spans = self._halts.get((symbol, session.day), ())
        return next((start for start, end in spans if start < at < end), at)

    def last(self, symbol: str, at: datetime) -> Print | None:
        """The latest trade at ``at``; None for a symbol that has not traded within a month."""
        standing = self._standing(symbol, at)
        if standing is None:
            return None
        path, made = standing
        return Print(symbol, path.price(made), self.size(symbol, made), made)

    def quote(self, symbol: str, at: datetime) -> TopOfBook | None:
        """The best bid and ask at ``at``; outside the session the closing ones, with the time of the close."""
        standing = self._standing(symbol, at)
        if standing is None:
            return None
        path, made = standing
        price = path.price(made)
        tick = 0.01 if price >= 1 else 0.0001
        wide = max(1, round(price * path.spread_bps / 1e4 / tick))
        salt = self._salt(symbol, made)
        # The last trade hit the bid or lifted the ask; which one is part of the seed.
        floor = math.floor(price / tick + 1e-6)
        bid = max(1, floor - (wide if salt & 1 and price <= floor * tick + tick / 1e3 else wide // 2))
        ask = max(bid + wide, math.ceil(price / tick - 1e-6))
        digits = 2 if price >= 1 else 4
        return TopOfBook(
            symbol,
            round(bid * tick, digits),
            round(ask * tick, digits),
            100 * (1 + salt % 17),
            100 * (1 + salt // 17 % 17),
            made,
        )

    def trades_in(self, symbol: str, session: Session) -> bool:
        return self.market.bar(symbol, session.day) is not None

    def size(self, symbol: str, at: datetime) -> int:
        """Shares of the print at ``at``."""
        return 100 * (1 + self._salt(symbol, at) // 289 % 9)

    def _salt(self, symbol: str, at: datetime) -> int:
        """A number below 2**31 that belongs to this symbol and market second."""
        second = int(at.timestamp())
        mixed = (
            second * 2654435761 + self._seed * 40503 + sum(ord(c) * 257**i for i, c in enumerate(symbol))
        ) & 0xFFFFFFFF
        mixed ^= mixed >> 15
        return int((mixed * 2246822519 & 0xFFFFFFFF) >> 1)

    def forming_bar(self, symbol: str, at: datetime) -> DayBar | None:
        """Today's bar as far as it has traded, while the session is in progress."""
        session = self.sessions.in_progress(at)
        path = self.path(symbol, session) if session else None
        return DayBar(session.day, path.so_far(path.open_at, at)) if session and path else None

    def finished_bars(self, symbol: str, first: date, last: date, at: datetime) -> list[DayBar]:
        """Daily bars from ``first`` to ``last`` of the sessions that have closed at ``at``."""
        closed = self.sessions.last_closed(at)
        if closed is None:
            return []
        return self.market.bars(symbol, first, min(last, closed.day))

    def daily_bars(self, symbol: str, first: date, last: date, at: datetime) -> list[DayBar]:
        """Finished bars, and today's forming one when the session is in progress and asked for."""
        bars = self.finished_bars(symbol, first, last, at)
        session = self.sessions.in_progress(at)
        if session is not None and first <= session.day <= last:
            forming = self.forming_bar(symbol, at)
            if forming is not None:
                bars.append(forming)
        return bars

    def minute_bars(
        self, symbol: str, start: datetime, end: datetime, minutes: int, at: datetime
    ) -> list[tuple[datetime, Bar]]:
        """Bars of ``minutes`` minutes that begin in [start, end] and have ended by ``at``, oldest first."""
        width = timedelta(minutes=minutes)
        found: list[tuple[datetime, Bar]] = []
        last = self.sessions.last_opened(min(end, at))
        if last is None:
            return found
        for session in self.sessions.between(start.date() - timedelta(days=1), last.day):
            if session.close <= start:
                continue
            path = self.path(symbol, session)
            if path is None:
                continue
            begin = (
                session.open + max(0, -((session.open - start) // width)) * width
                if start > session.open
                else session.open
            )
            while begin < session.close and begin <= end:
                finish = min(begin + width, session.close)
                if finish > at:
                    break
                found.append((begin, path.so_far(begin, finish)))
                begin += width
        return found


def seeded_share(*parts: object) -> float:
    """A number in 0..1 that belongs to ``parts``."""
    return float(seeded(*parts).random())


def exact(price: float) -> Decimal:
    """A price of the tape as Decimal dollars with at most four decimals."""
    return Decimal(str(round(price, 4)))
