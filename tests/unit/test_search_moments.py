"""What a search says and saves at moments that a running one seldom shows: steps made by hand, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from group_cases import Case, all_groups, case, spread

from engine.decision import search_lane, watchdog
from engine.decision.anchor_dispatch import AnchorDispatch
from engine.decision.anchor_queue import AnchorJob
from engine.decision.group_problem import RankedProblem, rank_problem
from engine.decision.search_lane import Lane
from engine.decision.search_state import Checkpoint, SearchState
from engine.decision.watchdog import DONATING, Ledger, Policy

MS = 1_000_000  # nanoseconds
PROBLEM = spread(2, algorithms=5, each=8)
QUOTA: dict[str, Any] = {"min_picks": 5, "max_size": 5, "top_k": 10, "tests": 400}


class Steps:
    """A search whose lanes take turns; a slice takes ``slice_ms`` by a clock of its own."""

    def __init__(
        self,
        problem: Case,
        *,
        min_picks: int,
        max_size: int,
        top_k: int,
        tests: int | None = None,
        lanes: int = 1,
        slice_tests: int = 60,
        slice_ms: float = 1.0,
        budget_s: float = 600.0,
        policy: Policy = DONATING,
        earlier: SearchState | None = None,
    ) -> None:
        self.ranked: RankedProblem = rank_problem(*problem, min_picks=min_picks, max_size=max_size)
        self.ledger = Ledger(lanes, budget_s)
        self.shared = AnchorDispatch(
            self.ranked, self.ledger, max_size=max_size, top_k=top_k, threads=lanes, quota=tests, policy=policy,
            search_share=1.0, earlier=earlier,
        )  # fmt: skip
        self.lanes = [Lane(number, self.ranked) for number in range(lanes)]
        self.slice_tests, self.slice_ns = slice_tests, round(slice_ms * MS)

    def take(self, lane: Lane) -> AnchorJob | None:
        lane.job = self.shared.take(lane.number)
        return lane.job

    def enter(self, lane: Lane) -> None:
        assert lane.job is not None
        lane.enter(lane.job, self.shared.limits(lane.job))

    def walk(self, lane: Lane, *, over: bool = False) -> None:
        """One slice of the lane's anchor, and what follows."""
        job = lane.job
        assert job is not None
        left = self.shared.quota_left(job, lane.opening_tests)
        tests = self.slice_tests if left is None else min(self.slice_tests, left)
        done = lane.advance(self.shared.limits(job), tests)
        done = replace(done, spent_ns=self.slice_ns)
        self.shared.hand_in_private(lane, job, done)
        self.shared.record(lane, job, done)
        if self.shared.release(lane, job, done, over=over):
            lane.job = None

    def run(self) -> Iterator[str]:
        """To the end; says after every step which it was."""
        while True:
            idle = True
            for lane in self.lanes:
                if lane.job is None:
                    if self.take(lane) is None:
                        continue
                    yield "taken"
                    self.enter(lane)
                    yield "entered"
                self.walk(lane)
                idle = False
                yield "walked"
            if idle and all(lane.job is None for lane in self.lanes):
                return

    @property
    def outcome(self) -> tuple[object, ...]:
        shared = self.shared
        return shared.top.best(), shared.tests, shared.frequent, shared.bound_and_gap()


def finished(steps: Steps) -> Steps:
    for _ in steps.run():
        pass
    return steps


