"""The exact, threaded search for the best groups, under the watchdog.

``search_groups`` and ``count_groups`` are the plain calls; ``GroupSearch`` is the same
search with start, pause, resume, stop and live snapshots. Threads (lanes) take anchors
from one queue and walk them in slices of about 50 ms inside a kernel that holds no GIL;
between slices a lane hands in what it found, settles its time with the ledger and looks
whether it should go on.

The one thing to know: the threshold (the K-th best score) only rises and is read without
a lock. A stale one prunes less, never more, so the result does not depend on threads,
slices or pauses - provided the search is proven, or every anchor has a fixed quota of
tests and thresholds are shared only between the passes (``tests``).

Times are monotonic; the wall clock may jump.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from engine.decision import watchdog
from engine.decision.anchor_queue import AnchorJob, AnchorQueue, cursor_of, park, unpark
from engine.decision.group_kernel import (
    CLOSED,
    CUT,
    DEPTH,
    FREQUENT,
    HELD,
    HITS_FULL,
    KERNELS,
    NEVER,
    TESTS,
    Hits,
    Limits,
    Workspace,
    advance,
    count_all,
    new_hits,
    new_workspace,
    open_anchor,
    open_best,
    replay_anchor,
    resume_anchor,
    single_best,
)
from engine.decision.group_problem import RankedProblem, rank_problem
from engine.decision.null_kernel import NULL_KERNELS
from engine.decision.search_state import Cursor, SearchState
from engine.decision.top_groups import FoundGroup, TopGroups
from engine.decision.watchdog import SECOND, Ledger, LedgerSums
from engine.kernel_cache import compiling
from engine.model import DAYS, TICKERS, Ints, Words

log = logging.getLogger(__name__)

NO_BUDGET_S = 10 * 365 * 86_400.0  # wall seconds; what "no budget" means to the ledger
HIT_CAPACITY = 4096  # groups a lane holds before it hands them in
FIRST_RATE = 20e6  # tests a second that a lane expects of itself before it has measured

__all__ = [
    "FoundGroup",
    "GroupSearch",
    "SearchResult",
    "SearchSnapshot",
    "count_groups",
    "search_groups",
]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best groups, best first, and how sure that is.

    ``frequent``: frequent groups visited, single items included (as ``count_groups`` counts).
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
    state: Literal["searching", "waiting", "paused", "done"]
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

    state: Literal["idle", "running", "paused", "stopping", "done", "failed"]
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


@dataclass(slots=True)
class _Lane:
    """What one thread owns."""

    number: int
    work: Workspace
    hits: Hits
    rate: float = FIRST_RATE
    measured: float = 0.0  # tests a second of the last slices, for display
    job: AnchorJob | None = None
    depth: int = 0
    state: Literal["searching", "waiting", "paused", "done"] = "waiting"
    progressed_at: float = field(default_factory=time.monotonic)


class GroupSearch:
    """One search over one problem; one object is one run."""

    def __init__(
        self,
        bits: Words,
        pp: Ints,
        algorithm: Ints,
        *,
        min_picks: int,
        max_size: int,
        top_k: int,
        threads: int,
        score_lambda: float = 0.5,
        day_floor: float | None = None,
        min_positive_days: int = 0,
        budget_s: float | None = None,
        evidence_s: float = 0.0,
        tests: int | None = None,
        worst_day: bool = False,
        slice_s: float = watchdog.SLICE_NS / SECOND,
        policy: watchdog.Policy = watchdog.DONATING,
        resume: SearchState | None = None,
    ) -> None:
        """Arguments as ``search_groups``; ``slice_s`` is how long a lane works before it looks up.

        ``evidence_s``: wall seconds at the end of the budget that a search without a proof leaves
        to the evidence lane. ``resume``: the ``state`` of an earlier life with the same arguments.
        """
        if top_k < 1 or threads < 1:
            raise ValueError(f"top_k is {top_k}, threads are {threads}: both are at least 1")
        if tests is not None and tests < 1:
            raise ValueError(f"tests is {tests}: an anchor needs at least one test")
        self._problem: RankedProblem = rank_problem(
            bits, pp, algorithm, min_picks=min_picks, max_size=max_size, score_lambda=score_lambda,
            day_floor=day_floor, min_positive_days=min_positive_days, worst_day=worst_day,
        )  # fmt: skip
        self._top_k, self._quota, self._slice_s = top_k, tests, slice_s
        self._budget_s = NO_BUDGET_S if budget_s is None else budget_s
        if not 0 <= evidence_s < self._budget_s:
            raise ValueError(f"evidence_s is {evidence_s} of a budget of {self._budget_s:g} s")
        self._policy = policy
        self._search_s = self._budget_s - evidence_s
        self._ledger = Ledger(threads, self._budget_s)
        self._capacity = round(self._ledger.capacity * self._search_s / self._budget_s)  # the search's own part
        self._final_size = max_size
        passes = (*(size for size in (3, 4) if size < max_size), max_size)
        kernel = self._problem.kernel
        jobs = [AnchorJob(a, int(single_best(kernel, a))) for a in range(self._problem.count - 1)]
        self._queue = AnchorQueue(jobs, passes, rounds=tests is not None)
        self._allowance = watchdog.pass_allowance(0, self._capacity, final=self._queue.last_pass)
        self._top = TopGroups(top_k)
        self._round_threshold = -math.inf  # what lanes know under a quota
        self._tests, self._frequent = 0, self._problem.count
        self._changed = threading.Condition()
        self._lanes = [
            _Lane(i, new_workspace(self._problem.count), new_hits(max(HIT_CAPACITY, 2 * self._problem.count)))
            for i in range(threads)
        ]
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._stopping = False
        self._elapsed_before = 0.0  # wall seconds of earlier lives
        if resume is not None:
            self._restore(resume, passes)
        self._started_at: float | None = None
        self._paused_at: float | None = None
        self._paused_s = 0.0
        self._ended_s: float | None = None

    def _restore(self, state: SearchState, passes: tuple[int, ...]) -> None:
        self._elapsed_before = state.elapsed_s
        self._queue = AnchorQueue.restored(
            state.jobs, passes, state.level, self._queue.total, rounds=self._quota is not None
        )
        self._top.offer(state.top)
        self._round_threshold, self._allowance = state.round_threshold, state.allowance
        self._tests, self._frequent = state.tests, state.frequent
        self._ledger.restore(state.lanes, state.evidence_account)

    # --- commands ------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the lanes (daemon threads). RuntimeError when called twice."""
        if self._started_at is not None:
            raise RuntimeError("a search runs once")
        self._started_at = time.monotonic()
        for lane in self._lanes:
            lane.progressed_at = self._started_at
            thread = threading.Thread(target=self._run, args=(lane,), name=f"search-{lane.number}", daemon=True)
            self._threads.append(thread)
        for thread in self._threads:
            thread.start()

    def pause(self) -> None:
        """Lanes stop after their slice; from now on no time of the budget passes."""
        with self._changed:
            if self._paused_at is None and self._ended_s is None:
                self._paused_at = time.monotonic()

    def resume(self) -> None:
        with self._changed:
            if self._paused_at is not None:
                now = time.monotonic()
                self._paused_s += now - self._paused_at
                for lane in self._lanes:
                    lane.progressed_at += now - self._paused_at
                self._paused_at = None
                self._changed.notify_all()

    def stop(self) -> None:
        """Ends the search after the present slices; what is open counts in the gap."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for the end; whether it has come. Raises what a lane raised."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if self._error is not None:
            raise self._error
        return self._ended_s is not None

    def result(self) -> SearchResult:
        """The outcome of a search that has ended; RuntimeError before."""
        if self._ended_s is None:
            raise RuntimeError("the search has not ended")
        with self._changed:
            bound, gap = self._bound_and_gap()
            return SearchResult(
                groups=self._top.best(),
                frequent=self._frequent,
                tests=self._tests,
                proven=bound is None,
                gap=gap,
            )

    @property
    def problem(self) -> RankedProblem:
        return self._problem

    @property
    def ledger(self) -> Ledger:
        """For the evidence lane, once the search has ended."""
        return self._ledger

    @property
    def time_left_s(self) -> float:
        """Wall seconds of the budget that are left."""
        return max(0.0, self._budget_s - self._elapsed())

    def state(self) -> SearchState:
        """What a later life needs to go on from here; cheap, consistent at one moment."""
        with self._changed:
            whole = self._quota is not None
            partial = self._queue.under_way if whole else ()
            lanes, evidence = self._ledger.accounts()
            return SearchState(
                elapsed_s=self._elapsed(),
                level=self._queue.level,
                jobs=self._queue.states(whole_passes=whole),
                top=self._top.best(),
                round_threshold=self._round_threshold,
                allowance=self._allowance,
                tests=self._tests - sum(job.pass_tests for job in partial),
                frequent=self._frequent - sum(job.pass_frequent for job in partial),
                lanes=lanes,
                evidence_account=evidence,
            )

    def snapshot(self) -> SearchSnapshot:
        """Everything a screen shows, consistent at one moment."""
        with self._changed:
            groups = self._top.best()
            bound, gap = self._bound_and_gap()
            incumbent = groups[0].score if groups else None
            ledger = self._ledger
            return SearchSnapshot(
                state=self._state(),
                budget_s=self._budget_s,
                elapsed_s=self._elapsed(),
                incumbent=incumbent,
                bound=incumbent if bound is None else bound,
                gap=gap,
                proven=bound is None,
                anchors=self._queue.total,
                anchors_closed=self._queue.closed,
                frequent=self._frequent,
                tests=self._tests,
                tests_per_s=sum(lane.measured for lane in self._lanes if lane.state == "searching"),
                lanes=tuple(self._lane_snapshot(lane) for lane in self._lanes),
                ledger=ledger.sums(),
                ledger_holds=ledger.open_grants + ledger.used + ledger.pool == ledger.capacity,
                groups=groups,
            )

    # --- the moment (lock held) -----------------------------------------------------------

    def _state(self) -> Literal["idle", "running", "paused", "stopping", "done", "failed"]:
        if self._error is not None:
            return "failed"
        if self._ended_s is not None:
            return "done"
        if self._started_at is None:
            return "idle"
        if self._stopping:
            return "stopping"
        return "running" if self._paused_at is None else "paused"

    def _elapsed(self) -> float:
        """Wall seconds since the start, without pauses."""
        if self._ended_s is not None:
            return self._ended_s
        if self._started_at is None:
            return self._elapsed_before
        until = time.monotonic() if self._paused_at is None else self._paused_at
        return self._elapsed_before + until - self._started_at - self._paused_s

    def _bound_and_gap(self) -> tuple[float | None, float]:
        """The best open bound (None when proven) and its distance to the K-th best score."""
        open_best_sum = self._queue.open_bound()
        if open_best_sum == NEVER or open_best_sum < self._problem.best_sum_limit(self._top.threshold):
            return None, 0.0
        bound = self._problem.bound(open_best_sum)
        groups = self._top.best()
        reference = groups[-1].score if groups else 0.0
        return bound, max(0.0, bound - reference)

    def _lane_snapshot(self, lane: _Lane) -> LaneSnapshot:
        account = self._ledger.lane(lane.number)
        job = lane.job
        state = lane.state
        if self._paused_at is not None and state != "done":
            state = "paused"
        now = time.monotonic() if self._paused_at is None else self._paused_at
        return LaneSnapshot(
            lane=lane.number,
            state=state,
            anchor=None if job is None else int(self._problem.items[job.anchor]),
            depth=lane.depth,
            max_depth=0 if job is None else self._queue.passes[job.level],
            tests_per_s=lane.measured if state == "searching" else 0.0,
            granted=account.granted / SECOND,
            used=account.used / SECOND,
            donated=account.donated / SECOND,
            received=account.received / SECOND,
            stall_s=0.0 if state == "done" else max(0.0, now - lane.progressed_at),
        )

    # --- a lane --------------------------------------------------------------------------

    def _run(self, lane: _Lane) -> None:
        try:
            while (job := self._next_job(lane)) is not None:
                self._walk(lane, job)
        except BaseException as error:  # a lane's failure is the search's: wait() raises it
            log.exception("search lane %d failed", lane.number)
            with self._changed:
                self._error = self._error or error
                self._stopping = True
        finally:
            self._leave(lane)

    def _next_job(self, lane: _Lane) -> AnchorJob | None:
        """Takes an anchor with its grant; waits while others may still free one; None at the end."""
        with self._changed:
            lane.job = None
            lane.depth = 0
            while True:
                lane.state = "waiting"
                if self._over():
                    return None
                if self._paused_at is None:
                    if not self._queue.last_pass and self._quota is None and self._ledger.used >= self._allowance:
                        self._queue.deepen()
                        self._set_allowance()
                    level = self._queue.level
                    job = self._queue.take(self._limit_of_lanes())
                    if self._queue.level != level:
                        self._set_allowance()
                    if job is not None:
                        self._open_grant(lane, job)
                        lane.job, lane.state = job, "searching"
                        return job
                    if self._queue.running == 0:
                        return None
                self._changed.wait(0.05)

    def _open_grant(self, lane: _Lane, job: AnchorJob) -> None:
        pool = self._ledger.pool
        if job.stack is None:
            self._ledger.grant(lane.number, self._policy.first_grant(pool, self._queue.visits_left + 1))
        else:
            self._ledger.receive(lane.number, watchdog.donation(pool, len(self._lanes)))

    def _set_allowance(self) -> None:
        """A new pass begins: its share of the time, and under a quota the threshold it may know."""
        self._round_threshold = self._top.threshold
        self._allowance = watchdog.pass_allowance(self._ledger.used, self._capacity, final=self._queue.last_pass)

    def _limit_of_lanes(self) -> int:
        threshold = self._top.threshold if self._quota is None else self._round_threshold
        return self._problem.best_sum_limit(threshold)

    def _over(self) -> bool:
        if self._stopping:
            return True
        if self._paused_at is None and (self._elapsed() >= self._search_s or self._ledger.pool == 0):
            self._stopping = True
        return self._stopping

    def _limits(self, job: AnchorJob) -> Limits:
        threshold = self._top.threshold if job.top is None else job.top.threshold
        return Limits(
            max_size=self._queue.passes[job.level],
            final_size=self._final_size,
            counted_size=job.counted_size,
            best_sum=self._problem.best_sum_limit(threshold),
            score=threshold,
        )

    def _walk(self, lane: _Lane, job: AnchorJob) -> None:
        """Works on an anchor until it is closed, has run out of time or tests, or the search ends."""
        kernel, work, hits = self._problem.kernel, lane.work, lane.hits
        if self._quota is not None and job.top is None:
            job.top = TopGroups(self._top_k, self._round_threshold)
        began = time.monotonic_ns()
        work.counters[:] = 0
        if job.stack is not None:
            unpark(job.stack, kernel, work)
            resume_anchor(kernel, work)
            job.stack = None
        elif job.cursor is not None:
            self._replay(lane, job, job.cursor)
        else:
            job.pass_tests = job.pass_frequent = 0
            open_anchor(kernel, self._limits(job), work, hits, job.anchor)
        while True:
            before = int(work.counters[TESTS])
            ended = advance(kernel, self._limits(job), work, hits, self._slice_tests(lane, job, before))
            bound = int(open_best(kernel, work))
            walked = int(work.counters[TESTS]) - before
            quota_used = self._quota is not None and job.tests + int(work.counters[TESTS]) >= self._quota
            if job.top is not None and (ended in (CLOSED, HITS_FULL) or quota_used):
                self._hand_in(lane, job.top)  # only where the slices cannot be seen
            now = time.monotonic_ns()
            spent, began = now - began, now
            if walked and spent:
                lane.measured = walked * SECOND / spent
                lane.rate = max(1e5, 0.5 * lane.rate + 0.5 * lane.measured)
            with self._changed:
                if self._after_slice(lane, job, ended, bound, spent, quota_used=quota_used):
                    return
                if self._paused_at is not None:
                    self._wait_while_paused()
                    began = time.monotonic_ns()

    def _replay(self, lane: _Lane, job: AnchorJob, cursor: Cursor) -> None:
        """Brings the lane to where an earlier life left the anchor; that life has counted what lies before."""
        kernel, work, hits = self._problem.kernel, lane.work, lane.hits
        silent = self._limits(job)._replace(score=math.inf)
        open_anchor(kernel, silent, work, hits, job.anchor)
        replay_anchor(
            kernel, silent, work, hits, np.array(cursor.path, np.int64), np.array(cursor.following, np.int64)
        )
        work.meta[CUT] = max(int(work.meta[CUT]), cursor.cut)
        work.counters[:] = 0

    def _slice_tests(self, lane: _Lane, job: AnchorJob, done: int) -> int:
        """How many tests fit the time until the lane should look up; never more than the quota."""
        left_s = min(
            self._slice_s,
            self._ledger.lane(lane.number).open / SECOND,
            self._search_s - self._elapsed(),
        )
        tests = max(10_000, int(lane.rate * left_s))
        if self._quota is not None:
            tests = min(tests, max(0, self._quota - job.tests - done))
        return tests

    def _hand_in(self, lane: _Lane, top: TopGroups) -> bool:
        """Empties the lane's buffer into ``top``; whether that changed it."""
        held = int(lane.work.counters[HELD])
        lane.work.counters[HELD] = 0
        return held > 0 and self._problem.offer(lane.hits, held, top)

    def _after_slice(
        self, lane: _Lane, job: AnchorJob, ended: int, bound: int, spent: int, *, quota_used: bool
    ) -> bool:
        """Settles one slice (lock held); whether the lane is done with the anchor."""
        work = lane.work
        self._ledger.use(lane.number, spent)
        if job.top is None and self._hand_in(lane, self._top):
            lane.progressed_at = time.monotonic()
        job.bound = min(job.bound, bound)
        lane.depth = int(work.meta[DEPTH])
        self._tests += int(work.counters[TESTS])
        self._frequent += int(work.counters[FREQUENT])
        job.tests += int(work.counters[TESTS])
        job.pass_tests += int(work.counters[TESTS])
        job.pass_frequent += int(work.counters[FREQUENT])
        job.cursor = cursor_of(work)
        work.counters[TESTS] = work.counters[FREQUENT] = 0
        over = self._over()
        if ended == CLOSED:
            self._queue.finish_pass(job)
            lane.progressed_at = time.monotonic()
        elif quota_used or over or (not self._policy.helps and self._ledger.lane(lane.number).open <= 0):
            self._queue.give_up(job)
        elif self._ledger.lane(lane.number).open > 0:
            return False
        elif self._quota is not None or not (self._queue.someone_waits(job) or job.level < self._queue.level):
            self._ledger.receive(lane.number, watchdog.donation(self._ledger.pool, len(self._lanes)))
            return False
        else:
            self._queue.stall(job, park(work))
        if job.top is not None:  # under a quota nobody reads the common threshold before the next pass
            self._hand_in(lane, job.top)
            self._top.offer(job.top.best())
            job.top = None  # the next pass knows all of it through its round's threshold
        self._ledger.donate(lane.number)
        self._changed.notify_all()
        return True

    def _wait_while_paused(self) -> None:
        while self._paused_at is not None and not self._stopping:
            self._changed.wait()

    def _leave(self, lane: _Lane) -> None:
        with self._changed:
            self._ledger.donate(lane.number)
            lane.state, lane.job = "done", None
            if all(other.state == "done" for other in self._lanes):
                self._ended_s = self._elapsed()
                self._ledger.settle()
            self._changed.notify_all()


