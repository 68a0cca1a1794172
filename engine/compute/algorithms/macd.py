"""macd: the MACD line has just crossed above its signal line.

Buy when MACD(f, s) > signal(g) at t, and <= at t-1; with z = 1 also MACD < 0 at t; f < s.

Source: TA-Lib MACD. Both lines are first defined at bar s-1, so the fast EMA is seeded
with the mean of closes s-f .. s-1. The signal line is the EMA(g) of the MACD values; its
seed is the mean of the first g of them, at bar s+g-2.
"""

from __future__ import annotations

from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace(
    "macd",
    (Parameter("f", 4, 15), Parameter("s", 12, 36), Parameter("g", 3, 12), Parameter("z", 0, 1)),
    rising=(0, 1),
)


@kernel
def _mean_of(series: Floats, first: int, count: int, out: Floats) -> None:
    out[:] = 0.0
    for t in range(first, first + count):
        x = series[t]
        for j in range(out.size):
            out[j] += x[j]
    for j in range(out.size):
        out[j] /= count


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    close = bars[CLOSE]
    lanes = close.shape[1]
    fast, slow, signal = scratch[0], scratch[1], scratch[2]
    for row in range(values.shape[0]):
        f, s, g = int(values[row, 0]), int(values[row, 1]), int(values[row, 2])
        below_zero = values[row, 3] > 0.0
        buy = flags[row]
        _mean_of(close, s - f, f, fast)
        _mean_of(close, 0, s, slow)
        for j in range(lanes):
            signal[j] = fast[j] - slow[j]
        alpha_f, alpha_s, alpha_g = 2.0 / (f + 1), 2.0 / (s + 1), 2.0 / (g + 1)
        seeded = s + g - 2
        for t in range(s, SIGNAL + 1):
            x = close[t]
            if t <= seeded:
                for j in range(lanes):
                    a = fast[j] + alpha_f * (x[j] - fast[j])
                    b = slow[j] + alpha_s * (x[j] - slow[j])
                    fast[j] = a
                    slow[j] = b
                    signal[j] += a - b
                if t == seeded:
                    for j in range(lanes):
                        signal[j] /= g
            else:
                for j in range(lanes):
                    a = fast[j] + alpha_f * (x[j] - fast[j])
                    b = slow[j] + alpha_s * (x[j] - slow[j])
                    fast[j] = a
                    slow[j] = b
                    signal[j] += alpha_g * ((a - b) - signal[j])
            if t == SIGNAL - 1:
                for j in range(lanes):
                    buy[j] = fast[j] - slow[j] <= signal[j]
        for j in range(lanes):
            line = fast[j] - slow[j]
            buy[j] &= (line > signal[j]) & ((line < 0.0) | (not below_zero))


RULE = Rule(3, SPACE, buys, scratch_rows=3)
