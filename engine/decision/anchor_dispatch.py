"""Who works on which anchor, with how much time, and what has come of it: all that lanes share.

``take`` hands out the next anchor with its grant; ``record`` takes in what a slice has done;
``release`` decides whether the lane goes on with its anchor. The rules of time are the
watchdog's, the order of anchors is the queue's; here they meet the threshold.

The threshold (the K-th best score) only rises and is read without a lock: a stale one prunes
less, never more. Under a quota of tests every anchor has a threshold of its own, which learns
the others' only between passes; then nothing depends on who was faster.

Not thread-safe: the search holds a lock. Only ``limits`` may be read without it.
"""

from __future__ import annotations

import math
from typing import Protocol

from engine.decision import watchdog
from engine.decision.anchor_queue import AnchorJob, AnchorQueue, ParkedStack
from engine.decision.group_problem import RankedProblem
from engine.decision.kernel_arrays import CLOSED, HITS_FULL, NEVER, Limits
from engine.decision.kernel_bounds import single_best
from engine.decision.search_lane import Slice
from engine.decision.search_snapshot import LaneState
from engine.decision.search_state import KeptWalk, SearchState
from engine.decision.top_groups import TopGroups
from engine.decision.watchdog import Ledger, Policy


class SearchLane(Protocol):
    """Who walks an anchor: a thread here (``search_lane.Lane``) or on another machine."""

    number: int
    job: AnchorJob | None
    depth: int
    measured: float
    state: LaneState
    progressed_at: float

    def hand_in(self, top: TopGroups) -> bool:
        """Gives what it found to ``top``; whether that changed it."""
        ...

    def park(self) -> ParkedStack | None:
        """The walk of its present anchor; None where the cursor must do."""
        ...

    def keep(self, top: TopGroups) -> KeptWalk | None:
        """The walk of its present anchor under a quota, ``top`` being the anchor's own best groups."""
        ...

    def progressed(self) -> None: ...


