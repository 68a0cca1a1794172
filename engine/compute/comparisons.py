"""What each rule compares, in plain sequential Python: the witness when two backends disagree.

Written from the rules' definitions alone, for one window and one parameter set, without a
thought for speed; it shares no line with the kernels. A rule is a list of comparisons that
must all hold; each keeps its two sides, so that a report can show how close a decision was.

The one thing to know: two correct backends may differ where a side is as good as equal to
the other, because they add in another order. Such a comparison is *tight* (within 1e-9 of
its threshold), and a disagreement that tight comparisons explain is a tie, not an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.compute.algorithms import ALGORITHMS
from engine.errors import UsageError
from engine.model import CLOSE, HIGH, LOOKBACK, LOW, VOLUME, Floats, ParameterSet

TIGHT = 1e-9  # distance from the threshold; relative to it where it is above 1
SIGNAL = LOOKBACK - 1
Series = list[float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left > right`` (or ``>=``, ``<``, ``<=``), with what the two sides are."""

    what: str
    left: float
    sign: str
    right: float

    @property
    def holds(self) -> bool:
        sides = {
            ">": self.left > self.right,
            ">=": self.left >= self.right,
            "<": self.left < self.right,
            "<=": self.left <= self.right,
        }
        return sides[self.sign]

    @property
    def tight(self) -> bool:
        return abs(self.left - self.right) <= TIGHT * max(1.0, abs(self.right))

    @property
    def text(self) -> str:
        return f"{self.what}: {self.left:.12g} {self.sign} {self.right:.12g} {'holds' if self.holds else 'fails'}"


@dataclass(frozen=True)
class _Bars:
    """One window, oldest bar first."""

    high: Series
    low: Series
    close: Series
    volume: Series


def comparisons(window: Floats, tested: ParameterSet) -> list[Comparison]:
    """Every comparison of one set on one window: float64[64, 5], newest row first, without the confirmation row.

    UsageError for an unknown algorithm, values outside its space or another shape.
    """
    space = ALGORITHMS.get(tested.algorithm)
    if space is None or tested.algorithm not in _RULES or not space.contains(tested.values):
        raise UsageError(f"{tested.algorithm}{tuple(tested.values)} is no parameter set of the ten algorithms")
    if window.shape != (LOOKBACK, 5):
        raise UsageError(f"a window is [{LOOKBACK}, 5]; this one is {list(window.shape)}")
    columns = window[::-1].T.tolist()
    bars = _Bars(columns[HIGH], columns[LOW], columns[CLOSE], columns[VOLUME])
    return _RULES[tested.algorithm](bars, *space.reals(tested.values))


def buys(found: Sequence[Comparison]) -> bool:
    return all(comparison.holds for comparison in found)


def is_tie(found: Sequence[Comparison]) -> bool:
    """Whether rounding alone can turn the decision: some comparison is tight and every other one holds."""
    return any(c.tight for c in found) and all(c.holds or c.tight for c in found)


# --- lines ----------------------------------------------------------------------------------


def _ema(values: Series, period: int, first: int = 0) -> dict[int, float]:
    """EMA by bar, seeded with the mean of ``period`` values from bar ``first``."""
    at = first + period - 1
    line = {at: fmean(values[first : at + 1])}
    for t in range(at + 1, len(values)):
        line[t] = line[t - 1] + 2.0 / (period + 1) * (values[t] - line[t - 1])
    return line


def _wilder(values: dict[int, float], period: int) -> dict[int, float]:
    """Wilder's average by bar, seeded with the mean of the first ``period`` values."""
    bars = sorted(values)
    at = bars[period - 1]
    line = {at: fmean([values[t] for t in bars[:period]])}
    for t in bars[period:]:
        line[t] = (line[t - 1] * (period - 1) + values[t]) / period
    return line


