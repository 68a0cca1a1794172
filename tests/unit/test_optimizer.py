"""mp1_p2: never a repeat, always inside the space, a pure function of history and seed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.compute import ALGORITHMS
from engine.errors import UsageError
from engine.model import Parameter, ParameterSet
from engine.records import VariationResult
from engine.spaces import ParameterSpace
from engine.training.mp1_p2_optimizer import STARTS, propose

Point = tuple[int, ...]
History = list[tuple[Point, float]]

TINY = ParameterSpace("tiny", (Parameter("a", 1, 4), Parameter("b", 2, 6)), rising=(0, 1))
MIDDLE = ParameterSpace("middle", (Parameter("a", 0, 19), Parameter("b", 0, 19)))


def hill(space: ParameterSpace, point: Point) -> float:
    """A smooth score with its single top at three quarters of every axis."""
    distance = 0.0
    for parameter, value in zip(space.parameters, point, strict=True):
        span = parameter.high - parameter.low
        distance += ((value - parameter.low) / span - 0.75) ** 2
    return -distance


def evolve(space: ParameterSpace, cycles: int, seed: int, count: int = 8) -> History:
    history: History = []
    for _ in range(cycles):
        history += [(p.values, hill(space, p.values)) for p in propose(space, history, count, seed)]
    return history


spaces = st.sampled_from([*ALGORITHMS.values(), TINY, MIDDLE])


@settings(max_examples=40)
@given(space=spaces, cycles=st.integers(1, 30), seed=st.integers(-5, 2**63), count=st.integers(1, 12))
def test_every_proposal_is_new_and_inside_the_space(
    space: ParameterSpace, cycles: int, seed: int, count: int
) -> None:
    points = [point for point, _ in evolve(space, cycles, seed, count)]
    assert len(set(points)) == len(points) == min(cycles * count, space.size)
    assert all(space.contains(point) for point in points)


@settings(max_examples=30)
@given(space=spaces, cycles=st.integers(0, 30), seed=st.integers(0, 1000), order=st.randoms())
def test_the_same_history_in_any_order_gives_the_same_proposals(
    space: ParameterSpace, cycles: int, seed: int, order: random.Random
) -> None:
    history = evolve(space, cycles, seed)
    shuffled = history.copy()
    order.shuffle(shuffled)
    assert propose(space, shuffled, 8, seed) == propose(space, history, 8, seed)
    assert propose(space, iter(history), 8, seed) == propose(space, history, 8, seed)


@pytest.mark.parametrize("space", [TINY, MIDDLE], ids=lambda s: s.algorithm)
def test_a_small_space_is_exhausted_completely_then_nothing_is_proposed(space: ParameterSpace) -> None:
    history = evolve(space, cycles=space.size // 8 + 1, seed=3)
    assert {point for point, _ in history} == set(space.enumerate())
    assert propose(space, history, 8, 3) == []


def test_the_last_points_of_a_space_come_even_when_fewer_than_asked() -> None:
    points = list(TINY.enumerate())
    history = [(point, 0.0) for point in points[:-3]]
    assert {p.values for p in propose(TINY, history, 8, 1)} == set(points[-3:])


def test_another_process_proposes_the_same() -> None:
    code = (
        "from engine.training.mp1_p2_optimizer import propose\n"
        "h = [((n, 30, 2), n / 7) for n in range(2, 21)] * 9\n"
        "print([p.values for p in propose('rsi', h, 8, 42)])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240,
            cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": hashing},
        ).stdout
        for hashing in ("1", "2")
    }  # fmt: skip
    here = [p.values for p in propose("rsi", [((n, 30, 2), n / 7) for n in range(2, 21)] * 9, 8, 42)]
    assert answers == {f"{here}\n"}


def test_different_seeds_search_differently() -> None:
    assert propose("adx", [], 8, 1) != propose("adx", [], 8, 2)
    grown = evolve(ALGORITHMS["adx"], 25, 1)
    assert propose("adx", grown, 8, 1) != propose("adx", grown, 8, 2)


def test_the_first_160_points_do_not_depend_on_the_scores() -> None:
    space = ALGORITHMS["donch"]
    one, other = [], []
    for _ in range(STARTS // 8):
        one += [(p.values, hill(space, p.values)) for p in propose(space, one, 8, 5)]
        other += [(p.values, -hill(space, p.values)) for p in propose(space, other, 8, 5)]
    assert [p for p, _ in one] == [p for p, _ in other]
    assert propose(space, one, 8, 5) != propose(space, other, 8, 5), "from here on the scores lead"


@pytest.mark.parametrize("algorithm", ["kelt", "bb", "macd"])
def test_the_evolution_climbs_where_random_points_do_not(algorithm: str) -> None:
    space = ALGORITHMS[algorithm]
    history = evolve(space, cycles=60, seed=11)
    starts = sorted((score for _, score in history[:STARTS]), reverse=True)
    later = sorted((score for _, score in history[STARTS:]), reverse=True)
    assert sum(later[:50]) / 50 > starts[0], "fifty later points beat the best start on average"


def test_results_serve_as_history() -> None:
    def result(values: Point, score: float) -> VariationResult:
        return VariationResult(
            "rsi", 1, 1, values, (0,) * 5, (0,) * 5, (0,) * 5, score, 0.0, 0.0, 0.0, 0.0, 0.0, bytes(640)
        )

    pairs = evolve(ALGORITHMS["rsi"], 22, 4)
    assert propose("rsi", [result(*pair) for pair in pairs], 8, 4) == propose("rsi", pairs, 8, 4)


def test_what_cannot_be_proposed_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown algorithm 'sma'"):
        propose("sma", [], 8, 1)
    with pytest.raises(UsageError, match="ask for none or more"):
        propose("rsi", [], -1, 1)
    with pytest.raises(ValueError, match="not finite"):
        propose("rsi", [((5, 40, 2), float("nan"))], 8, 1)
    assert propose("rsi", [], 0, 1) == []
    assert all(isinstance(p, ParameterSet) for p in propose("rsi", [], 3, 1))
