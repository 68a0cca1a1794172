"""Brackets, one-triggers-other and trailing stops at the exchange, as ALPACA.md section 6 tells them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from simulator_floor import MONDAY, Floor, floor, refusal

from engine.simulator.books import Books, KeptClock
from engine.simulator.orders import Order, Status

TUESDAY = MONDAY + timedelta(days=1)
GROUP: dict[str, Any] = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "10.90"},
    "stop_loss": {"stop_price": "8.80"},
}


@pytest.fixture
def trading() -> Floor:
    """Monday, 10:00."""
    place = floor()
    place.until(MONDAY, 10, 0)
    return place


def legs(place: Floor, parent: Order) -> list[Order]:
    return [place.exchange.orders[leg] for leg in parent.legs]


def resting(place: Floor, shares: int = 10) -> Order:
    """A bracket whose entry rests far below the market."""
    low = {"kind": "limit", "limit_price": "5.00"}
    prices = {"take_profit": {"limit_price": "10.90"}, "stop_loss": {"stop_price": "4.00"}}
    return place.order("buy", shares, **{**GROUP, **prices, **low})


def entered(place: Floor, shares: int = 10) -> tuple[Order, Order, Order]:
    """A bracket whose entry is filled: parent, take-profit, stop."""
    parent = place.order("buy", shares, **GROUP)
    place.exchange.settle(place.at)
    place.exchange.settle(place.at)  # the legs have arrived with the fill
    assert parent.status is Status.FILLED
    profit, stop = legs(place, parent)
    return parent, profit, stop


def test_the_legs_are_held_until_the_whole_entry_is_filled(trading: Floor) -> None:
    parent = resting(trading)
    trading.exchange.settle(trading.at)
    assert [leg.status for leg in legs(trading, parent)] == [Status.HELD, Status.HELD]
    assert trading.exchange.held_for_orders("AAAA") == 0
    shown = trading.exchange.groups.json(parent, nested=True)
    assert [leg["type"] for leg in shown["legs"]] == ["limit", "stop"]
    assert {leg["order_class"] for leg in shown["legs"]} == {"bracket"}
    assert trading.exchange.groups.json(parent, nested=False)["legs"] is None
    _, profit, stop = entered(trading, 4)
    assert (profit.status, stop.status) == (Status.NEW, Status.NEW)
    assert trading.events(profit) == ["held", "new"]
    assert trading.exchange.held_for_orders("AAAA") == 4  # both legs hold the same shares


def test_a_partly_filled_entry_leaves_its_legs_held() -> None:
    place = floor(partial_fills=1.0)
    place.until(MONDAY, 10, 0)
    parent = place.order("buy", 10, **GROUP)
    place.exchange.settle(place.at)
    assert parent.status is Status.PARTIALLY_FILLED
    assert {leg.status for leg in legs(place, parent)} == {Status.HELD}


def test_the_fill_of_one_leg_cancels_the_other(trading: Floor) -> None:
    """The bar of every day is 9 to 11 and its low is behind us: the take-profit is met before the close."""
    _, profit, stop = entered(trading)
    trading.until(MONDAY, 15, 59)
    assert (profit.status, stop.status) == (Status.FILLED, Status.CANCELED)
    assert trading.exchange.account.held("AAAA") == 0
    trading.until(TUESDAY, 9, 31)
    near = {"take_profit": {"limit_price": "20"}, "stop_loss": {"stop_price": "9.05"}}
    parent = trading.order("buy", 10, **{**GROUP, **near})
    trading.until(TUESDAY, 15, 59)
    profit, stop = legs(trading, parent)
    assert (profit.status, stop.status) == (Status.CANCELED, Status.FILLED)


def test_cancelling_one_cancels_the_group(trading: Floor) -> None:
    parent = resting(trading)
    trading.exchange.settle(trading.at)
    trading.exchange.cancel(legs(trading, parent)[1].id, trading.at)
    trading.exchange.settle(trading.at)
    assert {o.status for o in (parent, *legs(trading, parent))} == {Status.CANCELED}
    assert not trading.exchange.open_orders
    other = resting(trading)
    trading.exchange.cancel(other.id, trading.at)
    trading.exchange.settle(trading.at)
    assert {o.status for o in legs(trading, other)} == {Status.CANCELED}


def test_day_legs_vanish_at_the_close_and_leave_the_position(trading: Floor) -> None:
    parent = trading.order(
        "buy", 10, **{**GROUP, "take_profit": {"limit_price": "20"}, "stop_loss": {"stop_price": "2"}}
    )
    trading.until(MONDAY, 16, 1)
    assert parent.status is Status.FILLED
    assert not trading.exchange.open_orders
    assert trading.exchange.account.held("AAAA") == 10


def test_one_triggers_other_has_one_leg_and_no_wash_trade(trading: Floor) -> None:
    parent = trading.order("buy", 10, order_class="oto", stop_loss={"stop_price": "2", "limit_price": "1.90"})
    trading.exchange.settle(trading.at)
    trading.exchange.settle(trading.at)
    (stop,) = legs(trading, parent)
    assert (stop.request.kind, stop.status) == ("stop_limit", Status.NEW)
    assert trading.order("buy", 1, kind="limit", limit_price="5.00").open  # beside a complex order
    assert refusal(trading, "sell", 10).http == 403  # its shares are held


def test_a_leg_can_be_replaced_and_stays_in_its_group(trading: Floor) -> None:
    _, profit, stop = entered(trading)
    fresh = trading.exchange.replace(stop.id, {"stop_price": "8.85"}, trading.at)
    assert (fresh.parent, fresh.request.order_class) == (stop.parent, "bracket")
    assert profit.open
    trading.until(MONDAY, 15, 59)
    assert {profit.status, fresh.status} == {Status.FILLED, Status.CANCELED}
    assert trading.exchange.account.held("AAAA") == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_class": "oco"},
        {"order_class": "bracket"},
        {**GROUP, "stop_loss": None},
        {**GROUP, "order_class": "oto"},
        {**GROUP, "order_class": ""},
        {**GROUP, "time_in_force": "ioc"},
        {**GROUP, "take_profit": {"limit_price": "9.00"}},
        {**GROUP, "stop_loss": {"stop_price": "10.80"}},
        {**GROUP, "stop_loss": {"stop_price": "8.801"}},
        {**GROUP, "take_profit": "10.90"},
        {"kind": "trailing_stop", "trail_price": "1", "trail_percent": "1"},
        {"kind": "trailing_stop", "trail_percent": "100"},
        {"kind": "trailing_stop", "trail_percent": "1", "time_in_force": "ioc"},
        {"trail_percent": "1"},
    ],
)
def test_what_is_no_group_and_no_trailing_stop_is_refused(trading: Floor, wrong: dict[str, Any]) -> None:
    assert refusal(trading, "buy", 10, **wrong).http == 422


def test_a_bracket_takes_whole_shares(trading: Floor) -> None:
    assert refusal(trading, "buy", 1.5, **GROUP).http == 422  # type: ignore[arg-type]


def test_a_trailing_stop_follows_the_best_price_and_sells_below_it(trading: Floor) -> None:
    trading.filled("buy", 10)
    order = trading.order("sell", 10, kind="trailing_stop", trail_percent="3")
    best, seen = Decimal(0), []
    while order.open and trading.at.hour < 21:
        trading.at += timedelta(minutes=1)
        local = trading.at
        trading.exchange._match_all(local)
        if order.hwm is not None:
            assert order.hwm >= best
            best = order.hwm
            seen.append(order.stop_price)
    assert order.status is Status.FILLED
    assert seen == sorted(seen)
    assert order.average is not None
    assert order.average <= best * Decimal("0.97") + Decimal("0.01")
    assert order.json()["hwm"] == f"{best:f}"
    assert order.json()["trail_percent"] == "3"


def test_a_killed_exchange_comes_back_with_its_groups(tmp_path: Path, trading: Floor) -> None:
    books = Books(tmp_path, {"name": "tiny"}, resume=False)
    parent, profit, stop = entered(trading)
    for order in (parent, profit, stop):
        books.changed(order, trading.exchange.account, trading.exchange.ids_made, trading.at)
    books.note_clock(KeptClock(trading.at, 1.0, None))
    books.close()
    again = Books(tmp_path, {"name": "tiny"}, resume=True)
    assert again.kept is not None
    place = floor()
    place.exchange.go_on(again.kept)
    place.at = trading.at
    back = place.exchange.orders[parent.id]
    assert back.legs == parent.legs
    place.exchange.cancel(profit.id, place.at)
    place.exchange.settle(place.at)
    assert not place.exchange.open_orders
