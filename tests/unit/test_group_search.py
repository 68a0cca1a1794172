"""The group search is exact: it equals brute force, whatever the threads, slices and pauses."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from group_cases import Case, all_groups, brute_force, case, spread
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision import search_clock, search_lane
from engine.decision.group_count import count_groups
from engine.decision.group_kernel import open_anchor
from engine.decision.group_problem import rank_problem
from engine.decision.group_search import GroupSearch, search_groups
from engine.decision.kernel_arrays import NEVER, Limits, new_hits, new_workspace
from engine.decision.kernel_bounds import open_best, single_best
from engine.decision.search_snapshot import SearchResult
from engine.decision.watchdog import SECOND, SLICE_NS
from engine.model import DAYS, MICRO, TICKERS, pack_picks, unpack_picks


def run(given: Case, **arguments: Any) -> SearchResult:
    chosen = {"min_picks": 4, "max_size": 4, "top_k": 20, "threads": 1} | arguments
    return search_groups(given.bits, given.pp, given.algorithm, **chosen)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    min_picks=st.integers(1, 12),
    max_size=st.integers(2, 4),
    top_k=st.sampled_from([1, 5, 50]),
    penalty=st.sampled_from([0.0, 0.5, 1.0]),
    day_floor=st.sampled_from([None, -0.5, 0.0]),
    positive=st.integers(0, 5),
    worst_day=st.booleans(),
)
def test_the_best_groups_are_those_of_brute_force(
    seed: int,
    min_picks: int,
    max_size: int,
    top_k: int,
    penalty: float,
    day_floor: float | None,
    positive: int,
    worst_day: bool,
) -> None:
    problem = case(seed)
    options: dict[str, Any] = {
        "min_picks": min_picks, "max_size": max_size, "top_k": top_k, "score_lambda": penalty,
        "day_floor": day_floor, "min_positive_days": positive, "worst_day": worst_day,
    }  # fmt: skip
    result = run(problem, **options)
    assert result.groups == brute_force(problem, **options)
    assert result.proven
    assert result.gap == 0.0


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    min_picks=st.integers(1, 10),
    objective=st.sampled_from([{"score_lambda": 0.0}, {"score_lambda": 0.7}, {"worst_day": True}]),
)
def test_no_group_beats_the_bound_of_any_item_in_it(seed: int, min_picks: int, objective: dict[str, Any]) -> None:
    problem = case(seed)
    ranked = rank_problem(*problem, min_picks=min_picks, max_size=3, **objective)
    bounds = {int(item): ranked.bound(int(single_best(ranked.kernel, i))) for i, item in enumerate(ranked.items)}
    groups = brute_force(problem, min_picks=min_picks, max_size=3, top_k=10_000, **objective)
    assert all(group.score <= bounds[item] + 1e-9 for group in groups for item in group.members)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    min_picks=st.integers(1, 10),
    objective=st.sampled_from([{"score_lambda": 0.0}, {"score_lambda": 0.7}, {"worst_day": True}]),
    day_floor=st.sampled_from([None, -0.5, 0.2]),
    positive=st.integers(0, 5),
    max_size=st.integers(2, 4),
)
def test_no_group_beats_the_bound_of_any_node_above_it_and_none_lies_below_a_dropped_one(
    seed: int, min_picks: int, objective: dict[str, Any], day_floor: float | None, positive: int, max_size: int
) -> None:
    """Nodes of two items as the kernel opens them, their subtree cut or walked: for each objective and floor."""
    problem = case(seed)
    floors: dict[str, Any] = {"day_floor": day_floor, "min_positive_days": positive}
    groups = brute_force(problem, min_picks=min_picks, max_size=4, top_k=10_000, **objective, **floors)
    ranked = rank_problem(*problem, min_picks=min_picks, max_size=max_size, **objective, **floors)
    rank = {int(item): i for i, item in enumerate(ranked.items)}
    limits = Limits(max_size=max_size, final_size=4, counted_size=0, best_sum=NEVER, score=np.inf)
    hits = new_hits(100)
    for anchor in range(ranked.count):
        work = new_workspace(ranked.count)
        open_anchor(ranked.kernel, limits, work, hits, anchor)
        below = [g for g in groups if g.size > 2 and min(rank[m] for m in g.members) == anchor]
        if not below:
            continue
        subtree = ranked.bound(int(open_best(ranked.kernel, work)))  # larger groups than pairs are still open
        width = int(work.width[0])
        nodes = {
            int(ranked.items[work.items[work.candidates[0, i]]]): ranked.bound(int(work.best[0, i]))
            for i in range(width)
        }
        own = int(ranked.items[anchor])
        for group in below:
            assert group.score <= subtree + 1e-9
            assert all(group.score <= nodes[m] + 1e-9 for m in group.members if m != own)


@pytest.mark.parametrize("tickers", [40, 150, 400])
def test_anchors_of_one_word_and_of_many_words_give_the_same_as_brute_force(tickers: int) -> None:
    problem = case(5, algorithms=5, each=3, tickers=tickers, density=0.7)
    options: dict[str, Any] = {"min_picks": tickers // 10, "max_size": 5, "top_k": 30}
    assert run(problem, **options).groups == brute_force(problem, **options)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("total", [True, False])
def test_the_count_is_that_of_brute_force_single_items_included(exclusive: bool, total: bool) -> None:
    problem = case(11, algorithms=3, each=4, tickers=90)
    options: dict[str, Any] = {
        "min_picks": 60 if total else 9,
        "max_size": 4,
        "exclusive": exclusive,
        "total": total,
    }
    expected = len(all_groups(problem, **options))
    assert count_groups(problem.bits, problem.algorithm, **options) == expected
    assert expected > len(problem.bits)


def test_an_unpruned_search_visits_every_frequent_group_once() -> None:
    problem = case(3)
    result = run(problem, top_k=100_000)
    assert result.frequent == count_groups(problem.bits, problem.algorithm, min_picks=4, max_size=4)


def test_same_picks_count_once_and_the_simplest_group_speaks_for_them() -> None:
    buys = np.zeros((4, DAYS, TICKERS), bool)
    buys[:, :, :10] = True
    pp = np.full((DAYS, TICKERS), MICRO, np.int64)
    result = search_groups(
        pack_picks(buys), pp, np.array([2, 0, 1, 1]), min_picks=3, max_size=3, top_k=10, threads=1
    )
    assert [g.members for g in result.groups] == [(0, 1)]
    assert result.groups[0].day_counts == (10,) * DAYS
    assert np.array_equal(unpack_picks(result.groups[0].picks), buys[0])


def test_a_group_never_holds_two_items_of_an_algorithm() -> None:
    problem = spread(2)
    for group in run(problem, min_picks=8, max_size=6, top_k=200).groups:
        assert len(set(problem.algorithm[list(group.members)])) == group.size


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("slice_s", [0.0001, 0.05])
def test_threads_and_slices_do_not_change_the_result(threads: int, slice_s: float) -> None:
    problem = spread(1)
    options: dict[str, Any] = {"min_picks": 8, "max_size": 6, "top_k": 50}
    expected = run(problem, **options)
    search = GroupSearch(*problem, **options, threads=threads, slice_s=slice_s)
    search.start()
    assert search.wait(60)
    assert search.result().groups == expected.groups
    assert search.result().proven


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("slice_s", [0.0001, 0.05])
def test_a_quota_of_tests_gives_the_same_everything_on_any_threads_and_slices(
    threads: int, slice_s: float
) -> None:
    problem = spread(4)
    options: dict[str, Any] = {"min_picks": 5, "max_size": 6, "top_k": 50, "tests": 3_000}
    expected = run(problem, **options)
    assert not expected.proven
    assert expected.gap > 0
    search = GroupSearch(*problem, **options, threads=threads, slice_s=slice_s)
    search.start()
    assert search.wait(60)
    assert search.result() == expected


def test_a_search_paused_many_times_gives_the_same_result() -> None:
    problem = spread(1, each=35)
    options: dict[str, Any] = {"min_picks": 6, "max_size": 6, "top_k": 50}
    expected = run(problem, **options)
    search = GroupSearch(*problem, **options, threads=2, slice_s=0.001)
    search.start()
    pauses = 0
    while not search.wait(0.01):
        search.pause()
        time.sleep(0.02)
        if search.snapshot().state == "paused":
            pauses += 1
        search.resume()
    assert pauses > 0
    assert search.result().groups == expected.groups


def test_a_pause_consumes_nothing() -> None:
    search = GroupSearch(*spread(1, each=60), min_picks=4, max_size=8, top_k=50, threads=2, budget_s=60)
    search.start()
    while not search.snapshot().tests:
        time.sleep(0.02)
    search.pause()
    while len(search._changed._waiters) < 2:  # type: ignore[attr-defined]  # the present slices end
        time.sleep(0.01)
    before = search.snapshot()
    time.sleep(0.3)
    after = search.snapshot()
    search.stop()
    assert search.wait(60)
    assert before.state == after.state == "paused"
    assert {lane.state for lane in after.lanes} == {"paused"}
    assert after.ledger == before.ledger
    assert (after.elapsed_s, after.tests) == (before.elapsed_s, before.tests)


def test_the_ledger_identity_holds_at_every_sampled_moment_and_both_lanes_give_and_take() -> None:
    search = GroupSearch(*spread(1, each=60), min_picks=4, max_size=8, top_k=50, threads=2, budget_s=2.5)
    search.start()
    samples = []
    while not search.wait(0.005):
        samples.append(search.snapshot())
    samples.append(search.snapshot())
    assert len(samples) > 20
    for sample in samples:
        assert sample.ledger_holds
        assert math.isclose(
            sample.ledger.open_grants + sample.ledger.used + sample.ledger.pool, sample.ledger.capacity
        )
        assert min(sample.ledger.open_grants, sample.ledger.used, sample.ledger.pool) >= 0
    assert samples[-1].ledger.open_grants == 0
    for lane in samples[-1].lanes:
        assert lane.donated > 0
        assert lane.received > 0


def test_the_budget_ends_the_search_with_a_gap_and_in_time() -> None:
    search = GroupSearch(*spread(1, each=80), min_picks=3, max_size=10, top_k=100, threads=2, budget_s=1.0)
    search.start()
    assert search.wait(120)
    result = search.result()
    assert search.snapshot().elapsed_s < 1.0 + 30.0  # the whole search would take hours; how late is below
    assert not result.proven
    assert result.gap > 0
    assert len(result.groups) == 100


class ProcessorClock:
    """Stands in for ``time``: what one lane has worked, so that a busy machine cannot make it late."""

    @staticmethod
    def monotonic() -> float:
        return time.process_time()

    @staticmethod
    def monotonic_ns() -> int:
        return time.process_time_ns()


def test_the_search_ends_within_its_budget_and_one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (search_clock, search_lane):
        monkeypatch.setattr(module, "time", ProcessorClock)
    late = []
    for _ in range(3):  # threads that other tests have left in this process work on the same clock
        search = GroupSearch(*spread(1, each=80), min_picks=3, max_size=10, top_k=100, threads=1, budget_s=0.5)
        search.start()
        assert search.wait(120)
        end = search.snapshot()
        assert not end.proven
        assert end.elapsed_s > 0.49  # the ledger may be used up a moment before the clock
        late.append(max(end.elapsed_s - 0.5, end.ledger.overrun))
        if late[-1] <= SLICE_NS / SECOND:
            return
    raise AssertionError(f"a slice and more over the budget, each time: {late}")


def test_a_wall_clock_that_jumps_while_the_search_runs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = spread(1, each=35)
    options: dict[str, Any] = {"min_picks": 6, "max_size": 6, "top_k": 50}
    expected = run(problem, **options)
    hours = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: (-1) ** next(hours) * 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: (-1) ** next(hours) * 10**18)
    search = GroupSearch(*problem, **options, threads=2, slice_s=0.001, budget_s=600)
    search.start()
    elapsed = [search.snapshot().elapsed_s]
    while not search.wait(0.002):
        elapsed.append(search.snapshot().elapsed_s)
    assert elapsed == sorted(elapsed)
    assert elapsed[-1] < 600
    assert search.result().groups == expected.groups
    assert search.result().proven
    assert search.snapshot().ledger_holds


def test_the_bound_holds_at_every_moment() -> None:
    """No group of the final result beats the best of what was known and what was open."""
    problem = spread(1, each=35)
    options: dict[str, Any] = {"min_picks": 6, "max_size": 6, "top_k": 10}
    best = run(problem, **options).groups[0].score
    search = GroupSearch(*problem, **options, threads=2, slice_s=0.001)
    search.start()
    while not search.wait(0.002):
        sample = search.snapshot()
        assert sample.bound is not None
        assert max(sample.bound, sample.incumbent or -math.inf) >= best


def test_what_a_proof_leaves_over_is_saved() -> None:
    search = GroupSearch(*case(1), min_picks=4, max_size=4, top_k=5, threads=2, budget_s=30)
    search.start()
    assert search.wait(120)
    ledger = search.snapshot().ledger
    assert search.result().proven
    assert ledger.saved == ledger.pool
    assert ledger.evidence == 0  # no evidence lane has asked for it
    assert ledger.used + ledger.saved == pytest.approx(ledger.capacity)


def test_stop_ends_the_search_early_and_says_that_nothing_is_proven() -> None:
    search = GroupSearch(*spread(1, each=80), min_picks=3, max_size=10, top_k=10, threads=2, budget_s=60)
    search.start()
    time.sleep(0.3)
    search.stop()
    assert search.wait(60)
    assert not search.result().proven
    assert search.snapshot().ledger.saved > 50


def test_no_frequent_group_is_an_empty_proven_result() -> None:
    problem = case(1)
    assert run(problem, min_picks=900) == SearchResult((), 0, 0, True, 0.0)


def test_arrays_that_are_not_as_described_are_refused() -> None:
    problem = case(1)
    padded = problem.bits.copy()
    padded[0, 0, -1] |= np.uint64(1) << np.uint64(63)
    with pytest.raises(ValueError, match="padding"):
        run(problem._replace(bits=padded))
    with pytest.raises(ValueError, match="int64"):
        run(problem._replace(pp=problem.pp.astype(np.float64)))
    with pytest.raises(ValueError, match="one integer an item"):
        run(problem._replace(algorithm=problem.algorithm[:-1]))
    with pytest.raises(ValueError, match="max_size"):
        run(problem, max_size=11)
    with pytest.raises(ValueError, match="min_picks"):
        run(problem, min_picks=0)
