"""Gap against time under three ways to share out the budget: ``python tests/benchmarks/bench_watchdog.py``.

Hard instances (a factor behind all variations), two threads: the gap (largest open bound - K-th
best, percentage points) at moments of the budget, 0 when proven. Time is processor time, half of
the two threads' sum standing for wall time, so that a loaded machine changes nothing.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from engine.decision import group_search, search_clock, search_lane
from engine.decision.group_search import GroupSearch
from engine.decision.search_kernels import warm_up
from engine.decision.watchdog import DONATING, EQUAL_SPLIT, NO_DONATION, Policy
from engine.model import DAYS, MICRO, TICKERS, pack_picks

POLICIES = {"donation": DONATING, "equal split": EQUAL_SPLIT, "no donation": NO_DONATION}
MOMENTS = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the budget


class ProcessorClock:
    """Stands in for ``time`` in the search: what two lanes have worked, not what has passed."""

    @staticmethod
    def monotonic() -> float:
        return time.process_time() / 2

    @staticmethod
    def monotonic_ns() -> int:
        return time.thread_time_ns()


def hard(seed: int, common: float, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shared = random.standard_normal((DAYS, TICKERS))
    buys = []
    for _ in range(10):
        own = random.standard_normal((DAYS, TICKERS))
        for _ in range(each):
            rest = random.standard_normal((DAYS, TICKERS))
            signal = common * shared + (1 - common) * (0.6 * own + 0.5 * rest)
            buys.append(signal > np.quantile(signal, 1 - random.uniform(0.02, 0.2)))
    pp = (random.standard_t(4, (DAYS, TICKERS)) * MICRO).astype(np.int64)
    return pack_picks(np.array(buys)), pp, np.repeat(np.arange(10), each)


Instance = tuple[np.ndarray, np.ndarray, np.ndarray]


def gaps(instance: Instance, min_picks: int, policy: Policy, budget_s: float) -> str:
    search = GroupSearch(
        *instance, min_picks=min_picks, max_size=10, top_k=100, threads=2, budget_s=budget_s, policy=policy
    )
    search.start()
    seen = []
    for moment in MOMENTS[:-1]:
        while search.snapshot().elapsed_s < moment * budget_s and not search.wait(0):
            time.sleep(0.02)
        seen.append(search.snapshot())
    search.wait()
    seen.append(search.snapshot())
    ledger = seen[-1].ledger
    return "  ".join(f"{s.gap or 0.0:7.3f}" for s in seen) + (
        f"   threshold {seen[-1].groups[-1].score:.3f}  closed {seen[-1].anchors_closed}/{seen[-1].anchors}"
        f"  used {ledger.used:.1f} of {ledger.capacity:.1f} s  donated {ledger.donated:.1f}"
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--budget", type=float, default=10.0, help="wall seconds of each search")
    budget_s = options.parse_args().budget
    warm_up(lambda done, total, name: None)
    for module in (group_search, search_clock, search_lane):
        vars(module)["time"] = ProcessorClock
    print(f"{'gap at':<26}" + "  ".join(f"{m * budget_s:5.1f} s" for m in MOMENTS))
    for name, (seed, common, each, min_picks) in {
        "weak factor, m=8": (1, 0.35, 40, 8),
        "factor, m=10": (2, 0.5, 40, 10),
        "factor, m=8": (2, 0.5, 30, 8),
    }.items():
        instance = hard(seed, common, each)
        print(name)
        for title, policy in POLICIES.items():
            print(f"  {title:<24}" + gaps(instance, min_picks, policy, budget_s))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
