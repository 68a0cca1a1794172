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

from engine.decision.bit_intrinsics import LANES, count_ones, lowest_one, masked_sum
from engine.decision.kernel_arrays import CUT, DEPTH, NEVER, NO_LIMIT, SPAN, Problem, Workspace, inlined, kernel
from engine.model import DAYS, MICRO, WORDS

ROUNDING = 1e-6  # percentage points; far above the rounding of a score, far below any difference that counts


@inlined
def best_sum(problem: Problem, work: Workspace, mask_at: int, row_at: int) -> int:
    """Best sum of mask AND row; NEVER when no group below can pass the floors of a day.

    Leaves the best sums of the days and the picks beyond them in ``sums`` and ``rest``
    for ``score_of``.
    """
    span = work.meta[SPAN]
    total = 0
    lowest = NO_LIMIT
    positive = 0
    dead = False
    for day in range(DAYS):
        missing = problem.min_picks
        best = 0
        value = 0
        for word in range(span):
            lane = word * LANES + day
            beyond = work.masks[mask_at + lane] & work.rows[row_at + lane]
            base = np.uint64((word * DAYS + day) * 64)
            taken = missing  # a single word holds at least min_picks: the node is frequent
            if span > 1:
                taken = min(missing, count_ones(beyond))
                missing -= taken
            for _ in range(taken):
                value = work.pp[base + np.uint64(lowest_one(beyond))]
                best += value
                beyond &= beyond - np.uint64(1)
            work.rest[day * WORDS + word] = beyond
        work.sums[day] = best
        work.worst[day] = value
        total += best
        lowest = min(lowest, best)
        positive += best > 0
        dead |= best < problem.day_floor * problem.min_picks
    if dead or positive < problem.min_positive_days:
        return NEVER
    return DAYS * lowest if problem.worst_day else total


@inlined
def score_of(problem: Problem, work: Workspace, least: float) -> float:
    """Score of the node that ``best_sum`` has just read; -inf when below ``least`` or the floors of a day.

    The picks beyond the best m are no better than the m-th: mostly that alone shows that
    the mean stays below ``least``, and their PP need not be read.
    """
    span = work.meta[SPAN]
    at_most = 0.0
    for day in range(DAYS):
        picks = problem.min_picks
        for word in range(span):
            picks += count_ones(work.rest[day * WORDS + word])
        work.sums[DAYS + day] = picks
        at_most += (work.sums[day] + (picks - problem.min_picks) * work.worst[day]) / picks
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
            total += masked_sum(work.pp, (word * DAYS + day) * 64, work.rest[day * WORDS + word])
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
