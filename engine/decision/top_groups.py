"""The best K groups with distinct picks, in one total order.

Order: score descending, fewer members, lexicographic item ids. Groups with the same picks
are one result: the smallest of them, then the lexicographically first, speaks for all.
The outcome depends only on what was offered, never on the order of the offers, which is
what makes threads, slices and pauses invisible in a result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from engine.model import MICRO, Words
from engine.records import picks_words


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group that passed every floor. Sums are exact micro-percent, the score is in percentage points."""

    members: tuple[int, ...]  # item ids of the caller, ascending
    score: float
    day_sums: tuple[int, ...]  # excess over the day's picks
    day_counts: tuple[int, ...]  # picks a day
    stored_picks: bytes  # as engine.records.picks_bytes

    @property
    def size(self) -> int:
        return len(self.members)

    @property
    def picks(self) -> Words:
        """uint64[5, 16] in symbol order."""
        return picks_words(self.stored_picks)

    @property
    def day_means(self) -> tuple[float, ...]:
        """Mean excess of each day's picks in percentage points."""
        return tuple(s / (c * MICRO) for s, c in zip(self.day_sums, self.day_counts, strict=True))

    @property
    def order(self) -> tuple[float, int, tuple[int, ...]]:
        """Sort key: the best group comes first."""
        return (-self.score, len(self.members), self.members)


class TopGroups:
    """The best ``limit`` of all groups offered so far. Not thread-safe."""

    def __init__(self, limit: int, threshold: float = -math.inf) -> None:
        """``threshold``: a score known to be reached by ``limit`` others; worse offers are not kept."""
        self._limit, self._threshold = limit, threshold
        self._trim_at = limit
        self._by_picks: dict[bytes, FoundGroup] = {}

    @property
    def threshold(self) -> float:
        """What a group must at least score to matter: the K-th best score, -inf before there are K."""
        return self._threshold

    def offer(self, groups: Iterable[FoundGroup]) -> bool:
        """Takes in what is good enough; whether the best K changed. Offer the best first: it saves work."""
        changed = False
        for group in groups:
            if group.score < self._threshold:
                continue
            known = self._by_picks.get(group.stored_picks)
            if known is None or group.order < known.order:
                self._by_picks[group.stored_picks] = group
                changed = True
                if len(self._by_picks) >= self._trim_at:
                    self._trim()
        if changed:
            self._trim()
        return changed

    def _trim(self) -> None:
        """Forgets all but the best K, and learns the threshold. Rarely: it sorts everything."""
        if len(self._by_picks) < self._limit:
            return
        best = self.best()
        self._by_picks = {group.stored_picks: group for group in best}
        self._threshold = max(self._threshold, best[-1].score)
        self._trim_at = self._limit + 1 + self._limit // 4

    def best(self) -> tuple[FoundGroup, ...]:
        """The best K so far, best first."""
        return tuple(sorted(self._by_picks.values(), key=lambda g: g.order)[: self._limit])
