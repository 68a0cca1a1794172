"""Calibration of the permutation null, and what it costs: ``python tests/benchmarks/bench_permutation_null.py``.

200 weeks of pure noise a kind: P(p <= a) may exceed a by three standard errors at a = .05, .1 and .2.
Each goes the whole way: prune, search, proof, 200 shuffles with their early end. The kinds:

- nothing pruned, every variation searched;
- the best few of many variations kept by the pruner, alone or in families that resemble each other;
- the same under a quota of tests an anchor;
- for comparison, shuffles that search what the real week kept, without pruning anew: far too small.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.decision.evidence_lane import EvidenceLane
from engine.decision.group_search import GroupSearch
from engine.decision.search_kernels import warm_up
from engine.decision.shuffled_weeks import GroupRules, ShuffledWeeks
from engine.decision.variation_pool import VariationPool
from engine.model import DAYS, MICRO, TICKERS, excess_of, pack_picks
from engine.settings import PrunerSettings

WEEKS = 200
SHUFFLES = 200
ALGORITHMS = 4
RULES = GroupRules(min_picks=5, max_size=5, day_floor=-0.5, min_positive_days=3)


def noise(seed: int, *, each: int, keep: int, family: float) -> tuple[np.ndarray, VariationPool]:
    """``family``: how much the variations of an algorithm share, 0..1; floors of the pruner as by default."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((DAYS, TICKERS))
    picks = []
    for _ in range(ALGORITHMS):
        own = family * random.standard_normal((DAYS, TICKERS)) + 0.5 * common
        buys = own + (1 - family) * random.standard_normal((each, DAYS, TICKERS)) > 1.5 * np.hypot(
            family, 1 - family
        )
        picks.append(pack_picks(buys))
    pp = (random.standard_t(4, (DAYS, TICKERS)) * MICRO).astype(np.int64)
    names = [str(i) for i in range(ALGORITHMS)]
    rules = PrunerSettings(keep=dict.fromkeys(names, keep))
    if keep >= each:  # nothing is pruned: no gate, no place missing, no near-duplicate
        rules = rules.model_copy(
            update={"min_positive_days": 0, "worst_day": -1e6, "near_duplicate": 1.0, "max_density_pct": 100.0}
        )
    return excess_of(pp), VariationPool.of(names, picks, rules, whole=True)


def p_value(
    week: int, *, each: int, keep: int, family: float, tests: int | None = None, anew: bool = True
) -> float:
    excess, pool = noise(week, each=each, keep=keep, family=family)
    kept = pool.kept(excess)
    bits, algorithm = pool.bits[kept], pool.algorithm[kept]
    if len(np.unique(algorithm)) < 2:
        return 1.0
    search = GroupSearch(
        bits, excess, algorithm, min_picks=RULES.min_picks, max_size=RULES.max_size, top_k=5, threads=2,
        budget_s=600, tests=tests, day_floor=RULES.day_floor, min_positive_days=RULES.min_positive_days,
    )  # fmt: skip
    search.start()
    search.wait()
    variations = pool if anew else (bits, algorithm)
    weeks = ShuffledWeeks(excess, np.arange(TICKERS) % 3, variations, RULES, seed=week, anchor_tests=tests)
    lane = EvidenceLane(
        weeks, [g.score for g in search.result().groups], ledger=search.ledger, threads=2, shuffles=SHUFFLES,
        time_left_s=search.time_left_s,
    )  # fmt: skip
    lane.start()
    lane.wait()
    found = lane.result()
    return 1.0 if not found or found[0].p_value is None else found[0].p_value


def measured(name: str, p_of: Callable[[int], float], *, judged: bool = True) -> bool:
    """Prints one kind; whether its p are not too small."""
    began = time.process_time()
    values = np.array([p_of(week) for week in range(WEEKS)])
    print(f"{name}: {WEEKS} weeks of noise, {time.process_time() - began:.0f} processor seconds", flush=True)
    right = True
    for level in (0.05, 0.1, 0.2):
        share, limit = float(np.mean(values <= level)), level + 3 * (level * (1 - level) / WEEKS) ** 0.5
        right &= share <= limit
        print(f"  P(p <= {level:.2f}) = {share:.3f}" + (f", at most {limit:.3f}" if judged else ""), flush=True)
    return right or not judged


def main() -> int:
    warm_up(lambda done, total, name: None)
    kept = {"each": 100, "keep": 4, "family": 0.0}
    families = {"each": 100, "keep": 10, "family": 0.6}
    right = measured("nothing pruned", lambda week: p_value(week, each=4, keep=4, family=0.0))
    right &= measured("the best 4 of 100", lambda week: p_value(week, **kept))
    right &= measured("the best 10 of 100 in families", lambda week: p_value(week, **families))
    right &= measured("the same, 60 tests an anchor", lambda week: p_value(week, **families, tests=60))
    measured(
        "the best 4 of 100, shuffles do not prune (for comparison)",
        lambda week: p_value(week, **kept, anew=False),
        judged=False,
    )
    return 0 if right else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    raise SystemExit(main())