@pytest.fixture(params=[10, 400], ids=["pruned", "with full buffers of hits"])
def quota(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A quota, and buffers so small that what was found is handed in again and again within a pass."""
    monkeypatch.setattr(search_lane, "HIT_CAPACITY", 1)
    return QUOTA | {"top_k": request.param}


def through_a_file(state: SearchState, folder: Path) -> SearchState:
    checkpoint = Checkpoint(folder / "file", "key")
    checkpoint.write(state)
    read = checkpoint.read()
    assert read == state
    return read


@pytest.mark.parametrize("lanes", [1, 2])
def test_under_a_quota_a_search_killed_at_any_step_repeats_nothing_and_ends_as_if_nothing_had_happened(
    lanes: int, quota: dict[str, Any], tmp_path: Path
) -> None:
    expected = finished(Steps(PROBLEM, **quota, lanes=lanes)).outcome
    steps = Steps(PROBLEM, **quota, lanes=lanes)
    taken = handed_in = waiting = 0
    for number, step in enumerate(steps.run()):
        taken += step == "taken"
        if number % 11 and not (step == "taken" and taken % 13 == 0):
            continue
        state = through_a_file(steps.shared.state(0.0), tmp_path)
        assert state.tests == steps.shared.tests
        kept = [job.kept for job in state.jobs if job.kept is not None]
        handed_in += any(one.groups for one in kept)
        waiting += any(one.hits[0] for one in kept)
        again = Steps(PROBLEM, **quota, lanes=lanes, earlier=state)
        assert finished(again).outcome == expected, f"{step}, step {number}"
    assert taken > 60
    assert waiting > 0
    assert handed_in > 0 or quota["top_k"] == QUOTA["top_k"]


@pytest.mark.parametrize("lanes", [1, 2])
def test_under_a_quota_a_search_killed_after_every_slice_ends_as_if_nothing_had_happened(
    lanes: int, quota: dict[str, Any], tmp_path: Path
) -> None:
    expected = finished(Steps(PROBLEM, **quota, lanes=1)).outcome
    state = None
    for _ in range(10_000):
        steps = Steps(PROBLEM, **quota, lanes=lanes, earlier=state)
        if not any(step == "walked" for step in steps.run()):  # lets it make one slice
            break
        state = through_a_file(steps.shared.state(0.0), tmp_path)
    assert steps.outcome == expected


@pytest.mark.parametrize("tests", [None, 400])
@pytest.mark.parametrize("at", [7, 20, 40, 150])
def test_a_state_saved_while_a_stop_is_being_carried_out_can_be_gone_on_with(at: int, tests: int | None) -> None:
    """As when the engine dies: its worker stops, and may still save, with lanes that have ended their work."""
    options = QUOTA | {"tests": tests, "slice_tests": 20}
    expected = finished(Steps(PROBLEM, **options, lanes=2)).outcome
    steps = Steps(PROBLEM, **options, lanes=2)
    for number, step in enumerate(steps.run()):
        if number >= at and step == "walked" and all(lane.job is not None for lane in steps.lanes):
            break
    steps.walk(steps.lanes[0], over=True)
    again = finished(Steps(PROBLEM, **options, lanes=2, earlier=steps.shared.state(0.0))).outcome
    if tests is None:
        (groups, _, _, open_), (theirs, _, _, _) = again, expected
        assert (groups, open_) == (theirs, (None, 0.0))
    else:
        assert again == expected


SMALL: dict[str, Any] = {"min_picks": 3, "max_size": 5}
STALLING: dict[str, Any] = {"policy": Policy(1, helps=True), "slice_tests": 5}  # each slice ends in a stall


@pytest.fixture(params=[3, 10])
def short_passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All passes but the last are cut off after so many slices."""

    def allowance(used: int, capacity: int, *, final: bool) -> int:
        return capacity if final else used + request.param * MS

    monkeypatch.setattr(watchdog, "pass_allowance", allowance)


def ended(steps: Steps) -> int:
    """Runs it to its end; how many anchors had to begin anew because their pass was cut off."""
    level = restarts = 0
    for _ in steps.run():
        if steps.shared.queue.level > level:
            level = steps.shared.queue.level
            restarts += sum(job.place == "fresh" and job.pass_counted > 0 for job in steps.shared.state(0.0).jobs)
    return restarts


@pytest.mark.usefixtures("short_passes")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lanes", [1, 3])
def test_groups_of_anchors_that_were_cut_off_and_began_anew_are_counted_once(seed: int, lanes: int) -> None:
    problem = case(seed, algorithms=5, each=3)
    steps = Steps(problem, **SMALL, **STALLING, top_k=100_000, lanes=lanes)
    assert ended(steps) > 0
    assert steps.shared.bound_and_gap()[0] is None
    assert steps.shared.frequent == len(all_groups(problem, **SMALL))


@pytest.mark.usefixtures("short_passes")
@pytest.mark.parametrize("lanes", [1, 2])
def test_they_are_counted_once_in_a_later_life_too_whenever_the_first_one_ended(lanes: int) -> None:
    problem = case(1, algorithms=5, each=3)
    everything = len(all_groups(problem, **SMALL))
    options: dict[str, Any] = {**SMALL, **STALLING, "top_k": 100_000, "lanes": lanes}
    steps = Steps(problem, **options)
    for number, _ in enumerate(steps.run()):
        if number % 5 == 0:
            again = Steps(problem, **options, earlier=steps.shared.state(0.0))
            before = again.shared.frequent
            assert before <= finished(again).shared.frequent == everything


@pytest.mark.usefixtures("short_passes")
@pytest.mark.parametrize("seed", range(3))
def test_a_search_that_prunes_never_counts_more_groups_than_there_are(seed: int) -> None:
    problem = case(seed, algorithms=5, each=3)
    steps = Steps(problem, **SMALL, **STALLING, top_k=5)
    assert ended(steps) > 0
    assert len(problem.bits) < steps.shared.frequent <= len(all_groups(problem, **SMALL))
