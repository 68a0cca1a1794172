"""Every variation that the week's training tested, and the pruner's rules over all of them at once, under any PP.

A shuffled week must choose its variations as the real one did: mp1_p3 kept those that did well on
exactly these five days, so a p among them alone would be too small. The rules are those of
``mp1_p3_pruner.select``, on arrays; a test holds the two against each other. What does not
depend on PP (gates on the number of buys) is applied once.

Rows are ordered by algorithm, then by parameter values: the order in which ties are broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.decision.scoring import DEVIATION_WEIGHT, ENOUGH_BUYS, SHORTAGE_WEIGHT, SHRINK_BUYS
from engine.decision.shuffle_kernels import day_sums, keep_distinct
from engine.model import DAYS, MICRO, TICKERS, WORDS, Floats, Ints, Words
from engine.settings import PrunerSettings


@dataclass(frozen=True, slots=True)
class VariationPool:
    """``bits`` uint64[n, 5, 16], ``buys`` int64[n, 5], ``algorithm`` int64[n], ``places`` int64[algorithms].

    Without those that fail a gate under any PP. ``whole``: training left no parameter set out.
    """

    bits: Words
    buys: Ints
    algorithm: Ints
    places: Ints
    rules: PrunerSettings
    whole: bool

    @classmethod
    def of(
        cls, names: Sequence[str], bits: Sequence[Words], rules: PrunerSettings, *, whole: bool
    ) -> VariationPool:
        """``bits[i]``: variations of algorithm ``names[i]``, by rising parameter values."""
        parts = [promising(own, rules) for own in bits]
        picks = np.ascontiguousarray(np.concatenate(parts))
        return cls(
            bits=picks,
            buys=np.bitwise_count(picks).sum(axis=2, dtype=np.int64),
            algorithm=np.repeat(np.arange(len(names), dtype=np.int64), [len(own) for own in parts]),
            places=np.array([rules.keep.get(name, rules.keep_default) for name in names], np.int64),
            rules=rules,
            whole=whole,
        )

    def kept(self, excess: Ints) -> Ints:
        """The rows that the pruner keeps when PP are ``excess`` int64[5, 1000]: by algorithm, best first."""
        sums = np.zeros_like(self.buys)
        day_sums(self.bits, excess, sums)
        means = sums / np.maximum(self.buys, 1) / MICRO
        fit = (means > 0).sum(axis=1) >= self.rules.min_positive_days
        fit &= means.min(axis=1, initial=np.inf) >= self.rules.worst_day
        rows = np.flatnonzero(fit)
        total = self.buys.sum(axis=1)
        order = rows[np.lexsort((rows, -_scores(means[rows], total[rows]), self.algorithm[rows]))]
        kept = np.zeros(int(self.places.sum()), np.int64)
        near = float(self.rules.near_duplicate)
        found = keep_distinct(self.bits, total, self.algorithm, order, self.places, near, kept)
        return kept[:found]


def promising(picks: Words, rules: PrunerSettings) -> Words:
    """Of ``picks`` uint64[n, 5, 16], or the same flat, those that pass the gates that PP cannot change."""
    picks = picks.reshape(-1, DAYS, WORDS)
    buys = np.bitwise_count(picks).sum(axis=2, dtype=np.int64)
    total = buys.sum(axis=1)
    fit = (buys.min(axis=1) >= rules.min_buys_day) & (total >= rules.min_buys)
    fit &= 100.0 * total / (DAYS * TICKERS) <= rules.max_density_pct
    chosen: Words = picks[fit]
    return chosen


def _scores(means: Floats, total: Ints) -> Floats:
    """``scoring.variation_score`` of many: daily means [n, 5] in percentage points, 5-day buys [n]."""
    mean = means.mean(axis=1)
    spread = np.sqrt(((means - mean[:, None]) ** 2).mean(axis=1))
    shortage = np.maximum(0.0, 1.0 - total / ENOUGH_BUYS)
    scores: Floats = total / (total + SHRINK_BUYS) * mean - DEVIATION_WEIGHT * spread - SHORTAGE_WEIGHT * shortage
    return scores
