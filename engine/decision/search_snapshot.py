"""What a search says of itself: its state at one moment, and its outcome.

Scores are percentage points, times seconds or thread-seconds; everything is frozen, so a
screen, an event and a log line can be made of the same snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.decision.top_groups import FoundGroup
from engine.decision.watchdog import LedgerSums

LaneState = Literal["searching", "waiting", "paused", "done", "lost"]  # lost: its worker died or left
RunState = Literal["idle", "running", "paused", "stopping", "done", "failed"]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best groups, best first, and how sure that is.

    ``frequent``: frequent groups visited, single items included (as ``count_groups`` counts), none
    twice: of an anchor that was cut off and began anew, what the longer of its walks has met.
    ``tests``: candidates tried beside a prefix, repeats of the deepening passes included.
    ``gap``: percentage points by which an undiscovered group could still beat the K-th best
    (the worst one known while there are fewer than K, or 0 while there is none); 0 when proven.
    """

    groups: tuple[FoundGroup, ...]
    frequent: int
    tests: int
    proven: bool
    gap: float


@dataclass(frozen=True, slots=True)
class LaneSnapshot:
    """One lane now; times in thread-seconds, ``stall_s`` seconds without a closed anchor or a better group."""

    lane: int
    state: LaneState
    anchor: int | None  # item id
    depth: int  # members of the present prefix
    max_depth: int
    tests_per_s: float
    granted: float
    used: float
    donated: float
    received: float
    stall_s: float


@dataclass(frozen=True, slots=True)
class SearchSnapshot:
    """The search at one moment; scores in percentage points, ``elapsed_s`` without pauses."""

    state: RunState
    budget_s: float
    elapsed_s: float
    incumbent: float | None
    bound: float | None  # of the best open anchor; the incumbent when all are closed
    gap: float | None
    proven: bool
    anchors: int
    anchors_closed: int
    frequent: int
    tests: int
    tests_per_s: float
    lanes: tuple[LaneSnapshot, ...]
    ledger: LedgerSums
    ledger_holds: bool  # open grants + used + pool = capacity, compared in whole nanoseconds
    groups: tuple[FoundGroup, ...]
