"""Killed (-9) in the middle of a trading day, the engine comes back to the venue's shares and cents.

The suite runs two kills; ``python -m tests.faults.kill_trials 200`` as many as asked.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.execution.flatten import flatten_without_engine
from engine.home import Home
from engine.settings import BrokerSettings
from engine.simulator import Simulator, start

from .trading_trials import MARKET_DATE, Engine, audit, begin, day, recovered

pytestmark = pytest.mark.slow


def test_after_every_kill_no_order_is_doubled_and_no_fill_is_lost(tmp_path: Path) -> None:
    result = day(tmp_path, seed=1, kills=2)
    assert sum(result.kills.values()) == 2
    assert result.wrong == []


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulator]:
    with start(date=MARKET_DATE, seed=7, symbols=60, folder=tmp_path / "sim", trading_limit=100_000) as simulator:
        yield simulator


async def test_flatten_beside_a_hung_engine_never_sells_twice(tmp_path: Path, sim: Simulator) -> None:
    """The engine is frozen (SIGSTOP) with exits under way, ``tshc flatten`` sells, then the engine wakes up."""
    import asyncio

    home = Home(tmp_path / "home")
    asked: dict[str, Any] = await asyncio.to_thread(begin, home, sim)
    engine = Engine(home, asked, tmp_path / "engine.log")
    try:
        engine.answer()
        engine.ask("enter")
        await asyncio.to_thread(_wait_held, engine, asked["names"])
        for symbol in asked["names"][:2]:
            engine.say({"do": "exit", "symbol": symbol})
        os.kill(engine.pid, signal.SIGSTOP)
        rest = AlpacaRest(
            BrokerSettings(requests_per_minute=10_000),
            Endpoints.of_simulator(sim.rest_url, sim.trade_stream_url, sim.price_stream_url),
            Credentials(sim.key, sim.secret),
        )
        view = await flatten_without_engine(rest, home, False, lambda view: None, pause_s=0.1)
        await rest.close()
        assert view.state == "flat"
        os.kill(engine.pid, signal.SIGCONT)
        engine.answer()
        engine.answer()
        assert await asyncio.to_thread(recovered, engine, home, sim) == []
        assert sim.state()["positions"] == []
        assert engine.ask("status")["latched"] == "tshc flatten"
        assert await audit(home, sim, {}) == []
    finally:
        engine.kill()


def _wait_held(engine: Engine, names: list[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = engine.ask("status")
        if sorted(status["held"]) == sorted(names) and not status["bare"] and not status["busy"]:
            return
        time.sleep(0.1)
    pytest.fail(f"the names were never all held and protected: {engine.ask('status')}")
