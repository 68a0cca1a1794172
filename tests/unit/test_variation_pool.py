"""Shuffled weeks prune by the pruner's own rules: the same variations are kept, in the same order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision.mp1_p3_pruner import select
from engine.decision.scoring import variation_score
from engine.decision.variation_pool import VariationPool
from engine.model import DAYS, MICRO, TICKERS, Bools, Ints, pack_picks
from engine.records import VariationResult, picks_bytes
from engine.settings import PrunerSettings

NAMES = ("first", "second")


def some_buys(random: np.random.Generator, count: int) -> Bools:
    """Variations of all densities, many near-duplicates, some equal and some that hardly buy."""
    buys = np.zeros((count, DAYS, TICKERS), bool)
    for i in range(count):
        if i and random.random() < 0.5:
            flipped = random.random((DAYS, TICKERS)) < random.choice([0.0, 0.001, 0.004, 0.01])
            buys[i] = buys[random.integers(i)] ^ flipped
        else:
            buys[i] = random.random((DAYS, TICKERS)) < random.choice([0.002, 0.02, 0.05, 0.19, 0.22])
    return buys


def measured(name: str, number: int, buys: Bools, excess: Ints) -> VariationResult:
    counts = tuple(int(day.sum()) for day in buys)
    sums = tuple(int(excess[d][buys[d]].sum()) for d in range(DAYS))
    score = variation_score(counts, sums)
    return VariationResult(
        algorithm=name, cycle=1, slot=1, values=(number,), buys=counts, pp_sum=sums, excess_sum=sums,
        score=score.score, score_mean=score.mean, score_deviation=score.deviation, score_shortage=score.shortage,
        overlap_max=0.0, overlap_mean=0.0, picks=picks_bytes(pack_picks(buys)),
    )  # fmt: skip


def selected(buys: Sequence[Bools], excess: Ints, rules: PrunerSettings) -> list[bytes]:
    found = []
    for name, own in zip(NAMES, buys, strict=True):
        results = [measured(name, number, picks, excess) for number, picks in enumerate(own)]
        found += [kept.result.picks for kept in select(results, rules, name)[0]]
    return found


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), keep=st.integers(1, 12), near=st.sampled_from([0.5, 0.9, 1.0]))
def test_the_rules_on_arrays_keep_what_the_pruner_keeps(seed: int, keep: int, near: float) -> None:
    random = np.random.default_rng(seed)
    buys = [some_buys(random, 20), some_buys(random, 12)]
    excess = (random.standard_t(4, (DAYS, TICKERS)) * MICRO).astype(np.int64)
    rules = PrunerSettings(
        keep={"first": keep}, keep_default=5, near_duplicate=near, min_positive_days=2, worst_day=-0.4
    )
    tested = VariationPool.of(NAMES, [pack_picks(own) for own in buys], rules, whole=False)
    for source in (np.arange(TICKERS), random.permutation(TICKERS)):
        shuffled = np.ascontiguousarray(excess[:, source])
        kept = tested.kept(shuffled)
        assert [picks_bytes(tested.bits[row]) for row in kept] == selected(buys, shuffled, rules)
        assert np.all(np.diff(tested.algorithm[kept]) >= 0)


def test_a_week_in_which_nothing_passes_the_gates_keeps_nothing() -> None:
    buys = np.zeros((3, DAYS, TICKERS), bool)
    tested = VariationPool.of(["first"], [pack_picks(buys)], PrunerSettings(), whole=False)
    assert tested.kept(np.zeros((DAYS, TICKERS), np.int64)).tolist() == []
