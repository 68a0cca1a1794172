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
BARS = SIGNAL + 1
LEVELS = 5  # runs of 1, 2, 4, 8 and 16 bars: enough for n up to 31
OLDEST = SIGNAL - 11 - 24  # first bar that the longest set looks at


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
def _extremes(high: Floats, low: Floats, tops: Floats, bottoms: Floats) -> None:
    """Row ``level*64 + t``: highest high and lowest low of the 2**level bars ending at t, levels 0..4."""
    lanes = high.shape[1]
    tops[:BARS] = high
    bottoms[:BARS] = low
    for level in range(1, LEVELS):
        half = 1 << (level - 1)
        for t in range(OLDEST + 2 * half - 1, SIGNAL + 1):
            below = (level - 1) * BARS + t
            a, b, o = tops[below], tops[below - half], tops[below + BARS]
            c, d, u = bottoms[below], bottoms[below - half], bottoms[below + BARS]
            for j in range(lanes):
                o[j] = max(a[j], b[j])
                u[j] = min(c[j], d[j])


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    close = bars[CLOSE]
    lanes = close.shape[1]
    fast, slow_k, slow_d = scratch[:BARS], scratch[BARS : 2 * BARS], scratch[2 * BARS : 3 * BARS]
    tops = scratch[3 * BARS : (3 + LEVELS) * BARS]
    bottoms = scratch[(3 + LEVELS) * BARS : (3 + 2 * LEVELS) * BARS]
    _extremes(bars[HIGH], bars[LOW], tops, bottoms)
    for row in range(values.shape[0]):
        n, d, level = int(values[row, 0]), int(values[row, 1]), values[row, 2]
        # n bars are covered by two overlapping runs of the largest power of two within n
        power = 0
        while (2 << power) <= n:
            power += 1
        shift = n - (1 << power)
        for t in range(SIGNAL - 2 * d + 1, SIGNAL + 1):
            last = power * BARS + t
            top, earlier_top = tops[last], tops[last - shift]
            bottom, earlier_bottom = bottoms[last], bottoms[last - shift]
            c, o = close[t], fast[t]
            for j in range(lanes):
                lowest = min(bottom[j], earlier_bottom[j])
                span = max(top[j], earlier_top[j]) - lowest
                o[j] = 100.0 * ((c[j] - lowest) / span) if span > 0.0 else 0.0
        _simple_average(fast, d, SIGNAL - d, slow_k)
        _simple_average(slow_k, d, SIGNAL - 1, slow_d)
        k1, d1, k0, d0 = slow_k[SIGNAL], slow_d[SIGNAL], slow_k[SIGNAL - 1], slow_d[SIGNAL - 1]
        buy = flags[row]
        for j in range(lanes):
            buy[j] = (k1[j] > d1[j]) & (k0[j] <= d0[j]) & (d1[j] < level)


RULE = Rule(6, SPACE, buys, scratch_rows=(3 + 2 * LEVELS) * BARS)
