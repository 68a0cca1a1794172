"""One shuffled week from its permutation to its best group: the unit of the evidence lane.

A shuffle deals the tickers' PP out anew and then does what was done to the real week: measures
every tested variation, prunes, and searches the kept ones for the best group. Number 0 leaves PP
where they are: the real week, by the very same procedure. Each number is a pure function of
inputs, settings and seed, so it does not matter who computes it, when, or how often.

How long a search may take is counted in tests and comes from the settings (``shuffle_tests``),
never from a clock: a slower machine does fewer shuffles, not other ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.decision.group_problem import rank_problem
from engine.decision.kernel_arrays import CLOSED, new_hits, new_workspace
from engine.decision.permutation_null import Scope, shuffle
from engine.decision.shuffle_kernels import CUT_OFF, SPENT, hunt_best, new_hunt
from engine.decision.variation_pool import VariationPool
from engine.model import DAYS, TICKERS, Ints, Words

TESTS_A_SECOND = 40e6  # of one thread: fixed, because a measured one would make p depend on the machine
THREADS = 2  # that a quota counts on; the fewest that a search has by default
LEAST_TESTS, MOST_TESTS = 100_000, 20_000_000  # a shuffle; the most take about a second
NO_QUOTA = 2**60
HIT_CAPACITY = 4_096


def evidence_reserve(budget_s: float, shuffles: int) -> float:
    """Wall seconds that a search without a proof leaves to the evidence lane.

    A third of the budget; of a long one 3 s a shuffle.
    """
    return min(budget_s / 3, 3.0 * shuffles)


def shuffle_tests(budget_s: float, shuffles: int) -> int:
    """The most tests of one shuffled search: so many that all of them fit what a search without a proof leaves.

    ``budget_s`` wall seconds of the settings. A function of settings alone.
    """
    time_s = evidence_reserve(budget_s, shuffles) * THREADS / (shuffles + 1)
    tests = min(max(time_s * TESTS_A_SECOND, LEAST_TESTS), MOST_TESTS)
    return LEAST_TESTS * round(tests / LEAST_TESTS)


@dataclass(frozen=True, slots=True)
class GroupRules:
    """What a group must be, and how it is scored: the search's own arguments (``rank_problem``)."""

    min_picks: int
    max_size: int
    score_lambda: float = 0.5
    day_floor: float | None = None  # percentage points
    min_positive_days: int = 0
    worst_day: bool = False


@dataclass(frozen=True, slots=True)
class FoundBest:
    """The best score of one week, percentage points (-inf: no group passed); ``cut`` when its tests ran out."""

    score: float
    cut: bool


class ShuffledWeeks:
    """The week, its shuffles, and the procedure that all of them go through. Immutable."""

    def __init__(
        self,
        excess: Ints,
        classes: Ints,
        variations: VariationPool | tuple[Words, Ints],
        rules: GroupRules,
        *,
        seed: int,
        all_tests: int = NO_QUOTA,
        anchor_tests: int | None = None,
    ) -> None:
        """``excess`` int64[5, 1000] micro-percent in symbol order, ``classes`` int64[1000] of ``price_classes``.

        ``variations``: all that were tested, or (bits, algorithm) of given ones, which are not pruned anew.
        ``all_tests`` of a search, ``anchor_tests`` of one anchor in it (the operator's quota).
        """
        if excess.shape != (DAYS, TICKERS) or classes.shape != (TICKERS,):
            raise ValueError(f"excess is {excess.shape}, classes are {classes.shape}")
        self._excess, self._classes, self._seed = excess, classes, seed
        self._variations, self.rules = variations, rules
        self.all_tests = all_tests
        self.anchor_tests = NO_QUOTA if anchor_tests is None else anchor_tests

    @property
    def scope(self) -> Scope:
        """How much of the week's work a shuffle repeats."""
        if not isinstance(self._variations, VariationPool):
            return "given"
        return "everything" if self._variations.whole else "tested"

    def excess(self, number: int) -> Ints:
        """PP of shuffle ``number``; 0 is the real week."""
        if number == 0:
            return np.ascontiguousarray(self._excess)
        return np.ascontiguousarray(self._excess[:, shuffle(self._seed, number, self._classes)])

    def items(self, excess: Ints) -> tuple[Words, Ints]:
        """Bits and algorithms of the variations that a week with these PP would search."""
        if not isinstance(self._variations, VariationPool):
            return self._variations
        kept = self._variations.kept(excess)
        return self._variations.bits[kept], self._variations.algorithm[kept]

    def begin(self, number: int) -> WeekSearch:
        """The search of week ``number``; measuring and pruning take some 20 ms."""
        return WeekSearch(self, number)


class WeekSearch:
    """The search of one week for its best group, on one thread, in slices."""

    def __init__(self, weeks: ShuffledWeeks, number: int) -> None:
        excess, rules = weeks.excess(number), weeks.rules
        bits, algorithm = weeks.items(excess)
        ranked = rank_problem(
            bits, excess, algorithm, min_picks=rules.min_picks, max_size=rules.max_size,
            score_lambda=rules.score_lambda, day_floor=rules.day_floor,
            min_positive_days=rules.min_positive_days, worst_day=rules.worst_day,
        )  # fmt: skip
        self._weeks, self._max_size, self._problem = weeks, rules.max_size, ranked.kernel
        self._hunt = new_hunt(ranked.kernel)
        self._work, self._hits = new_workspace(ranked.count), new_hits(max(HIT_CAPACITY, 2 * ranked.count))

    def advance(self, tests: int) -> bool:
        """Goes on for about ``tests`` tests; whether it has ended."""
        quotas = (self._weeks.anchor_tests, self._weeks.all_tests)
        ended = hunt_best(self._problem, self._work, self._hits, self._hunt, self._max_size, *quotas, tests)
        return bool(ended == CLOSED)

    @property
    def tests(self) -> int:
        return int(self._hunt.state[SPENT])

    def result(self) -> FoundBest:
        """What was found so far, and once it has ended the outcome."""
        score = float(self._hunt.best[0])
        return FoundBest(score if math.isfinite(score) else -math.inf, bool(self._hunt.state[CUT_OFF]))
