"""Selection judges by the worst leave-one-day-out mean, prefers the simple, and asks for a real alternative."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decision.guardrails import tally_pairs
from engine.decision.permutation_null import Shuffled
from engine.decision.selection import (
    MeasuredGroup,
    NoGroupError,
    Replication,
    judgement,
    leave_one_out,
    luck_text,
    replicate,
    select_groups,
    shuffled_of,
    standard_error,
)
from engine.model import DAYS, MICRO, TICKERS, ParameterSet, pack_picks
from engine.records import picks_bytes

means = st.lists(st.floats(-5, 5), min_size=DAYS, max_size=DAYS)


def group(
    *day_means: float, members: int = 2, picks_a_day: int = 10, first_ticker: int = 0, name: str = "a"
) -> MeasuredGroup:
    """A group that picks the same ``picks_a_day`` tickers every day, from ``first_ticker`` on."""
    buys = np.zeros((DAYS, TICKERS), bool)
    buys[:, first_ticker : first_ticker + picks_a_day] = True
    return MeasuredGroup(
        members=tuple(ParameterSet(f"{name}{i}", (i,)) for i in range(members)),
        score=sum(day_means) / DAYS,
        day_sums=tuple(round(m * picks_a_day * MICRO) for m in day_means),
        day_counts=(picks_a_day,) * DAYS,
        pp_sum=round(sum(day_means) * picks_a_day * MICRO) + DAYS * picks_a_day * 100_000,
        picks=picks_bytes(pack_picks(buys)),
    )


@given(day_means=means)
def test_leaving_a_day_out_is_the_mean_without_the_best_day(day_means: list[float]) -> None:
    without_best = sorted(day_means)[:-1]
    assert leave_one_out(day_means) == pytest.approx(sum(without_best) / 4, abs=1e-9)


@given(day_means=means)
def test_the_standard_error_is_the_sample_deviation_over_root_five(day_means: list[float]) -> None:
    expected = np.std(day_means, ddof=1) / math.sqrt(5)
    assert standard_error(day_means) == pytest.approx(expected, abs=1e-9)


def test_a_group_carried_by_one_day_loses_against_a_steady_one() -> None:
    lucky = group(4.0, 0.1, 0.1, 0.1, 0.1, name="lucky")
    steady = group(0.6, 0.7, 0.6, 0.7, 0.6, first_ticker=100, name="steady")
    first, second = select_groups([lucky, steady])
    assert first.members == steady.members
    assert (first.selected, second.selected) == (1, 2)


def test_the_selection_score_is_shrunk_toward_the_family_by_how_few_picks_there_are() -> None:
    many = group(1.0, 1.0, 1.0, 1.0, 1.0, picks_a_day=100, name="many")
    few = group(1.2, 1.2, 1.2, 1.2, 1.2, picks_a_day=8, first_ticker=500, name="few")
    scores = {g.members[0].algorithm[:3]: g.selection_score for g in select_groups([many, few])}
    assert scores["few"] == pytest.approx(40 / 80 * 1.2 + 40 / 80 * 1.1)
    assert scores["man"] == pytest.approx(500 / 540 * 1.0 + 40 / 540 * 1.1)


def test_within_one_standard_error_the_fewest_members_win() -> None:
    best = group(1.4, 0.6, 1.4, 0.6, 1.2, members=6, name="best")
    simple = group(0.9, 0.9, 0.9, 0.9, 0.9, members=2, first_ticker=200, name="simple")
    worse = group(0.2, 0.2, 0.2, 0.2, 0.2, members=2, first_ticker=400, name="worse")
    first = select_groups([best, simple, worse])[0]
    assert first.members == simple.members
    assert "fewest within one standard error" in first.verdict


def test_beyond_one_standard_error_the_better_group_wins_whatever_its_size() -> None:
    best = group(1.01, 1.0, 1.01, 1.0, 1.01, members=6, name="best")
    simple = group(0.5, 0.5, 0.5, 0.5, 0.5, members=2, first_ticker=200, name="simple")
    assert select_groups([simple, best])[0].members == best.members


def test_the_second_group_overlaps_the_first_by_less_than_one_half() -> None:
    first = group(1.0, 1.0, 1.0, 1.0, 1.0, picks_a_day=30, name="first")
    alike = group(0.9, 0.9, 0.9, 0.9, 0.9, picks_a_day=30, first_ticker=10, name="alike")  # 20 of 40 shared
    other = group(0.3, 0.3, 0.3, 0.3, 0.3, picks_a_day=30, first_ticker=11, name="other")  # 19 of 41
    ranked = select_groups([first, alike, other])
    assert [g.members[0].algorithm for g in ranked] == ["first0", "other0", "alike0"]
    assert [g.selected for g in ranked] == [1, 2, None]
    assert ranked[1].overlap_first == pytest.approx(19 / 41)
    assert "overlap the first by 0.50" in ranked[2].verdict


def test_without_a_real_alternative_only_one_is_selected_and_the_verdict_says_so() -> None:
    ranked = select_groups([group(1.0, 1.0, 1.0, 1.0, 1.0, name="a"), group(0.9, 0.9, 0.9, 0.9, 0.9, name="b")])
    assert [g.selected for g in ranked] == [1, None]
    assert "no other group is a real alternative" in ranked[0].verdict


@given(days=st.lists(means, min_size=1, max_size=12), seed=st.randoms())
def test_selection_does_not_depend_on_the_order_of_the_groups(days: list[list[float]], seed: object) -> None:
    groups = [group(*d, first_ticker=7 * i, members=2 + i % 3, name=f"g{i}-") for i, d in enumerate(days)]
    ranked = select_groups(groups)
    assert select_groups(groups[::-1]) == ranked
    assert [g.rank for g in ranked] == list(range(1, len(groups) + 1))
    rest = [g.selection_score for g in ranked if g.selected is None]
    assert all(a >= b for a, b in pairwise(rest))


def test_nothing_is_made_up_where_nothing_was_measured() -> None:
    only = select_groups([group(1.0, 1.0, 1.0, 1.0, 1.0)])[0]
    assert (only.p_value, only.holdout_mean, only.holdout_error, only.holdout_picks) == (None, None, None, ())
    assert "hold-out not measured" in only.verdict
    assert luck_text(only) == "p not measured"


def test_what_the_shuffled_weeks_say_is_stored_with_each_group_and_does_not_change_the_choice() -> None:
    groups = [
        group(1.0, 1.0, 1.0, 1.0, 1.0, name="a"),
        group(0.5, 0.5, 0.5, 0.5, 0.5, first_ticker=50, name="b"),
    ]
    lucky = [
        replace(groups[0], shuffled=Shuffled(150, 200, 200)),
        replace(groups[1], shuffled=Shuffled(3, 200, 200)),
    ]
    ranked = select_groups(lucky)
    assert [g.members for g in ranked] == [g.members for g in select_groups(groups)]
    assert [g.p_value for g in ranked] == [151 / 201, 4 / 201]
    assert luck_text(ranked[0]) == "better than 50 of 200 shuffled searches: p = 0.75"
    assert [shuffled_of(g) for g in ranked] == [g.shuffled for g in lucky]


def test_replication_stands_beside_the_group_and_does_not_change_the_choice() -> None:
    groups = [
        group(1.0, 1.0, 1.0, 1.0, 1.0, name="a"),
        group(0.5, 0.5, 0.5, 0.5, 0.5, first_ticker=50, name="b"),
    ]
    bad, good = Replication(-0.4, 0.1, (3,) * 5), Replication(0.9, 0.1, (3,) * 5)
    ranked = select_groups(groups, [bad, good])
    assert [g.members[0].algorithm for g in ranked] == ["a0", "b0"]
    assert ranked[0].holdout_mean == -0.4
    assert "hold-out -0.40 ± 0.10 %/day on 15 picks" in ranked[0].verdict


def test_hold_out_days_without_picks_are_left_out() -> None:
    excess = [np.array([MICRO, -MICRO, 3 * MICRO])] * DAYS
    picks = [np.array([True, False, True])] * 3 + [np.array([False, False, False]), np.array([False, True, False])]
    measured = replicate(excess, picks)
    assert measured.picks == (2, 2, 2, 0, 1)
    assert measured.mean == pytest.approx((2 + 2 + 2 - 1) / 4)
    assert measured.error == pytest.approx(standard_error([2.0, 2.0, 2.0, -1.0]))
    nothing = replicate(excess, [np.zeros(3, bool)] * DAYS)
    assert (nothing.mean, nothing.error, nothing.picks) == (None, None, (0,) * DAYS)


@pytest.mark.parametrize(
    ("shuffled", "mean", "error", "said"),
    [
        (
            Shuffled(25, 199, 199),
            0.1,
            0.08,
            "luck is not settled (p = 0.13 of 199 shuffles, 200 decide); hold-out compatible with zero",
        ),
        (Shuffled(26, 200, 200), 0.1, 0.08, "no better than luck finds (p = 0.13); hold-out compatible with zero"),
        (
            Shuffled(10, 14, 200, certain=True),
            0.1,
            0.08,
            "no better than luck finds (p = 0.73); hold-out compatible with zero",
        ),
        (Shuffled(0, 200, 200), 0.5, 0.1, "better than luck explains (p = 0.005); hold-out repeats it"),
        (
            Shuffled(0, 23, 200),
            0.5,
            0.1,
            "luck is not settled (p = 0.042 of 23 shuffles, 200 decide); hold-out repeats it",
        ),
        (Shuffled(10, 219, 219), -0.5, 0.1, "better than luck explains (p = 0.050); hold-out contradicts it"),
        (
            Shuffled(0, 200, 200, scope="given"),
            0.5,
            0.1,
            "luck is understated (p = 0.005: the variations were chosen on the same days); hold-out repeats it",
        ),
        (Shuffled(11, 219, 219), -0.5, 0.1, "no better than luck finds (p = 0.05); hold-out contradicts it"),
        (Shuffled(0, 0, 200), None, None, "luck was not measured; hold-out says nothing"),
        (None, None, None, "luck was not measured; hold-out says nothing"),
        (None, 0.4, None, "luck was not measured; hold-out says nothing"),
    ],
)
def test_luck_and_hold_out_are_judged_in_one_sentence(
    shuffled: Shuffled | None, mean: float | None, error: float | None, said: str
) -> None:
    (judged,) = select_groups([replace(group(0.2, 0.3, 0.1, 0.2, 0.3), shuffled=shuffled)])
    assert judgement(replace(judged, holdout_mean=mean, holdout_error=error)) == said


def test_a_p_of_a_version_that_kept_nothing_else_is_shown_and_not_judged() -> None:
    (judged,) = select_groups([group(0.2, 0.3, 0.1, 0.2, 0.3)])
    old = replace(judged, p_value=0.042)
    assert "p = 0.042 by an earlier version" in luck_text(old)
    assert judgement(old).startswith("luck was not counted as it is now")


def test_no_group_is_told_with_the_guardrail_that_blocks_and_the_remedy() -> None:
    buys = np.zeros((2, DAYS, TICKERS), bool)
    buys[:, :, :6] = True
    bits, algorithm = pack_picks(buys), np.array([0, 1])
    rising = np.full((DAYS, TICKERS), MICRO)

    def told(excess: np.ndarray, **guardrails: object) -> str:
        chosen = {"min_picks": 4, "min_positive_days": 3, "day_floor": -0.5} | guardrails
        with pytest.raises(NoGroupError) as raised:
            select_groups([], tally=tally_pairs(bits, excess, algorithm, **chosen))
        return str(raised.value)

    assert "search.min_picks stopped all 1 pairs" in told(rising, min_picks=8)
    assert "lower it from 8 to 6" in told(rising, min_picks=8)
    assert "search.min_positive_days (3 days) stopped 1" in told(-rising // 4)
    assert "search.day_floor (2 % a day) stopped 1" in told(rising, day_floor=2.0)
    assert "give it more time" in told(rising)
    with pytest.raises(NoGroupError, match="nothing to combine"):
        select_groups(
            [], tally=tally_pairs(bits, rising, np.array([0, 0]), min_picks=4, min_positive_days=3, day_floor=None)
        )
