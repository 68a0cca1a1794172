"""The group search against PyFIM, a frequent-itemset miner in C, on problems too large for brute force.

PyFIM knows neither days nor algorithms: its sets are frequent in sum, so all that are frequent
on every day are among them, and the filters and the scores are applied to what it found.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from group_cases import Case, spread

from engine.decision.group_count import count_groups
from engine.decision.group_search import search_groups
from engine.decision.top_groups import FoundGroup
from engine.model import DAYS, MICRO, Ints, unpack_picks
from engine.records import picks_bytes

fim: Any = pytest.importorskip("fim", reason="PyFIM is not installed (pip install pyfim; needs a C compiler)")

MAX_SIZE = 4
AT_ONCE = 20_000  # sets scored together


def mined(given: Case, *, least: int, max_size: int, **more: Any) -> Any:
    """PyFIM's eclat on bit vectors: one basket a day and ticker."""
    buys = unpack_picks(given.bits).reshape(len(given.bits), -1)
    baskets = [np.flatnonzero(buys[:, at]).tolist() for at in range(buys.shape[1])]
    return fim.eclat(baskets, target="s", supp=-least, zmax=max_size, algo="b", **more)


def sets_of(given: Case, *, least: int, size: int) -> Ints:
    """Every set of ``size`` items that share ``least`` picks in sum, int64[sets, size], members ascending."""
    found = mined(given, least=least, max_size=size, zmin=size, report="")
    members = itertools.chain.from_iterable(itertools.chain.from_iterable(found))
    return np.sort(np.fromiter(members, np.int64, len(found) * size).reshape(-1, size), axis=1)


def one_an_algorithm(sets: Ints, algorithm: Ints) -> Ints:
    own = np.sort(algorithm[sets], axis=1)
    return sets[(own[:, 1:] != own[:, :-1]).all(axis=1)]


def best_of(given: Case, sets: Ints, *, min_picks: int, score_lambda: float) -> list[FoundGroup]:
    """All of ``sets`` that are frequent on every day, scored by the definition."""
    groups = []
    for start in range(0, len(sets), AT_ONCE):
        members = sets[start : start + AT_ONCE]
        picks = np.bitwise_and.reduce(given.bits[members], axis=1)
        frequent = np.bitwise_count(picks).sum(axis=2).min(axis=1) >= min_picks
        members, picks = members[frequent], picks[frequent]
        buys = unpack_picks(picks)
        counts = buys.sum(axis=2)
        sums = np.stack([np.where(buys[:, d], given.pp[d], 0).sum(axis=1) for d in range(DAYS)], axis=1)
        means = sums / (counts * MICRO)
        mean = sum(means[:, d] for d in range(DAYS)) / DAYS
        variance = sum((means[:, d] - mean) * (means[:, d] - mean) for d in range(DAYS))
        scores = mean - score_lambda * np.sqrt(variance / DAYS)
        groups += [
            FoundGroup(
                tuple(members[i].tolist()),
                float(scores[i]),
                tuple(sums[i].tolist()),
                tuple(counts[i].tolist()),
                picks_bytes(picks[i]),
            )
            for i in range(len(members))
        ]
    return groups


def test_as_many_frequent_sets_as_pyfim_counts_without_the_class_constraint() -> None:
    problem = spread(1, algorithms=10, each=12)
    spectrum = mined(problem, least=40, max_size=5, report="#")
    found = count_groups(
        problem.bits, problem.algorithm, min_picks=40, max_size=5, exclusive=False, total=True
    )  # fmt: skip
    assert found == sum(spectrum.values()) > 5_000_000


@pytest.mark.parametrize("exclusive", [True, False])
def test_counts_and_the_best_groups_are_those_among_pyfims_sets(exclusive: bool) -> None:
    """With at most one item an algorithm, and with an algorithm for every item, which is no constraint."""
    problem = spread(1, algorithms=10, each=12)
    if not exclusive:
        problem = problem._replace(algorithm=np.arange(len(problem.bits)))
    min_picks, score_lambda = 12, 0.5
    totals = len(problem.bits)
    groups: list[FoundGroup] = []
    for size in range(2, MAX_SIZE + 1):
        sets = one_an_algorithm(sets_of(problem, least=DAYS * min_picks, size=size), problem.algorithm)
        totals += len(sets)
        groups += best_of(problem, sets, min_picks=min_picks, score_lambda=score_lambda)
    assert totals == count_groups(
        problem.bits, problem.algorithm, min_picks=DAYS * min_picks, max_size=MAX_SIZE, total=True
    )
    singles = int((np.bitwise_count(problem.bits).sum(axis=2).min(axis=1) >= min_picks).sum())
    assert singles + len(groups) == count_groups(
        problem.bits, problem.algorithm, min_picks=min_picks, max_size=MAX_SIZE
    )
    assert len(groups) > 40_000
    best: dict[bytes, FoundGroup] = {}
    for group in sorted(groups, key=lambda g: g.order):
        best.setdefault(group.stored_picks, group)
    result = search_groups(
        *problem, min_picks=min_picks, max_size=MAX_SIZE, top_k=100, threads=2, score_lambda=score_lambda
    )
    assert result.proven
    assert result.groups == tuple(best.values())[:100]
