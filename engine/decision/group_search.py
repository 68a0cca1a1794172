"""The exact, threaded search for the best groups, under the watchdog.

``search_groups`` is the plain call; ``GroupSearch`` is the same search with start, pause,
resume, stop and live snapshots. Threads (lanes, ``search_lane``) take anchors from what they
share (``anchor_dispatch``) and walk them in slices of about 50 ms inside a kernel that holds
no GIL; between slices a lane hands in what it found, settles its time with the ledger and
looks whether it should go on. This file owns the threads, the lock and the clock.

The one thing to know: the threshold (the K-th best score) only rises and is read without
a lock. A stale one prunes less, never more, so the result does not depend on threads,
slices or pauses - provided the search is proven, or every anchor has a fixed quota of
tests and thresholds are shared only between the passes (``tests``).

Times are monotonic; the wall clock may jump.
"""

from __future__ import annotations

import logging
import threading
import time

from engine.decision import watchdog
from engine.decision.anchor_dispatch import AnchorDispatch, SearchLane
from engine.decision.anchor_queue import AnchorJob
from engine.decision.group_problem import RankedProblem, rank_problem
from engine.decision.search_clock import RunClock
from engine.decision.search_lane import Lane
from engine.decision.search_snapshot import LaneSnapshot, RunState, SearchResult, SearchSnapshot
from engine.decision.search_state import SearchState
from engine.decision.watchdog import SECOND, Ledger
from engine.model import Ints, Words

log = logging.getLogger(__name__)

