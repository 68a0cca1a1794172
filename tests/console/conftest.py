"""Fixtures of the console tests; the engine's side is in console_harness."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, idle_as_the_pilot_asks
from textual.css.stylesheet import Stylesheet

from app.client import EngineClient
from app.console import TshConsole
from engine.home import Home


@pytest.fixture(scope="session", autouse=True)
def style_sheets_are_read_once() -> Iterator[None]:
    """Textual reads all style sheets anew in every app, and again on the first visit to a screen: a fifth of
    the time of these tests. The same text with the same colours gives the same rules, which nothing changes."""
    read = Stylesheet._parse_rules
    known: dict[tuple[Any, ...], list[Any]] = {}

    def remembered(sheet: Stylesheet, css: str, *place: Any, **options: Any) -> list[Any]:
        key = (css, place, tuple(options.items()), tuple(sheet._variables.items()))
        if key not in known:
            known[key] = read(sheet, css, *place, **options)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", remembered)
        yield


@pytest.fixture(autouse=True)
def pilots_wait_until_all_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a key and in a pause; a busy machine must not let a test look at half of what a key did."""
    for place in ("textual.app.wait_for_idle", "textual.pilot.wait_for_idle"):
        monkeypatch.setattr(place, idle_as_the_pilot_asks)


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
