"""The evidence lane: what the search leaves of its budget goes into shuffled weeks.

After the proof, or at the end of the search's part of the budget, the same threads look for the
best group of hundreds of shuffled weeks (``permutation_null`` says what that is good for). One
walk over the frequent groups serves a block of them (``null_kernel``); between blocks the
lane looks whether the answer is already certain.

Every shuffle, and the real week among them, is searched by one procedure: all frequent groups in
the search's order, or the first of each anchor up to a quota. The quota is the operator's
(``tests``: nothing depends on time then), or fits the time that is left; it depends on how
many groups there are, never on PP. Whole blocks count, in order: shuffles that were quick by
chance are not preferred.

Times are monotonic, a pause consumes nothing, and the time is the ledger's.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.decision.bit_intrinsics import LANES
from engine.decision.group_kernel import open_anchor
from engine.decision.group_problem import RankedProblem
from engine.decision.kernel_arrays import CLOSED, FREQUENT, NEVER, Limits, Workspace, new_hits, new_workspace
from engine.decision.null_kernel import BLOCK, CUT_OFF, Quota, Shuffles, gather, new_shuffles, score_pairs, walk
from engine.decision.permutation_null import Shuffled, enough, judge, ranked_shuffles, shuffle
from engine.decision.search_clock import RunClock
from engine.decision.search_state import EvidenceState
from engine.decision.watchdog import SECOND, Ledger, LedgerSums
from engine.model import DAYS, TICKERS, WORDS, Ints

log = logging.getLogger(__name__)

FIRST_BLOCK = 24  # columns; most weeks are settled by them
SCORE_NS = 15.0  # thread time of one group under one shuffle on a free core: how far counting goes
SPENT_SHARE = 0.6  # of the time that is left when the quota is settled; the rest is room for a busy machine
SAMPLE_ANCHORS, SAMPLE_GROUPS = 16, 1_000  # what the cost is measured on
COUNTED_FROM_QUOTA = 2  # an anchor's groups are counted up to this many times the mean quota
LEAST_QUOTA = 50  # groups an anchor
SLICE_GROUPS = 20_000  # scored; counting is so much faster that a slice takes COUNT_SLICE
COUNT_SLICE = 500_000
NO_LIMIT = 2**60
LEAST_S = 0.02  # wall seconds; less is not worth beginning


def evidence_reserve(budget_s: float, shuffles: int) -> float:
    """Wall seconds that a search without a proof leaves to the evidence lane.

    A quarter of the budget; of a long one 3 s a shuffle.
    """
    return min(budget_s / 4, 3.0 * shuffles)


@dataclass(frozen=True, slots=True)
class EvidenceSnapshot:
    """The lane now; ``elapsed_s`` wall seconds without pauses."""

    state: Literal["running", "paused", "stopping", "done"]
    planned: int
    done: int
    elapsed_s: float
    ledger: LedgerSums
    detail: str


class EvidenceLane:
    """One run over one problem whose search has ended; ``start``, then ``wait``, then ``result``."""

    def __init__(
        self,
        problem: RankedProblem,
        excess: Ints,
        classes: Ints,
        scores: Sequence[float],
        *,
        ledger: Ledger,
        threads: int,
        shuffles: int,
        max_size: int,
        seed: int,
        time_left_s: float,
        tests: int | None = None,
        resume: EvidenceState | None = None,
    ) -> None:
        """``excess`` int64[5, 1000] in symbol order, ``classes`` int64[1000], ``scores`` of the found groups.

        ``time_left_s`` wall seconds, ``tests`` the operator's quota an anchor, ``resume`` the
        ``state`` of an earlier life with the same arguments.
        """
        if excess.shape != (DAYS, TICKERS) or classes.shape != (TICKERS,):
            raise ValueError(f"excess is {excess.shape}, classes are {classes.shape}")
        self._problem, self._excess, self._classes = problem, excess, classes
        self._kernel = problem.kernel._replace(scored=False)
        self._scores, self._planned, self._seed = tuple(scores), shuffles if scores else 0, seed
        self._threads, self._tests, self._time_left_s = threads, tests, time_left_s
        self._limits = Limits(max_size, max_size, 0, NEVER, 0.0)
        self._max_size = max_size
        self._ledger = ledger
        ledger.inherit()
        self._quota = Quota(NO_LIMIT, NO_LIMIT if tests is None else tests)
        self._order = list(range(problem.count - 1))
        self._cut = False  # an anchor had more groups than the quota
        self._groups = 0  # that every shuffle looks at
        self._observed = math.inf
        self._best: list[float] = []
        self._fitted = tests is not None  # the quota is settled
        if resume is not None:
            self._quota = self._quota._replace(groups=resume.quota)
            self._observed, self._best = resume.observed, list(resume.best)
            self._groups, self._cut = resume.groups, resume.cut
            self._fitted = True
        self._changed = threading.Condition()
        self._anchors: Iterator[int] = iter(())
        self._detail = ""
        self._stopping = False
        self._error: BaseException | None = None
        self._clock = RunClock(0.0 if resume is None else resume.elapsed_s)
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)

    # --- commands ------------------------------------------------------------------------

    def start(self) -> None:
        self._clock.start()
        self._thread.start()

    def pause(self) -> None:
        with self._changed:
            self._clock.pause()

    def resume(self) -> None:
        with self._changed:
            self._clock.resume()
            self._changed.notify_all()

    def stop(self) -> None:
        """Ends the lane after the present slices; whole blocks that were done count."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether the lane has ended. Raises what a thread raised."""
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        return self._clock.ended

    def result(self) -> tuple[Shuffled, ...]:
        """What the shuffles say about each group, in the order of ``scores``; RuntimeError before the end."""
        if not self._clock.ended:
            raise RuntimeError("the evidence lane has not ended")
        return judge(self._scores, self._best, self._observed, self._planned, self._groups if self._cut else None)

    def state(self) -> EvidenceState | None:
        """What a later life needs to go on after the last whole block; None before the first."""
        with self._changed:
            if not self._best:
                return None
            return EvidenceState(
                observed=self._observed,
                best=tuple(self._best),
                groups=self._groups,
                cut=self._cut,
                quota=self._quota.groups,
                elapsed_s=self._clock.elapsed_s,
            )

    def snapshot(self) -> EvidenceSnapshot:
        with self._changed:
            state: Literal["running", "paused", "stopping", "done"] = "running"
            if self._clock.ended:
                state = "done"
            elif self._stopping:
                state = "stopping"
            elif self._clock.paused:
                state = "paused"
            return EvidenceSnapshot(
                state=state,
                planned=self._planned,
                done=len(self._best),
                elapsed_s=self._clock.elapsed_s,
                ledger=self._ledger.sums(),
                detail=self._detail,
            )

    # --- the run -------------------------------------------------------------------------

    def _over(self) -> bool:
        """Whether the lane must end (lock held)."""
        if not self._clock.paused and self._clock.elapsed_s >= self._time_left_s:
            self._stopping = True
        return self._stopping

    def _run(self) -> None:
        try:
            if self._planned and self._time_left_s >= LEAST_S and self._order:
                self._all_blocks()
        except BaseException as error:  # wait() raises it
            log.exception("the evidence lane failed")
            self._error = error
        finally:
            with self._changed:
                self._clock.end()
                self._ledger.settle()
                self._changed.notify_all()

    def _all_blocks(self) -> None:
        with ThreadPoolExecutor(self._threads, "evidence") as pool:
            if not self._fitted and not self._fit_quota(pool):
                return
            while len(self._best) < self._planned and not self._certain():
                known = len(self._best)
                self._detail = f"shuffled searches {known} of {self._planned}"
                real = known == 0  # the first column of the first block is the real week
                columns = min(FIRST_BLOCK if real else BLOCK, self._planned - known + real)
                numbers = range(known + 1, known + columns - real + 1)
                found = self._block(pool, real, list(numbers))
                if found is None:
                    return
                with self._changed:
                    if real:
                        self._observed = found[0]
                    self._best.extend(found[real:])

    def _certain(self) -> bool:
        return enough(self._best, min(max(self._scores), self._observed), self._planned) is not None

    def _fit_quota(self, pool: ThreadPoolExecutor) -> bool:
        """Counts every anchor's groups and cuts the largest, so that all shuffles fit; False: it had to end."""
        self._detail = "counting groups for the shuffled searches"
        time_ns = (self._time_left_s - self._clock.elapsed_s) * self._threads * SECOND
        affordable = int(time_ns / (SCORE_NS * (self._planned + 1)))
        anchors = len(self._order)
        counted_to = max(LEAST_QUOTA, COUNTED_FROM_QUOTA * affordable // anchors)
        self._quota = Quota(counted_to, NO_LIMIT)
        counts = self._walk_all(pool, None, self._order)
        cost_ns = None if counts is None else self._measured_cost(pool)
        if counts is None or cost_ns is None:
            return False
        groups = np.array([counts[a][0] for a in range(anchors)])
        time_ns = SPENT_SHARE * (self._time_left_s - self._clock.elapsed_s) * self._threads * SECOND
        quota = water_level(groups, int(time_ns / (cost_ns * (self._planned + 1))))
        if not any(cut for _, cut in counts.values()) and groups.max(initial=0) <= quota:
            quota = NO_LIMIT
        self._quota = Quota(quota, NO_LIMIT)
        self._order.sort(key=lambda a: (-counts[a][0], a))  # long ones first: no lane waits for the last
        return True

    def _measured_cost(self, pool: ThreadPoolExecutor) -> float | None:
        """Thread time, ns, of one group under one shuffle here and now; None when the lane had to end."""
        sample = self._order[:: max(1, len(self._order) // SAMPLE_ANCHORS)]
        self._quota = Quota(SAMPLE_GROUPS, NO_LIMIT)
        lanes, columns = self._shuffled_lanes(False, range(1, BLOCK + 1))
        began = time.monotonic()
        counts = self._walk_all(pool, lanes, sample)
        if counts is None:
            return None
        groups = sum(found for found, _ in counts.values())
        return (time.monotonic() - began) * self._threads * SECOND / (max(1, groups) * columns)

    def _shuffled_lanes(self, real: bool, numbers: Iterable[int]) -> tuple[list[Shuffles], int]:
        """Each thread's memory for a block, the real week first if asked; and how many columns it has."""
        sources = [np.arange(TICKERS)] if real else []
        sources += [shuffle(self._seed, number, self._classes) for number in numbers]
        table = np.zeros((DAYS, WORDS * 64, BLOCK), np.int64)
        table[:, :TICKERS, : len(sources)] = ranked_shuffles(self._excess, sources)
        rows = -(-len(sources) // LANES)
        return [new_shuffles(table.reshape(-1), rows) for _ in range(self._threads)], len(sources)

    def _block(self, pool: ThreadPoolExecutor, real: bool, numbers: list[int]) -> list[float] | None:
        """Best scores of a block, the real week's first if asked; None when the lane had to end."""
        lanes, columns = self._shuffled_lanes(real, numbers)
        counts = self._walk_all(pool, lanes, self._order)
        if counts is None:
            return None
        with self._changed:
            self._cut = any(cut for _, cut in counts.values())
            self._groups = sum(groups for groups, _ in counts.values())
        best = np.max([lane.best for lane in lanes], axis=0)
        return [float(value) for value in best[:columns]]

    def _walk_all(
        self, pool: ThreadPoolExecutor, lanes: list[Shuffles] | None, anchors: Sequence[int]
    ) -> dict[int, tuple[int, bool]] | None:
        """Groups of every anchor and whether it was cut; None when the lane had to end."""
        self._anchors = iter(anchors)
        spare = new_shuffles() if lanes is None else None
        tasks = [
            pool.submit(self._lane, spare if spare is not None else lanes[i], spare is None)  # type: ignore[index]
            for i in range(self._threads)
        ]
        counts: dict[int, tuple[int, bool]] = {}
        for task in tasks:
            counts |= task.result()
        return counts if len(counts) == len(anchors) else None

    def _lane(self, shuffles: Shuffles, scored: bool) -> dict[int, tuple[int, bool]]:
        """One thread's share of a walk."""
        work, hits = new_workspace(self._problem.count), new_hits(1)
        counts: dict[int, tuple[int, bool]] = {}
        began = time.monotonic_ns()
        while True:
            with self._changed:
                while self._clock.paused and not self._stopping:
                    self._changed.wait()
                    began = time.monotonic_ns()
                anchor = None if self._over() else next(self._anchors, None)
            if anchor is None:
                return counts
            work.counters[:] = 0
            open_anchor(self._kernel, self._limits, work, hits, anchor)
            pairs = int(work.counters[FREQUENT])
            cut = pairs > self._quota.groups
            if pairs and scored:
                gather(self._kernel, shuffles, anchor)
                score_pairs(self._kernel, work, shuffles, self._quota.groups)
            while pairs:
                ended = self._slice(work, shuffles, scored)
                began = self._charge(began)
                if ended in (CLOSED, CUT_OFF):
                    cut |= ended == CUT_OFF
                    break
                with self._changed:
                    while self._clock.paused and not self._stopping:
                        self._changed.wait()
                        began = time.monotonic_ns()
                    if self._over():
                        return counts
            counts[anchor] = (min(int(work.counters[FREQUENT]), self._quota.groups), cut)

    def _slice(self, work: Workspace, shuffles: Shuffles, scored: bool) -> int:
        groups = SLICE_GROUPS if scored else COUNT_SLICE
        return int(walk(self._kernel, work, shuffles, self._max_size, self._quota, groups, scored))

    def _charge(self, began: int) -> int:
        now = time.monotonic_ns()
        with self._changed:
            self._ledger.use_evidence(now - began)
        return now


def water_level(groups: Ints, affordable: int) -> int:
    """The largest quota an anchor with which at most ``affordable`` groups are looked at, at least LEAST_QUOTA."""
    low, high = LEAST_QUOTA, max(LEAST_QUOTA, int(groups.max(initial=0)))
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(groups, middle).sum()) <= affordable:
            low = middle
        else:
            high = middle - 1
    return low
