"""Do the scores say anything? Their rank correlation with the PP of the session that followed.

For each prompt and model: Spearman's correlation across the tickers of one session, then the
mean over sessions with a 95 % interval from Student's t. The one thing to know: the session
is the unit. Twenty tickers of one day share the day; pooling them as if they were twenty
observations would find something in noise within a week. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from engine.student_t import student_quantile

LEAST_TICKERS = 4  # with both a score and a PP, for a session to count
LEAST_SESSIONS = 3  # for an interval
LEVEL = 0.95

Recorded = tuple[date, str, str, str, str, float]  # session, symbol, prompt, variant, model, score


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """What one prompt's scores of one model were worth."""

    prompt: str
    variant: str
    model: str
    sessions: int  # that count
    recorded: int  # sessions with any score
    pairs: int  # score and PP of a ticker, over the sessions that count
    missing: int  # scores without a PP: not traded yet, or no longer in the universe
    mean: float | None  # mean of the sessions' rank correlations
    low: float | None  # 95 % interval
    high: float | None

    @property
    def verdict(self) -> str:
        """In words, plainly."""
        if self.mean is None:
            return f"nothing to judge: no session has {LEAST_TICKERS} tickers with different scores and a PP"
        if self.low is None or self.high is None:
            return f"no verdict: {self.sessions} of at least {LEAST_SESSIONS} sessions"
        if self.low > 0:
            return "higher scores went with higher PP"
        if self.high < 0:
            return "higher scores went with lower PP"
        return "none shown: the interval contains zero"


def ranks(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Ranks from 1; equal values share their mean rank."""
    array = np.asarray(values, dtype=np.float64)
    ordered = np.sort(array)
    below = np.searchsorted(ordered, array, side="left")
    up_to = np.searchsorted(ordered, array, side="right")
    return np.asarray((below + up_to + 1) / 2.0, dtype=np.float64)


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None when either side does not vary or there are fewer than two pairs."""
    if len(one) != len(other):
        raise ValueError(f"{len(one)} values against {len(other)}")
    if len(one) < 2:
        return None
    a, b = ranks(one), ranks(other)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return None if size == 0.0 else min(1.0, max(-1.0, float(a @ b) / size))


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """(mean, low, high) with the 95 % interval of the mean; without an interval below three values."""
    if not values:
        return None, None, None
    mean = math.fsum(values) / len(values)
    if len(values) < LEAST_SESSIONS:
        return mean, None, None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = student_quantile(LEVEL, len(values) - 1) * error
    return mean, max(-1.0, mean - reach), min(1.0, mean + reach)


def evaluate(scores: Iterable[Recorded], outcomes: Mapping[tuple[date, str], int]) -> list[PromptRecord]:
    """One record for each prompt, variant and model, in their order; ``outcomes`` is PP in micro-percent."""
    grouped: dict[tuple[str, str, str], dict[date, list[tuple[float, int | None]]]] = {}
    for session, symbol, prompt, variant, model, score in scores:
        days = grouped.setdefault((prompt, variant, model), {})
        days.setdefault(session, []).append((score, outcomes.get((session, symbol))))
    return [_record(key, days) for key, days in sorted(grouped.items())]


def _record(key: tuple[str, str, str], days: Mapping[date, Sequence[tuple[float, int | None]]]) -> PromptRecord:
    found, pairs = [], 0
    for rows in days.values():
        both = [(score, pp) for score, pp in rows if pp is not None]
        if len(both) < LEAST_TICKERS:
            continue
        value = spearman([score for score, _ in both], [float(pp) for _, pp in both])
        if value is not None:
            found.append(value)
            pairs += len(both)
    mean, low, high = mean_interval(found)
    missing = sum(pp is None for rows in days.values() for _, pp in rows)
    prompt, variant, model = key
    return PromptRecord(prompt, variant, model, len(found), len(days), pairs, missing, mean, low, high)
