"""``python -m engine.compute.warm_kernels``: compiles every kernel once, or loads it from the cache.

Tells each step as one JSON line {"done", "total", "name"} on stdout, so that the engine
can show the first start's progress. Exit code 0 when all are ready, 1 with a sentence on
stderr when a kernel cannot be compiled or the cache cannot be written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from engine.compute.native import NativeEngine
from engine.decision import group_kernel, overlap

Progress = Callable[[int, int, str], None]


def warm_up(progress: Progress) -> None:
    """Readies the kernels of compute, of the overlaps and of the group search, in this order.

    A source's count becomes known when it reports first; until then its total is taken
    for 1, so ``total`` may grow once as the group search begins.
    """
    sources: list[Callable[[Progress], None]] = [NativeEngine().warm_up, overlap.warm_up]
    if hasattr(group_kernel, "warm_up"):
        sources.append(group_kernel.warm_up)
    before = 0
    for position, source in enumerate(sources):
        waiting = len(sources) - position - 1
        counted = 0

        def tell(done: int, total: int, name: str, before: int = before, waiting: int = waiting) -> None:
            nonlocal counted
            counted = total
            progress(before + done, before + total + waiting, name)

        source(tell)
        before += counted


def main() -> int:
    def say(done: int, total: int, name: str) -> None:
        print(json.dumps({"done": done, "total": total, "name": name}), flush=True)

    try:
        warm_up(say)
    except OSError as error:
        print(f"kernels cannot be kept: {error}; set NUMBA_CACHE_DIR to a writable folder", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
