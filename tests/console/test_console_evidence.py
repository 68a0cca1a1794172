"""The grade where a yes is given: a word of its own on a live account, and the evidence beside the list."""

from __future__ import annotations

import sys
from datetime import date, timedelta

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of, until
from textual.widgets import Input

from app import cli_runs
from app.console import TshConsole
from app.dialogs.confirm import ConfirmDialog
from app.options import Options
from engine.control import Answer
from engine.errors import RefusedError
from engine.views import ForwardRow, GradeView

GRADE_C = GradeView(
    grade="C", weeks=3, mean=0.03, low_80=-0.08, high_80=0.14, low_95=-0.2, pp_mean=0.09, needed=29, against=True,
    factor=0.5, text="grade C, undecided; ledger 3 of 12 weeks: paper only", reason="about 29 more",
)  # fmt: skip
EVIDENCE = (GRADE_C.text, GRADE_C.reason, "group A  hold-out +0.05 ± 0.08 %/day")


@pytest.fixture
def against(engine: RecordedEngine) -> RecordedEngine:
    engine.board.status = recorded.status().model_copy(update={"mode": "live", "account": "9981"})
    engine.board.overview = recorded.overview().model_copy(update={"grade": GRADE_C, "evidence": EVIDENCE})
    return engine


async def test_against_the_advice_the_dialog_asks_for_another_word_and_says_so_to_the_engine(
    against: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("4", "a")
        await until(lambda: "AGAINST THE ADVICE" in text_of(app))
        assert GRADE_C.text in text_of(app)
        await pilot.press(*"APPROVE", "enter")
        assert isinstance(app.screen, ConfirmDialog)
        assert against.commands == []
        app.screen.query_one(Input).value = ""
        await pilot.press(*"AGAINST", "enter")
        await until(lambda: against.commands)
    [(name, arguments)] = against.commands
    assert (name, arguments["against_advice"]) == ("approve", True)


@pytest.mark.parametrize("size", [(80, 24), (118, 30), (160, 48)])
async def test_the_grade_stands_above_the_word_on_every_terminal(
    against: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        await pilot.press("4", "a")
        await until(lambda: "AGAINST THE ADVICE" in text_of(app))
        shown = text_of(app)
    assert GRADE_C.text in shown
    assert "type AGAINST" in shown


async def test_with_the_advice_nothing_is_acknowledged(against: RecordedEngine, app: TshConsole) -> None:
    grade = GRADE_C.model_copy(update={"grade": "B", "against": False})
    against.board.overview = against.board.overview.model_copy(update={"grade": grade})
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("4", "a", *"APPROVE", "enter")
        await until(lambda: against.commands)
    assert "against_advice" not in against.commands[0][1]


async def test_the_list_is_printed_with_the_evidence_behind_it(
    against: RecordedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await cli_runs.approve(Options(against.home), None) == 0
    printed = capsys.readouterr().out
    assert all(line in printed for line in EVIDENCE)
    assert "--against-advice" in printed


async def test_without_a_terminal_the_approval_needs_the_option(against: RecordedEngine) -> None:
    shown = against.board.shortlist.list_hash
    with pytest.raises(RefusedError, match="--against-advice"):
        await cli_runs.approve(Options(against.home), shown)
    assert against.commands == []
    against.answers["approve"] = Answer(True, data={"text": "approved"})
    assert await cli_runs.approve(Options(against.home), shown, against_advice=True) == 0
    assert against.commands[0][1]["against_advice"] is True


@pytest.mark.parametrize("word", ["against", "APPROVE", ""])
async def test_a_terminal_asks_for_the_word_and_another_word_approves_nothing(
    against: RecordedEngine, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: word)
    with pytest.raises(RefusedError, match="not confirmed"):
        await cli_runs.approve(Options(against.home), against.board.shortlist.list_hash)
    assert against.commands == []


@pytest.mark.parametrize("size", [(80, 24), (118, 40), (160, 48)])
async def test_the_forward_table_tells_the_mean_that_the_grade_rests_on_whatever_else_stands_in_it(
    against: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    """Simulated weeks beside the paper ones, and PP, would say something else."""
    rows = tuple(
        ForwardRow(
            week=date(2026, 10, 30) + timedelta(days=7 * i), group="A", source=source, sessions=5, candidates=61,
            pp_excess=0.9, pp_error=0.1, tsh_excess=0.7, tsh_error=0.1,
        )
        for i, source in enumerate(["sim", "paper", "live"])
    )  # fmt: skip
    against.board.overview = against.board.overview.model_copy(update={"forward": rows})
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        await pilot.press("6")
        await until(lambda: "weeks count" in text_of(app))
        shown = text_of(app)
    assert "3 weeks count  TSH +0.03 (-0.08…+0.14)" in shown
    assert GRADE_C.text in shown
    if size[0] > 80:
        assert "PP +0.09" in shown
    assert "in the mean" not in shown


async def test_the_number_behind_plus_minus_and_the_length_of_the_bar_are_not_taken_for_each_other(
    engine: RecordedEngine, app: TshConsole
) -> None:
    """-0.17 ± 0.14 is one standard error: read as two, it would exclude the zero that the bar crosses."""
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("6")
        await until(lambda: "± one standard error, the bar two" in text_of(app))
