"""The group search's inner loop: numba, without the GIL, in slices that can stop anywhere.

Eclat on bit sets with a class constraint and branch and bound. An *anchor* is the first
item of a group; its subtree is walked depth first with an explicit stack (``Workspace``),
so that a call ends after a given number of tests and the next one goes on exactly there.

What makes it fast: tickers are ranked by PP inside each day, so the best m shared PPs of
a day are its m lowest set bits; everything below an anchor is projected onto the anchor's
own tickers, so that a day shrinks from 16 words to 1-4; one row holds all five days in
lanes, so that one AND, popcount and compare tests them together; a level hands down only
what survived at its parent.

What makes it exact: integer PP, and the bounds of ``kernel_bounds`` with their proofs.
"""

from __future__ import annotations

import numpy as np

from engine.decision.bit_intrinsics import LANES, count_ones, lowest_one, shared_total, shares_enough
from engine.decision.kernel_arrays import (
    ANCHOR,
    BITS,
    BLOCK,
    CLOSED,
    CUT,
    DEPTH,
    FLOAT,
    FREQUENT,
    HELD,
    HITS,
    HITS_FULL,
    INT,
    INTS,
    LIMITS,
    LOCALS,
    NEVER,
    PP_STEP,
    PROBLEM,
    ROWS,
    SLICE_OVER,
    SPAN,
    TESTS,
    WORKSPACE,
    Hits,
    Limits,
    Problem,
    Workspace,
    inlined,
    kernel,
)
from engine.decision.kernel_bounds import best_sum, open_best, open_best_of, part_block, score_of, single_best
from engine.model import DAYS, WORDS, Ints, Words


