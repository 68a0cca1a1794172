"""The group search on the threads of a cluster: same queue, same ledger, same threshold, same result.

The search itself stays in this process: anchors, time, best groups, checkpoints and the proof.
A lane is a thread of a worker somewhere; instead of calling a kernel it sends a batch of
anchors there (``cluster_tasks``) and takes in what comes home. A proven result is the local
one, because the threshold only prunes what cannot matter; under a quota of tests each anchor
is walked alone, so that result is equal too, to the last digit.

Workers may come and go. A new one gets a lane and brings its time into the ledger; one that is
lost gives its batch back to the queue, untouched since the batch left, so at most a batch's
work is done twice and nothing is counted twice. One that hangs is lost a minute after its batch
was due; it holds up neither the end of the budget nor a stop, which wait for batches under way
only as long as they should need. Without any worker for half a minute the
threads of this machine go on alone: a weekend must not wait for a dead cluster.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.decision.anchor_dispatch import SearchLane
from engine.decision.anchor_queue import AnchorJob, ParkedStack
from engine.decision.cluster_link import ClusterLink, NotWantedError, WorkerLostError
from engine.decision.cluster_tasks import PROGRAM, Batch, Order, UnknownProblemError, Walked, install, walk
from engine.decision.group_search import GroupSearch
from engine.decision.search_lane import Lane, Slice
from engine.decision.search_snapshot import LaneState
from engine.decision.search_state import KeptWalk, SearchState
from engine.decision.top_groups import FoundGroup, TopGroups
from engine.decision.watchdog import SECOND, LaneAccount, Ledger, Policy
from engine.errors import OperatorError

log = logging.getLogger(__name__)

BATCH_NS = 700_000_000  # a message costs milliseconds, a pause should not wait for seconds
BATCH_ANCHORS = 256
FAR = Policy(20_000_000, helps=True)  # a first look of 20 ms: a batch holds some thirty anchors
LOOK_S = 0.5  # between two looks at who is in the cluster
LOCAL_AFTER_S = 30.0
GRACE_S = 2.0  # so long after the end of the search a batch under way may still come home
ANSWER_S = 60.0  # beyond its time, a batch that is not home is lost; the first call also compiles
INSTALL_S = 600.0


class FarLane:
    """A thread of a worker, as the dispatch sees it."""

    def __init__(self, number: int, worker: str) -> None:
        self.number, self.worker = number, worker
        self.job: AnchorJob | None = None
        self.depth = 0
        self.measured = 0.0  # tests a second of the last batch, its journey included
        self.state: LaneState = "waiting"
        self.progressed_at = time.monotonic()
        self._found: tuple[FoundGroup, ...] = ()
        self._kept: KeptWalk | None = None

    def brought(self, result: Walked) -> None:
        """What the next ``hand_in`` hands in and the next ``keep`` keeps."""
        self._found, self._kept = result.groups, result.kept

    def hand_in(self, top: TopGroups) -> bool:
        found, self._found = self._found, ()
        return top.offer(found)

    def park(self) -> ParkedStack | None:
        """Nothing: the cursor says it all, and whoever goes on rebuilds the walk from it."""
        return None

    def keep(self, top: TopGroups) -> KeptWalk | None:
        """As it came home."""
        return self._kept

    def progressed(self) -> None:
        self.progressed_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class Granted:
    """An anchor of a batch, with its part of the lane's time."""

    job: AnchorJob
    time_ns: int


