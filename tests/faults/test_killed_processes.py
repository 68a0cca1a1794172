"""Killed (-9) at any moment, no process of the program costs a share, a cent or a record.

A small sample of each kind; ``python -m tests.faults.kill_trials 200 --target ...`` runs as many as asked.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .daemon_life import Daemon
from .daemon_trials import SESSION, console_day, engine_day, until_entered
from .trading_trials import simulator_day

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and terminals")]


def test_a_killed_engine_comes_back_to_its_run_and_its_positions(tmp_path: Path) -> None:
    result = engine_day(tmp_path, seed=2, kills=2)
    assert result.kills.total() == 2
    assert result.wrong == []


def test_a_killed_console_leaves_no_trace_in_the_engine(tmp_path: Path) -> None:
    result = console_day(tmp_path, seed=1, kills=3)
    assert result.kills.total() == 3
    assert result.wrong == []


def test_a_killed_exchange_comes_back_with_its_books_and_nothing_was_called_flat_meanwhile(tmp_path: Path) -> None:
    result = simulator_day(tmp_path, seed=2, kills=3)
    assert result.kills.total() == 3
    assert result.wrong == []


@pytest.fixture
def trading(tmp_path: Path) -> Iterator[Daemon]:
    """A whole engine with open positions in a calm market."""
    daemon = Daemon(tmp_path / "home", speed=1, wide=True)
    try:
        daemon.start()
        daemon.wait_ready()
        daemon.begin_day()
        until_entered(daemon)
        yield daemon
    finally:
        daemon.end()


def test_the_engine_brings_its_killed_market_back_and_so_does_the_next_engine(trading: Daemon) -> None:
    held, first = trading.held(), trading.simulator().pid
    os.kill(first, signal.SIGKILL)
    _until_another_market(trading, first, held)
    assert trading.recovered(SESSION) == []
    assert trading.held() == held
    second = trading.simulator().pid
    trading.kill()  # a power cut: both at once
    os.kill(second, signal.SIGKILL)
    trading.start()
    trading.wait_ready()
    assert trading.simulator().pid not in (first, second)
    assert trading.recovered(SESSION) == []
    assert trading.held() == held


def _until_another_market(daemon: Daemon, dead: int, held: dict[str, int]) -> None:
    """While the market is away the positions stay what they were, and nothing is called flat."""
    deadline = time.monotonic() + 120
    while daemon.simulator().pid == dead:
        assert time.monotonic() < deadline, daemon.log()[-2000:]
        assert daemon.held() == held
        assert daemon.look()["flatten"]["state"] == "idle"
        time.sleep(0.1)
