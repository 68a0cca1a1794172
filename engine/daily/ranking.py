"""The one-month lookback: what the last sessions say about each ticker, its vetoes and its rank score.

Pure functions of arrays over one universe. The one thing to know: every part of the rank is
a cross-sectional percent rank in 0..1 over the **whole weekday universe**, not among the
day's candidates, so a candidate's score does not depend on who else was bought and three
candidates are ranked on the same scale as three hundred.

Bars are float64[tickers, sessions, 5], oldest session first, dollars and shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.model import CLOSE, HIGH, LOW, MICRO, OPEN, VOLUME, Bools, Floats, Ints

ATR_SESSIONS = 20
CRASH_SESSIONS = 5  # of the veto on the largest recent losers
FIRING_SHRINK = 4  # firings that weigh as much as the prior of "no excess": mean * n / (n + 4)

PARTS = ("firings", "month_mean", "month_hits", "liquidity", "gap_risk", "atr_distance")


@dataclass(frozen=True, slots=True)
class Lookback:
    """The raw measures, one number a ticker; percent unless named otherwise."""

    month_mean_pct: Floats  # mean open-to-close
    month_hits: Floats  # share of sessions that closed above their open, 0..1
    dollar_volume: Floats  # median close * volume, dollars a day
    gap_pct: Floats  # mean absolute overnight gap
    atr_pct: Floats  # ATR(20) of the last close
    atr_distance_pct: Floats  # |ATR% - the universe's median|
    return_5_pct: Floats  # close against the close five sessions ago


def percent_rank(values: Floats) -> Floats:
    """Where each value stands among all, 0 (least) to 1 (largest); equal values share their mean rank.

    A universe of one gets 0.5. ValueError for a value that is not finite: it has no rank.
    """
    if not np.all(np.isfinite(values)):
        raise ValueError("a value without a finite number cannot be ranked")
    n = len(values)
    if n <= 1:
        return np.full(n, 0.5)
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    return np.asarray((below + not_above - 1) / (2.0 * (n - 1)), dtype=np.float64)


def true_range_pct(bars: Floats, sessions: int = ATR_SESSIONS) -> Floats:
    """Mean true range of the last ``sessions`` bars in percent of the last close."""
    recent, before = bars[:, -sessions:], bars[:, -sessions - 1 : -1, CLOSE]
    highest = np.maximum(recent[:, :, HIGH], before)
    lowest = np.minimum(recent[:, :, LOW], before)
    return np.asarray(100.0 * (highest - lowest).mean(axis=1) / bars[:, -1, CLOSE], dtype=np.float64)


def lookback(bars: Floats, sessions: int) -> Lookback:
    """The measures of the last ``sessions`` bars of each ticker.

    Needs max(sessions, 20) + 1 bars, all positive prices; ValueError when there are fewer.
    """
    needed = max(sessions, ATR_SESSIONS) + 1
    if bars.shape[1] < needed:
        raise ValueError(f"the lookback needs {needed} sessions, there are {bars.shape[1]}")
    recent = bars[:, -sessions:]
    opened, close = recent[:, :, OPEN], recent[:, :, CLOSE]
    before = bars[:, -sessions - 1 : -1, CLOSE]
    atr = true_range_pct(bars)
    return Lookback(
        month_mean_pct=100.0 * (close / opened - 1.0).mean(axis=1),
        month_hits=(close > opened).mean(axis=1),
        dollar_volume=np.median(close * recent[:, :, VOLUME], axis=1),
        gap_pct=100.0 * np.abs(opened / before - 1.0).mean(axis=1),
        atr_pct=atr,
        atr_distance_pct=np.abs(atr - np.median(atr)) if len(atr) else atr,
        return_5_pct=100.0 * (bars[:, -1, CLOSE] / bars[:, -1 - CRASH_SESSIONS, CLOSE] - 1.0),
    )


def shrunk_firings(fired: Bools, excess: Ints) -> tuple[Ints, Floats]:
    """How often each ticker was this group's pick, and the shrunk mean excess of those sessions in percent.

    ``fired`` bool[days, tickers], ``excess`` int64[days, tickers] micro-percent of the session
    that followed each signal. The mean is weighted n / (n + 4) toward zero: a ticker fires
    once or twice a month, and one lucky day must not outrank everything; never fired is 0.
    """
    count = fired.sum(axis=0, dtype=np.int64)
    total = np.where(fired, excess, 0).sum(axis=0, dtype=np.int64)
    return count, total / MICRO / (count + FIRING_SHRINK)


def components(firings: Floats, measures: Lookback) -> dict[str, Floats]:
    """The percent rank of each part of the rank score, by the names of ``DailySettings.weights``."""
    return {
        "firings": percent_rank(firings),
        "month_mean": percent_rank(measures.month_mean_pct),
        "month_hits": percent_rank(measures.month_hits),
        "liquidity": percent_rank(np.log1p(measures.dollar_volume)),
        "gap_risk": percent_rank(measures.gap_pct),
        "atr_distance": percent_rank(measures.atr_distance_pct),
    }


def rank_scores(ranks: Mapping[str, Floats], weights: Mapping[str, float]) -> tuple[Floats, dict[str, Floats]]:
    """The rank score in 0..1 and the contribution of each part; the contributions sum to the score.

    A part with a negative weight contributes ``|w| * (1 - rank)``: the same order as
    ``w * rank``, moved by a constant so that every contribution reads as points earned. Weights
    are divided by their absolute sum (1 by default). ValueError for an unknown part or no weight.
    """
    unknown = sorted(set(weights) - set(ranks))
    scale = sum(abs(w) for w in weights.values())
    if unknown or scale <= 0:
        raise ValueError(
            f"unknown part of the rank: {', '.join(unknown)}; the parts are {', '.join(ranks)}"
            if unknown
            else "the weights of the rank are all zero"
        )
    parts = {
        name: np.asarray((ranks[name] if w >= 0 else 1.0 - ranks[name]) * (abs(w) / scale), dtype=np.float64)
        for name, w in weights.items()
    }
    return np.sum(list(parts.values()), axis=0), parts


def extreme(values: Floats, share_pct: float) -> Bools:
    """Which values belong to the largest ``share_pct`` percent; equal values at the edge are not extreme."""
    allowed = int(len(values) * share_pct / 100.0)
    not_below = len(values) - np.searchsorted(np.sort(values), values, side="left")
    return np.asarray(not_below <= allowed, dtype=np.bool_)


def vetoes(measures: Lookback, volatility_pct: float, loss_pct: float) -> list[str]:
    """Why each ticker may not be traded, "" when it may: the extremes that lose (EVIDENCE)."""
    volatile = extreme(measures.atr_pct, volatility_pct)
    crashed = extreme(-measures.return_5_pct, loss_pct)
    texts = []
    for i in range(len(volatile)):
        reasons = []
        if volatile[i]:
            reasons.append(f"top {volatility_pct:g} % of the universe by ATR% ({measures.atr_pct[i]:.1f} %)")
        if crashed[i]:
            reasons.append(f"bottom {loss_pct:g} % by 5-session return ({measures.return_5_pct[i]:+.1f} %)")
        texts.append("; ".join(reasons))
    return texts


def order(scores: Sequence[float] | Floats, symbols: Sequence[str]) -> list[int]:
    """Positions from best to worst: score descending, then symbol; total, so no two runs differ."""
    return sorted(range(len(symbols)), key=lambda i: (-float(scores[i]), symbols[i]))
