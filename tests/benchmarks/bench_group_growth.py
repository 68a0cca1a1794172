"""What the proof costs as the problem grows: ``python tests/benchmarks/bench_group_growth.py``.

Variations an algorithm from 50 to 250 at m = 15, and least picks a day from m = 20 to 5 at 150
variations: seconds until the top 100 are proven by two threads, groups visited, tests. A
search that is not proven within ``--cap`` wall seconds ends there, with its gap. The plot goes to
``group_growth.svg`` beside this file. Under four minutes on two free cores.

The instance is that of the published figures when the prototypes are beside the project, else
one of a single factor.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from growth_plot import Panel, Point, write_plot
from instances import Instance, one_factor, reference

from engine.decision.group_search import GroupSearch
from engine.decision.search_kernels import warm_up

ITEMS = (50, 100, 150, 250)
FLOORS = (20, 15, 12, 10, 8, 6, 5)
M, EACH = 15, 150
THREADS = 2
PLOT = Path(__file__).with_name("group_growth.svg")


@dataclass(frozen=True, slots=True)
class Cost:
    """One search; ``seconds`` wall, ``cpu_s`` processor seconds of both threads."""

    seconds: float
    cpu_s: float
    visited: int
    tests: int
    proven: bool
    gap: float
    best: float

    @property
    def note(self) -> str:
        return f"{self.seconds:.1f} s" if self.proven else f"gap {self.gap:.2f}"

    @property
    def row(self) -> str:
        state = "proven" if self.proven else f"gap {self.gap:.3f}"
        return (
            f"{self.seconds:9.2f} {self.cpu_s:9.2f} {self.visited:15,} {self.tests:16,} "
            f"{self.tests / self.cpu_s / 1e6:9.1f}   {self.best:.3f}   {state}"
        )


def cost(instance: Instance, min_picks: int, cap_s: float) -> Cost:
    search = GroupSearch(
        *instance, min_picks=min_picks, max_size=10, top_k=100, threads=THREADS, budget_s=cap_s
    )  # fmt: skip
    cpu = time.process_time()
    search.start()
    search.wait()
    cpu = time.process_time() - cpu
    result, end = search.result(), search.snapshot()
    best = result.groups[0].score if result.groups else float("nan")
    return Cost(end.elapsed_s, cpu, result.frequent, result.tests, result.proven, result.gap, best)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cap", type=float, default=30.0, help="wall seconds of one search")
    options.add_argument("--plot", type=Path, default=PLOT, help="where the plot goes")
    chosen = options.parse_args()
    warm_up(lambda done, total, name: None)
    large, usual = reference(max(ITEMS)), reference(EACH)
    name = "published instance"
    if large is None or usual is None:
        large, usual = one_factor(1, 0.3, max(ITEMS)), one_factor(1, 0.3, EACH)
        name = "one factor"
    head = (
        f"{'seconds':>9} {'cpu s':>9} {'groups visited':>15} {'tests':>16} {'M tests/s':>9}   {'best':<7} outcome"
    )
    panels = []
    print(f"{name}, top 100, groups of up to 10, {THREADS} threads, at most {chosen.cap:g} s each")
    print(f"\nvariations an algorithm, m = {M}\n{'':>5} {head}")
    points = []
    for each in ITEMS:
        found = cost(large.thinned(each), M, chosen.cap)
        print(f"{each:>5} {found.row}", flush=True)
        points.append(Point(each, found.seconds, found.note, not found.proven))
    panels.append(Panel(f"10 algorithms, m = {M}", "variations an algorithm", "seconds to proof", tuple(points)))
    print(f"\nleast picks a day m, {EACH} variations an algorithm\n{'':>5} {head}")
    points = []
    for min_picks in FLOORS:
        found = cost(usual, min_picks, chosen.cap)
        print(f"{min_picks:>5} {found.row}", flush=True)
        points.append(Point(min_picks, found.seconds, found.note, not found.proven))
    title = f"10 x {EACH} variations"
    panels.append(Panel(title, "least picks a day m", "seconds to proof", tuple(points), falling=True))
    note = f"{name}, top 100 of groups of up to 10, {THREADS} threads; hollow: ended after {chosen.cap:g} s"
    write_plot(chosen.plot, panels, note)
    print(f"\nplot: {chosen.plot.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
