"""Fixtures of the console tests; the engine's side is in console_harness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine

from app.client import EngineClient
from app.console import TshConsole
from engine.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The shell's own, so that the commands which a console advises need no --home."""
    home = Home(tmp_path / "home")
    monkeypatch.setenv("TSH_HOME", str(home.folder))
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
