"""What the console says of the selected groups: the grade first, then each group's hold-out and luck."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from storage_samples import group

from engine.daily.forward_ledger import CountedWeek
from engine.decision.grade import Letter
from engine.model import Mode
from engine.pipeline.advice import grade_of, grade_view, p_is_decided
from engine.records import FinalGroup
from engine.status_views import evidence_lines

SHUFFLED = {
    "p_value": 18 / 201,
    "shuffles_reached": 17,
    "shuffles_done": 200,
    "shuffles_planned": 200,
    "shuffles_scope": "tested",
}


def weeks(*excess: float) -> list[CountedWeek]:
    first = date(2026, 11, 20)
    return [CountedWeek(first + timedelta(days=7 * i), 5, x, x + 0.1, 40.0) for i, x in enumerate(excess)]


def lines(chosen: list[FinalGroup], counted: list[CountedWeek]) -> tuple[str, ...]:
    return evidence_lines(chosen, grade_of(chosen[0], counted, Mode.PAPER))


@pytest.mark.parametrize(
    ("holdout", "excess", "said"),
    [
        (0.05, (), "grade C, undecided; ledger 0 of 12 weeks: paper only"),
        (None, (0.1, -0.1) * 3, "grade C, undecided; ledger 6 of 12 weeks: paper only"),
        (-0.14, (0.1,) * 3, "grade D, hold-out negative; ledger 3 of 12 weeks: no trade"),
        (0.05, (0.1, 0.3) * 4, "grade B, probable; ledger 8 of 12 weeks: half size"),
        (0.05, (-0.1, -0.3) * 4, "grade D, ledger negative; ledger 8 of 12 weeks: no trade"),
    ],
)
def test_the_grade_follows_from_the_hold_out_and_the_weeks(
    holdout: float | None, excess: tuple[float, ...], said: str
) -> None:
    assert lines([replace(group(1, 1), holdout_mean=holdout)], weeks(*excess))[0] == said


def test_its_reason_stands_below_it() -> None:
    assert lines([group(1, 1)], weeks(*(0.1, 0.3) * 4))[1] == "lower 80 % bound +0.17 %/day; for A 4 more weeks"


@pytest.mark.parametrize(
    ("done", "scope", "letter"),
    [(200, "tested", "A"), (199, "tested", "B"), (200, "given", "B"), (None, None, "B")],
)
def test_p_needs_two_hundred_shuffles_that_chose_anew_to_count(
    done: int | None, scope: str | None, letter: Letter
) -> None:
    counts = {"p_value": 0.01, "shuffles_reached": 1, "shuffles_done": done, "shuffles_planned": 200}
    first = replace(group(1, 1), **counts, shuffles_scope=scope)  # type: ignore[arg-type]
    assert p_is_decided(first) is (letter == "A")
    assert grade_of(first, weeks(*(0.1, 0.3) * 6), Mode.LIVE).letter == letter


def test_the_view_has_pp_beside_the_path_that_decides() -> None:
    counted = weeks(0.1, 0.3)
    view = grade_view(grade_of(group(1, 1), counted, Mode.LIVE), counted)
    assert (view.grade, view.weeks, view.against) == ("C", 2, True)
    assert (view.mean, view.pp_mean) == (pytest.approx(0.2), pytest.approx(0.3))


def test_each_selected_group_says_its_hold_out_and_its_p() -> None:
    said = lines([replace(group(1, 1), **SHUFFLED), group(4, 2, holdout=False)], [])
    assert said[2:] == (
        "group A  hold-out +0.05 ± 0.08 %/day",
        "group A  better than 183 of 200 shuffled searches: p = 0.09",
        "group B  hold-out: no picks",
        "group B  p not measured",
    )


def test_a_p_of_too_few_shuffles_says_how_many_decide() -> None:
    few = SHUFFLED | {"p_value": 1 / 24, "shuffles_reached": 0, "shuffles_done": 23}
    line = "group A  better than 23 of 23 shuffled searches: p = 0.042, 200 decide"
    assert line in lines([replace(group(1, 1), **few)], [])


def test_without_a_selected_group_nothing_is_said() -> None:
    assert evidence_lines([], grade_of(None, [], Mode.PAPER)) == ()
