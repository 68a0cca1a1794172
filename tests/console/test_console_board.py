"""The GO / NO-GO board: reachable from anywhere, every gate with its number, a remedy where it is not GO."""

from __future__ import annotations

import json

import pytest
import recorded_board as recorded_go
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until
from rich.cells import cell_len

from app.cli import run
from app.client import EngineClient
from app.console import TshConsole
from app.dialogs.confirm import ConfirmDialog
from app.dialogs.flatten import FlattenDialog
from app.screens.board import BoardScreen
from engine.errors import EXIT_DONE, EXIT_FAILED
from engine.home import FileLock, Home
from engine.views import BoardView

SIZES = ((80, 24), (118, 40), (200, 60))
APPROVE = ("approve", {"session": "2026-11-23", "list_hash": "7f3a19c2d41e9b07"})


@pytest.fixture(autouse=True)
def before_the_open(engine: RecordedEngine) -> None:
    engine.board.status = recorded_go.status()
    engine.board.board = recorded_go.board()


async def test_the_board_is_reached_by_key_by_palette_and_by_a_click(app: TshConsole) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("g")
        assert isinstance(app.screen, BoardScreen)
        await pilot.press("1")
        by_title = {c.title: c.callback for c in app.get_system_commands(app.screen)}
        by_title["GO / NO-GO board"]()
        await pilot.pause()
        assert isinstance(app.screen, BoardScreen)
        await pilot.press("5")
        await pilot.pause()
        line = text_of(app).splitlines()[-1]
        await pilot.click("#keys", offset=(line.index("g board") + 1, 0))
        await pilot.pause()
        assert isinstance(app.screen, BoardScreen)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_gate_stands_with_state_number_and_limit(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        await pilot.press("g")
        await pilot.pause()
        shown = text_of(app)
        assert {cell_len(line) for line in shown.split("\n")} == {size[0]}
        assert "only your yes is missing" in shown
        for found in recorded_go.gates():
            line = next(text for text in shown.splitlines() if text.lstrip(" │")[9:].startswith(f"{found.name} "))
            assert ("WAIT" if found.state == "waiting" else "GO") in line
            assert found.measured[:20] in line
            assert found.limit[:10] in line
        assert "→ a on the shortlist (4)" in shown
        assert size[1] < 40 or "16 of 17 gates GO" in shown  # at 24 lines the frame's foot is scrolled to


async def test_a_gate_that_stops_is_said_with_its_remedy_and_go_is_said_when_all_hold(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.board = recorded_go.latched()
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("g")
        await pilot.pause()
        shown = text_of(app)
        assert any(line.split()[1:4] == ["NO-GO", "entry", "latch"] for line in shown.splitlines())
        assert "→ unlatch when the cause is understood" in shown
        assert "1 gate stops the entries: entry latch" in shown
        approved = recorded_go.gate("approval", "given by operator", "valid until 09:35:00 ET")
        engine.board.board = recorded_go.board("go", "entries leave Mon 23 Nov at 09:30:00 ET", approval=approved)
        await until(lambda: "17 of 17 gates GO" in text_of(app))
        assert "█▀▀ █▀█   entries leave Mon 23 Nov" in text_of(app)  # GO in large letters
        assert "opens in 18 m 12 s" in text_of(app)


async def test_without_a_calendar_the_board_says_what_it_waits_for(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.board = BoardView()
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("g")
        await pilot.pause()
        assert "the board appears when the engine knows the market's calendar" in text_of(app)


async def test_the_approval_shows_what_is_not_go_and_can_be_given_from_the_board(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.board = recorded_go.latched()
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("g", "a")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        shown = " ".join(text_of(app).split())
        assert "15 of 16 gates GO besides your yes" in shown
        assert "entry latch: entries latched off: flatten by console" in shown
        await pilot.press("enter")  # the focus is on Back
        assert engine.commands == []
        await pilot.press("a", "y", "y")
        await until(lambda: engine.commands)
        await pilot.pause()
    assert engine.commands == [APPROVE]


async def test_f12_works_on_the_board_and_a_read_only_console_only_looks(engine: RecordedEngine) -> None:
    app = TshConsole(EngineClient(engine.home), read_only=True)
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        for key in ("a", "r", "f12"):
            app.clear_notifications()
            await pilot.press("g", key)
            await until(lambda: "this console is read-only" in said(app))
            assert isinstance(app.screen, BoardScreen)
    assert engine.commands == []
    app = TshConsole(EngineClient(engine.home))
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("g", "a", "f12")
        await pilot.pause()
        assert isinstance(app.screen, FlattenDialog)


async def test_u_unlatches_with_a_question_and_says_so_when_nothing_is_latched(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("g", "u")
        await until(lambda: "entries are not latched off" in said(app))
        engine.board.status = recorded.status().model_copy(update={"latched": "flatten by console"})
        await until(lambda: "LATCHED" in text_of(app))
        await pilot.press("u")
        await until(lambda: "3 positions" in text_of(app))  # what is in the market, live
        await pilot.press("enter")
        assert engine.commands == []
        await pilot.press("u", "y")
        await until(lambda: engine.commands)
    assert engine.commands == [("unlatch", {})]


# --- the command line -------------------------------------------------------------------------


async def shell(*arguments: str) -> int:
    import asyncio

    return await asyncio.to_thread(run, ["--home", *arguments])


async def test_tshc_board_ends_with_0_on_go_and_with_1_on_anything_else(
    engine: RecordedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = FileLock(engine.home.engine_lock)
    assert lock.acquire()
    home = str(engine.home.folder)
    assert await shell(home, "board") == EXIT_FAILED
    told = capsys.readouterr().out
    assert told.startswith("WAIT for 2026-11-23, list 7f3a19c2: only your yes is missing")
    assert "→ a on the shortlist" in told
    engine.board.board = recorded_go.board("go", "entries leave")
    assert await shell(home, "board", "--json") == EXIT_DONE
    assert json.loads(capsys.readouterr().out)["verdict"] == "go"
    engine.board.board = recorded_go.latched()
    assert await shell(home, "board") == EXIT_FAILED
    assert "NO-GO  entry latch" in capsys.readouterr().out
    lock.release()


async def test_tshc_board_without_an_engine_is_no_go(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert await shell(str(home.folder), "board", "--json") == EXIT_FAILED
    told = capsys.readouterr()
    assert json.loads(told.out)["verdict"] == "no_go"
    assert "no engine runs" in told.err
