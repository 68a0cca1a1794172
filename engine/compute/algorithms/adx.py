"""adx: a trend of enough strength that has just turned up.

Buy when ADX(n) > thr and +DI(n) > -DI(n) at t, and +DI(n) <= -DI(n) at t-k.

Source: Wilder (1978) with TA-Lib's seeding: directional movements are summed over bars
1..n-1, then smoothed s - s/n + x; DX starts at bar n, its first n values are averaged
into ADX at bar 2n-1, then (ADX*(n-1) + DX)/n. The true range divides both DIs and so
cancels in their comparison and in DX = 100*|+DI - -DI|/(+DI + -DI); a DX without any
movement is 0.
"""

from __future__ import annotations

from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import HIGH, LOW, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("adx", (Parameter("n", 5, 28), Parameter("thr", 5, 30), Parameter("k", 1, 8)))


@kernel
def _directional_movement(high: Floats, low: Floats, plus: Floats, minus: Floats) -> None:
    lanes = high.shape[1]
    for t in range(1, SIGNAL + 1):
        h, w, h0, w0, p, m = high[t], low[t], high[t - 1], low[t - 1], plus[t], minus[t]
        for j in range(lanes):
            up = h[j] - h0[j]
            down = w0[j] - w[j]
            p[j] = up if (up > down) and (up > 0.0) else 0.0
            m[j] = down if (down > up) and (down > 0.0) else 0.0


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    lanes = bars.shape[2]
    plus, minus = scratch[:64], scratch[64:128]
    _directional_movement(bars[HIGH], bars[LOW], plus, minus)
    up, down, adx = scratch[128], scratch[129], scratch[130]
    for row in range(values.shape[0]):
        n, threshold, k = int(values[row, 0]), values[row, 1], int(values[row, 2])
        share, previous = 1.0 / n, float(n - 1)
        buy = flags[row]
        up[:] = 0.0
        down[:] = 0.0
        adx[:] = 0.0
        for t in range(1, n):
            p, m = plus[t], minus[t]
            for j in range(lanes):
                up[j] += p[j]
                down[j] += m[j]
        for t in range(n, SIGNAL + 1):
            p, m = plus[t], minus[t]
            # ADX is the sum of the first n DX, their mean from bar 2n-1 on: the weights say which
            keep, take = (1.0, 1.0) if t < 2 * n else (previous * share, share)
            for j in range(lanes):
                a = up[j] - up[j] * share + p[j]
                b = down[j] - down[j] * share + m[j]
                up[j] = a
                down[j] = b
                total = a + b
                dx = 100.0 * (abs(a - b) / total) if total > 0.0 else 0.0
                adx[j] = adx[j] * keep + dx * take
            if t == 2 * n - 1:
                for j in range(lanes):
                    adx[j] *= share
            if t == SIGNAL - k:
                for j in range(lanes):
                    buy[j] = up[j] <= down[j]
        for j in range(lanes):
            buy[j] &= (adx[j] > threshold) & (up[j] > down[j])


RULE = Rule(1, SPACE, buys, scratch_rows=131)
