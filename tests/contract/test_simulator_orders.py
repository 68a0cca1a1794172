"""Orders against the simulator with the unmodified alpaca-py TradingClient: before, in and after the session."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)

from engine.errors import OperatorError
from engine.simulator import Simulator, start

NEW_YORK_OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)  # Monday 09:30
HALF_DAY_CLOSE = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)  # Friday 13:00


class Desk:
    """One simulator and the client that trades on it."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.client = TradingClient(sim.key, sim.secret, url_override=sim.rest_url)
        self.client._retry = 0  # the SDK's own repeats would hide what the venue answers
        self.symbols = [a.symbol for a in self.client.get_all_assets() if a.tradable and not a.attributes]
        shots = self._raw("/v2/stocks/snapshots", symbols=",".join(self.symbols))
        self.prices = {s: Decimal(str(shots[s]["latestTrade"]["p"])) for s in self.symbols if s in shots}
        # Whole-dollar names that trade every day of the test week, cheapest first.
        bars = self._raw(
            "/v2/stocks/bars", symbols=",".join(self.prices), timeframe="1Day", start="2026-10-01", limit="10000"
        )["bars"]
        full = max(len(b) for b in bars.values())
        self.liquid = sorted(
            (s for s in bars if len(bars[s]) == full and self.prices[s] > 3), key=self.prices.__getitem__
        )
        self._free = iter(self.liquid)

    def _raw(self, path: str, **query: str) -> Any:
        keys = {"APCA-API-KEY-ID": self.sim.key, "APCA-API-SECRET-KEY": self.sim.secret}
        return requests.get(self.sim.rest_url + path, params=query, headers=keys, timeout=60).json()

    def symbol(self) -> str:
        """A liquid symbol that no other test has used."""
        return next(self._free)

    def buy(self, symbol: str, qty: float = 10, **more: Any) -> Order:
        return self._order(symbol, OrderSide.BUY, qty, more)

    def sell(self, symbol: str, qty: float = 10, **more: Any) -> Order:
        return self._order(symbol, OrderSide.SELL, qty, more)

    def _order(self, symbol: str, side: OrderSide, qty: float, more: dict[str, Any]) -> Order:
        kind = (
            LimitOrderRequest
            if "limit_price" in more
            else StopOrderRequest
            if "stop_price" in more
            else MarketOrderRequest
        )
        body = {"symbol": symbol, "qty": qty, "side": side, "time_in_force": TimeInForce.DAY} | more
        order = self.client.submit_order(kind(**body))
        assert isinstance(order, Order)
        return order

    def wait(self, order: Order, *statuses: OrderStatus) -> Order:
        return eventually(
            lambda: self.client.get_order_by_id(order.id),
            lambda o: o.status in statuses,
            f"{order.symbol} {statuses}",
        )

    def held(self, symbol: str, qty: float = 10) -> None:
        self.wait(self.buy(symbol, qty), OrderStatus.FILLED)


def eventually(read: Callable[[], Any], true: Callable[[Any], bool], what: str) -> Any:
    """Reads until the answer fits; fails after 60 s of wall time."""
    deadline = time.monotonic() + 60
    while not true(answer := read()):
        assert time.monotonic() < deadline, f"never: {what}; last {answer}"
        time.sleep(0.02)
    return answer


