"""mp1_loop: cycles that are all or nothing, resumed as if nothing had happened, commanded while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_week import week

from engine.brackets import DEFAULT_BRACKETS, Bracket, BracketTable
from engine.compute import ALGORITHMS, open_engine
from engine.errors import RefusedError
from engine.model import ExitModel, Floats, Parameter, ParameterSet
from engine.spaces import ParameterSpace
from engine.storage.variation_results_db import VariationResultsDb
from engine.training import mp1_loop
from engine.training.mp1_loop import LoopPlan, Mp1Loop, run_key
from engine.training.mp1_p1_variation_tester import VariationTester, with_overlaps
from engine.training.results_book import ResultsBook, sampled
from engine.views import TrainingView

SPACES = list(ALGORITHMS.values())
TINY = [
    ParameterSpace("rsi", (Parameter("n", 9, 10), Parameter("lo", 40, 44), Parameter("h", 2, 2))),
    ParameterSpace("ema", (Parameter("f", 3, 12), Parameter("s", 20, 24), Parameter("k", 1, 2))),
]
PLAN = LoopPlan(cycles=3, slots=2, seed=5)


@pytest.fixture(scope="module")
def tester() -> VariationTester:
    return VariationTester(open_engine("native"), week(3))


@pytest.fixture
async def results(tmp_path: Path) -> AsyncIterator[VariationResultsDb]:
    database = await VariationResultsDb.open(tmp_path / "results.db", spaces=SPACES)
    yield database
    await database.close()


async def trained(
    tester: VariationTester, path: Path, plan: LoopPlan, spaces: list[ParameterSpace] = SPACES
) -> dict[str, str]:
    database = await VariationResultsDb.open(path, spaces=spaces)
    try:
        await Mp1Loop(tester, database, spaces, plan, "{}").run()
        return await database.table_hashes()
    finally:
        await database.close()


async def test_every_cycle_stores_the_asked_number_of_new_sets_of_every_algorithm(
    tester: VariationTester, results: VariationResultsDb
) -> None:
    views: list[TrainingView] = []
    report = await Mp1Loop(tester, results, SPACES, PLAN, "{}", views.append).run()
    assert (report.cycle, report.stopped, report.distinct) == (3, False, 60)
    for space in SPACES:
        rows = await results.results(space)
        assert [(r.cycle, r.slot) for r in rows] == [(c, s) for c in (1, 2, 3) for s in (1, 2)]
        assert len({r.values for r in rows}) == 6
    last = views[-1]
    assert (last.state, last.cycle, last.distinct) == ("done", 3, 60)
    assert last.eta_s == 0.0
    assert last.evaluations_per_s is not None
    assert last.kernel_ms is not None
    assert last.batches == ((True,) * 4,) * 5
    row = last.algorithms[0]
    stored = await results.results(SPACES[0])
    best = max(stored, key=lambda r: r.score)
    assert (row.name, row.tested, row.space) == ("adx", 6, 4992)
    assert row.best == best.score
    assert row.top100 == pytest.approx(np.mean([r.score for r in stored]))
    assert row.best_parameters == SPACES[0].text(best.values)
    assert row.worst_day == min(best.excess_means())
    assert len(row.trend) == 3
    assert list(row.trend) == sorted(row.trend)
    assert row.median == np.median([r.score for r in stored])
    assert list(row.median_trend) == [np.median([r.score for r in stored if r.cycle <= c]) for c in (1, 2, 3)]


async def test_a_resumed_run_is_identical_to_an_uninterrupted_one(tester: VariationTester, tmp_path: Path) -> None:
    plan = replace(PLAN, cycles=6)
    whole = await trained(tester, tmp_path / "whole.db", plan)
    for cycles in (1, 4, 6):
        pieces = await trained(tester, tmp_path / "pieces.db", replace(plan, cycles=cycles))
    assert pieces == whole
    assert await trained(tester, tmp_path / "other.db", replace(plan, seed=6)) != whole


async def test_the_number_of_cycles_may_grow_and_a_finished_run_adds_nothing(
    tester: VariationTester, results: VariationResultsDb
) -> None:
    first = await Mp1Loop(tester, results, SPACES, PLAN, "{}").run()
    again = await Mp1Loop(tester, results, SPACES, PLAN, "{}").run()
    assert (first.resumed_at, again.resumed_at, again.cycle, again.distinct) == (0, 3, 3, 60)
    more = await Mp1Loop(tester, results, SPACES, replace(PLAN, cycles=4), "{}").run()
    assert (more.resumed_at, more.cycle) == (3, 4)


async def test_results_of_other_data_or_settings_are_refused_by_name(
    tester: VariationTester, results: VariationResultsDb
) -> None:
    symbols, days = ["A"], week(1, tickers=3)
    plan = replace(PLAN, cycles=1)

    def key(
        plan: LoopPlan = plan, days: list[Floats] = days, exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE
    ) -> str:
        return run_key(symbols, days, SPACES, plan, DEFAULT_BRACKETS, exit_model)

    await Mp1Loop(tester, results, SPACES, plan, key()).run()
    before = await results.table_hashes()
    refusals = {
        "seed \\(5 before, 9 now\\)": key(replace(plan, seed=9)),
        "slots": key(replace(plan, slots=3)),
        "data": key(days=week(2, tickers=3)),
        "exit model": key(exit_model=ExitModel.OPEN_TO_CLOSE),
        "exhaustive": key(replace(plan, exhaustive=True)),
        "brackets": run_key(
            symbols, days, SPACES, plan, BracketTable([Bracket(0, 9, 2, 1, 6)]), ExitModel.TARGET_OR_CLOSE
        ),
        "spaces": run_key(symbols, days, TINY, plan, DEFAULT_BRACKETS, ExitModel.TARGET_OR_CLOSE),
    }
    for words, other in refusals.items():
        with pytest.raises(RefusedError, match=words):
            await Mp1Loop(tester, results, SPACES, plan, other).run()
    assert await results.table_hashes() == before
    assert key(replace(plan, cycles=500, backend="workbook")) == key(), "neither changes a result"


async def test_stop_ends_after_the_present_cycle_which_is_stored(
    tester: VariationTester, results: VariationResultsDb
) -> None:
    def watch(view: TrainingView) -> None:
        if view.cycle >= 1:
            loop.stop()

    loop = Mp1Loop(tester, results, SPACES, replace(PLAN, cycles=10_000), "{}", watch)
    report = await asyncio.wait_for(loop.run(), 60)
    assert report.stopped
    assert 1 <= report.cycle < 10_000
    assert await results.last_cycle() == report.cycle
    assert "stopped by command" in report.summary()


async def test_pause_holds_the_run_and_resume_goes_on_to_the_same_result(
    tester: VariationTester, results: VariationResultsDb, tmp_path: Path
) -> None:
    plan = replace(PLAN, cycles=12)
    states: list[str] = []
    paused = asyncio.Event()

    def watch(view: TrainingView) -> None:
        states.append(view.state)
        if view.state == "running" and not paused.is_set():
            paused.set()
            asyncio.get_running_loop().call_soon(loop.pause)

    loop = Mp1Loop(tester, results, SPACES, plan, "{}", watch)
    running = asyncio.create_task(loop.run())
    await paused.wait()
    held = -1
    while held != await results.last_cycle():  # the cycle under way may have been in its last batch
        held = await results.last_cycle()
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.3)
    assert await results.last_cycle() == held < 12
    assert loop.view().state == "paused"
    loop.resume()
    report = await running
    assert report.cycle == 12
    assert states[:2] == ["running", "paused"]
    assert await results.table_hashes() == await trained(tester, tmp_path / "whole.db", plan)


async def test_a_paused_run_can_be_stopped(tester: VariationTester, results: VariationResultsDb) -> None:
    loop = Mp1Loop(tester, results, SPACES, PLAN, "{}")
    loop.pause()
    running = asyncio.create_task(loop.run())
    await asyncio.sleep(0.2)
    loop.stop()
    report = await asyncio.wait_for(running, 60)
    assert report.stopped
    assert report.cycle <= 1


async def test_a_tiny_space_is_exhausted_without_a_repeat_and_the_rest_goes_on(
    tester: VariationTester, tmp_path: Path
) -> None:
    database = await VariationResultsDb.open(tmp_path / "tiny.db", spaces=TINY)
    views: list[TrainingView] = []
    try:
        plan = LoopPlan(cycles=6, slots=3, seed=1)
        report = await Mp1Loop(tester, database, TINY, plan, "{}", views.append).run()
        rsi = await database.results(TINY[0])
        assert len({r.values for r in rsi}) == len(rsi) == TINY[0].size == 10
        assert len(await database.results(TINY[1])) == 18
        assert report.exhausted == ("rsi",)
        assert "every set tested: rsi" in views[-1].detail
        whole = await Mp1Loop(tester, database, TINY, replace(plan, cycles=1000), "{}").run()
        assert whole.exhausted == ("rsi", "ema")
        assert whole.distinct == 110
        assert whole.cycle < 1000
        assert not whole.stopped
    finally:
        await database.close()


async def test_an_exhaustive_run_tests_every_set_once_and_resumes(
    tester: VariationTester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mp1_loop, "EXHAUSTIVE_SETS", 25)
    plan = LoopPlan(exhaustive=True)
    path = tmp_path / "exhaustive.db"
    database = await VariationResultsDb.open(path, spaces=TINY)
    loop = Mp1Loop(tester, database, TINY, plan, "{}", lambda view: loop.stop() if view.cycle >= 2 else None)
    part = await loop.run()
    await database.close()
    assert (part.cycle, part.cycles, part.stopped) in [(2, 5, True), (3, 5, True), (4, 5, True), (5, 5, False)]
    pieces = await trained(tester, path, plan, TINY)
    assert pieces == await trained(tester, tmp_path / "whole.db", plan, TINY)
    database = await VariationResultsDb.open(path, spaces=TINY)
    for space in TINY:
        assert sorted(r.values for r in await database.results(space)) == list(space.enumerate())
    await database.close()


def test_overlaps_are_those_with_the_better_ones_of_earlier_cycles_and_the_same_cycle(
    tester: VariationTester,
) -> None:
    """The incremental book against the plain definition."""
    space = ALGORITHMS["rsi"]
    points = list(space.enumerate())[::90]
    sets = [ParameterSet("rsi", values) for values in points]
    book, earlier = ResultsBook(space), []
    for cycle, first in enumerate(range(0, len(sets), 6), start=1):
        measured = tester.test(sets[first : first + 6], cycle=cycle)
        expected = with_overlaps(measured, {"rsi": earlier})
        assert book.add(measured) == expected
        earlier += expected
    assert any(0 < r.overlap_mean < r.overlap_max < 1 for r in earlier)
    best = max(earlier, key=lambda r: r.score)
    assert (best.overlap_max, best.overlap_mean) == (0.0, 0.0)
    again = ResultsBook(space)
    again.restore(earlier)
    assert (again.row(), again.history) == (book.row(), book.history)


def test_a_trend_keeps_its_ends_when_it_is_sampled() -> None:
    values = [float(i) for i in range(1000)]
    points = sampled(values, 40)
    assert (len(points), points[0], points[-1]) == (40, 0.0, 999.0)
    assert sampled(values[:7], 40) == tuple(values[:7])
