"""Training and search at full load, as the engine's workers run them: niced, until standard input ends.

    python tests/benchmarks/full_load.py training|search

``training`` evaluates cycle after cycle (1,000 tickers x 80 parameter sets x 5 days) on the
native kernels; ``search`` proves the same hard week of groups again and again on one thread.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

NICE = 10  # as the workers' own


def train(stop: threading.Event) -> None:
    from synthetic_bars import synthetic_week

    from engine.compute import ALGORITHMS, NativeEngine, ParameterSet

    prepared = NativeEngine().prepare(synthetic_week(7))
    sets = [
        ParameterSet(name, point)
        for name, space in ALGORITHMS.items()
        for point in itertools.islice(space.enumerate(), 8)
    ]
    print("ready", flush=True)
    while not stop.is_set():
        test = prepared.begin(sets)
        for day in range(5):
            for batch in range(4):
                test.run_batch(day, batch)


def search(stop: threading.Event) -> None:
    from engine.decision.group_count import count_groups

    rng = np.random.default_rng(3)
    algorithm = np.repeat(np.arange(10), 60)
    picked = rng.random((len(algorithm), 5, 1024)) < rng.uniform(0.02, 0.2, (len(algorithm), 1, 1))
    picked[:, :, 1000:] = False
    bits = np.packbits(picked, axis=2, bitorder="little").view(np.uint64)
    print("ready", flush=True)
    while not stop.is_set():
        count_groups(bits, algorithm, min_picks=12, max_size=6)


if __name__ == "__main__":
    os.nice(NICE)
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        os._exit(0)  # in the middle of a kernel: nothing here is worth finishing

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    (train if sys.argv[1] == "training" else search)(ended)
