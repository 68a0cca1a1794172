"""Moves bars into the kernels' blocks and buy flags out of them.

A block is float64[5 columns, 64 bars, 256 lanes], bars oldest first. Lanes beyond the
last ticker are filled with ones: they compute something harmless that nobody reads.
"""

from __future__ import annotations

from numba import types

from engine.compute.algorithms.rule import LANES, SIGNAL, Flags, kernel
from engine.model import Floats, Ints, Words

FILL_SIGNATURE = types.void(
    types.Array(types.float64, 3, "C", readonly=True), types.int64, types.float64[:, :, ::1]
)
TALLY_SIGNATURE = types.void(
    types.uint8[:, ::1], types.int64[::1], types.int64[::1], types.int64, types.int64,
    types.int64[:, ::1], types.int64[:, ::1], types.uint64[:, :, ::1],
)  # fmt: skip


@kernel
def fill_block(windows: Floats, newest: int, block: Floats) -> None:
    """Copies at most 256 windows (newest row first) into ``block``; row ``newest`` is the signal bar."""
    tickers = windows.shape[0]
    for lane in range(tickers):
        for t in range(SIGNAL + 1):
            for column in range(5):
                block[column, t, lane] = windows[lane, newest + SIGNAL - t, column]
    block[:, :, tickers:] = 1.0


@kernel
def tally(
    flags: Flags, positions: Ints, pp: Ints, day: int, first: int, buys: Ints, pp_sum: Ints, picks: Words
) -> None:
    """Adds one batch's flags [sets, lanes] to a day's counts.

    Row i of ``flags`` belongs to set ``positions[i]``; lane j is ticker ``first + j`` with
    PP ``pp[j]`` (micro-percent; integers, so the order of adding does not matter).
    """
    for row in range(positions.size):
        at = positions[row]
        count = 0
        total = 0
        for j in range(pp.size):
            flag = int(flags[row, j])
            count += flag
            total += flag * pp[j]
        buys[at, day] += count
        pp_sum[at, day] += total
        if count > 0:
            for j in range(pp.size):
                ticker = first + j
                picks[at, day, ticker >> 6] |= types.uint64(flags[row, j]) << types.uint64(ticker & 63)


__all__ = ["FILL_SIGNATURE", "LANES", "TALLY_SIGNATURE", "fill_block", "tally"]
