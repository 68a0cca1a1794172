"""What lanes share, step by step: whoever finishes, stalls, is paused, stopped or killed, no time is lost."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from group_cases import spread
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.decision.anchor_dispatch import AnchorDispatch
from engine.decision.group_count import count_groups
from engine.decision.group_problem import rank_problem
from engine.decision.group_search import search_groups
from engine.decision.search_lane import Lane
from engine.decision.search_snapshot import SearchResult
from engine.decision.watchdog import DONATING, EQUAL_SPLIT, NO_DONATION, Ledger, Policy

PROBLEM = spread(2, algorithms=4, each=6)
OPTIONS: dict[str, Any] = {"min_picks": 5, "max_size": 4}
TOP = 10
RANKED = rank_problem(*PROBLEM, **OPTIONS)
QUOTAS = (1, 40, 10_000)
LANES = 3
MS = 1_000_000  # nanoseconds


@cache
def alone(quota: int | None = None) -> SearchResult:
    """The search of one thread: proven, or under a quota of tests."""
    return search_groups(*PROBLEM, **OPTIONS, top_k=TOP, threads=1, tests=quota)


@cache
def every_group() -> int:
    return count_groups(PROBLEM.bits, PROBLEM.algorithm, **OPTIONS)


class Shared(RuleBasedStateMachine):
    """Lanes do real slices of a real problem; how long each took is made up."""

    @initialize(
        budget_ms=st.integers(1, 400),
        quota=st.sampled_from([None, None, *QUOTAS]),
        policy=st.sampled_from([DONATING, EQUAL_SPLIT, NO_DONATION, Policy(1, helps=True)]),
    )
    def begin(self, budget_ms: int, quota: int | None, policy: Policy) -> None:
        self.budget_s, self.quota, self.policy = budget_ms / 1000, quota, policy
        self.used = self.thrown_away = 0
        self.threshold = -float("inf")
        self.stopped = self.paused = False
        self.open(None)

    def open(self, earlier: Any) -> None:
        self.ledger = Ledger(LANES, self.budget_s)
        self.shared = AnchorDispatch(
            RANKED, self.ledger, max_size=OPTIONS["max_size"], top_k=TOP, threads=LANES, quota=self.quota,
            policy=self.policy, search_share=1.0, earlier=earlier,
        )  # fmt: skip
        self.lanes = [Lane(i, RANKED) for i in range(LANES)]
        self.entered: set[int] = set()

    @property
    def over(self) -> bool:
        return self.stopped or self.ledger.pool == 0

    @precondition(lambda self: not self.paused)
    @rule(lane=st.integers(0, LANES - 1), tests=st.integers(1, 200), spent_ns=st.integers(0, 60 * MS))
    def work(self, lane: int, tests: int, spent_ns: int) -> None:
        """A lane without an anchor takes one; else it walks a slice, and finishes, stalls or goes on."""
        at = self.lanes[lane]
        if at.job is None:
            if self.over or (job := self.shared.take(lane)) is None:
                return
            at.job = job
            return
        job = at.job
        if lane not in self.entered:
            at.enter(job, self.shared.limits(job))
            self.entered.add(lane)
        left = self.shared.quota_left(job, at.opening_tests)
        done = at.advance(self.shared.limits(job), tests if left is None else min(tests, left))
        done = replace(done, spent_ns=spent_ns)
        self.shared.hand_in_private(at, job, done)
        self.shared.record(at, job, done)
        self.used += spent_ns
        if self.shared.release(at, job, done, over=self.over):
            at.job = None
            self.entered.discard(lane)

    @rule()
    def pause_or_resume(self) -> None:
        self.paused = not self.paused

    @rule()
    def stop(self) -> None:
        self.stopped = True

    @precondition(lambda self: self.ledger.overrun == 0)
    @rule()
    def kill(self) -> None:
        """Everybody dies; a later life, which nobody has stopped yet, goes on from the last state."""
        self.stopped = False
        self.open(self.shared.state(0.0))

    @invariant()
    def open_grants_used_and_pool_are_the_capacity(self) -> None:
        ledger = self.ledger
        assert ledger.open_grants + ledger.used + ledger.pool == ledger.capacity
        assert min(ledger.open_grants, ledger.used, ledger.pool) >= 0
        assert all(ledger.lane(lane).open >= 0 for lane in range(LANES))

    @invariant()
    def what_was_worked_is_what_is_charged(self) -> None:
        assert self.ledger.used + self.ledger.overrun == self.used

    @invariant()
    def the_threshold_never_falls_and_the_open_bound_covers_the_best(self) -> None:
        assert self.shared.top.threshold >= self.threshold
        self.threshold = self.shared.top.threshold
        bound, _ = self.shared.bound_and_gap()
        known = self.shared.top.best()
        best = max([g.score for g in known] + [-float("inf") if bound is None else bound])
        if not any(lane.job is not None and lane.job.top is not None for lane in self.lanes):
            assert best >= alone().groups[0].score - 1e-9

    @invariant()
    def no_group_is_counted_twice(self) -> None:
        assert self.shared.frequent <= every_group()

    def teardown(self) -> None:
        """The end: what is open is given back, and a search that was let run has found everything."""
        if not hasattr(self, "ledger"):
            return
        self.paused = False
        for _ in range(20_000):
            if self.over or (all(x.job is None for x in self.lanes) and not self.shared.queue.visits_left):
                break
            for lane in range(LANES):
                self.work(lane, 10_000, 0)
        for lane in range(LANES):
            while self.lanes[lane].job is not None:
                self.work(lane, 10_000, 0)
        self.ledger.settle()
        assert self.ledger.open_grants == 0
        assert self.ledger.used + self.ledger.saved == self.ledger.capacity
        if self.shared.bound_and_gap()[0] is None:
            assert self.shared.top.best() == alone().groups
        if self.quota is not None and not self.over:
            ours = (
                self.shared.top.best(),
                self.shared.tests,
                self.shared.frequent,
                self.shared.bound_and_gap()[1],
            )
            theirs = alone(self.quota)
            assert ours == (theirs.groups, theirs.tests, theirs.frequent, theirs.gap)


TestShared = Shared.TestCase
TestShared.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
