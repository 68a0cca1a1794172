"""``d``: the market day begins at once where that costs nothing, and asks where it might be a mistake."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until

from app.cli import run
from app.client import EngineState
from app.console import TshConsole
from app.dialogs.confirm import ConfirmDialog
from app.dialogs.weekday import day_question
from app.screens.base import ConsoleScreen
from engine.control import Answer
from engine.errors import EXIT_DONE
from engine.home import FileLock
from engine.views import EventView, OverviewView, StageView

DAY = [("weekday", {})]
EVENING = recorded.eastern(17, 0)  # of Friday; the recorded list is for Monday
MONDAY = recorded.eastern(0, 0, day=recorded.MONDAY)


def at(market_time: datetime, outcome: str, *, market_open: bool = False, mode: str = "sim") -> EngineState:
    state = EngineState()
    told = {"market_time": market_time, "market_open": market_open, "mode": mode, "account": "9981"}
    state.status = recorded.status().model_copy(update=told)
    state.shortlist = recorded.shortlist(outcome)
    return state


@pytest.mark.parametrize("outcome", ["none", "pending"])
def test_a_first_day_begins_without_a_question(outcome: str) -> None:
    assert day_question(at(EVENING, outcome)) == []


@pytest.mark.parametrize(
    ("hour", "market_open", "asks"),
    [
        (-7, False, True),
        (9, False, True),
        (11, True, True),
        (13, False, False),
        (17, False, False),
        (30, False, False),
    ],
)
def test_a_second_day_is_asked_about_until_the_session_of_the_first_is_over(
    hour: int, market_open: bool, asks: bool
) -> None:
    state = at(MONDAY + timedelta(hours=hour), "rejected", market_open=market_open)
    words = " ".join(text for line in day_question(state) for text, _ in line)
    assert ("the day of Monday 23 November was run: rejected" in words) is asks
    assert ("begins the next one" in words) is asks


def test_a_run_at_work_is_left_to_the_engines_refusal() -> None:
    state = at(EVENING, "approved")
    state.overview = OverviewView(stages=(StageView(stage="tsh_trade_management", state="running"),))
    assert day_question(state) == []


async def test_a_live_account_is_asked_with_the_focus_on_the_way_back(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.status = recorded.status().model_copy(update={"mode": "live", "account": "9981"})
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("d")
        assert isinstance(app.screen, ConfirmDialog)
        assert "LIVE 9981" in text_of(app)
        assert "only your yes to it buys" in text_of(app)
        await pilot.press("enter")
        assert isinstance(app.screen, ConsoleScreen)
        assert engine.commands == []
        await pilot.press("d", "y")
        await until(lambda: engine.commands)
    assert engine.commands == DAY


async def test_pressed_again_after_the_day_was_run_it_asks_before_it_begins_the_next(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.shortlist = recorded.shortlist("expired")
    engine.board.overview = recorded.overview().model_copy(update={"stages": ()})
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("d", "d")
        assert sum(isinstance(screen, ConfirmDialog) for screen in app.screen_stack) == 1
        assert "the day of Monday 23 November was run: expired" in text_of(app)
        await pilot.press("escape")
        assert engine.commands == []
        await pilot.press("d", "y")
        await until(lambda: engine.commands)
    assert engine.commands == DAY


async def test_a_day_without_a_question_is_not_begun_from_a_frozen_screen(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("z", "d")
        await until(lambda: "the screen is frozen" in said(app))
        assert engine.commands == []
        await pilot.press("z", "d")
        await until(lambda: engine.commands)
    assert engine.commands == DAY


REPORT = {"kind": "weekday", "run": "weekday-1", "state": "done", "stages": [], "summary": "4 trades"}


@pytest.mark.parametrize(("outcome", "waits"), [("pending", True), ("approved", False), ("none", False)])
async def test_tshc_weekday_speaks_of_a_list_that_waits_only_when_one_does(
    engine: RecordedEngine, capsys: pytest.CaptureFixture[str], outcome: str, waits: bool
) -> None:
    lock = FileLock(engine.home.engine_lock)
    assert lock.acquire()
    engine.board.shortlist = recorded.shortlist(outcome)
    engine.answers["weekday"] = Answer(True, data={"run": "weekday-1"})
    engine.answers["report"] = Answer(True, data={"weekday": REPORT})
    followed = asyncio.create_task(asyncio.to_thread(run, ["--home", str(engine.home.folder), "weekday"]))
    await until(lambda: engine.commands)
    await asyncio.sleep(0.5)  # the views have come by then
    told = {"run": "weekday-1", "outcome": "done"}
    end = EventView(seq=1, at=EVENING, kind="run_finished", level="notice", text="run done", data=told)
    engine.server.publish(end)
    assert await followed == EXIT_DONE
    assert ("the trade list waits for 'tshc approve'" in capsys.readouterr().err) is waits
    lock.release()