@kernel
def _project(problem: Problem, work: Workspace, anchor: int, locals_: int) -> None:
    """Fills ``rows``, ``pp`` and the first mask: everything as seen on the anchor's own tickers."""
    span = 1
    for day in range(DAYS):
        own = 0
        for word in range(WORDS):
            own += count_ones(problem.bits[anchor, day, word])
        span = max(span, (own + 63) // 64)
    work.meta[SPAN] = span
    work.meta[LOCALS] = locals_
    stride = span * LANES
    work.rows[: locals_ * stride] = 0
    work.masks[:stride] = 0
    for day in range(DAYS):
        before = 0  # the anchor's tickers in lower words
        for word in range(WORDS):
            own_word = problem.bits[anchor, day, word]
            left = own_word
            slot = before
            while left != 0:
                bit = lowest_one(left)
                left &= left - np.uint64(1)
                at = slot >> 6
                work.pp[(at * DAYS + day) * PP_STEP + (slot & 63)] = problem.pp[day, word * 64 + bit]
                work.masks[at * LANES + day] |= np.uint64(1) << np.uint64(slot & 63)
                slot += 1
            if own_word == 0:
                continue
            for local in range(locals_):
                left = problem.bits[work.items[local], day, word] & own_word
                while left != 0:
                    below = (left & (~left + np.uint64(1))) - np.uint64(1)
                    slot = before + count_ones(own_word & below)
                    left &= left - np.uint64(1)
                    work.rows[local * stride + (slot >> 6) * LANES + day] |= np.uint64(1) << np.uint64(slot & 63)
            before += count_ones(own_word)


@kernel
def rank_bits(bits: Words, place: Ints, ranked: Words) -> None:
    """Sets every pick of ``bits`` in ``ranked``, both uint64[n, 5, 16], at its ``place`` int64[5, 1000]."""
    one = np.uint64(1)
    for item in range(bits.shape[0]):
        for day in range(DAYS):
            for word in range(WORDS):
                left = bits[item, day, word]
                while left != 0:
                    to = place[day, word * 64 + lowest_one(left)]
                    ranked[item, day, to >> 6] |= one << np.uint64(to & 63)
                    left &= left - one


@inlined
def _report(work: Workspace, hits: Hits, frame: int, added: int, score: float) -> None:
    """Writes the group (members of frames 0..frame, and ``added``) into the buffer."""
    at = work.counters[HELD]
    hits.members[at, 0] = work.meta[ANCHOR]
    for f in range(1, frame + 1):
        hits.members[at, f] = work.items[work.path[f]]
    hits.members[at, frame + 1] = work.items[added]
    hits.size[at] = frame + 2
    hits.score[at] = score
    for day in range(DAYS):
        hits.day_sums[at, day] = work.sums[day]
        hits.day_counts[at, day] = work.sums[DAYS + day]
    work.counters[HELD] = at + 1


@kernel
def _settle(problem: Problem, limits: Limits, work: Workspace, hits: Hits, frame: int, found: int) -> None:
    """Judges the ``found`` frequent candidates of a new frame and opens the frame for walking."""
    new = frame + 2 > limits.counted_size  # else an earlier pass has counted and reported them
    if new:
        work.counters[FREQUENT] += found
    kept = found
    if problem.scored:
        kept = 0
        for first in range(0, found, BLOCK):
            last = min(first + BLOCK, found)
            part_block(problem, work, frame, first, last)
            for i in range(first, last):
                local = work.candidates[frame, i]
                best = best_sum(problem, work, i - first)
                if best < limits.best_sum or best == NEVER:
                    continue
                if new:
                    score = score_of(problem, work, i - first, limits.score)
                    if score > -np.inf:
                        _report(work, hits, frame, local, score)
                work.candidates[frame, kept] = local
                work.best[frame, kept] = best
                kept += 1
    if kept < 2:
        return
    work.position[frame] = 0
    work.width[frame] = kept
    if frame + 3 <= limits.max_size:
        work.meta[DEPTH] = frame + 1
    elif limits.max_size < limits.final_size:
        work.meta[CUT] = max(work.meta[CUT], open_best_of(problem, work, frame))


@kernel
def open_anchor(problem: Problem, limits: Limits, work: Workspace, hits: Hits, anchor: int) -> None:
    """Begins an anchor: pairs it with every later item, projects the survivors, opens frame 0.

    Needs room for n hits. A test is one candidate beside one prefix, its algorithm included.
    """
    n = problem.bits.shape[0]
    work.meta[DEPTH] = 0
    work.meta[ANCHOR] = anchor
    work.meta[CUT] = NEVER
    work.counters[TESTS] += n - anchor - 1
    found = 0
    for item in range(anchor + 1, n):
        if problem.exclusive and problem.algorithm[item] == problem.algorithm[anchor]:
            continue
        fewest = 64 * WORDS
        total = 0
        for day in range(DAYS):
            shared = 0
            for word in range(WORDS):
                shared += count_ones(problem.bits[anchor, day, word] & problem.bits[item, day, word])
            fewest = min(fewest, shared)
            total += shared
        if (total if problem.total else fewest) >= problem.min_picks:
            work.items[found] = item
            work.algorithm[found] = problem.algorithm[item]
            work.candidates[0, found] = found
            found += 1
    if found > 0:
        _project(problem, work, anchor, found)
        _settle(problem, limits, work, hits, 0, found)


@kernel
def resume_anchor(problem: Problem, work: Workspace) -> None:
    """Rebuilds projection and masks of a parked anchor; its stack and items are in place."""
    _project(problem, work, work.meta[ANCHOR], work.meta[LOCALS])
    for frame in range(1, work.meta[DEPTH]):
        narrow(work, frame, work.path[frame])


@kernel
def replay_anchor(
    problem: Problem, limits: Limits, work: Workspace, hits: Hits, path: Ints, following: Ints
) -> None:
    """Rebuilds the walk of an anchor that ``open_anchor`` has just opened, up to where a cursor stands.

    ``limits.score`` must be infinite: what lies on the way was reported in an earlier life. The
    threshold may have risen since; a frame that it closed now ends the way, and nothing is lost.
    """
    stride = work.meta[SPAN] * LANES
    for frame in range(path.shape[0]):
        if work.meta[DEPTH] != frame + 1:
            return
        last = work.width[frame]
        at = 0
        while at < last and (following[frame] < 0 or work.candidates[frame, at] < following[frame]):
            at += 1
        work.position[frame] = at
        if frame + 1 == path.shape[0]:
            return
        own = 0
        while own < at and work.candidates[frame, own] != path[frame + 1]:
            own += 1
        if own == at:
            return
        prefix = work.candidates[frame, own]
        work.path[frame + 1] = prefix
        narrow(work, frame + 1, prefix)
        mask_at = (frame + 1) * WORDS * LANES
        found = 0
        for j in range(own + 1, last):
            local = work.candidates[frame, j]
            if problem.exclusive and work.algorithm[local] == work.algorithm[prefix]:
                continue
            work.candidates[frame + 1, found] = local
            found += shares_enough(work.masks, mask_at, work.rows, local * stride, work.meta[SPAN], problem.floors)
        if found > 0:
            _settle(problem, limits, work, hits, frame + 1, found)


@inlined
def narrow(work: Workspace, frame: int, local: int) -> None:
    """masks[frame] = masks[frame - 1] AND the row of ``local``."""
    stride = work.meta[SPAN] * LANES
    above = (frame - 1) * WORDS * LANES
    for x in range(stride):
        work.masks[above + WORDS * LANES + x] = work.masks[above + x] & work.rows[local * stride + x]


@kernel
def advance(problem: Problem, limits: Limits, work: Workspace, hits: Hits, max_tests: int) -> int:
    """Walks on for about ``max_tests`` tests (one prefix is never split). CLOSED, SLICE_OVER or HITS_FULL."""
    stop: int = work.counters[TESTS] + max_tests
    capacity = hits.size.shape[0]
    stride = work.meta[SPAN] * LANES
    while work.meta[DEPTH] > 0:
        frame = work.meta[DEPTH] - 1
        i = work.position[frame]
        if i >= work.width[frame] - 1:  # the last one has nobody to be combined with
            work.meta[DEPTH] = frame
            continue
        if work.counters[TESTS] >= stop:
            return SLICE_OVER
        last = work.width[frame]
        if problem.scored and work.counters[HELD] + last - i > capacity:
            return HITS_FULL
        work.position[frame] = i + 1
        if problem.scored and work.best[frame, i] < limits.best_sum:
            continue
        prefix = work.candidates[frame, i]
        work.path[frame + 1] = prefix
        narrow(work, frame + 1, prefix)
        mask_at = (frame + 1) * WORDS * LANES
        algorithm = work.algorithm[prefix]
        found = 0
        work.counters[TESTS] += last - i - 1
        for j in range(i + 1, last):
            local = work.candidates[frame, j]
            if problem.exclusive and work.algorithm[local] == algorithm:
                continue
            work.candidates[frame + 1, found] = local
            if problem.total:
                shared = shared_total(work.masks, mask_at, work.rows, local * stride, work.meta[SPAN])
                found += shared >= problem.min_picks
            else:
                found += shares_enough(
                    work.masks, mask_at, work.rows, local * stride, work.meta[SPAN], problem.floors
                )
        if found > 0:
            _settle(problem, limits, work, hits, frame + 1, found)
    return CLOSED


@kernel
def count_all(problem: Problem, limits: Limits, work: Workspace, hits: Hits) -> int:
    """How many frequent groups of 2..max_size items there are, by walking every anchor."""
    for anchor in range(problem.bits.shape[0]):
        open_anchor(problem, limits, work, hits, anchor)
        advance(problem, limits, work, hits, 2**62)
    frequent: int = work.counters[FREQUENT]
    return frequent


# What a search compiles on first use, callees first: (name, function, argument types).
KERNELS = (
    ("ranks", rank_bits, (BITS, ROWS, BITS)),
    ("project", _project, (PROBLEM, WORKSPACE, INT, INT)),
    ("parts", part_block, (PROBLEM, WORKSPACE, INT, INT, INT)),
    ("best sum", best_sum, (PROBLEM, WORKSPACE, INT)),
    ("score", score_of, (PROBLEM, WORKSPACE, INT, FLOAT)),
    ("single", single_best, (PROBLEM, INT)),
    ("open bound", open_best, (PROBLEM, WORKSPACE)),
    ("open anchor", open_anchor, (PROBLEM, LIMITS, WORKSPACE, HITS, INT)),
    ("resume anchor", resume_anchor, (PROBLEM, WORKSPACE)),
    (
        "replay anchor",
        replay_anchor,
        (PROBLEM, LIMITS, WORKSPACE, HITS, INTS, INTS),
    ),
    ("advance", advance, (PROBLEM, LIMITS, WORKSPACE, HITS, INT)),
)
