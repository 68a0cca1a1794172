"""The grade of a group's evidence: its letter at the borders, its bounds, and the weeks still to go."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.decision.grade import AGAINST_ADVICE, Grade, grade, weeks_by_breadth, weeks_for_verdict
from engine.model import Mode
from engine.student_t import one_sided_quantile

ORDER = "DCBA"
# Percent a day; a spread of weeks with mean zero, as long as asked for.
SPREAD = [-0.21, 0.14, 0.05, -0.08, 0.11, -0.01, 0.17, -0.17, 0.02, 0.09, -0.06, -0.05, 0.12, -0.12]
NUDGE = 1e-6


def graded(weeks: list[float], **changed: object) -> Grade:
    """With everything besides the ledger in favour."""
    given: dict[str, object] = {"holdout": 0.04, "p_value": 0.01, "p_decided": True, "mode": Mode.LIVE, **changed}
    return grade(weeks, **given)  # type: ignore[arg-type]


def with_bound(count: int, level: float, bound: float, side: int = -1) -> list[float]:
    """``count`` weeks whose lower (side -1) or upper (1) one-sided bound is ``bound``."""
    base = SPREAD[:count]
    reach = one_sided_quantile(level, count - 1) * stdev(base) / math.sqrt(count)
    return [x - fmean(base) - side * reach + bound for x in base]


# --- the borders ---------------------------------------------------------------------------------


def test_a_needs_twelve_weeks_with_a_lower_95_bound_above_zero() -> None:
    assert graded(with_bound(12, 0.95, NUDGE)).letter == "A"
    assert graded(with_bound(12, 0.95, 0.0)).letter == "B"  # on the bound is not above it
    assert graded(with_bound(12, 0.95, -NUDGE)).letter == "B"
    assert graded(with_bound(11, 0.95, 0.5)).letter == "B"


def test_b_needs_eight_weeks_with_a_lower_80_bound_above_zero() -> None:
    assert graded(with_bound(8, 0.80, NUDGE)).letter == "B"
    assert graded(with_bound(8, 0.80, 0.0)).letter == "C"
    assert graded(with_bound(8, 0.80, -NUDGE)).letter == "C"
    assert graded(with_bound(7, 0.80, 0.5)).letter == "C"


def test_an_upper_80_bound_below_zero_is_d_from_two_weeks_on() -> None:
    for count in (2, 8, 12):
        assert graded(with_bound(count, 0.80, -NUDGE, 1)).letter == "D", count
        assert graded(with_bound(count, 0.80, 0.0, 1)).letter == "C", count
    assert graded([-5.0]).letter == "C"  # one week has no spread


def test_a_negative_hold_out_outweighs_any_ledger_and_zero_is_not_positive() -> None:
    good = with_bound(12, 0.95, 0.1)
    assert graded(good, holdout=-NUDGE).letter == "D"
    assert graded([], holdout=-0.14).letter == "D"
    assert graded(good, holdout=0.0).letter == "B"
    assert graded(good, holdout=None).letter == "B"


def test_p_counts_up_to_and_with_five_percent_and_only_when_it_is_decided() -> None:
    good = with_bound(12, 0.95, 0.1)
    assert graded(good, p_value=0.05).letter == "A"
    assert graded(good, p_value=0.0501).letter == "B"
    assert graded(good, p_decided=False).letter == "B"
    assert graded(good, p_value=None, p_decided=True).letter == "B"


# --- bounds and order ------------------------------------------------------------------------------


def test_the_bounds_are_students_by_the_printed_table() -> None:
    found = graded([0.1, 0.3, 0.2, 0.4])  # mean .25, s .1291, t(3): .978 and 2.353
    assert (found.mean, found.weeks) == (pytest.approx(0.25), 4)
    assert found.low_80 == pytest.approx(0.25 - 0.978 * 0.12910 / 2, abs=1e-4)
    assert found.high_80 == pytest.approx(0.25 + 0.978 * 0.12910 / 2, abs=1e-4)
    assert found.low_95 == pytest.approx(0.25 - 2.353 * 0.12910 / 2, abs=1e-4)
    alone = graded([0.3])
    assert (alone.mean, alone.low_80, alone.low_95, alone.high_80) == (0.3, None, None, None)


values = st.integers(-300, 300).map(lambda x: x / 100)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(st.lists(values, max_size=20), st.floats(0, 2), st.sampled_from([None, -0.1, 0.0, 0.1]), st.booleans())
def test_weeks_that_are_better_by_the_same_amount_never_make_the_grade_worse(
    weeks: list[float], better: float, holdout: float | None, decided: bool
) -> None:
    before = graded(weeks, holdout=holdout, p_decided=decided)
    after = graded([x + better for x in weeks], holdout=holdout, p_decided=decided)
    assert ORDER.index(after.letter) >= ORDER.index(before.letter)


@unhurried
@given(st.lists(values, max_size=20), st.floats(0, 120))
def test_only_an_undecided_grade_has_weeks_to_go_and_never_none_of_them(
    weeks: list[float], breadth: float
) -> None:
    found = graded(weeks, breadth=breadth)
    assert (found.needed is None) or (found.letter == "C" and found.needed >= 1)
    if found.letter == "C" and found.needed is not None:
        assert found.weeks + found.needed >= 8


# --- what is advised -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weeks", "holdout", "letter", "advised", "factor", "against"),
    [
        (with_bound(12, 0.95, 0.1), 0.1, "A", 1.0, 1.0, False),
        (with_bound(9, 0.80, 0.1), 0.1, "B", 0.5, 0.5, False),
        (SPREAD[:9], 0.1, "C", 0.0, AGAINST_ADVICE, True),
        (SPREAD[:9], -0.1, "D", 0.0, AGAINST_ADVICE, True),
    ],
)
def test_advice_binds_real_money_alone(
    weeks: list[float], holdout: float, letter: str, advised: float, factor: float, against: bool
) -> None:
    live = graded(weeks, holdout=holdout)
    assert (live.letter, live.advised, live.factor, live.against) == (letter, advised, factor, against)
    for mode in (Mode.SIM, Mode.PAPER):
        elsewhere = graded(weeks, holdout=holdout, mode=mode)
        assert (elsewhere.letter, elsewhere.factor, elsewhere.against) == (letter, 1.0, False)


def test_what_trades_against_the_advice_is_never_larger_than_what_trades_with_it() -> None:
    assert graded(with_bound(9, 0.80, 0.1)).factor >= AGAINST_ADVICE


@pytest.mark.parametrize(
    ("found", "text", "reason"),
    [
        (graded([]), "grade C, undecided; ledger 0 of 12 weeks: paper only", "about 466 more weeks"),
        (graded([], breadth=100), "grade C, undecided; ledger 0 of 12 weeks: paper only", "100 candidates a day"),
        (graded(SPREAD[:3]), "grade C, undecided; ledger 3 of 12 weeks: paper only", "80 % bounds"),
        (
            graded(with_bound(8, 0.8, 0.1)),
            "grade B, probable; ledger 8 of 12 weeks: half size",
            "for A 4 more weeks",
        ),
        (graded(with_bound(13, 0.95, 0.1)), "grade A, confirmed; ledger 13 weeks: full size", "95 % bound +0.10"),
        (graded([], holdout=-0.14), "grade D, hold-out negative; ledger 0 of 12 weeks: no trade", "-0.14 %/day"),
        (
            graded(with_bound(5, 0.8, -0.1, 1)),
            "grade D, ledger negative; ledger 5 of 12 weeks: no trade",
            "upper 80 % bound -0.10",
        ),
    ],
)
def test_the_grade_is_said_in_plain_words_with_its_reason(found: Grade, text: str, reason: str) -> None:
    assert found.text == text
    assert reason in found.reason


# --- weeks still needed ----------------------------------------------------------------------------


@unhurried
@given(st.floats(0.005, 2), st.floats(0, 2))
def test_the_weeks_of_a_verdict_are_the_first_that_decide(mean: float, deviation: float) -> None:
    def low(count: int) -> float:
        return mean - one_sided_quantile(0.80, count - 1) * deviation / math.sqrt(count)

    found = weeks_for_verdict(mean, deviation)
    if found is None:
        assert low(1000) <= 1e-9
    else:
        assert found >= 8
        assert low(found) > 1e-9
        assert found == 8 or low(found - 1) <= 1e-9


def test_weeks_that_speak_for_the_group_bring_the_verdict_nearer() -> None:
    weeks = [0.02 + x for x in SPREAD[:9]]
    total = weeks_for_verdict(fmean(weeks), stdev(weeks))
    assert total is not None
    assert graded(weeks).needed == total - 9
    assert "more weeks at this mean and spread" in graded(weeks).reason


def test_without_two_weeks_or_without_a_positive_mean_the_breadth_table_says_it() -> None:
    assert graded([], breadth=20).needed == 104
    assert graded([0.4], breadth=100).needed == 32  # one of them is there
    assert graded([-0.3, 0.2], breadth=100).needed == 33


def test_the_breadth_table_is_met_at_its_rows_and_falls_between_them() -> None:
    assert [weeks_by_breadth(k) for k in (4, 20, 100)] == [466, 104, 33]
    assert (weeks_by_breadth(0), weeks_by_breadth(1000)) == (466, 33)
    between = [weeks_by_breadth(k) for k in range(4, 101)]
    assert between == sorted(between, reverse=True)
