"""One small synthetic market for the contract tests of a module: 60 symbols, Friday 2026-11-20 closed.

Thanksgiving week follows: 2026-11-26 is a holiday, 2026-11-27 a half day.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from engine.simulator import Simulator, start

MARKET_DATE = date(2026, 11, 20)


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder: Path = tmp_path_factory.mktemp("simulator")
    with start(date=MARKET_DATE, seed=7, symbols=60, folder=folder, trading_limit=100_000) as simulator:
        yield simulator
