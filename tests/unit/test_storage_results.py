"""variation_results.db: whole cycles, each parameter set once, and every number as it was measured."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_samples import ADX, KELT, SPACES, cycle, result

from engine.errors import StorageError
from engine.model import Parameter
from engine.spaces import ParameterSpace
from engine.storage.result_columns import from_row, to_row
from engine.storage.variation_results_db import VariationResultsDb


@pytest.fixture
async def results(tmp_path: Path):
    opened = await VariationResultsDb.open(tmp_path / "variation_results.db", spaces=SPACES)
    yield opened
    await opened.close()


async def test_cycles_come_back_in_the_order_they_were_tested(results: VariationResultsDb) -> None:
    assert await results.last_cycle() == 0
    for number in (1, 2, 3):
        await results.append_cycle(number, list(reversed(cycle(number))))
    assert await results.last_cycle() == 3
    for space in SPACES:
        assert await results.results(space) == [r for n in (1, 2, 3) for r in cycle(n, [space])]


async def test_parameters_are_integer_columns_in_steps_and_means_can_be_read(results: VariationResultsDb) -> None:
    measured = result(KELT, 1, 1, (20, 10, 7))
    await results.append_cycle(1, [measured])
    row = await results.row("SELECT n, m, k, typeof(k), buys_day1, pp_mean_day1, buys FROM results_kelt")
    assert row == (20, 10, 7, "integer", measured.buys[0], measured.pp_means()[0], sum(measured.buys))
    total = await results.row("SELECT excess_sum, excess_mean FROM results_kelt")
    assert total is not None
    assert total[0] == sum(measured.excess_sum)
    assert total[1] == pytest.approx(sum(measured.excess_sum) / sum(measured.buys) / 1e6)


@settings(max_examples=200)
@given(seed=st.integers(0, 2**31), values=st.tuples(st.integers(5, 28), st.integers(5, 30), st.integers(1, 8)))
def test_a_row_holds_all_of_a_result(seed: int, values: tuple[int, int, int]) -> None:
    measured = result(ADX, 3, 5, values, seed)
    assert from_row(ADX, to_row(measured)) == measured


async def test_a_parameter_set_is_stored_once_and_a_cycle_that_repeats_one_not_at_all(
    results: VariationResultsDb,
) -> None:
    await results.append_cycle(1, cycle(1))
    repeated = replace(cycle(1, [KELT])[0], cycle=2)
    with pytest.raises(StorageError, match="cycle 2 was not stored"):
        await results.append_cycle(2, [*cycle(2), repeated])
    assert await results.last_cycle() == 1
    assert len(await results.results(ADX)) == 8


async def test_a_cycle_comes_once_but_an_exhaustive_run_in_batches(results: VariationResultsDb) -> None:
    await results.append_cycle(1, cycle(1))
    with pytest.raises(StorageError, match="cycle 1"):
        await results.append_cycle(1, [replace(r, cycle=1) for r in cycle(2)])
    for number in (3, 4):
        await results.append_cycle(0, [replace(r, cycle=0) for r in cycle(number)])
    assert await results.last_cycle() == 1
    assert len(await results.results(ADX)) == 24
    assert await results.row("SELECT variations FROM cycles WHERE cycle = 0") == (32,)


async def test_a_score_that_is_not_a_number_is_not_stored(results: VariationResultsDb) -> None:
    with pytest.raises(StorageError, match="not a number"):
        await results.append_cycle(1, [replace(result(ADX, 1, 1, (5, 5, 1)), score=float("nan"))])
    assert await results.last_cycle() == 0


async def test_an_eleventh_algorithm_appears_with_its_own_table(
    tmp_path: Path, results: VariationResultsDb
) -> None:
    await results.append_cycle(1, cycle(1))
    eleventh = ParameterSpace("vwap", (Parameter("n", 1, 9), Parameter("dev", 1, 5, Decimal("0.5"))))
    wider = await VariationResultsDb.open(results.path, spaces=[*SPACES, eleventh])
    assert await wider.results(eleventh) == []
    assert len(await wider.results(ADX)) == 8
    await wider.append_cycle(2, [result(eleventh, 2, 1, (3, 2))])
    assert (await wider.results(eleventh))[0].values == (3, 2)
    await wider.close()


async def test_a_table_of_other_parameters_is_not_misread(tmp_path: Path, results: VariationResultsDb) -> None:
    changed = ParameterSpace("adx", (Parameter("n", 5, 28), Parameter("threshold", 5, 30), Parameter("k", 1, 8)))
    with pytest.raises(StorageError, match="has the parameters n, thr, k, adx now has n, threshold, k"):
        await VariationResultsDb.open(results.path, spaces=[changed])


@pytest.mark.parametrize("name", ["rank", "picks", "buys_day1", "drop table", "x;y"])
def test_a_parameter_that_cannot_be_a_column_is_refused(name: str) -> None:
    from engine.storage.result_columns import create_statement

    with pytest.raises(ValueError, match="cannot be a column"):
        create_statement("results_odd", ParameterSpace("odd", (Parameter(name, 1, 2),)))


async def test_the_run_key_survives_and_a_wipe_empties_everything(results: VariationResultsDb) -> None:
    assert await results.run_key() is None
    await results.set_run_key("week-1")
    await results.append_cycle(1, cycle(1))
    assert await results.run_key() == "week-1"
    assert await results.row_counts() == {"results_adx": 8, "results_kelt": 8}
    await results.wipe()
    assert await results.run_key() is None
    assert await results.last_cycle() == 0
    assert await results.row_counts() == {"results_adx": 0, "results_kelt": 0}
    await results.append_cycle(1, cycle(1))


async def test_hashes_do_not_depend_on_the_way_there(tmp_path: Path, results: VariationResultsDb) -> None:
    for number in (1, 2):
        await results.append_cycle(number, cycle(number))
    other = await VariationResultsDb.open(tmp_path / "other.db", spaces=SPACES)
    await other.set_run_key("anything")
    await other.append_cycle(1, list(reversed(cycle(1))))
    assert await other.table_hashes() != await results.table_hashes()
    await other.append_cycle(2, cycle(2))
    assert await other.table_hashes() == await results.table_hashes()
    await other.close()