def _ratio(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole > 0.0 else 0.0


def _true_ranges(bars: _Bars) -> dict[int, float]:
    return {
        t: max(
            bars.high[t] - bars.low[t],
            abs(bars.high[t] - bars.close[t - 1]),
            abs(bars.low[t] - bars.close[t - 1]),
        )
        for t in range(1, LOOKBACK)
    }


def _typical(bars: _Bars) -> Series:
    return [(h + w + c) / 3.0 for h, w, c in zip(bars.high, bars.low, bars.close, strict=True)]


# --- rules ----------------------------------------------------------------------------------


def _adx(bars: _Bars, n_: float, threshold: float, k_: float) -> list[Comparison]:
    n, k, t = int(n_), int(k_), SIGNAL
    up, down = {}, {}
    for i in range(1, LOOKBACK):
        rise, fall = bars.high[i] - bars.high[i - 1], bars.low[i - 1] - bars.low[i]
        up[i] = rise if rise > fall and rise > 0.0 else 0.0
        down[i] = fall if fall > rise and fall > 0.0 else 0.0

    def smoothed(moves: dict[int, float]) -> dict[int, float]:
        line = {n - 1: math.fsum(moves[i] for i in range(1, n))}
        for i in range(n, LOOKBACK):
            line[i] = line[i - 1] - line[i - 1] / n + moves[i]
        return line

    plus, minus = smoothed(up), smoothed(down)
    dx = {i: _ratio(abs(plus[i] - minus[i]), plus[i] + minus[i]) for i in range(n, LOOKBACK)}
    adx = _wilder(dx, n)
    return [
        Comparison("ADX, threshold", adx[t], ">", threshold),
        Comparison("+DM, -DM at t", plus[t], ">", minus[t]),
        Comparison("+DM, -DM at t-k", plus[t - k], "<=", minus[t - k]),
    ]


def _ema_rule(bars: _Bars, f: float, s: float, k_: float) -> list[Comparison]:
    fast, slow, t, k = _ema(bars.close, int(f)), _ema(bars.close, int(s)), SIGNAL, int(k_)
    return [
        Comparison("fast EMA, slow EMA at t", fast[t], ">", slow[t]),
        Comparison("fast EMA, slow EMA at t-k", fast[t - k], "<=", slow[t - k]),
    ]


def _macd(bars: _Bars, f_: float, s_: float, g: float, z: float) -> list[Comparison]:
    f, s, t = int(f_), int(s_), SIGNAL
    fast, slow = _ema(bars.close, f, s - f), _ema(bars.close, s)
    line = [fast[i] - slow[i] for i in range(s - 1, LOOKBACK)]
    signal = {i + s - 1: value for i, value in _ema(line, int(g)).items()}
    macd = {i + s - 1: value for i, value in enumerate(line)}
    found = [
        Comparison("MACD, signal at t", macd[t], ">", signal[t]),
        Comparison("MACD, signal at t-1", macd[t - 1], "<=", signal[t - 1]),
    ]
    return [*found, Comparison("MACD, zero", macd[t], "<", 0.0)] if z > 0.0 else found


def _rsi(bars: _Bars, n: float, low: float, h: float) -> list[Comparison]:
    changes = {t: bars.close[t] - bars.close[t - 1] for t in range(1, LOOKBACK)}
    gain = _wilder({t: max(x, 0.0) for t, x in changes.items()}, int(n))
    loss = _wilder({t: max(-x, 0.0) for t, x in changes.items()}, int(n))

    def rsi(t: int) -> float:
        return _ratio(gain[t], gain[t] + loss[t])

    return [
        Comparison("RSI, level at t", rsi(SIGNAL), ">=", low),
        Comparison("RSI, level at t-h", rsi(SIGNAL - int(h)), "<", low),
    ]


def _bb(bars: _Bars, n_: float, k: float, m: float) -> list[Comparison]:
    n, close = int(n_), bars.close[SIGNAL]
    distances = [x - close for x in bars.close[LOOKBACK - n :]]
    mean = math.fsum(distances) / n
    sigma = math.sqrt(math.fsum((d - mean) ** 2 for d in distances) / n)
    return [
        Comparison("mean above the close, k sigma", mean, ">", k * sigma),
        Comparison("close, close m bars before", close, ">", bars.close[SIGNAL - int(m)]),
    ]


def _stoch(bars: _Bars, n_: float, d_: float, level: float) -> list[Comparison]:
    n, d, t = int(n_), int(d_), SIGNAL

    def fast(i: int) -> float:
        bottom = min(bars.low[i - n + 1 : i + 1])
        return _ratio(bars.close[i] - bottom, max(bars.high[i - n + 1 : i + 1]) - bottom)

    def slow_k(i: int) -> float:
        return fmean([fast(j) for j in range(i - d + 1, i + 1)])

    def slow_d(i: int) -> float:
        return fmean([slow_k(j) for j in range(i - d + 1, i + 1)])

    return [
        Comparison("slow K, slow D at t", slow_k(t), ">", slow_d(t)),
        Comparison("slow K, slow D at t-1", slow_k(t - 1), "<=", slow_d(t - 1)),
        Comparison("slow D, level", slow_d(t), "<", level),
    ]


def _cci(bars: _Bars, n_: float, level: float, h: float) -> list[Comparison]:
    typical, n = _typical(bars), int(n_)

    def cci(t: int) -> float:
        distances = [x - typical[t] for x in typical[t - n + 1 : t + 1]]
        mean = math.fsum(distances) / n
        spread = 0.015 * fmean([abs(x - mean) for x in distances])
        return -mean / spread if spread > 0.0 else 0.0

    return [
        Comparison("CCI, level at t", cci(SIGNAL), ">=", -level),
        Comparison("CCI, level at t-h", cci(SIGNAL - int(h)), "<", -level),
    ]


def _mfi(bars: _Bars, n: float, low: float, h: float) -> list[Comparison]:
    typical, positive, negative = _typical(bars), 0.0, 0.0
    for t in range(LOOKBACK - int(n), LOOKBACK):
        move, flow = typical[t] - typical[t - 1], typical[t] * bars.volume[t]
        if abs(move) > 1e-14 * (typical[t] + typical[t - 1]):  # less is the rounding of equal prices
            positive, negative = (positive + flow, negative) if move > 0 else (positive, negative + flow)
    total = positive + negative
    mfi = _ratio(positive, total) if total >= 1.0 else 0.0
    return [
        Comparison("MFI, level", mfi, "<", low),
        Comparison("close, close h bars before", bars.close[SIGNAL], ">", bars.close[SIGNAL - int(h)]),
    ]


def _donch(bars: _Bars, n: float, m: float, v: float) -> list[Comparison]:
    t = SIGNAL
    return [
        Comparison("close, highest high", bars.close[t], ">", max(bars.high[t - int(n) : t])),
        Comparison("volume, v x mean volume", bars.volume[t], ">", v * fmean(bars.volume[t - int(m) : t])),
    ]


def _kelt(bars: _Bars, n: float, m: float, k: float) -> list[Comparison]:
    middle, width, t = _ema(bars.close, int(n)), _wilder(_true_ranges(bars), int(m)), SIGNAL
    return [
        Comparison("close, upper band at t", bars.close[t], ">", middle[t] + k * width[t]),
        Comparison("close, upper band at t-1", bars.close[t - 1], "<=", middle[t - 1] + k * width[t - 1]),
    ]


_RULES: dict[str, Callable[..., list[Comparison]]] = {
    "adx": _adx,
    "ema": _ema_rule,
    "macd": _macd,
    "rsi": _rsi,
    "bb": _bb,
    "stoch": _stoch,
    "cci": _cci,
    "mfi": _mfi,
    "donch": _donch,
    "kelt": _kelt,
}
