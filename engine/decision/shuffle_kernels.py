"""The inner loops of one shuffled week: what every tested variation earned, which are kept, the best group.

All of it is deterministic in its arguments and counts tests, never time: a shuffle that was begun
again, on another thread or after a kill, ends with the same score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.decision.bit_intrinsics import count_ones, lowest_one
from engine.decision.group_kernel import advance, open_anchor
from engine.decision.kernel_arrays import (
    BITS,
    CLOSED,
    DEPTH,
    FLOAT,
    HELD,
    HITS,
    INT,
    INTS,
    NEVER,
    PROBLEM,
    ROWS,
    SLICE_OVER,
    TESTS,
    WORKSPACE,
    Hits,
    Limits,
    Problem,
    Workspace,
    kernel,
    tuple_type,
)
from engine.decision.kernel_bounds import single_best
from engine.model import DAYS, MICRO, WORDS, Ints, Words

LOOK_UP = 4_096  # tests between two looks at a better threshold
AT, OPENED, SPENT, CUT_OFF = 0, 1, 2, 3  # Hunt.state: place in the order, open or not, tests, anchors cut off


@kernel
def day_sums(bits: Words, pp: Ints, sums: Ints) -> None:
    """``sums`` int64[n, 5] of ``pp`` int64[5, 1000] over the picks ``bits`` uint64[n, 5, 16]."""
    for item in range(bits.shape[0]):
        for day in range(DAYS):
            total = 0
            for word in range(WORDS):
                left = bits[item, day, word]
                while left != 0:
                    total += pp[day, word * 64 + lowest_one(left)]
                    left &= left - np.uint64(1)
            sums[item, day] = total


@kernel
def keep_distinct(
    bits: Words, buys: Ints, algorithm: Ints, order: Ints, places: Ints, near: float, kept: Ints
) -> int:
    """Writes the rows of ``order`` that the pruner keeps into ``kept``; how many.

    ``order`` goes algorithm by algorithm, best first; ``buys`` 5-day picks a row, ``places`` an algorithm.
    A row is left out when its Jaccard with a better kept one of its algorithm exceeds ``near``.
    """
    size = first = 0
    for at in range(order.shape[0]):
        row = order[at]
        if at > 0 and algorithm[row] != algorithm[order[at - 1]]:
            first = size
        if size - first >= places[algorithm[row]]:
            continue
        distinct = True
        for other in range(first, size):
            better = kept[other]
            fewer, more = min(buys[row], buys[better]), max(buys[row], buys[better])
            if fewer <= near * more:  # even one inside the other is not that alike
                continue
            shared = 0
            for day in range(DAYS):
                for word in range(WORDS):
                    shared += count_ones(bits[row, day, word] & bits[better, day, word])
            if shared / max(fewer + more - shared, 1) > near:
                distinct = False
                break
        if distinct:
            kept[size] = row
            size += 1
    return size


@kernel
def alone(problem: Problem, bounds: Ints) -> None:
    """The bound of every anchor before it is opened."""
    for anchor in range(bounds.shape[0]):
        bounds[anchor] = single_best(problem, anchor)


class Hunt(NamedTuple):
    """How far the search for one week's best group has come."""

    order: Ints  # anchors, largest bound first
    bounds: Ints  # best sum of each of them alone
    state: Ints  # AT, OPENED, SPENT, CUT_OFF
    best: NDArray[np.float64]  # [1] score so far, percentage points; -inf without a group


def new_hunt(problem: Problem) -> Hunt:
    """Before its first test."""
    bounds = np.zeros(max(0, len(problem.bits) - 1), np.int64)
    alone(problem, bounds)
    order = np.argsort(-bounds, kind="stable").astype(np.int64)
    return Hunt(order, bounds[order], np.zeros(4, np.int64), np.full(1, -np.inf))


@kernel
def _least_sum(problem: Problem, score: float) -> int:
    """As ``RankedProblem.best_sum_limit``."""
    if score == -np.inf:
        return NEVER
    return int(np.floor(score * DAYS * problem.min_picks * MICRO)) - 1


@kernel
def hunt_best(
    problem: Problem,
    work: Workspace,
    hits: Hits,
    hunt: Hunt,
    max_size: int,
    anchor_tests: int,
    all_tests: int,
    max_slice: int,
) -> int:
    """Goes on for about ``max_slice`` tests: SLICE_OVER, or CLOSED at the end.

    The end: nothing is left that could be better, or ``all_tests`` are spent. An anchor ends after
    ``anchor_tests`` of its own. ``hunt.best`` is the best score of all groups unless CUT_OFF says otherwise.
    """
    state, best = hunt.state, hunt.best
    stop = state[SPENT] + max_slice
    while state[AT] < hunt.order.shape[0]:
        if state[OPENED] == 0:
            if state[SPENT] >= stop:
                return SLICE_OVER
            least = _least_sum(problem, best[0])
            if hunt.bounds[state[AT]] < least:
                break
            if state[SPENT] >= all_tests:
                state[CUT_OFF] += 1
                break
            work.counters[:] = 0
            open_anchor(problem, Limits(max_size, max_size, 0, least, best[0]), work, hits, hunt.order[state[AT]])
            state[OPENED] = 1
            state[SPENT] += work.counters[TESTS]
        while True:
            for hit in range(work.counters[HELD]):
                best[0] = max(best[0], hits.score[hit])
            work.counters[HELD] = 0
            if work.meta[DEPTH] == 0:  # closed
                break
            left = min(anchor_tests - work.counters[TESTS], all_tests - state[SPENT])
            if left <= 0:
                state[CUT_OFF] += 1
                break
            if state[SPENT] >= stop:
                return SLICE_OVER
            before = work.counters[TESTS]
            limits = Limits(max_size, max_size, 0, _least_sum(problem, best[0]), best[0])
            advance(problem, limits, work, hits, min(left, LOOK_UP))
            state[SPENT] += work.counters[TESTS] - before
        state[OPENED] = 0
        state[AT] += 1
    state[AT] = hunt.order.shape[0]
    return CLOSED


_HUNT = tuple_type(Hunt(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(4, np.int64), np.zeros(1)))

SHUFFLE_KERNELS = (
    ("shuffles: day sums", day_sums, (BITS, ROWS, ROWS)),
    ("shuffles: distinct", keep_distinct, (BITS, INTS, INTS, INTS, INTS, FLOAT, INTS)),
    ("shuffles: bounds", alone, (PROBLEM, INTS)),
    ("shuffles: threshold", _least_sum, (PROBLEM, FLOAT)),
    ("shuffles: best group", hunt_best, (PROBLEM, WORKSPACE, HITS, _HUNT, INT, INT, INT, INT)),
)
