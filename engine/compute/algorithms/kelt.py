"""kelt: the close has just broken above the Keltner channel.

Buy when C > EMA(C, n) + k*ATR(m) at t, and <= at t-1.

ATR is Wilder's: the first m true ranges (bars 1..m) averaged at bar m, then
(ATR*(m-1) + TR)/m; the EMA is seeded with the mean of the first n closes (TA-Lib).
"""

from __future__ import annotations

from decimal import Decimal

from engine.compute.algorithms.lines import ema_line, true_range
from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, HIGH, LOW, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace(
    "kelt", (Parameter("n", 5, 40), Parameter("m", 5, 30), Parameter("k", 3, 23, Decimal("0.1")))
)


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    close = bars[CLOSE]
    lanes = close.shape[1]
    ranges, average, line = scratch[:64], scratch[64], scratch[65:68]
    true_range(bars[HIGH], bars[LOW], close, ranges)
    c, c0 = close[SIGNAL], close[SIGNAL - 1]
    for row in range(values.shape[0]):
        n, m, k = int(values[row, 0]), int(values[row, 1]), values[row, 2]
        share, previous = 1.0 / m, float(m - 1)
        ema_line(close, n, 2, line)
        buy = flags[row]
        average[:] = 0.0
        for t in range(1, m + 1):
            x = ranges[t]
            for j in range(lanes):
                average[j] += x[j]
        for j in range(lanes):
            average[j] *= share
        for t in range(m + 1, SIGNAL):
            x = ranges[t]
            for j in range(lanes):
                average[j] = (average[j] * previous + x[j]) * share
        now, before, x = line[0], line[1], ranges[SIGNAL]
        for j in range(lanes):
            last = (average[j] * previous + x[j]) * share
            under = c0[j] <= before[j] + k * average[j]
            buy[j] = under & (c[j] > now[j] + k * last)


RULE = Rule(10, SPACE, buys, scratch_rows=68)
