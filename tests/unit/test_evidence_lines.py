"""The one line about the grade claims no more than hold-out and ledger allow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from storage_samples import group

from engine.status_views import evidence_lines

SHUFFLED = {
    "p_value": 18 / 201,
    "shuffles_reached": 17,
    "shuffles_done": 200,
    "shuffles_planned": 200,
    "shuffles_scope": "tested",
}


@pytest.mark.parametrize(
    ("holdout", "weeks", "said"),
    [
        (0.05, 0, "grade C, undecided; ledger 0 of 12 weeks: paper only"),
        (None, 7, "grade C, undecided; ledger 7 of 12 weeks: paper only"),
        (-0.14, 3, "grade D, hold-out negative; ledger 3 of 12 weeks: no trade"),
        (0.05, 8, "ledger 8 of 12 weeks"),
    ],
)
def test_the_grade_follows_from_the_hold_out_and_the_weeks(holdout: float | None, weeks: int, said: str) -> None:
    assert evidence_lines([replace(group(1, 1), holdout_mean=holdout)], weeks)[0] == said


def test_each_selected_group_says_its_hold_out_and_its_p() -> None:
    lines = evidence_lines([replace(group(1, 1), **SHUFFLED), group(4, 2, holdout=False)], 0)
    assert lines[1:] == (
        "group A  hold-out +0.05 ± 0.08 %/day",
        "group A  better than 183 of 200 shuffled searches: p = 0.09",
        "group B  hold-out: no picks",
        "group B  p not measured",
    )


def test_a_p_of_too_few_shuffles_says_how_many_decide() -> None:
    few = SHUFFLED | {"p_value": 1 / 24, "shuffles_reached": 0, "shuffles_done": 23}
    line = "group A  better than 23 of 23 shuffled searches: p = 0.042, 200 decide"
    assert line in evidence_lines([replace(group(1, 1), **few)], 0)


def test_without_a_selected_group_nothing_is_said() -> None:
    assert evidence_lines([], 3) == ()
