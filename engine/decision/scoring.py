"""The score of one variation: how much its buys beat the same day's universe, and how surely.

    score = w*mean(m) - 0.5*std(m) - 0.5*max(0, 1 - buys/50),   w = buys/(buys + 40)

m_d is the mean excess of day d's buys in percentage points (0 for a day without buys),
buys the 5-day total, std the population deviation over the five days (CONTRACTS, *Scores*).
Shrinking and the shortage keep a lucky handful of buys from leading the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.model import MICRO, mean_or_zero

SHRINK_BUYS = 40  # buys at which a mean counts half
ENOUGH_BUYS = 50  # 5-day buys below which the shortage grows
DEVIATION_WEIGHT = 0.5
SHORTAGE_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class VariationScore:
    """The score and its parts, all in percentage points; the parts add up to the score."""

    score: float
    mean: float  # w * mean(m)
    deviation: float  # - 0.5 * std(m)
    shortage: float  # - 0.5 * max(0, 1 - buys/50)
    day_means: tuple[float, ...]  # m


def variation_score(buys: Sequence[int], excess_sums: Sequence[int]) -> VariationScore:
    """The score of daily ``buys`` (tickers) and ``excess_sums`` (micro-percent over those buys).

    Raises ValueError when the two differ in length, hold no day, or a day has excess without buys.
    """
    if len(buys) != len(excess_sums) or not buys:
        raise ValueError(f"{len(buys)} days of buys and {len(excess_sums)} of excess")
    if any(b < 0 or (b == 0 and s != 0) for b, s in zip(buys, excess_sums, strict=True)):
        raise ValueError("a day has excess without buys")
    means = tuple(int(s) / int(b) / MICRO if b else 0.0 for b, s in zip(buys, excess_sums, strict=True))
    total = int(sum(buys))
    mean = mean_or_zero(means)
    spread = math.sqrt(math.fsum((m - mean) ** 2 for m in means) / len(means))
    mean_part = total / (total + SHRINK_BUYS) * mean
    deviation_part = -DEVIATION_WEIGHT * spread
    shortage_part = -SHORTAGE_WEIGHT * max(0.0, 1.0 - total / ENOUGH_BUYS)
    return VariationScore(
        score=mean_part + deviation_part + shortage_part,
        mean=mean_part,
        deviation=deviation_part,
        shortage=shortage_part,
        day_means=means,
    )
