"""Fixtures of the console tests; the engine's side is in console_harness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, idle_as_the_pilot_asks

from app.client import EngineClient
from app.console import TshConsole
from engine.home import Home


@pytest.fixture(autouse=True)
def pilots_wait_until_all_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a key and in a pause; a busy machine must not let a test look at half of what a key did."""
    for place in ("textual.app.wait_for_idle", "textual.pilot.wait_for_idle"):
        monkeypatch.setattr(place, idle_as_the_pilot_asks)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
async def engine(home: Home) -> AsyncIterator[RecordedEngine]:
    engine = RecordedEngine(home, recorded.recorded_board())
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def app(engine: RecordedEngine) -> TshConsole:
    return TshConsole(EngineClient(engine.home))
