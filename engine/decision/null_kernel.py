"""Scores of one group under many shuffles of the tickers at once: the inner loop of the permutation null.

A shuffle moves PP between tickers and nothing else. Which tickers a group picks, which groups
are frequent, the projections and the supports stay what they are, so one walk over the
frequent groups serves a whole block of shuffles: PP lie side by side, ``BLOCK`` of them a
ticker, and each pick adds one row of them.

The walk is Eclat as in ``group_kernel`` (same order, same floors of picks, same classes), cut
after a number of groups an anchor that does not depend on PP. The best score of a shuffle
is therefore the maximum over the same set of groups for every shuffle, the unshuffled PP
included: that is what makes them exchangeable under the null.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.decision.bit_intrinsics import LANES, add_row, count_ones, lowest_one, shares_enough
from engine.decision.group_kernel import narrow
from engine.decision.kernel_arrays import (
    BOOL,
    CLOSED,
    DEPTH,
    FREQUENT,
    INT,
    PROBLEM,
    SLICE_OVER,
    SPAN,
    TESTS,
    WORKSPACE,
    Problem,
    Workspace,
    kernel,
    tuple_type,
)
from engine.decision.kernel_bounds import ROUNDING
from engine.model import DAYS, MICRO, WORDS, Ints

ROWS = 8
BLOCK = ROWS * LANES  # most shuffles scored together: so many wide vectors


CUT_OFF = 3  # how ``walk`` ended: at the quota (CLOSED and SLICE_OVER as in ``group_kernel``)


class Quota(NamedTuple):
    """How much of an anchor is walked; never a function of PP."""

    groups: int
    tests: int


class Shuffles(NamedTuple):
    """One block of shuffles and what has been found under each."""

    pp: Ints  # [5 * 1024 * BLOCK] PP of (day, ticker) under each shuffle
    own: Ints  # [5 * 1024 * BLOCK] scratch: the same for the present anchor's tickers, by slot
    sums: Ints  # [5 * BLOCK] scratch
    means: NDArray[np.float64]  # [BLOCK] scratch
    best: NDArray[np.float64]  # [BLOCK] best score so far, percentage points
    rows: int  # wide vectors in use: 1..ROWS


def new_shuffles(pp: Ints | None = None, rows: int = ROWS) -> Shuffles:
    """One lane's memory for a block; ``pp`` may be shared between lanes."""
    size = DAYS * WORDS * 64 * BLOCK
    return Shuffles(
        pp=np.zeros(size, np.int64) if pp is None else pp,
        own=np.zeros(size, np.int64),
        sums=np.zeros(DAYS * BLOCK, np.int64),
        means=np.zeros(BLOCK, np.float64),
        best=np.full(BLOCK, -np.inf, np.float64),
        rows=rows,
    )


@kernel
def gather(problem: Problem, shuffles: Shuffles, anchor: int) -> None:
    """Lays the PP of the anchor's own tickers side by side, in the order of the projection's slots."""
    for day in range(DAYS):
        slot = 0
        for word in range(WORDS):
            left = problem.bits[anchor, day, word]
            while left != 0:
                ticker = word * 64 + lowest_one(left)
                left &= left - np.uint64(1)
                to = (day * WORDS * 64 + slot) * BLOCK
                start = (day * WORDS * 64 + ticker) * BLOCK
                for r in range(shuffles.rows * LANES):
                    shuffles.own[to + r] = shuffles.pp[start + r]
                slot += 1


@kernel
def _score_block(problem: Problem, work: Workspace, shuffles: Shuffles, mask_at: int, row_at: int) -> None:
    """Raises ``best`` where the group mask AND row scores higher under a shuffle."""
    width = shuffles.rows * LANES
    shuffles.means[:] = 0.0
    shuffles.sums[:] = 0
    for day in range(DAYS):
        picks = 0
        at = day * BLOCK
        for word in range(work.meta[SPAN]):
            lane = word * LANES + day
            left = work.masks[mask_at + lane] & work.rows[row_at + lane]
            picks += count_ones(left)
            while left != 0:
                start = (day * WORDS * 64 + word * 64 + lowest_one(left)) * BLOCK
                left &= left - np.uint64(1)
                for row in range(shuffles.rows):
                    add_row(shuffles.sums, at + row * LANES, shuffles.own, start + row * LANES)
        share = 1.0 / (DAYS * picks * MICRO)
        for r in range(width):
            shuffles.means[r] += shuffles.sums[at + r] * share
        work.sums[DAYS + day] = picks
    # The score never exceeds the mean, which mostly settles it.
    hopeful = False
    for r in range(width):
        hopeful |= shuffles.means[r] > shuffles.best[r] - ROUNDING
    if not hopeful:
        return
    for r in range(width):
        if shuffles.means[r] > shuffles.best[r] - ROUNDING:
            shuffles.best[r] = max(shuffles.best[r], _score_one(problem, work, shuffles, r))


