"""mfi: money has flowed out, and the close is above that of h bars ago.

Buy when MFI(n) < lo and C > C[t-h].

MFI = 100 * positive flow/(positive + negative flow) of n bars; a bar's flow is TP*volume,
positive when TP rose, negative when it fell, neither when it stayed; a total flow below 1
gives 0 (TA-Lib MFI).
"""

from __future__ import annotations

from engine.compute.algorithms.lines import typical_price
from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, HIGH, LOW, VOLUME, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("mfi", (Parameter("n", 3, 24), Parameter("lo", 20, 55), Parameter("h", 1, 6)))
OLDEST = SIGNAL - 24  # the bar before the longest set's first flow


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    close, volume = bars[CLOSE], bars[VOLUME]
    lanes = close.shape[1]
    typical, inflow, outflow = scratch[:64], scratch[64:128], scratch[128:192]
    positive, negative = scratch[192], scratch[193]
    typical_price(bars[HIGH], bars[LOW], close, OLDEST, typical)
    for t in range(OLDEST + 1, SIGNAL + 1):
        x, x0, v, a, b = typical[t], typical[t - 1], volume[t], inflow[t], outflow[t]
        for j in range(lanes):
            flow = x[j] * v[j]
            a[j] = flow if x[j] > x0[j] else 0.0
            b[j] = flow if x[j] < x0[j] else 0.0
    for row in range(values.shape[0]):
        n, low, h = int(values[row, 0]), values[row, 1], int(values[row, 2])
        positive[:] = 0.0
        negative[:] = 0.0
        for t in range(SIGNAL - n + 1, SIGNAL + 1):
            a, b = inflow[t], outflow[t]
            for j in range(lanes):
                positive[j] += a[j]
                negative[j] += b[j]
        c, c0, buy = close[SIGNAL], close[SIGNAL - h], flags[row]
        for j in range(lanes):
            total = positive[j] + negative[j]
            mfi = 100.0 * (positive[j] / total) if total >= 1.0 else 0.0
            buy[j] = (mfi < low) & (c[j] > c0[j])


RULE = Rule(8, SPACE, buys, scratch_rows=194)
