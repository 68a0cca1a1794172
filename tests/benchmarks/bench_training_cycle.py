"""A training cycle: 80 parameter sets x 5 days x 1,000 tickers = 400,000 evaluations.

    python tests/benchmarks/bench_training_cycle.py [--cycles N] [--no-talib]

Prints what is measured, in one run and one thread: the kernels of a cycle (target
<= 12 ms), the same sets with TA-Lib called per ticker (target: at least 200 times longer),
the proposals of a whole run (target <= 3 s for 200 cycles), and the first and the later
start of the compute kernels.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.compute import ALGORITHMS, NativeEngine, ParameterSet
from engine.model import Floats
from engine.training.mp1_p2_optimizer import propose

PROJECT = Path(__file__).parents[2]
SLOTS = 8
EVALUATIONS = 80 * 5 * 1000


def random_cycles(count: int) -> list[list[ParameterSet]]:
    random = np.random.default_rng(1)
    points = {name: list(space.enumerate()) for name, space in ALGORITHMS.items()}
    return [
        [ParameterSet(name, p[i]) for name, p in points.items() for i in random.integers(len(p), size=SLOTS)]
        for _ in range(count)
    ]


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def kernels(week: list[Floats], cycles: int) -> float:
    """Median milliseconds of the 20 batches of a cycle, random parameter sets, packed week."""
    prepared = NativeEngine().prepare(week)

    def run(sets: list[ParameterSet]) -> None:
        test = prepared.begin(sets)
        for day in range(5):
            for batch in range(4):
                test.run_batch(day, batch)

    times = [milliseconds(lambda sets=sets: run(sets)) for sets in random_cycles(cycles)]
    print(
        f"kernels of a cycle     median {statistics.median(times):8.2f} ms   "
        f"best {min(times):.2f}   worst {max(times):.2f}   ({cycles} cycles)"
    )
    return statistics.median(times)


def ta_lib(week: list[Floats]) -> float:
    """Milliseconds of one cycle with TA-Lib called for each set and ticker."""
    from talib_reference import buys, chronological

    sets = random_cycles(1)[0]
    columns = [[chronological(window[1:]) for window in windows] for windows in week]

    def run() -> None:
        for day in columns:
            for one in sets:
                for ticker in day:
                    buys(one.algorithm, one.values, ticker)

    elapsed = milliseconds(run)
    print(f"TA-Lib per ticker             {elapsed:8.0f} ms")
    return elapsed


def proposals(cycles: int) -> None:
    """What mp1_p2 costs over a whole run, on scores that rise toward one corner of each space."""
    asked, spent = 0, 0.0
    for name, space in ALGORITHMS.items():
        history: list[tuple[tuple[int, ...], float]] = []
        for _ in range(cycles):
            started = time.perf_counter()
            new = propose(name, history, SLOTS, 1)
            spent += time.perf_counter() - started
            asked += len(new)
            ends = [p.high for p in space.parameters]
            history += [(s.values, -float(sum(e - v for e, v in zip(ends, s.values, strict=True)))) for s in new]
    print(f"proposals of {cycles} cycles  {spent:12.2f} s    {1000 * spent / asked:.3f} ms each, {asked:,} in all")


def starts() -> None:
    """Seconds to compile all kernels into an empty cache, and to load them from it."""
    with tempfile.TemporaryDirectory() as cache:
        for title in ("first start, compiling", "later start, cached   "):
            code = "from engine.compute import NativeEngine; NativeEngine().warm_up(lambda d, t, n: None)"
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(PROJECT)}
            elapsed = milliseconds(
                lambda code=code, environment=environment: subprocess.run(
                    [sys.executable, "-c", code], env=environment, check=True
                )
            )
            print(f"{title} {elapsed / 1000:8.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--no-talib", action="store_true", help="leave the TA-Lib comparison out")
    arguments = parser.parse_args()
    sys.path.insert(0, str(PROJECT / "tests" / "unit"))  # the bars and the TA-Lib rules of the tests
    from synthetic_bars import synthetic_week

    NativeEngine().warm_up(lambda done, total, name: None)
    week = synthetic_week(1)
    ours = kernels(week, min(arguments.cycles, 50))
    print(f"                              {EVALUATIONS / ours / 1000:8.1f} M evaluations/s")
    if not arguments.no_talib:
        print(f"ratio                         {ta_lib(week) / ours:8.0f} x")
    proposals(arguments.cycles)
    starts()


if __name__ == "__main__":
    main()
