"""What a console remembers, and that its file can never be in the way."""

from __future__ import annotations

import json
import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from console_harness import RecordedEngine, painted, said, text_of
from hypothesis import given
from hypothesis import strategies as st

from app.client import EngineClient
from app.console import TshConsole
from app.layout import LayoutFile
from app.screens.base import ConsoleScreen
from engine.home import Home


def console(engine: RecordedEngine, *, read_only: bool = False) -> TshConsole:
    layout = LayoutFile.of(engine.home, read_only=read_only)
    return TshConsole(EngineClient(engine.home), read_only=read_only, layout=layout)


def file_of(home: Home) -> Path:
    return home.folder / "console.json"


async def test_screen_theme_filter_level_and_freeze_are_there_again(engine: RecordedEngine) -> None:
    app = console(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("slash", *"abcd", "enter", "l", "f")
        app.theme = "tsh-colourblind"
        await pilot.press("q")
    again = console(engine)
    async with again.run_test(size=(120, 40)) as pilot:
        await painted(pilot, again)
        await pilot.pause()
        assert again.theme == "tsh-colourblind"
        assert isinstance(again.screen, ConsoleScreen)
        assert again.screen.MODE == "journal"
        shown = text_of(again)
        assert "filter: abcd" in shown
        assert "from notice" in shown
        assert "FROZEN" in shown
        await pilot.press("escape", "f")
        await pilot.pause()
        again.paint()
    third = json.loads(file_of(engine.home).read_text(encoding="utf-8"))
    assert third["screens"]["journal"] == {"level": "notice", "follow": True, "filter": "", "kind": ""}


async def test_it_is_written_when_it_changes_and_only_then(engine: RecordedEngine) -> None:
    app = console(engine)
    async with app.run_test() as pilot:
        await painted(pilot, app)
        path = file_of(engine.home)
        first = path.stat().st_ino
        for _ in range(3):
            app.paint()
        assert path.stat().st_ino == first  # a new file would have another number
        await pilot.press("5")
        app.paint()
        assert json.loads(path.read_text(encoding="utf-8"))["screen"] == "positions"
    assert [p.name for p in engine.home.folder.glob("console.json*")] == ["console.json"]


async def test_a_read_only_console_takes_the_layout_and_changes_nothing(engine: RecordedEngine) -> None:
    path = file_of(engine.home)
    path.write_text('{"version": 1, "screen": "groups", "theme": "tsh-light"}', encoding="utf-8")
    before = path.read_bytes()
    app = console(engine, read_only=True)
    async with app.run_test() as pilot:
        await painted(pilot, app)
        assert isinstance(app.screen, ConsoleScreen)
        assert app.screen.MODE == "groups"
        await pilot.press("5")
        app.theme = "tsh-dark"
        app.paint()
    assert path.read_bytes() == before


DAMAGED = ["", "{", "[]", "null", '{"version": 2, "screen": "groups"}', '{"screen": "groups"}', "\x00\x01"]


@pytest.mark.parametrize("text", DAMAGED)
async def test_a_damaged_file_is_said_kept_aside_and_replaced(engine: RecordedEngine, text: str) -> None:
    path = file_of(engine.home)
    (engine.home.folder / "console.json.damaged").write_text("an older one", encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    app = console(engine)
    async with app.run_test() as pilot:
        await painted(pilot, app)
        assert isinstance(app.screen, ConsoleScreen)
        assert app.screen.MODE == "overview"
        assert "the default is used; the old file is kept as console.json.damaged2" in said(app)
    folder = engine.home.folder
    assert (folder / "console.json.damaged").read_text(encoding="utf-8") == "an older one"
    assert (folder / "console.json.damaged2").read_text(encoding="utf-8") == text
    assert json.loads(path.read_text(encoding="utf-8"))["screen"] == "overview"


def test_bytes_that_are_no_text_are_kept_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    path.write_bytes(b"\xff\xfe\x80")
    layout = LayoutFile(path)
    assert "is not text" in layout.trouble
    assert (tmp_path / "console.json.damaged").read_bytes() == b"\xff\xfe\x80"


ANYTHING = st.sampled_from([None, True, 7, "x", [], ["x"], {}, {"journal": 3}, {"journal": {"level": 1}}])


@given(ANYTHING, ANYTHING, ANYTHING)
def test_wrong_values_in_a_sound_file_are_passed_over(
    tmp_path_factory: pytest.TempPathFactory, screen: object, theme: object, screens: object
) -> None:
    path = tmp_path_factory.mktemp("layout") / "console.json"
    content = {"version": 1, "screen": screen, "theme": theme, "screens": screens}
    path.write_text(json.dumps(content), encoding="utf-8")
    layout = LayoutFile(path)
    assert isinstance(layout.text("screen"), str)
    assert isinstance(layout.text("theme"), str)
    assert isinstance(layout.screen("journal"), dict)
    layout.keep("journal", {"follow": True})
    layout.save()
    assert LayoutFile(path).screen("journal") == {"follow": True}


async def test_a_console_starts_with_nonsense_in_every_field(engine: RecordedEngine) -> None:
    nonsense = {
        "version": 1,
        "screen": "cellar",
        "theme": "no-such-theme",
        "screens": {"journal": {"level": 7, "follow": "maybe", "filter": ["a"]}},
    }
    file_of(engine.home).write_text(json.dumps(nonsense), encoding="utf-8")
    app = console(engine)
    async with app.run_test() as pilot:
        await painted(pilot, app)
        assert app.theme == "tsh-dark"
        await pilot.press("7")
        await pilot.pause()
        assert "from info" in text_of(app)
        assert "following" in text_of(app)


async def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(engine: RecordedEngine) -> None:
    app = console(engine)
    path = file_of(engine.home)
    path.mkdir()  # in the way of the rename
    async with app.run_test() as pilot:
        await painted(pilot, app)
        for key in "5671":
            await pilot.press(key)
            app.paint()
        assert said(app).count("the layout cannot be remembered") == 1


async def test_without_colour_the_remembered_theme_stays_as_it_was(
    engine: RecordedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(engine.home)
    path.write_text('{"version": 1, "theme": "tsh-light"}', encoding="utf-8")
    monkeypatch.setenv("NO_COLOR", "1")
    app = console(engine)
    async with app.run_test() as pilot:
        await painted(pilot, app)
        assert app.theme == "tsh-ansi"
        await pilot.press("2")
        app.paint()
    assert json.loads(path.read_text(encoding="utf-8"))["theme"] == "tsh-light"


def write_often(path: Path, name: str, enough: Event) -> None:
    layout = LayoutFile(path)
    number = 0
    while number < 100 or not enough.is_set():
        layout.content["screen"] = f"{name}{number}"
        layout.save()
        number += 1


def test_two_consoles_that_write_at_once_never_leave_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    context = multiprocessing.get_context("spawn")
    enough = context.Event()
    writers = [context.Process(target=write_often, args=(path, name, enough)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    try:
        seen: set[str] = set()
        while {name[0] for name in seen} != {"a", "b"} or len(seen) < 50:  # while both are writing
            assert all(writer.is_alive() for writer in writers)
            if path.exists():
                written = json.loads(path.read_text(encoding="utf-8"))
                assert written["version"] == 1
                seen.add(written["screen"])
    finally:
        enough.set()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["console.json"]
