"""One session's price path, from its daily bar: a pure function of (seed, symbol, date, bar).

Points lie every 15 market seconds from the open to the close, both included. The path
starts at the open, ends at the close, touches the high and the low, and never leaves them:
a Brownian bridge between those four, folded back at the extremes. Between two points the
price runs straight, so that a limit is crossed whatever the clock's rate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from engine.model import Floats
from engine.simulator.market import Bar, on_grid
from engine.simulator.sessions import STEP_SECONDS

_LOW_FIRST_ON_UP_DAYS = 0.65  # share of rising days that make their low before their high
_NOISE = 0.5  # standard deviation of the bridge over the whole session, in units of the day's range


def seeded(*parts: object) -> np.random.Generator:
    """A generator named by ``parts``: the same parts give the same numbers on every machine."""
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def points_of(seconds: int) -> int:
    """How many points a session of ``seconds`` has."""
    return seconds // STEP_SECONDS + 1


def day_path(seed: int, symbol: str, day: date, bar: Bar, seconds: int) -> Floats:
    """Prices every 15 s of a session ``seconds`` long; its extremes are exactly the bar's.

    ValueError when the session is shorter than a minute.
    """
    count = points_of(seconds)
    if count < 5:
        raise ValueError(f"a session of {seconds} s is too short for a path")
    if bar.high == bar.low:
        return np.full(count, bar.open)
    rng = seeded("path", seed, symbol, day)
    knots, prices = _knots(rng, bar, count)
    steps = np.arange(count)
    skeleton = np.interp(steps, knots, prices)
    span = bar.high - bar.low
    walk = np.cumsum(rng.standard_normal(count) * _activity(count)) * (_NOISE * span / np.sqrt(count))
    bridge = walk - np.interp(steps, knots, walk[knots])
    unit = np.mod((skeleton + bridge - bar.low) / span, 2.0)
    folded = bar.low + np.where(unit > 1.0, 2.0 - unit, unit) * span
    gridded = np.where(folded >= 1.0, np.round(folded, 2), np.round(folded, 4))
    path: Floats = np.clip(gridded, bar.low, bar.high)
    path[knots] = prices
    return path


def _activity(count: int) -> Floats:
    """More movement after the open and before the close, mean about one."""
    share = np.linspace(-1.0, 1.0, count)
    shape: Floats = 0.7 + 0.9 * share * share
    return shape


def _knots(rng: np.random.Generator, bar: Bar, count: int) -> tuple[NDArray[np.int64], Floats]:
    """Where the path must be: open first, close last, high and low somewhere, at distinct points."""
    first, second = sorted(int(i) for i in rng.choice(np.arange(1, count - 1), size=2, replace=False))
    low_first = rng.random() < (_LOW_FIRST_ON_UP_DAYS if bar.close >= bar.open else 1 - _LOW_FIRST_ON_UP_DAYS)
    low_at, high_at = (first, second) if low_first else (second, first)
    at = {0: bar.open, count - 1: bar.close}
    if bar.high > max(bar.open, bar.close):
        at[high_at] = bar.high
    if bar.low < min(bar.open, bar.close):
        at[low_at] = bar.low
    ordered = sorted(at.items())
    return np.array([k for k, _ in ordered]), np.array([p for _, p in ordered], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class DayPath:
    """A session's path, placed in time; ``spread_bps`` is the usual spread in hundredths of a percent."""

    bar: Bar
    open_at: datetime
    close_at: datetime
    prices: Floats
    spread_bps: float

    def share(self, at: datetime) -> float:
        """How much of the session has passed at ``at``: 0..1."""
        length = (self.close_at - self.open_at).total_seconds()
        return min(1.0, max(0.0, (at - self.open_at).total_seconds() / length))

    def price(self, at: datetime) -> float:
        """The price at ``at``, on the exchange's grid between two points and the point itself on one."""
        position = self.share(at) * (len(self.prices) - 1)
        index = int(position)
        here = float(self.prices[index])
        part = position - index
        if part < 1e-9 or index + 1 >= len(self.prices):
            return here
        there = float(self.prices[index + 1])
        between = on_grid(here + (there - here) * part)
        return min(max(between, min(here, there)), max(here, there))

    def halted(self, start: datetime, end: datetime, factor: float) -> DayPath:
        """The same day with a pause: the price of ``start`` until ``end``, all later ones times ``factor``."""
        scale = len(self.prices) - 1
        first = int(self.share(start) * scale) + 1
        last = max(first, int(np.ceil(self.share(end) * scale - 1e-9)))
        prices = self.prices.copy()
        prices[first:last] = self.price(start)
        prices[last:] = [max(0.01, on_grid(float(price) * factor)) for price in prices[last:]]
        bar = self.bar._replace(high=float(prices.max()), low=float(prices.min()), close=float(prices[-1]))
        return replace(self, bar=bar, prices=prices)

    def so_far(self, start: datetime, at: datetime) -> Bar:
        """The bar that the points from ``start`` to ``at`` form (both inclusive)."""
        scale = len(self.prices) - 1
        first = min(scale, int(np.ceil(self.share(start) * scale - 1e-9)))
        last = int(self.share(at) * scale + 1e-9)
        seen = self.prices[first : last + 1]
        now = self.price(at)
        opened = float(seen[0]) if len(seen) else now
        volume = max(1, round(self.bar.volume * (self.share(at) - self.share(start))))
        high = max(now, float(seen.max()) if len(seen) else now)
        low = min(now, float(seen.min()) if len(seen) else now)
        return Bar(opened, high, low, now, volume)
