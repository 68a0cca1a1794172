"""Gap against time under three ways to share out the budget: ``python tests/benchmarks/bench_watchdog.py``.

Hard instances (a factor behind all variations), two threads: the gap (largest open bound - K-th
best, percentage points) at moments of the budget, 0 when proven, and its mean over the budget. The
first instance can be proven, the others cannot. Time is processor time, half of the two threads'
sum standing for wall time, so that a loaded machine changes nothing. A minute and a half.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

from instances import Instance, one_factor

from engine.decision import group_search, search_clock, search_lane
from engine.decision.group_search import GroupSearch
from engine.decision.search_kernels import warm_up
from engine.decision.watchdog import DONATING, EQUAL_SPLIT, NO_DONATION, Policy

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


def gaps(instance: Instance, min_picks: int, policy: Policy, budget_s: float) -> str:
    search = GroupSearch(
        *instance, min_picks=min_picks, max_size=10, top_k=100, threads=2, budget_s=budget_s, policy=policy
    )
    search.start()
    seen, line = [], []
    for moment in MOMENTS[:-1]:
        while (now := search.snapshot()).elapsed_s < moment * budget_s and not search.wait(0):
            line.append((now.elapsed_s, now.gap or 0.0))
            time.sleep(0.02)
        seen.append(search.snapshot())
    search.wait()
    seen.append(search.snapshot())
    ledger = seen[-1].ledger
    line += [(s.elapsed_s, s.gap or 0.0) for s in seen]
    line = [*sorted({(min(at, budget_s), gap) for at, gap in line}), (budget_s, seen[-1].gap or 0.0)]
    mean = sum((later - at) * gap for (at, gap), (later, _) in pairwise(line)) / budget_s
    return "  ".join(f"{s.gap or 0.0:7.3f}" for s in seen) + (
        f"   mean {mean:.3f}  threshold {seen[-1].groups[-1].score:.3f}"
        f"  closed {seen[-1].anchors_closed}/{seen[-1].anchors}"
        f"  used {ledger.used:.1f} of {ledger.capacity:.1f} s  donated {ledger.donated:.1f}"
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--budget", type=float, default=6.0, help="wall seconds of each search")
    budget_s = options.parse_args().budget
    warm_up(lambda done, total, name: None)
    for module in (group_search, search_clock, search_lane):
        vars(module)["time"] = ProcessorClock
    print(f"{'gap at':<26}" + "  ".join(f"{m * budget_s:5.1f} s" for m in MOMENTS))
    for name, (seed, common, each, min_picks) in {
        "weak factor, m=8": (1, 0.35, 40, 8),
        "factor, m=10": (2, 0.5, 40, 10),
        "factor, m=8": (2, 0.5, 30, 8),
        "factor, m=9": (5, 0.45, 40, 9),
    }.items():
        instance = one_factor(seed, common, each)
        print(name)
        for title, policy in POLICIES.items():
            print(f"  {title:<24}" + gaps(instance, min_picks, policy, budget_s))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
