"""Calibration of the permutation null, and what it costs: ``python tests/benchmarks/bench_permutation_null.py``.

200 small weeks of pure noise: P(p <= a) may exceed a by three standard errors at a = .05, .1
and .2. Each week goes the whole way: search, proof, 200 shuffles with their early end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from engine.decision.evidence_lane import EvidenceLane
from engine.decision.group_search import GroupSearch
from engine.decision.search_kernels import warm_up
from engine.model import DAYS, MICRO, TICKERS, pack_picks

WEEKS = 200
SHUFFLES = 200


def noise(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    common = random.standard_normal((DAYS, TICKERS))
    buys = 0.6 * common + random.standard_normal((24, DAYS, TICKERS)) > 1.4
    pp = (random.standard_t(4, (DAYS, TICKERS)) * MICRO).astype(np.int64)
    return pack_picks(buys), pp, np.repeat(np.arange(6), 4)


def p_value(week: int, *, tests: int | None) -> float:
    bits, pp, algorithm = noise(week)
    search = GroupSearch(
        bits, pp, algorithm, min_picks=5, max_size=5, top_k=5, threads=2, budget_s=60, tests=tests,
        day_floor=-0.5, min_positive_days=3,
    )  # fmt: skip
    search.start()
    search.wait()
    lane = EvidenceLane(
        search.problem, pp, np.arange(TICKERS) % 3, [g.score for g in search.result().groups],
        ledger=search.ledger, threads=2, shuffles=SHUFFLES, max_size=5, seed=week, time_left_s=search.time_left_s,
        tests=tests,
    )  # fmt: skip
    lane.start()
    lane.wait()
    found = lane.result()
    return 1.0 if not found or found[0].p_value is None else found[0].p_value


def main() -> int:
    warm_up(lambda done, total, name: None)
    right = True
    for name, tests in (("every group", None), ("60 tests an anchor", 60)):
        began = time.process_time()
        values = np.array([p_value(week, tests=tests) for week in range(WEEKS)])
        spent = time.process_time() - began
        print(f"{name}: {WEEKS} weeks of noise, {spent:.0f} processor seconds")
        for level in (0.05, 0.1, 0.2):
            share, limit = float(np.mean(values <= level)), level + 3 * (level * (1 - level) / WEEKS) ** 0.5
            right &= share <= limit
            print(f"  P(p <= {level:.2f}) = {share:.3f}, at most {limit:.3f}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    raise SystemExit(main())
