"""Cross-checks of the training loop: some batches of every cycle, computed again by the other backend.

The one thing to know: a real disagreement ends the run. Two backends that compute different
things cannot both be right, and a week trained on a wrong one is worse than none. A tie (an
indicator within 1e-9 of its threshold, see ``engine.compute.comparisons``) is counted and
told, and the run goes on with the results of its own backend.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from engine.compute import ComputeEngine
from engine.compute.agreement import Difference, DisagreementError, differences
from engine.model import BATCH_TICKERS, BATCHES, DAYS, Evaluation, Floats, ParameterSet

OTHER = {"native": "workbook", "workbook": "native"}


class CrossCheck:
    """Compares batches of a run with another engine. ``count`` batches a cycle, chosen by the seed.

    ``symbols`` name the tickers in a report. For one thread at a time.
    """

    def __init__(
        self,
        other: ComputeEngine,
        own_name: str,
        symbols: Sequence[str],
        days: Sequence[Floats],
        *,
        count: int,
        seed: int,
    ) -> None:
        self.other, self.names = other, (own_name, other.name)
        self.batches = 0  # compared so far
        self.cells = 0
        self.ties: list[str] = []  # each in one line, in the order found
        self._symbols, self._days = symbols, days
        self._count, self._seed = min(count, DAYS * BATCHES), seed

    def chosen(self, cycle: int) -> frozenset[tuple[int, int]]:
        """The (day 1..5, batch 1..4) pairs that are compared in a cycle: a pure function of seed and cycle."""
        digest = hashlib.sha256(f"cross-check|{self._seed}|{cycle}".encode()).digest()
        generator = random.Random(int.from_bytes(digest[:8], "big"))
        every = [(day, batch) for day in range(1, DAYS + 1) for batch in range(1, BATCHES + 1)]
        picked = sorted(every, key=lambda _: generator.random())[: self._count]
        return frozenset(picked)

    def compare(self, day: int, batch: int, sets: Sequence[ParameterSet], own: Evaluation) -> None:
        """Computes one batch again. DisagreementError names ticker, day, algorithm, parameters and both values."""
        first = (batch - 1) * BATCH_TICKERS
        windows = self._days[day - 1][first : first + BATCH_TICKERS]
        answer = self.other.evaluate(windows, sets, mode="training")
        self.batches += 1
        self.cells += own.buys.size
        for difference in differences(windows, sets, own, answer):
            told = self._told(difference, day, first)
            if not difference.tie:
                raise DisagreementError(
                    f"the backends disagree on {told}; no cycle with it was stored: run 'tshc workbook check' "
                    "for all differences, and train on neither until they are explained"
                )
            self.ties.append(told)

    def _told(self, difference: Difference, day: int, first: int) -> str:
        return f"{self._symbols[first + difference.ticker]}, day {day}, {difference.text(self.names)}"
