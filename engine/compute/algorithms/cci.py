"""cci: the commodity channel index has just come back over -lev.

Buy when CCI(n) >= -lev at t, and < -lev at t-h.

CCI = (TP - SMA(TP))/(0.015 * mean absolute deviation of TP from that SMA), over n bars;
0 when the deviation is zero (Lambert 1980; TA-Lib CCI). Distances are taken from the
bar's own TP, so that a flat window gives exactly zero and not a ratio of rounding errors.
"""

from __future__ import annotations

from decimal import Decimal

from engine.compute.algorithms.lines import typical_price
from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, HIGH, LOW, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("cci", (Parameter("n", 5, 40), Parameter("lev", 8, 40, Decimal(5)), Parameter("h", 1, 4)))
OLDEST = SIGNAL - 4 - 40 + 1  # first bar that the longest set looks at


@kernel
def _cci(typical: Floats, n: int, t: int, mean: Floats, deviation: Floats) -> None:
    """CCI(n) at bar t, left in ``mean``."""
    lanes = typical.shape[1]
    last = typical[t]
    mean[:] = 0.0
    deviation[:] = 0.0
    for i in range(t - n + 1, t):
        x = typical[i]
        for j in range(lanes):
            mean[j] += x[j] - last[j]
    for j in range(lanes):
        mean[j] /= n
    for i in range(t - n + 1, t + 1):
        x = typical[i]
        for j in range(lanes):
            deviation[j] += abs((x[j] - last[j]) - mean[j])
    for j in range(lanes):
        spread = 0.015 * (deviation[j] / n)
        mean[j] = -mean[j] / spread if spread > 0.0 else 0.0


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    typical = scratch[:64]
    typical_price(bars[HIGH], bars[LOW], bars[CLOSE], OLDEST, typical)
    now, before, deviation = scratch[64], scratch[65], scratch[66]
    for row in range(values.shape[0]):
        n, level, h = int(values[row, 0]), -values[row, 1], int(values[row, 2])
        _cci(typical, n, SIGNAL - h, before, deviation)
        _cci(typical, n, SIGNAL, now, deviation)
        buy = flags[row]
        for j in range(now.size):
            buy[j] = (now[j] >= level) & (before[j] < level)


RULE = Rule(7, SPACE, buys, scratch_rows=67)
