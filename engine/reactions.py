"""What keeps this process quick to react: pauses of the collector and of the interpreter lock made short.

Measured by ``tests/benchmarks/bench_stop_to_wire.py``: a full collection of an engine's heap
stops everything for some 70 ms, and the loop may wait 5 ms for the lock while another thread
(the journal's, a reader's) computes. Both lie between a price and an exit.
"""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0005  # how long a thread that wants the interpreter lock waits before it is given (default 5 ms)
YOUNG, MIDDLE, OLD = 1_000, 20, 50  # net allocations, then collections of the younger generation


def stay_quick() -> None:
    """Called once everything that lives as long as the process has been built."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()  # what exists now lives as long as the process: full collections see only what came later
    gc.set_threshold(YOUNG, MIDDLE, OLD)
