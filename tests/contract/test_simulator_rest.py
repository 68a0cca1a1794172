"""The simulator's REST answers, read by the unmodified alpaca-py clients (Friday evening, market shut)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import NewsClient, StockHistoricalDataClient
from alpaca.data.requests import (
    NewsRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import AssetClass, AssetStatus
from alpaca.trading.requests import GetAssetsRequest, GetCalendarRequest

from engine.simulator import Simulator, start

HISTORY = datetime(2026, 8, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def trading(sim: Simulator) -> TradingClient:
    return TradingClient(sim.key, sim.secret, url_override=sim.rest_url)


@pytest.fixture(scope="module")
def data(sim: Simulator) -> StockHistoricalDataClient:
    return StockHistoricalDataClient(sim.key, sim.secret, url_override=sim.rest_url)


@pytest.fixture(scope="module")
def symbols(trading: TradingClient) -> list[str]:
    assets = trading.get_all_assets(GetAssetsRequest(status=AssetStatus.ACTIVE, asset_class=AssetClass.US_EQUITY))
    return [a.symbol for a in assets if a.tradable and "." not in a.symbol and not a.attributes]


def raw(sim: Simulator, path: str, **query: str) -> Any:
    keys = {"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": sim.secret}
    return requests.get(sim.rest_url + path, params=query, headers=keys, timeout=60)


# --- trading ----------------------------------------------------------------------------------


def test_the_account_has_its_cash_no_leverage_and_no_shorts(trading: TradingClient) -> None:
    account = trading.get_account()
    assert (account.cash, account.buying_power, account.equity) == ("100000.00",) * 3
    assert (account.multiplier, account.shorting_enabled, account.status.value) == ("1", False, "ACTIVE")
    configuration = trading.get_account_configurations()
    assert (configuration.max_margin_multiplier, configuration.no_shorting) == ("1", True)


def test_every_asset_parses_and_filters_by_status(trading: TradingClient) -> None:
    every = trading.get_all_assets()
    active = trading.get_all_assets(GetAssetsRequest(status=AssetStatus.ACTIVE))
    assert len(every) == 60
    assert {a.symbol for a in every if a.status is AssetStatus.ACTIVE} == {a.symbol for a in active}
    assert 0 < len(active) < 60


def test_one_asset_is_found_by_symbol_or_id_and_an_unknown_one_is_404(trading: TradingClient) -> None:
    listed = trading.get_all_assets()[0]
    assert trading.get_asset(listed.symbol).id == trading.get_asset(str(listed.id)).id
    with pytest.raises(APIError) as caught:
        trading.get_asset("NOSUCH")
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_the_clock_starts_after_the_close_of_the_starting_date(trading: TradingClient, sim: Simulator) -> None:
    clock = trading.get_clock()
    assert not clock.is_open
    assert clock.timestamp.isoformat()[:13] == "2026-11-20T16"
    assert clock.next_open.isoformat() == "2026-11-23T09:30:00-05:00"
    assert clock.next_close.isoformat() == "2026-11-23T16:00:00-05:00"
    assert raw(sim, "/v2/clock").json()["rate"] == 1.0


def test_the_calendar_of_thanksgiving_week_has_a_holiday_and_a_half_day(trading: TradingClient) -> None:
    days = trading.get_calendar(GetCalendarRequest(start=date(2026, 11, 23), end=date(2026, 11, 30)))
    assert [d.date.day for d in days] == [23, 24, 25, 27, 30]
    assert [d.close.hour for d in days] == [16, 16, 16, 13, 16]
    assert days[0].open.hour * 60 + days[0].open.minute == 9 * 60 + 30


def test_there_are_no_orders_and_no_positions_at_first(trading: TradingClient) -> None:
    assert trading.get_all_positions() == []
    assert trading.get_orders() == []
    assert trading.cancel_orders() == []
    with pytest.raises(APIError) as caught:
        trading.get_open_position("NOSUCH")
    assert caught.value.status_code == 404


# --- market data ------------------------------------------------------------------------------


def test_paging_by_a_small_limit_gives_the_same_bars_as_one_page(sim: Simulator, symbols: list[str]) -> None:
    whole = _pages(sim, symbols[:6], 10_000)
    assert len(whole) == 1
    pages = _pages(sim, symbols[:6], 50)
    assert len(pages) > 5
    assert all(sum(map(len, page.values())) == 50 for page in pages[:-1])
    merged: dict[str, list[Any]] = {}
    for page in pages:
        for symbol, bars in page.items():
            merged.setdefault(symbol, []).extend(bars)
    assert merged == whole[0]
    newest = _pages(sim, symbols[:6], 50, sort="desc")
    backwards: dict[str, list[Any]] = {}
    for page in newest:
        for symbol, bars in page.items():
            backwards.setdefault(symbol, []).extend(bars)
    assert {s: b[::-1] for s, b in backwards.items()} == whole[0]


def _pages(sim: Simulator, symbols: list[str], limit: int, **more: str) -> list[dict[str, list[Any]]]:
    pages, token = [], ""
    while True:
        query = {
            "symbols": ",".join(symbols),
            "timeframe": "1Day",
            "start": HISTORY.isoformat(),
            "limit": str(limit),
        }
        if token:
            query["page_token"] = token
        body = raw(sim, "/v2/stocks/bars", **query, **more).json()
        pages.append(body["bars"])
        token = body["next_page_token"]
        if not token:
            return pages


def test_daily_bars_parse_are_stamped_midnight_new_york_and_end_with_the_closed_session(
    data: StockHistoricalDataClient, symbols: list[str]
) -> None:
    asked = StockBarsRequest(
        symbol_or_symbols=symbols[:3],
        timeframe=TimeFrame.Day,
        start=HISTORY,
        adjustment=Adjustment.SPLIT,
        feed=DataFeed.SIP,
    )
    bars = data.get_stock_bars(asked).data
    for series in bars.values():
        assert series[-1].timestamp == datetime(2026, 11, 20, 5, tzinfo=UTC)
        assert series[0].timestamp == datetime(2026, 8, 3, 4, tzinfo=UTC)
        assert all(b.low <= b.vwap <= b.high and b.volume > 0 for b in series)


def test_the_sdk_pages_on_with_the_remainder_of_its_own_limit(
    data: StockHistoricalDataClient, symbols: list[str]
) -> None:
    asked = StockBarsRequest(symbol_or_symbols=symbols[:4], timeframe=TimeFrame.Day, start=HISTORY, limit=100)
    assert sum(len(series) for series in data.get_stock_bars(asked).data.values()) == 100


def test_a_symbol_without_data_is_absent_and_no_data_at_all_is_an_empty_object(sim: Simulator) -> None:
    body = raw(sim, "/v2/stocks/bars", symbols="NOSUCH", timeframe="1Day", start="2026-11-01").json()
    assert (body["bars"], body["next_page_token"]) == ({}, None)


def test_bars_of_the_future_are_never_given(sim: Simulator, symbols: list[str]) -> None:
    body = raw(
        sim, "/v2/stocks/bars", symbols=symbols[0], timeframe="1Day", start="2026-11-19", end="2026-12-31"
    ).json()
    assert [b["t"] for b in body["bars"][symbols[0]]] == ["2026-11-19T05:00:00Z", "2026-11-20T05:00:00Z"]


def test_minute_bars_of_a_session_add_up_to_its_daily_bar(
    data: StockHistoricalDataClient, symbols: list[str]
) -> None:
    def asked(frame: TimeFrame) -> Any:
        begin, end = datetime(2026, 11, 20, 0, tzinfo=UTC), datetime(2026, 11, 20, 22, tzinfo=UTC)
        request = StockBarsRequest(symbol_or_symbols=symbols[0], timeframe=frame, start=begin, end=end)
        return data.get_stock_bars(request).data[symbols[0]]

    minutes, (day,) = asked(TimeFrame.Minute), asked(TimeFrame.Day)
    assert len(minutes) == 390
    assert (minutes[0].open, minutes[-1].close) == (day.open, day.close)
    assert (max(m.high for m in minutes), min(m.low for m in minutes)) == (day.high, day.low)


def test_snapshots_and_latest_prices_after_the_close_are_those_of_the_close(
    data: StockHistoricalDataClient, symbols: list[str]
) -> None:
    names = symbols[:5]
    shots = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=names))
    trades = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=names))
    quotes = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=names))
    bars = data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=names))
    assert len(shots) == 5
    for symbol in names:
        shot = shots[symbol]
        assert shot.latest_trade.price == trades[symbol].price == shot.daily_bar.close == bars[symbol].close
        assert shot.latest_trade.timestamp == datetime(2026, 11, 20, 21, tzinfo=UTC)
        assert shot.previous_daily_bar.timestamp < shot.daily_bar.timestamp
        assert quotes[symbol].bid_price < quotes[symbol].ask_price
        assert quotes[symbol].bid_price <= trades[symbol].price <= quotes[symbol].ask_price


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "10001"}, "invalid limit: larger than the allowed maximum of 10000"),
        ({"adjustment": "none"}, "invalid adjustment: none"),
        ({"timeframe": "1Fortnight"}, "invalid timeframe"),
        ({"symbols": "a b"}, "invalid symbol"),
        ({"start": "yesterday"}, "invalid start"),
        ({"feed": "wire"}, "invalid feed"),
        ({"page_token": "?"}, "invalid page_token"),
    ],
)
def test_a_wrong_question_is_400_with_a_message_only(sim: Simulator, query: dict[str, str], message: str) -> None:
    response = raw(sim, "/v2/stocks/bars", **({"symbols": "AAAA", "timeframe": "1Day"} | query))
    assert response.status_code == 400
    assert list(response.json()) == ["message"]
    assert message in response.json()["message"]


def test_news_pages_newest_first_without_repeating_and_never_from_the_future(sim: Simulator) -> None:
    client = NewsClient(sim.key, sim.secret, url_override=sim.rest_url)
    request = NewsRequest(
        start=datetime(2026, 10, 20, tzinfo=UTC), end=datetime(2026, 12, 31, tzinfo=UTC), limit=120
    )
    articles = client.get_news(request).data["news"]
    assert len({a.id for a in articles}) == len(articles) == 120
    times = [a.created_at for a in articles]
    assert times == sorted(times, reverse=True)
    assert times[0] <= datetime(2026, 11, 20, 22, tzinfo=UTC)


# --- border -----------------------------------------------------------------------------------


def test_wrong_keys_are_401_unauthorized(sim: Simulator) -> None:
    with pytest.raises(APIError) as caught:
        TradingClient(sim.key, "wrong", url_override=sim.rest_url).get_account()
    assert caught.value.status_code == 401
    assert "unauthorized." in str(caught.value)


def test_every_answer_carries_the_rate_limit_and_one_too_many_is_429(tmp_path: Path) -> None:
    with start(date=date(2026, 11, 20), symbols=50, folder=tmp_path, trading_limit=3) as small:
        answers = [raw(small, "/v2/clock") for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        assert [a.headers["X-RateLimit-Remaining"] for a in answers] == ["2", "1", "0", "0"]
        assert answers[3].headers["X-RateLimit-Limit"] == "3"
        assert answers[3].json() == {"message": "too many requests."}
        data = raw(small, "/v2/stocks/trades/latest", symbols="AAAA")
        assert data.status_code == 200  # the data budget is another one


def test_an_unknown_path_is_404_in_json(sim: Simulator) -> None:
    response = raw(sim, "/v2/nothing")
    assert (response.status_code, response.json()["code"]) == (404, 40410000)


def test_a_thousand_symbols_fit_one_request(sim: Simulator) -> None:
    names = ",".join(f"Q{i:04d}" for i in range(5000))
    assert raw(sim, "/v2/stocks/bars", symbols=names, timeframe="1Day").status_code == 200
