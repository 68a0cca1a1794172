"""A group search as the kernel wants it: items by ascending support, tickers ranked by PP, checked.

The caller's item ids are the rows of ``bits``; inside the search items are numbered by
rank of support, and only items that are frequent alone take part. ``items`` translates
back. Validation errors are ValueErrors: the arrays come from our own tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.decision.bit_intrinsics import LANES
from engine.decision.group_kernel import rank_bits
from engine.decision.kernel_arrays import MAX_MEMBERS, NEVER, NO_FLOOR, Hits, Problem
from engine.decision.top_groups import FoundGroup, TopGroups
from engine.model import DAYS, MICRO, TICKERS, WORDS, Ints, Words
from engine.records import picks_bytes

LARGEST_PP = 2**40  # micro-percent; sums of 5,000 of them fit int64 with room


@dataclass(frozen=True, slots=True)
class RankedProblem:
    """``kernel`` for the inner loop, ``items[i]`` the caller's id of its item i, ``bits`` the caller's."""

    kernel: Problem
    items: Ints
    bits: Words

    @property
    def count(self) -> int:
        return len(self.items)

    def best_sum_limit(self, score: float) -> int:
        """Nodes with a best sum below this cannot hold a group that scores ``score`` or more.

        One unit of slack (a millionth of a percent over 5 m) covers the rounding of the float score.
        """
        if score == -math.inf:
            return NEVER
        return math.floor(score * DAYS * self.kernel.min_picks * MICRO) - 1

    def bound(self, best_sum: int) -> float:
        """A best sum as the score that it bounds, percentage points."""
        return best_sum / (DAYS * self.kernel.min_picks * MICRO)

    def offer(self, hits: Hits, held: int, top: TopGroups) -> bool:
        """Offers the buffer's groups to ``top``, best first, in the caller's ids; whether it changed."""

        def good_enough() -> Iterator[FoundGroup]:
            for at in np.argsort(-hits.score[:held], kind="stable"):
                if hits.score[at] < top.threshold:  # it rises while we offer
                    return
                members = np.sort(self.items[hits.members[at, : hits.size[at]]])
                yield FoundGroup(
                    members=tuple(members.tolist()),
                    score=float(hits.score[at]),
                    day_sums=tuple(hits.day_sums[at].tolist()),
                    day_counts=tuple(hits.day_counts[at].tolist()),
                    stored_picks=picks_bytes(np.bitwise_and.reduce(self.bits[members], axis=0)),
                )

        return top.offer(good_enough())


def rank_problem(
    bits: Words,
    pp: Ints,
    algorithm: Ints,
    *,
    min_picks: int,
    max_size: int,
    exclusive: bool = True,
    total: bool = False,
    scored: bool = True,
    score_lambda: float = 0.5,
    worst_day: bool = False,
    day_floor: float | None = None,
    min_positive_days: int = 0,
) -> RankedProblem:
    """Checks and ranks. Units: ``pp`` micro-percent of excess, ``day_floor`` percentage points."""
    _check(bits, pp, algorithm)
    if not 1 <= min_picks <= DAYS * TICKERS:
        raise ValueError(f"min_picks is {min_picks}: a group needs at least one shared pick")
    if not 2 <= max_size <= MAX_MEMBERS:
        raise ValueError(f"max_size is {max_size}: groups have 2 to {MAX_MEMBERS} members")
    if not (math.isfinite(score_lambda) and score_lambda >= 0):
        raise ValueError(f"score_lambda is {score_lambda}: the bound needs a deviation that only lowers the score")
    if not 0 <= min_positive_days <= DAYS:
        raise ValueError(f"min_positive_days is {min_positive_days} of {DAYS}")
    support = np.bitwise_count(bits).sum(axis=2, dtype=np.int64)  # [n, 5]
    frequent = np.flatnonzero((support.sum(axis=1) if total else support.min(axis=1)) >= min_picks)
    items = frequent[np.argsort(support[frequent].sum(axis=1), kind="stable")].astype(np.int64)
    ranking = np.argsort(-pp, axis=1, kind="stable")
    ranked_bits = np.zeros((len(items), DAYS, WORDS), np.uint64)
    ranked_pp = np.zeros((DAYS, WORDS * 64), np.int64)
    rank_bits(bits[items], np.argsort(ranking, axis=1), ranked_bits)
    ranked_pp[:, :TICKERS] = np.take_along_axis(pp, ranking, axis=1)
    floors = np.zeros(LANES, np.uint64)
    floors[:DAYS] = min_picks
    kernel = Problem(
        bits=ranked_bits,
        pp=ranked_pp,
        algorithm=np.ascontiguousarray(algorithm[items], dtype=np.int64),
        floors=floors,
        min_picks=int(min_picks),
        exclusive=bool(exclusive),
        total=bool(total),
        scored=bool(scored),
        penalty=float(score_lambda),
        worst_day=bool(worst_day),
        day_floor=NO_FLOOR if day_floor is None else _micro(day_floor),
        min_positive_days=int(min_positive_days),
    )
    return RankedProblem(kernel, items, bits)


def _micro(percentage_points: float) -> int:
    if not abs(percentage_points) < LARGEST_PP / MICRO:
        raise ValueError(f"day_floor is {percentage_points}: not a percentage")
    return round(percentage_points * MICRO)


def _check(bits: Words, pp: Ints, algorithm: Ints) -> None:
    if bits.dtype != np.uint64 or bits.ndim != 3 or bits.shape[1:] != (DAYS, WORDS):
        raise ValueError(f"bits are {bits.dtype}{list(bits.shape)}, not uint64[n, {DAYS}, {WORDS}]")
    if pp.dtype != np.int64 or pp.shape != (DAYS, TICKERS):
        raise ValueError(f"pp is {pp.dtype}{list(pp.shape)}, not int64[{DAYS}, {TICKERS}]")
    if algorithm.shape != (len(bits),) or algorithm.dtype.kind not in "iu":
        raise ValueError(f"algorithm is {algorithm.dtype}{list(algorithm.shape)}, not one integer an item")
    if np.any(bits[:, :, -1] >> np.uint64(TICKERS - (WORDS - 1) * 64)):
        raise ValueError(f"bits beyond ticker {TICKERS} are set: the padding must be zero")
    if pp.size and int(np.abs(pp).max()) >= LARGEST_PP:
        raise ValueError("pp holds a value beyond a million percent: not micro-percent")
