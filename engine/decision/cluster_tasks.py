"""What a cluster's worker does for the search: it walks a batch of anchors and sends home what it found.

A batch is about half a second of work, because a message costs milliseconds: several anchors,
each with its grant of time, its cursor and what earlier passes have counted. The threshold
travels with the batch; better groups found on the way raise it for the rest of the batch.
Nothing here knows a cluster: the functions are called by whatever carries them.

An anchor under a quota of tests has a threshold of its own, exactly as in a local lane, and goes
home whole when the batch's time is over (``KeptWalk``); so its result does not depend on where it
was walked, nor on how often it travelled.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from engine.decision.anchor_queue import AnchorJob
from engine.decision.group_problem import RankedProblem
from engine.decision.kernel_arrays import CLOSED, HITS_FULL, Limits
from engine.decision.search_kernels import warm_up
from engine.decision.search_lane import Lane, Slice
from engine.decision.search_state import Cursor, KeptWalk
from engine.decision.top_groups import FoundGroup, TopGroups
from engine.decision.watchdog import SECOND, SLICE_NS
from engine.kernel_cache import sources_digest

LEAST_TESTS = 10_000
PROBLEMS_KEPT = 2  # a worker may outlive a search, and serve the next one


class UnknownProblemError(LookupError):
    """This worker has not been given the problem (it is new, or was restarted)."""


@dataclass(frozen=True, slots=True)
class Order:
    """One anchor to be walked."""

    anchor: int
    bound: int
    cursor: Cursor | None  # None: its pass begins
    max_size: int
    final_size: int
    counted_size: int
    grant_ns: int
    quota: int | None = None  # tests that it may still make
    own_threshold: float | None = None  # under a quota: what its pass begins with
    kept: KeptWalk | None = None  # under a quota: its walk, where its pass has begun

    def limits(self, problem: RankedProblem, threshold: float) -> Limits:
        return Limits(
            max_size=self.max_size,
            final_size=self.final_size,
            counted_size=self.counted_size,
            best_sum=problem.best_sum_limit(threshold),
            score=threshold,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Anchors for one worker thread. ``time_ns``: when it should be home again."""

    problem: str
    orders: tuple[Order, ...]
    threshold: float
    top_k: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Walked:
    """What became of an order; ``done`` None: there was no time to begin it."""

    anchor: int
    done: Slice | None = None
    groups: tuple[FoundGroup, ...] = ()  # of this anchor under a quota, else of the batch up to here
    kept: KeptWalk | None = None  # under a quota: its walk, where time has cut it off


_problems: dict[str, RankedProblem] = {}
_own = threading.local()  # each thread's lane, for the problem it worked on last


def program_digest(folder: Path) -> str:
    """Names the search's sources in ``folder`` and the kernels': what travels must mean the same at both ends."""
    digest = hashlib.sha256(sources_digest().encode())
    for source in sorted(folder.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


PROGRAM = program_digest(Path(__file__).parent)  # as loaded: the files may be replaced while a worker lives


def install(key: str, problem: RankedProblem, program: str) -> str:
    """Compiles the kernels and keeps the problem; '' or why this worker must not take part.

    ``program``: the engine's ``PROGRAM``.
    """
    if program != PROGRAM:
        return f"its program differs from the engine's ({PROGRAM}, not {program}): install the same version"
    warm_up(lambda done, total, name: None)
    _problems[key] = problem
    for old in list(_problems)[:-PROBLEMS_KEPT]:
        _problems.pop(old, None)
    return ""


def walk(batch: Batch) -> tuple[Walked, ...]:
    """Walks the orders in turn. UnknownProblemError when ``install`` must come first."""
    problem = _problems.get(batch.problem)
    if problem is None:
        raise UnknownProblemError(batch.problem)
    if getattr(_own, "key", None) != batch.problem:
        _own.key, _own.lane = batch.problem, Lane(0, problem)
    lane: Lane = _own.lane
    end = time.monotonic_ns() + batch.time_ns
    top = TopGroups(batch.top_k, batch.threshold)
    walked: list[Walked] = []
    for order in batch.orders:
        if walked and time.monotonic_ns() >= end:
            walked.append(Walked(order.anchor))
        elif order.quota is None:
            walked.append(Walked(order.anchor, _walk_for_time(lane, order, top, end)))
        else:
            walked.append(_walk_for_tests(lane, order, order.quota, batch.top_k, end))
    begun = [i for i, one in enumerate(walked) if one.done is not None and batch.orders[i].quota is None]
    if begun:  # the batch's groups travel with its last anchor
        walked[begun[-1]] = replace(walked[begun[-1]], groups=top.best())
    return tuple(walked)


def _enter(lane: Lane, order: Order, threshold: float) -> None:
    job = AnchorJob(order.anchor, order.bound, cursor=order.cursor, kept=order.kept)
    lane.enter(job, order.limits(lane.problem, threshold))


def _walk_for_time(lane: Lane, order: Order, top: TopGroups, end: int) -> Slice:
    """Until the anchor is closed, or its grant or the batch's time is used."""
    _enter(lane, order, top.threshold)
    total: Slice | None = None
    while True:
        spent = 0 if total is None else total.spent_ns
        left = min(SLICE_NS, order.grant_ns - spent, end - time.monotonic_ns())
        tests = max(LEAST_TESTS, int(lane.rate * left / SECOND))
        done = lane.advance(order.limits(lane.problem, top.threshold), tests)
        lane.hand_in(top)
        total = _sum(total, done)
        if done.ended == CLOSED or total.spent_ns >= order.grant_ns or time.monotonic_ns() >= end:
            return total


def _walk_for_tests(lane: Lane, order: Order, quota: int, top_k: int, end: int) -> Walked:
    """Until the anchor's pass is closed, or its tests or the batch's time are used.

    Hits count only where no slice can be seen.
    """
    if order.kept is not None:
        top = order.kept.top(top_k)
    else:
        top = TopGroups(top_k, -math.inf if order.own_threshold is None else order.own_threshold)
    _enter(lane, order, top.threshold)
    total: Slice | None = None
    while True:
        made = 0 if total is None else total.tests
        left = max(0, quota - made - lane.opening_tests)
        tests = min(max(LEAST_TESTS, int(lane.rate * SLICE_NS / SECOND)), left)
        done = lane.advance(order.limits(lane.problem, top.threshold), tests)
        total = _sum(total, done)
        used_up = total.tests >= quota
        if done.ended in (CLOSED, HITS_FULL) or used_up:
            lane.hand_in(top)
        if done.ended == CLOSED or used_up:
            return Walked(order.anchor, total, top.best())
        if time.monotonic_ns() >= end:
            return Walked(order.anchor, total, top.best(), lane.keep(top))


def _sum(before: Slice | None, last: Slice) -> Slice:
    if before is None:
        return last
    return replace(
        last,
        tests=before.tests + last.tests,
        frequent=before.frequent + last.frequent,
        spent_ns=before.spent_ns + last.spent_ns,
    )
