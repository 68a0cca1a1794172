"""What the loop remembers of one algorithm: enough for proposals, overlaps and the screen, kept up cycle by cycle.

The one thing to know: nothing here is state of its own. A book is rebuilt from the stored
results of the algorithm, in stored order, to exactly what it was; that is what makes a
resumed run the same run. Adding a cycle costs time in proportion to that cycle's results
times those before, and reads nothing from disk.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

import numpy as np

from engine.decision.overlap import PICK_WORDS, jaccard_with, stored_picks
from engine.model import Words, mean_or_zero
from engine.records import VariationResult
from engine.spaces import ParameterSpace
from engine.views import AlgorithmRow

TOP = 100
TREND_POINTS = 40


class ResultsBook:
    """The results of one algorithm so far."""

    def __init__(self, space: ParameterSpace) -> None:
        self.space = space
        self.history: list[tuple[tuple[int, ...], float]] = []  # (values, score), as the optimizer reads it
        self._picks: Words = np.zeros((256, PICK_WORDS), dtype=np.uint64)
        self._scores = np.zeros(256)
        self._best: VariationResult | None = None
        self._top: list[float] = []  # the best 100 scores, rising
        self._trend: list[float] = []  # best score after each cycle
        self._medians: list[float] = []  # median score of all results after each cycle

    @property
    def tested(self) -> int:
        return len(self.history)

    @property
    def exhausted(self) -> bool:
        return self.tested >= self.space.size

    def restore(self, stored: Iterable[VariationResult]) -> None:
        """Replays stored results (cycle by cycle, as they were added)."""
        for _, cycle in groupby(stored, key=attrgetter("cycle")):
            self._remember(list(cycle))

    def add(self, results: Sequence[VariationResult]) -> list[VariationResult]:
        """Takes in one cycle's results and returns them with their overlaps.

        The overlap of a result is the Jaccard of its 5-day picks with each of the algorithm's
        better variations so far: those of earlier cycles and of its own cycle (all its slots)
        with a strictly higher score. Without a better one both overlaps are 0.
        """
        first = self.tested
        self._remember(results)
        count = self.tested
        finished = []
        for row, result in enumerate(results, start=first):
            better = self._scores[:count] > result.score
            if better.any():
                likeness = jaccard_with(self._picks[row], self._picks[:count])[better]
                result = replace(result, overlap_max=float(likeness.max()), overlap_mean=float(likeness.mean()))
            finished.append(result)
        return finished

    def _remember(self, results: Sequence[VariationResult]) -> None:
        first, count = self.tested, self.tested + len(results)
        while count > len(self._scores):
            self._picks = np.concatenate([self._picks, np.zeros_like(self._picks)])
            self._scores = np.concatenate([self._scores, np.zeros_like(self._scores)])
        if results:
            self._picks[first:count] = stored_picks([r.picks for r in results])
            self._scores[first:count] = [r.score for r in results]
        for result in results:
            self.history.append((result.values, result.score))
            if self._best is None or (-result.score, result.values) < (-self._best.score, self._best.values):
                self._best = result
            if len(self._top) < TOP or result.score > self._top[0]:
                insort(self._top, result.score)
                del self._top[:-TOP]
        if self._best is not None:
            self._trend.append(self._best.score)
            self._medians.append(float(np.median(self._scores[:count])))

    def row(self) -> AlgorithmRow:
        """As the training screen shows it."""
        best = self._best
        if best is None:
            return AlgorithmRow(name=self.space.algorithm, space=self.space.size)
        return AlgorithmRow(
            name=self.space.algorithm,
            tested=self.tested,
            space=self.space.size,
            best=best.score,
            top100=mean_or_zero(self._top),
            trend=sampled(self._trend, TREND_POINTS),
            median=self._medians[-1],
            median_trend=sampled(self._medians, TREND_POINTS),
            buys_day=mean_or_zero(best.buys),
            worst_day=min(best.excess_means()),
            best_parameters=self.space.text(best.values),
        )


def sampled(values: Sequence[float], points: int) -> tuple[float, ...]:
    """At most ``points`` of ``values`` at even distances; the first and the last are among them."""
    if len(values) <= points:
        return tuple(values)
    step = (len(values) - 1) / (points - 1)
    return tuple(values[round(i * step)] for i in range(points))
