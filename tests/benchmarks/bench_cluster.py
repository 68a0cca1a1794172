"""The search on a cluster of this machine: what a batch's journey costs, and how it scales.

    python tests/benchmarks/bench_cluster.py [--seconds S]

The same hard week is searched for the same wall time by threads of one process, and by one and
by two worker processes; what counts is tests per second. Then the two numbers that limit
a larger cluster: the journey of a batch without work, and the time that this process
spends on a batch. From them follows how many far cores one search can feed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from group_cases import Case, spread

from engine.decision.cluster_link import ClusterLink
from engine.decision.cluster_search import BATCH_NS, ClusterSearch
from engine.decision.cluster_tasks import PROGRAM, Batch, install, walk
from engine.decision.group_problem import rank_problem
from engine.decision.group_search import GroupSearch
from engine.decision.search_kernels import warm_up
from engine.decision.watchdog import SECOND

RULES: dict[str, Any] = {"min_picks": 4, "max_size": 10, "top_k": 100}
JOURNEYS = 200
WARM_S = 20.0  # loading the kernels on each worker is not the search's speed


def rate(search: GroupSearch, seconds: float) -> tuple[float, float]:
    """Tests a second over ``seconds`` after its lanes have begun, and this process's processor share of it."""
    search.start()
    while search.snapshot().tests == 0:
        time.sleep(0.05)
    time.sleep(2.0)
    first, cpu, start = search.snapshot(), time.process_time(), time.monotonic()
    time.sleep(seconds)
    last, elapsed = search.snapshot(), time.monotonic() - start
    share = (time.process_time() - cpu) / elapsed
    search.stop()
    search.wait()
    return (last.tests - first.tests) / elapsed, share


def journeys(case: Case) -> float:
    """Median milliseconds of a batch without work, there and back."""
    link = ClusterLink("local:1")
    try:
        (worker,) = link.workers()
        problem = rank_problem(*case, min_picks=RULES["min_picks"], max_size=RULES["max_size"])
        link.call(worker, install, "bench", problem, PROGRAM, timeout_s=None, label="install")
        times = []
        for _ in range(JOURNEYS):
            start = time.perf_counter()
            link.call(worker, walk, Batch("bench", (), 0.0, 100, 0), timeout_s=None, label="walk")
            times.append(1e3 * (time.perf_counter() - start))
        return sorted(times)[JOURNEYS // 2]
    finally:
        link.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0)
    seconds = parser.parse_args().seconds
    case = spread(5, algorithms=10, each=60, common=0.8)
    warm_up(lambda done, total, name: None)

    one, _ = rate(GroupSearch(*case, threads=1, **RULES), seconds)
    two, _ = rate(GroupSearch(*case, threads=2, **RULES), seconds)
    print(f"one thread              {one / 1e6:7.1f} M tests/s")
    print(f"two threads             {two / 1e6:7.1f} M tests/s   {two / one:5.2f} x")
    far: dict[int, float] = {}
    share = 0.0
    for workers in (1, 2):
        search = ClusterSearch(*case, link=ClusterLink(f"local:{workers}"), threads=1, **RULES)
        far[workers], share = rate(search, seconds)
        print(
            f"{workers} worker process{'es' if workers > 1 else '  '}      {far[workers] / 1e6:7.1f} M tests/s   "
            f"{far[workers] / one:5.2f} x one thread; this process {100 * share:4.1f} % of a core"
        )
    print(f"scaling of the cluster  {far[2] / far[1]:7.2f} x from 1 to 2 workers")
    print(f"journey without work    {journeys(case):7.2f} ms")
    batch_s = BATCH_NS / SECOND
    own_ms = 1e3 * share * batch_s / 2  # two lanes: two batches in this time
    feeds = 1e3 * batch_s / own_ms
    print(f"this process a batch    {own_ms:7.2f} ms: one search can feed about {feeds:,.0f} far cores")


if __name__ == "__main__":
    main()
