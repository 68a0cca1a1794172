"""Each rule on windows whose answer can be worked out by hand, and what all rules have in common."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_bars import hand_made, synthetic_windows

from engine.compute import ALGORITHMS, ParameterSet, algorithms, open_engine
from engine.compute.algorithms import RULES
from engine.model import Bools, Floats

SIZES = {
    "adx": 4992, "ema": 3415, "macd": 5800, "rsi": 3534, "bb": 14976,
    "stoch": 4305, "cci": 4752, "mfi": 4752, "donch": 34776, "kelt": 19656,
}  # fmt: skip


def fires(algorithm: str, values: tuple[int, ...], window: Floats) -> bool:
    answer = open_engine("native").evaluate(window, [ParameterSet(algorithm, values)], mode="execution")
    return bool(answer.buys[0, 0])


def slide(start: float, step: float, bars: int = 63) -> list[float]:
    return [start + step * i for i in range(bars)]


def test_the_spaces_have_the_sizes_of_the_specification_in_its_order() -> None:
    assert {name: space.size for name, space in ALGORITHMS.items()} == SIZES
    assert list(ALGORITHMS) == list(SIZES)
    assert sum(SIZES.values()) == 100_958


def test_steps_mean_the_real_values_of_the_specification() -> None:
    assert ALGORITHMS["kelt"].reals((20, 10, 7)) == (20.0, 10.0, 0.7)
    assert ALGORITHMS["donch"].reals((50, 40, 23)) == (50.0, 40.0, 2.3)
    assert ALGORITHMS["bb"].reals((5, 18, 30)) == (5.0, 1.8, 60.0)
    assert ALGORITHMS["cci"].reals((5, 40, 4)) == (5.0, 200.0, 4.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("price", [10.0, 10.1, 33.33, 0.07])
def test_a_flat_window_never_buys(algorithm: str, price: float) -> None:
    space = ALGORITHMS[algorithm]
    corners = itertools.product(*((p.low, p.high) for p in space.parameters))
    sets = [ParameterSet(algorithm, point) for point in corners if space.contains(point)]
    answer = open_engine("native").evaluate(hand_made([price] * 64), sets, mode="execution")
    assert not answer.buys.any()


def test_adx_buys_the_first_rise_after_a_strong_fall() -> None:
    fall = slide(100.0, -1.0)
    assert fires("adx", (5, 30, 1), hand_made([*fall, 60.0], reach=0.5))
    assert not fires("adx", (5, 30, 1), hand_made([*fall, 37.0], reach=0.5)), "the fall goes on"


def test_adx_needs_trend_strength() -> None:
    saw = [50.0 + 0.5 * (-1) ** i for i in range(63)]  # movements cancel: DX stays near zero
    assert not fires("adx", (28, 30, 1), hand_made([*saw, 52.0], reach=0.5))
    assert fires("adx", (28, 5, 8), hand_made([*slide(100.0, -1.0, 60), 41.0, 41.0, 41.0, 95.0], reach=0.5))


def test_ema_buys_a_fresh_crossing_only() -> None:
    fall = slide(100.0, -1.0)
    assert fires("ema", (3, 50, 1), hand_made([*fall, 150.0]))
    assert not fires("ema", (3, 50, 1), hand_made([*fall[1:], 150.0, 150.0])), "it crossed a bar earlier"
    assert fires("ema", (3, 50, 2), hand_made([*fall[1:], 150.0, 150.0])), "two bars ago it was below"
    assert not fires("ema", (3, 50, 1), hand_made([*fall, 36.0]))


def test_macd_with_z_wants_the_crossing_below_zero() -> None:
    fall = slide(100.0, -1.0)
    timid, bold = hand_made([*fall, 39.0]), hand_made([*fall, 200.0])
    assert fires("macd", (4, 12, 3, 1), timid)
    assert fires("macd", (4, 12, 3, 0), timid)
    assert fires("macd", (4, 12, 3, 0), bold)
    assert not fires("macd", (4, 12, 3, 1), bold), "the line is above zero"
    assert not fires("macd", (4, 12, 3, 0), hand_made([*fall, 30.0]))


def test_rsi_buys_on_the_level_itself() -> None:
    # n = 2: the fall leaves average loss 1 and gain 0; a rise of x makes them 1/2 and x/2: RSI = 100x/(1+x)
    fall = slide(100.0, -1.0)
    assert fires("rsi", (2, 50, 1), hand_made([*fall, fall[-1] + 1.0])), "RSI is exactly 50"
    assert not fires("rsi", (2, 51, 1), hand_made([*fall, fall[-1] + 1.0]))
    assert not fires("rsi", (2, 50, 1), hand_made([*fall[1:], 39.0, 40.0])), "it was back a bar earlier"


def test_bb_wants_a_close_under_the_band_yet_above_an_old_one() -> None:
    # n = 5, closes 20 20 20 20 15: mean 19, sigma 2
    closes = [10.0] * 8 + [20.0] * 55 + [15.0]
    assert fires("bb", (5, 18, 30), hand_made(closes)), "15 < 19 - 1.8*2 and 15 > 10 of 60 bars ago"
    assert not fires("bb", (5, 18, 5), hand_made(closes)), "10 bars ago the close was 20"
    assert not fires("bb", (20, 3, 30), hand_made([10.0] * 8 + [15.0] * 55 + [15.0])), "no distance at all"


def test_bb_counts_in_population_deviations() -> None:
    # n = 5, closes 20 20 20 15 15: mean 18, sigma 2.449: the close is 1.2247 sigma below
    closes = [10.0] * 8 + [20.0] * 54 + [15.0, 15.0]
    assert fires("bb", (5, 12, 30), hand_made(closes))
    assert not fires("bb", (5, 13, 30), hand_made(closes))


def test_stoch_buys_a_turn_low_in_the_range() -> None:
    fall = slide(100.0, -1.0)
    turned = hand_made([*fall, fall[-1] + 2.0], reach=0.5)
    assert fires("stoch", (25, 2, 50), turned)
    assert not fires("stoch", (25, 2, 50), hand_made([*fall, fall[-1] - 1.0], reach=0.5))
    rise = slide(10.0, 1.0)
    assert not fires("stoch", (5, 2, 50), hand_made([*rise, rise[-1] + 2.0], reach=0.5)), "high in the range"


def test_stoch_ties_stay_ties_at_the_edge_of_the_range() -> None:
    assert not fires("stoch", (5, 3, 50), hand_made(slide(90.07, -0.01, 64))), "fastK is 0 on every bar"


def test_cci_buys_the_return_over_the_level() -> None:
    # n = 5 on a straight fall: 2 below the mean, mean deviation 1.2: CCI = -2/(0.015*1.2) = -111.1
    fall = slide(100.0, -1.0)
    assert fires("cci", (5, 22, 1), hand_made([*fall, fall[-1]])), "from -111.1 to over -110"
    assert not fires("cci", (5, 23, 1), hand_made([*fall, fall[-1]])), "-111.1 was not below -115"


def test_mfi_buys_a_rise_after_outflow() -> None:
    fall = slide(100.0, -1.0)
    assert fires("mfi", (24, 20, 1), hand_made([*fall, 39.0]))
    assert not fires("mfi", (24, 20, 6), hand_made([*fall, 39.0])), "six bars ago the close was higher"
    loud = [1000.0] * 63 + [1_000_000.0]
    assert not fires("mfi", (24, 20, 1), hand_made([*fall, 39.0], volumes=loud)), "the inflow outweighs"


def test_mfi_without_money_counts_as_zero() -> None:
    assert fires("mfi", (3, 20, 1), hand_made(slide(10.0, 0.01, 64), volumes=[0.0] * 64))


def test_donch_wants_more_than_the_channel_and_more_than_the_volume() -> None:
    closes, usual = [10.0] * 63 + [11.0], [1000.0] * 63
    assert fires("donch", (5, 5, 19), hand_made(closes, reach=0.5, volumes=[*usual, 2000.0]))
    assert not fires("donch", (5, 5, 20), hand_made(closes, reach=0.5, volumes=[*usual, 2000.0])), (
        "equal is not more"
    )
    assert not fires("donch", (5, 5, 19), hand_made([*closes[:-1], 10.5], reach=0.5, volumes=[*usual, 2000.0]))
    early_high = [20.0] * 13 + [10.0] * 50 + [11.0]
    assert fires("donch", (50, 5, 3), hand_made(early_high, reach=0.5)), "50 bars before t reach back to bar 13"
    late_high = [20.0] * 14 + [10.0] * 49 + [11.0]
    assert not fires("donch", (50, 5, 3), hand_made(late_high, reach=0.5))


def test_kelt_buys_the_breakout_bar_alone() -> None:
    # highs and lows 0.5 around a flat close: ATR 1, channel at 10 + k
    flat = [10.0] * 63
    assert fires("kelt", (40, 30, 10), hand_made([*flat, 12.0], reach=0.5))
    assert not fires("kelt", (40, 30, 23), hand_made([*flat, 12.0], reach=0.5)), "10 + 2.3 is not reached"
    assert not fires("kelt", (40, 30, 10), hand_made([*flat[1:], 12.0, 12.5], reach=0.5)), "it broke out before"


def random_sets(seed: int, each: int) -> list[ParameterSet]:
    random = np.random.default_rng(seed)
    chosen = []
    for name, space in ALGORITHMS.items():
        points = list(space.enumerate())
        chosen += [ParameterSet(name, points[i]) for i in random.integers(len(points), size=each)]
    return [chosen[i] for i in random.permutation(len(chosen))]


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_sets_tested_together_and_alone_give_the_same_bits(seed: int) -> None:
    windows = synthetic_windows(seed, tickers=70, rows=64)
    sets = random_sets(seed, each=3)
    engine = open_engine("native")
    together = engine.evaluate(windows, sets, mode="execution").buys
    alone = [engine.evaluate(windows, [one], mode="execution").buys[:, 0] for one in sets]
    assert np.array_equal(together, np.stack(alone, axis=1))


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), tickers=st.sampled_from([1, 7, 255, 256, 257, 300]))
def test_every_window_stands_alone(seed: int, tickers: int) -> None:
    windows = synthetic_windows(seed, tickers, rows=64)
    sets = random_sets(seed, each=2)
    engine = open_engine("native")

    def buys(chosen: Floats) -> Bools:
        return engine.evaluate(chosen, sets, mode="execution").buys

    order = np.random.default_rng(seed).permutation(tickers)
    everything = buys(windows)
    assert np.array_equal(buys(windows[order]), everything[order])
    assert np.array_equal(buys(windows[-1:]), everything[-1:])


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_the_volume_unit_and_a_price_scale_of_a_power_of_two_change_nothing(seed: int) -> None:
    windows = synthetic_windows(seed, tickers=50, rows=64)
    sets = random_sets(seed, each=2)
    engine = open_engine("native")
    scaled = windows * np.array([4.0, 4.0, 4.0, 4.0, 2.0])
    one, other = (engine.evaluate(w, sets, mode="execution").buys for w in (windows, scaled))
    assert np.array_equal(one, other)


def test_every_algorithm_file_brings_its_space_and_kernel() -> None:
    assert [rule.order for rule in RULES.values()] == list(range(1, 11))
    assert all(rule.space is ALGORITHMS[name] for name, rule in RULES.items())


ELEVENTH = """
from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace("gain", (Parameter("n", 1, 5),))

@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    for row in range(values.shape[0]):
        for j in range(bars.shape[2]):
            flags[row, j] = bars[CLOSE, SIGNAL, j] > bars[CLOSE, SIGNAL - int(values[row, 0]), j]

RULE = Rule(11, SPACE, buys, scratch_rows=1)
"""


def test_an_eleventh_algorithm_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gain.py").write_text(ELEVENTH, encoding="utf-8")
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(tmp_path)])
    found = algorithms.find_rules()
    assert list(found) == [*SIZES, "gain"]
    rule = found["gain"]
    windows = synthetic_windows(1, tickers=4, rows=64)
    block = np.ascontiguousarray(windows[:, ::-1].transpose(2, 1, 0))
    flags = np.empty((1, 4), dtype=np.uint8)
    rule.buys(block, np.array([[3.0]]), np.empty((rule.scratch_rows, 4)), flags)
    assert flags[0].tolist() == (windows[:, 0, 3] > windows[:, 3, 3]).tolist()


def test_two_algorithms_of_one_order_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.py").write_text(ELEVENTH.replace("Rule(11", "Rule(3"), encoding="utf-8")
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match="share a name or an order"):
        algorithms.find_rules()
