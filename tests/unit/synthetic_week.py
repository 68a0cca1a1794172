"""A small seeded week for tests: 1,000 tickers of random walks, and the databases that hold it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from engine.model import DAYS, LOOKBACK, TICKERS, DailyBar, Floats, Panel
from engine.storage.stocks_data_db import StocksDataDb


def walk(seed: int, tickers: int, sessions: int) -> Floats:
    """Daily bars float64[tickers, sessions, 5], oldest first: 5-150 dollars, 2 % a day."""
    rng = np.random.default_rng(seed)
    shape = (tickers, sessions)
    close = rng.uniform(5, 150, (tickers, 1)) * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=1))
    opened = close * np.exp(rng.normal(0, 0.008, shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.008, shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.008, shape)))
    return np.stack([opened, high, low, close, np.exp(rng.normal(13, 1, shape))], axis=2)


def panel(seed: int, tickers: int, sessions: int) -> Panel:
    """The same walks with symbols S0000... and sessions from 2026-01-05 on."""
    first = date(2026, 1, 5)
    symbols = tuple(f"S{i:04d}" for i in range(tickers))
    return Panel(symbols, tuple(first + timedelta(days=i) for i in range(sessions)), walk(seed, tickers, sessions))


def week(seed: int, tickers: int = TICKERS) -> list[Floats]:
    """The windows of day1..day5, [tickers, 65, 5], newest row first."""
    bars = panel(seed, tickers, LOOKBACK + DAYS)
    return [bars.windows(LOOKBACK + day, LOOKBACK + 1) for day in range(DAYS)]


async def store_week(path: Path, seed: int) -> None:
    """A stocks_data.db whose ds_day1..5 are ``week(seed)``."""
    bars = panel(seed, TICKERS, LOOKBACK + DAYS)
    rows = [
        DailyBar(symbol, session, *bar)
        for symbol, own in zip(bars.symbols, bars.bars.tolist(), strict=True)
        for session, bar in zip(bars.sessions, own, strict=True)
    ]
    stocks = await StocksDataDb.open(path)
    try:
        await stocks.begin_history("week", bars.sessions)
        await stocks.append_history(0, rows)
        await stocks.replace_weekly_data(bars.symbols, seed=1)
    finally:
        await stocks.close()