@kernel
def _score_one(problem: Problem, work: Workspace, shuffles: Shuffles, r: int) -> float:
    """The group's score under shuffle ``r``, exactly as the search computes it; -inf below the floors of a day."""
    mean = 0.0
    positive = 0
    lowest = np.inf
    for day in range(DAYS):
        picks = work.sums[DAYS + day]
        total = shuffles.sums[day * BLOCK + r]
        positive += total > 0
        if total < problem.day_floor * picks:
            return -np.inf
        work.means[day] = total / (picks * MICRO)
        lowest = min(lowest, work.means[day])
        mean += work.means[day]
    mean /= DAYS
    if positive < problem.min_positive_days:
        return -np.inf
    if problem.worst_day:
        return lowest
    variance = 0.0
    for day in range(DAYS):
        variance += (work.means[day] - mean) ** 2
    score: float = mean - problem.penalty * np.sqrt(variance / DAYS)
    return score


@kernel
def score_pairs(problem: Problem, work: Workspace, shuffles: Shuffles, max_groups: int) -> None:
    """The groups of two below an anchor that ``open_anchor`` has just opened, at most ``max_groups``."""
    stride = work.meta[SPAN] * LANES
    for local in range(min(work.counters[FREQUENT], max_groups)):
        _score_block(problem, work, shuffles, 0, local * stride)


@kernel
def walk(
    problem: Problem,
    work: Workspace,
    shuffles: Shuffles,
    max_size: int,
    quota: Quota,
    max_slice: int,
    scored: bool,
) -> int:
    """Walks on below the anchor: CLOSED, SLICE_OVER, or CUT_OFF where its quota ends.

    ``max_slice`` groups a call at most; ``work.counters`` hold the tests and the groups so far.
    """
    max_groups = quota.groups
    stride = work.meta[SPAN] * LANES
    pause_at: int = work.counters[FREQUENT] + max_slice
    while work.meta[DEPTH] > 0:
        frame = work.meta[DEPTH] - 1
        i = work.position[frame]
        last = work.width[frame]
        if i >= last - 1:
            work.meta[DEPTH] = frame
            continue
        if work.counters[FREQUENT] >= max_groups or work.counters[TESTS] >= quota.tests:
            return CUT_OFF
        if work.counters[FREQUENT] >= pause_at:
            return SLICE_OVER
        work.position[frame] = i + 1
        prefix = work.candidates[frame, i]
        work.path[frame + 1] = prefix
        narrow(work, frame + 1, prefix)
        mask_at = (frame + 1) * WORDS * LANES
        algorithm = work.algorithm[prefix]
        work.counters[TESTS] += last - i - 1
        found = 0
        for j in range(i + 1, last):
            local = work.candidates[frame, j]
            if problem.exclusive and work.algorithm[local] == algorithm:
                continue
            work.candidates[frame + 1, found] = local
            found += shares_enough(work.masks, mask_at, work.rows, local * stride, work.meta[SPAN], problem.floors)
        taken = min(found, max_groups - work.counters[FREQUENT])
        work.counters[FREQUENT] += taken
        if scored:
            for c in range(taken):
                _score_block(problem, work, shuffles, mask_at, work.candidates[frame + 1, c] * stride)
        if found > 1 and frame + 4 <= max_size:
            work.position[frame + 1] = 0
            work.width[frame + 1] = found
            work.meta[DEPTH] = frame + 2
    return CLOSED


_SHUFFLES, _QUOTA = tuple_type(new_shuffles()), tuple_type(Quota(1, 1))

NULL_KERNELS = (
    ("shuffles: gather", gather, (PROBLEM, _SHUFFLES, INT)),
    ("shuffles: one score", _score_one, (PROBLEM, WORKSPACE, _SHUFFLES, INT)),
    ("shuffles: scores", _score_block, (PROBLEM, WORKSPACE, _SHUFFLES, INT, INT)),
    ("shuffles: pairs", score_pairs, (PROBLEM, WORKSPACE, _SHUFFLES, INT)),
    (
        "shuffles: walk",
        walk,
        (PROBLEM, WORKSPACE, _SHUFFLES, INT, _QUOTA, INT, BOOL),
    ),
)
