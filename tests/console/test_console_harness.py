"""What every other console test rests on: that a picture is what the console would draw, and a whole one."""

from __future__ import annotations

import asyncio

import pytest
from console_harness import NotPaintedError, RecordedEngine, painted, settled, text_of, until

from app.client import EngineClient
from app.console import TshConsole
from app.dialogs.flatten import FlattenDialog
from engine.home import Home


async def test_a_dialog_that_was_not_drawn_yet_is_seen_on_the_screen_below_it(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12")
        for _ in range(2):
            app.screen.refresh()  # its ground too is to be drawn, and the next to draw is this test
            shown = text_of(app)
            assert shown.startswith(" SIM ▏")
            assert "FLATTEN EVERYTHING" in shown


async def test_an_empty_screen_is_no_picture(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    with pytest.raises(NotPaintedError):
        text_of(app)
    async with app.run_test():
        await settled(app)
        assert "attaching to the engine" in text_of(app)
    with pytest.raises(NotPaintedError):
        text_of(app)


async def test_a_key_is_over_when_what_it_opened_is_drawn_though_the_process_was_given_no_time(
    app: TshConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that waits, as on a busy machine, uses no processor: that must not pass for being idle."""
    flatten = app.action_flatten

    async def held_up() -> None:
        for _ in range(200):
            await asyncio.sleep(0)
        flatten()

    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        monkeypatch.setattr(app, "action_flatten", held_up)
        await pilot.press("f12")
        assert isinstance(app.screen, FlattenDialog)
        assert "3 positions" in text_of(app)


async def test_what_does_not_come_fails_and_an_empty_picture_is_not_taken_for_it(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    with pytest.raises(TimeoutError):
        await until(lambda: "3 positions" not in text_of(app), 0.1)
