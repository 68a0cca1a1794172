"""Building blocks that several rules share, each with TA-Lib's seeding and definitions.

Series are [64 bars, lanes], oldest first. Nothing here looks past the window: a recursive
line is seeded at the window's own first bars.

numba's cache watches a kernel's own file only: after a change here, touch the files of the
rules that use it, or empty the cache.
"""

from __future__ import annotations

from engine.compute.algorithms.rule import SIGNAL, kernel
from engine.model import Floats


@kernel
def ema_line(series: Floats, period: int, keep: int, line: Floats) -> None:
    """EMA of ``series``: seed = mean of the first ``period`` values, then e += 2/(period+1) * (x - e).

    ``line[i]`` receives the value i bars before the signal bar, for i < ``keep``. The seed
    bar must lie before the kept ones. ``line[keep]`` is working memory.
    """
    lanes = series.shape[1]
    state = line[keep]
    state[:] = 0.0
    for t in range(period):
        x = series[t]
        for j in range(lanes):
            state[j] += x[j]
    for j in range(lanes):
        state[j] /= period
    alpha = 2.0 / (period + 1)
    for t in range(period, SIGNAL + 1):
        x = series[t]
        for j in range(lanes):
            state[j] += alpha * (x[j] - state[j])
        if SIGNAL - t < keep:
            line[SIGNAL - t] = state


@kernel
def true_range(high: Floats, low: Floats, close: Floats, out: Floats) -> None:
    """TR = max(high - low, |high - previous close|, |low - previous close|), from bar 1 on."""
    lanes = close.shape[1]
    for t in range(1, SIGNAL + 1):
        h, w, c, o = high[t], low[t], close[t - 1], out[t]
        for j in range(lanes):
            o[j] = max(h[j] - w[j], max(abs(h[j] - c[j]), abs(w[j] - c[j])))


@kernel
def typical_price(high: Floats, low: Floats, close: Floats, first: int, out: Floats) -> None:
    """TP = (high + low + close) / 3, for the bars from ``first`` to the signal bar."""
    lanes = close.shape[1]
    for t in range(first, SIGNAL + 1):
        h, w, c, o = high[t], low[t], close[t], out[t]
        for j in range(lanes):
            o[j] = (h[j] + w[j] + c[j]) / 3.0
