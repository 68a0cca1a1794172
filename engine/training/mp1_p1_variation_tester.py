"""mp1_p1: measures parameter sets on the week's five days, in 4 batches of 250 tickers a day.

Pure apart from the compute engine it is given: the same windows and sets give the same
results on every backend, whether or not the engine can keep the week in its own layout.
Excess sums follow from PP sums without a second pass: excess is PP minus the day's rounded
mean, so the excess of b buys is their PP minus b times that mean, exactly.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.compute import ComputeEngine, OfficeEngine, PreparingEngine
from engine.compute.protocol import PreparedWeek, WeekCounts, WeekTest
from engine.decision.overlap import jaccard_with, stored_picks
from engine.decision.scoring import variation_score
from engine.errors import DataError
from engine.model import (
    BATCH_TICKERS,
    BATCHES,
    DAYS,
    TICKERS,
    Evaluation,
    Floats,
    ParameterSet,
    excess_of,
    pack_picks,
    unpack_picks,
)
from engine.records import VariationResult, picks_bytes

BatchDone = Callable[[int, int], None]  # (day 1..5, batch 1..4)
# (day, batch, the sets, what the engine said of that batch): a second look, which may raise
BatchCheck = Callable[[int, int, Sequence[ParameterSet], Evaluation], None]


class VariationTester:
    """Tests parameter sets on one week. Build it once a week; ``test`` it once a cycle.

    ``days``: the windows of day1..day5, float64[1000, 65, 5], newest row first, the same
    tickers in symbol order. Raises DataError when that is not what it gets, and whatever
    the engine raises for a bar that must not be used. For one thread at a time.
    """

    def __init__(self, engine: ComputeEngine, days: Sequence[Floats]) -> None:
        if len(days) != DAYS or any(len(windows) != TICKERS for windows in days):
            found = ", ".join(str(len(windows)) for windows in days) or "no"
            raise DataError(
                f"training needs {DAYS} days of {TICKERS} tickers and found {found}: "
                "run 'tshc weekend' so that weekly_5d_data builds them again"
            )
        self._week: PreparedWeek
        if isinstance(engine, PreparingEngine):
            self._week = engine.prepare(days)
        else:
            self._week = _UnpreparedWeek(engine, days)

    def test(
        self,
        parameter_sets: Sequence[ParameterSet],
        *,
        cycle: int,
        on_batch: BatchDone | None = None,
        check: BatchCheck | None = None,
        checked: Collection[tuple[int, int]] = (),
    ) -> list[VariationResult]:
        """One result a parameter set, in the order given; slots count from 1 within each algorithm.

        Overlaps are 0: they need the cycles before (``with_overlaps``). ``on_batch`` is
        called after each of the 20 batches and may raise to abandon the cycle: nothing is
        kept of it. ``check`` gets the answers of the batches in ``checked`` (day, batch).
        """
        test = self._week.begin(parameter_sets)
        for day in range(DAYS):
            for batch in range(BATCHES):
                test.run_batch(day, batch)
                if check is not None and (day + 1, batch + 1) in checked:
                    check(day + 1, batch + 1, parameter_sets, _answer(test.counts, day, batch))
                if on_batch is not None:
                    on_batch(day + 1, batch + 1)
        return _results(parameter_sets, test.counts, cycle)


def _answer(counts: WeekCounts, day: int, batch: int) -> Evaluation:
    """What the engine said of one batch, read back from the counts."""
    part = slice(batch * BATCH_TICKERS, (batch + 1) * BATCH_TICKERS)
    return Evaluation(unpack_picks(counts.picks[:, day])[:, part].T, counts.pp[day, part])


def _results(sets: Sequence[ParameterSet], counts: WeekCounts, cycle: int) -> list[VariationResult]:
    day_means = counts.pp - excess_of(counts.pp)  # every column of a day is that day's rounded mean
    excess_sums = counts.pp_sum - counts.buys * day_means[:, 0]
    slots: Counter[str] = Counter()
    results = []
    for i, tested in enumerate(sets):
        slots[tested.algorithm] += 1
        buys = tuple(counts.buys[i].tolist())
        excess = tuple(excess_sums[i].tolist())
        score = variation_score(buys, excess)
        results.append(
            VariationResult(
                algorithm=tested.algorithm,
                cycle=cycle,
                slot=slots[tested.algorithm],
                values=tuple(int(v) for v in tested.values),
                buys=buys,
                pp_sum=tuple(counts.pp_sum[i].tolist()),
                excess_sum=excess,
                score=score.score,
                score_mean=score.mean,
                score_deviation=score.deviation,
                score_shortage=score.shortage,
                overlap_max=0.0,
                overlap_mean=0.0,
                picks=picks_bytes(counts.picks[i]),
            )
        )
    return results


def with_overlaps(
    results: Sequence[VariationResult], earlier: Mapping[str, Sequence[VariationResult]]
) -> list[VariationResult]:
    """One cycle's ``results`` with their Jaccard against the algorithm's better variations so far.

    Better means a higher score, in ``earlier`` (the cycles before, by algorithm) or among
    ``results`` themselves; without a better one both overlaps are 0. This is the rule in its
    plain form; the loop's ``ResultsBook`` keeps the picks between cycles and answers the same.
    """
    known: dict[str, list[VariationResult]] = defaultdict(list)
    for result in results:
        if result.algorithm not in known:
            known[result.algorithm] += earlier.get(result.algorithm, ())
        known[result.algorithm].append(result)
    picks = {name: stored_picks([r.picks for r in rows]) for name, rows in known.items()}
    scores = {name: np.array([r.score for r in rows]) for name, rows in known.items()}
    finished = []
    for result in results:
        better = scores[result.algorithm] > result.score
        if better.any():
            own = stored_picks([result.picks])[0]
            likeness = jaccard_with(own, picks[result.algorithm][better])
            result = replace(result, overlap_max=float(likeness.max()), overlap_mean=float(likeness.mean()))
        finished.append(result)
    return finished


class _UnpreparedWeek:
    """A week for an engine that only evaluates: each batch is handed over anew."""

    def __init__(self, engine: ComputeEngine, days: Sequence[Floats]) -> None:
        self.engine, self.days = engine, days

    def begin(self, parameter_sets: Sequence[ParameterSet]) -> WeekTest:
        if isinstance(self.engine, OfficeEngine):
            self.engine.write_blocks(parameter_sets)
        return _UnpreparedTest(self, parameter_sets, WeekCounts.empty(len(parameter_sets)))


@dataclass(frozen=True)
class _UnpreparedTest:
    week: _UnpreparedWeek
    parameter_sets: Sequence[ParameterSet]
    counts: WeekCounts

    def run_batch(self, day: int, batch: int) -> None:
        part = slice(batch * BATCH_TICKERS, (batch + 1) * BATCH_TICKERS)
        answer = self.week.engine.evaluate(self.week.days[day][part], self.parameter_sets, mode="training")
        if answer.pp is None:
            raise TypeError("a compute engine answered a training batch without PP")
        chosen = np.zeros((len(self.parameter_sets), TICKERS), dtype=np.bool_)
        chosen[:, part] = answer.buys.T
        self.counts.buys[:, day] += answer.buys.sum(axis=0)
        self.counts.pp_sum[:, day] += answer.pp @ answer.buys.astype(np.int64)
        self.counts.picks[:, day] |= pack_picks(chosen)
        self.counts.pp[day, part] = answer.pp
