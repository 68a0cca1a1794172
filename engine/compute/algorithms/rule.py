"""What every algorithm file provides, and the memory layout that all kernels share.

A kernel sees one block: float64[5 columns, 64 bars, lanes], bars oldest first, one lane a
ticker. It loops over bars outside and lanes inside, so that the compiler works on many
tickers at once; without fast-math every vector width gives the same bits. It answers for
all its parameter sets in one call, which lets sets share what they have in common
(typical prices, true ranges, EMA lines): sharing never changes a bit, because the shared
rows are the very numbers that each set would have computed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from engine.model import LOOKBACK
from engine.spaces import ParameterSpace

LANES = 256  # lanes of a block: a batch of 250 tickers, padded to whole vectors
SIGNAL = LOOKBACK - 1  # chronological index of the signal bar t

# bars [5, 64, lanes], real parameter values [sets, parameters], scratch [rows, lanes], flags [sets, lanes]
RULE_SIGNATURE = types.void(
    types.float64[:, :, ::1], types.float64[:, ::1], types.float64[:, ::1], types.uint8[:, ::1]
)

Flags = NDArray[np.uint8]  # 1 or 0
F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compiles with numba when first used: nogil, cached, divisions as IEEE, no fast-math."""
    return cast(F, numba.njit(nogil=True, cache=True, error_model="numpy")(function))


@dataclass(frozen=True)
class Rule:
    """One algorithm: its parameter space and its kernel.

    ``buys(bars, values, scratch, flags)`` writes 1 or 0 for every set and lane: whether the
    signal bar buys. ``scratch_rows`` rows of working memory hold anything on entry.
    ``order`` is the algorithm's place in every table and screen.
    """

    order: int
    space: ParameterSpace
    buys: Callable[..., None]
    scratch_rows: int
