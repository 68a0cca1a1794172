"""The exchange's rules, step by step: no sockets, no wall time, one account on one tape."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_floor import FRIDAY, HALF_DAY, MONDAY, Floor, TinyMarket, floor, refusal

from engine.simulator.faults import Fault
from engine.simulator.orders import Status, VenueError, filtered
from engine.simulator.process import start_process
from engine.simulator.server import RateLimit
from engine.simulator.sessions import new_york_time
from engine.simulator.venue import VenueOptions


@pytest.fixture
def shut() -> Floor:
    """Friday evening."""
    return floor()


@pytest.fixture
def trading() -> Floor:
    """Monday, 10:00."""
    place = floor()
    place.until(MONDAY, 10, 0)
    return place


# --- before the open --------------------------------------------------------------------------


def test_an_evening_order_is_accepted_new_at_four_and_fills_at_the_opening_price(shut: Floor) -> None:
    order = shut.order("buy", 10)
    assert order.status is Status.ACCEPTED
    shut.until(MONDAY, 3, 59)
    assert order.status is Status.ACCEPTED
    shut.until(MONDAY, 9, 29)
    assert order.status is Status.NEW
    shut.until(MONDAY, 9, 30)
    assert (order.status, order.average) == (Status.FILLED, Decimal("10.0"))
    assert order.filled_at == new_york_time(MONDAY, time(9, 30))
    assert shut.events(order) == ["accepted", "new", "fill"]


def test_four_entries_before_the_open_all_fill_at_it_and_reserve_until_then(shut: Floor) -> None:
    shut.until(MONDAY, 9, 26)
    orders = [shut.order("buy", 2000, s, "limit", limit_price="11.00") for s in ("AAAA", "BBBB", "CCCC", "AAAA")]
    assert [o.status for o in orders] == [Status.ACCEPTED] * 4
    assert shut.exchange.reserved() == Decimal("88000")
    shut.until(MONDAY, 9, 30)
    assert [o.average for o in orders] == [Decimal("10.0")] * 4
    assert shut.exchange.reserved() == 0
    assert shut.exchange.account.cash == Decimal("20000.0")


def test_the_entry_that_exceeds_what_the_others_left_is_refused(shut: Floor) -> None:
    for symbol in ("AAAA", "BBBB", "CCCC"):
        shut.order("buy", 2500, symbol, "limit", limit_price="12.00")
    refused = refusal(shut, "buy", 2500, "AAAA", "limit", limit_price="12.00")
    assert refused.http == 403
    assert refused.body["code"] == 40310000
    assert refused.body["buying_power"] == "10000.00"
    assert refused.body["cost_basis"] == "30000.00"


def test_an_accepted_order_can_be_cancelled_but_not_replaced(shut: Floor) -> None:
    order = shut.order("buy", 10, kind="limit", limit_price="9.00")
    with pytest.raises(VenueError, match="cannot replace order in accepted"):
        shut.exchange.replace(order.id, {"limit_price": "9.10"}, shut.at)
    shut.exchange.cancel(order.id, shut.at)
    shut.exchange.settle(shut.at)
    assert order.status is Status.CANCELED


# --- in the session ---------------------------------------------------------------------------


def test_an_order_in_the_session_is_pending_then_new_then_filled_at_the_ask(trading: Floor) -> None:
    order = trading.order("buy", 10)
    assert order.status is Status.PENDING_NEW
    trading.exchange.settle(trading.at)
    quote = trading.exchange.tape.quote("AAAA", trading.at)
    assert quote is not None
    assert order.average == Decimal(str(quote.ask))
    assert trading.events(order) == ["pending_new", "new", "fill"]


def test_a_resting_limit_fills_at_its_own_price_when_the_market_comes_through(trading: Floor) -> None:
    order = trading.order("buy", 10, kind="limit", limit_price="9.05")
    trading.until(MONDAY, 16, 0)
    assert (order.status, order.average) == (Status.FILLED, Decimal("9.05"))


def test_a_stop_sells_at_the_bid_once_the_price_has_reached_it(trading: Floor) -> None:
    trading.filled("buy", 10)
    stop = trading.order("sell", 10, kind="stop", stop_price="9.10")
    trading.until(MONDAY, 16, 0)
    assert stop.status is Status.FILLED
    assert stop.average is not None
    assert stop.average <= Decimal("9.10")


def test_a_stop_limit_that_is_just_reached_trades_at_the_bid_and_not_at_its_worst_price(trading: Floor) -> None:
    trading.filled("buy", 10)
    order = trading.order("sell", 10, kind="stop_limit", stop_price="9.50", limit_price="9.00")
    trading.until(MONDAY, 16, 0)
    assert order.average is not None
    assert Decimal("9.00") < order.average <= Decimal("9.50")


def test_a_buy_stop_pays_at_most_four_percent_above_it(trading: Floor) -> None:
    order = trading.order("buy", 10, kind="stop", stop_price="10.90")
    assert order.reserve_price == Decimal("11.34")
    trading.until(MONDAY, 16, 0)
    assert order.average is not None
    assert Decimal("10.90") <= order.average <= Decimal("11.34")


def test_a_day_order_expires_at_the_close_and_a_gtc_order_lives_on(trading: Floor) -> None:
    day = trading.order("buy", 10, kind="limit", limit_price="5.00")
    gtc = trading.order("buy", 10, kind="limit", limit_price="5.00", time_in_force="gtc")
    trading.until(MONDAY, 15, 59, 59)
    assert day.open
    trading.until(MONDAY, 16, 0)
    assert (day.status, gtc.status) == (Status.EXPIRED, Status.NEW)
    assert trading.exchange.reserved() == Decimal("50.00")


def test_on_a_half_day_day_orders_expire_at_13(trading: Floor) -> None:
    trading.until(HALF_DAY, 12, 0)
    order = trading.order("buy", 10, kind="limit", limit_price="5.00")
    trading.until(HALF_DAY, 13, 0)
    assert order.expired_at == new_york_time(HALF_DAY, time(13, 0))


def test_an_immediate_or_cancel_order_that_does_not_cross_is_cancelled(trading: Floor) -> None:
    order = trading.order("buy", 10, kind="limit", limit_price="5.00", time_in_force="ioc")
    trading.exchange.settle(trading.at)
    assert order.status is Status.CANCELED


def test_opening_and_closing_auction_orders_fill_at_the_auction_and_have_their_cut_offs(shut: Floor) -> None:
    shut.until(FRIDAY, 19, 0)
    opening = shut.order("buy", 10, time_in_force="opg")
    shut.until(MONDAY, 9, 28)
    assert refusal(shut, "buy", 1, time_in_force="opg").http == 422
    closing = shut.order("buy", 10, "BBBB", time_in_force="cls")
    shut.until(MONDAY, 15, 50)
    assert opening.average == Decimal("10.0")
    assert refusal(shut, "buy", 1, time_in_force="cls").http == 422
    shut.until(MONDAY, 16, 0)
    assert closing.average == Decimal("10.5")


# --- cancels, partial fills, rejects ----------------------------------------------------------


def test_a_cancel_is_a_request_and_a_fill_may_come_first(trading: Floor) -> None:
    resting = trading.order("buy", 10, kind="limit", limit_price="5.00")
    trading.exchange.settle(trading.at)
    trading.exchange.cancel(resting.id, trading.at)
    assert resting.status is Status.PENDING_CANCEL
    trading.exchange.settle(trading.at)
    assert resting.status is Status.CANCELED
    crossing = trading.order("buy", 10)
    trading.exchange.cancel(crossing.id, trading.at)
    trading.exchange.settle(trading.at)
    assert crossing.status is Status.FILLED
    with pytest.raises(VenueError, match='already in "filled" state'):
        trading.exchange.cancel(crossing.id, trading.at)


def test_partial_fills_are_told_one_by_one_and_add_up() -> None:
    place = floor(partial_fills=1.0)
    place.until(MONDAY, 10, 0)
    order = place.order("buy", 100)
    place.exchange.settle(place.at)
    assert order.status is Status.PARTIALLY_FILLED
    assert 0 < order.filled < 100
    place.until(MONDAY, 10, 1)
    assert order.status is Status.FILLED
    parts = [u for u in place.updates if u.event in ("partial_fill", "fill")]
    assert [u.event for u in parts] == ["partial_fill", "fill"]
    assert sum(u.shares for u in parts if u.shares) == 100
    assert parts[-1].position == 100
    assert len({u.execution_id for u in parts}) == 2


def test_an_order_may_be_rejected_after_it_was_accepted(trading: Floor) -> None:
    trading.faults.order(Fault("reject_order", symbol="AAAA"))
    order = trading.order("buy", 10)
    assert order.status is Status.PENDING_NEW
    trading.exchange.settle(trading.at)
    assert (order.status, trading.events(order)) == (Status.REJECTED, ["pending_new", "rejected"])
    assert trading.exchange.reserved() == 0


def test_cancel_all_answers_for_each_order_and_one_may_fail(trading: Floor) -> None:
    orders = [trading.order("buy", 1, s, "limit", limit_price="5.00") for s in ("AAAA", "BBBB")]
    trading.faults.order(Fault("refuse_cancel", symbol="BBBB"))
    entries = trading.exchange.cancel_all(trading.at)
    assert {e["id"]: e["status"] for e in entries} == {orders[0].id: 200, orders[1].id: 500}


def test_a_replaced_order_hands_over_to_a_new_one(trading: Floor) -> None:
    old = trading.order("buy", 10, kind="limit", limit_price="5.00")
    trading.exchange.settle(trading.at)
    fresh = trading.exchange.replace(old.id, {"limit_price": 5.5, "qty": 12}, trading.at)
    assert (old.status, old.replaced_by, fresh.replaces) == (Status.REPLACED, fresh.id, old.id)
    assert trading.exchange.reserved() == Decimal("66.0")


# --- refusals ---------------------------------------------------------------------------------


def test_a_second_exit_for_shares_already_on_sale_is_refused_with_the_numbers(trading: Floor) -> None:
    trading.filled("buy", 10)
    trading.order("sell", 6, kind="stop", stop_price="8.00")
    refused = refusal(trading, "sell", 5)
    assert refused.http == 403
    assert refused.body["message"] == "insufficient qty available for order (requested: 5, available: 4)"
    assert (refused.body["existing_qty"], refused.body["held_for_orders"]) == ("10", "6")
    assert trading.exchange.position_json("AAAA", trading.at)["qty_available"] == "4"


def test_selling_what_is_not_held_is_a_short_and_refused(trading: Floor) -> None:
    assert refusal(trading, "sell", 1).body["message"] == 'asset "AAAA" cannot be sold short'


@pytest.mark.parametrize(
    ("buy", "sell", "refused"),
    [
        ({"kind": "limit", "limit_price": "5.00"}, {}, True),
        ({"kind": "limit", "limit_price": "5.00"}, {"kind": "stop", "stop_price": "8.00"}, True),
        ({"kind": "limit", "limit_price": "5.00"}, {"kind": "limit", "limit_price": "5.00"}, True),
        ({"kind": "limit", "limit_price": "5.00"}, {"kind": "limit", "limit_price": "5.01"}, False),
    ],
)
def test_an_exit_against_a_pending_entry_is_a_wash_trade_when_they_could_meet(
    trading: Floor, buy: dict[str, str], sell: dict[str, str], refused: bool
) -> None:
    trading.filled("buy", 10)
    entry = trading.order("buy", 5, **buy)
    if refused:
        answer = refusal(trading, "sell", 10, **sell)
        assert (answer.http, answer.body["existing_order_id"]) == (403, entry.id)
        assert "wash trade" in answer.body["message"]
    else:
        assert trading.order("sell", 10, **sell).open


def test_a_client_order_id_is_taken_once_even_after_a_cancel_but_not_by_a_refused_order(trading: Floor) -> None:
    order = trading.order("buy", 1, kind="limit", limit_price="5.00", client_order_id="mine")
    trading.exchange.cancel(order.id, trading.at)
    trading.exchange.settle(trading.at)
    again = refusal(trading, "buy", 1, client_order_id="mine")
    assert again.body == {"code": 40010001, "message": "client_order_id must be unique"}
    refusal(trading, "buy", 10**6, client_order_id="other")
    assert trading.order("buy", 1, client_order_id="other").open


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"symbol": "NONE"}, 42210000),
        ({"symbol": "DEAD"}, 42210000),
        ({"symbol": "STUB"}, 42210000),
        ({"symbol": "PTPX"}, 42210000),
        ({"kind": "limit", "limit_price": "10.001"}, 42210000),
        ({"kind": "limit"}, 40010001),
        ({"kind": "trailing_stop"}, 40010001),
        ({"time_in_force": "never"}, 40010001),
        ({"qty": 0}, 40010001),
        ({"qty": "nan"}, 40010001),
        ({"qty": "1e400"}, 40010001),
        ({"qty": True}, 40010001),
        ({"qty": 1.5, "time_in_force": "gtc"}, 42210000),
        ({"order_class": "bracket"}, 42210000),
        ({"extended_hours": True}, 42210000),
        ({"client_order_id": "x" * 129}, 40010001),
    ],
)
def test_what_is_no_order_is_refused_with_a_code(trading: Floor, body: dict[str, Any], code: int) -> None:
    refused = refusal(trading, "buy", 1, **body)
    assert (refused.http, refused.body["code"]) == (422, code)


# --- positions --------------------------------------------------------------------------------


def test_closing_a_position_sells_all_a_part_or_a_percentage(trading: Floor) -> None:
    trading.filled("buy", 100)
    half = trading.exchange.close_position("AAAA", trading.at, percentage=Decimal(50))
    assert half.request.qty == 50
    trading.exchange.settle(trading.at)
    assert trading.exchange.close_position("AAAA", trading.at, qty=Decimal(20)).request.qty == 20
    trading.exchange.settle(trading.at)
    trading.exchange.close_position("AAAA", trading.at)
    trading.exchange.settle(trading.at)
    assert not trading.exchange.account.positions
    with pytest.raises(VenueError, match="position does not exist"):
        trading.exchange.close_position("AAAA", trading.at)


def test_close_all_answers_for_each_position_and_may_lose_the_race_with_its_own_cancels(trading: Floor) -> None:
    trading.filled("buy", 10)
    trading.filled("buy", 10, "BBBB")
    trading.order("sell", 10, kind="stop", stop_price="8.00")
    trading.exchange.settle(trading.at)
    first = trading.exchange.close_all(trading.at, cancel_orders=True)
    assert {e["symbol"]: e["status"] for e in first} == {"AAAA": 403, "BBBB": 200}
    trading.exchange.settle(trading.at)
    second = trading.exchange.close_all(trading.at, cancel_orders=True)
    assert {e["symbol"]: e["status"] for e in second} == {"AAAA": 200}
    trading.exchange.settle(trading.at)
    assert not trading.exchange.account.positions


def test_last_equity_moves_to_the_previous_close_in_the_morning(trading: Floor) -> None:
    trading.filled("buy", 1000)
    account = trading.exchange.account
    paid = Decimal(100_000) - account.cash
    trading.until(date(2026, 11, 24), 3, 59)
    assert account.last_equity == 100_000
    trading.until(date(2026, 11, 24), 4, 0)
    assert account.last_equity == 100_000 - paid + Decimal("10500")


def test_a_symbol_that_disappears_is_paid_out_at_its_last_price_and_flagged() -> None:
    place = floor(market=TinyMarket(ends={"AAAA": date(2026, 11, 24)}))
    place.until(MONDAY, 10, 0)
    place.filled("buy", 10)
    place.order("sell", 10, kind="stop", stop_price="8.00", time_in_force="gtc")
    place.exchange.settle(place.at)
    place.until(date(2026, 11, 24), 9, 30)
    assert not place.exchange.account.positions
    assert not place.exchange.open_orders
    assert (place.updates[-1].price, place.updates[-1].flag[:18]) == (Decimal("10.5"), "symbol disappeared")


def test_listings_of_orders_filter_by_state_symbol_side_and_time(trading: Floor) -> None:
    done = trading.filled("buy", 1)
    trading.until(MONDAY, 10, 1)
    rest = trading.order("buy", 1, "BBBB", "limit", limit_price="5.00")
    every = trading.exchange.orders.values()
    assert filtered(every) == [rest]
    assert filtered(every, status="closed") == [done]
    assert filtered(every, status="all") == [rest, done]
    assert filtered(every, status="all", oldest_first=True, limit=1) == [done]
    assert filtered(every, status="all", symbols=frozenset({"AAAA"})) == [done]
    assert filtered(every, status="all", after=trading.at - timedelta(seconds=1)) == [rest]
    assert filtered(every, status="all", side="sell") == []


# --- the books always balance -----------------------------------------------------------------

moves = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "limit", "stop", "cancel", "close", "wait"]),
        st.sampled_from(["AAAA", "BBBB", "CCCC"]),
        st.integers(1, 3000),
    ),
    min_size=3,
    max_size=25,
)


@settings(max_examples=40)
@given(moves=moves, partial=st.sampled_from([0.0, 0.5]))
def test_cash_is_what_the_fills_say_and_nothing_is_ever_oversold(
    moves: list[tuple[str, str, int]], partial: float
) -> None:
    place, refusals = floor(partial_fills=partial), set()
    place.until(MONDAY, 9, 31)
    for minute, (move, symbol, shares) in enumerate(moves, start=32):
        try:
            if move in ("buy", "sell"):
                place.order(move, shares, symbol)
            elif move == "limit":
                place.order("buy", shares, symbol, "limit", limit_price="9.50")
            elif move == "stop":
                place.order("sell", shares, symbol, "stop", stop_price="9.50")
            elif move == "cancel":
                place.exchange.cancel_all(place.at)
            elif move == "close":
                place.exchange.close_all(place.at, cancel_orders=False)
        except VenueError as refused:
            refusals.add(refused.http)
        place.exchange.settle(place.at)
        place.until(MONDAY, 9 + minute // 60, minute % 60)
        exchange = place.exchange
        signs = {"buy": -1, "sell": 1}
        moved = sum(
            (signs[u.order["side"]] * u.price * u.shares for u in place.updates if u.price and u.shares),
            Decimal(0),
        )
        assert exchange.account.cash == Decimal(100_000) + moved
        assert exchange.reserved() <= max(exchange.account.cash, Decimal(0)) + Decimal(500)
        for position in exchange.account.positions.values():
            assert 0 <= exchange.held_for_orders(position.symbol) <= position.shares
    place.until(MONDAY, 16, 0)
    assert not place.exchange.open_orders
    assert refusals <= {403, 422}


def test_a_limit_counts_the_requests_of_a_wall_minute_as_alpaca_does(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("engine.simulator.server.time.time", lambda: now[0])
    limit = RateLimit(2)
    assert [limit.take() for _ in range(3)] == [True, True, False]
    assert limit.headers() == {
        "X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000061",
    }  # fmt: skip
    now[0] += 59.9
    assert not limit.take()
    now[0] += 0.2
    assert limit.take()
    assert inspect.signature(start_process).parameters["limit_window_s"].default == limit.window_s == 60.0
    assert {f.name: f.default for f in dataclasses.fields(VenueOptions)}["limit_window_s"] == 60.0
