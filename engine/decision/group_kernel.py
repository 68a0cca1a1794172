"""The group search's inner loop: numba, without the GIL, in slices that can stop anywhere.

Eclat on bit sets with a class constraint and branch and bound. An *anchor* is the first
item of a group; its subtree is walked depth first with an explicit stack (``Workspace``),
so that a call ends after a given number of tests and the next one goes on exactly there.

What makes it fast: tickers are ranked by PP inside each day, so the best m shared PPs of
a day are its m lowest set bits; everything below an anchor is projected onto the anchor's
own tickers, so that a day shrinks from 16 words to 1-4; one row holds all five days in
lanes, so that one AND, popcount and compare tests them together; a level hands down only
what survived at its parent.

What makes it exact: PP are integers, and a node is dropped only when its *best sum* lies
strictly below ``Limits.best_sum``, or when a day's best m cannot reach the floor of a day, or
too few days can be positive. Every group at or below the node has at least m picks a day out
of the node's own, so its mean m_d of a day is at most b_d / m, where b_d is the sum of the
day's m best shared PPs: the mean of any k >= m of them is at most that of the k best, and that
falls with k. Hence, for each objective,

    mean       mean(m_d)                       <= sum(b_d) / (5 m)
    deviation  mean(m_d) - penalty * std(m_d)  <= mean(m_d) <= sum(b_d) / (5 m)   (penalty >= 0)
    worst day  min(m_d)                        <= min(b_d) / m = 5 min(b_d) / (5 m)

and the best sum is sum(b_d), or 5 min(b_d) where the worst day counts: one unit for all, over
5 m the bound. It never rises from a node to one below (fewer shared PPs), so a walk may also
bound what it has not visited by the smaller of two candidates' best sums.

Units: micro-percent for PP and sums, percentage points for scores.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernel_cache import prepare_kernel_cache
from engine.model import DAYS, MICRO, WORDS, Ints, Words

prepare_kernel_cache()  # before numba is imported: it reads the folder once

import numba  # noqa: E402
from numba import types  # noqa: E402

from engine.decision.bit_intrinsics import (  # noqa: E402
    LANES,
    count_ones,
    lowest_one,
    masked_sum,
    shared_total,
    shares_enough,
)

MAX_MEMBERS = 10
FRAMES = MAX_MEMBERS  # one frame a member, and a spare
NEVER = -(2**62)  # below every best sum: a dead node, or no limit
NO_LIMIT = 2**58  # above every best sum of a day, five of them still fit int64
NO_FLOOR = -(2**40)  # micro-percent; a floor that is off (times 1,000 picks it still fits int64)

ROUNDING = 1e-6  # percentage points; far above the rounding of a score, far below any difference that counts

CLOSED, SLICE_OVER, HITS_FULL = 0, 1, 2  # how ``advance`` ended
DEPTH, SPAN, LOCALS, ANCHOR, CUT = 0, 1, 2, 3, 4  # Workspace.meta
TESTS, FREQUENT, HELD = 0, 1, 2  # Workspace.counters; HELD: hits in the buffer


class Problem(NamedTuple):
    """Items by ascending support, tickers of each day by falling PP."""

    bits: Words  # [n, 5, 16]
    pp: Ints  # [5, 1024]
    algorithm: Ints  # [n]
    floors: Words  # [8] least shared picks by lane; 0 beyond the days
    min_picks: int
    exclusive: bool  # at most one item an algorithm
    total: bool  # min_picks is a sum over days (counting only)
    scored: bool  # keep best sums, prune, report hits
    penalty: float  # weight of the deviation
    worst_day: bool  # the score is the worst day's mean instead
    day_floor: int  # micro-percent, NO_FLOOR when off
    min_positive_days: int


class Limits(NamedTuple):
    """What the present call may leave out."""

    max_size: int  # members, of this pass
    final_size: int  # members, of the search; beyond max_size subtrees are cut, not closed
    counted_size: int  # groups up to this size were counted and reported by an earlier pass
    best_sum: int  # nodes strictly below are dropped
    score: float  # groups strictly below are not reported


class Workspace(NamedTuple):
    """One lane's memory: the projection of the present anchor and the stack of its walk.

    Frame f holds a prefix of f + 1 members (its bit set is ``masks[f]``) and the items
    that survived beside it; those from ``position`` on are still to be walked. Items of
    the stack are local: index into ``items``, the survivors beside the anchor.
    """

    meta: Ints
    counters: Ints
    items: Ints  # [n] local -> item
    algorithm: Ints  # [n] of local items
    rows: Words  # [n * 16 * 8] projected bit sets
    pp: Ints  # [16 * 5 * 64] PP of the projected tickers
    path: Ints  # [FRAMES]
    position: Ints
    width: Ints  # candidates of the frame
    candidates: Ints  # [FRAMES, n]
    best: Ints  # [FRAMES, n] best sums of the candidates
    masks: Words  # [FRAMES * 16 * 8]
    rest: Words  # [5 * 16] scratch
    sums: Ints  # [2 * 5] scratch: day sums, day counts
    worst: Ints  # [5] scratch: the m-th best PP of each day
    means: NDArray[np.float64]  # [5] scratch: day means, percentage points


class Hits(NamedTuple):
    """Groups that reached ``Limits.score``, until the caller has merged them."""

    members: Ints  # [capacity, MAX_MEMBERS], items, -1 beyond the size
    size: Ints
    score: NDArray[np.float64]
    day_sums: Ints  # [capacity, 5]
    day_counts: Ints


def new_workspace(items: int) -> Workspace:
    n = max(items, 1)
    return Workspace(
        meta=np.zeros(5, np.int64),
        counters=np.zeros(3, np.int64),
        items=np.zeros(n, np.int64),
        algorithm=np.zeros(n, np.int64),
        rows=np.zeros(n * WORDS * LANES, np.uint64),
        pp=np.zeros(WORDS * DAYS * 64, np.int64),
        path=np.zeros(FRAMES, np.int64),
        position=np.zeros(FRAMES, np.int64),
        width=np.zeros(FRAMES, np.int64),
        candidates=np.zeros((FRAMES, n), np.int64),
        best=np.zeros((FRAMES, n), np.int64),
        masks=np.zeros(FRAMES * WORDS * LANES, np.uint64),
        rest=np.zeros(DAYS * WORDS, np.uint64),
        sums=np.zeros(2 * DAYS, np.int64),
        worst=np.zeros(DAYS, np.int64),
        means=np.zeros(DAYS, np.float64),
    )


def new_hits(capacity: int) -> Hits:
    return Hits(
        members=np.full((capacity, MAX_MEMBERS), -1, np.int64),
        size=np.zeros(capacity, np.int64),
        score=np.zeros(capacity, np.float64),
        day_sums=np.zeros((capacity, DAYS), np.int64),
        day_counts=np.zeros((capacity, DAYS), np.int64),
    )


def _native(value: object) -> Any:
    """numba's type of one field of our tuples; plain scalars by their Python type."""
    if isinstance(value, np.ndarray):
        return types.Array(numba.from_dtype(value.dtype), value.ndim, "C")
    return {bool: types.boolean, int: types.int64, float: types.float64}[type(value)]


