"""How alike two sets of 5-day picks are: Jaccard = shared picks / picks of either.

Picks are compared as bits (uint64[5, 16] or the same flat, 80 words): a ticker bought on
two days is two picks. Two variations that pick nothing share nothing: 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numba
import numpy as np
from numba import types

from engine.decision.bit_intrinsics import count_ones
from engine.kernel_cache import compiling
from engine.model import DAYS, WORDS, Floats, Words

PICK_WORDS = DAYS * WORDS
_SIGNATURE = types.void(
    types.Array(types.uint64, 1, "C", readonly=True),
    types.Array(types.uint64, 2, "C", readonly=True),
    types.float64[::1],
)


_ones = cast(Callable[[Any], int], count_ones)


def _jaccard_rows(one: Words, many: Words, out: Floats) -> None:
    for row in range(many.shape[0]):
        shared, either = 0, 0
        for word in range(one.size):
            a, b = one[word], many[row, word]
            shared += _ones(a & b)
            either += _ones(a | b)
        out[row] = shared / either if either > 0 else 0.0


_jaccard_kernel = cast(Any, numba.njit(nogil=True, cache=True, error_model="numpy"))(_jaccard_rows)


def stored_picks(picks: Sequence[bytes]) -> Words:
    """The picks of many stored rows as one read-only array uint64[n, 80]."""
    words = np.frombuffer(b"".join(picks), dtype="<u8").reshape(-1, PICK_WORDS)
    return words.astype(np.uint64, copy=False)


def jaccard_with(one: Words, many: Words) -> Floats:
    """Jaccard of ``one`` (uint64[5, 16] or [80]) with each row of ``many`` (uint64[n, 5, 16] or [n, 80])."""
    flat = _read_only(one.reshape(-1))
    rows = _read_only(many.reshape(len(many), -1) if len(many) else np.empty((0, flat.size), np.uint64))
    if flat.size != rows.shape[1]:
        raise ValueError(f"picks of {flat.size} words cannot be compared with picks of {rows.shape[1]}")
    out = np.empty(len(rows))
    _jaccard_kernel(flat, rows, out)
    return out


def jaccard(one: Words, other: Words) -> float:
    """Jaccard of two sets of picks, 0..1."""
    return float(jaccard_with(one, other.reshape(1, -1))[0])


def warm_up(progress: Callable[[int, int, str], None]) -> None:
    """Compiles the kernel, or loads it from the cache; ``progress(done, total, name)``."""
    with compiling():
        _jaccard_kernel.compile(_SIGNATURE.args)
    progress(1, 1, "overlap")


def _read_only(words: Words) -> Words:
    """Read-only and contiguous: stored picks are read-only, and one kernel signature serves all."""
    view = np.ascontiguousarray(words, dtype=np.uint64).view()
    view.flags.writeable = False
    return view
