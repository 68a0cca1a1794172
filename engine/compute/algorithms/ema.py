"""ema: the fast average has just crossed above the slow one.

Buy when EMA(C, f) > EMA(C, s) at t, and <= at t-k; f < s.

Source: TA-Lib EMA: seed = mean of the first n closes of the window, then
e += 2/(n+1) * (C - e). A period's line is computed once for all sets that name it.
"""

from __future__ import annotations

import numpy as np

from engine.compute.algorithms.lines import ema_line
from engine.compute.algorithms.rule import Flags, Rule, kernel
from engine.model import CLOSE, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("ema", (Parameter("f", 3, 20), Parameter("s", 8, 50), Parameter("k", 1, 5)), rising=(0, 1))
LONGEST = 50  # the slow line's longest period
KEEP = 6  # bars of a line that a rule can ask for: t-5 .. t
ROWS = KEEP + 1  # and one row of working memory


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    lanes = bars.shape[2]
    known = np.zeros(LONGEST + 1, np.uint8)
    for row in range(values.shape[0]):
        fast, slow, k = int(values[row, 0]), int(values[row, 1]), int(values[row, 2])
        for period in (fast, slow):
            if not known[period]:
                ema_line(bars[CLOSE], period, KEEP, scratch[period * ROWS : (period + 1) * ROWS])
                known[period] = 1
        f1, s1 = scratch[fast * ROWS], scratch[slow * ROWS]
        f0, s0 = scratch[fast * ROWS + k], scratch[slow * ROWS + k]
        buy = flags[row]
        for j in range(lanes):
            buy[j] = (f1[j] > s1[j]) & (f0[j] <= s0[j])


RULE = Rule(2, SPACE, buys, scratch_rows=(LONGEST + 1) * ROWS)
