"""The variation score of CONTRACTS, worked by hand, and the overlap of picks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decision.overlap import jaccard, jaccard_with, stored_picks
from engine.decision.scoring import variation_score
from engine.model import pack_picks
from engine.records import picks_bytes


def test_the_score_of_a_week_worked_by_hand() -> None:
    # 20 buys a day; means 1, 2, 3, 4, 5 %: mean 3, population deviation sqrt(2); w = 100/140
    score = variation_score([20] * 5, [20_000_000 * day for day in (1, 2, 3, 4, 5)])
    assert score.day_means == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert score.mean == pytest.approx(300 / 140)
    assert score.deviation == pytest.approx(-0.5 * math.sqrt(2))
    assert score.shortage == 0.0
    assert score.score == score.mean + score.deviation + score.shortage


def test_few_buys_are_shrunk_and_fined() -> None:
    # 10 buys in all, every day's mean 2 %: w = 10/50, shortage 0.5*(1 - 10/50)
    score = variation_score([2] * 5, [4_000_000] * 5)
    assert score.score == pytest.approx(0.2 * 2 - 0.5 * 0.8)


def test_a_day_without_buys_counts_as_zero() -> None:
    score = variation_score([40, 0, 40, 0, 40], [40_000_000, 0, 40_000_000, 0, 40_000_000])
    assert score.day_means == (1.0, 0.0, 1.0, 0.0, 1.0)
    assert score.mean == pytest.approx(120 / 160 * 0.6)
    assert score.deviation == pytest.approx(-0.5 * math.sqrt(0.24))


def test_no_buys_at_all_is_the_full_fine() -> None:
    assert variation_score([0] * 5, [0] * 5).score == -0.5


@pytest.mark.parametrize(
    ("buys", "excess"), [([1] * 5, [1] * 4), ([], []), ([0, 1, 1, 1, 1], [5] * 5), ([-1, 1, 1, 1, 1], [5] * 5)]
)
def test_impossible_counts_are_refused(buys: list[int], excess: list[int]) -> None:
    with pytest.raises(ValueError):
        variation_score(buys, excess)


days = st.lists(st.tuples(st.integers(0, 1000), st.integers(-(10**9), 10**9)), min_size=5, max_size=5)


@given(days, st.permutations(range(5)))
def test_the_order_of_the_days_does_not_matter(counts: list[tuple[int, int]], order: list[int]) -> None:
    buys = [b for b, _ in counts]
    excess = [e if b else 0 for b, e in counts]
    one = variation_score(buys, excess)
    other = variation_score([buys[i] for i in order], [excess[i] for i in order])
    assert one.score == other.score
    assert one.deviation <= 0
    assert -0.5 <= one.shortage <= 0


picks = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 999)), max_size=60)


def words(chosen: set[tuple[int, int]]) -> np.ndarray:
    flags = np.zeros((5, 1000), dtype=np.bool_)
    for day, ticker in chosen:
        flags[day, ticker] = True
    return pack_picks(flags)


@given(picks, st.lists(picks, max_size=6))
def test_jaccard_is_shared_picks_over_the_picks_of_either(
    one: set[tuple[int, int]], others: list[set[tuple[int, int]]]
) -> None:
    expected = [len(one & other) / len(one | other) if one | other else 0.0 for other in others]
    stored = stored_picks([picks_bytes(words(other)) for other in others])
    assert jaccard_with(words(one), stored).tolist() == expected
    assert [jaccard(words(other), words(one)) for other in others] == expected


def test_picks_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="80 words"):
        jaccard_with(np.zeros(80, np.uint64), np.zeros((2, 16), np.uint64))
