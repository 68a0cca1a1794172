"""Numbers and small pictures: what is not known is a dot, and nothing is ever wider than its place."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app import formatting as f

finite = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 s"), (4.2, "4 s"), (59.6, "1 m 00 s"), (2472, "41 m 12 s"), (19020, "5 h 17 m"), (183_600, "2 d 3 h")],
)
def test_durations_read_as_people_say_them(value: float, text: str) -> None:
    assert f.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(956, "956"), (10_960, "11.0 k"), (71e6, "71.0 M"), (105.5e6, "106 M"), (41.2e9, "41.2 G")]
)
def test_large_counts_have_three_digits(value: float, text: str) -> None:
    assert f.metric(value) == text


def test_signs_are_always_written() -> None:
    assert f.money(Decimal("182.4"), signed=True) == "+182.40"
    assert f.money(Decimal("-1182.4"), signed=True) == "-1,182.40"
    assert f.percent(0.18) == "+0.18 %"
    assert f.price(Decimal("0.1234")) == "0.1234"


def test_what_rounds_to_zero_has_no_sign_and_is_neither_gain_nor_loss() -> None:
    assert f.signed(-0.001) == f.signed(0.001) == "0.00"
    assert f.money(Decimal("-0.004"), signed=True) == "0.00"
    assert f.percent(-0.0) == "0.00 %"
    assert f.signed(-0.001, 3) == "-0.001"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (1e-6, "<0.1 ms"), (0.00036, "0.4 ms"), (0.0036, "3.6 ms"), (0.25, "250 ms"),
        (0.9996, "1.00 s"), (1.254, "1.25 s"), (36.14, "36.1 s"), (599.9, "599.9 s"), (22_364, "06:12:44"),
        (None, "·"),
    ],
)  # fmt: skip
def test_thread_time_is_told_in_the_unit_that_shows_it(seconds: float | None, text: str) -> None:
    assert f.amount(seconds) == text


def test_what_is_not_known_is_a_dot() -> None:
    for unknown in (f.money(None), f.price(None), f.signed(None), f.percent(None), f.count(None), f.metric(None)):
        assert unknown == "·"
    assert f.duration(None) == f.stopwatch(None) == f.age(None) == f.eastern(None) == "·"


def test_a_stale_age_is_marked_without_colour() -> None:
    assert f.age(6.1, stale=True) == "6.1s!"


@given(st.lists(finite, max_size=90), st.integers(0, 60))
def test_a_sparkline_is_never_wider_than_asked(values: list[float], width: int) -> None:
    line = f.sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(f.BLOCKS)


@given(st.floats(-1, 2) | st.none(), st.integers(0, 200))
def test_a_bar_fills_its_width_exactly(share: float | None, width: int) -> None:
    full, rest = f.bar(share, width)
    assert len(full) + len(rest) == width
    assert (share is None or share <= 0) <= (full == "")
    assert (share is not None and share >= 1) <= (rest == "")


@given(st.integers(3, 60), finite, st.floats(0.01, 1e6), st.lists(finite, min_size=1, max_size=5))
def test_a_ribbon_keeps_its_width_and_always_shows_the_price(
    width: int, low: float, span: float, values: list[float]
) -> None:
    cells = f.ribbon(width, low, low + span, [(value, str(i)) for i, value in enumerate(values)])
    assert len(cells) == width
    price = str(len(values) - 1)
    shown = [glyph for glyph, kind in cells if kind == price]
    assert shown in (["◀"], ["▶"], [price])
    assert (values[-1] < low) == (shown == ["◀"])


@given(st.text(max_size=60), st.integers(0, 40), st.booleans())
def test_a_fitted_text_has_exactly_its_width(text: str, width: int, right: bool) -> None:
    assert cell_len(f.fit(text, width, right=right)) == width


@given(st.text(st.characters(categories=["L", "Nd", "Zs"]), max_size=120), st.integers(2, 40), st.integers(1, 5))
def test_wrapped_lines_fit_and_are_not_more_than_asked(text: str, width: int, most: int) -> None:
    lines = f.wrapped(text, width, most)
    assert len(lines) <= most
    assert all(cell_len(line) <= width for line in lines)
