"""Do two backends say the same? Every cell is compared; what differs is judged, never averaged.

A buy flag that differs is a *tie* when a plain third computation (``comparisons``) finds an
indicator within 1e-9 of its threshold that explains it; everything else, and every PP that
is not the same integer, is a disagreement. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine.compute.algorithms import ALGORITHMS
from engine.compute.comparisons import comparisons, is_tie
from engine.compute.protocol import ComputeEngine, EvaluationMode
from engine.errors import OperatorError
from engine.model import BATCH_TICKERS, LOOKBACK, MICRO, Evaluation, Floats, ParameterSet


class DisagreementError(OperatorError):
    """Two backends computed different things: results of neither may be used until it is explained."""


@dataclass(frozen=True)
class Difference:
    """One cell in which two backends differ; ``tested`` is None when it is the PP."""

    ticker: int  # position among the compared windows
    tested: ParameterSet | None
    first: int  # 1 or 0, or micro-percent
    second: int
    tie: bool
    sides: tuple[str, ...] = ()  # the third computation's comparisons

    def text(self, names: tuple[str, str]) -> str:
        """Which cell, both values, and how close the decision is."""
        if self.tested is None:
            a, b = self.first / MICRO, self.second / MICRO
            return f"PP: {names[0]} {a:.6f} %, {names[1]} {b:.6f} %"
        words = {0: "no buy", 1: "buy"}
        said = f"{names[0]} {words[self.first]}, {names[1]} {words[self.second]}"
        values = ALGORITHMS[self.tested.algorithm].text(self.tested.values)
        return f"{self.tested.algorithm} {values}: {said} ({'; '.join(self.sides)})"


def differences(
    windows: Floats, sets: Sequence[ParameterSet], first: Evaluation, second: Evaluation
) -> list[Difference]:
    """Every differing cell; ``windows`` as both backends got them."""
    found: list[Difference] = []
    if first.pp is not None and second.pp is not None:
        for ticker in np.flatnonzero(first.pp != second.pp).tolist():
            found.append(Difference(ticker, None, int(first.pp[ticker]), int(second.pp[ticker]), False))
    for ticker, position in np.argwhere(first.buys != second.buys).tolist():
        sides = comparisons(windows[ticker, -LOOKBACK:], sets[position])
        found.append(
            Difference(
                ticker,
                sets[position],
                int(first.buys[ticker, position]),
                int(second.buys[ticker, position]),
                is_tie(sides),
                tuple(side.text for side in sides),
            )
        )
    return found


@dataclass
class Agreement:
    """A running account of compared cells, by algorithm."""

    names: tuple[str, str]
    cells: Counter[str] = field(default_factory=Counter)
    ties: Counter[str] = field(default_factory=Counter)
    disagreements: Counter[str] = field(default_factory=Counter)
    pp_cells: int = 0
    pp_disagreements: int = 0
    largest_pp: int = 0  # micro-percent
    found: list[Difference] = field(default_factory=list)

    @property
    def agree(self) -> bool:
        return not self.pp_disagreements and not sum(self.disagreements.values())

    def add(
        self,
        windows: Floats,
        sets: Sequence[ParameterSet],
        first: Evaluation,
        second: Evaluation,
        *,
        start: int = 0,
    ) -> list[Difference]:
        """Compares one more part, whose first window is number ``start`` of all; its differences."""
        for tested in sets:
            self.cells[tested.algorithm] += len(windows)
        if first.pp is not None and second.pp is not None and len(first.pp):
            self.pp_cells += len(windows)
            self.largest_pp = max(self.largest_pp, int(np.abs(first.pp - second.pp).max()))
        found = differences(windows, sets, first, second)
        fresh = [replace(difference, ticker=start + difference.ticker) for difference in found]
        for difference in fresh:
            if difference.tested is None:
                self.pp_disagreements += 1
            elif difference.tie:
                self.ties[difference.tested.algorithm] += 1
            else:
                self.disagreements[difference.tested.algorithm] += 1
        self.found += fresh
        return fresh


def compare_engines(
    first: ComputeEngine,
    second: ComputeEngine,
    windows: Floats,
    sets: Sequence[ParameterSet],
    mode: EvaluationMode,
    account: Agreement,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Asks both engines about every window and adds what they said to ``account``, a batch at a time."""
    for start in range(0, len(windows), BATCH_TICKERS):
        part = windows[start : start + BATCH_TICKERS]
        answers = [engine.evaluate(part, sets, mode=mode) for engine in (first, second)]
        account.add(part, sets, answers[0], answers[1], start=start)
        if progress is not None:
            progress(len(part))
