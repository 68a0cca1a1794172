"""Rank correlation with intervals: what counts, what does not, and what is said when there is nothing."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli_qual import evaluation_summary
from engine.qual.evaluation import (
    PromptRecord,
    evaluate,
    mean_interval,
    ranks,
    spearman,
)

MONDAY = date(2026, 11, 23)


def days(count: int, relation: float, noise: float = 1.0, prompt: str = "catalyst", seed: int = 5):
    """Recorded scores and outcomes of ``count`` sessions with 20 tickers each."""
    rng = np.random.default_rng(seed)
    scores, outcomes = [], {}
    for n in range(count):
        session = MONDAY + timedelta(days=n)
        for i in range(20):
            score = float(rng.normal())
            scores.append((session, f"T{i:02}", prompt, "named", "m", score))
            outcomes[session, f"T{i:02}"] = int(1e6 * (relation * score + noise * float(rng.normal())))
    return scores, outcomes


def test_equal_values_share_their_mean_rank() -> None:
    assert ranks([3.0, 1.0, 3.0, 2.0]).tolist() == [3.5, 1.0, 3.5, 2.0]


numbers = st.lists(st.integers(-5, 5), min_size=2, max_size=15)


@given(one=numbers, data=st.data())
def test_spearman_is_bounded_symmetric_and_sees_only_the_order(one: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(-5, 5), min_size=len(one), max_size=len(one)))
    value = spearman(one, other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert value is None
        return
    assert value is not None
    assert -1 <= value <= 1
    assert value == spearman(other, one)
    assert spearman([math.exp(v) for v in one], other) == pytest.approx(value)
    assert spearman([-v for v in one], other) == pytest.approx(-value)
    expected = np.corrcoef(ranks(one), ranks(other))[0, 1]
    assert value == pytest.approx(float(expected), abs=1e-9)


def test_a_relation_is_found_and_its_interval_leaves_out_zero() -> None:
    (record,) = evaluate(*days(12, relation=0.8))
    assert record.low is not None
    assert record.mean is not None
    assert 0 < record.low < record.mean < (record.high or 0)
    assert (record.sessions, record.recorded, record.pairs, record.missing) == (12, 12, 240, 0)
    assert record.verdict == "higher scores went with higher PP"
    (record,) = evaluate(*days(12, relation=-0.8))
    assert record.verdict == "higher scores went with lower PP"


def test_noise_is_called_noise_about_as_often_as_the_level_says() -> None:
    verdicts = [evaluate(*days(8, relation=0.0, seed=seed))[0].verdict for seed in range(200)]
    false = sum("went with" in verdict for verdict in verdicts)
    assert false <= 20, "one in twenty, plus three standard errors"


def test_the_session_is_the_unit_so_one_day_gives_no_verdict() -> None:
    (record,) = evaluate(*days(2, relation=5.0))
    assert (record.low, record.high) == (None, None)
    assert record.verdict == "no verdict: 2 of at least 3 sessions"
    assert mean_interval([0.5]) == (0.5, None, None)
    assert mean_interval([]) == (None, None, None)


def test_sessions_without_outcomes_or_with_one_score_for_all_do_not_count() -> None:
    scores, outcomes = days(3, relation=1.0)
    late = [(MONDAY + timedelta(days=9), f"T{i:02}", "catalyst", "named", "m", 0.1 * i) for i in range(6)]
    flat = [(MONDAY + timedelta(days=10), f"T{i:02}", "catalyst", "named", "m", 0.0) for i in range(6)]
    outcomes |= {(MONDAY + timedelta(days=10), f"T{i:02}"): i for i in range(6)}
    (record,) = evaluate([*scores, *late, *flat], outcomes)
    assert (record.sessions, record.recorded, record.missing) == (3, 5, 6)
    (record,) = evaluate(late, {})
    assert record.verdict.startswith("nothing to judge")


def test_prompts_variants_and_models_are_judged_apart() -> None:
    scores, outcomes = days(4, relation=1.0)
    more = [(s, t, "risk", "masked", "other", -v) for s, t, _, _, _, v in scores]
    rows = evaluate([*scores, *more], outcomes)
    assert [(r.prompt, r.variant, r.model) for r in rows] == [
        ("catalyst", "named", "m"),
        ("risk", "masked", "other"),
    ]
    assert rows[0].mean == pytest.approx(-(rows[1].mean or 0))


def test_the_summary_says_plainly_when_there_is_nothing() -> None:
    assert evaluation_summary([], 0, 0).startswith("no evidence: 0 recorded sessions")
    assert evaluation_summary([], 1, 0).startswith("no evidence: 1 recorded session, 0 with an outcome")
    nothing = PromptRecord("catalyst", "named", "m", 5, 5, 100, 0, 0.01, -0.2, 0.22)
    assert evaluation_summary([nothing], 5, 5).startswith("no relation is shown: 5 recorded sessions, 5 with")
    shown = PromptRecord("risk", "named", "m", 5, 5, 100, 0, 0.3, 0.2, 0.4)
    assert "1 of 2 rows have an interval that leaves out zero" in evaluation_summary([nothing, shown], 5, 5)
