"""Cross-checks of the training loop: which batches, what stops a run, what only counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from synthetic_bars import synthetic_week

from engine.brackets import Bracket, BracketTable
from engine.compute import ALGORITHMS, ComputeEngine, Evaluation, NativeEngine, ParameterSet
from engine.compute.agreement import DisagreementError
from engine.compute.comparisons import comparisons, is_tie
from engine.model import Floats
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.cross_check import CrossCheck
from engine.training.mp1_loop import LoopPlan, Mp1Loop
from engine.training.mp1_p1_variation_tester import VariationTester
from engine.views import TrainingView

SPACES = list(ALGORITHMS.values())
SYMBOLS = [f"S{i:04d}" for i in range(1000)]
OTHER_BRACKETS = BracketTable([Bracket(0.0, 1.0, 0.5, 0.4, 5.0)])


@pytest.fixture(scope="module")
def days() -> list[Floats]:
    return synthetic_week(17)


@pytest.fixture
async def results(tmp_path: Path) -> AsyncIterator[VariationResultsDb]:
    database = await VariationResultsDb.open(tmp_path / "results.db", spaces=SPACES)
    yield database
    await database.close()


def check_with(other: ComputeEngine, days: list[Floats], count: int, seed: int = 3) -> CrossCheck:
    return CrossCheck(other, "native", SYMBOLS, days, count=count, seed=seed)


def test_the_chosen_batches_follow_from_seed_and_cycle_alone(days: list[Floats]) -> None:
    one, same, another = (check_with(NativeEngine(), days, 3, seed) for seed in (3, 3, 4))
    assert [one.chosen(c) for c in range(50)] == [same.chosen(c) for c in range(50)]
    assert [one.chosen(c) for c in range(50)] != [another.chosen(c) for c in range(50)]
    assert all(len(one.chosen(c)) == 3 for c in range(50))
    seen = Counter(pair for c in range(200) for pair in one.chosen(c))
    assert len(seen) == 20, "every batch has its turn"


def test_more_batches_than_there_are_means_all(days: list[Floats]) -> None:
    assert len(check_with(NativeEngine(), days, 99).chosen(1)) == 20


async def test_agreeing_backends_are_counted_and_change_nothing(
    results: VariationResultsDb, days: list[Floats], tmp_path: Path
) -> None:
    plan = LoopPlan(cycles=2, slots=2, seed=5)
    views: list[TrainingView] = []
    check = check_with(NativeEngine(), days, 2)
    loop = Mp1Loop(VariationTester(NativeEngine(), days), results, SPACES, plan, "{}", views.append, check=check)
    report = await loop.run()
    assert (report.verified, report.ties) == (4, ())
    assert views[-1].verified == 4
    assert "4 batches agree" in report.summary()
    plain = await VariationResultsDb.open(tmp_path / "plain.db", spaces=SPACES)
    await Mp1Loop(VariationTester(NativeEngine(), days), plain, SPACES, plan, "{}").run()
    try:
        assert await plain.table_hashes() == await results.table_hashes()
    finally:
        await plain.close()


async def test_the_first_disagreement_ends_the_run_with_its_place_and_stores_nothing_of_the_cycle(
    results: VariationResultsDb, days: list[Floats]
) -> None:
    check = check_with(NativeEngine(OTHER_BRACKETS), days, 1)
    plan = LoopPlan(cycles=5, slots=1, seed=5)
    loop = Mp1Loop(VariationTester(NativeEngine(), days), results, SPACES, plan, "{}", check=check)
    with pytest.raises(DisagreementError) as stopped:
        await loop.run()
    said = str(stopped.value)
    ((day, _),) = check.chosen(1)
    assert f"day {day}" in said
    assert "PP: native" in said
    assert "S0" in said
    assert await results.last_cycle() == 0


def test_a_tie_is_counted_and_told_and_stops_nothing(days: list[Floats]) -> None:
    close = np.round(np.linspace(10, 10, 65), 2)
    flat = np.stack([close, close, close, close, np.full(65, 1000.0)], axis=-1)
    week = [day.copy() for day in days]
    week[0][5] = flat  # both EMAs equal: 10 > 10 is as near as can be
    tested = ParameterSet("ema", (3, 8, 1))
    right = NativeEngine().evaluate(week[0][:250], [tested])
    assert is_tie(comparisons(week[0][5, 1:], tested))
    flipped = right.buys.copy()
    flipped[5, 0] ^= True
    check = check_with(NativeEngine(), week, 1)
    check.compare(1, 1, [tested], Evaluation(flipped, right.pp))
    assert len(check.ties) == 1
    assert "S0005, day 1, ema f 3  s 8  k 1" in check.ties[0]
