"""One thread's part of the search: it walks the anchor it was given, slice by slice.

A lane owns its memory and its buffer of hits, calls the kernels without any lock, and knows
nothing of the other lanes. What a slice has done comes back as a ``Slice``; what to do next
is decided by ``anchor_dispatch``.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from engine.decision.anchor_queue import AnchorJob, ParkedStack, cursor_of, park, unpark
from engine.decision.group_kernel import advance, open_anchor, replay_anchor, resume_anchor
from engine.decision.group_problem import RankedProblem
from engine.decision.kernel_arrays import CUT, DEPTH, FREQUENT, HELD, TESTS, Limits, new_hits, new_workspace
from engine.decision.kernel_bounds import open_best
from engine.decision.search_snapshot import LaneState
from engine.decision.search_state import Cursor, KeptWalk
from engine.decision.top_groups import TopGroups
from engine.decision.watchdog import SECOND

HIT_CAPACITY = 4096  # groups a lane holds before it hands them in
FIRST_RATE = 20e6  # tests a second that a lane expects of itself before it has measured
SLOWEST_RATE = 1e5  # tests a second; a slice measured slower than that was not ours


@dataclass(frozen=True, slots=True)
class Slice:
    """What a lane did between two looks around; the anchor's opening belongs to its first slice."""

    ended: int  # CLOSED, SLICE_OVER or HITS_FULL
    bound: int  # the largest best sum still open below the anchor
    tests: int
    frequent: int
    spent_ns: int
    cursor: Cursor


class Lane:
    """The memory of one thread, and the anchor in it."""

    def __init__(self, number: int, problem: RankedProblem) -> None:
        self.number = number
        self.problem = problem
        self.work = new_workspace(problem.count)
        self.hits = new_hits(max(HIT_CAPACITY, 2 * problem.count))
        self.rate = FIRST_RATE
        self.measured = 0.0  # tests a second of the last slice, for display
        self.job: AnchorJob | None = None
        self.depth = 0  # members of the present prefix
        self.state: LaneState = "waiting"
        self.progressed_at = time.monotonic()
        self._began = 0

    def enter(self, job: AnchorJob, limits: Limits) -> None:
        """Begins the anchor, or goes on where it stalled or where an earlier life left it."""
        kernel, work = self.problem.kernel, self.work
        self.look_up()
        work.counters[:] = 0
        if job.kept is not None:
            self._restore(job.kept)
        elif job.stack is not None:
            unpark(job.stack, kernel, work)
            resume_anchor(kernel, work)
            job.stack = None
        elif job.cursor is not None:
            self._replay(job.anchor, job.cursor, limits)
        else:
            open_anchor(kernel, limits, work, self.hits, job.anchor)

    def _restore(self, kept: KeptWalk) -> None:
        """Puts everything back as it was after that slice."""
        kernel, work = self.problem.kernel, self.work
        meta, items, path, position, width = (np.frombuffer(one, np.int64) for one in kept.stack)
        candidates, best = (
            tuple(np.frombuffer(one, np.int64) for one in all_) for all_ in (kept.candidates, kept.best)
        )
        unpark(ParkedStack(meta, items, path, position, width, candidates, best), kernel, work)
        resume_anchor(kernel, work)
        for array, stored in zip(self.hits, kept.hits, strict=True):
            held = np.frombuffer(stored, array.dtype).reshape(-1, *array.shape[1:])
            array[: len(held)] = held
            work.counters[HELD] = len(held)

    def _replay(self, anchor: int, cursor: Cursor, limits: Limits) -> None:
        """Brings the walk to where an earlier life left it; that life has counted what lies before."""
        kernel, work = self.problem.kernel, self.work
        silent = limits._replace(score=math.inf)
        open_anchor(kernel, silent, work, self.hits, anchor)
        path, following = np.array(cursor.path, np.int64), np.array(cursor.following, np.int64)
        replay_anchor(kernel, silent, work, self.hits, path, following)
        work.meta[CUT] = max(int(work.meta[CUT]), cursor.cut)
        work.counters[:] = 0

    def advance(self, limits: Limits, max_tests: int) -> Slice:
        """Walks on for about ``max_tests`` tests."""
        kernel, work = self.problem.kernel, self.work
        before = int(work.counters[TESTS])
        ended = int(advance(kernel, limits, work, self.hits, max_tests))
        bound = int(open_best(kernel, work))
        self.depth = int(work.meta[DEPTH])
        now = time.monotonic_ns()
        spent, self._began = now - self._began, now
        tests, frequent = int(work.counters[TESTS]), int(work.counters[FREQUENT])
        work.counters[TESTS] = work.counters[FREQUENT] = 0
        if tests > before and spent:
            self.measured = (tests - before) * SECOND / spent
            self.rate = max(SLOWEST_RATE, 0.5 * self.rate + 0.5 * self.measured)
        return Slice(ended, bound, tests, frequent, spent, cursor_of(work))

    def park(self) -> ParkedStack | None:
        """The walk of the present anchor, for whoever goes on with it."""
        return park(self.work)

    def keep(self, top: TopGroups) -> KeptWalk:
        """The walk of the present anchor under a quota, with its own best groups ``top``."""
        stack, held = park(self.work), int(self.work.counters[HELD])
        arrays = (stack.meta, stack.items, stack.path, stack.position, stack.width)
        return KeptWalk(
            stack=tuple(array.tobytes() for array in arrays),
            candidates=tuple(array.tobytes() for array in stack.candidates),
            best=tuple(array.tobytes() for array in stack.best),
            hits=tuple(array[:held].tobytes() for array in self.hits),
            threshold=top.threshold,
            groups=top.best(),
        )

    def progressed(self) -> None:
        """An anchor was closed, or a better group found."""
        self.progressed_at = time.monotonic()

    def look_up(self) -> None:
        """The next slice is charged from now on: a pause is over, or a new anchor begins."""
        self._began = time.monotonic_ns()

    @property
    def opening_tests(self) -> int:
        """Tests that opening the anchor has taken, before its first slice."""
        return int(self.work.counters[TESTS])

    def hand_in(self, top: TopGroups) -> bool:
        """Empties the buffer of hits into ``top``; whether that changed it."""
        held = int(self.work.counters[HELD])
        self.work.counters[HELD] = 0
        return held > 0 and self.problem.offer(self.hits, held, top)
