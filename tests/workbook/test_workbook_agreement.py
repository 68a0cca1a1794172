"""LibreOffice and the native kernels compute the same thing, cell by cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.brackets import Bracket, BracketTable
from engine.compute import ALGORITHMS, NativeEngine, ParameterSet
from engine.compute.agreement import Agreement, compare_engines
from engine.compute.check_material import edge_sets, seeded_windows
from engine.compute.protocol import EvaluationMode
from engine.compute.workbook.engine import WorkbookEngine
from engine.compute.workbook.libreoffice_link import Installation
from engine.daily.mp2_p3_executor import fires
from engine.errors import DataError, UsageError
from engine.model import LOOKBACK, TRAINING_ROWS, ExitModel, Floats
from engine.settings import WorkbookSettings
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.cross_check import CrossCheck
from engine.training.mp1_loop import LoopPlan, Mp1Loop
from engine.training.mp1_p1_variation_tester import VariationTester
from engine.views import TrainingView

REAL_BARS = Path(__file__).parents[2].parent / "shared" / "market" / "daily_2016-04_2017-03.parquet"
NATIVE = NativeEngine()


def compared(engine: WorkbookEngine, windows: Floats, sets: list[ParameterSet], mode: EvaluationMode) -> Agreement:
    account = Agreement(("native", "workbook"))
    compare_engines(NATIVE, engine, windows, sets, mode, account)
    for difference in account.found:  # a tie may be, unseen it may not
        print(difference.text(account.names))
    return account


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["training", "execution"])
def test_awkward_tickers_and_every_edge_of_every_space(engine: WorkbookEngine, mode: EvaluationMode) -> None:
    windows = seeded_windows(seed=3, tickers=300)
    part = windows if mode == "training" else windows[:, 1:].copy()
    account = compared(engine, part, edge_sets(seed=1), mode)
    assert account.agree
    assert sum(account.ties.values()) <= 3, "only the straight lines among the awkward tickers can tie"
    assert dict(account.cells) == dict.fromkeys(ALGORITHMS, 300 * 8)
    assert account.pp_cells == (300 if mode == "training" else 0)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_BARS.exists(), reason="no real daily bars beside the project (shared/market)")
@pytest.mark.parametrize("mode", ["training", "execution"])
def test_a_thousand_tickers_of_the_real_market(engine: WorkbookEngine, mode: EvaluationMode) -> None:
    windows = real_windows(tickers=1000)
    part = windows if mode == "training" else windows[:, 1:].copy()
    account = compared(engine, part, edge_sets(seed=2), mode)
    assert account.agree
    assert dict(account.cells) == dict.fromkeys(ALGORITHMS, 8000)
    assert account.pp_cells == (1000 if mode == "training" else 0)
    assert sum(account.ties.values()) <= 1


def real_windows(tickers: int) -> Floats:
    """Random complete windows of the real market, [tickers, 65, 5]."""
    import pyarrow.parquet as parquet

    frame = parquet.read_table(REAL_BARS).to_pandas()
    frame = frame[frame["close"].between(2, 200)]
    columns = ["open", "high", "low", "close", "volume"]
    pivot = [frame.pivot(index="date", columns="symbol", values=c).to_numpy(np.float64) for c in columns]
    bars = np.round(np.stack(pivot, axis=-1), 4)  # [sessions, symbols, 5]
    window = bars[-TRAINING_ROWS - 20 : -20]
    complete = np.flatnonzero(np.isfinite(window).all(axis=(0, 2)))
    chosen = np.random.default_rng(8).choice(complete, size=tickers, replace=False)
    return np.ascontiguousarray(window[::-1, chosen].transpose(1, 0, 2))


def test_more_sets_of_one_algorithm_than_a_block_holds_take_further_passes(engine: WorkbookEngine) -> None:
    windows = seeded_windows(seed=4, tickers=24)
    sets = [ParameterSet("rsi", (n, 40, 1)) for n in range(2, 20)] + [ParameterSet("kelt", (10, 10, 10))]
    order = np.random.default_rng(1).permutation(len(sets))
    mixed = [sets[i] for i in order]
    answer, native = engine.evaluate(windows, mixed), NATIVE.evaluate(windows, mixed)
    assert np.array_equal(answer.buys, native.buys)
    assert np.array_equal(answer.pp, native.pp)


def test_modes_may_follow_each_other_in_any_order(engine: WorkbookEngine) -> None:
    windows, sets = seeded_windows(seed=5, tickers=10), edge_sets(seed=3)
    execution = windows[:, :LOOKBACK].copy()
    assert not np.array_equal(
        NATIVE.evaluate(windows, sets).buys, NATIVE.evaluate(execution, sets, mode="execution").buys
    ), "the shift must matter here"
    for _ in range(2):
        assert compared(engine, windows, sets, "training").agree
        assert compared(engine, execution, sets, "execution").agree
        assert engine.evaluate(execution, sets, mode="execution").pp is None


def test_brackets_and_exit_model_of_the_settings_reach_the_cells(office: Installation) -> None:
    windows, sets = seeded_windows(seed=6, tickers=30), [ParameterSet("ema", (3, 8, 1))]
    table = BracketTable([Bracket(0.0, 0.7, 0.5, 0.4, 5.0), Bracket(40.0, 1.7, 0.6, 0.5, 3.0)])
    for model in ExitModel:
        with WorkbookEngine(table, model, WorkbookSettings(instances=1)) as own:
            pp = own.evaluate(windows, sets).pp
        assert np.array_equal(pp, NativeEngine(table, model).evaluate(windows, sets).pp)


def test_what_the_native_backend_refuses_the_workbook_refuses_in_the_same_words(engine: WorkbookEngine) -> None:
    windows = seeded_windows(seed=7, tickers=3)
    wrong = windows.copy()
    wrong[1, 4, 2] = np.nan
    for sets, given, kind in (
        ([ParameterSet("adx", (1, 1, 1))], windows, UsageError),
        ([ParameterSet("ema", (3, 8, 1))], wrong, DataError),
        ([ParameterSet("ema", (3, 8, 1))], windows[:, :10].copy(), UsageError),
    ):
        said = []
        for backend in (NATIVE, engine):
            with pytest.raises(kind) as refused:
                backend.evaluate(given, sets)
            said.append(str(refused.value))
        assert said[0] == said[1]


def test_no_windows_or_no_sets_are_answered_with_empty_arrays(engine: WorkbookEngine) -> None:
    nothing = engine.evaluate(np.empty((0, TRAINING_ROWS, 5)), edge_sets(seed=1))
    assert nothing.buys.shape == (0, 80)
    windows = seeded_windows(seed=8, tickers=4)
    unasked = engine.evaluate(windows, [])
    assert unasked.buys.shape == (4, 0)
    assert np.array_equal(unasked.pp, NATIVE.evaluate(windows, []).pp)


@pytest.mark.slow
async def test_a_native_cycle_checked_by_the_workbook_agrees(engine: WorkbookEngine, tmp_path: Path) -> None:
    from synthetic_week import week  # beside the unit tests, see conftest

    days, spaces = week(seed=11), list(ALGORITHMS.values())
    symbols = [f"S{i:04d}" for i in range(1000)]
    check = CrossCheck(engine, "native", symbols, days, count=1, seed=1)
    results = await VariationResultsDb.open(tmp_path / "results.db", spaces=spaces)
    views: list[TrainingView] = []
    try:
        loop = Mp1Loop(
            VariationTester(NATIVE, days),
            results,
            spaces,
            LoopPlan(cycles=1, slots=8, seed=2),
            "{}",
            views.append,
            office=engine.status,
            check=check,
        )
        report = await loop.run()
    finally:
        await results.close()
    assert (report.verified, report.cycle) == (1, 1)
    assert check.cells == 250 * 80
    assert views[-1].office.startswith("LibreOffice")
    assert views[-1].instances == 2


def test_the_executor_finds_the_same_candidates_with_the_workbook(engine: WorkbookEngine) -> None:
    from synthetic_week import panel

    bars, sets = panel(seed=4, tickers=40, sessions=LOOKBACK + 3), edge_sets(seed=5)
    groups = [[s] for s in sets[::9]] + [[sets[8], sets[40]]]
    ends = [LOOKBACK, LOOKBACK + 2]
    ours, theirs = (fires(bars, ends, groups, backend) for backend in (engine, NATIVE))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert any(found.any() for found in ours)
