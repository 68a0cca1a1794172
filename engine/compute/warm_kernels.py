"""``python -m engine.compute.warm_kernels``: compiles every kernel once, or loads it from the cache.

Tells each step as one JSON line {"done", "total", "name"} on stdout, so that the engine
can show the first start's progress. Exit code 0 when all are ready, and a note beside them says so
(``engine.kernel_cache.compiled_note``); 1 with a sentence on stderr when a kernel cannot be
compiled or the cache cannot be written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from engine.compute import native
from engine.decision import overlap, search_kernels
from engine.kernel_cache import compiled_note

Progress = Callable[[int, int, str], None]


def warm_up(progress: Progress) -> None:
    """Readies the kernels of compute, of the overlaps and of the group search, in this order."""
    sources: list[tuple[int, Callable[[Progress], None]]] = [
        (len(native.KERNELS), native.NativeEngine().warm_up),
        (1, overlap.warm_up),
        (len(search_kernels.KERNELS), search_kernels.warm_up),
    ]
    total = sum(count for count, _ in sources)
    before = 0
    for count, source in sources:

        def tell(done: int, _: int, name: str, before: int = before) -> None:
            progress(before + done, total, name)

        source(tell)
        before += count


def main() -> int:
    def say(done: int, total: int, name: str) -> None:
        print(json.dumps({"done": done, "total": total, "name": name}), flush=True)

    try:
        note = compiled_note()  # before: a source that changes meanwhile has another
        warm_up(say)
        note.touch()
    except OSError as error:
        print(f"kernels cannot be kept: {error}; set NUMBA_CACHE_DIR to a writable folder", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
