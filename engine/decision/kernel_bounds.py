"""Scores of groups and the proven bounds that let the walk drop what cannot matter (numba kernels).

A node is dropped only when its *best sum* lies strictly below ``Limits.best_sum``, or when a
day's best m cannot reach the floor of a day, or too few days can be positive. Every group at
or below the node has at least m picks a day out of the node's own, so its mean m_d of a day is
at most b_d / m, where b_d is the sum of the day's m best shared PPs: the mean of any k >= m of
them is at most that of the k best, and that falls with k. Hence, for each objective,

    mean       mean(m_d)                       <= sum(b_d) / (5 m)
    deviation  mean(m_d) - penalty * std(m_d)  <= mean(m_d) <= sum(b_d) / (5 m)   (penalty >= 0)
    worst day  min(m_d)                        <= min(b_d) / m = 5 min(b_d) / (5 m)

and the best sum is sum(b_d), or 5 min(b_d) where the worst day counts: one unit for all, over
5 m the bound. It never rises from a node to one below (fewer shared PPs), so a walk may also
bound what it has not visited by the smaller of two candidates' best sums.

Tickers are ranked by PP inside each day, so the best m shared PPs of a day are its m lowest
set bits. PP are integers: sums are exact, whatever the order.

Units: micro-percent for PP and sums, percentage points for scores.
"""

from __future__ import annotations

import numpy as np

from engine.decision.bit_intrinsics import (
    LANES,
    lowest_one,
    masked_sum,
    take_lowest,
    trailing_zeros,
)
from engine.decision.kernel_arrays import (
    CUT,
    DEPTH,
    NEVER,
    NO_LIMIT,
    PP_STEP,
    SPAN,
    Problem,
    Workspace,
    inlined,
    kernel,
)
from engine.model import DAYS, MICRO, WORDS

TWO, THREE, FOUR, STEP = np.uint64(2), np.uint64(3), np.uint64(4), np.uint64(PP_STEP)
ROUNDING = 1e-6  # percentage points; far above the rounding of a score, far below any difference that counts


@inlined
def part_block(problem: Problem, work: Workspace, frame: int, first: int, last: int) -> None:
    """Parts the picks of candidates ``first`` up to ``last`` of a frame for ``best_sum`` and ``score_of``.

    Many in a row, because finding the m best of one is a long chain: the next ones fill its waits.
    """
    span = work.meta[SPAN]
    stride = span * LANES
    for i in range(first, last):
        slot = i - first
        take_lowest(
            work.masks, frame * WORDS * LANES, work.rows, work.candidates[frame, i] * stride, span,
            problem.floors, work.low, work.rest, slot * stride, work.marks, slot * 3 * LANES,
        )  # fmt: skip


@inlined
def best_sum(problem: Problem, work: Workspace, slot: int) -> int:
    """Best sum of a parted candidate; NEVER when no group below can pass the floors of a day.

    Leaves the best sums of the days in ``sums`` for ``score_of``.
    """
    _sum_best(work, slot)
    total = 0
    lowest = NO_LIMIT
    positive = 0
    dead = False
    for day in range(DAYS):
        best = work.sums[day]
        total += best
        lowest = min(lowest, best)
        positive += best > 0
        dead |= best < problem.day_floor * problem.min_picks
    if dead or positive < problem.min_positive_days:
        return NEVER
    return DAYS * lowest if problem.worst_day else total


