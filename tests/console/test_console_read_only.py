"""A read-only console looks and never acts: no dialog, no command, no engine started, and it says so."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of
from typer.core import TyperGroup
from typer.main import get_group

from app import cli
from app.cli_options import LOOKING
from app.cli_subcommands import FAMILIES
from app.client import EngineClient
from app.console import TshConsole
from app.dialogs.frame import Dialog, InfoDialog
from app.keys import EVERYWHERE, TABLES
from app.screens.base import ConsoleScreen
from engine.errors import EXIT_REFUSED
from engine.home import FileLock

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
        await client.attached(60)
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
        timeout=240,
        check=False,
    )


def test_a_read_only_console_makes_no_home(tmp_path: Path) -> None:
    refused = tshc("--home", str(tmp_path / "none"), "console", "--read-only")
    assert refused.returncode == 1
    assert "a read-only console makes none: give --home DIR" in refused.stderr
    assert not (tmp_path / "none").exists()


REFUSED = (
    ("flatten", "--yes"), ("engine", "stop", "--force"), ("engine", "start"), ("weekend",), ("weekday",),
    ("trade",), ("unlatch",), ("approve", "7f3a19c2"), ("approve", "7f3a19c2", "--reject"), ("demo", "--headless"),
    ("sim",), ("alerts", "test"), ("alerts", "ack"), ("workbook", "build"),
)  # fmt: skip


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_with_read_only_a_command_that_acts_is_refused_and_leaves_nothing(
    tmp_path: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    assert cli.run(["--home", str(home), "--read-only", *command]) == EXIT_REFUSED
    assert "--read-only refuses it and nothing was done" in capsys.readouterr().err
    assert not home.exists()


async def test_with_read_only_a_running_engine_is_neither_flattened_nor_stopped(engine: RecordedEngine) -> None:
    lock = FileLock(engine.home.engine_lock)
    assert lock.acquire()
    try:
        for command in (("flatten", "--yes"), ("engine", "stop", "--force"), ("approve", "7f3a19c2")):
            arguments = ["--home", str(engine.home.folder), "--read-only", *command]
            assert await asyncio.to_thread(cli.run, arguments) == EXIT_REFUSED, command
    finally:
        lock.release()
    assert engine.commands == []
    assert not engine.home.latch.exists()


LOOKS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("status",), 1), (("board",), 1), (("doctor",), 0), (("keys", "--defaults"), 0), (("replay",), 0),
    (("export",), 1), (("verify-day",), 1), (("explain", "ABCD"), 1), (("engine", "logs"), 1), (("web",), 1),
    (("console",), 1), (("qual", "evaluate"), 0), (("qual", "replay"), 0), (("qual", "prompts"), 0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "code"), LOOKS, ids=lambda value: value if isinstance(value, int) else " ".join(value)
)
def test_with_read_only_a_command_that_looks_works_and_makes_no_home(
    tmp_path: Path, command: tuple[str, ...], code: int
) -> None:
    home = tmp_path / "home"
    assert cli.run(["--home", str(home), "--read-only", *command]) == code
    assert not home.exists()


def every_command(group: TyperGroup, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from every_command(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_every_command_is_known_to_look_or_is_refused_with_read_only() -> None:
    """A new command is refused until somebody has thought about it."""
    commands = set(every_command(get_group(cli.app)))
    assert commands >= LOOKING
    assert commands - LOOKING == {" ".join(c[:2] if c[0] in FAMILIES else c[:1]) for c in REFUSED}