class AnchorDispatch:
    """The anchors of one problem, their time and the best groups so far."""

    def __init__(
        self,
        problem: RankedProblem,
        ledger: Ledger,
        *,
        max_size: int,
        top_k: int,
        threads: int,
        quota: int | None,
        policy: Policy,
        search_share: float,
        earlier: SearchState | None,
    ) -> None:
        """``quota``: tests an anchor; ``search_share``: part of the capacity that is the search's own.

        ``earlier``: the state of an earlier life with the same arguments.
        """
        self.ledger, self.quota = ledger, quota
        self.top = TopGroups(top_k)
        self.tests, self.frequent = 0, problem.count
        self._problem, self._max_size, self._policy = problem, max_size, policy
        self.top_k, self.threads = top_k, threads
        self._search_share = search_share
        self._round_threshold = -math.inf  # what lanes know under a quota
        passes = (*(size for size in (3, 4) if size < max_size), max_size)
        jobs = [AnchorJob(a, int(single_best(problem.kernel, a))) for a in range(problem.count - 1)]
        self.queue = AnchorQueue(jobs, passes, rounds=quota is not None)
        self._turns_ns = self._bounds_ns = 0  # spent on anchors whose turn it was, and on those of large bounds
        self._allowance = watchdog.pass_allowance(0, self._capacity, final=self.queue.last_pass)
        if earlier is not None:
            self._restore(earlier, passes)

    def _restore(self, earlier: SearchState, passes: tuple[int, ...]) -> None:
        self.queue = AnchorQueue.restored(
            earlier.jobs, passes, earlier.level, self.queue.total, rounds=self.quota is not None
        )
        self.top.offer(earlier.top)
        self._round_threshold, self._allowance = earlier.round_threshold, earlier.allowance
        self.tests, self.frequent = earlier.tests, earlier.frequent
        self.ledger.restore(earlier.lanes, earlier.evidence_account)

    @property
    def _capacity(self) -> int:
        return round(self.ledger.capacity * self._search_share)

    def state(self, elapsed_s: float) -> SearchState:
        """What a later life needs to go on from here."""
        lanes, evidence = self.ledger.accounts()
        return SearchState(
            elapsed_s=elapsed_s,
            level=self.queue.level,
            jobs=self.queue.states(),
            top=self.top.best(),
            round_threshold=self._round_threshold,
            allowance=self._allowance,
            tests=self.tests,
            frequent=self.frequent,
            lanes=lanes,
            evidence_account=evidence,
        )

    def limits(self, job: AnchorJob) -> Limits:
        """What the anchor's next slice may leave out."""
        threshold = self.top.threshold if job.top is None else job.top.threshold
        return Limits(
            max_size=self.queue.passes[job.level],
            final_size=self._max_size,
            counted_size=job.counted_size,
            best_sum=self._problem.best_sum_limit(threshold),
            score=threshold,
        )

    def bound_and_gap(self) -> tuple[float | None, float]:
        """The best open bound (None when proven) and its distance to the K-th best score."""
        open_best_sum = self.queue.open_bound()
        if open_best_sum == NEVER or open_best_sum < self._problem.best_sum_limit(self.top.threshold):
            return None, 0.0
        bound = self._problem.bound(open_best_sum)
        groups = self.top.best()
        reference = groups[-1].score if groups else 0.0
        return bound, max(0.0, bound - reference)

    def take(self, lane: int) -> AnchorJob | None:
        """The next anchor with its grant; None when none is free now."""
        if not self.queue.last_pass and self.quota is None and self.ledger.used >= self._allowance:
            self.queue.deepen()
            self._set_allowance()
        level = self.queue.level
        threshold = self.top.threshold if self.quota is None else self._round_threshold
        job = self.queue.take(self._problem.best_sum_limit(threshold), in_turn=self._in_turn)
        if self.queue.level != level:
            self._set_allowance()
        if job is None:
            return None
        pool = self.ledger.pool
        if not job.begun:
            self.ledger.grant(lane, self._policy.first_grant(pool, self.queue.visits_left + 1))
        else:
            self._help(lane, job)
        if self.quota is not None and job.top is None:
            job.top = (
                TopGroups(self.top_k, self._round_threshold) if job.kept is None else job.kept.top(self.top_k)
            )
        return job

    @property
    def _in_turn(self) -> bool:
        """Whether the next help goes round those that wait, or to the largest bound."""
        return self._policy.rounds and self._turns_ns <= watchdog.TURNS * self._bounds_ns

    def _help(self, lane: int, job: AnchorJob) -> None:
        round_ = job.round if self._policy.rounds and job.its_turn else None
        self.ledger.receive(lane, watchdog.donation(self.ledger.pool, self.threads, round_))
        job.round += job.its_turn

    def _set_allowance(self) -> None:
        """A new pass begins: its share of the time, and under a quota the threshold it may know."""
        self._round_threshold = self.top.threshold
        self._allowance = watchdog.pass_allowance(self.ledger.used, self._capacity, final=self.queue.last_pass)

    def quota_left(self, job: AnchorJob, done: int) -> int | None:
        """Tests that the anchor may still make after ``done`` more of this pass; None without a quota."""
        return None if self.quota is None else max(0, self.quota - job.tests - done)

    def hand_in_private(self, lane: SearchLane, job: AnchorJob, done: Slice) -> None:
        """Under a quota: gives the hits to the anchor's own best groups, only where slices cannot be seen.

        Needs no lock: nobody else knows them.
        """
        if job.top is not None and (done.ended in (CLOSED, HITS_FULL) or self._quota_used(job, done.tests)):
            lane.hand_in(job.top)

    def _quota_used(self, job: AnchorJob, more: int) -> bool:
        return self.quota is not None and job.tests + more >= self.quota

    def record(self, lane: SearchLane, job: AnchorJob, done: Slice) -> None:
        """Charges the slice and takes in what it has found."""
        self.ledger.use(lane.number, done.spent_ns)
        if job.its_turn:
            self._turns_ns += done.spent_ns
        else:
            self._bounds_ns += done.spent_ns
        if job.top is None and lane.hand_in(self.top):
            lane.progressed()
        job.bound = min(job.bound, done.bound)
        job.cursor = done.cursor
        job.tests += done.tests
        self.tests += done.tests
        self.frequent += job.count(done.frequent)
        if job.top is not None and done.ended != CLOSED and not self._quota_used(job, 0):
            job.kept = lane.keep(job.top)

    def release(self, lane: SearchLane, job: AnchorJob, done: Slice, *, over: bool) -> bool:
        """Whether the lane is done with the anchor: closed, out of time or tests, or the search is ``over``.

        What the end of the search cuts off waits where it stands: a state that is taken then can be gone on with.
        """
        account = self.ledger.lane(lane.number)
        if done.ended == CLOSED:
            self.queue.finish_pass(job)
            lane.progressed()
        elif self._quota_used(job, 0) or (not self._policy.helps and account.open <= 0):
            self.queue.give_up(job)
        elif over:
            self._cut_off(lane, job)
        elif account.open > 0:
            return False
        elif self.quota is not None or not (
            job.level < self.queue.level or self.queue.someone_waits(job, in_turn=self._in_turn)
        ):
            job.its_turn = self._in_turn
            self._help(lane.number, job)
            return False
        else:
            self._cut_off(lane, job)
        self._merge_own(lane, job)
        self.ledger.donate(lane.number)
        return True

    def _cut_off(self, lane: SearchLane, job: AnchorJob) -> None:
        self.queue.stall(job, lane.park() if job.kept is None else None)

    def give_back(self, lane: SearchLane, job: AnchorJob, done: Slice) -> None:
        """As ``release``, for a lane that never goes on with an anchor and donates when all its batch is back."""
        if done.ended == CLOSED:
            self.queue.finish_pass(job)
            lane.progressed()
        elif self._quota_used(job, 0):
            self.queue.give_up(job)
        else:
            self._cut_off(lane, job)
        self._merge_own(lane, job)

    def _merge_own(self, lane: SearchLane, job: AnchorJob) -> None:
        if job.top is not None:  # under a quota nobody reads the common threshold before the next pass
            lane.hand_in(job.top)
            self.top.offer(job.top.best())
            job.top = None  # the next pass knows all of it through its round's threshold
