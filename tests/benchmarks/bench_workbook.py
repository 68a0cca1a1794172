"""The workbook backend: processor time of a batch, what a second office gains, what the steps cost.

    python tests/benchmarks/bench_workbook.py [--batches 4]

Targets on two free cores: 8 processor seconds a batch of 250 tickers, two offices in 0.6 of
one office's wall time, 10 % for steps of 25 tickers against one step of 250.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import psutil

from engine.compute import NativeEngine
from engine.compute.check_material import edge_sets, seeded_windows
from engine.compute.workbook.engine import WorkbookEngine
from engine.model import BATCH_TICKERS, BATCHES, DAYS
from engine.settings import WorkbookSettings

ORIGINAL_CYCLE_S = 288.0


def measured(instances: int, chunk: int, batches: int) -> tuple[float, float]:
    """(wall seconds, processor seconds of the offices) a batch; AssertionError when an answer is wrong."""
    sets, windows = edge_sets(seed=1), seeded_windows(seed=2, tickers=BATCH_TICKERS)
    expected = NativeEngine().evaluate(windows, sets)
    with WorkbookEngine(settings=WorkbookSettings(instances=instances, chunk=chunk)) as engine:
        engine.evaluate(windows[:10], sets)

        def processor() -> float:
            return sum(sum(psutil.Process(d.pid).cpu_times()[:2]) for d in engine.drivers)

        wall, cpu = time.perf_counter(), processor()
        for _ in range(batches):
            answer = engine.evaluate(windows, sets)
            assert np.array_equal(answer.buys, expected.buys)
            assert np.array_equal(answer.pp, expected.pp)
        return (time.perf_counter() - wall) / batches, (processor() - cpu) / batches


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=4)
    batches = parser.parse_args().batches
    one, cpu = measured(1, 25, batches)
    two, _ = measured(2, 25, batches)
    _, whole = measured(1, 250, batches)
    cycle = two * DAYS * BATCHES
    print(f"a batch of {BATCH_TICKERS}: {cpu:.2f} processor seconds (target 8), {one:.2f} s wall with one office")
    print(f"two offices: {two:.2f} s, {two / one:.2f} of one (target 0.6)")
    print(f"steps of 25 against one step: {100 * (cpu / whole - 1):+.1f} % processor time (target +10 %)")
    print(f"a cycle with two offices: {cycle:.0f} s; the original's {ORIGINAL_CYCLE_S:.0f} s")


if __name__ == "__main__":
    main()