NO_BUDGET_S = 10 * 365 * 86_400.0  # wall seconds; what "no budget" means to the ledger
LEAST_SLICE = 10_000  # tests


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
        self._slice_s = slice_s
        self._budget_s = NO_BUDGET_S if budget_s is None else budget_s
        if not 0 <= evidence_s < self._budget_s:
            raise ValueError(f"evidence_s is {evidence_s} of a budget of {self._budget_s:g} s")
        self._search_s = self._budget_s - evidence_s
        self._ledger = self._new_ledger(threads, resume)
        self._anchors = AnchorDispatch(
            self._problem, self._ledger, max_size=max_size, top_k=top_k, threads=threads, quota=tests,
            policy=policy, search_share=self._search_s / self._budget_s, earlier=resume,
        )  # fmt: skip
        self._clock = RunClock(0.0 if resume is None else resume.elapsed_s)
        self._changed = threading.Condition()
        self._lanes = self._new_lanes(threads)
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._stopping = False

    def _new_lanes(self, threads: int) -> list[SearchLane]:
        return [Lane(number, self._problem) for number in range(threads)]

    def _new_ledger(self, threads: int, resume: SearchState | None) -> Ledger:
        return Ledger(threads, self._budget_s)

    # --- commands ------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the lanes (daemon threads). RuntimeError when called twice."""
        self._clock.start()
        for lane in self._lanes:
            lane.progressed()
            thread = threading.Thread(target=self._run, args=(lane,), name=f"search-{lane.number}", daemon=True)
            self._threads.append(thread)
        for thread in self._threads:
            thread.start()

    def pause(self) -> None:
        """Lanes stop after their slice; from now on no time of the budget passes."""
        with self._changed:
            self._clock.pause()

    def resume(self) -> None:
        with self._changed:
            pause_s = self._clock.resume()
            for lane in self._lanes:
                lane.progressed_at += pause_s
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
        return self._clock.ended

    # --- what it says of itself -----------------------------------------------------------

    @property
    def problem(self) -> RankedProblem:
        return self._problem

    @property
    def where(self) -> str:
        """Who else works on it; nobody."""
        return ""

    @property
    def ledger(self) -> Ledger:
        """For the evidence lane, once the search has ended."""
        return self._ledger

    @property
    def time_left_s(self) -> float:
        """Wall seconds of the budget that are left."""
        return max(0.0, self._budget_s - self._clock.elapsed_s)

    def result(self) -> SearchResult:
        """The outcome of a search that has ended; RuntimeError before."""
        if not self._clock.ended:
            raise RuntimeError("the search has not ended")
        with self._changed:
            anchors = self._anchors
            bound, gap = anchors.bound_and_gap()
            return SearchResult(
                groups=anchors.top.best(),
                frequent=anchors.frequent,
                tests=anchors.tests,
                proven=bound is None,
                gap=gap,
            )

    def state(self) -> SearchState:
        """What a later life needs to go on from here; cheap, consistent at one moment."""
        with self._changed:
            return self._anchors.state(self._clock.elapsed_s)

    def snapshot(self) -> SearchSnapshot:
        """Everything a screen shows, consistent at one moment."""
        with self._changed:
            anchors, ledger = self._anchors, self._ledger
            groups = anchors.top.best()
            bound, gap = anchors.bound_and_gap()
            incumbent = groups[0].score if groups else None
            return SearchSnapshot(
                state=self._state(),
                budget_s=self._budget_s,
                elapsed_s=self._clock.elapsed_s,
                incumbent=incumbent,
                bound=incumbent if bound is None else bound,
                gap=gap,
                proven=bound is None,
                anchors=anchors.queue.total,
                anchors_closed=anchors.queue.closed,
                frequent=anchors.frequent,
                tests=anchors.tests,
                tests_per_s=sum(lane.measured for lane in self._lanes if lane.state == "searching"),
                lanes=tuple(self._lane_snapshot(lane) for lane in self._lanes),
                ledger=ledger.sums(),
                ledger_holds=ledger.open_grants + ledger.used + ledger.pool == ledger.capacity,
                groups=groups,
            )

    def _state(self) -> RunState:
        if self._error is not None:
            return "failed"
        if self._clock.ended:
            return "done"
        if not self._clock.started:
            return "idle"
        if self._stopping:
            return "stopping"
        return "paused" if self._clock.paused else "running"

    def _lane_snapshot(self, lane: SearchLane) -> LaneSnapshot:
        account = self._ledger.lane(lane.number)
        job = lane.job
        state = "paused" if self._clock.paused and lane.state not in ("done", "lost") else lane.state
        return LaneSnapshot(
            lane=lane.number,
            state=state,
            anchor=None if job is None else int(self._problem.items[job.anchor]),
            depth=lane.depth,
            max_depth=0 if job is None else self._anchors.queue.passes[job.level],
            tests_per_s=lane.measured if state == "searching" else 0.0,
            granted=account.granted / SECOND,
            used=account.used / SECOND,
            donated=account.donated / SECOND,
            received=account.received / SECOND,
            stall_s=0.0 if state in ("done", "lost") else max(0.0, self._clock.now - lane.progressed_at),
        )

    # --- a lane --------------------------------------------------------------------------

    def _run(self, lane: SearchLane) -> None:
        try:
            self._work(lane)
        except BaseException as error:  # a lane's failure is the search's: wait() raises it
            log.exception("search lane %d failed", lane.number)
            with self._changed:
                self._error = self._error or error
                self._stopping = True
        finally:
            self._leave(lane)

    def _work(self, lane: SearchLane) -> None:
        """Everything that a lane does between its start and its end."""
        assert isinstance(lane, Lane)  # other kinds come with a search of their own
        while (job := self._next_job(lane)) is not None:
            self._walk(lane, job)

    def _next_job(self, lane: Lane) -> AnchorJob | None:
        """Takes an anchor with its grant; waits while others may still free one; None at the end."""
        with self._changed:
            lane.job, lane.depth = None, 0
            while True:
                lane.state = "waiting"
                if self._over():
                    return None
                if not self._clock.paused:
                    job = self._anchors.take(lane.number)
                    if job is not None:
                        lane.job, lane.state = job, "searching"
                        return job
                    if self._anchors.queue.running == 0:
                        return None
                self._changed.wait(0.05)

    def _over(self) -> bool:
        """Whether the search must end (lock held)."""
        if self._stopping:
            return True
        if not self._clock.paused and (self._clock.elapsed_s >= self._search_s or self._ledger.pool == 0):
            self._stopping = True
        return self._stopping

    def _walk(self, lane: Lane, job: AnchorJob) -> None:
        """Works on an anchor until it is closed, has run out of time or tests, or the search ends."""
        anchors = self._anchors
        lane.enter(job, anchors.limits(job))
        while True:
            done = lane.advance(anchors.limits(job), self._slice_tests(lane, job))
            anchors.hand_in_private(lane, job, done)
            with self._changed:
                anchors.record(lane, job, done)
                if anchors.release(lane, job, done, over=self._over()):
                    self._changed.notify_all()
                    return
                if self._clock.paused:
                    while self._clock.paused and not self._stopping:
                        self._changed.wait()
                    lane.look_up()

    def _slice_tests(self, lane: Lane, job: AnchorJob) -> int:
        """How many tests fit the time until the lane should look up; never more than the quota."""
        left_s = min(
            self._slice_s,
            self._ledger.lane(lane.number).open / SECOND,
            self._search_s - self._clock.elapsed_s,
        )
        tests = max(LEAST_SLICE, int(lane.rate * left_s))
        quota = self._anchors.quota_left(job, lane.opening_tests)
        return tests if quota is None else min(tests, quota)

    def _leave(self, lane: SearchLane) -> None:
        with self._changed:
            self._ledger.donate(lane.number)
            lane.state, lane.job = "done", None
            if all(other.state == "done" for other in self._lanes):
                self._clock.end()
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