class ClusterSearch(GroupSearch):
    """As ``GroupSearch``, with a lane for each worker thread."""

    def __init__(
        self,
        *problem: Any,
        link: ClusterLink,
        threads: int,
        local_after_s: float = LOCAL_AFTER_S,
        resume: SearchState | None = None,
        **settings: Any,
    ) -> None:
        """Other arguments as ``GroupSearch``. ``link`` is closed at the end of the search.

        ``threads``: local ones, which begin when there was no worker for ``local_after_s`` seconds.
        """
        self._link = link
        self._local_threads, self._local_after_s = threads, local_after_s
        self._present = link.workers()
        self._key = uuid.uuid4().hex
        self._installed: dict[str, str] = {}
        self._turns: dict[str, threading.Lock] = {}  # one thread of a worker installs for all
        self._exhausted = False
        self._lost: set[str] = set()
        lanes = max(1, sum(self._present.values()))
        if resume is not None:
            resume = replace(resume, lanes=refitted(resume.lanes, lanes))
        super().__init__(*problem, threads=lanes, policy=FAR, resume=resume, **settings)

    @property
    def where(self) -> str:
        """Who works on it."""
        with self._changed:
            at_work = [lane for lane in self._lanes if lane.state not in ("lost", "done")]
        far = len({lane.worker for lane in at_work if isinstance(lane, FarLane)})
        near = any(isinstance(lane, Lane) for lane in at_work)
        workers = f"{far} worker{'' if far == 1 else 's'} of {self._link.address}"
        return workers + (", and this machine" if near else "")

    # --- who takes part ------------------------------------------------------------------

    def _new_lanes(self, threads: int) -> list[SearchLane]:
        workers = [worker for worker, count in self._present.items() for _ in range(count)]
        return [FarLane(number, worker) for number, worker in enumerate(workers)]

    def _new_ledger(self, threads: int, resume: SearchState | None) -> Ledger:
        """After another life with other workers the capacity is what was used and what these still have."""
        ledger = super()._new_ledger(threads, resume)
        if resume is not None:
            used = sum(account.used for account in (*resume.lanes, resume.evidence_account))
            left = threads * round(max(0.0, self._budget_s - resume.elapsed_s) * SECOND)
            ledger.capacity = ledger.pool = used + left
        return ledger

    def start(self) -> None:
        """Starts a thread for each lane, and one that watches who comes and goes."""
        self._clock.start()
        keeper = threading.Thread(target=self._keep, name="search-cluster", daemon=True)
        self._threads.append(keeper)
        with self._changed:
            for lane in self._lanes:
                self._begin(lane)
        keeper.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """As ``GroupSearch.wait``; the keeper ends last, and threads may be added until then."""
        self._threads[0].join(timeout_s)
        if self._error is not None and self._clock.ended:
            raise self._error
        return self._clock.ended

    def _begin(self, lane: SearchLane) -> None:
        lane.progressed()
        thread = threading.Thread(target=self._run, args=(lane,), name=f"search-{lane.number}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep(self) -> None:
        """Until the search is over: takes in new workers, and the local threads when there is none."""
        alone_since: float | None = None
        try:
            while True:
                present = self._present = self._link.workers()
                with self._changed:
                    over = self._exhausted or self._over()
                    at_work = any(lane.state not in ("done", "lost") for lane in self._lanes)
                    if over and not at_work:
                        break
                    if not over:
                        self._welcome(present)
                        alone_since = None if at_work else alone_since or time.monotonic()
                        if alone_since is not None and time.monotonic() - alone_since >= self._local_after_s:
                            log.warning("no worker in %s: this machine's threads go on", self._link.address)
                            for _ in range(self._local_threads):
                                self._add(Lane(len(self._lanes), self._problem))
                    self._changed.wait(LOOK_S)
        except BaseException as error:  # as a lane's failure: wait() raises it
            log.exception("the cluster's keeper failed")
            with self._changed:
                self._error = self._error or error
                self._stopping = True
        finally:
            with self._changed:
                self._clock.end()
                self._ledger.settle()
            self._link.close()

    def _welcome(self, present: dict[str, int]) -> None:
        """A lane for each worker thread that has none (lock held)."""
        for worker, count in present.items():
            known = sum(1 for lane in self._lanes if isinstance(lane, FarLane) and lane.worker == worker)
            for _ in range(0 if worker in self._lost else count - known):
                self._add(FarLane(len(self._lanes), worker))

    def _add(self, lane: SearchLane) -> None:
        """A lane more: it brings the time that is left into the ledger (lock held)."""
        self._ledger.add_lane(self._left_ns())
        self._anchors.threads += 1
        self._lanes.append(lane)
        self._begin(lane)

    def _left_ns(self) -> int:
        return max(0, round((self._budget_s - self._clock.elapsed_s) * SECOND))

    def _leave(self, lane: SearchLane) -> None:
        with self._changed:
            self._ledger.donate(lane.number)
            lane.job = None
            if isinstance(lane, FarLane) and lane.worker in self._lost:
                lane.state = "lost"
                self._ledger.withdraw(self._left_ns())
                self._anchors.threads = max(1, self._anchors.threads - 1)
            else:
                lane.state = "done"
                self._exhausted |= isinstance(lane, Lane)
            self._changed.notify_all()

    # --- a worker's lane -----------------------------------------------------------------

    def _work(self, lane: SearchLane) -> None:
        if not isinstance(lane, FarLane):
            super()._work(lane)
            return
        try:
            self._install(lane.worker)
            while batch := self._next_batch(lane):
                self._send(lane, batch)
        except NotWantedError:  # the search ended while the worker was still compiling, or did not answer
            return
        except WorkerLostError as error:
            log.warning("%s; its anchors go back to the queue", error)
            with self._changed:
                self._lost.add(lane.worker)

    def _install(self, worker: str, *, again: bool = False) -> None:
        """Gives the problem to the worker, once for all its threads.

        A worker of another version is an OperatorError before the search has begun, and afterwards
        one that is done without: a day's search does not end because of who joins it.
        """
        with self._changed:
            turn = self._turns.setdefault(worker, threading.Lock())
        with turn:
            if again or worker not in self._installed:
                arguments = (self._key, self._problem, PROGRAM)
                self._installed[worker] = self._link.call(
                    worker, install, *arguments, timeout_s=INSTALL_S, label="install",
                    here=lambda: worker in self._present,
                    wanted=lambda: not (self._stopping or self._exhausted),
                )  # fmt: skip
        if refused := self._installed[worker]:
            why = f"worker {worker} cannot take part: {refused}"
            raise WorkerLostError(why) if self._anchors.tests else OperatorError(why)

    def _next_batch(self, lane: FarLane) -> list[Granted]:
        """Anchors for about ``BATCH_NS``; waits while others may still free one; none at the end."""
        with self._changed:
            lane.job, lane.depth = None, 0
            while True:
                lane.state = "waiting"
                if self._over():
                    return []
                if not self._clock.paused:
                    batch = self._take_several(lane)
                    if batch:
                        lane.job, lane.state = batch[0].job, "searching"
                        return batch
                    if self._anchors.queue.running == 0:
                        self._exhausted = True
                        return []
                self._changed.wait(0.05)

    def _take_several(self, lane: FarLane) -> list[Granted]:
        """Fewer towards the end, so that no lane waits for another's long batch."""
        batch: list[Granted] = []
        most = min(BATCH_ANCHORS, 1 + self._anchors.queue.waiting // (2 * len(self._lanes)))
        account = self._ledger.lane
        while len(batch) < most and (not batch or account(lane.number).open < BATCH_NS):
            before = account(lane.number).open
            job = self._anchors.take(lane.number)
            if job is None:
                break
            batch.append(Granted(job, max(1, account(lane.number).open - before)))
        return batch

    def _order(self, granted: Granted) -> Order:
        job = granted.job
        job.stack = None  # a local lane's; the cursor is as new
        limits = self._anchors.limits(job)
        sizes = (limits.max_size, limits.final_size, limits.counted_size)
        order = Order(job.anchor, job.bound, job.cursor, *sizes, grant_ns=granted.time_ns)
        if job.top is None:
            return order
        quota = self._anchors.quota_left(job, 0)
        return replace(order, cursor=None, quota=quota, own_threshold=job.top.threshold, kept=job.kept)

    def _send(self, lane: FarLane, granted: list[Granted]) -> None:
        """One batch there and back.

        WorkerLostError, or NotWantedError when it was not home in time after the search's end; by then its
        anchors are back in the queue.
        """
        with self._changed:
            left = round((self._search_s - self._clock.elapsed_s) * SECOND)
            time_ns = max(1, min(left, sum(one.time_ns for one in granted)))
            orders = tuple(self._order(one) for one in granted)
            batch = Batch(self._key, orders, self._anchors.top.threshold, self._anchors.top_k, time_ns)
        began = time.monotonic_ns()
        try:
            walked = self._walked(lane.worker, batch)
        except (NotWantedError, WorkerLostError):
            with self._changed:
                for one in granted:
                    self._anchors.queue.put_back(one.job)
                self._ledger.use(lane.number, time.monotonic_ns() - began)
                self._changed.notify_all()
            raise
        with self._changed:
            self._take_home(lane, granted, walked, time.monotonic_ns() - began)
            self._changed.notify_all()

    def _walked(self, worker: str, batch: Batch) -> tuple[Walked, ...]:
        over_since: float | None = None

        def wanted() -> bool:
            nonlocal over_since
            with self._changed:
                over = self._over()
            if over and over_since is None:
                over_since = time.monotonic()
            return over_since is None or time.monotonic() - over_since < GRACE_S

        def sent() -> tuple[Walked, ...]:
            return self._link.call(
                worker, walk, batch, timeout_s=batch.time_ns / SECOND + ANSWER_S, label="walk",
                here=lambda: worker in self._present, wanted=wanted,
            )  # fmt: skip

        try:
            return sent()
        except UnknownProblemError:  # a worker that was restarted under its old address
            self._install(worker, again=True)
            return sent()

    def _take_home(self, lane: FarLane, granted: list[Granted], walked: tuple[Walked, ...], trip_ns: int) -> None:
        """Charges the batch and its journey, takes in what it found, and gives its anchors back (lock held)."""
        anchors = self._anchors
        begun: list[tuple[AnchorJob, Slice]] = []
        for one, result in zip(granted, walked, strict=True):
            if result.done is None:
                anchors.queue.put_back(one.job)
                continue
            lane.brought(result)
            if one.job.top is not None:
                lane.hand_in(one.job.top)
            anchors.record(lane, one.job, result.done)
            begun.append((one.job, result.done))
        walking_ns = sum(done.spent_ns for _, done in begun)
        self._ledger.use(lane.number, max(0, trip_ns - walking_ns))
        for job, done in begun:
            anchors.give_back(lane, job, done)
        self._ledger.donate(lane.number)
        lane.measured = sum(done.tests for _, done in begun) * SECOND / max(1, trip_ns)


def refitted(accounts: Sequence[LaneAccount], lanes: int) -> tuple[LaneAccount, ...]:
    """The accounts of an earlier life for as many lanes as there are now: none is lost, the sums stay."""
    kept = [*accounts[:lanes], *[LaneAccount()] * (lanes - len(accounts))]
    for more in accounts[lanes:]:
        first = kept[0]
        kept[0] = LaneAccount(
            first.granted + more.granted, first.received + more.received,
            first.used + more.used, first.donated + more.donated,
        )  # fmt: skip
    return tuple(kept)
