"""The third computation: it says what the kernels say, and what is a tie and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brackets import Bracket, BracketTable
from engine.compute import ALGORITHMS, Evaluation, NativeEngine, ParameterSet
from engine.compute.agreement import Agreement, compare_engines, differences
from engine.compute.check_material import edge_sets, seeded_windows
from engine.compute.comparisons import TIGHT, Comparison, buys, comparisons, is_tie
from engine.errors import UsageError
from engine.model import LOOKBACK, ExitModel

SETS = edge_sets(seed=3, each=16)


def test_the_plain_computation_decides_as_the_kernels_do_on_awkward_windows_and_edge_parameters() -> None:
    windows = seeded_windows(seed=21, tickers=60)[:, 1:].copy()
    kernels = NativeEngine().evaluate(windows, SETS, mode="execution").buys
    plain = np.array([[buys(comparisons(window, tested)) for tested in SETS] for window in windows])
    unlike = np.argwhere(kernels != plain).tolist()
    assert [pair for pair in unlike if not is_tie(comparisons(windows[pair[0]], SETS[pair[1]]))] == []
    assert len(unlike) <= 3, "ties are rare"
    assert kernels.any(axis=0).sum() > len(SETS) // 3, "the sample must buy now and then"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_edge_sets_hold_the_smallest_and_the_largest_of_every_space(algorithm: str) -> None:
    space = ALGORITHMS[algorithm]
    own = [s.values for s in edge_sets(seed=1) if s.algorithm == algorithm]
    assert len(own) == len(set(own)) == 8
    lows, highs = tuple(p.low for p in space.parameters), tuple(p.high for p in space.parameters)
    assert {lows, highs} <= set(own)
    assert all(space.contains(values) for values in own)


def test_a_window_or_a_set_that_is_none_is_refused() -> None:
    window = seeded_windows(seed=1, tickers=1)[0]
    with pytest.raises(UsageError, match=r"\[64, 5\]"):
        comparisons(window, SETS[0])
    with pytest.raises(UsageError, match="no parameter set"):
        comparisons(window[1:], ParameterSet("adx", (1, 1, 1)))


@given(left=st.floats(-1e6, 1e6), distance=st.floats(0, 1e-6), sign=st.sampled_from([">", ">=", "<", "<="]))
def test_a_comparison_is_tight_exactly_within_a_billionth_of_its_threshold(
    left: float, distance: float, sign: str
) -> None:
    right = left + distance
    found = Comparison("x", left, sign, right)
    assert found.tight == (abs(left - right) <= TIGHT * max(1.0, abs(right)))


def test_a_tie_needs_a_tight_comparison_and_no_other_that_clearly_fails() -> None:
    clear, failing = Comparison("a", 2.0, ">", 1.0), Comparison("b", 1.0, ">", 2.0)
    tight = Comparison("c", 1.0 + 1e-12, "<", 1.0)
    assert is_tie([tight, clear])
    assert not is_tie([clear, clear])
    assert not is_tie([tight, failing])


def test_a_flipped_flag_is_a_disagreement_told_with_both_values_and_how_far_the_decision_is() -> None:
    windows = seeded_windows(seed=5, tickers=40)
    right = NativeEngine().evaluate(windows, SETS)
    flipped = right.buys.copy()
    flipped[17, 4] ^= True
    (found,) = differences(windows, SETS, right, Evaluation(flipped, right.pp))
    assert (found.ticker, found.tested, found.tie) == (17, SETS[4], False)
    said = found.text(("native", "workbook"))
    assert "adx" in said
    assert "native" in said
    assert "ADX, threshold" in said


def test_another_bracket_table_is_found_in_the_pp_and_nowhere_else() -> None:
    windows = seeded_windows(seed=6, tickers=300)
    account = Agreement(("native", "other"))
    other = NativeEngine(BracketTable([Bracket(0.0, 1.0, 0.5, 0.4, 5.0)]), ExitModel.TARGET_OR_CLOSE)
    compare_engines(NativeEngine(), other, windows, SETS, "training", account)
    assert account.pp_disagreements > 0
    assert account.largest_pp > 0
    assert not account.disagreements
    assert not account.agree
    assert account.pp_cells == 300
    first, second = (engine.evaluate(windows, SETS).pp for engine in (NativeEngine(), other))
    assert [d.ticker for d in account.found] == np.flatnonzero(first != second).tolist()
    assert sum(account.cells.values()) == 300 * len(SETS)


def test_equal_engines_agree_everywhere() -> None:
    windows = seeded_windows(seed=6, tickers=300)
    account = Agreement(("native", "native"))
    for mode, part in (("training", windows), ("execution", windows[:, :LOOKBACK].copy())):
        compare_engines(NativeEngine(), NativeEngine(), part, SETS, mode, account)  # type: ignore[arg-type]
    assert account.agree
    assert account.found == []


def test_a_comparison_says_whether_it_holds() -> None:
    found = Comparison("RSI, level at t", 41.5, ">=", 40.0)
    assert found.holds
    assert found.text == "RSI, level at t: 41.5 >= 40 holds"
    assert not replace(found, left=39.0).holds
