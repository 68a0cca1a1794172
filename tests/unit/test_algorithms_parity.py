"""The kernels agree with TA-Lib, window by window, on synthetic and on real bars.

Only an exact tie may be decided differently: both sides of a comparison within 1e-9.
Every such tie is listed in the test's output, and they must stay rare.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from engine.compute import ALGORITHMS, ParameterSet, open_engine
from engine.model import LOOKBACK, Floats
from engine.spaces import ParameterSpace

pytest.importorskip("talib", reason="TA-Lib is in the test extra: pip install -e '.[test]'")
from synthetic_bars import synthetic_windows
from talib_reference import chronological, comparisons

REAL_BARS = Path(__file__).parents[2].parent / "shared" / "market" / "daily_2016-04_2017-03.parquet"


def corners(space: ParameterSpace) -> list[tuple[int, ...]]:
    """Every combination of smallest and largest values that the space allows, and its extreme pairs."""
    ends = itertools.product(*((p.low, p.high) for p in space.parameters))
    points = [point for point in ends if space.contains(point)]
    if space.rising is not None:  # the narrowest pair that is still fast below slow
        fast = space.parameters[0].high
        points.append((fast, fast + 1, *(p.high for p in space.parameters[2:])))
    return points


def sample_of(space: ParameterSpace, count: int) -> list[tuple[int, ...]]:
    random = np.random.default_rng(len(space.algorithm) * 1000 + space.size)
    points = list(space.enumerate())
    return [*corners(space), *(points[i] for i in random.integers(len(points), size=count))]


def disagreements(
    algorithm: str, points: list[tuple[int, ...]], windows: Floats
) -> tuple[list[str], list[str], int]:
    """(ties, real differences, buys) of the kernels against TA-Lib."""
    sets = [ParameterSet(algorithm, point) for point in points]
    ours = open_engine("native").evaluate(windows, sets, mode="execution").buys
    ties, wrong, bought = [], [], 0
    for ticker, window in enumerate(windows):
        columns = chronological(window)
        for column, point in enumerate(points):
            compared = comparisons(algorithm, point, columns)
            theirs = all(c.holds() for c in compared)
            bought += theirs
            if bool(ours[ticker, column]) != theirs:
                report = f"{algorithm}{point} window {ticker}: ours {not theirs}, TA-Lib {theirs}, {compared}"
                (ties if any(c.tied() for c in compared) else wrong).append(report)
    return ties, wrong, bought


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_buys_equal_ta_lib_on_synthetic_bars(algorithm: str) -> None:
    points = sample_of(ALGORITHMS[algorithm], 60)
    windows = synthetic_windows(seed=20260102, tickers=120, rows=LOOKBACK)
    ties, wrong, bought = disagreements(algorithm, points, windows)
    print(*ties, sep="\n")
    assert wrong == []
    assert len(ties) <= 3
    assert bought > 20, "the bars must make the rule fire, or the comparison says little"


def real_windows(tickers: int) -> Floats:
    """Windows of liquid real tickers, at eight different sessions, volume in shares."""
    import pyarrow.parquet as parquet

    frame = parquet.read_table(REAL_BARS).to_pandas()
    frame = frame[(frame["close"] * frame["volume"] >= 1e6) & frame["close"].between(2, 200)]
    columns = ["open", "high", "low", "close", "volume"]
    pivot = {c: frame.pivot(index="date", columns="symbol", values=c).to_numpy(np.float64) for c in columns}
    bars = np.stack([np.round(pivot[c], 4) for c in columns], axis=-1)  # [sessions, symbols, 5]
    random = np.random.default_rng(7)
    windows = []
    for end in np.linspace(LOOKBACK, len(bars), 8, dtype=int):
        window = bars[end - LOOKBACK : end]
        complete = np.flatnonzero(np.isfinite(window).all(axis=(0, 2)))
        chosen = random.choice(complete, size=tickers // 8, replace=False)
        windows.append(window[::-1, chosen].transpose(1, 0, 2))
    return np.ascontiguousarray(np.concatenate(windows))


@pytest.mark.skipif(not REAL_BARS.exists(), reason="no real daily bars beside the project (shared/market)")
def test_buys_equal_ta_lib_on_real_bars() -> None:
    windows = real_windows(tickers=160)
    found = {a: disagreements(a, sample_of(s, 25), windows) for a, s in ALGORITHMS.items()}
    ties = [tie for t, _, _ in found.values() for tie in t]
    print(*ties, sep="\n")
    assert [report for _, wrong, _ in found.values() for report in wrong] == []
    assert len(ties) <= 10
    assert all(bought > 20 for _, _, bought in found.values())
