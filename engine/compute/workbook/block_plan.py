"""How parameter sets are laid over the workbook's 80 slots: 8 of each algorithm a pass.

Sets of one algorithm beyond eight need further passes over the same tickers; slots without
a set are filled with one that the block holds anyway, so that every formula has parameters
of its space. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.compute.algorithms import ALGORITHMS
from engine.compute.workbook import layout
from engine.errors import UsageError
from engine.model import Bools, Ints, ParameterSet

Slots = tuple[tuple[float, ...], ...]  # real values of one block's 8 variations


@dataclass(frozen=True)
class BlockPass:
    """One filling of the blocks. ``positions[i]`` in the caller's list is answered by flag ``flags[i]``."""

    blocks: Mapping[str, Slots]
    positions: Ints
    flags: Ints

    def spread(self, found: Bools, into: Bools) -> None:
        """Copies the pass's flags [tickers, 80] to their columns of ``into`` [tickers, sets]."""
        into[:, self.positions] = found[:, self.flags]


def first_point(algorithm: str) -> tuple[float, ...]:
    """The first point of the algorithm's space, in real values: what an unused slot holds."""
    space = ALGORITHMS[algorithm]
    return space.reals(next(space.enumerate()))


def plan_passes(parameter_sets: Sequence[ParameterSet]) -> list[BlockPass]:
    """The passes that answer for every set, at least one.

    UsageError for an unknown algorithm or values outside its space.
    """
    waiting: dict[str, list[int]] = defaultdict(list)
    for position, wanted in enumerate(parameter_sets):
        space = ALGORITHMS.get(wanted.algorithm)
        if space is None or wanted.algorithm not in layout.BLOCKS:
            raise UsageError(
                f"unknown algorithm '{wanted.algorithm}': the workbook has {', '.join(layout.BLOCKS)}"
            )
        if not space.contains(wanted.values):
            raise UsageError(
                f"{wanted.algorithm}{tuple(wanted.values)} is outside its space "
                f"({', '.join(f'{p.name} {p.low}..{p.high}' for p in space.parameters)} in whole steps)"
            )
        waiting[wanted.algorithm].append(position)
    most = max((len(positions) for positions in waiting.values()), default=1)
    return [_one_pass(parameter_sets, waiting, first) for first in range(0, most, layout.SLOTS)]


def _one_pass(
    parameter_sets: Sequence[ParameterSet], waiting: Mapping[str, Sequence[int]], first: int
) -> BlockPass:
    blocks: dict[str, Slots] = {}
    positions: list[int] = []
    flags: list[int] = []
    for algorithm in layout.BLOCKS:
        here = waiting.get(algorithm, ())[first : first + layout.SLOTS]
        slots = [ALGORITHMS[algorithm].reals(parameter_sets[i].values) for i in here]
        positions += here
        flags += [layout.flag_position(algorithm, slot) for slot in range(len(here))]
        slots += [slots[0] if slots else first_point(algorithm)] * (layout.SLOTS - len(slots))
        blocks[algorithm] = tuple(slots)
    return BlockPass(blocks, np.array(positions, np.int64), np.array(flags, np.int64))
