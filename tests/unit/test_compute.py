"""The native engine as others call it: what goes in, what comes out, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_bars import synthetic_week, synthetic_windows

from engine.compute import ALGORITHMS, NativeEngine, ParameterSet, open_engine
from engine.errors import DataError, UsageError
from engine.model import ExitModel, Floats

ONE_SET = [ParameterSet("rsi", (5, 40, 2))]


def confirmation(opened: float, high: float, close: float) -> Floats:
    """A training window whose confirmation day is given."""
    windows = synthetic_windows(1, tickers=1, rows=65)
    windows[0, 0] = [opened, high, min(opened, close), close, 1000.0]
    return windows


def pp_of(windows: Floats, exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE) -> int:
    answer = open_engine("native", exit_model=exit_model).evaluate(windows, ONE_SET)
    assert answer.pp is not None
    return int(answer.pp[0])


def test_pp_is_the_target_when_the_high_reaches_it() -> None:
    assert pp_of(confirmation(20.0, 20.4, 19.0)) == 2_000_000, "10-25 dollars: target 2 %"
    assert pp_of(confirmation(80.0, 81.0, 70.0)) == 1_000_000, "from 75 dollars: target 1 %"


def test_pp_is_the_close_when_the_target_is_missed() -> None:
    assert pp_of(confirmation(20.0, 20.39, 19.0)) == -5_000_000
    assert pp_of(confirmation(3.0, 3.0, 2.0)) == -33_333_333, "rounded to micro-percent"


def test_open_to_close_ignores_the_target() -> None:
    assert pp_of(confirmation(20.0, 25.0, 20.1), ExitModel.OPEN_TO_CLOSE) == 500_000


def test_the_confirmation_day_never_changes_a_buy() -> None:
    windows = synthetic_windows(3, tickers=300, rows=65)
    sets = [ParameterSet(a, next(s.enumerate())) for a, s in ALGORITHMS.items()]
    engine = open_engine("native")
    before = engine.evaluate(windows, sets)
    windows[:, 0, :4] *= 1.37
    after = engine.evaluate(windows, sets)
    assert np.array_equal(before.buys, after.buys)
    assert before.buys.any()


def test_execution_is_training_with_the_rows_shifted_by_one() -> None:
    windows = synthetic_windows(4, tickers=300, rows=65)
    sets = [ParameterSet(a, list(s.enumerate())[s.size // 2]) for a, s in ALGORITHMS.items()]
    engine = open_engine("native")
    training = engine.evaluate(windows, sets, mode="training")
    execution = engine.evaluate(windows[:, 1:], sets, mode="execution")
    assert np.array_equal(training.buys, execution.buys)
    assert execution.pp is None
    assert training.pp is not None
    assert training.buys.shape == (300, 10)
    assert training.buys.dtype == np.bool_
    assert training.pp.dtype == np.int64


def test_no_windows_or_no_sets_is_an_empty_answer() -> None:
    engine = open_engine("native")
    assert engine.evaluate(np.empty((0, 65, 5)), ONE_SET).buys.shape == (0, 1)
    answer = engine.evaluate(synthetic_windows(5, tickers=3, rows=65), [])
    assert answer.buys.shape == (3, 0)
    assert answer.pp is not None
    assert len(answer.pp) == 3


def test_the_callers_windows_may_be_read_only_or_a_strided_view() -> None:
    windows = synthetic_windows(6, tickers=20, rows=65)
    engine = open_engine("native")
    expected = engine.evaluate(windows, ONE_SET).buys
    windows.flags.writeable = False
    assert np.array_equal(engine.evaluate(windows, ONE_SET).buys, expected)
    strided = np.repeat(windows, 2, axis=0)[::2]
    assert np.array_equal(engine.evaluate(strided, ONE_SET).buys, expected)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((7, 3, 3), np.nan, "close of window 7, row 4 (newest first) is nan"),
        ((0, 0, 0), np.inf, "open of window 0, row 1 (newest first) is inf"),
        ((9, 64, 2), 0.0, "low of window 9, row 65 (newest first) is 0"),
        ((4, 10, 4), -1.0, "volume of window 4, row 11 (newest first) is -1"),
    ],
)
def test_an_unusable_bar_is_refused_with_its_place(place: tuple[int, int, int], value: float, said: str) -> None:
    windows = synthetic_windows(8, tickers=10, rows=65)
    windows[place] = value
    with pytest.raises(DataError) as refused:
        open_engine("native").evaluate(windows, ONE_SET)
    assert said in str(refused.value)


def test_wrong_shapes_types_and_modes_are_refused() -> None:
    engine = open_engine("native")
    windows = synthetic_windows(9, tickers=2, rows=65)
    with pytest.raises(UsageError, match=r"training needs \[tickers, 65, 5\]"):
        engine.evaluate(windows[:, :64], ONE_SET)
    with pytest.raises(UsageError, match=r"execution needs \[tickers, 64, 5\]"):
        engine.evaluate(windows, ONE_SET, mode="execution")
    with pytest.raises(UsageError, match="float32"):
        engine.evaluate(windows.astype(np.float32), ONE_SET)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown mode 'live'"):
        engine.evaluate(windows, ONE_SET, mode="live")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (ParameterSet("rsi", (1, 40, 2)), "n 2..20"),
        (ParameterSet("rsi", (5, 40)), "outside its space"),
        (ParameterSet("ema", (20, 20, 1)), "outside its space"),
        (ParameterSet("sma", (1,)), "unknown algorithm 'sma': use one of adx, ema"),
    ],
)
def test_parameter_sets_outside_the_spaces_are_refused(wanted: ParameterSet, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_engine("native").evaluate(synthetic_windows(10, tickers=1, rows=65), [wanted])
    assert said in str(refused.value)


def test_an_unknown_backend_names_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="'native' and 'workbook'"):
        open_engine("excel")


def test_a_week_needs_five_days_of_a_thousand_tickers() -> None:
    days = synthetic_week(11)
    engine = NativeEngine()
    with pytest.raises(UsageError, match="4 were given"):
        engine.prepare(days[:4])
    with pytest.raises(UsageError, match="day3 has 999 tickers"):
        engine.prepare([*days[:2], days[2][:999], *days[3:]])


def test_one_signature_of_each_kernel_serves_every_call() -> None:
    """A second specialisation would compile for seconds in the middle of an operator's day."""
    code = """
import json
from engine.compute.native import NativeEngine
from engine.compute.algorithms import RULES, ALGORITHMS
from engine.compute.blocks import fill_block, tally
from engine.model import ParameterSet
from synthetic_bars import synthetic_week
engine = NativeEngine()
steps = []
engine.warm_up(lambda done, total, name: steps.append((done, total, name)))
sets = [ParameterSet(a, next(s.enumerate())) for a, s in ALGORITHMS.items()]
days = synthetic_week(1)
test = engine.prepare(days).begin(sets)
test.run_batch(0, 0)
engine.evaluate(days[0], sets)
engine.evaluate(days[0][:, 1:], sets, mode="execution")
kernels = [rule.buys for rule in RULES.values()] + [fill_block, tally]
print(json.dumps([steps, [len(k.signatures) for k in kernels]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps, signatures = json.loads(done.stdout.splitlines()[-1])
    assert [step[0] for step in steps] == list(range(1, len(steps) + 1))
    assert steps[-1][0] == steps[-1][1] == 12
    assert signatures == [1] * 12


def test_the_warm_up_command_tells_each_kernel_as_a_json_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.compute.warm_kernels"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["done"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["total"] for line in lines} == {len(lines)}
    assert {"adx", "kelt", "tally", "overlap"} <= {line["name"] for line in lines}
