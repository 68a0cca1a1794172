"""TSH brackets: how far a trade may run, by entry price.

One table serves training (the PP of a daily bar) and live exits, so that what is
optimised is what is traded. Percent means percent of the entry price, except the
trail, which is percent of the local high.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Bracket:
    """Exit distances for entries at or above ``floor_price`` dollars."""

    floor_price: float
    target_pct: float
    arm_pct: float
    trail_pct: float
    protective_pct: float


class BracketTable:
    """Brackets in rising order of price; every price from the first floor up has exactly one."""

    def __init__(self, brackets: Sequence[Bracket]) -> None:
        floors = [b.floor_price for b in brackets]
        if not brackets or floors != sorted(set(floors)):
            raise ValueError("brackets need distinct floor prices in rising order")
        for b in brackets:
            if not 0 < b.trail_pct <= b.arm_pct <= b.target_pct:
                raise ValueError(f"bracket from {b.floor_price:g}: needs 0 < trail <= arm <= target")
            if not 0 < b.protective_pct < 100:
                raise ValueError(f"bracket from {b.floor_price:g}: needs 0 < protective stop < 100")
        self._brackets, self._floors = tuple(brackets), floors

    def __iter__(self) -> Iterator[Bracket]:
        return iter(self._brackets)

    def at(self, price: float) -> Bracket:
        """The bracket of an entry at ``price`` dollars; ValueError below the first floor."""
        position = bisect_right(self._floors, price) - 1
        if position < 0:
            raise ValueError(f"no bracket for {price:g}: the first starts at {self._floors[0]:g}")
        return self._brackets[position]

    def targets(self, prices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Target in percent of each entry price (dollars); the vector form of ``at(p).target_pct``."""
        positions = np.searchsorted(np.asarray(self._floors), prices, side="right") - 1
        if np.any(positions < 0):
            raise ValueError(f"no bracket below {self._floors[0]:g}")
        return np.asarray([b.target_pct for b in self._brackets])[positions]


DEFAULT_BRACKETS = BracketTable(
    [
        Bracket(0.0, 3.0, 1.8, 1.2, 6.0),
        Bracket(5.0, 2.5, 1.5, 1.0, 5.0),
        Bracket(10.0, 2.0, 1.2, 0.8, 4.0),
        Bracket(25.0, 1.5, 0.9, 0.6, 3.0),
        Bracket(75.0, 1.0, 0.6, 0.4, 2.0),
    ]
)
