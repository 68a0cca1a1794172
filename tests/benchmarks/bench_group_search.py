"""Group search against PyFIM and the prototype, in one run: ``python tests/benchmarks/bench_group_search.py``.

The instance is the prototype's (seed 1, 10 x 150 variations, 5 x 1000 tickers). A test is one
candidate beside one prefix. Rates of one core, and ratios, are per second of processor time, so
that a loaded machine changes little; the speed-up of two threads is wall time and needs two
free cores. About two minutes.

Without the class constraint (at most one variation an algorithm) PyFIM counts the same sets.
With it PyFIM has to find all of them too, before anything can filter, so its plain count is
what a filter that costs nothing would take; on sets of up to three the filter is also run.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from instances import Instance, one_factor, reference

from engine.decision.group_count import count_groups
from engine.decision.group_kernel import advance, open_anchor
from engine.decision.group_problem import rank_problem
from engine.decision.group_search import GroupSearch
from engine.decision.kernel_arrays import FREQUENT, NEVER, TESTS, Limits, new_hits, new_workspace
from engine.decision.search_kernels import warm_up
from engine.decision.watchdog import EQUAL_SPLIT

KNOWN = {20: 4_828_650, 15: 39_267_529}  # frequent groups of the instance by least picks a day
KNOWN_PLAIN = 18_090_366  # sets of up to 4 with 200 picks in sum, without the class constraint
M = 15
PAIRS, SLICE_PAIRS = 3, 7
COUNTING, SCORED, GROUPS, THREADS, OVERHEAD = 100.0, 60.0, 5.0, 1.9, 0.02  # targets


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, processor seconds, wall seconds)"""
    cpu, wall = time.process_time(), time.perf_counter()
    result = run()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def fastest(run: Callable[[], Any], times: int = PAIRS) -> tuple[Any, float]:
    """(result, least processor seconds)"""
    runs = [timed(run) for _ in range(times)]
    return runs[0][0], min(cpu for _, cpu, _ in runs)


def verdict(value: float, target: float) -> str:
    return f"target {target:g}: {'reached' if value >= target else 'MISSED'}"


def show_counts(instance: Instance) -> None:
    for min_picks, known in KNOWN.items():
        found, cpu = fastest(
            lambda m=min_picks: count_groups(instance.bits, instance.algorithm, min_picks=m, max_size=10), 1
        )
        right = "as known" if found == known else f"WRONG, known are {known:,}"
        print(f"m={min_picks:<4} {found:>11,} frequent groups in {cpu:.2f} s, {right}")


def show_pyfim(instance: Instance) -> None:
    if importlib.util.find_spec("fim") is None:
        print("PyFIM is not installed (pip install pyfim): not compared")
        return
    fim: Any = importlib.import_module("fim")
    baskets = instance.baskets()

    def ours(size: int, exclusive: bool) -> Callable[[], int]:
        return lambda: count_groups(
            instance.bits, instance.algorithm, min_picks=200, max_size=size, exclusive=exclusive, total=True
        )

    def theirs() -> int:
        return int(sum(fim.eclat(baskets, target="s", supp=-200, zmax=4, report="#", algo="b").values()))

    def filtered() -> int:
        kept = len(fim.eclat(baskets, target="s", supp=-200, zmax=1, report=""))
        for size in (2, 3):
            sets = fim.eclat(baskets, target="s", supp=-200, zmin=size, zmax=size, report="", algo="b")
            flat = itertools.chain.from_iterable(itertools.chain.from_iterable(sets))
            own = np.sort(instance.algorithm[np.fromiter(flat, np.int64, len(sets) * size).reshape(-1, size)])
            kept += int((own[:, 1:] != own[:, :-1]).all(axis=1).sum())
        return kept

    (plain, plain_s), (known, known_s) = fastest(ours(4, False)), fastest(theirs)
    same = "the same number" if plain == known == KNOWN_PLAIN else f"WRONG: {plain:,} and {known:,}"
    print(f"sets of up to 4 with 200 picks in sum: {plain:,}, {same}")
    print(f"  ours {plain_s:.2f} s, PyFIM eclat (algo='b') {known_s:.2f} s: {known_s / plain_s:.1f} x")
    classes, classes_s = fastest(ours(4, True))
    print(
        f"  one an algorithm, {classes:,}: ours {classes_s:.3f} s, PyFIM and a filter that costs nothing: ", end=""
    )
    print(f"{known_s / classes_s:.0f} x")
    (few, few_s), (sifted, sifted_s) = fastest(ours(3, True)), fastest(filtered, 1)
    same = "the same number" if few == sifted else f"WRONG: {sifted:,}"
    print(
        f"  up to 3, {few:,}, {same}: ours {few_s:.3f} s, PyFIM and the filter {sifted_s:.2f} s: "
        f"{sifted_s / few_s:.0f} x"
    )


