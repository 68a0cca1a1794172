"""What the operator can do next stands on the screen with its key, wherever he looks."""

from __future__ import annotations

from decimal import Decimal

import pytest
import recorded_board as recorded_go
import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of

from app.client import EngineClient, EngineState
from app.console import TshConsole
from app.next_step import next_step, yes_wanted
from app.widgets.positions_panels import stop_ribbon
from engine.view_board import ViewBoard
from engine.views import PositionRow

DOUBTFUL = ("capital", "order_count", "position_count")  # gates
SIZES = [(80, 24), (120, 40)]


def state_of(board: ViewBoard) -> EngineState:
    state = EngineState()
    state.replace_all(board.snapshot())
    return state


def said_by(state: EngineState) -> str:
    return "".join(text for text, _ in next_step(state))


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("empty", "w runs the weekend: finds groups"), ("training", ""), ("search", ""),
        ("shortlist", "4 the list waits: a approves it"), ("positions", "5 positions, F12 sells everything"),
        ("flat", "d runs the day: makes the list"),
    ],
)  # fmt: skip
def test_each_moment_of_the_week_names_the_step_that_is_the_operators(moment: str, words: str) -> None:
    assert said_by(state_of(recorded.moment(moment))) == words
    assert len(words) <= 33  # with the arrow: the panel at 80 columns


def test_a_day_is_not_advised_while_it_would_be_refused() -> None:
    board = recorded.moment("flat")
    board.board = recorded_go.board("no_go", "", groups=recorded_go.gate("groups", "none", "one", "no_go"))
    assert said_by(state_of(board)) == "w runs the weekend: finds groups"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("1", "→ 4 the list waits: a approves it"), ("g", "→ a on the shortlist (4)"),
        *((mode, "Your yes: 4 shows the list, a approves it") for mode in "23567"),
    ],
)  # fmt: skip
async def test_while_a_list_waits_every_screen_says_how_to_approve_it(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int], mode: str, words: str
) -> None:
    vars(engine.board).update(vars(recorded.moment("shortlist")))
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        await pilot.press(mode)
        await pilot.pause()
        assert words in text_of(app)
        await pilot.press("4")
        await pilot.pause()
        assert "Your yes" not in text_of(app)
        assert "a approve" in text_of(app)


async def test_a_console_that_may_not_command_is_not_told_to(engine: RecordedEngine) -> None:
    vars(engine.board).update(vars(recorded.moment("shortlist")))
    app = TshConsole(EngineClient(engine.home), read_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        assert "Your yes" not in text_of(app)
        assert "approves it" not in text_of(app)


def test_without_a_list_nobody_is_asked_for_a_yes() -> None:
    assert yes_wanted(state_of(recorded.moment("positions")), "4", "a") == ""


async def test_at_80_columns_the_approvals_buttons_are_seen_below_a_board_with_warnings(
    engine: RecordedEngine, app: TshConsole
) -> None:
    vars(engine.board).update(vars(recorded.moment("shortlist")))
    gates = engine.board.board.gates
    doubtful = tuple(g.model_copy(update={"state": "caution"}) if g.gate in DOUBTFUL else g for g in gates)
    engine.board.board = engine.board.board.model_copy(update={"gates": doubtful})
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("4", "a")
        await pilot.pause()
        shown = text_of(app)
        assert shown.count("CHECK") >= len(DOUBTFUL), shown
        for words in ("Tuesday 24 November", "NO TRADE", "Back  esc", "Approve  y"):
            assert words in shown


def test_the_ribbon_begins_at_the_stop_that_rests_while_no_other_is_set() -> None:
    row = PositionRow(
        symbol="CBTH", shares=1, entry=Decimal(83), last=Decimal("82.11"), high=Decimal(83), state="WATCH",
        target=Decimal(84), resting_stop=Decimal(81),
    )  # fmt: skip
    assert "◀" not in "".join(text for text, _ in stop_ribbon(row, 14))
    beyond = row.model_copy(update={"last": Decimal("80.90")})
    assert "◀" in "".join(text for text, _ in stop_ribbon(beyond, 14))


@pytest.mark.parametrize("mode", ["1", "4", "7", "g"])
@pytest.mark.parametrize(("size", "words"), [((80, 24), "? help q"), ((120, 40), "w weekend d day ? help q")])
async def test_the_key_line_always_names_the_help(
    engine: RecordedEngine, app: TshConsole, mode: str, size: tuple[int, int], words: str
) -> None:
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        await pilot.press(mode)
        await pilot.pause()
        last = text_of(app).splitlines()[-1]
        assert words in last
        assert last.endswith("F12 FLATTEN ")
