"""Jump mode: every letter goes where it stands, and nothing else happens."""

from __future__ import annotations

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of, until
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input

from app.console import MODES, TshConsole
from app.dialogs.flatten import FlattenDialog
from app.jump import LETTERS, JumpLabel, JumpScreen, labels, targets_of
from app.screens.base import ConsoleScreen
from app.widgets.positions_panels import OrdersTable, PositionsTable


@given(st.integers(0, len(LETTERS) ** 2))
def test_labels_are_distinct_and_none_begins_another(count: int) -> None:
    made = labels(count)
    assert len(made) == count
    assert len(set(made)) == count
    singles = {label for label in made if len(label) == 1}
    assert not any(label[0] in singles for label in made if len(label) > 1)
    if count <= len(LETTERS):
        assert all(len(label) == 1 for label in made)


def letter_at(app: TshConsole, line: int, column: int) -> str:
    assert isinstance(app.screen, JumpScreen)
    found = [shown.label for shown in app.screen.query(JumpLabel) if shown.region.offset == (column, line)]
    assert found, f"no label at {column},{line}"
    return found[0]


async def test_a_letter_on_a_row_takes_the_focus_and_the_cursor_there(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5")
        lines = text_of(app).splitlines()
        row = next(i for i, line in enumerate(lines) if "09:30:04  KLMN" in line)
        await pilot.press("j")
        await pilot.pause()
        await pilot.press(letter_at(app, row, 1))
        await pilot.pause()
        orders = app.screen.query_one(OrdersTable)
        assert orders.has_focus
        assert orders.current is not None
        assert orders.current.symbol == "KLMN"
        row = next(i for i, line in enumerate(lines) if "MNOP" in line)
        await pilot.press("j")
        await pilot.pause()
        await pilot.press(letter_at(app, row, 1))
        await pilot.pause()
        positions = app.screen.query_one(PositionsTable)
        assert positions.has_focus
        assert positions.current is not None
        assert positions.current.symbol == "MNOP"
    assert engine.commands == []


async def test_a_letter_keeps_its_row_when_the_rows_move_meanwhile(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5")
        row = next(i for i, line in enumerate(text_of(app).splitlines()) if "KLMN" in line)
        await pilot.press("j")
        await pilot.pause()
        letter = letter_at(app, row, 1)
        rows = recorded.positions().rows
        engine.board.positions = recorded.positions().model_copy(update={"rows": tuple(reversed(rows))})
        await until(lambda: app.client.state.positions.rows[0].symbol == "QRST")
        app.paint()
        await pilot.press(letter)
        await pilot.pause()
        current = app.screen.query_one(PositionsTable).current
        assert current is not None
        assert current.symbol == "KLMN"


async def test_letters_on_the_last_line_do_what_a_click_there_does(app: TshConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        line = text_of(app).splitlines()[-1]
        await pilot.press("j")
        await pilot.pause()
        await pilot.press(letter_at(app, 39, line.index("4 shortlist")))
        await pilot.pause()
        assert isinstance(app.screen, ConsoleScreen)
        assert app.screen.MODE == "shortlist"
        line = text_of(app).splitlines()[-1]
        await pilot.press("j")
        await pilot.pause()
        await pilot.press(letter_at(app, 39, line.index(" F12 FLATTEN")))
        await pilot.pause()
        assert isinstance(app.screen, FlattenDialog)


@pytest.mark.parametrize("leave", ["escape", "enter", "1", "f5"])
async def test_escape_and_keys_that_stand_nowhere_leave_without_doing_anything(
    engine: RecordedEngine, app: TshConsole, leave: str
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5")
        focused = app.focused
        await pilot.press("j")
        await pilot.pause()
        assert isinstance(app.screen, JumpScreen)
        await pilot.press(leave)
        await pilot.pause()
        assert isinstance(app.screen, ConsoleScreen)
        assert app.screen.MODE == "positions"
        assert app.focused is focused
    assert engine.commands == []


async def test_two_letters_where_one_is_not_enough_and_backspace_takes_one_back(app: TshConsole) -> None:
    async with app.run_test(size=(120, 60)) as pilot:
        await painted(pilot, app)
        await pilot.press("7")
        await pilot.pause()
        await pilot.press("j")
        await pilot.pause()
        assert isinstance(app.screen, JumpScreen)
        first = next(shown.label for shown in app.screen.query(JumpLabel) if len(shown.label) == 2)
        before = len([shown for shown in app.screen.query(JumpLabel) if shown.display])
        await pilot.press(first[0])
        narrowed = [shown.label for shown in app.screen.query(JumpLabel) if shown.display]
        assert all(label.startswith(first[0]) for label in narrowed)
        await pilot.press("backspace")
        assert len([shown for shown in app.screen.query(JumpLabel) if shown.display]) == before
        await pilot.press(*first)
        await pilot.pause()
        assert isinstance(app.screen, ConsoleScreen)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_label_is_on_the_terminal_and_alone_at_its_place(
    app: TshConsole, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        for mode in TshConsole.MODES:
            await pilot.press(app.shown_keys[f"go.{mode}"])
            await pilot.pause()
            targets = targets_of(app.screen)
            places = [target.at for target in targets]
            assert len(set(places)) == len(places)
            assert all(0 <= at.x < size[0] and 0 <= at.y < size[1] for at in places)
            assert len(targets) >= len(MODES) + 1  # at least the last line


async def test_with_a_field_focused_the_letter_is_text(app: TshConsole) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("slash", "j")
        assert isinstance(app.focused, Input)
        assert app.focused.value == "j"


async def test_f12_works_in_jump_mode(app: TshConsole) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("j")
        await pilot.pause()
        await pilot.press("f12")
        await pilot.pause()
        assert isinstance(app.screen, FlattenDialog)


async def test_the_letters_go_when_the_terminal_changes_its_size(app: TshConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("j")
        await pilot.pause()
        assert isinstance(app.screen, JumpScreen)
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert isinstance(app.screen, ConsoleScreen)