def prototype_rate(prototype: ModuleType, instance: Instance, *, scored: bool) -> float:
    """Tests per processor second of the prototype."""
    order = np.argsort(np.bitwise_count(instance.bits).sum(axis=(1, 2)), kind="stable")
    ranked, algorithm = np.ascontiguousarray(instance.bits[order]), instance.algorithm[order]
    pp = (instance.pp // 1000).astype(np.int32)

    def run(min_picks: int) -> int:
        k = prototype.mk(len(ranked))
        for anchor in range(len(ranked)):
            prototype.run(
                ranked, pp, algorithm, min_picks, True, 10, scored, k["st"], k["nc"], k["pos"], k["cand"],
                k["tmp"], k["T"], k["base"], k["ppo"], anchor, 10**12,
            )  # fmt: skip
        return int(k["st"][4])

    run(200)  # compiles
    tests, cpu, _ = timed(lambda: run(M))
    return tests / cpu


def kernel_rate(instance: Instance, *, scored: bool) -> tuple[float, float]:
    """Tests and groups per processor second of our kernel on the same work: every group, nothing pruned."""
    problem = rank_problem(*instance, min_picks=M, max_size=10, scored=scored)
    limits = Limits(max_size=10, final_size=10, counted_size=0, best_sum=NEVER, score=1e6)
    work, hits = new_workspace(problem.count), new_hits(2 * problem.count)

    def run() -> None:
        for anchor in range(problem.count):
            open_anchor(problem.kernel, limits, work, hits, anchor)
            advance(problem.kernel, limits, work, hits, 2**62)

    _, cpu, _ = timed(run)
    return int(work.counters[TESTS]) / cpu, int(work.counters[FREQUENT]) / cpu


def show_kernels(instance: Instance, prototype: ModuleType) -> None:
    for name, scored, target in (("counting", False, COUNTING), ("scored", True, SCORED)):
        rates = [kernel_rate(instance, scored=scored) for _ in range(2)]
        theirs = prototype_rate(prototype, instance, scored=scored)
        rates.append(kernel_rate(instance, scored=scored))
        ours, groups = max(rates)
        print(
            f"{name:<9} {ours / 1e6:6.1f} M tests/s a core ({verdict(ours / 1e6, target)}), "
            f"{groups / 1e6:.1f} M groups/s ({verdict(groups / 1e6, GROUPS)}), "
            f"prototype {theirs / 1e6:.1f} M tests/s: {ours / theirs:.2f} x"
        )


def search(instance: Instance, *, min_picks: int, threads: int, **more: Any) -> tuple[GroupSearch, float, float]:
    """The whole search for the top 100: (search, processor seconds, wall seconds)."""
    run = GroupSearch(*instance, min_picks=min_picks, max_size=10, top_k=100, threads=threads, **more)
    run.start()
    _, cpu, wall = timed(run.wait)
    return run, cpu, wall


def show_threads(instance: Instance) -> None:
    one, two, rates = [], [], []
    for _ in range(PAIRS):
        alone, cpu, wall = search(instance, min_picks=M, threads=1)
        one.append(alone.result().tests / wall)
        rates.append((alone.result().tests / cpu, wall))
        both, _, wall = search(instance, min_picks=M, threads=2)
        two.append(both.result().tests / wall)
        assert alone.result().groups == both.result().groups
    rate, wall = max(rates)
    print(f"search    {rate / 1e6:6.1f} M tests/s a core, the top 100 proven in {wall:.1f} s by one thread")
    gain = max(two) / max(one)
    print(f"two threads: {gain:.2f} x the tests per wall second of one ({verdict(gain, THREADS)})")


def show_slices() -> None:
    """The same work (a quota that nothing reaches, so no threshold moves) whole and in slices, in turns."""
    instance = one_factor(2, 0.45, 20)
    spent: dict[float, list[float]] = {1e6: [], 0.05: [], 0.005: []}
    results = set()
    for _ in range(SLICE_PAIRS):
        for slice_s, seconds in spent.items():
            run, cpu, _ = search(
                instance, min_picks=15, threads=1, tests=2**60, slice_s=slice_s, policy=EQUAL_SPLIT
            )  # fmt: skip
            seconds.append(cpu)
            results.add((run.result().tests, run.result().groups))
    if len(results) != 1:
        raise AssertionError("the slices have changed the work")
    whole = min(spent.pop(1e6))
    print(f"one slice an anchor: {whole:.2f} s")
    for slice_s, seconds in spent.items():
        cost = min(seconds) / whole - 1
        told = f" (target {OVERHEAD:.0%}: {'kept' if cost <= OVERHEAD else 'MISSED'})" if slice_s == 0.05 else ""
        print(f"  in slices of {slice_s * 1000:g} ms: {cost:+.1%}{told}")


def main() -> int:
    began = time.perf_counter()
    warm_up(lambda done, total, name: None)
    print(f"kernels ready in {time.perf_counter() - began:.1f} s (from the cache unless this is the first use)")
    show_slices()
    instance = reference()
    if instance is None:
        print("the prototypes are not beside the project (../shared): nothing to compare with")
        return 1
    show_counts(instance)
    show_pyfim(instance)
    show_kernels(instance, importlib.import_module("group_kernel"))
    show_threads(instance)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
