"""Every screen in three sizes and three themes from views of a real week: pictures, and rules for any width."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import recorded_views as recorded
import textual
from console_harness import RecordedEngine, painted, strips_of, text_of
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.theme import Theme
from textual.widgets import Input

from app import themes
from app.client import EngineClient
from app.console import MODES, TshConsole
from app.widgets.box import Box
from engine.home import Home
from engine.view_board import ViewBoard
from engine.views import LedgerView

SIZES = ((80, 24), (120, 40), (200, 60))
RECORDED_WITH = "8.2.8"

Compare = Callable[..., bool]
Run = Callable[[Pilot[None]], Awaitable[None]]


def against(board: ViewBoard, home: Home, *keys: str, theme: str = "tsh-dark") -> tuple[TshConsole, Run]:
    """A console, and what brings it before the recorded views (in the loop that the picture is taken in).

    Its clock stands still: nothing on a picture may depend on how long the test took.
    """
    app = TshConsole(EngineClient(home, clock=lambda: 0.0))
    app.theme = theme
    app.animation_level = "none"

    async def run(pilot: Pilot[None]) -> None:
        engine = RecordedEngine(home, board)
        await engine.start()
        try:
            await painted(pilot, app)
            await pilot.press(*keys)
            if isinstance(app.focused, Input):
                app.focused.cursor_blink = False  # it is shown, whenever the picture is taken
            for _ in range(2):  # once for what was pressed, once for the layout that follows from it
                app.paint()
                await pilot.pause()
            app.painting.stop()
        finally:
            await app.client.close()  # what is shown stays
            await engine.stop()

    return app, run


needs_the_same_textual = pytest.mark.skipif(
    textual.__version__ != RECORDED_WITH,
    reason=f"the pictures were recorded with textual {RECORDED_WITH}, this is {textual.__version__}",
)

MOMENTS = {
    "overview": "positions", "training": "training", "groups": "search", "shortlist": "shortlist",
    "positions": "positions", "evidence": "shortlist", "journal": "flat", "board": "shortlist",
}  # fmt: skip
OURS = ("tsh-dark", "tsh-light", "tsh-colourblind")
THEMES = [name for name in OURS if name in {t.name for t in vars(themes).values() if isinstance(t, Theme)}]


def key_of(screen: str) -> str:
    return "g" if screen == "board" else str(MODES.index(screen) + 1)


@needs_the_same_textual
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("mode", [*MODES, "board"])
def test_picture_of(snap_compare: Compare, home: Home, mode: str, size: tuple[int, int], theme: str) -> None:
    app, run = against(recorded.moment(MOMENTS[mode]), home, key_of(mode), theme=theme)
    assert snap_compare(app, terminal_size=size, run_before=run)


@needs_the_same_textual
@pytest.mark.parametrize("mode", [*MODES, "board"])
def test_picture_of_the_empty(snap_compare: Compare, home: Home, mode: str) -> None:
    app, run = against(recorded.moment("empty"), home, key_of(mode))
    assert snap_compare(app, terminal_size=(120, 40), run_before=run)


@needs_the_same_textual
@pytest.mark.parametrize(
    ("moment", "keys", "size"),
    [
        ("shortlist", ["3"], (120, 40)), ("shortlist", ["3"], (80, 24)),
        ("shortlist", ["4", "end", "up"], (120, 40)), ("flat", ["5"], (120, 40)),
        ("flat", ["7", "s", *"fill", "enter", "enter"], (120, 40)),
        ("shortlist", ["1"], (80, 24)), ("shortlist", ["1"], (120, 40)),
    ],
    ids=[
        "search-proven", "search-proven-80x24", "news-of-a-name", "flattened", "search-in-the-journal",
        "a-yes-wanted-80x24", "a-yes-wanted",
    ],
)  # fmt: skip
def test_picture_with(
    snap_compare: Compare, home: Home, moment: str, keys: list[str], size: tuple[int, int]
) -> None:
    app, run = against(recorded.moment(moment), home, *keys)
    assert snap_compare(app, terminal_size=size, run_before=run)


@needs_the_same_textual
@pytest.mark.parametrize("size", [(80, 24), (100, 30)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    ("moment", "keys"),
    [
        ("empty", ["w"]), ("shortlist", ["4", "a"]), ("positions", ["f12"]), ("flattening", ["f12"]),
        ("positions", ["5", "question_mark"]), ("positions", ["5", "x"]),
    ],
    ids=["weekend", "approve", "flatten", "flattening", "help", "sell-one"],
)  # fmt: skip
def test_picture_of_the_dialog(
    snap_compare: Compare, home: Home, moment: str, keys: list[str], size: tuple[int, int]
) -> None:
    app, run = against(recorded.moment(moment), home, *keys)
    assert snap_compare(app, terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_strip_and_f12_never_leave_and_no_line_is_wider_than_the_terminal(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        for number in "1234567":
            await pilot.press(number)
            lines = text_of(app).split("\n")
            assert lines[0].startswith(" SIM ")
            assert "+182.40" in lines[0]
            assert "10:42:07" in lines[0]
            assert "open" in lines[0]
            assert lines[-1].rstrip().endswith("F12 FLATTEN")
            assert {cell_len(line) for line in lines} == {size[0]}


async def test_a_short_budget_is_shown_in_seconds_and_milliseconds(
    engine: RecordedEngine, app: TshConsole
) -> None:
    lane = (
        recorded.groups()
        .lanes[0]
        .model_copy(update={"granted": 9.0, "used": 6.5, "donated": 2.5, "received": 0.4})
    )
    ledger = LedgerView(open_grants=2.5, used=6.5, pool=15.0, capacity=24.0)
    engine.board.groups = recorded.groups().model_copy(
        update={"budget_s": 12.0, "lanes": (lane,), "ledger": ledger}
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("3")
        await pilot.pause()
        shown = text_of(app)
        assert "6.50 s used + 2.50 s granted + 15.0 s pool = 24.0 s ✓" in shown
        assert "-2.50 s" in shown
        assert "+400 ms" in shown


@pytest.mark.parametrize(("mode", "word"), [("sim", "SIM"), ("paper", "PAPER"), ("live", "LIVE MONEY")])
async def test_the_mode_is_said_in_words(engine: RecordedEngine, app: TshConsole, mode: str, word: str) -> None:
    engine.board.status = recorded.status().model_copy(update={"mode": mode})
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        first = strips_of(app)[0]
        assert word in first.text
        reversed_cells = sum(len(s.text) for s in first if s.style is not None and s.style.reverse)
        assert (reversed_cells == 80) == (mode == "live")  # a live strip is reversed from end to end


async def test_empty_panels_say_what_to_do_next(home: Home) -> None:
    engine = RecordedEngine(home, ViewBoard())
    await engine.start()
    app = TshConsole(EngineClient(home))
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        for number, hint in (
            ("1", "runs the weekend"), ("2", "runs the weekend"), ("3", "runs the weekend"),
            ("4", "runs the market day"), ("5", "the shortlist"), ("6", "runs the weekend"),
            ("7", "nothing has happened yet"),
        ):  # fmt: skip
            await pilot.press(number)
            await pilot.pause()
            assert hint in text_of(app)
    await engine.stop()


async def test_at_80_columns_the_deadlines_default_and_the_ledger_are_still_said(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("4")
        await pilot.pause()
        assert "NO TRADE" in text_of(app)
        await pilot.press("3")
        await pilot.pause()
        assert "04:55:58 used + 00:05:36 granted + 90:58:26 pool = 96:00:00 ✓" in text_of(app)


async def test_a_ledger_that_does_not_sum_is_shown_as_such(engine: RecordedEngine, app: TshConsole) -> None:
    view = recorded.groups()
    wrong = view.ledger.model_copy(update={"pool": view.ledger.pool - 60})
    engine.board.groups = view.model_copy(update={"ledger": wrong})
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("3")
        await pilot.pause()
        assert "≠ 95:59:00" in text_of(app)


async def test_every_theme_draws_the_same_words(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        before = text_of(app)
        for theme in ("tsh-light", "textual-dark", "nord", "ansi-dark", "ansi-light"):
            app.theme = theme
            await pilot.pause()
            app.paint()
            await pilot.pause()
            assert text_of(app) == before, theme


async def test_no_color_draws_the_same_words_without_colour(
    engine: RecordedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = TshConsole(EngineClient(engine.home))
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        assert "4 trades" in text_of(app)
        assert app.no_color


async def test_nothing_is_repainted_while_nothing_changes(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5")
        await pilot.pause()
        refreshed: list[Box] = []
        for box in app.screen.query(Box):
            original = box.refresh

            def spy(*args: Any, box: Box = box, original: Any = original, **more: Any) -> Any:
                refreshed.append(box)
                return original(*args, **more)

            box.refresh = spy  # type: ignore[method-assign]
        app.screen._shown = -1  # type: ignore[attr-defined]
        app.paint()  # the same views once more
        assert refreshed == []
        app.client.state.positions = recorded.positions().model_copy(update={"rows": ()})
        app.client.state.revision += 1
        app.paint()
        assert {box.id for box in refreshed} == {"positions-table", "position"}


ALLOWED = {f"engine.{name}" for name in ("config", "control", "errors", "home", "model", "settings", "views")}


def test_no_screen_holds_engine_logic() -> None:
    """The app computes no price, no score and no rule: it imports none of the floors that do."""
    for path in sorted(Path(inspect.getfile(TshConsole)).parent.rglob("*.py")):
        if path.parent.name == "app" and path.name not in (
            "client.py",
            "console.py",
            "formatting.py",
            "themes.py",
        ):
            continue  # the command line starts engines, the console does not
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip().startswith(("from engine", "import engine")):
                module = line.split()[1]
                assert module in ALLOWED, f"{path.name}: {line}"
