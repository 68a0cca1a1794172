"""mp1_p3: which variations of the week mp2 may combine, and why each of the others was dropped.

The one thing to know: fewer survivors are reported, never padded. A variation passes the
gates first, then the order is by score (ties: the smaller parameters), and it is dropped
when its five days of picks are nearly those of a better one that was kept.

Counts are tickers bought; means and scores are percentage points of excess over the same
day's universe; formulas and defaults: CONTRACTS.md, *Scores*.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.errors import OperatorError
from engine.events import AlgorithmPruned, EventSink
from engine.model import DAYS, TICKERS, WORDS, Words
from engine.records import PrunedVariation, VariationResult
from engine.settings import PrunerSettings
from engine.spaces import ParameterSpace
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb

NEAR_DUPLICATE = "near-duplicate of a better one"


def gate_failed(result: VariationResult, settings: PrunerSettings) -> str | None:
    """The first gate that ``result`` fails, in words, or None when it passes all five."""
    means = result.excess_means()
    total = sum(result.buys)
    if min(result.buys) < settings.min_buys_day:
        return f"with fewer than {settings.min_buys_day} buys on a day"
    if total < settings.min_buys:
        return f"with fewer than {settings.min_buys} buys in all"
    if 100.0 * total / (DAYS * TICKERS) > settings.max_density_pct:
        return f"denser than {settings.max_density_pct:g} %"
    if sum(mean > 0 for mean in means) < settings.min_positive_days:
        return f"with fewer than {settings.min_positive_days} positive days"
    if min(means) < settings.worst_day:
        return f"with a day below {settings.worst_day:+.2f}"
    return None


class _Kept:
    """The picks of what is kept so far, as one array: a Jaccard with all of them is one pass."""

    def __init__(self, capacity: int) -> None:
        self.words: Words = np.zeros((capacity, DAYS * WORDS), dtype=np.uint64)
        self.counts = np.zeros(capacity, dtype=np.int64)
        self.size = 0

    def nearest(self, words: Words, count: int) -> float:
        """The largest Jaccard of 5-day picks with a kept one; 0 when none is kept."""
        if self.size == 0:
            return 0.0
        shared = np.bitwise_count(self.words[: self.size] & words).sum(axis=1, dtype=np.int64)
        union = self.counts[: self.size] + count - shared
        return float((shared / np.maximum(union, 1)).max())

    def add(self, words: Words, count: int) -> None:
        self.words[self.size], self.counts[self.size] = words, count
        self.size += 1


def select(
    variations: Sequence[VariationResult], settings: PrunerSettings, algorithm: str
) -> tuple[list[PrunedVariation], Counter[str]]:
    """The variations of one algorithm that are kept, best first, and how many fell to each reason.

    Pure, and independent of the order of ``variations``. Kept plus dropped is all of them.
    """
    dropped: Counter[str] = Counter()
    passed: list[VariationResult] = []
    for result in variations:
        failed = gate_failed(result, settings)
        if failed is None:
            passed.append(result)
        else:
            dropped[failed] += 1
    passed.sort(key=lambda r: (-r.score, r.values))

    places = settings.keep.get(algorithm, settings.keep_default)
    kept: list[PrunedVariation] = []
    picks = _Kept(min(places, len(passed)))
    for result in passed:
        if len(kept) == places:
            dropped[f"beyond the best {places}"] += 1
            continue
        words = np.frombuffer(result.picks, dtype="<u8").astype(np.uint64, copy=False)
        count = int(np.bitwise_count(words).sum())
        nearest = picks.nearest(words, count)
        if nearest > settings.near_duplicate:
            dropped[NEAR_DUPLICATE] += 1
            continue
        picks.add(words, count)
        rank = len(kept) + 1
        likeness = f"; nearest better one {nearest:.2f}" if rank > 1 else ""
        kept.append(PrunedVariation(result, rank, f"rank {rank} of {len(passed)} that pass the gates{likeness}"))
    return kept, dropped


@dataclass(frozen=True)
class PruneReport:
    """What the stage kept and dropped, by algorithm."""

    tested: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)  # the places each algorithm had

    def add(self, algorithm: str, tested: int, kept: int, dropped: Counter[str], asked: int) -> None:
        self.tested[algorithm], self.kept[algorithm] = tested, kept
        self.dropped[algorithm], self.asked[algorithm] = dropped, asked

    @property
    def total(self) -> int:
        return sum(self.kept.values())

    def summary(self) -> str:
        """One line: how many of how many, and which algorithms came short of their places."""
        short = [f"{a} {n} of {self.asked[a]}" for a, n in self.kept.items() if n < self.asked[a]]
        text = f"kept {self.total:,} of {sum(self.tested.values()):,} variations"
        return text + (f"; fewer than asked: {', '.join(short)}" if short else "")

    def emptiness(self) -> str:
        """The sentence for a week in which nothing passed."""
        tested = sum(self.tested.values())
        if not tested:
            return "mp1_p3_pruner found no results to prune: run 'tshc weekend', its training fills them"
        reasons: Counter[str] = sum(self.dropped.values(), Counter())
        counts = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common())
        return (
            f"no variation of the week passes the pruner: of {tested:,} tested, {counts}; there is "
            "nothing to trade this week, or train more cycles (--cycles) or relax a gate in the "
            "[pruner] section of tsh.toml"
        )


async def prune(
    results: VariationResultsDb,
    stocks: StocksDataDb,
    spaces: Sequence[ParameterSpace],
    settings: PrunerSettings,
    events: EventSink,
) -> PruneReport:
    """mp1_p3: keeps the variations that mp2 may combine. Rerunnable: replaces the pruned tables whole.

    Raises OperatorError with the counts when no algorithm keeps anything.
    """
    report = PruneReport()
    for space in spaces:
        variations = await results.results(space)
        kept, dropped = await asyncio.to_thread(select, variations, settings, space.algorithm)
        await stocks.replace_pruned(space, kept)
        asked = settings.keep.get(space.algorithm, settings.keep_default)
        report.add(space.algorithm, len(variations), len(kept), dropped, asked)
        events.publish(AlgorithmPruned(algorithm=space.algorithm, kept=len(kept), dropped=dict(dropped)))
    if report.total == 0:
        raise OperatorError(report.emptiness())
    return report
