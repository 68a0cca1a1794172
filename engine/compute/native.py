"""The native backend: the ten rules as numba kernels, float64, one thread, no global lock.

Every (ticker, day) stands alone: a window is seeded at its own oldest bar, whatever was
computed before. A block's kernels run algorithm by algorithm over all its parameter sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.brackets import DEFAULT_BRACKETS, BracketTable
from engine.compute.algorithms import RULES
from engine.compute.algorithms.rule import LANES, RULE_SIGNATURE, Flags, Rule
from engine.compute.blocks import FILL_SIGNATURE, TALLY_SIGNATURE, fill_block, tally
from engine.compute.protocol import EvaluationMode, WarmUpProgress, WeekCounts
from engine.errors import DataError, UsageError
from engine.kernel_cache import compiling
from engine.model import (
    BATCH_TICKERS,
    BATCHES,
    DAYS,
    LOOKBACK,
    OPEN,
    TICKERS,
    TRAINING_ROWS,
    VOLUME,
    Evaluation,
    ExitModel,
    Floats,
    Ints,
    ParameterSet,
    profit_percentage,
)

ROWS: dict[str, int] = {"training": TRAINING_ROWS, "execution": LOOKBACK}
KERNELS: tuple[tuple[str, Any, Any], ...] = (  # name, numba dispatcher, its one signature
    *((name, rule.buys, RULE_SIGNATURE) for name, rule in RULES.items()),
    ("fill_block", fill_block, FILL_SIGNATURE),
    ("tally", tally, TALLY_SIGNATURE),
)
COLUMNS = ("open", "high", "low", "close", "volume")


def check_windows(windows: Floats, mode: str) -> None:
    """Raises UsageError for a wrong mode, shape or type; DataError, with its place, for an unusable bar.

    A bar is unusable when a number is not finite, a price not positive or a volume negative.
    """
    if mode not in ROWS:
        raise UsageError(f"unknown mode '{mode}': use 'training' or 'execution'")
    if not isinstance(windows, np.ndarray) or windows.dtype != np.float64:
        kind = getattr(windows, "dtype", type(windows).__name__)
        raise UsageError(f"windows are {kind}, not a float64 array: convert them first")
    if windows.ndim != 3 or windows.shape[1:] != (ROWS[mode], 5):
        shape = list(windows.shape)
        raise UsageError(f"windows are {shape}; {mode} needs [tickers, {ROWS[mode]}, 5], newest row first")
    usable = np.isfinite(windows)
    usable[:, :, :VOLUME] &= windows[:, :, :VOLUME] > 0
    usable[:, :, VOLUME] &= windows[:, :, VOLUME] >= 0
    if not usable.all():
        ticker, row, column = (int(i) for i in np.argwhere(~usable)[0])
        value = windows[ticker, row, column]
        raise DataError(
            f"{COLUMNS[column]} of window {ticker}, row {row + 1} (newest first) is {value:g}: "
            "it must be finite and positive; build the data again without this ticker"
        )


@dataclass(frozen=True)
class _Share:
    """One algorithm's part of a list of parameter sets: its rows of the flags and their real values."""

    rule: Rule
    rows: slice
    values: Floats  # [sets of this algorithm, parameters]


class SetPlan:
    """Parameter sets sorted by algorithm, as the kernels want them.

    ``positions[i]`` is the place of row i in the caller's list. Raises UsageError for an
    unknown algorithm or values outside its space.
    """

    def __init__(self, parameter_sets: Sequence[ParameterSet]) -> None:
        by_algorithm: dict[str, list[int]] = {name: [] for name in RULES}
        for position, wanted in enumerate(parameter_sets):
            if wanted.algorithm not in RULES:
                raise UsageError(f"unknown algorithm '{wanted.algorithm}': use one of {', '.join(RULES)}")
            space = RULES[wanted.algorithm].space
            if not space.contains(wanted.values):
                raise UsageError(
                    f"{wanted.algorithm}{tuple(wanted.values)} is outside its space "
                    f"({', '.join(f'{p.name} {p.low}..{p.high}' for p in space.parameters)} in whole steps)"
                )
            by_algorithm[wanted.algorithm].append(position)
        self.size = len(parameter_sets)
        self.shares: list[_Share] = []
        ordered: list[int] = []
        for name, positions in by_algorithm.items():
            if positions:
                rule = RULES[name]
                values = np.array([rule.space.reals(parameter_sets[i].values) for i in positions], np.float64)
                rows = slice(len(ordered), len(ordered) + len(positions))
                self.shares.append(_Share(rule, rows, values))
                ordered += positions
        self.positions = np.array(ordered, dtype=np.int64)
        self._scratch = np.empty((max((s.rule.scratch_rows for s in self.shares), default=0), LANES))
        self.flags: Flags = np.zeros((self.size, LANES), dtype=np.uint8)

    def run(self, block: Floats) -> None:
        """Fills ``flags`` [sets by algorithm, lanes] for one block [5, 64, lanes]."""
        for share in self.shares:
            share.rule.buys(block, share.values, self._scratch, self.flags[share.rows])


