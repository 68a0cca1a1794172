"""mp1_p1: counts, sums, picks and overlaps of a cycle, the same from every kind of engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from synthetic_bars import synthetic_week

from engine.compute import ALGORITHMS, NativeEngine, ParameterSet
from engine.compute.protocol import EvaluationMode, WarmUpProgress
from engine.decision.overlap import jaccard
from engine.decision.scoring import variation_score
from engine.errors import DataError
from engine.model import Evaluation, Floats, excess_of, unpack_picks
from engine.records import VariationResult, picks_words
from engine.training.mp1_p1_variation_tester import VariationTester, with_overlaps


class EvaluatingOnly:
    """A backend that knows nothing but the protocol, as the workbook will."""

    name = "evaluating-only"

    def __init__(self) -> None:
        self._engine = NativeEngine()
        self.batches: list[int] = []

    def evaluate(
        self, windows: Floats, parameter_sets: Sequence[ParameterSet], *, mode: EvaluationMode = "training"
    ) -> Evaluation:
        self.batches.append(len(windows))
        return self._engine.evaluate(windows, parameter_sets, mode=mode)

    def warm_up(self, progress: WarmUpProgress) -> None:
        self._engine.warm_up(progress)


@pytest.fixture(scope="module")
def week() -> list[Floats]:
    return synthetic_week(21)


def cycle_of_sets(seed: int, slots: int = 8) -> list[ParameterSet]:
    random = np.random.default_rng(seed)
    sets = []
    for name, space in ALGORITHMS.items():
        points = list(space.enumerate())
        sets += [ParameterSet(name, points[i]) for i in random.choice(len(points), slots, replace=False)]
    return sets


def test_the_fast_path_and_the_bare_protocol_give_identical_results(week: list[Floats]) -> None:
    sets = cycle_of_sets(1)
    bare = EvaluatingOnly()
    fast = VariationTester(NativeEngine(), week).test(sets, cycle=3)
    slow = VariationTester(bare, week).test(sets, cycle=3)
    assert fast == slow
    assert bare.batches == [250] * 20


def test_counts_and_sums_are_those_of_the_evaluated_windows(week: list[Floats]) -> None:
    sets = cycle_of_sets(2, slots=2)
    results = VariationTester(NativeEngine(), week).test(sets, cycle=1)
    for day, windows in enumerate(week):
        answer = NativeEngine().evaluate(windows, sets)
        assert answer.pp is not None
        excess = excess_of(answer.pp)
        for column, result in enumerate(results):
            bought = answer.buys[:, column]
            assert result.buys[day] == bought.sum()
            assert result.pp_sum[day] == answer.pp[bought].sum()
            assert result.excess_sum[day] == excess[bought].sum()
            assert np.array_equal(unpack_picks(picks_words(result.picks))[day], bought)
    assert sum(sum(r.buys) for r in results) > 0


def test_results_keep_the_order_and_count_slots_within_each_algorithm(week: list[Floats]) -> None:
    sets = cycle_of_sets(3, slots=2)[::-1]
    results = VariationTester(NativeEngine(), week).test(sets, cycle=9)
    assert [r.parameter_set for r in results] == sets
    assert [r.slot for r in results] == [1, 2] * 10
    assert {r.cycle for r in results} == {9}
    for result in results:
        score = variation_score(result.buys, result.excess_sum)
        assert result.score == score.score
        assert (result.score_mean, result.score_deviation, result.score_shortage) == (
            score.mean, score.deviation, score.shortage,
        )  # fmt: skip


def test_each_of_the_twenty_batches_is_told_in_order(week: list[Floats]) -> None:
    told: list[tuple[int, int]] = []
    VariationTester(NativeEngine(), week).test(
        cycle_of_sets(4, slots=1), cycle=1, on_batch=lambda day, batch: told.append((day, batch))
    )
    assert told == [(day, batch) for day in range(1, 6) for batch in range(1, 5)]


def test_a_cycle_abandoned_between_batches_leaves_no_trace(week: list[Floats]) -> None:
    tester = VariationTester(NativeEngine(), week)
    sets = cycle_of_sets(5, slots=1)
    expected = tester.test(sets, cycle=1)

    def stop(day: int, batch: int) -> None:
        if (day, batch) == (3, 2):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        tester.test(sets, cycle=1, on_batch=stop)
    assert tester.test(sets, cycle=1) == expected


def test_overlaps_look_at_better_variations_of_the_same_algorithm_only(week: list[Floats]) -> None:
    tester = VariationTester(NativeEngine(), week)
    earlier: dict[str, list[VariationResult]] = {name: [] for name in ALGORITHMS}
    for result in tester.test(cycle_of_sets(6, slots=5), cycle=1):
        earlier[result.algorithm].append(result)
    results = with_overlaps(tester.test(cycle_of_sets(7, slots=3), cycle=2), earlier)
    for result in results:
        peers = [*earlier[result.algorithm], *(r for r in results if r.algorithm == result.algorithm)]
        better = [r for r in peers if r.score > result.score]
        likeness = [jaccard(picks_words(result.picks), picks_words(r.picks)) for r in better]
        assert result.overlap_max == max(likeness, default=0.0)
        assert result.overlap_mean == pytest.approx(sum(likeness) / len(likeness) if likeness else 0.0)
    assert any(r.overlap_max > 0 for r in results)


def test_without_earlier_results_the_cycle_is_compared_with_itself(week: list[Floats]) -> None:
    tester = VariationTester(NativeEngine(), week)
    plain = tester.test([ParameterSet("rsi", (5, 40, 2)), ParameterSet("rsi", (5, 40, 3))], cycle=1)
    assert [r.overlap_max for r in plain] == [0.0, 0.0]
    compared = with_overlaps(plain, {})
    worse = min(range(2), key=lambda i: compared[i].score)
    assert compared[worse].overlap_max > 0
    assert compared[1 - worse].overlap_max == 0


def test_a_week_of_another_size_is_refused(week: list[Floats]) -> None:
    with pytest.raises(DataError, match="found 1000, 1000, 1000, 1000, 250"):
        VariationTester(EvaluatingOnly(), [*week[:4], week[4][:250]])
    with pytest.raises(DataError, match="found no"):
        VariationTester(NativeEngine(), [])
