"""What the group kernels work on: the ranked problem, one lane's memory, and how kernels are compiled by numba.

Plain named tuples of arrays, because a kernel that runs without the GIL takes nothing else.

Units: micro-percent for PP and sums, percentage points for scores.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.decision.bit_intrinsics import LANES
from engine.kernel_cache import prepare_kernel_cache
from engine.model import DAYS, WORDS, Ints, Words

prepare_kernel_cache()  # before numba is imported: it reads the folder once

import numba  # noqa: E402
from numba import types  # noqa: E402

MAX_MEMBERS = 10
FRAMES = MAX_MEMBERS  # one frame a member, and a spare
NEVER = -(2**62)  # below every best sum: a dead node, or no limit
NO_LIMIT = 2**58  # above every best sum of a day, five of them still fit int64
NO_FLOOR = -(2**40)  # micro-percent; a floor that is off (times 1,000 picks it still fits int64)

BLOCK = 8  # candidates that are parted together, before the first of them is judged
PP_STEP = 72  # from one word's PP to the next: 64, and one more that stays zero, in whole rows

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
    pp: Ints  # [16 * 5 * PP_STEP] PP of the projected tickers; 0 at the place of "no bit"
    path: Ints  # [FRAMES]
    position: Ints
    width: Ints  # candidates of the frame
    candidates: Ints  # [FRAMES, n]
    best: Ints  # [FRAMES, n] best sums of the candidates
    masks: Words  # [FRAMES * 16 * 8]
    low: Words  # [BLOCK * 16 * 8] scratch, SPAN rows a candidate: the m best shared picks of each day
    rest: Words  # [BLOCK * 16 * 8] scratch: the shared picks beyond them
    marks: Words  # [BLOCK * 3 * 8] scratch, 3 rows a candidate: see take_lowest
    sums: Ints  # [2 * 5] scratch: day sums, day counts
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
        pp=np.zeros(WORDS * DAYS * PP_STEP, np.int64),
        path=np.zeros(FRAMES, np.int64),
        position=np.zeros(FRAMES, np.int64),
        width=np.zeros(FRAMES, np.int64),
        candidates=np.zeros((FRAMES, n), np.int64),
        best=np.zeros((FRAMES, n), np.int64),
        masks=np.zeros(FRAMES * WORDS * LANES, np.uint64),
        low=np.zeros(BLOCK * WORDS * LANES, np.uint64),
        rest=np.zeros(BLOCK * WORDS * LANES, np.uint64),
        marks=np.zeros(BLOCK * 3 * LANES, np.uint64),
        sums=np.zeros(2 * DAYS, np.int64),
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


PROBLEM = tuple_type(sample_problem())
LIMITS = tuple_type(Limits(2, 2, 0, NEVER, 0.0))
WORKSPACE = tuple_type(new_workspace(1))
HITS = tuple_type(new_hits(1))
INT, FLOAT, BOOL, INTS = types.int64, types.float64, types.boolean, types.Array(types.int64, 1, "C")
BITS, ROWS = types.Array(types.uint64, 3, "C"), types.Array(types.int64, 2, "C")

# Arrays come and go with the caller, so the kernels need no reference counting: it would cost
# more than the work on a node.
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False}
kernel: Any = numba.njit(**_OPTIONS)
inlined: Any = numba.njit(**_OPTIONS, forceinline=True)
