"""Which anchor a lane takes next: iterative deepening, best bound first, stalled ones helped last.

The search goes over the anchors in passes of rising group size (3, 4, the largest): good
groups are found early, and a high threshold makes the deeper passes cheap. Within a pass
every anchor is visited once with its first grant, best bound first; those that ran out of
time are *stalled*: they keep their stack (or their cursor, where stacks would take too much
memory) and are taken again in the order of their bounds, or in turn, as the watchdog decides.
An anchor whose bound falls below the threshold is closed without a test. No clock, no lock: the
search owns both.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.decision.kernel_arrays import CUT, DEPTH, LOCALS, NEVER, Problem, Workspace
from engine.decision.search_state import Cursor, JobState, KeptWalk, Place
from engine.decision.top_groups import TopGroups
from engine.model import Ints

STACK_BYTES = 64 * 2**20  # of all stacks that wait; beyond it an anchor keeps its cursor alone, and is replayed


@dataclass(frozen=True, slots=True)
class ParkedStack:
    """A stalled anchor's walk, without what its projection can rebuild."""

    meta: Ints
    items: Ints
    path: Ints
    position: Ints
    width: Ints
    candidates: tuple[Ints, ...]
    best: tuple[Ints, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        arrays = (self.meta, self.items, self.path, self.position, self.width, *self.candidates, *self.best)
        return sum(array.nbytes for array in arrays)


def park(work: Workspace) -> ParkedStack:
    depth = int(work.meta[DEPTH])
    counts = [int(c) for c in work.width[:depth]]
    return ParkedStack(
        meta=work.meta.copy(),
        items=work.items[: work.meta[LOCALS]].copy(),
        path=work.path.copy(),
        position=work.position.copy(),
        width=work.width.copy(),
        candidates=tuple(work.candidates[f, :c].copy() for f, c in enumerate(counts)),
        best=tuple(work.best[f, :c].copy() for f, c in enumerate(counts)),
    )


def unpark(stack: ParkedStack, problem: Problem, work: Workspace) -> None:
    """Puts the stack back; ``resume_anchor`` must follow."""
    work.meta[:] = stack.meta
    work.items[: len(stack.items)] = stack.items
    work.algorithm[: len(stack.items)] = problem.algorithm[stack.items]
    for name in ("path", "position", "width"):
        getattr(work, name)[:] = getattr(stack, name)
    for frame, (candidates, best) in enumerate(zip(stack.candidates, stack.best, strict=True)):
        work.candidates[frame, : len(candidates)] = candidates
        work.best[frame, : len(best)] = best


def cursor_of(work: Workspace) -> Cursor:
    """Where a lane's walk stands."""
    depth = int(work.meta[DEPTH])
    following = [
        int(work.candidates[f, work.position[f]]) if work.position[f] < work.width[f] else -1 for f in range(depth)
    ]
    return Cursor(tuple(work.path[:depth].tolist()), tuple(following), int(work.meta[CUT]))


def parked_cursor(stack: ParkedStack) -> Cursor:
    """Where a stalled anchor's walk stands."""
    following = [
        int(candidates[position]) if position < len(candidates) else -1
        for position, candidates in zip(stack.position, stack.candidates, strict=False)
    ]
    depth = len(stack.candidates)
    return Cursor(tuple(stack.path[:depth].tolist()), tuple(following), int(stack.meta[CUT]))


@dataclass(slots=True)
class AnchorJob:
    """One anchor's subtree. ``bound`` is the largest best sum that an undiscovered group in it can have."""

    anchor: int
    bound: int
    level: int = 0  # index of its pass
    counted_size: int = 0  # its groups up to this size have been counted
    tests: int = 0  # over all passes
    round: int = 0  # of the pass: how many times it was helped because it was its turn
    its_turn: bool = True  # why it is worked on: its turn, or its bound
    stack: ParkedStack | None = None
    cursor: Cursor | None = None  # the walk as of the last slice; with no stack it is rebuilt from here
    kept: KeptWalk | None = field(default=None, repr=False)  # the same under a quota, and more than a cursor knows
    pass_frequent: int = 0  # new groups that its present walk has met
    pass_counted: int = 0  # so many of them are in the search's total; more, where an earlier walk had got further
    top: TopGroups | None = field(default=None, repr=False)  # its own threshold, under a quota of tests

    @property
    def begun(self) -> bool:
        """Whether a walk of its pass waits to be gone on with."""
        return self.stack is not None or self.cursor is not None or self.kept is not None

    def count(self, frequent: int) -> int:
        """Of so many more new groups, those that no earlier walk of this pass can have counted."""
        self.pass_frequent += frequent
        fresh = max(0, self.pass_frequent - self.pass_counted)
        self.pass_counted += fresh
        return fresh


class AnchorQueue:
    """All anchors that are still open, and who works on them."""

    def __init__(self, jobs: Iterable[AnchorJob], passes: tuple[int, ...], *, rounds: bool = False) -> None:
        """``passes``: rising group sizes. ``rounds``: a pass begins only when the one before has ended."""
        self.passes = passes
        self.level = 0
        self._rounds = rounds
        self._open: dict[int, AnchorJob] = {}
        self._running: set[int] = set()
        self._fresh: list[tuple[int, int]] = []  # heaps of (-bound, anchor)
        self._stalled: set[int] = set()
        self._stack_bytes = 0  # of those that wait with a stack
        self._by_bound: list[tuple[int, int]] = []  # heaps over the stalled; entries may be outdated
        self._by_round: list[tuple[int, int, int]] = []  # (round, -bound, anchor)
        self._deeper: list[int] = []
        self.total = 0
        for job in jobs:
            self._open[job.anchor] = job
            self._fresh.append((-job.bound, job.anchor))
            self.total += 1
        heapq.heapify(self._fresh)

    @classmethod
    def restored(
        cls, states: Iterable[JobState], passes: tuple[int, ...], level: int, total: int, *, rounds: bool
    ) -> AnchorQueue:
        """The queue of an earlier life."""
        queue = cls((), passes, rounds=rounds)
        queue.level, queue.total = level, total
        for state in states:
            job = AnchorJob(state.anchor, state.bound, state.level, state.counted_size, state.tests)
            job.cursor, job.kept = state.cursor, state.kept
            job.pass_frequent, job.pass_counted = state.pass_frequent, state.pass_counted
            queue._open[job.anchor] = job
            entry = (-job.bound, job.anchor)
            if state.place == "fresh":
                queue._fresh.append(entry)
            elif state.place == "stalled":
                queue._wait(job)
            elif state.place == "deeper":
                queue._deeper.append(job.anchor)
        heapq.heapify(queue._fresh)
        return queue

    def states(self) -> tuple[JobState, ...]:
        """Every open anchor as a later life needs it; what is under way goes on after its last slice."""
        fresh = {anchor for _, anchor in self._fresh}
        deeper = set(self._deeper)
        found = []
        for anchor, job in self._open.items():
            place: Place = "given_up"
            level, cursor, kept = job.level, None, None
            if job.kept is not None and (anchor in self._running or anchor in self._stalled):
                place, kept = "stalled", job.kept
            elif anchor in self._running and job.cursor is None:
                place = "fresh"
            elif anchor in self._running and job.level < self.level:
                place, level = "fresh", self.level
            elif anchor in self._running:
                place, cursor = "stalled", job.cursor
            elif anchor in self._stalled:
                place = "stalled"
                cursor = job.cursor if job.stack is None else parked_cursor(job.stack)
            elif anchor in fresh:
                place = "fresh"
            elif anchor in deeper:
                place = "deeper"
            walked = 0 if cursor is None and kept is None else job.pass_frequent
            found.append(
                JobState(
                    anchor, job.bound, level, job.counted_size, job.tests, place, cursor,
                    walked, job.pass_counted, kept,
                )
            )  # fmt: skip
        return tuple(found)

    @property
    def closed(self) -> int:
        return self.total - len(self._open)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Open anchors that nobody works on."""
        return len(self._open) - len(self._running)

    @property
    def last_pass(self) -> bool:
        return self.level == len(self.passes) - 1

    @property
    def visits_left(self) -> int:
        """First visits still to be made: open anchors over the remaining passes."""
        later = (len(self.passes) - 1 - self.level) * len(self._open)
        return len(self._fresh) + later

    def open_bound(self) -> int:
        """The best sum that the search can still find; NEVER when all is closed."""
        return max((job.bound for job in self._open.values()), default=NEVER)

    def take(self, limit: int, *, in_turn: bool = False) -> AnchorJob | None:
        """The next anchor to work on, with a bound of at least ``limit``; None when none is free now.

        Among those that stalled, the one of the largest bound, or ``in_turn`` that of the lowest round.
        """
        while True:
            while (anchor := self._next(in_turn=in_turn)) is not None:
                fresh = anchor not in self._stalled
                self._stalled.discard(anchor)
                job = self._open.get(anchor)
                if job is None:
                    continue
                self._stack_bytes -= 0 if job.stack is None else job.stack.size
                if job.bound < limit:
                    self._open.pop(anchor)
                    continue
                job.its_turn = fresh or in_turn
                self._running.add(anchor)
                return job
            if not self._deeper or (self._rounds and self._running):
                return None
            self.deepen()

    def deepen(self) -> None:
        """Begins the next pass; what is stalled in the present one starts anew there, at its full depth."""
        self.level += 1
        restarted = [a for a in (*(anchor for _, anchor in self._fresh), *self._stalled) if a in self._open]
        self._fresh, self._by_bound, self._by_round = [], [], []
        self._stalled.clear()
        self._stack_bytes = 0
        for anchor in (*self._deeper, *restarted):
            self._enqueue_fresh(anchor)
        self._deeper = []

    def someone_waits(self, job: AnchorJob, *, in_turn: bool = False) -> bool:
        """Whether another anchor should have the lane rather than this one, which ran out of time."""
        if self._fresh:
            return True
        self._drop_outdated()
        if in_turn:
            return bool(self._by_round) and self._by_round[0][:2] < (job.round, -job.bound)
        return bool(self._by_bound) and -self._by_bound[0][0] > job.bound

    def put_back(self, job: AnchorJob) -> None:
        """It was taken, and nobody has worked on it."""
        self._running.discard(job.anchor)
        if job.level < self.level:
            self._enqueue_fresh(job.anchor)
        elif not job.begun:
            heapq.heappush(self._fresh, (-job.bound, job.anchor))
        else:
            self._wait(job)

    def stall(self, job: AnchorJob, stack: ParkedStack | None) -> None:
        """The anchor ran out of time: it waits with its stack or its cursor, unless its pass is over."""
        self._running.discard(job.anchor)
        if job.level < self.level:
            self._enqueue_fresh(job.anchor)
        else:
            if stack is not None and self._stack_bytes + stack.size <= STACK_BYTES:
                job.stack = stack
                self._stack_bytes += stack.size
            self._wait(job)

    def finish_pass(self, job: AnchorJob) -> None:
        """Everything up to the pass's size has been seen; deeper groups are open if the bound says so."""
        self._running.discard(job.anchor)
        job.counted_size = self.passes[job.level]
        job.stack = job.cursor = job.kept = None
        job.pass_frequent = job.pass_counted = 0
        if job.bound == NEVER or job.level == len(self.passes) - 1:
            self._open.pop(job.anchor)
        elif job.level < self.level:
            self._enqueue_fresh(job.anchor)
        else:
            self._deeper.append(job.anchor)

    def give_up(self, job: AnchorJob) -> None:
        """Its quota of tests is used up, or nobody may help it: it stays open, and counts in the gap."""
        self._running.discard(job.anchor)
        job.kept = None

    def _wait(self, job: AnchorJob) -> None:
        self._stalled.add(job.anchor)
        heapq.heappush(self._by_bound, (-job.bound, job.anchor))
        heapq.heappush(self._by_round, (job.round, -job.bound, job.anchor))

    def _drop_outdated(self) -> None:
        """Takes what no longer waits as it says from the head of both heaps."""
        while self._by_bound and not self._waits(*self._by_bound[0]):
            heapq.heappop(self._by_bound)
        while self._by_round and not self._waits(*self._by_round[0][1:], round_=self._by_round[0][0]):
            heapq.heappop(self._by_round)

    def _waits(self, negative_bound: int, anchor: int, *, round_: int | None = None) -> bool:
        if anchor not in self._stalled or anchor not in self._open:
            return False
        job = self._open[anchor]
        return -negative_bound == job.bound and round_ in (None, job.round)

    def _next(self, *, in_turn: bool) -> int | None:
        """The anchor at the head: fresh ones first, then the stalled by round or by bound."""
        if self._fresh:
            return heapq.heappop(self._fresh)[-1]
        self._drop_outdated()
        if in_turn and self._by_round:
            return heapq.heappop(self._by_round)[-1]
        return heapq.heappop(self._by_bound)[-1] if self._by_bound else None

    def _enqueue_fresh(self, anchor: int) -> None:
        job = self._open[anchor]
        job.level, job.round = self.level, 0
        job.stack = job.cursor = job.kept = None
        job.pass_frequent = 0  # what was counted stays: a walk that begins anew meets the same groups first
        heapq.heappush(self._fresh, (-job.bound, anchor))
