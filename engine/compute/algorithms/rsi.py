"""rsi: strength has just come back over a low level.

Buy when RSI(n) >= lo at t, and < lo at t-h.

Source: Wilder (1978) with TA-Lib's seeding: gains and losses are averaged over the first n
changes, then smoothed (average*(n-1) + x)/n; RSI = 100*gain/(gain + loss), 0 without any.
"""

from __future__ import annotations

from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("rsi", (Parameter("n", 2, 20), Parameter("lo", 25, 55), Parameter("h", 1, 6)))


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    close = bars[CLOSE]
    lanes = close.shape[1]
    gains, losses, gain, loss = scratch[:64], scratch[64:128], scratch[128], scratch[129]
    for t in range(1, SIGNAL + 1):
        x, x0, up, down = close[t], close[t - 1], gains[t], losses[t]
        for j in range(lanes):
            change = x[j] - x0[j]
            up[j] = max(change, 0.0)
            down[j] = max(-change, 0.0)
    for row in range(values.shape[0]):
        n, low, h = int(values[row, 0]), values[row, 1], int(values[row, 2])
        share, previous = 1.0 / n, float(n - 1)
        buy = flags[row]
        gain[:] = 0.0
        loss[:] = 0.0
        for t in range(1, n + 1):
            up, down = gains[t], losses[t]
            for j in range(lanes):
                gain[j] += up[j]
                loss[j] += down[j]
        for j in range(lanes):
            gain[j] *= share
            loss[j] *= share
        for t in range(n + 1, SIGNAL + 1):
            up, down = gains[t], losses[t]
            for j in range(lanes):
                gain[j] = (gain[j] * previous + up[j]) * share
                loss[j] = (loss[j] * previous + down[j]) * share
            if t == SIGNAL - h:
                for j in range(lanes):
                    total = gain[j] + loss[j]
                    rsi = 100.0 * (gain[j] / total) if total > 0.0 else 0.0
                    buy[j] = rsi < low
        for j in range(lanes):
            total = gain[j] + loss[j]
            rsi = 100.0 * (gain[j] / total) if total > 0.0 else 0.0
            buy[j] &= rsi >= low


RULE = Rule(4, SPACE, buys, scratch_rows=130)
