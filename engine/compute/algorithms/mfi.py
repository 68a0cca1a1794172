"""mfi: money has flowed out, and the close is above that of h bars ago.

Buy when MFI(n) < lo and C > C[t-h].

MFI = 100 * positive flow/(positive + negative flow) of n bars; a bar's flow is TP*volume,
positive when TP rose, negative when it fell, neither when it stayed; a total flow below 1
gives 0 (TA-Lib MFI). Two bars with the same high + low + close can differ in the last bit
of TP, and money must not flow by rounding: a move within SAME of both prices' sum is none
(as TA-Lib 0.8; real moves are a million times larger).
"""

from __future__ import annotations

from engine.compute.algorithms.lines import typical_price
from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, HIGH, LOW, VOLUME, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("mfi", (Parameter("n", 3, 24), Parameter("lo", 20, 55), Parameter("h", 1, 6)))
SAME = 1e-14  # relative; see above
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
            move = x[j] - x0[j]
            same = SAME * (x[j] + x0[j])
            a[j] = flow if move > same else 0.0
            b[j] = flow if move < -same else 0.0
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
