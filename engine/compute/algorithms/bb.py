"""bb: below the lower Bollinger band, yet above the close of m bars ago.

Buy when C < SMA(n) - k*sigma(n) (population deviation of the last n closes) and C > C[t-m].

Everything is measured from the signal close: with d = C[i] - C, the band condition is
mean(d) > k*sigma(d). That is the same number, it is exactly zero on a flat window where
the usual form compares rounding errors, and sigma needs one pass: the signal close is one
of the n points, so mean(d*d) never exceeds the variance by more than a factor of n.
"""

from __future__ import annotations

import math
from decimal import Decimal

from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace(
    "bb", (Parameter("n", 5, 40), Parameter("k", 3, 18, Decimal("0.1")), Parameter("m", 5, 30, Decimal(2)))
)


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    close = bars[CLOSE]
    lanes = close.shape[1]
    total, squares, c = scratch[0], scratch[1], close[SIGNAL]
    for row in range(values.shape[0]):
        n, k, m = int(values[row, 0]), values[row, 1], int(values[row, 2])
        total[:] = 0.0
        squares[:] = 0.0
        for t in range(SIGNAL - n + 1, SIGNAL):
            x = close[t]
            for j in range(lanes):
                d = x[j] - c[j]
                total[j] += d
                squares[j] += d * d
        c0, buy = close[SIGNAL - m], flags[row]
        for j in range(lanes):
            mean = total[j] / n
            variance = max(squares[j] / n - mean * mean, 0.0)
            buy[j] = (mean > k * math.sqrt(variance)) & (c[j] > c0[j])


RULE = Rule(5, SPACE, buys, scratch_rows=2)