def search_groups(
    bits: Words,
    pp: Ints,
    algorithm: Ints,
    *,
    min_picks: int,
    max_size: int,
    top_k: int,
    threads: int,
    score_lambda: float = 0.5,
    day_floor: float | None = None,
    min_positive_days: int = 0,
    budget_s: float | None = None,
    tests: int | None = None,
    worst_day: bool = False,
) -> SearchResult:
    """The ``top_k`` best groups of 2..``max_size`` items, at most one an algorithm.

    ``bits`` uint64[n, 5, 16] picks in symbol order, ``pp`` int64[5, 1000] excess in
    micro-percent, ``algorithm`` int[n]. A group shares at least ``min_picks`` tickers on
    every day; ``day_floor`` (percentage points of mean excess, inclusive) and
    ``min_positive_days`` filter the results. Score: mean - ``score_lambda`` * population
    deviation of the five day means, percentage points. ``budget_s`` wall seconds; ``tests``
    a fixed quota of tests for each anchor. Raises ValueError for arrays or numbers that are
    not as described.
    """
    search = GroupSearch(
        bits, pp, algorithm, min_picks=min_picks, max_size=max_size, top_k=top_k, threads=threads,
        score_lambda=score_lambda, day_floor=day_floor, min_positive_days=min_positive_days,
        budget_s=budget_s, tests=tests, worst_day=worst_day,
    )  # fmt: skip
    search.start()
    try:
        search.wait()
    finally:
        search.stop()  # a KeyboardInterrupt must not leave threads behind
    return search.result()