def refused(call: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
    with pytest.raises(APIError) as caught:
        call()
    return caught.value.status_code, json.loads(str(caught.value))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Monday shortly after the open, running in real time."""
    folder = tmp_path_factory.mktemp("desk")
    with start(date=date(2026, 11, 20), symbols=120, folder=folder, trading_limit=10**6, cash=10**6) as sim:
        place = Desk(sim)
        sim.clock(jump_to=NEW_YORK_OPEN + timedelta(minutes=1))
        yield place


@pytest.fixture
def evening(tmp_path: Path) -> Iterator[Desk]:
    """A fresh simulator on Friday evening."""
    with start(date=date(2026, 11, 20), symbols=60, folder=tmp_path, trading_limit=10**6) as sim:
        yield Desk(sim)


# --- the life of an order ---------------------------------------------------------------------


def test_four_orders_before_the_open_are_accepted_and_fill_at_it_in_a_flat_account(evening: Desk) -> None:
    evening.sim.clock(jump_to=NEW_YORK_OPEN - timedelta(seconds=30))
    orders = [evening.buy(s, 20, client_order_id=f"tsh-{s}") for s in evening.liquid[:4]]
    assert [o.status for o in orders] == [OrderStatus.ACCEPTED] * 4
    account = evening.client.get_account()
    reserved = sum(20 * evening.prices[s] for s in evening.liquid[:4])
    assert Decimal(account.buying_power) == 100_000 - reserved
    with pytest.raises(OperatorError, match="no jump over trading hours while orders are open"):
        evening.sim.clock(jump_to=NEW_YORK_OPEN + timedelta(hours=1))
    evening.sim.clock(rate=300)
    for order in orders:
        filled = evening.wait(order, OrderStatus.FILLED)
        bars = evening._raw("/v2/stocks/bars", symbols=order.symbol, timeframe="1Day", start="2026-11-23")["bars"]
        assert Decimal(filled.filled_avg_price) == Decimal(str(bars[order.symbol][0]["o"]))
        assert filled.filled_at == NEW_YORK_OPEN
    answers = evening.client.close_all_positions(cancel_orders=True)
    assert [a.status for a in answers] == [200] * 4
    eventually(evening.client.get_all_positions, lambda held: held == [], "flat")
    account = evening.client.get_account()
    assert account.cash == account.equity == account.buying_power


def test_a_market_order_in_the_session_fills_whole_at_the_ask_and_shows_as_a_position(desk: Desk) -> None:
    symbol = desk.symbol()
    order = desk.buy(symbol, 7)
    assert order.status is OrderStatus.PENDING_NEW
    filled = desk.wait(order, OrderStatus.FILLED)
    position = desk.client.get_open_position(symbol)
    assert (position.qty, position.qty_available) == ("7", "7")
    assert Decimal(position.avg_entry_price) == Decimal(filled.filled_avg_price)
    assert Decimal(position.market_value) == 7 * Decimal(position.current_price)
    assert str(position.asset_id) == str(desk.client.get_asset(symbol).id)


def test_limit_and_stop_orders_rest_until_the_market_reaches_them(desk: Desk) -> None:
    symbol = desk.symbol()
    desk.held(symbol)
    low = round(float(desk.prices[symbol]) / 2, 2)
    stop = desk.sell(symbol, stop_price=low)
    assert (stop.type, float(stop.stop_price)) == (OrderType.STOP, low)
    desk.wait(stop, OrderStatus.NEW)
    assert [o.id for o in desk.client.get_orders(GetOrdersRequest(symbols=[symbol]))] == [stop.id]
    assert desk.client.get_open_position(symbol).qty_available == "0"
    desk.client.cancel_order_by_id(stop.id)
    desk.wait(stop, OrderStatus.CANCELED)
    assert desk.client.get_open_position(symbol).qty_available == "10"


def test_an_order_is_found_by_its_client_id_which_is_taken_once(desk: Desk) -> None:
    symbol = desk.symbol()
    order = desk.buy(symbol, client_order_id=f"mine-{symbol}", limit_price=1.01)
    assert desk.client.get_order_by_client_id(f"mine-{symbol}").id == order.id
    assert (
        desk.client.get_order_by_id(order.id, GetOrderByIdRequest(nested=True)).client_order_id == f"mine-{symbol}"
    )
    status, body = refused(lambda: desk.buy(symbol, client_order_id=f"mine-{symbol}", limit_price=1.02))
    assert (status, body["code"], body["message"]) == (422, 40010001, "client_order_id must be unique")
    assert refused(lambda: desk.client.get_order_by_client_id("never-sent"))[0] == 404


def test_a_replaced_order_is_a_new_order(desk: Desk) -> None:
    symbol = desk.symbol()
    order = desk.wait(desk.buy(symbol, limit_price=1.01), OrderStatus.NEW)
    fresh = desk.client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=1.02, qty=11))
    assert (str(fresh.replaces), fresh.qty, fresh.limit_price) == (str(order.id), "11", "1.02")
    assert desk.client.get_order_by_id(order.id).status is OrderStatus.REPLACED


def test_cancel_is_204_then_canceled_and_422_for_a_filled_order(desk: Desk) -> None:
    symbol = desk.symbol()
    filled = desk.wait(desk.buy(symbol), OrderStatus.FILLED)
    status, body = refused(lambda: desk.client.cancel_order_by_id(filled.id))
    assert (status, body["code"]) == (422, 42210000)
    assert 'already in "filled" state' in body["message"]
    assert refused(lambda: desk.client.cancel_order_by_id("00000000-0000-0000-0000-000000000000"))[0] == 404


def test_cancel_all_is_207_with_one_entry_an_order_and_may_be_mixed(evening: Desk) -> None:
    first, second = (evening.buy(s, limit_price=1.01) for s in evening.liquid[:2])
    evening.sim.fault("refuse_cancel", symbol=second.symbol)
    answers = evening.client.cancel_orders()
    assert {str(a.id): a.status for a in answers} == {str(first.id): 200, str(second.id): 500}
    evening.wait(first, OrderStatus.CANCELED)
    assert evening.client.get_order_by_id(second.id).status is OrderStatus.ACCEPTED
    closed = evening.client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [o.id for o in closed] == [first.id]


def test_positions_close_whole_or_by_a_percentage(desk: Desk) -> None:
    symbol = desk.symbol()
    desk.held(symbol, 10)
    part = desk.client.close_position(symbol, ClosePositionRequest(percentage="40"))
    assert part.qty == "4"
    desk.wait(part, OrderStatus.FILLED)
    rest = desk.client.close_position(symbol)
    assert (rest.qty, rest.side) == ("6", OrderSide.SELL)
    desk.wait(rest, OrderStatus.FILLED)
    assert refused(lambda: desk.client.close_position(symbol))[0] == 404


# --- refusals ---------------------------------------------------------------------------------


def test_too_large_an_order_is_403_with_what_it_costs(desk: Desk) -> None:
    symbol = desk.symbol()
    status, body = refused(lambda: desk.buy(symbol, 10**7, limit_price=2.0))
    assert (status, body["code"], body["message"]) == (403, 40310000, "insufficient buying power")
    assert body["cost_basis"] == "20000000.00"


def test_a_double_exit_is_403_with_the_shares_that_are_held(desk: Desk) -> None:
    symbol = desk.symbol()
    desk.held(symbol, 10)
    desk.sell(symbol, 10, stop_price=1.01)
    status, body = refused(lambda: desk.sell(symbol, 5))
    assert (status, body["code"]) == (403, 40310000)
    assert body["message"] == "insufficient qty available for order (requested: 5, available: 0)"
    assert (body["symbol"], body["existing_qty"], body["held_for_orders"], body["available"]) == (
        symbol,
        "10",
        "10",
        "0",
    )


def test_flattening_over_a_pending_buy_is_a_wash_trade(desk: Desk) -> None:
    symbol = desk.symbol()
    desk.held(symbol, 10)
    pending = desk.buy(symbol, 5, limit_price=1.01)
    status, body = refused(lambda: desk.client.close_position(symbol))
    assert (status, body["existing_order_id"]) == (403, str(pending.id))
    assert body["message"] == "potential wash trade detected. use complex orders"
    entries = {e.symbol: e for e in desk.client.close_all_positions(cancel_orders=False)}
    assert entries[symbol].status == 403
    assert {e.status for e in entries.values()} == {200, 403}


def test_sub_penny_prices_and_shorts_are_422(desk: Desk) -> None:
    symbol = desk.symbol()
    assert "sub-penny" in refused(lambda: desk.buy(symbol, limit_price=9.123))[1]["message"]
    assert "cannot be sold short" in refused(lambda: desk.sell(symbol))[1]["message"]
    assert refused(lambda: desk.buy("NOSUCH"))[1]["code"] == 42210000


# --- faults -----------------------------------------------------------------------------------


def test_an_order_accepted_behind_a_504_is_found_by_its_client_id_and_is_one_order(desk: Desk) -> None:
    symbol = desk.symbol()
    desk.sim.fault("answer_after_accept", method="POST", path="/v2/orders", status=504)
    with pytest.raises(APIError) as caught:
        desk.buy(symbol, client_order_id=f"lost-{symbol}", limit_price=1.01)
    assert caught.value.status_code == 504
    assert desk.client.get_order_by_client_id(f"lost-{symbol}").symbol == symbol
    assert len(desk.client.get_orders(GetOrdersRequest(symbols=[symbol], status=QueryOrderStatus.ALL))) == 1


@pytest.mark.parametrize("status", [401, 429, 500, 504])
def test_a_request_answered_with_an_error_never_reached_the_venue(desk: Desk, status: int) -> None:
    symbol = desk.symbol()
    desk.sim.fault("answer", method="POST", path="/v2/orders", status=status)
    with pytest.raises(APIError) as caught:
        desk.buy(symbol, client_order_id=f"never-{symbol}", limit_price=1.01)
    assert caught.value.status_code == status
    assert refused(lambda: desk.client.get_order_by_client_id(f"never-{symbol}"))[0] == 404


def test_an_order_can_be_rejected_a_moment_after_it_was_taken(desk: Desk) -> None:
    symbol = desk.symbol()
    desk.sim.fault("reject_order", symbol=symbol)
    order = desk.buy(symbol)
    assert order.status is OrderStatus.PENDING_NEW
    assert desk.wait(order, OrderStatus.REJECTED).failed_at is not None


def test_a_bracket_goes_through_the_client_and_its_legs_come_nested(desk: Desk) -> None:
    symbol = desk.symbol()
    far, near = float(round(desk.prices[symbol] * 2)), float(round(desk.prices[symbol] / 2))
    group = MarketOrderRequest(
        symbol=symbol,
        qty=10,
        side=OrderSide.BUY,
        time_in_force=TimeInForce.DAY,
        order_class=OrderClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=far),
        stop_loss=StopLossRequest(stop_price=near),
    )
    parent = desk.client.submit_order(group)
    assert isinstance(parent, Order)
    assert parent.order_class is OrderClass.BRACKET
    assert [leg.status for leg in parent.legs or []] == [OrderStatus.HELD, OrderStatus.HELD]
    profit, stop = (desk.wait(leg, OrderStatus.NEW) for leg in parent.legs or [])
    assert (profit.order_type, stop.order_type) == (OrderType.LIMIT, OrderType.STOP)
    listed = desk.client.get_orders(GetOrdersRequest(symbols=[symbol], status=QueryOrderStatus.ALL, nested=True))
    assert [(order.id, len(order.legs)) for order in listed] == [(parent.id, 2)]
    flat = desk.client.get_orders(GetOrdersRequest(symbols=[symbol], status=QueryOrderStatus.ALL))
    assert {order.id for order in flat} == {parent.id, profit.id, stop.id}
    desk.client.cancel_order_by_id(stop.id)
    assert desk.wait(profit, OrderStatus.CANCELED).id == profit.id
    assert int(desk.client.get_open_position(symbol).qty_available) == 10


def test_a_trailing_stop_goes_through_the_client_and_can_be_replaced(desk: Desk) -> None:
    symbol = desk.symbol()
    desk.held(symbol)
    wanted = TrailingStopOrderRequest(
        symbol=symbol, qty=10, side=OrderSide.SELL, time_in_force=TimeInForce.DAY, trail_percent=40
    )
    order = desk.client.submit_order(wanted)
    assert isinstance(order, Order)
    resting = eventually(
        lambda: desk.client.get_order_by_id(order.id), lambda o: o.hwm is not None, "a high-water mark"
    )
    assert Decimal(resting.stop_price) == (Decimal(resting.hwm) * Decimal("0.6")).quantize(Decimal("0.01"))
    fresh = desk.client.replace_order_by_id(order.id, ReplaceOrderRequest(trail=30))
    assert (fresh.order_type, Decimal(fresh.trail_percent)) == (OrderType.TRAILING_STOP, 30)
    assert fresh.replaces == order.id
    desk.client.cancel_order_by_id(fresh.id)
    desk.wait(fresh, OrderStatus.CANCELED)


def test_a_fault_that_makes_no_sense_is_refused(desk: Desk) -> None:
    with pytest.raises(OperatorError, match="a fault needs a kind"):
        desk.sim.fault("earthquake")
    with pytest.raises(OperatorError, match="unknown fault argument"):
        desk.sim.fault("answer", colour="red")


# --- days -------------------------------------------------------------------------------------


def test_on_the_half_day_a_day_order_expires_at_13(evening: Desk) -> None:
    evening.sim.clock(jump_to=HALF_DAY_CLOSE - timedelta(minutes=10))
    order = evening.wait(evening.buy(evening.liquid[0], limit_price=1.01), OrderStatus.NEW)
    evening.sim.clock(rate=1000)
    assert evening.sim.state()["clock"]["rate"] == 300  # capped while an order is open
    expired = evening.wait(order, OrderStatus.EXPIRED)
    assert expired.expired_at == HALF_DAY_CLOSE
    eventually(evening.sim.state, lambda s: s["clock"]["rate"] == 1000, "uncapped when nothing is open")


def test_a_jump_over_days_rolls_them_over_and_time_never_goes_back(evening: Desk) -> None:
    clock = evening.sim.clock(jump_to=datetime(2026, 11, 30, 14, 0, tzinfo=UTC))
    assert clock["next_open"] == "2026-11-30T09:30:00-05:00"
    symbol = evening.liquid[0]
    bars = evening._raw("/v2/stocks/bars", symbols=symbol, timeframe="1Day", start="2026-11-23")["bars"][symbol]
    assert len(bars) == 4
    with pytest.raises(OperatorError, match="never goes backwards"):
        evening.sim.clock(jump_to=NEW_YORK_OPEN)


def test_the_clock_waits_at_a_hold_until_it_is_cleared(evening: Desk) -> None:
    deadline = NEW_YORK_OPEN - timedelta(minutes=5)
    evening.sim.clock(hold_at=deadline, jump_to=deadline - timedelta(minutes=1), rate=1000)
    held = eventually(lambda: evening.sim.state()["clock"], lambda c: c["rate"] == 0, "held")
    assert datetime.fromisoformat(held["timestamp"]) == deadline
    freed = evening.sim.clock(hold_at=None, rate=1)
    assert freed["rate"] == 1


# --- the log ----------------------------------------------------------------------------------


def test_the_log_has_every_order_request_with_its_receive_time_and_every_fill(evening: Desk) -> None:
    evening.sim.clock(jump_to=NEW_YORK_OPEN + timedelta(minutes=1))
    before = datetime.now(UTC)
    evening.wait(evening.buy(evening.liquid[0], client_order_id="logged"), OrderStatus.FILLED)
    refused(lambda: evening.buy(evening.liquid[0], client_order_id="logged"))
    lines = [e for e in evening.sim.log() if "logged" in json.dumps(e)]
    requests_seen = [e for e in lines if e["kind"] == "request"]
    assert [e["http"] for e in requests_seen] == [200, 422]
    received = datetime.fromisoformat(requests_seen[0]["received_at"])
    assert before <= received <= datetime.now(UTC)
    assert requests_seen[0]["body"]["client_order_id"] == "logged"
    (fill,) = [e for e in lines if e["kind"] == "fill"]
    assert fill["qty"] == "10"