@inlined
def _sum_best(work: Workspace, slot: int) -> None:
    """``sums``: the PP of ``low`` by day. A scored search spends most of its time here.

    How many bits a day has in a word is a matter of chance, and a processor that guesses wrong
    loses more than the work itself takes. So the five days are walked side by side, and a day that
    has ended reads the zero at the place of "no bit" until the longest has.
    """
    span = work.meta[SPAN]
    low, pp, one = work.low, work.pp, np.uint64(1)
    sum0 = sum1 = sum2 = sum3 = sum4 = 0
    for word in range(span):
        at = np.uint64((slot * span + word) * LANES)
        day0, day1, day2, day3, day4 = low[at], low[at + one], low[at + TWO], low[at + THREE], low[at + FOUR]
        at0 = np.uint64(word * DAYS * PP_STEP)
        at1, at2, at3, at4 = at0 + STEP, at0 + TWO * STEP, at0 + THREE * STEP, at0 + FOUR * STEP
        while day0 | day1 | day2 | day3 | day4:
            for _ in range(2):
                sum0 += pp[at0 + trailing_zeros(day0)]
                sum1 += pp[at1 + trailing_zeros(day1)]
                sum2 += pp[at2 + trailing_zeros(day2)]
                sum3 += pp[at3 + trailing_zeros(day3)]
                sum4 += pp[at4 + trailing_zeros(day4)]
                day0 &= day0 - one
                day1 &= day1 - one
                day2 &= day2 - one
                day3 &= day3 - one
                day4 &= day4 - one
    work.sums[0], work.sums[1], work.sums[2], work.sums[3], work.sums[4] = sum0, sum1, sum2, sum3, sum4


@inlined
def score_of(problem: Problem, work: Workspace, slot: int, least: float) -> float:
    """Score of the candidate that ``best_sum`` has just read; -inf when below ``least`` or the floors of a day.

    The picks beyond the best m are no better than the m-th: mostly that alone shows that
    the mean stays below ``least``, and their PP need not be read.
    """
    span = work.meta[SPAN]
    marks = slot * 3 * LANES
    at_most = 0.0
    for day in range(DAYS):
        picks = np.int64(work.marks[marks + day])
        row, place = work.marks[marks + LANES + day], work.marks[marks + 2 * LANES + day]
        last = work.pp[(row * np.uint64(DAYS) + np.uint64(day)) * STEP + place]  # the m-th best
        work.sums[DAYS + day] = picks
        at_most += (work.sums[day] + (picks - problem.min_picks) * last) / picks
    if at_most / (DAYS * MICRO) < least - ROUNDING:
        return -np.inf
    mean = 0.0
    lowest = np.inf
    positive = 0
    failed = False
    for day in range(DAYS):
        picks = work.sums[DAYS + day]
        total = work.sums[day]
        for word in range(span):
            total += masked_sum(
                work.pp, (word * DAYS + day) * PP_STEP, work.rest[(slot * span + word) * LANES + day]
            )
        work.sums[day] = total
        positive += total > 0
        failed |= total < problem.day_floor * picks
        work.means[day] = total / (picks * MICRO)
        lowest = min(lowest, work.means[day])
        mean += work.means[day]
    mean /= DAYS
    if failed or positive < problem.min_positive_days or mean < least:
        return -np.inf
    if problem.worst_day:
        return lowest if lowest >= least else -np.inf
    variance = 0.0
    for day in range(DAYS):
        variance += (work.means[day] - mean) ** 2
    score = mean - problem.penalty * np.sqrt(variance / DAYS)
    return score if score >= least else -np.inf


@kernel
def open_best_of(problem: Problem, work: Workspace, frame: int) -> int:
    """The largest best sum that a group below the unwalked candidates of a frame can have."""
    if not problem.scored:
        return 0
    partner = NEVER
    largest = NEVER
    for i in range(work.width[frame] - 1, work.position[frame] - 1, -1):
        own = work.best[frame, i]
        if i < work.width[frame] - 1:
            largest = max(largest, min(own, partner))
        partner = max(partner, own)
    return largest


@kernel
def open_best(problem: Problem, work: Workspace) -> int:
    """The largest best sum still open below the anchor, subtrees cut by the pass included."""
    largest: int = work.meta[CUT]
    for frame in range(work.meta[DEPTH]):
        largest = max(largest, open_best_of(problem, work, frame))
    return largest


@kernel
def single_best(problem: Problem, item: int) -> int:
    """Best sum of one item alone: what no group with it can exceed."""
    total = 0
    lowest = NO_LIMIT
    for day in range(DAYS):
        missing = problem.min_picks
        best = 0
        for word in range(WORDS):
            left = problem.bits[item, day, word]
            while left != 0 and missing > 0:
                best += problem.pp[day, word * 64 + lowest_one(left)]
                left &= left - np.uint64(1)
                missing -= 1
        total += best
        lowest = min(lowest, best)
    return DAYS * lowest if problem.worst_day else total
