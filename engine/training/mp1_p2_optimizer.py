"""mp1_p2: which parameter sets to try next, by a deterministic evolution.

``propose`` is a pure function of the history and the seed: no state survives a call, the
order of the history does not matter, and a training run that was killed and resumed
proposes what it would have proposed. A point of the space is never proposed twice.

The rule (ALGORITHMS, *Optimizer facts*): the first 160 points are random. After that a
parent is drawn by rank from the best 100 (rank floor(100*u^2), so the leaders breed most)
and one or two of its coordinates move up or down by 1, 2, 3, ... whole steps with
probabilities 1/2, 1/4, 1/8, ...; one proposal in twenty is random.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections.abc import Iterable, Sequence

from engine.compute.algorithms import ALGORITHMS
from engine.errors import UsageError
from engine.model import ParameterSet
from engine.records import VariationResult
from engine.spaces import ParameterSpace

STARTS = 160  # random points before the evolution begins
PARENTS = 100
RANDOM_SHARE = 0.05
TWO_MOVES = 0.5  # chance that two coordinates move instead of one
TRIES = 100  # proposals refused as repeats before a random or an enumerated one is taken

Point = tuple[int, ...]
Scored = VariationResult | tuple[Sequence[int], float]


def propose(
    algorithm: str | ParameterSpace, history: Iterable[Scored], count: int, seed: int
) -> list[ParameterSet]:
    """``count`` new points for ``algorithm``, none of them in ``history`` or twice in the answer.

    ``history``: everything tested so far, as results or (values, score) pairs, in any
    order. Fewer points come back when fewer are left, none when the space is exhausted.
    Raises UsageError for an unknown algorithm or a negative count, ValueError for a score
    that is not finite.
    """
    space = algorithm if isinstance(algorithm, ParameterSpace) else _space(algorithm)
    if count < 0:
        raise UsageError(f"cannot propose {count} parameter sets: ask for none or more")
    scored = [_point_and_score(entry) for entry in history]
    if not all(math.isfinite(score) for _, score in scored):
        raise ValueError(f"the history of {space.algorithm} holds a score that is not finite")
    parents = [point for point, _ in heapq.nsmallest(PARENTS, scored, key=lambda e: (-e[1], e[0]))]
    search = _Search(space, {point for point, _ in scored}, parents, seed)
    points: list[Point] = []
    for _ in range(count):
        point = search.next_point()
        if point is None:
            break
        points.append(point)
    return [ParameterSet(space.algorithm, point) for point in points]


def _space(algorithm: str) -> ParameterSpace:
    if algorithm not in ALGORITHMS:
        raise UsageError(f"unknown algorithm '{algorithm}': use one of {', '.join(ALGORITHMS)}")
    return ALGORITHMS[algorithm]


def _point_and_score(entry: Scored) -> tuple[Point, float]:
    if isinstance(entry, VariationResult):
        return entry.values, entry.score
    values, score = entry
    return tuple(values), score


def _generator(*keys: object) -> random.Random:
    """Randomness that depends on ``keys`` alone; only ``.random()`` of it is stable across Python versions."""
    digest = hashlib.sha256("|".join(map(str, keys)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


class _Search:
    """One call's proposals; ``seen`` grows with each of them."""

    def __init__(self, space: ParameterSpace, seen: set[Point], parents: list[Point], seed: int) -> None:
        self._space, self._seen, self._parents = space, seen, parents
        self._tested = len(seen)
        self._random = _generator(space.algorithm, seed, self._tested)
        self._starts = self._start_points(seed) if self._tested < STARTS else []
        self._left: list[Point] | None = None  # every point not seen, once chance finds no more

    def next_point(self) -> Point | None:
        """A point not seen before, or None when there is none."""
        point = self._unseen_start() or self._unseen_by_chance() or self._unseen_by_enumeration()
        if point is not None:
            self._seen.add(point)
        return point

    def _start_points(self, seed: int) -> list[Point]:
        """The random points that open every search of this space and seed, last one first."""
        if self._space.size <= STARTS:
            return []
        generator = _generator(self._space.algorithm, seed, "starts")
        points: dict[Point, None] = {}
        while len(points) < STARTS:
            points.setdefault(self._random_point(generator))
        return list(points)[::-1]

    def _unseen_start(self) -> Point | None:
        while self._starts and len(self._seen) < STARTS:
            point = self._starts.pop()
            if point not in self._seen:
                return point
        return None

    def _unseen_by_chance(self) -> Point | None:
        if self._left is not None:
            return None
        for _ in range(TRIES):
            if self._parents and self._random.random() >= RANDOM_SHARE:
                point = self._child(self._parents[int(len(self._parents) * self._random.random() ** 2)])
            else:
                point = self._random_point(self._random)
            if point not in self._seen and self._space.contains(point):
                return point
        return None

    def _unseen_by_enumeration(self) -> Point | None:
        """Near exhaustion, or around crowded parents, chance fails: draw from a list of what is left."""
        if self._left is None:
            self._left = [point for point in self._space.enumerate() if point not in self._seen]
        if not self._left:
            return None
        return self._left.pop(int(len(self._left) * self._random.random()))

    def _child(self, parent: Point) -> Point:
        point = list(parent)
        axes = len(point)
        first = int(axes * self._random.random())
        moved = [first]
        if axes > 1 and self._random.random() < TWO_MOVES:
            moved.append((first + 1 + int((axes - 1) * self._random.random())) % axes)
        for axis in moved:
            steps = 1
            while self._random.random() < 0.5:
                steps += 1
            parameter = self._space.parameters[axis]
            value = point[axis] + (steps if self._random.random() < 0.5 else -steps)
            point[axis] = min(max(value, parameter.low), parameter.high)
        return tuple(point)

    def _random_point(self, generator: random.Random) -> Point:
        while True:
            point = tuple(p.low + int((p.high - p.low + 1) * generator.random()) for p in self._space.parameters)
            if self._space.rising is None or self._space.contains(point):
                return point
