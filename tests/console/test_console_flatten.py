"""F12: reachable from anywhere, harmless until the word is typed, once only, shown until FLAT."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of, until
from textual.screen import Screen
from textual.widgets import Input

from app.console import TshConsole
from app.dialogs.flatten import FlattenDialog
from app.screens.base import ConsoleScreen
from engine.control import Answer
from engine.model import UTC
from engine.views import FlattenView

ASKED = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
WORD = [*"FLATTEN"]
ONE = [("flatten", {"include_foreign": False})]


WHEREVER = {
    "plain": [],
    "under the weekend's input": ["w"],
    "under a question": ["4", "a"],
    "under the help": ["question_mark"],
    "under the palette": ["ctrl+p"],
    "with the filter focused": ["slash"],
    "while typing": ["slash", *"abc"],
    "after it was closed": ["f12", "escape"],
}


async def test_f12_works_wherever_the_focus_is(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        for where, before in WHEREVER.items():
            await pilot.press(*before, "f12")
            await pilot.pause()
            assert isinstance(app.screen, FlattenDialog), where
            assert app.focused is app.screen.query_one("#word"), where
            while len(app.screen_stack) > 1:
                await pilot.press("escape")
            await pilot.press("escape")
        assert engine.commands == []
        await pilot.press("w", "f12", *WORD, "enter")
        await until(lambda: engine.commands)
    assert engine.commands == ONE


async def test_opening_and_enter_alone_and_a_wrong_word_send_nothing(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("f12", "enter", "enter", *"flatten", "enter", "space", "enter", "y", "enter")
        assert isinstance(app.screen, FlattenDialog)
        await pilot.press("escape")
        assert isinstance(app.screen, ConsoleScreen)
    assert engine.commands == []


async def test_after_a_wrong_word_the_right_one_is_typed_into_an_empty_field(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("f12", *"flatten", "enter")
        await until(lambda: "type FLATTEN in capitals" in text_of(app))
        assert engine.commands == []
        await pilot.press(*WORD, "enter")
        await until(lambda: engine.commands)
    assert engine.commands == ONE


async def test_pressing_twice_opens_one_dialog_and_sends_one_command(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("f12", "f12", "f12")
        assert sum(isinstance(screen, FlattenDialog) for screen in app.screen_stack) == 1
        await pilot.press(*WORD, "enter", "enter", "enter", "f12", "enter")
        await until(lambda: engine.commands)
        await pilot.pause()
    assert engine.commands == ONE


async def test_the_dialog_shows_what_is_at_stake_live(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12")
        shown = text_of(app)
        for expected in ("3 positions", "75,193.16", "1 open orders", "market open", "38.10 $", "SPY"):
            assert expected in shown
        engine.board.flatten = recorded.flatten().model_copy(
            update={"exposure": Decimal("61000.50"), "positions": 2}
        )
        await until(lambda: "2 positions   61,000.50" in text_of(app))


@pytest.mark.parametrize("lost", [False, True])
async def test_no_picture_of_the_dialog_is_without_what_is_at_stake(
    engine: RecordedEngine, app: TshConsole, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """Nor does it change its size when the next paint comes: not even the first one drawn."""
    pictures: list[str] = []
    display = app._display

    def noted(screen: Screen[Any], renderable: Any) -> None:
        display(screen, renderable)
        if isinstance(app.screen, FlattenDialog):
            pictures.append(text_of(app))

    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        if lost:
            await engine.stop()
            await until(lambda: "ENGINE LOST" in text_of(app))
        monkeypatch.setattr(app, "_display", noted)
        await pilot.press("f12")
        app.paint()
        await pilot.pause()
    assert pictures
    for picture in pictures:
        assert "3 positions" in picture
        assert "in a shell" in picture or not lost
    assert len({picture.index("FLATTEN EVERYTHING") for picture in pictures}) == 1


async def test_foreign_positions_are_included_only_when_ticked(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12")
        await pilot.press("shift+tab", "space", "tab", *WORD, "enter")
        await until(lambda: engine.commands)
    assert engine.commands == [("flatten", {"include_foreign": True})]


async def test_progress_is_shown_per_symbol_until_flat(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12", *WORD, "enter")
        await until(lambda: engine.commands)
        engine.board.flatten = recorded.flattening()
        await until(lambda: "NOT FLAT YET" in text_of(app))
        assert "REJECTED held for orders, retry 2" in text_of(app)
        await pilot.press("escape")
        await until(lambda: "FLATTEN running: 3 sell all" in text_of(app))  # no screen hides it
        await pilot.press("f12")
        await until(lambda: "NOT FLAT YET" in text_of(app))  # the progress again, not the question
        assert not app.screen.query_one("#word").display
        engine.board.flatten = FlattenView(state="flat", step="4 verify flat, twice", confirmations=2)
        await until(lambda: "FLAT, confirmed by the broker" in text_of(app))
    assert engine.commands == ONE


async def test_what_the_broker_was_not_asked_about_is_not_called_gone(
    engine: RecordedEngine, app: TshConsole
) -> None:
    """A restarted engine resumes its flatten: before its first look it knows no row, which sells nothing."""
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        engine.board.flatten = recorded.flattening()
        await pilot.press("f12")
        await until(lambda: "NOT FLAT YET" in text_of(app))
        engine.board.flatten = FlattenView(state="running", step="entries latched, looking at the account")
        await until(lambda: "looking at the account" in text_of(app))
        assert "gone from the account" not in text_of(app)
        assert text_of(app).count("not known yet") == len(recorded.flattening().rows)


async def test_after_a_flatten_that_failed_f12_can_flatten_again(engine: RecordedEngine, app: TshConsole) -> None:
    failed = recorded.flattening().model_copy(
        update={"state": "failed", "step": "not flat after 300 s: KLMN: held", "begun_at": ASKED}
    )
    engine.answers["flatten"] = Answer(True, data={"since": ASKED.isoformat()})
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12", *WORD, "enter")
        await until(lambda: engine.commands)
        engine.board.flatten = failed
        await until(lambda: "not flat after 300 s" in text_of(app))
        await until(lambda: "the engine has given up" in text_of(app))
        assert "the engine goes on" not in text_of(app)
        await pilot.press("escape", "f12")  # also from a window that saw nothing of it
        await until(lambda: "not flat after 300 s" in text_of(app))
        engine.answers["flatten"] = Answer(True, data={"since": (ASKED + timedelta(minutes=6)).isoformat()})
        await pilot.press(*WORD, "enter")
        await until(lambda: engine.commands == ONE * 2)
        await until(lambda: "asked, waiting for the engine" in text_of(app))  # not the end of the first


async def test_an_earlier_flat_is_not_taken_for_this_one(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.flatten = recorded.flatten().model_copy(update={"state": "flat", "step": "of this morning"})
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12", *WORD, "enter")
        await until(lambda: "asked, waiting for the engine" in text_of(app))
        assert "of this morning" not in text_of(app)
        engine.board.flatten = recorded.flattening()
        await until(lambda: "NOT FLAT YET" in text_of(app))
        only = recorded.flattening().rows[2:]
        engine.board.flatten = recorded.flattening().model_copy(update={"rows": only})
        await until(lambda: text_of(app).count("gone from the account ✓") == 2)


async def test_a_flat_that_came_too_fast_to_be_seen_running_is_ours_when_it_began_after_we_asked(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.answers["flatten"] = Answer(True, data={"since": ASKED.isoformat()})
    flat = recorded.flatten().model_copy(update={"state": "flat", "step": "confirmed twice"})
    engine.board.flatten = flat.model_copy(update={"begun_at": ASKED - timedelta(seconds=1)})
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12", *WORD, "enter")
        await until(lambda: "asked, waiting for the engine" in text_of(app))
        await pilot.pause(0.6)  # paints, all of them with the earlier one's
        await painted(pilot, app)
        assert "FLAT, confirmed by the broker" not in text_of(app)  # the earlier one's, however long it stands
        engine.board.flatten = flat.model_copy(update={"begun_at": ASKED})
        await until(lambda: "FLAT, confirmed by the broker" in text_of(app))


async def test_a_refused_flatten_says_why_and_can_be_sent_again(engine: RecordedEngine, app: TshConsole) -> None:
    engine.answers["flatten"] = Answer(False, "the broker does not answer")
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12", *WORD, "enter")
        await until(lambda: "refused: the broker does not answer" in text_of(app))
        assert app.screen.query_one("#word", Input).value == ""
        engine.answers.clear()
        await pilot.press(*WORD, "enter")
        await until(lambda: len(engine.commands) == 2)


async def test_after_a_slow_refusal_the_word_can_be_typed_at_once(engine: RecordedEngine, app: TshConsole) -> None:
    engine.delay_s = 0.8  # long enough for paints between the question and its answer
    engine.answers["flatten"] = Answer(False, "the broker does not answer")
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12", *WORD, "enter")
        await until(lambda: "refused: the broker does not answer" in text_of(app))
        await pilot.press(*WORD, "enter")
        await until(lambda: len(engine.commands) == 2)


async def test_without_an_engine_the_dialog_names_the_way_that_needs_none(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await pilot.press("f12")
        await until(lambda: "run 'tshc flatten' in a shell" in text_of(app))
        await pilot.press(*WORD, "enter")
        await until(lambda: "nothing was sent" in " ".join(text_of(app).split()))
    assert engine.commands == []
