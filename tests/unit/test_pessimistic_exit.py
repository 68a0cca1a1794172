"""TSH's worst path through a daily bar, held against the machine that trades."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.brackets import DEFAULT_BRACKETS, Bracket, BracketTable
from engine.daily.pessimistic_exit import tsh_pessimistic
from engine.execution.tsh_trade_management import TshRules, opened, step
from engine.model import Tick

OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
GRID_PCT = 0.05  # of the open: how finely a path is walked
NEAR_PCT = 0.12  # two steps of the grid and the rounding of levels
# Here a trailing stop lies below the entry, so a quiet bar may never touch it.
TIGHT = BracketTable([Bracket(0.0, 3.0, 1.0, 1.0, 6.0)])
TIGHTEST = BracketTable([Bracket(0.0, 1.0, 1.0, 1.0, 6.0)])  # arming is the target: the trail never comes to bear
TABLES = st.sampled_from([DEFAULT_BRACKETS, TIGHT, TIGHTEST])
PRICES = st.sampled_from([3.0, 8.0, 20.0, 60.0, 150.0])
CORNERS = st.lists(st.floats(-7.0, 4.0), min_size=1, max_size=5)  # percent of the open


def bar(*prices: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[*prices, 1000.0]])


def worst(o: float, h: float, low: float, c: float, table: BracketTable = DEFAULT_BRACKETS) -> float:
    return float(tsh_pessimistic(bar(o, h, low, c), table)[0]) / 1e6


def walked(entry: float, corners: list[float], table: BracketTable, *, ride: bool) -> float:
    """Percent that the machine earns on a path through ``corners`` (prices), sold at the print that asks."""
    state = opened("ABCD", 100, Decimal(str(entry)), OPEN, CLOSE, TshRules(table, ride=ride))
    grid, at = entry * GRID_PCT / 100, OPEN
    for left, right in pairwise([entry, *corners]):
        for price in np.linspace(left, right, int(abs(right - left) / grid) + 2):
            at += timedelta(milliseconds=1)
            state, leave = step(state, Tick("ABCD", Decimal(str(round(float(price), 6))), at, 0.0))
            if leave is not None:
                return 100 * (float(leave.at_price) / entry - 1)
    return 100 * (corners[-1] / entry - 1)


@settings(max_examples=120)
@given(PRICES, CORNERS, TABLES, st.booleans())
def test_no_path_through_the_bar_earns_less(
    entry: float, moves: list[float], table: BracketTable, ride: bool
) -> None:
    corners = [round(entry * (1 + move / 100), 4) for move in moves]
    floor = worst(entry, max(entry, *corners), min(entry, *corners), corners[-1], table)
    assert walked(entry, corners, table, ride=ride) >= floor - NEAR_PCT


@settings(max_examples=120)
@given(PRICES, CORNERS, TABLES, st.booleans())
def test_some_path_through_the_bar_earns_no_more(
    entry: float, moves: list[float], table: BracketTable, ride: bool
) -> None:
    prices = [round(entry * (1 + move / 100), 4) for move in moves]
    high, low, close = max(entry, *prices), min(entry, *prices), prices[-1]
    own = table.at(entry)
    just_armed = entry * (1 + own.arm_pct / 100)
    # The trailing stop follows the highest price, so the smallest rise from which it can be hit is the worst.
    rise = min(max(just_armed, low / (1 - own.trail_pct / 100)), high)
    paths = [[low, high, close], [high, low, close], [rise, low, high, close], [high, close]]
    earned = min(walked(entry, path, table, ride=ride) for path in paths)
    assert earned <= worst(entry, high, low, close, table) + NEAR_PCT


@pytest.mark.parametrize(
    ("prices", "earned"),
    [
        ((20.0, 20.1, 19.9, 20.05), 0.25),  # never armed: the close
        ((20.0, 21.0, 19.0, 20.5), -4.0),  # the stop may have come first
        ((20.0, 20.5, 19.9, 20.4), 0.3905),  # armed at 20.24, then trailed at once at 20.0781
        ((20.0, 20.24, 20.0, 20.24), 0.3905),  # the arm price itself arms
        ((20.0, 20.0, 19.2, 20.0), -4.0),  # the stop's own price sells
    ],
)
def test_named_bars_at_twenty_dollars(prices: tuple[float, float, float, float], earned: float) -> None:
    assert worst(*prices) == pytest.approx(earned, abs=1e-6)


def test_a_stop_that_was_never_touched_leaves_the_target_or_the_close() -> None:
    """Armed at 101 with 1 % trail the stop stands at 99.99; a low of 100 never hit it below 101.01."""
    assert worst(100.0, 101.005, 100.0, 101.0, TIGHT) == pytest.approx(1.0)
    assert worst(100.0, 105.0, 100.0, 104.0, TIGHT) == pytest.approx(0.0)  # risen to 101.01, fallen to the low
    assert worst(100.0, 105.0, 100.0, 104.0, TIGHTEST) == pytest.approx(1.0)  # sold at 101, whatever came later
    close_by = BracketTable([Bracket(0.0, 1.005, 1.0, 1.0, 6.0)])  # the highest stop, 99.995, is below the low
    assert worst(100.0, 105.0, 100.0, 104.0, close_by) == pytest.approx(1.005)


def test_the_bars_of_a_universe_are_judged_each_for_itself() -> None:
    rows = np.concatenate([bar(20.0, 20.1, 19.9, 20.05), bar(3.0, 3.0, 2.0, 2.5)])
    assert (tsh_pessimistic(rows, DEFAULT_BRACKETS) / 1e6).tolist() == pytest.approx([0.25, -6.0])
    assert len(tsh_pessimistic(np.zeros((0, 5)), DEFAULT_BRACKETS)) == 0