def tuple_type(example: tuple[object, ...]) -> Any:
    """numba's type of one of our named tuples: kernels are compiled before their first call."""
    named_tuple: Any = types.NamedTuple
    return named_tuple([_native(value) for value in example], type(example))


def sample_problem() -> Problem:
    """The smallest valid problem; its types are those of every call."""
    return Problem(
        np.zeros((1, DAYS, WORDS), np.uint64),
        np.zeros((DAYS, WORDS * 64), np.int64),
        np.zeros(1, np.int64),
        np.zeros(LANES, np.uint64),
        1, True, False, True, 0.5, False, NO_FLOOR, 0,
    )  # fmt: skip


_PROBLEM = tuple_type(sample_problem())
_LIMITS = tuple_type(Limits(2, 2, 0, NEVER, 0.0))
_WORKSPACE = tuple_type(new_workspace(1))
_HITS = tuple_type(new_hits(1))

# Arrays come and go with the caller, so the kernels need no reference counting: it would cost
# more than the work on a node.
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False}
kernel: Any = numba.njit(**_OPTIONS)
_inlined: Any = numba.njit(**_OPTIONS, forceinline=True)


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
                work.pp[(at * DAYS + day) * 64 + (slot & 63)] = problem.pp[day, word * 64 + bit]
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


@_inlined
def _best_sum(problem: Problem, work: Workspace, mask_at: int, row_at: int) -> int:
    """Best sum of mask AND row; NEVER when no group below can pass the floors of a day.

    Leaves the best sums of the days and the picks beyond them in ``sums`` and ``rest``
    for ``_score``.
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


@_inlined
def _score(problem: Problem, work: Workspace, least: float) -> float:
    """Score of the node that ``_best_sum`` has just read; -inf when below ``least`` or the floors of a day.

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


@_inlined
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
        stride = work.meta[SPAN] * LANES
        mask_at = frame * WORDS * LANES
        kept = 0
        for i in range(found):
            local = work.candidates[frame, i]
            best = _best_sum(problem, work, mask_at, local * stride)
            if best < limits.best_sum or best == NEVER:
                continue
            if new:
                score = _score(problem, work, limits.score)
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
        work.meta[CUT] = max(work.meta[CUT], _open_best(problem, work, frame))


@kernel
def _open_best(problem: Problem, work: Workspace, frame: int) -> int:
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
        largest = max(largest, _open_best(problem, work, frame))
    return largest


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


@_inlined
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


# What a search compiles on first use, callees first: (name, function, argument types).
KERNELS = (
    ("project", _project, (_PROBLEM, _WORKSPACE, types.int64, types.int64)),
    ("best sum", _best_sum, (_PROBLEM, _WORKSPACE, types.int64, types.int64)),
    ("score", _score, (_PROBLEM, _WORKSPACE, types.float64)),
    ("single", single_best, (_PROBLEM, types.int64)),
    ("open bound", open_best, (_PROBLEM, _WORKSPACE)),
    ("open anchor", open_anchor, (_PROBLEM, _LIMITS, _WORKSPACE, _HITS, types.int64)),
    ("resume anchor", resume_anchor, (_PROBLEM, _WORKSPACE)),
    (
        "replay anchor",
        replay_anchor,
        (_PROBLEM, _LIMITS, _WORKSPACE, _HITS, types.Array(types.int64, 1, "C"), types.Array(types.int64, 1, "C")),
    ),
    ("advance", advance, (_PROBLEM, _LIMITS, _WORKSPACE, _HITS, types.int64)),
)
