"""Weeks of noise that were pruned: of many variations that know nothing about PP the best were kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.decision.evidence_lane import EvidenceLane
from engine.decision.group_search import GroupSearch
from engine.decision.shuffled_weeks import GroupRules, ShuffledWeeks
from engine.decision.variation_pool import VariationPool
from engine.model import DAYS, MICRO, TICKERS, Ints, pack_picks
from engine.settings import PrunerSettings

RULES = GroupRules(min_picks=5, max_size=3, day_floor=-1.0, min_positive_days=3)
ALGORITHMS, EACH, KEEP = 3, 30, 3


class PrunedNoise(NamedTuple):
    excess: Ints
    tested: VariationPool


def pruned_noise(seed: int, *, each: int = EACH, keep: int = KEEP, planted: float = 0.0) -> PrunedNoise:
    """``planted``: deviations that the tickers earn more which the first variations of two algorithms share."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((DAYS, TICKERS))
    buys = 0.5 * common + random.standard_normal((ALGORITHMS, each, DAYS, TICKERS)) > 1.5
    pp = random.standard_t(4, (DAYS, TICKERS)) + planted * (buys[0, 0] & buys[1, 0])
    excess = ((pp - pp.mean(axis=1)[:, None]) * MICRO).astype(np.int64)
    names = [f"a{i}" for i in range(ALGORITHMS)]
    settings = PrunerSettings(keep=dict.fromkeys(names, keep), min_positive_days=2, worst_day=-2.0)
    return PrunedNoise(excess, VariationPool.of(names, [pack_picks(own) for own in buys], settings, whole=False))


def lane_of(
    week: PrunedNoise, *, shuffles: int, seed: int, anew: bool = True, threads: int = 1
) -> tuple[GroupSearch, EvidenceLane]:
    """The search of the kept variations, ended, and its evidence lane; ``anew``: shuffled weeks prune too."""
    kept = week.tested.kept(week.excess)
    bits, algorithm = week.tested.bits[kept], week.tested.algorithm[kept]
    search = GroupSearch(
        bits, week.excess, algorithm, min_picks=RULES.min_picks, max_size=RULES.max_size, top_k=5, threads=threads,
        day_floor=RULES.day_floor, min_positive_days=RULES.min_positive_days, budget_s=60.0,
    )  # fmt: skip
    search.start()
    assert search.wait(60)
    classes = np.arange(TICKERS) % 3
    weeks = ShuffledWeeks(week.excess, classes, week.tested if anew else (bits, algorithm), RULES, seed=seed)
    scores = [group.score for group in search.result().groups]
    return search, EvidenceLane(
        weeks, scores, ledger=search.ledger, threads=threads, shuffles=shuffles, time_left_s=search.time_left_s
    )
