"""What the rest of the program may ask of a compute engine, whichever backend it is.

Every backend answers ``evaluate``. One that can also keep a whole week's windows in its
own layout answers ``prepare``, which saves packing them again for every cycle; results
are identical either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from engine.model import DAYS, TICKERS, WORDS, Evaluation, Floats, Ints, ParameterSet, Words

EvaluationMode = Literal["training", "execution"]
WarmUpProgress = Callable[[int, int, str], None]  # (done, total, name of the kernel just made ready)


class ComputeEngine(Protocol):
    """Turns windows and parameter sets into buy flags and PP."""

    @property
    def name(self) -> str:
        """As in the settings: ``native`` or ``workbook``."""

    def evaluate(
        self, windows: Floats, parameter_sets: Sequence[ParameterSet], *, mode: EvaluationMode = "training"
    ) -> Evaluation:
        """Buys of every set on every window, and the windows' PP (ALGORITHMS).

        ``windows`` float64, newest row first, columns open high low close volume:
        [n, 65, 5] in training (row 1 is the confirmation row), [n, 64, 5] in execution,
        where PP is None. Raises UsageError for a wrong shape, type, mode or parameter set,
        DataError for a bar that must not be used, with its place.
        """

    def warm_up(self, progress: WarmUpProgress) -> None:
        """Makes the engine ready (compiles once, starts an office), telling each step."""


@dataclass(frozen=True)
class WeekCounts:
    """What parameter sets bought in a week, filled batch by batch; sums in micro-percent."""

    buys: Ints  # [sets, 5]
    pp_sum: Ints  # [sets, 5]
    picks: Words  # [sets, 5, 16]
    pp: Ints  # [5, 1000], complete when all batches are

    @classmethod
    def empty(cls, sets: int) -> WeekCounts:
        return cls(
            buys=np.zeros((sets, DAYS), np.int64),
            pp_sum=np.zeros((sets, DAYS), np.int64),
            picks=np.zeros((sets, DAYS, WORDS), np.uint64),
            pp=np.zeros((DAYS, TICKERS), np.int64),
        )


class WeekTest(Protocol):
    """One test of parameter sets over a prepared week."""

    @property
    def counts(self) -> WeekCounts: ...

    def run_batch(self, day: int, batch: int) -> None:
        """Adds one batch of 250 tickers; ``day`` 0..4, ``batch`` 0..3, each pair once."""


class PreparedWeek(Protocol):
    """Five days of 1,000 windows each, ready to be tested again and again. For one thread at a time."""

    def begin(self, parameter_sets: Sequence[ParameterSet]) -> WeekTest: ...


@runtime_checkable
class PreparingEngine(Protocol):
    """A compute engine that keeps a week in its own layout."""

    def prepare(self, days: Sequence[Floats]) -> PreparedWeek:
        """``days``: five arrays float64[1000, 65, 5]; errors as ``evaluate``."""


@dataclass(frozen=True, slots=True)
class OfficeStatus:
    """How an engine that computes in office programs is doing."""

    office: str  # with its version
    instances: int
    tickers: int  # worked through in all
    tickers_per_s: float | None  # lately, all instances together
    restarts: int  # offices replaced because they crashed or hung


@runtime_checkable
class OfficeEngine(Protocol):
    """A compute engine whose formulas live in a workbook."""

    def write_blocks(self, parameter_sets: Sequence[ParameterSet]) -> None:
        """Puts the next variations into the workbook's blocks."""

    def status(self) -> OfficeStatus: ...

    def close(self) -> None:
        """Ends the offices; nothing is left behind."""