class NativeWeek:
    """Five days of 1,000 windows in blocks of one batch each, with their PP."""

    def __init__(self, blocks: Floats, pp: Ints) -> None:
        self.blocks = blocks  # [5 days, 4 batches, 5 columns, 64 bars, 256 lanes]
        self.pp = pp  # [5, 1000] micro-percent

    def begin(self, parameter_sets: Sequence[ParameterSet]) -> NativeWeekTest:
        return NativeWeekTest(self, SetPlan(parameter_sets))


class NativeWeekTest:
    """Counts of one list of parameter sets over a ``NativeWeek``."""

    def __init__(self, week: NativeWeek, plan: SetPlan) -> None:
        self._week, self._plan = week, plan
        self.counts = WeekCounts.empty(plan.size)
        self.counts.pp[:] = week.pp

    def run_batch(self, day: int, batch: int) -> None:
        plan, counts = self._plan, self.counts
        plan.run(self._week.blocks[day, batch])
        first = batch * BATCH_TICKERS
        pp = self._week.pp[day, first : first + BATCH_TICKERS]
        tally(plan.flags, plan.positions, pp, day, first, counts.buys, counts.pp_sum, counts.picks)


class NativeEngine:
    """The default compute engine. ``brackets`` and ``exit_model`` decide PP alone, never a buy."""

    name = "native"

    def __init__(
        self,
        brackets: BracketTable = DEFAULT_BRACKETS,
        exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE,
    ) -> None:
        self._brackets, self._exit_model = brackets, exit_model

    def evaluate(
        self, windows: Floats, parameter_sets: Sequence[ParameterSet], *, mode: EvaluationMode = "training"
    ) -> Evaluation:
        """See ``ComputeEngine.evaluate``; any number of windows and sets."""
        check_windows(windows, mode)
        plan = SetPlan(parameter_sets)
        tickers = len(windows)
        buys = np.zeros((tickers, plan.size), dtype=np.bool_)
        block = np.empty((5, LOOKBACK, LANES))
        for first in range(0, tickers, LANES):
            part = np.ascontiguousarray(windows[first : first + LANES])
            fill_block(_read_only(part), ROWS[mode] - LOOKBACK, block)
            plan.run(block)
            buys[first : first + LANES, plan.positions] = plan.flags[:, : len(part)].T != 0
        return Evaluation(buys, self._profit(windows) if mode == "training" else None)

    def prepare(self, days: Sequence[Floats]) -> NativeWeek:
        """Packs a week once: five arrays float64[1000, 65, 5], day1 first; errors as ``evaluate``."""
        if len(days) != DAYS:
            raise UsageError(f"a week has {DAYS} days of windows; {len(days)} were given")
        blocks = np.empty((DAYS, BATCHES, 5, LOOKBACK, LANES))
        pp = np.empty((DAYS, TICKERS), dtype=np.int64)
        for day, windows in enumerate(days):
            check_windows(windows, "training")
            if len(windows) != TICKERS:
                raise UsageError(f"day{day + 1} has {len(windows)} tickers; the sample needs exactly {TICKERS}")
            for batch in range(BATCHES):
                part = windows[batch * BATCH_TICKERS : (batch + 1) * BATCH_TICKERS]
                fill_block(_read_only(np.ascontiguousarray(part)), TRAINING_ROWS - LOOKBACK, blocks[day, batch])
            pp[day] = self._profit(windows)
        return NativeWeek(blocks, pp)

    def warm_up(self, progress: WarmUpProgress) -> None:
        """Compiles every kernel, or loads it from the cache; other processes wait meanwhile."""
        with compiling():
            for done, (name, dispatcher, signature) in enumerate(KERNELS, start=1):
                dispatcher.compile(signature.args)
                progress(done, len(KERNELS), name)

    def _profit(self, windows: Floats) -> Ints:
        try:
            return profit_percentage(windows[:, 0], self._brackets, self._exit_model)
        except ValueError as error:
            low = float(windows[:, 0, OPEN].min())
            raise DataError(
                f"no PP for the confirmation rows (lowest open {low:g} dollars): {error}; "
                "check the bracket table and the bars"
            ) from error


def _read_only(array: Floats) -> Floats:
    """A read-only view: the caller's array may be one, and one kernel signature then serves all."""
    view = array.view()
    view.flags.writeable = False
    return view
