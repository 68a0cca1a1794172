"""What events say of prices: two decimals, more only where they carry something."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.events import FillReceived, dollars


@pytest.mark.parametrize(
    ("price", "text"),
    [
        ("105.3", "105.30"), ("105.0600", "105.06"), ("44", "44.00"), ("0.1234", "0.1234"), ("38.2175", "38.2175"),
        ("1E+2", "100.00"),
    ],
)  # fmt: skip
def test_a_price_has_two_decimals_and_more_only_where_they_say_something(price: str, text: str) -> None:
    assert dollars(Decimal(price)) == text


def test_a_price_that_nobody_knows_is_not_a_number() -> None:
    assert dollars(None) == "?"


def test_a_fill_is_written_as_on_the_screens() -> None:
    fill = FillReceived(symbol="XWGI", side="sell", shares=214, price=Decimal("105.3"), client_order_id="tsh-1")
    assert fill.text == "filled: sell 214 XWGI at 105.30"
