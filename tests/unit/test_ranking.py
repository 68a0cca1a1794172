"""The lookback's percent ranks, vetoes and rank score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.daily import ranking
from engine.model import Floats
from engine.settings import DailySettings

finite = st.floats(-1e6, 1e6, allow_nan=False)
columns = hnp.arrays(np.float64, st.integers(1, 40), elements=finite)


def walk(seed: int, tickers: int = 50, sessions: int = 90) -> Floats:
    """Seeded bars [tickers, sessions, 5], oldest first."""
    rng = np.random.default_rng(seed)
    close = rng.uniform(5, 150, (tickers, 1)) * np.exp(np.cumsum(rng.normal(0, 0.02, (tickers, sessions)), axis=1))
    opened = close * np.exp(rng.normal(0, 0.01, close.shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.01, close.shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.01, close.shape)))
    volume = np.exp(rng.normal(13, 1, close.shape))
    return np.stack([opened, high, low, close, volume], axis=2)


@given(values=columns)
def test_percent_ranks_lie_in_0_1_and_their_mean_is_one_half(values: Floats) -> None:
    ranks = ranking.percent_rank(values)
    assert np.all((ranks >= 0) & (ranks <= 1))
    assert ranks.mean() == pytest.approx(0.5)


@given(values=columns)
def test_percent_ranks_keep_the_order_and_equal_values_share_a_rank(values: Floats) -> None:
    ranks = ranking.percent_rank(values)
    order = np.argsort(values, kind="stable")
    steps, moves = np.diff(values[order]), np.diff(ranks[order])
    assert np.all(moves[steps > 0] > 0)
    assert np.all(moves[steps == 0] == 0)


@given(values=columns, data=st.data())
def test_percent_ranks_follow_a_permutation(values: Floats, data: st.DataObject) -> None:
    shuffle = np.array(data.draw(st.permutations(range(len(values)))))
    assert np.array_equal(ranking.percent_rank(values[shuffle]), ranking.percent_rank(values)[shuffle])


def test_a_value_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be ranked"):
        ranking.percent_rank(np.array([1.0, np.nan]))


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_rank_score_lies_in_0_1_is_the_sum_of_its_parts_and_has_no_nan(seed: int) -> None:
    bars = walk(seed, tickers=20, sessions=30)
    measures = ranking.lookback(bars, 21)
    ranks = ranking.components(np.zeros(20), measures)
    score, parts = ranking.rank_scores(ranks, DailySettings().weights)
    assert set(parts) == set(ranking.PARTS)
    assert np.all((score >= 0) & (score <= 1))
    assert np.allclose(score, sum(parts.values()))


def test_the_order_of_scores_is_that_of_the_signed_weights() -> None:
    """Gap risk and ATR distance have weights of -0.10: points for being low, never for being high."""
    measures = ranking.lookback(walk(3), 21)
    ranks = ranking.components(np.zeros(50), measures)
    weights = DailySettings().weights
    score, _ = ranking.rank_scores(ranks, weights)
    signed = sum(weights[name] * ranks[name] for name in weights)
    assert np.allclose(score - signed, 0.2)


@pytest.mark.parametrize("part", ["month_mean", "month_hits", "liquidity", "firings"])
def test_more_of_a_good_part_never_lowers_the_score(part: str) -> None:
    ranks = {name: np.array([0.2, 0.5]) for name in ranking.PARTS}
    ranks[part] = np.array([0.2, 0.9])
    score, _ = ranking.rank_scores(ranks, DailySettings().weights)
    assert score[1] > score[0]


def test_unknown_weights_are_refused_by_name() -> None:
    ranks = {name: np.array([0.5]) for name in ranking.PARTS}
    with pytest.raises(ValueError, match="momentum"):
        ranking.rank_scores(ranks, {"momentum": 1.0})
    with pytest.raises(ValueError, match="all zero"):
        ranking.rank_scores(ranks, {"firings": 0.0})


def test_the_lookback_measures_are_what_they_say() -> None:
    bars = np.ones((1, 30, 5))
    bars[0, :, 0], bars[0, :, 3] = 100.0, 101.0  # every session opens at 100 and closes at 101
    bars[0, :, 1], bars[0, :, 2], bars[0, :, 4] = 102.0, 99.0, 1000.0
    m = ranking.lookback(bars, 21)
    assert m.month_mean_pct[0] == pytest.approx(1.0)
    assert m.month_hits[0] == 1.0
    assert m.dollar_volume[0] == pytest.approx(101_000)
    assert m.gap_pct[0] == pytest.approx(100 / 101)  # 101 to 100 overnight
    assert m.atr_pct[0] == pytest.approx(100 * 3 / 101)
    assert m.return_5_pct[0] == 0.0


def test_a_window_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="22 sessions"):
        ranking.lookback(walk(1, sessions=21), 21)


def test_one_lucky_firing_counts_a_fifth_of_itself() -> None:
    fired = np.array([[True, False, True], [False, False, True]])
    excess = np.array([[5_000_000, 9_000_000, 5_000_000], [7_000_000, 7_000_000, 5_000_000]])
    count, mean = ranking.shrunk_firings(fired, excess)
    assert count.tolist() == [1, 0, 2]
    assert mean.tolist() == pytest.approx([1.0, 0.0, 10 / 6])


def test_the_most_volatile_and_the_largest_losers_are_vetoed_with_the_reason() -> None:
    bars = walk(9, tickers=100)
    bars[7, -20:, 1] *= 1.5  # high
    bars[31, -1, :4] *= 0.5
    texts = ranking.vetoes(ranking.lookback(bars, 21), 1.0, 1.0)
    assert "top 1 % of the universe by ATR%" in texts[7]
    assert "bottom 1 % by 5-session return" in texts[31]
    assert sum(bool(t) for t in texts) == 2


@given(values=columns, share=st.floats(0, 100))
def test_no_more_than_the_share_is_extreme(values: Floats, share: float) -> None:
    chosen = ranking.extreme(values, share)
    assert chosen.sum() <= len(values) * share / 100
    if chosen.any() and not chosen.all():
        assert values[chosen].min() > values[~chosen].max()


def test_equal_scores_are_ordered_by_symbol() -> None:
    assert ranking.order([0.5, 0.7, 0.5], ["B", "C", "A"]) == [1, 2, 0]
