"""What the research tables hold: one frozen record a row, complete enough to recompute every score.

Sums are exact int64 micro-percent; means and scores are percentage points (float);
picks are the little-endian bytes of uint64[5, 16] in symbol order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np

from engine.model import DAYS, WORDS, ParameterSet, Words


def picks_bytes(words: Words) -> bytes:
    """uint64[5, 16] as stored."""
    if words.shape != (DAYS, WORDS):
        raise ValueError(f"picks are [{DAYS}, {WORDS}] words, not {words.shape}")
    return np.ascontiguousarray(words).astype("<u8").tobytes()


def picks_words(stored: bytes) -> Words:
    """The inverse of ``picks_bytes``."""
    return np.frombuffer(stored, dtype="<u8").reshape(DAYS, WORDS).astype(np.uint64)


@dataclass(frozen=True, slots=True)
class VariationResult:
    """One parameter set measured on the week's five days (a row of ``results_<algo>``)."""

    algorithm: str
    cycle: int  # 1..N; 0 for an exhaustive run's batches
    slot: int  # 1..8
    values: tuple[int, ...]
    buys: tuple[int, ...]  # per day
    pp_sum: tuple[int, ...]  # per day, micro-percent over the buys
    excess_sum: tuple[int, ...]
    score: float
    score_mean: float  # w * mean(m)
    score_deviation: float  # - 0.5 * std(m)
    score_shortage: float  # - 0.5 * max(0, 1 - buys/50)
    overlap_max: float  # Jaccard of 5-day picks with the algorithm's better variations so far
    overlap_mean: float
    picks: bytes

    @property
    def parameter_set(self) -> ParameterSet:
        return ParameterSet(self.algorithm, self.values)

    def excess_means(self) -> tuple[float, ...]:
        """Mean excess of each day in percentage points; 0 for a day without buys."""
        return tuple(s / b / 1e6 if b else 0.0 for s, b in zip(self.excess_sum, self.buys, strict=True))

    def pp_means(self) -> tuple[float, ...]:
        return tuple(s / b / 1e6 if b else 0.0 for s, b in zip(self.pp_sum, self.buys, strict=True))


@dataclass(frozen=True, slots=True)
class PrunedVariation:
    """A variation that mp2 may combine, and why it was kept (a row of ``pruned_<algo>``)."""

    result: VariationResult
    rank: int  # 1 is the algorithm's best
    reasons: str  # plain words, e.g. "rank 3 of 418 that pass the gates; nearest better one 0.41"


@dataclass(frozen=True, slots=True)
class FinalGroup:
    """One of the search's top groups with everything known about it (a row of ``final_groups``)."""

    rank: int
    members: tuple[ParameterSet, ...]
    score: float  # search objective
    mean: float  # mean over days of the day's mean excess
    deviation: float
    day_means: tuple[float, ...]
    day_picks: tuple[int, ...]
    pp_mean: float  # mean PP of a pick, percent
    picks: bytes
    leave_one_out: float  # the minimum leave-one-day-out mean
    selection_score: float
    standard_error: float  # of the mean, over days
    holdout_mean: float | None = None  # excess among hold-out tickers, mean over days
    holdout_error: float | None = None
    holdout_picks: tuple[int, ...] = ()
    p_value: float | None = None
    # What p rests on (``permutation_null.Shuffled``); None with a p of a version that did not keep it.
    shuffles_reached: int | None = None  # shuffled weeks whose best was at least as good
    shuffles_done: int | None = None
    shuffles_planned: int | None = None
    shuffles_certain: bool = False  # ended early because p > 0.05 was certain
    shuffles_bounded: int | None = None  # what each was limited to, when it did not see everything
    shuffles_observed: float | None = None  # the real week's best, searched as the shuffled ones
    shuffles_scope: Literal["given", "tested", "everything"] | None = None  # what each repeated
    overlap_first: float | None = None  # Jaccard of 5-day picks with the selected first
    selected: int | None = None  # 1 trades, 2 runs in shadow
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """How the search ended (kept with the groups)."""

    week: date  # day5
    proven: bool
    gap: float
    tests: int
    frequent: int
    seconds: float
    budget_s: float
    threads: int
    ledger: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One shortlisted ticker (a row of ``shortlist``); scores are 0..1, parts are weighted contributions."""

    rank: int
    symbol: str
    name: str
    close: float
    rank_score: float
    parts: dict[str, float]
    measures: dict[str, float]  # the raw numbers behind the parts, with units in their names
    closes: tuple[float, ...]  # last 21 sessions, oldest first
    veto: str = ""  # why it may not be traded; vetoed candidates carry rank 0


@dataclass(frozen=True, slots=True)
class PromptScore:
    """What a model answered to one prompt about one ticker, or why there is no answer."""

    prompt: str
    score: float | None  # -1..1, up is good; None: no score
    weight: float  # share in the ticker's news score, 0..1
    label: str  # the model
    version: str  # of the prompt file: "catalyst@1 3f2a19c2"
    outcome: str  # "scored", "refused", "malformed", "unavailable", "limit"
    quotes: tuple[tuple[int, str], ...] = ()  # (article id, its own words), checked against the article
    reason: str = ""  # the model's words; without a score: why there is none
    veto: str = ""
    other: float | None = None  # score of the variant without a vote: names masked, or shown when masked votes
    record: int = 0  # its decision record in the journal


@dataclass(frozen=True, slots=True)
class QualScore:
    """What the news said about one ticker; ``score`` -1..1, or None without news."""

    symbol: str
    score: float | None
    label: str  # LEXICON, or the model
    quotes: tuple[tuple[int, str, float], ...] = ()  # (article id, quoted words, contribution)
    flags: tuple[str, ...] = ()
    veto: str = ""
    events: tuple[str, ...] = ()  # earnings, halt, offering, merger, split
    prompts: tuple[PromptScore, ...] = ()  # empty when the lexicon scored


@dataclass(frozen=True, slots=True)
class TradePick:
    """One ticker of the day's trade list, in order of preference (1 is best)."""

    position: int
    symbol: str
    score: float  # combined
    rank_score: float
    news_score: float | None
    reason: str
