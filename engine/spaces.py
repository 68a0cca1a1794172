"""Parameter spaces: the integer grids that variations live on.

A point is a tuple of whole steps in the order of the algorithm's parameters (ALGORITHMS):
7 steps of 0.1 are 0.7, 8 steps of 5 are 40. Integers are what is stored, compared and
moved; real values exist only inside a kernel and on a screen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.model import Parameter


@dataclass(frozen=True)
class ParameterSpace:
    """All parameter sets of one algorithm.

    ``rising``: positions (a, b) whose real values must satisfy a < b (a fast line's period
    below the slow one's); None when every combination is allowed.
    """

    algorithm: str
    parameters: tuple[Parameter, ...]
    rising: tuple[int, int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @cached_property
    def size(self) -> int:
        """How many parameter sets the space holds."""
        if self.rising is None:
            return math.prod(p.high - p.low + 1 for p in self.parameters)
        return sum(1 for _ in self.enumerate())

    def contains(self, values: Sequence[int]) -> bool:
        """Whether ``values`` (whole steps) is a point of the space."""
        if len(values) != len(self.parameters):
            return False
        if not all(p.low <= v <= p.high for p, v in zip(self.parameters, values, strict=True)):
            return False
        if self.rising is None:
            return True
        a, b = self.rising
        return self.parameters[a].value(values[a]) < self.parameters[b].value(values[b])

    def enumerate(self) -> Iterator[tuple[int, ...]]:
        """Every point, in lexicographic order."""
        grid = itertools.product(*(range(p.low, p.high + 1) for p in self.parameters))
        return (point for point in grid if self.rising is None or self.contains(point))

    def reals(self, values: Sequence[int]) -> tuple[float, ...]:
        """The parameters' real values, e.g. (20, 10, 7) of kelt is (20.0, 10.0, 0.7)."""
        return tuple(p.value(v) for p, v in zip(self.parameters, values, strict=True))

    def text(self, values: Sequence[int]) -> str:
        """As a person reads it: ``n 11  thr 18  k 3``."""
        return "  ".join(f"{p.name} {p.text(v)}" for p, v in zip(self.parameters, values, strict=True))
