"""The permutation null: how luck is measured, and that it is measured the same way for all."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from group_cases import Case, brute_force, case, spread
from hypothesis import given
from hypothesis import strategies as st
from shuffled_noise import lane_of, pruned_noise

from engine.brackets import DEFAULT_BRACKETS
from engine.decision.evidence_lane import EvidenceLane
from engine.decision.group_search import GroupSearch
from engine.decision.permutation_null import Shuffled, enough, judge, price_classes, shuffle
from engine.decision.shuffled_weeks import GroupRules, ShuffledWeeks, evidence_reserve, shuffle_tests
from engine.model import DAYS, MICRO, TICKERS, Ints, pack_picks, unpack_picks

ONE_CLASS = np.zeros(TICKERS, np.int64)
OPTIONS: dict[str, Any] = {"min_picks": 4, "max_size": 4, "top_k": 5}


def lane_after(
    given: Case,
    *,
    options: dict[str, Any] = OPTIONS,
    classes: Ints = ONE_CLASS,
    budget_s: float = 60.0,
    seed: int = 3,
    quotas: dict[str, Any] | None = None,
    **chosen: Any,
) -> tuple[GroupSearch, EvidenceLane]:
    """A search that has ended and the evidence lane that follows it, over the same given variations."""
    arguments = {"threads": 1, "shuffles": 100} | chosen
    search = GroupSearch(
        *given, **options, threads=arguments["threads"], budget_s=budget_s, evidence_s=budget_s / 2
    )
    search.start()
    assert search.wait(60)
    rules = GroupRules(**{name: value for name, value in options.items() if name != "top_k"})
    weeks = ShuffledWeeks(given.pp, classes, (given.bits, given.algorithm), rules, seed=seed, **(quotas or {}))
    scores = [g.score for g in search.result().groups]
    lane = EvidenceLane(weeks, scores, ledger=search.ledger, time_left_s=search.time_left_s, **arguments)
    return search, lane


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
    problem, classes = case(7), np.arange(TICKERS) % 2
    search, lane = lane_after(problem, options=OPTIONS | options, classes=classes, seed=9, shuffles=30, threads=2)
    scores = [g.score for g in search.result().groups]
    best = []
    for number in range(1, 31):
        pp = problem.pp[:, shuffle(9, number, classes)]
        plain = brute_force(problem._replace(pp=pp), min_picks=4, max_size=4, top_k=1, **options)
        best.append(plain[0].score if plain else -np.inf)
    assert run(lane) == judge(scores, best, scores[0], 30, None, "given")
    assert lane.snapshot().observed == scores[0]
    counted = lane.snapshot().best
    assert counted == pytest.approx(best[: len(counted)], abs=1e-12)


@pytest.mark.parametrize("quotas", [{}, {"anchor_tests": 400}, {"all_tests": 5_000}])
def test_threads_do_not_change_what_the_shuffles_say(quotas: dict[str, int]) -> None:
    results = []
    for threads in (1, 2, 4):
        _, lane = lane_after(
            spread(3, each=12), quotas=quotas, threads=threads, options=OPTIONS | {"min_picks": 3}
        )
        results.append((run(lane), lane.snapshot().best))
    assert results[0] == results[1] == results[2]
    assert results[0][0][0].bounded == next(iter(quotas.values()), None)


def test_a_pause_changes_nothing_and_consumes_nothing() -> None:
    given = spread(3, each=12)
    _, lane = lane_after(given, shuffles=60)
    expected = run(lane)
    _, lane = lane_after(given, shuffles=60)
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
    search, lane = lane_after(spread(1, each=60), shuffles=100_000, budget_s=1.5, threads=2)
    outcome = run(lane)
    assert lane.snapshot().elapsed_s < 1.5 + 30.0  # all of its shuffles would take hours
    ledger = search.ledger
    assert ledger.open_grants == 0
    assert ledger.used + ledger.pool == ledger.capacity
    assert ledger.sums().evidence_used > 0
    assert ledger.saved == ledger.pool
    assert outcome[0].p_value is None or outcome[0].p_value > 0


def test_a_stopped_lane_has_no_p_value_but_an_answer() -> None:
    _, lane = lane_after(spread(1, each=12))
    lane.stop()
    outcome = run(lane)
    assert [o.p_value for o in outcome] == [None] * 5
    assert "p not measured" in outcome[0].text


def test_a_true_group_is_found_significant() -> None:
    problem = noise(1, planted=True)
    search, lane = lane_after(problem, options=OPTIONS | {"min_picks": 6}, shuffles=200)
    best = search.result().groups[0]
    assert {0, 4} <= set(best.members)
    said = run(lane)[0]
    assert (said.reached, said.done, said.bounded, said.observed) == (0, 200, None, pytest.approx(best.score))
    assert said.text.startswith("better than 200 of 200 shuffled searches: p = 0.005 at least (its")


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
        threads=2,
    )
    assert set(members) <= set(search.result().groups[0].members)
    assert run(lane)[0].p_value == 1 / 201


def test_a_true_group_stays_significant_through_the_pruner() -> None:
    found = []
    for seed in (1, 2, 3):
        search, lane = lane_of(pruned_noise(seed, planted=3.0), shuffles=200, seed=seed)
        said = run(lane)[0]
        assert said.observed == pytest.approx(search.result().groups[0].score)
        found.append(said.p_value or 1.0)
    assert max(found) <= 0.05


def test_p_values_of_pruned_noise_are_not_too_small() -> None:
    """P(p <= a) <= a + 3 sigma over weeks of noise whose variations were the best of many (more in the benchmark).

    Shuffles of the variations that the real week kept would call a large part of them significant.
    """
    weeks = 200
    values = [p_of(week) for week in range(weeks)]
    for level in (0.05, 0.1, 0.2):
        share = np.mean([value is not None and value <= level for value in values])
        assert share <= level + 3 * np.sqrt(level * (1 - level) / weeks)
    assert max(value or 0.0 for value in values) > 0.5
    blind = [p_of(week, anew=False) for week in range(60)]
    assert np.mean([value is not None and value <= 0.1 for value in blind]) > 0.3


def p_of(week: int, *, anew: bool = True) -> float | None:
    _, lane = lane_of(pruned_noise(1000 + week), shuffles=39, seed=week, anew=anew)
    return run(lane)[0].p_value


def test_a_week_whose_shuffles_hold_no_group_at_all_is_better_than_they_are() -> None:
    problem = noise(1, planted=True)
    search, _ = lane_after(problem, options=OPTIONS | {"min_picks": 6})
    floor = min(search.result().groups[0].day_means) - 1e-6
    _, lane = lane_after(problem, options=OPTIONS | {"min_picks": 6, "day_floor": floor})
    said = run(lane)[0]
    assert set(lane.snapshot().best) == {-np.inf}
    assert (said.reached, said.done) == (0, 100)


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
            "each within 5,000 tests, not all groups)",
        ),
        (
            Shuffled(0, 200, 200, scope="tested"),
            "better than 200 of 200 shuffled searches: p = 0.005 (training is not repeated)",
        ),
        (
            Shuffled(0, 200, 200, scope="given"),
            "better than 200 of 200 shuffled searches: p = 0.005 at least (its variations were "
            "chosen on the same days)",
        ),
        (Shuffled(0, 0, 200), "p not measured: the budget left no time for shuffles"),
        (Shuffled(0, 0, 0), "p not measured"),
    ],
)
def test_the_verdict_says_it_in_plain_words(shuffled: Shuffled, text: str) -> None:
    assert shuffled.text == text


def test_a_search_leaves_a_third_of_a_short_budget_and_minutes_of_a_long_one() -> None:
    assert evidence_reserve(60.0, 200) == 20.0
    assert evidence_reserve(86_400.0, 200) == 600.0
    assert evidence_reserve(60.0, 0) == 0.0


@given(budget_s=st.floats(0.1, 1e6), shuffles=st.integers(19, 100_000))
def test_the_quota_of_a_shuffle_follows_from_the_settings_and_keeps_it_short(
    budget_s: float, shuffles: int
) -> None:
    assert 100_000 <= shuffle_tests(budget_s, shuffles) <= 20_000_000
    assert shuffle_tests(budget_s, shuffles) <= shuffle_tests(2 * budget_s, shuffles)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_killed_lane_goes_on_with_every_shuffle_that_was_done(threads: int) -> None:
    given = noise(1, planted=True)
    options = OPTIONS | {"min_picks": 6}
    _, whole = lane_after(given, options=options, shuffles=200)
    expected = run(whole)
    state, lives = None, 0
    while True:
        _, lane = lane_after(given, options=options, shuffles=200, threads=threads, resume=state)
        if state is not None:
            assert lane.snapshot().elapsed_s == state.elapsed_s > 0
        lane.start()
        ended = lane.wait(0.01 + 0.005 * lives)  # longer each time: a busy machine gets somewhere too
        before, state = state, lane.state()
        lane.stop()  # what it finds from here on is lost, as after kill -9
        lane.wait(60)
        lives += 1
        if ended:
            break
        assert before is None or len(state.found) >= len(before.found)
    assert lives > 2
    assert lane.result() == expected


def test_a_lane_that_was_killed_before_its_first_shuffle_does_not_get_its_time_again() -> None:
    _, lane = lane_after(spread(1, each=60), options=OPTIONS | {"min_picks": 2}, shuffles=200)
    lane.start()
    assert not lane.wait(0.05)
    state = lane.state()
    lane.stop()
    assert lane.wait(60)
    assert state.elapsed_s > 0.04