def count_groups(
    bits: Words, algorithm: Ints, *, min_picks: int, max_size: int, exclusive: bool = True, total: bool = False
) -> int:
    """How many item sets of 1..``max_size`` are frequent (single items count, the empty set does not).

    Frequent: at least ``min_picks`` shared tickers on every day, or with ``total`` summed
    over the days, as itemset miners count. ``exclusive``: at most one item an algorithm.
    """
    problem = rank_problem(
        bits,
        np.zeros((DAYS, TICKERS), np.int64),
        algorithm,
        min_picks=min_picks,
        max_size=max_size,
        exclusive=exclusive,
        total=total,
        scored=False,
    )
    limits = Limits(max_size=max_size, final_size=max_size, counted_size=0, best_sum=NEVER, score=0.0)
    found = count_all(problem.kernel, limits, new_workspace(problem.count), new_hits(1))
    return problem.count + int(found)


def warm_up(progress: Callable[[int, int, str], None]) -> None:
    """Compiles the kernels, or loads them from the cache; ``progress(done, total, name)`` after each."""
    with compiling():
        kernels = (*KERNELS, *NULL_KERNELS)
        for done, (name, kernel, argument_types) in enumerate(kernels, start=1):
            kernel.compile(argument_types)
            progress(done, len(kernels), f"group search: {name}")
