"""Why a search found nothing: how the guardrails of the search cut the pairs of variations.

Pairs are counted because they decide: a group passes the picks a day only if all its pairs
do. Pure numpy, a second for 1,700 variations; called only when there is no group at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.model import DAYS, MICRO, Ints, Words, unpack_picks


@dataclass(frozen=True, slots=True)
class GuardrailTally:
    """Pairs of different algorithms, by the first guardrail that stopped them."""

    min_picks: int
    min_positive_days: int
    day_floor: float | None  # percentage points
    pairs: int
    few_picks: int
    few_positive_days: int
    bad_day: int
    best_shared: int  # the most picks a day that any pair shares on its poorest day

    @property
    def passing(self) -> int:
        return self.pairs - self.few_picks - self.few_positive_days - self.bad_day

    def sentence(self) -> str:
        """What blocked most, how we know, what to change."""
        if self.pairs == 0:
            return (
                "fewer than two algorithms kept variations, so there is nothing to combine: "
                "run more training cycles (training.cycles) or loosen the pruner's gates ([pruner] in tsh.toml)"
            )
        sharing = self.pairs - self.few_picks
        if sharing == 0:
            lower = (
                f"lower it from {self.min_picks} to {self.best_shared}"
                if self.best_shared > 0
                else "train more cycles, so that more variations pick together"
            )
            return (
                f"search.min_picks stopped all {self.pairs} pairs of variations (no pair shares more than "
                f"{self.best_shared} picks on its poorest day): {lower}"
            )
        if self.passing:
            return (
                f"{self.passing} pairs pass them, so the search ended before it reached one: "
                "give it more time (search.budget_s) or tests (search.tests)"
            )
        blocked = {"min_positive_days": self.few_positive_days, "day_floor": self.bad_day}
        most = max(blocked, key=lambda name: blocked[name])
        value = f"{self.min_positive_days} days" if most == "min_positive_days" else f"{self.day_floor:g} % a day"
        return (
            f"of {sharing} pairs that share enough picks, search.{most} ({value}) stopped {blocked[most]}: "
            "lower it, or let no group trade this week"
        )


def tally_pairs(
    bits: Words,
    excess: Ints,
    algorithm: Ints,
    *,
    min_picks: int,
    min_positive_days: int,
    day_floor: float | None,
) -> GuardrailTally:
    """Counts the pairs of ``bits`` uint64[n, 5, 16] under ``excess`` int64[5, 1000] micro-percent."""
    n = len(bits)
    different = np.triu(algorithm[:, None] != algorithm[None, :], 1)
    fewest = np.full((n, n), np.iinfo(np.int64).max)
    positive = np.zeros((n, n), np.int64)
    worst = np.full((n, n), np.inf)
    for day in range(DAYS):
        buys = unpack_picks(bits[:, day]).astype(np.float32)
        shared = np.rint(buys @ buys.T).astype(np.int64)
        sums = (buys.astype(np.float64) * excess[day]) @ buys.T.astype(np.float64)
        means = sums / (np.maximum(shared, 1) * MICRO)
        fewest = np.minimum(fewest, shared)
        positive += means > 0
        worst = np.minimum(worst, means)
    enough = different & (fewest >= min_picks)
    often = enough & (positive >= min_positive_days)
    passing = often if day_floor is None else often & (worst >= day_floor)
    return GuardrailTally(
        min_picks=min_picks,
        min_positive_days=min_positive_days,
        day_floor=day_floor,
        pairs=int(different.sum()),
        few_picks=int((different & ~enough).sum()),
        few_positive_days=int((enough & ~often).sum()),
        bad_day=int((often & ~passing).sum()),
        best_shared=int(fewest[different].max()) if different.any() else 0,
    )
