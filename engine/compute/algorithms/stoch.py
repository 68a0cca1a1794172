"""stoch: the slow stochastic has just crossed above its average, low in its range.

Buy when slowK(n, d) > slowD(d) at t, <= at t-1, and slowD < lo at t.

fastK(n) = 100*(C - lowest low)/(highest high - lowest low) of n bars, 0 on an empty range;
slowK = SMA_d of fastK; slowD = SMA_d of slowK (TA-Lib STOCH with simple averages). The
averages are summed anew at each bar, oldest first: ties stay ties when the close sits at
the edge of its range for days, where a running sum would break them by rounding.
"""

from __future__ import annotations

from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, HIGH, LOW, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("stoch", (Parameter("n", 5, 25), Parameter("d", 2, 6), Parameter("lo", 10, 50)))


@kernel
def _simple_average(series: Floats, period: int, first: int, out: Floats) -> None:
    lanes = series.shape[1]
    for t in range(first, SIGNAL + 1):
        o = out[t]
        o[:] = 0.0
        for i in range(t - period + 1, t + 1):
            x = series[i]
            for j in range(lanes):
                o[j] += x[j]
        for j in range(lanes):
            o[j] /= period


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    high, low, close = bars[HIGH], bars[LOW], bars[CLOSE]
    lanes = close.shape[1]
    fast, slow_k, slow_d = scratch[:64], scratch[64:128], scratch[128:192]
    top, bottom = scratch[192], scratch[193]
    for row in range(values.shape[0]):
        n, d, level = int(values[row, 0]), int(values[row, 1]), values[row, 2]
        for t in range(SIGNAL - 2 * d + 1, SIGNAL + 1):
            top[:] = high[t]
            bottom[:] = low[t]
            for i in range(t - n + 1, t):
                x, y = high[i], low[i]
                for j in range(lanes):
                    top[j] = max(top[j], x[j])
                    bottom[j] = min(bottom[j], y[j])
            c, o = close[t], fast[t]
            for j in range(lanes):
                span = top[j] - bottom[j]
                o[j] = 100.0 * ((c[j] - bottom[j]) / span) if span > 0.0 else 0.0
        _simple_average(fast, d, SIGNAL - d, slow_k)
        _simple_average(slow_k, d, SIGNAL - 1, slow_d)
        k1, d1, k0, d0 = slow_k[SIGNAL], slow_d[SIGNAL], slow_k[SIGNAL - 1], slow_d[SIGNAL - 1]
        buy = flags[row]
        for j in range(lanes):
            buy[j] = (k1[j] > d1[j]) & (k0[j] <= d0[j]) & (d1[j] < level)


RULE = Rule(6, SPACE, buys, scratch_rows=194)
