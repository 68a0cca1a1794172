"""Group search against the prototype, in one run: ``python tests/benchmarks/bench_group_search.py``.

The instance is the prototype's (seed 1, 10 x 150 variations, 5 x 1000 tickers). A test is
one candidate beside one prefix. Rates of one core are per second of processor time, so
that a loaded machine does not change their ratio; the speed-up of two threads is wall time
and needs two free cores. Targets at m = 15: 60 M tests/s counting, 35 M scored, 1.8 x.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.decision.group_count import count_groups
from engine.decision.group_kernel import advance, open_anchor
from engine.decision.group_problem import rank_problem
from engine.decision.group_search import GroupSearch
from engine.decision.kernel_arrays import NEVER, TESTS, Limits, new_hits, new_workspace
from engine.decision.search_kernels import warm_up

PROTOTYPES = Path(__file__).parents[2].parent / "shared" / "reference" / "prototypes"
KNOWN = ((20, True, False, 10, 4_828_650), (15, True, False, 10, 39_267_529), (200, False, True, 4, 18_090_366))
M = 15


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, processor seconds, wall seconds)"""
    cpu, wall = time.process_time(), time.perf_counter()
    result = run()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def prototype_rate(kernel: Any, instance: Any, *, scored: bool) -> float:
    """Tests per processor second of the prototype."""
    buys, bits, pp, algorithm = instance
    order = np.argsort(buys.reshape(len(buys), -1).sum(axis=1), kind="stable")
    ranked, ranked_algorithm = np.ascontiguousarray(bits[order]), algorithm[order].astype(np.int64)

    def run(min_picks: int) -> int:
        k = kernel.mk(len(ranked))
        for anchor in range(len(ranked)):
            kernel.run(
                ranked, pp, ranked_algorithm, min_picks, True, 10, scored, k["st"], k["nc"], k["pos"], k["cand"],
                k["tmp"], k["T"], k["base"], k["ppo"], anchor, 10**12,
            )  # fmt: skip
        return int(k["st"][4])

    run(200)  # compiles
    tests, cpu, _ = timed(lambda: run(M))
    return tests / cpu


def kernel_rate(instance: Any, *, scored: bool) -> float:
    """Tests per processor second of our kernel on the same work: every group, nothing pruned."""
    _, bits, pp, algorithm = instance
    problem = rank_problem(bits, pp.astype(np.int64) * 1000, algorithm, min_picks=M, max_size=10, scored=scored)
    limits = Limits(max_size=10, final_size=10, counted_size=0, best_sum=NEVER, score=1e6)
    work, hits = new_workspace(problem.count), new_hits(2 * problem.count)

    def run() -> int:
        for anchor in range(problem.count):
            open_anchor(problem.kernel, limits, work, hits, anchor)
            advance(problem.kernel, limits, work, hits, 2**62)
        return int(work.counters[TESTS])

    tests, cpu, _ = timed(run)
    return tests / cpu


def search_rate(instance: Any, threads: int) -> tuple[float, float, float]:
    """The whole search for the top 100: tests per processor second, tests per wall second, wall seconds."""
    _, bits, pp, algorithm = instance
    search = GroupSearch(
        bits, pp.astype(np.int64) * 1000, algorithm, min_picks=M, max_size=10, top_k=100, threads=threads
    )
    search.start()
    _, cpu, wall = timed(search.wait)
    tests = search.result().tests
    assert search.result().proven
    return tests / cpu, tests / wall, wall


def main() -> int:
    if not PROTOTYPES.exists():
        print("the prototypes are not beside the project (../shared): nothing to compare with")
        return 1
    sys.path.insert(0, str(PROTOTYPES))
    instance = importlib.import_module("group_instance").gen()
    prototype = importlib.import_module("group_kernel")
    began = time.perf_counter()
    warm_up(lambda done, total, name: None)
    print(f"kernels ready in {time.perf_counter() - began:.1f} s (from the cache unless this is the first use)")
    for min_picks, exclusive, total, size, known in KNOWN:
        found, cpu, _ = timed(
            lambda m=min_picks, e=exclusive, t=total, s=size: count_groups(
                instance[1], instance[3], min_picks=m, max_size=s, exclusive=e, total=t
            )
        )
        verdict = "as known" if found == known else f"WRONG, known are {known:,}"
        print(f"m={min_picks:<4} {found:>11,} frequent groups in {cpu:.2f} s, {verdict}")
    for name, scored in (("counting", False), ("scored", True)):
        ours, theirs = kernel_rate(instance, scored=scored), prototype_rate(prototype, instance, scored=scored)
        print(
            f"{name:<9} {ours / 1e6:6.1f} M tests/s a core, prototype {theirs / 1e6:6.1f}: {ours / theirs:.2f} x"
        )
    one, two = search_rate(instance, 1), search_rate(instance, 2)
    print(f"search    {one[0] / 1e6:6.1f} M tests/s a core, proven in {one[2]:.1f} s; two threads {two[2]:.1f} s")
    print(f"two threads: {two[1] / one[1]:.2f} x the tests per wall second of one")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
