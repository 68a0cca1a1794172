"""Seeded bars and hand-made windows for the tests of compute and training."""

from __future__ import annotations

import numpy as np

from engine.model import LOOKBACK, TICKERS, TRAINING_ROWS, Floats


def synthetic_windows(seed: int, tickers: int, rows: int) -> Floats:
    """Seeded bars in whole cents, [tickers, rows, 5] newest first, with fat tails and days that stand still."""
    random = np.random.default_rng(seed)
    swing = random.lognormal(-4.0, 0.5, (tickers, 1))  # each ticker its own volatility
    moves = random.standard_t(4, (tickers, rows)) * swing
    moves[random.random((tickers, rows)) < 0.03] = 0.0
    close = random.uniform(3, 150, (tickers, 1)) * np.exp(np.cumsum(moves, axis=1))
    opened = close * np.exp(-moves * random.random((tickers, rows)))
    high = np.maximum(opened, close) * (1 + swing * random.random((tickers, rows)))
    low = np.minimum(opened, close) * (1 - swing * random.random((tickers, rows)))
    prices = np.maximum(np.round([opened, high, low, close], 2), 0.01)
    volume = np.round(random.lognormal(11, 0.7, (tickers, rows)))
    bars = np.stack([*prices, volume], axis=-1)
    bars[..., 1] = bars[..., :4].max(axis=-1)
    bars[..., 2] = bars[..., :4].min(axis=-1)
    return np.ascontiguousarray(bars[:, ::-1])


def synthetic_week(seed: int) -> list[Floats]:
    """The windows of five consecutive days of the same 1,000 tickers: five times [1000, 65, 5]."""
    rows = TRAINING_ROWS + 4
    bars = synthetic_windows(seed, TICKERS, rows)
    return [np.ascontiguousarray(bars[:, 4 - day : 4 - day + TRAINING_ROWS]) for day in range(5)]


def hand_made(closes: list[float], *, reach: float = 0.0, volumes: list[float] | None = None) -> Floats:
    """One window [1, 64, 5] from 64 closes, oldest first; highs and lows ``reach`` dollars off the close."""
    close = np.array(closes, dtype=np.float64)
    volume = np.full(LOOKBACK, 1000.0) if volumes is None else np.array(volumes, dtype=np.float64)
    bars = np.stack([close, close + reach, close - reach, close, volume], axis=-1)
    return np.ascontiguousarray(bars[np.newaxis, ::-1])
