"""What two backends are compared on: seeded bars with awkward tickers, parameter sets at the edges of each space.

Nothing here is a market: the bars are made so that every rule fires now and then, and so
that ties, flat windows and empty volumes occur, which is where implementations part.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np

from engine.compute.algorithms import ALGORITHMS
from engine.model import TRAINING_ROWS, VOLUME, Floats, ParameterSet
from engine.spaces import ParameterSpace

AWKWARD = 6  # kinds of awkward tickers, at the head of every sample


def seeded_windows(seed: int, tickers: int) -> Floats:
    """[tickers, 65, 5], newest first, prices in whole cents, fat tails, days that stand still.

    The first six (as far as there are so many): flat with volume, flat without, rising by a
    cent a day, falling by a cent a day, two prices in turn, no volume for weeks.
    """
    generator = np.random.default_rng(seed)
    rows = TRAINING_ROWS
    swing = generator.lognormal(-4.0, 0.5, (tickers, 1))
    moves = generator.standard_t(4, (tickers, rows)) * swing
    moves[generator.random((tickers, rows)) < 0.03] = 0.0
    close = generator.uniform(3, 150, (tickers, 1)) * np.exp(np.cumsum(moves, axis=1))
    opened = close * np.exp(-moves * generator.random((tickers, rows)))
    high = np.maximum(opened, close) * (1 + swing * generator.random((tickers, rows)))
    low = np.minimum(opened, close) * (1 - swing * generator.random((tickers, rows)))
    prices = np.maximum(np.round([opened, high, low, close], 2), 0.01)
    volume = np.round(generator.lognormal(11, 0.7, (tickers, rows)))
    bars = np.stack([*prices, volume], axis=-1)
    bars[..., 1] = bars[..., :4].max(axis=-1)
    bars[..., 2] = bars[..., :4].min(axis=-1)
    day = np.arange(rows)
    for ticker, line in enumerate(
        (np.full(rows, 20.0), np.full(rows, 5.0), 10 + day / 100, 90 - day / 100, 30 + (day % 2) / 10)
    ):
        if ticker < tickers:
            bars[ticker, :, :VOLUME] = np.round(line, 2)[:, None]
    bars[1:2, :, VOLUME] = 0.0
    bars[5:6, : rows // 2, VOLUME] = 0.0
    return np.ascontiguousarray(bars[:, ::-1])


def edge_sets(seed: int, each: int = 8) -> list[ParameterSet]:
    """``each`` sets of every algorithm: smallest, largest, further corners of its space, then random ones."""
    sets = []
    for algorithm, space in ALGORITHMS.items():
        generator = random.Random(f"{algorithm}|{seed}")
        chosen = dict.fromkeys(itertools.islice(_edges(space), (each + 1) // 2))
        while len(chosen) < min(each, space.size):
            point = tuple(generator.randint(p.low, p.high) for p in space.parameters)
            if space.contains(point):
                chosen.setdefault(point)
        sets += [ParameterSet(algorithm, point) for point in chosen]
    return sets


def _edges(space: ParameterSpace) -> Iterator[tuple[int, ...]]:
    """Smallest, largest, then the other corners; of two values that must rise, the narrowest distance too."""
    lows, highs = [p.low for p in space.parameters], [p.high for p in space.parameters]
    corners = [tuple(lows), tuple(highs)]
    if space.rising is not None:
        a, b = space.rising
        narrow = list(lows)
        narrow[a] = min(highs[a], highs[b] - 1)
        narrow[b] = narrow[a] + 1
        corners.append(tuple(narrow))
    corners += list(itertools.product(*zip(lows, highs, strict=True)))[1:-1]
    return (corner for corner in corners if space.contains(corner))
