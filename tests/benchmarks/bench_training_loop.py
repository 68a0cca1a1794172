"""200 complete cycles with database writes and proposals, then the pruner, and where the time goes.

Run by hand: ``python tests/benchmarks/bench_training_loop.py [cycles]``. The limit of the
design is 20 s on the 2-core machine, kernels 12 ms a cycle.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from synthetic_week import week

from engine.compute import ALGORITHMS, open_engine
from engine.decision import overlap
from engine.decision.mp1_p3_pruner import select
from engine.settings import PrunerSettings
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.mp1_loop import LoopPlan, Mp1Loop
from engine.training.mp1_p1_variation_tester import VariationTester
from engine.views import TrainingView


async def measure(cycles: int, folder: Path) -> None:
    spaces = list(ALGORITHMS.values())
    engine = open_engine("native")
    engine.warm_up(lambda *_: None)
    overlap.warm_up(lambda *_: None)
    tester = VariationTester(engine, week(3))
    results = await VariationResultsDb.open(folder / "results.db", spaces=spaces)
    views: list[TrainingView] = []
    try:
        loop = Mp1Loop(tester, results, spaces, LoopPlan(cycles=cycles), "{}", views.append)
        cpu, began = time.process_time(), time.perf_counter()
        report = await loop.run()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        stored = {space.algorithm: await results.results(space) for space in spaces}
    finally:
        await results.close()
    began = time.perf_counter()
    kept = sum(len(select(rows, PrunerSettings(), name)[0]) for name, rows in stored.items())
    pruned = time.perf_counter() - began
    last = views[-1]
    print(f"{report.cycle} cycles, {report.distinct:,} distinct sets: {wall:.2f} s wall, {cpu:.2f} s processor")
    print(f"limit 20 s for 200 cycles; ratio {wall / (20 * cycles / 200):.2f}")
    print(f"last cycles: kernels {last.kernel_ms:.1f} ms of {last.cycle_ms:.1f} ms; {len(views)} views told")
    print(f"pruned to {kept:,} in {pruned:.2f} s (limit 2 s)")
    print(f"{(last.evaluations_per_s or 0) / 1e6:.1f} M evaluations/s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200, Path(scratch)))
