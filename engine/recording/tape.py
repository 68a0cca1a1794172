"""Reads a recorded day: which moments there are, and what the screens showed at each.

Positions on a tape are seconds. They are market seconds while the market's clock runs (so
that a drill at 300-fold speed is as long as the day it plays), wall seconds while that clock
is held or jumps, and one second where nothing was recorded. On a real broker all three
clocks are one. A day that is still being recorded grows: ``extend`` reads what is new.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.database import connect
from engine.errors import StorageError
from engine.recording.day_file import SCHEMA, from_micros, micros
from engine.recording.frame_codec import FrameCodec
from engine.recording.view_deltas import Tree, patched

GAP_S = 10.0  # wall seconds without a frame: the engine did not run, or was held up
FASTEST = 1000.0  # market seconds a wall second; beyond it the clock has jumped
SHORTEST_S = 0.001

Trees = dict[str, Tree]


class Tape:
    """One recorded day. Use it in one thread; ``close`` it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._columns: npt.NDArray[np.int64] = np.zeros((6, 0), np.int64)
        self._at_s: npt.NDArray[np.float64] = np.zeros(0)
        self._index = -1  # of the frame that _trees is, and that _codec has read
        self._trees: Trees = {}
        self._codec = FrameCodec()

    @classmethod
    def open(cls, path: Path) -> Tape:
        """Raises StorageError: damaged, of a newer version, not a recording, empty."""
        tape = cls(path, connect(path, SCHEMA, read_only=True))
        try:
            tape.extend()
            if not len(tape):
                raise StorageError(f"{path} holds no frame; {SCHEMA.remedy}")
        except BaseException:
            tape.close()
            raise
        return tape

    def close(self) -> None:
        self._connection.close()

    def extend(self) -> bool:
        """Takes in the frames written since; whether there were any."""
        newest = int(self._columns[0, -1]) if len(self) else 0
        rows = self._query(
            "SELECT frame, run, wall_us, market_us, seq, is_key FROM frames WHERE frame > ? ORDER BY frame", newest
        )
        if rows:
            fresh = np.array(rows, np.int64).T
            self._columns = np.concatenate((self._columns, fresh), axis=1)
            self._at_s = _positions(*self._columns[1:4])
        return bool(rows)

    def __len__(self) -> int:
        return int(self._columns.shape[1])

    # --- where ---------------------------------------------------------------------------------

    @property
    def length_s(self) -> float:
        """Position of the last frame."""
        return float(self._at_s[-1])

    def position(self, index: int) -> float:
        return float(self._at_s[index])

    def index_at(self, position_s: float) -> int:
        """The frame that was shown at a position: the last one not after it."""
        return max(0, int(np.searchsorted(self._at_s, position_s, side="right")) - 1)

    def index_of_market(self, at: datetime, after: int = 0) -> int | None:
        """The frame shown when the market's clock passed ``at``: the next time after frame ``after``, else
        the first time; None when it never did.
        """
        market = np.append(self._columns[3], np.iinfo(np.int64).max if self._columns[3, -1] == micros(at) else 0)
        reached = np.flatnonzero((market[:-1] <= micros(at)) & (market[1:] > micros(at)))
        if not len(reached):
            return None
        later = reached[reached > after]
        return int(later[0] if len(later) else reached[0])

    def index_of_seq(self, seq: int) -> int | None:
        """The first frame that knew event ``seq``."""
        known = np.flatnonzero(self._columns[4] >= seq)
        return int(known[0]) if len(known) else None

    def gap_after(self, index: int) -> float:
        """Wall seconds without a frame behind this one; 0 when the next follows at once or there is none."""
        if index + 1 >= len(self):
            return 0.0
        gap = (self._columns[2, index + 1] - self._columns[2, index]) / 1e6
        return float(gap) if gap > GAP_S else 0.0

    # --- what ----------------------------------------------------------------------------------

    def market_at(self, index: int) -> datetime:
        return from_micros(int(self._columns[3, index]))

    def wall_at(self, index: int) -> datetime:
        return from_micros(int(self._columns[2, index]))

    def seq(self, index: int) -> int:
        """The newest journal event that the screens knew."""
        return int(self._columns[4, index])

    def anchors(self) -> list[tuple[int, str]]:
        """(seq, "kind: text") of the newest event at the start of each run; seq 0: the journal was empty."""
        return [(int(seq), str(anchor)) for seq, anchor in self._query("SELECT first_seq, anchor FROM runs")]

    def trees(self, index: int) -> Trees:
        """Every view as it was written. One that did not change since the frame asked for before is often the
        same object, and never when it did change.

        Reads on from that frame, or from the nearest whole one. StorageError when a frame cannot be read.
        """
        if index == self._index:
            return self._trees
        key = int(np.flatnonzero(self._columns[5, : index + 1])[-1])
        goes_on = key <= self._index < index
        begin = self._index + 1 if goes_on else key
        trees = self._trees if goes_on else {}
        self._index = -1  # nowhere, should reading fail half-way
        for frame, is_key, body in self._query(
            "SELECT frame, is_key, body FROM frames WHERE frame BETWEEN ? AND ? ORDER BY frame",
            int(self._columns[0, begin]),
            int(self._columns[0, index]),
        ):
            try:
                trees = patched({} if is_key else trees, self._codec.unpack(body, whole=bool(is_key)))
            except ValueError as error:
                raise StorageError(
                    f"{self.path} is damaged at frame {frame} ({error}); {SCHEMA.remedy}"
                ) from error
        self._trees, self._index = trees, index
        return trees

    def _query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{self.path} cannot be read: {error}; {SCHEMA.remedy}") from error


def _positions(
    run: npt.NDArray[np.int64], wall_us: npt.NDArray[np.int64], market_us: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Seconds of each frame from the first; strictly rising."""
    wall, market = np.diff(wall_us) / 1e6, np.diff(market_us) / 1e6
    runs_on = (market > 0) & (market <= np.maximum(wall, 1.0) * FASTEST)
    step = np.where(runs_on, market, wall)
    step = np.where((wall > GAP_S) | (np.diff(run) != 0), 1.0, step)
    return np.concatenate(([0.0], np.cumsum(np.maximum(step, SHORTEST_S))))
