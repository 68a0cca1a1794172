"""The permutation null: how luck is measured, and that it is measured the same way for all."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from group_cases import Case, brute_force, case, spread
from hypothesis import given
from hypothesis import strategies as st

from engine.brackets import DEFAULT_BRACKETS
from engine.decision.evidence_lane import EvidenceLane, evidence_reserve, water_level
from engine.decision.group_search import GroupSearch
from engine.decision.permutation_null import Shuffled, enough, judge, price_classes, shuffle
from engine.model import DAYS, MICRO, TICKERS, Ints, pack_picks, unpack_picks

ONE_CLASS = np.zeros(TICKERS, np.int64)
OPTIONS: dict[str, Any] = {"min_picks": 4, "max_size": 4, "top_k": 5}


def lane_after(
    given: Case,
    *,
    options: dict[str, Any] = OPTIONS,
    classes: Ints = ONE_CLASS,
    budget_s: float = 60.0,
    **chosen: Any,
) -> tuple[GroupSearch, EvidenceLane]:
    """A search that has ended and the evidence lane that follows it."""
    arguments = {"threads": 1, "shuffles": 100, "seed": 3, "tests": None} | chosen
    search = GroupSearch(
        *given, **options, threads=arguments["threads"], budget_s=budget_s, evidence_s=budget_s / 2
    )
    search.start()
    assert search.wait(60)
    return search, EvidenceLane(
        search.problem, given.pp, classes, [g.score for g in search.result().groups], ledger=search.ledger,
        max_size=options["max_size"], time_left_s=search.time_left_s, **arguments,
    )  # fmt: skip


def run(lane: EvidenceLane) -> tuple[Shuffled, ...]:
    lane.start()
    assert lane.wait(60)
    return lane.result()


def test_a_shuffle_is_a_permutation_inside_every_price_bracket_and_its_own() -> None:
    classes = np.arange(TICKERS) % 5
    sources = [shuffle(1, number, classes) for number in (1, 2, 2)]
    for source in sources:
        assert np.array_equal(np.sort(source), np.arange(TICKERS))
        assert np.array_equal(classes[source], classes)
    assert not np.array_equal(sources[0], sources[1])
    assert np.array_equal(sources[1], sources[2])


def test_the_class_of_a_ticker_is_the_bracket_of_its_mean_open() -> None:
    opens = np.full((DAYS, 4), [3.0, 5.0, 30.0, 300.0])
    opens[0, 1] = 4.0  # the mean lies below 5
    assert price_classes(opens, DEFAULT_BRACKETS).tolist() == [1, 1, 4, 5]


@pytest.mark.parametrize("options", [{}, {"score_lambda": 0.0}, {"worst_day": True}, {"day_floor": -0.5}])
def test_the_best_of_every_shuffle_is_that_of_brute_force_on_the_shuffled_week(options: dict[str, Any]) -> None:
    problem = case(7)
    classes = np.arange(TICKERS) % 2
    search = GroupSearch(*problem, **(OPTIONS | options), threads=1)
    search.start()
    search.wait(60)
    scores = [g.score for g in search.result().groups]
    lane = EvidenceLane(
        search.problem, problem.pp, classes, scores, ledger=search.ledger, threads=2, shuffles=30, max_size=4,
        seed=9, time_left_s=60.0,
    )  # fmt: skip
    reached = run(lane)
    best = []
    for number in range(1, 31):
        pp = problem.pp[:, shuffle(9, number, classes)]
        plain = brute_force(problem._replace(pp=pp), min_picks=4, max_size=4, top_k=1, **options)
        best.append(plain[0].score if plain else -np.inf)
    assert reached == judge(scores, best, scores[0], 30, None)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_do_not_change_what_the_shuffles_say(threads: int) -> None:
    _, alone = lane_after(spread(3, each=12), tests=400)
    _, together = lane_after(spread(3, each=12), tests=400, threads=threads)
    assert run(alone) == run(together)
    assert run_bounded(alone) is not None


def run_bounded(lane: EvidenceLane) -> int | None:
    return lane.result()[0].bounded


def test_a_pause_changes_nothing_and_consumes_nothing() -> None:
    given = spread(3, each=12)
    _, lane = lane_after(given, shuffles=200)
    expected = run(lane)
    _, lane = lane_after(given, shuffles=200)
    lane.pause()
    lane.start()
    time.sleep(0.2)
    paused = lane.snapshot()
    assert (paused.state, paused.done) == ("paused", 0)
    assert paused.elapsed_s < 0.05
    lane.resume()
    assert lane.wait(60)
    assert lane.result() == expected


def test_the_lane_ends_with_its_budget_and_its_time_is_in_the_ledger() -> None:
    search, lane = lane_after(spread(1, each=60), shuffles=100_000, budget_s=1.5)
    began = time.monotonic()
    outcome = run(lane)
    assert time.monotonic() - began < 1.5 + 1.0
    ledger = search.ledger
    assert ledger.open_grants == 0
    assert ledger.used + ledger.pool == ledger.capacity
    assert ledger.sums().evidence_used > 0
    assert ledger.saved == ledger.pool
    assert outcome[0].p_value is None or outcome[0].p_value > 0


def test_a_stopped_lane_has_no_p_value_but_an_answer() -> None:
    _, lane = lane_after(spread(1, each=60))
    lane.stop()
    outcome = run(lane)
    assert [o.p_value for o in outcome] == [None] * 5
    assert "p not measured" in outcome[0].text


def test_a_true_group_is_found_significant() -> None:
    problem = noise(1, planted=True)
    search, lane = lane_after(problem, options=OPTIONS | {"min_picks": 6}, shuffles=200)
    best = search.result().groups[0]
    assert {0, 4} <= set(best.members)
    assert run(lane)[0] == Shuffled(reached=0, done=200, planned=200, observed=pytest.approx(best.score))
    assert lane.result()[0].text == "better than 200 of 200 shuffled searches: p = 0.005"


def noise(seed: int, *, planted: bool = False) -> Case:
    """Picks that know nothing about PP; with ``planted`` what items 0 and 4 share earns one deviation more."""
    random = np.random.default_rng(seed)
    buys = random.random((12, DAYS, TICKERS)) < 0.12
    pp = random.standard_normal((DAYS, TICKERS))
    if planted:
        pp += 1.5 * (buys[0] & buys[4])
    return Case(pack_picks(buys), (pp * MICRO).astype(np.int64), np.repeat(np.arange(3), 4))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_true_group_of_three_among_sixty_variations_is_found_and_significant(seed: int) -> None:
    """Correlated variations that know nothing, but what three of them share earns 1.5 deviations more."""
    given, members, random = spread(seed, each=10), [3, 17, 28], np.random.default_rng(seed)
    buys = unpack_picks(given.bits)
    buys[members] |= random.random((DAYS, TICKERS)) < 0.02
    pp = random.standard_normal((DAYS, TICKERS)) + 1.5 * buys[members].all(axis=0)
    injected = Case(pack_picks(buys), (pp * MICRO).astype(np.int64), given.algorithm)
    search, lane = lane_after(
        injected,
        options={"min_picks": 8, "max_size": 6, "top_k": 20},
        classes=np.arange(TICKERS) % 4,
        shuffles=200,
    )
    assert set(members) <= set(search.result().groups[0].members)
    assert run(lane)[0].p_value == 1 / 201


def test_p_values_of_pure_noise_are_not_too_small() -> None:
    """P(p <= a) <= a + 3 sigma over 200 weeks of noise (larger ones, and under a quota, in the benchmark)."""
    weeks = 200
    values = []
    for week in range(weeks):
        _, lane = lane_after(noise(1000 + week), options=OPTIONS | {"max_size": 3}, shuffles=99, seed=week)
        values.append(run(lane)[0].p_value)
    for level in (0.05, 0.1, 0.2):
        share = np.mean([value is not None and value <= level for value in values])
        assert share <= level + 3 * np.sqrt(level * (1 - level) / weeks)
    assert max(value or 0.0 for value in values) > 0.5


@given(best=st.lists(st.floats(-1, 1), max_size=60), score=st.floats(-1, 1), planned=st.integers(1, 60))
def test_an_early_end_never_hides_a_significant_group(best: list[float], score: float, planned: int) -> None:
    end = enough(best, score, planned)
    if end is not None:
        reached = sum(value >= score - 1e-9 for value in best[:end])
        assert (1 + reached) / (1 + planned) > 0.05
        assert enough(best[: end - 1], score, planned) is None


@given(
    scores=st.lists(st.floats(-1, 1), min_size=1, max_size=5),
    best=st.lists(st.floats(-1, 1), min_size=1, max_size=60),
    observed=st.floats(-1, 1),
)
def test_a_better_group_never_has_a_larger_p_and_none_is_better_than_the_shuffles_own_search(
    scores: list[float], best: list[float], observed: float
) -> None:
    judged = judge(sorted(scores, reverse=True), best, observed, 60, None)
    values = [j.p_value or 0.0 for j in judged]
    assert values == sorted(values)
    own = judge([observed], best, observed, 60, None)[0]
    if max(scores) >= observed:
        assert judged[0] == own


@pytest.mark.parametrize(
    ("shuffled", "text"),
    [
        (Shuffled(17, 200, 200), "better than 183 of 200 shuffled searches: p = 0.09"),
        (Shuffled(3, 200, 200), "better than 197 of 200 shuffled searches: p = 0.020"),
        (Shuffled(10, 219, 219), "better than 209 of 219 shuffled searches: p = 0.050"),
        (
            Shuffled(10, 14, 200, certain=True),
            "better than 4 of 14 shuffled searches: p = 0.73 (more shuffles cannot make it significant)",
        ),
        (
            Shuffled(0, 39, 200, bounded=5_000),
            "better than 39 of 39 shuffled searches: p = 0.025, 200 decide (time ended before 200; "
            "each among 5,000 groups, not all)",
        ),
        (Shuffled(0, 0, 200), "p not measured: the budget left no time for shuffles"),
        (Shuffled(0, 0, 0), "p not measured"),
    ],
)
def test_the_verdict_says_it_in_plain_words(shuffled: Shuffled, text: str) -> None:
    assert shuffled.text == text


@given(groups=st.lists(st.integers(0, 50_000), min_size=1, max_size=30), affordable=st.integers(0, 500_000))
def test_the_quota_cuts_the_largest_anchors_until_the_rest_fits(groups: list[int], affordable: int) -> None:
    counts = np.array(groups)
    level = water_level(counts, affordable)
    assert level >= 50
    assert level == 50 or np.minimum(counts, level).sum() <= affordable
    if level < counts.max():
        assert np.minimum(counts, level + 1).sum() > affordable


def test_a_search_leaves_a_quarter_of_a_short_budget_and_minutes_of_a_long_one() -> None:
    assert evidence_reserve(60.0, 200) == 15.0
    assert evidence_reserve(86_400.0, 200) == 600.0
    assert evidence_reserve(60.0, 0) == 0.0


def test_a_killed_lane_goes_on_after_its_last_whole_block() -> None:
    given = noise(1, planted=True)
    options = OPTIONS | {"min_picks": 6}
    _, whole = lane_after(given, options=options, shuffles=200)
    expected = run(whole)
    _, lane = lane_after(given, options=options, shuffles=60)  # its first 60 are those of 200
    run(lane)
    state = lane.state()
    assert state is not None
    _, again = lane_after(given, options=options, shuffles=200, resume=state)
    assert again.snapshot().done == 60
    assert again.snapshot().elapsed_s == state.elapsed_s > 0
    assert run(again) == expected
