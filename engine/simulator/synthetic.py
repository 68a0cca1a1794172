"""The synthetic market: daily bars as a pure function of (seed, symbols, date).

A session's bar never depends on which sessions were asked for: innovations are drawn per
weekday from the seed, and a price is a finite moving sum of them (224 weekdays with falling
weight), so no walk has to start anywhere. Returns have a market factor, a sector factor and
a fat-tailed (Student t) own part; overnight gaps and the day's move are drawn apart;
volume is log-normal and rises with the move. Thin symbols skip days, and a few symbols are
listed afresh from time to time. Nothing here predicts anything: signals found are luck.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from engine.model import Bools, Floats, Ints
from engine.simulator.intraday import seeded
from engine.simulator.listings import SECTORS, synthetic_listings
from engine.simulator.market import Bar, DayBar, Listing
from engine.simulator.sessions import Sessions, nyse_sessions

_CHUNK = 32  # weekdays drawn at once; part of the market's definition
_MEMORY = 7 * _CHUNK  # weekdays an innovation keeps moving the price, with falling weight
_DEGREES = 4.0  # of freedom of the Student t
_FAT = float(np.sqrt((_DEGREES - 2) / _DEGREES))  # scales it to variance one
_CHUNKS_KEPT = 48
_RELIST_DAYS, _UNLISTED_DAYS = 400, 70  # cycle of the symbols that are listed afresh
_BEGINNING = date(1990, 1, 1)
_BACK, _FORWARD = timedelta(days=460), timedelta(days=400)


@dataclass(frozen=True)
class _Traits:
    """What distinguishes the symbols; arrays of one entry a symbol."""

    price: Floats  # dollars, long-run level
    dollars: Floats  # traded a day, long-run level
    daily: Floats  # standard deviation of the own part of a day's log return
    market: Floats  # loading on the market factor
    sector: Floats  # loading on the sector factor
    sectors: Ints
    skip: Floats  # chance of a day without a trade
    relisted: Ints  # phase in days, or -1
    trades: Bools


def _traits(seed: int, listings: tuple[Listing, ...], sectors: tuple[int, ...]) -> _Traits:
    rng = seeded("traits", seed, len(listings))
    n = len(listings)
    kinds = np.array([listing.kind for listing in listings])
    pooled = np.isin(kinds, ["etf", "fund"])
    derived = np.isin(kinds, ["warrant", "unit", "right", "odd", "otc"])
    price = np.clip(np.exp(rng.normal(np.log(21.0), 1.05, n)), 0.4, 900.0)
    price = np.where(
        pooled, np.clip(price * 2.5, 12.0, 400.0), np.where(derived, np.clip(price / 12, 0.05, 12.0), price)
    )
    price = np.where(kinds == "preferred", rng.uniform(18.0, 26.0, n), price)
    dollars = np.exp(rng.normal(np.log(5.5e6), 1.9, n)) * np.clip(price / 20.0, 0.2, 4.0)
    dollars = np.where(derived | (kinds == "preferred"), dollars / 30, dollars)
    daily = np.exp(rng.normal(np.log(0.019), 0.42, n)) * np.clip((20.0 / price) ** 0.15, 0.7, 1.6)
    daily = np.where(pooled, daily * 0.35, np.where(kinds == "preferred", 0.004, daily))
    thin = dollars < 0.6e6
    skip = np.where(
        thin, rng.uniform(0.0, 0.25, n), np.where(rng.random(n) < 0.03, rng.uniform(0.005, 0.06, n), 0.0)
    )
    relisted = np.where((kinds == "common") & (rng.random(n) < 0.04), rng.integers(0, _RELIST_DAYS, n), -1)
    return _Traits(
        price=price,
        dollars=dollars,
        daily=daily,
        market=np.clip(rng.normal(1.0, 0.35, n), 0.1, 2.2),
        sector=np.clip(rng.normal(1.0, 0.30, n), 0.2, 2.0),
        sectors=np.array(sectors, dtype=np.int64),
        skip=skip,
        relisted=relisted.astype(np.int64),
        trades=~np.isin(kinds, ["inactive"]),
    )


def _weekday_number(day: date) -> int:
    """Weekdays since Monday, 1 January of year 1; a Saturday counts as its Friday."""
    weeks, weekday = divmod(day.toordinal() - 1, 7)
    return weeks * 5 + min(weekday, 4)


def _day_of(weekday_number: int) -> date:
    weeks, weekday = divmod(weekday_number, 5)
    return date.fromordinal(weeks * 7 + weekday + 1)


class SyntheticMarket:
    """``symbols`` listings around ``day``: bars 300 sessions back and as far forward as the calendar goes."""

    name = "synthetic"

    def __init__(self, day: date, *, seed: int, symbols: int) -> None:
        self._seed = seed
        self.listings, sectors = synthetic_listings(seed, symbols)
        self.sessions = Sessions(nyse_sessions(day - _BACK, day + _FORWARD))
        self._row = {listing.symbol: i for i, listing in enumerate(self.listings)}
        self._of = _traits(seed, self.listings, sectors)
        self._moves: OrderedDict[int, tuple[Floats, Floats]] = OrderedDict()
        self._bars: OrderedDict[int, Floats] = OrderedDict()
        lag = np.arange(_MEMORY + _CHUNK)[:, None]
        age = _MEMORY + np.arange(_CHUNK)[None, :] - lag
        self._weights = np.where((age >= 0) & (age < _MEMORY), 1.0 - age / _MEMORY, 0.0)

    def prepare(self, last: date, sessions: int) -> None:
        """Draws the ``sessions`` up to ``last`` and the next one now, so that no first request waits for them."""
        following = self.sessions.between(last, last + timedelta(days=7))
        for session in (*self.sessions.between(_BEGINNING, last)[-sessions:], *following):
            self._chunk(_weekday_number(session.day) // _CHUNK)

    def bar(self, symbol: str, day: date) -> Bar | None:
        found = self.bars(symbol, day, day)
        return found[0].bar if found else None

    def bars(self, symbol: str, first: date, last: date) -> list[DayBar]:
        row = self._row.get(symbol)
        found: list[DayBar] = []
        if row is None:
            return found
        chunk_number, rows = -1, []
        for session in self.sessions.between(first, last):
            number, place = divmod(_weekday_number(session.day), _CHUNK)
            if number != chunk_number:
                chunk_number, rows = number, self._chunk(number)[row].tolist()
            opened, high, low, close, volume = rows[place]
            if volume > 0:
                found.append(DayBar(session.day, Bar(opened, high, low, close, int(volume))))
        return found

    def gone_after(self, symbol: str, day: date) -> bool:
        """Never: a skipped day is a day without a trade here, not the end of a company."""
        return False

    def _chunk(self, number: int) -> Floats:
        """Bars float64[symbols, 32, 5] of one chunk of weekdays; volume 0 where there is no bar."""
        known = self._bars.get(number)
        if known is not None:
            self._bars.move_to_end(number)
            return known
        past = [self._movement(number - back) for back in range(_MEMORY // _CHUNK, -1, -1)]
        level = np.concatenate([move for move, _ in past], axis=1) @ self._weights
        bars = self._shape(number, level, *self._movement(number))
        self._bars[number] = bars
        if len(self._bars) > _CHUNKS_KEPT:
            self._bars.popitem(last=False)
        return bars

    def _movement(self, number: int) -> tuple[Floats, Floats]:
        """(whole move, intraday part) as log returns [symbols, 32] of one chunk."""
        known = self._moves.get(number)
        if known is not None:
            self._moves.move_to_end(number)
            return known
        n, of = len(self.listings), self._of
        whole, intraday = np.empty((n, _CHUNK)), np.empty((n, _CHUNK))
        for place in range(_CHUNK):
            rng = seeded("moves", self._seed, n, number * _CHUNK + place)
            heat = float(np.exp(0.30 * rng.standard_normal()))  # calm and wild days
            factor = np.array([0.35, 0.65]) * 0.0095 * heat * _FAT * rng.standard_t(_DEGREES)
            sector = 0.006 * heat * rng.standard_normal((len(SECTORS), 2)) * np.array([0.5, 0.8])
            own = rng.standard_t(_DEGREES, (2, n)) * _FAT * of.daily * heat * np.array([[0.45], [0.80]])
            news = np.where(rng.random(n) < 0.006, 5.0, 1.0)  # results, offerings: a big gap now and then
            gap = of.market * factor[0] + of.sector * sector[of.sectors, 0] + own[0] * news
            day = of.market * factor[1] + of.sector * sector[of.sectors, 1] + own[1]
            intraday[:, place] = np.clip(day, -0.35, 0.35)
            whole[:, place] = np.clip(gap, -0.40, 0.40) + intraday[:, place]
        self._moves[number] = (whole, intraday)
        if len(self._moves) > _CHUNKS_KEPT:
            self._moves.popitem(last=False)
        return whole, intraday

    def _shape(self, number: int, level: Floats, whole: Floats, intraday: Floats) -> Floats:
        n, of = len(self.listings), self._of
        rng = seeded("shape", self._seed, n, number)
        daily = of.daily[:, None]
        close = of.price[:, None] * np.exp(np.clip(level, -2.5, 2.5))
        opened = close * np.exp(-intraday)
        reach = np.abs(rng.standard_normal((2, n, _CHUNK))) * daily * 0.45
        high = np.maximum(opened, close) * np.exp(reach[0])
        low = np.minimum(opened, close) * np.exp(-reach[1])
        prices = np.maximum(np.stack([opened, high, low, close], axis=-1), 0.0101)
        prices = np.where(prices >= 1.0, np.round(prices, 2), np.round(prices, 4))
        surprise = 0.5 * np.log1p(np.abs(whole) / (2 * daily))
        noise = 0.45 * rng.standard_normal((n, _CHUNK)) + 0.12 * rng.standard_normal(_CHUNK)
        volume = np.rint((of.dollars / of.price)[:, None] * np.exp(surprise + noise - 0.2))
        volume = np.where(self._trading(rng.random((n, _CHUNK)), number), volume, 0.0)
        return np.concatenate([prices, volume[..., None]], axis=-1)

    def _trading(self, dice: Floats, number: int) -> Bools:
        """Which symbols trade on which weekday of the chunk."""
        ordinals = np.array([_day_of(number * _CHUNK + place).toordinal() for place in range(_CHUNK)])
        age = (ordinals[None, :] - self._of.relisted[:, None]) % _RELIST_DAYS
        listed = (self._of.relisted[:, None] < 0) | (age >= _UNLISTED_DAYS)
        trading: Bools = (dice >= self._of.skip[:, None]) & listed & self._of.trades[:, None]
        return trading
