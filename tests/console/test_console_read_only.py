"""A read-only console looks and never acts: no dialog, no command, no engine started, and it says so."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of

from app.client import EngineClient
from app.console import TshConsole
from app.dialogs.frame import Dialog, InfoDialog
from app.keys import EVERYWHERE, TABLES
from app.screens.base import ConsoleScreen

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(engine: RecordedEngine) -> TshConsole:
    return TshConsole(EngineClient(engine.home), read_only=True)


@pytest.mark.parametrize("mode", ["sim", "paper", "live"])
@pytest.mark.parametrize("width", [80, 120, 200])
async def test_the_strip_says_so_at_every_width_and_in_every_mode(
    engine: RecordedEngine, app: TshConsole, width: int, mode: str
) -> None:
    engine.board.status = recorded.status().model_copy(update={"mode": mode})
    async with app.run_test(size=(width, 30)) as pilot:
        await painted(pilot, app)
        assert "READ-ONLY" in text_of(app).splitlines()[0]


async def test_no_key_of_any_screen_opens_a_dialog_that_commands_or_sends_anything(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        for mode in TshConsole.MODES:
            anywhere = (EVERYWHERE, TABLES) if mode == "positions" else ()
            for command in app.commands:
                if command.place not in (mode, *anywhere) or command.id in ("quit", "commands", "jump"):
                    continue
                await pilot.press(app.shown_keys[f"go.{mode}"])
                await pilot.press(command.keys[0])
                await pilot.pause()
                screen = app.screen
                if isinstance(screen, Dialog):
                    assert isinstance(screen, InfoDialog), f"{command.id} on {mode} opened {screen}"
                while not isinstance(app.screen, ConsoleScreen):
                    await pilot.press("escape")
    assert engine.commands == []


async def test_no_command_of_the_palette_opens_a_question_or_sends_anything(
    engine: RecordedEngine, app: TshConsole
) -> None:
    refused: set[str] = set()
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        for command in list(app.get_system_commands(app.screen)):
            if command.title.startswith(("Theme", "Keys", "Quit", "Jump", "Export")):  # to be read, or to disk
                continue
            app.clear_notifications()
            result = command.callback()
            if inspect.isawaitable(result):
                await result
            await pilot.pause()
            assert isinstance(app.screen, ConsoleScreen), command.title
            await app.workers.wait_for_complete()
            await pilot.pause()  # what is said is a message of its own
            if "read-only" in said(app):
                refused.add(command.title)
    assert engine.commands == []
    assert refused >= {
        "Weekend: run", "Market day: run", "Training: pause", "Training: resume", "Search: stop",
        "Trade list: approve", "Trade list: reject", "Sell ABCD now", "FLATTEN everything", "Allow entries again",
        "Acknowledge all alerts", "Stop the engine",
    }  # fmt: skip


async def test_the_engine_refuses_too_should_the_console_forget(engine: RecordedEngine) -> None:
    async with EngineClient(engine.home, read_only=True) as client:
        await client.attached()
        client.read_only = False  # what it told the engine stands
        for command in ("flatten", "weekend", "approve", "exit_position", "shutdown"):
            answer = await client.command(command)
            assert not answer.accepted
            assert "read-only" in answer.reason
    assert engine.commands == []


def tshc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_read_only_console_makes_no_home(tmp_path: Path) -> None:
    refused = tshc("--home", str(tmp_path / "none"), "console", "--read-only")
    assert refused.returncode == 1
    assert "a read-only console makes none: give --home DIR" in refused.stderr
    assert not (tmp_path / "none").exists()
