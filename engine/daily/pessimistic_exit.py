"""What a fill at the open was worth at least under TSH, judged from one daily bar.

A daily bar does not say in which order a session went through its prices, so TSH's exit is
not determined by it. ``tsh_pessimistic`` is the least that any continuous path from the open
to the close through this high and low can have brought: the figure that grades groups. Pure.
"""

from __future__ import annotations

import numpy as np

from engine.brackets import BracketTable
from engine.model import CLOSE, HIGH, LOW, OPEN, Floats, Ints, micro_percent


def tsh_pessimistic(bars: Floats, brackets: BracketTable) -> Ints:
    """The least that TSH can have earned from each bar, entered at its open: int64[n] micro-percent, before costs.

    ``bars`` float64[n, 5], sound ones. With A the arm price, r the trail, and the low above the
    protective stop (else the path that falls first sells at the stop, and nothing is worse):

    - the high stays below A: never armed, sold at the close;
    - the trail can be hit, low <= min(high, target) x (1 - r): the worst is a fall right after arming, sold at
      A x (1 - r), or at the low where the price never came down so far;
    - armed and the trail cannot be hit: sold at the target where the high reached it, else at the close.

    Capture and ride share this floor. The close stands for the end-of-day exit minutes before it.
    """
    opened, high, low, close = (bars[:, k] for k in (OPEN, HIGH, LOW, CLOSE))
    found = [brackets.at(float(price)) for price in opened]
    arm, trail, protective, target = (
        np.array([getattr(bracket, name) for bracket in found], dtype=np.float64) / 100.0
        for name in ("arm_pct", "trail_pct", "protective_pct", "target_pct")
    )
    stop, armed_at, aim = (_level(opened * factor) for factor in (1.0 - protective, 1.0 + arm, 1.0 + target))
    most = np.minimum(high, aim)  # the highest price that TSH can have seen while it held: it leaves at the target
    trailed = np.maximum(_level(armed_at * (1.0 - trail)), low)
    held = np.where(high >= aim, aim, close)
    trails = (armed_at < aim) & (
        low <= _level(most * (1.0 - trail))
    )  # armed at the target it is sold, not trailed
    exits = np.where(trails, trailed, held)
    exits = np.where(high < armed_at, close, exits)
    exits = np.where(low <= stop, stop, exits)
    return micro_percent(100.0 * (exits / opened - 1.0))


def _level(prices: Floats) -> Floats:
    """As TSH keeps its levels, to a hundredth of a cent: a price on the level has touched it."""
    return np.round(prices, 4)
