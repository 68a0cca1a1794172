"""The broker border without a network: parsing, the request budget, the market clock, keys."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.broker import answers, wire
from engine.broker.broker_types import BrokerOrder, ClockReading
from engine.broker.clock import MarketClock
from engine.broker.credentials import Credentials, load_credentials
from engine.broker.endpoints import Endpoints, is_loopback
from engine.broker.errors import AuthRefused
from engine.broker.rate_limit import RequestBudget
from engine.errors import OperatorError, UsageError
from engine.model import Mode
from engine.settings import BrokerSettings

NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def reading(at: datetime, rate: float = 1.0, hold_at: datetime | None = None) -> ClockReading:
    return ClockReading(at, True, NOON + timedelta(days=1), NOON + timedelta(hours=4), rate, hold_at)


# --- parsing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["inf", "NaN", "1" * 60, "1e999999", True, None, [], "ten", 1e300, float("inf")])
def test_what_is_not_a_bounded_finite_number_is_refused(bad: object) -> None:
    with pytest.raises(wire.MalformedAnswer):
        wire.number(bad, "price")


@pytest.mark.parametrize("bad", ["2026-11-23T10:00:00", "yesterday", 7, None, "2026" * 20])
def test_a_time_without_an_offset_or_sense_is_refused(bad: object) -> None:
    with pytest.raises(wire.MalformedAnswer):
        wire.instant(bad, "t")


def test_times_with_nanoseconds_and_offsets_become_utc() -> None:
    assert wire.instant("2026-11-23T12:00:00.123456789-05:00", "t") == NOON.replace(microsecond=123456)
    assert wire.instant("2026-11-23T17:00:00Z", "t") == NOON


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.floats(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_in_place_of_an_order_is_an_order_or_malformed(raw: object) -> None:
    with pytest.raises(wire.MalformedAnswer):
        BrokerOrder.parse(wire.record(raw, "order"))


def test_a_calendar_day_is_new_york_time_in_utc() -> None:
    days = answers.sessions(
        [
            {"date": "2026-11-27", "open": "09:30", "close": "13:00"},
            {"date": "2026-07-01", "open": "09:30", "close": "16:00"},
        ]
    )
    assert [d.open.hour for d in days] == [13, 14]  # summer, winter
    assert days[1].close == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)


def test_the_session_of_a_daily_bar_is_its_new_york_date() -> None:
    bar = {"o": 1, "h": 2, "l": 1, "c": 2, "v": 10}
    page = {"bars": {"A": [bar | {"t": "2026-11-23T05:00:00Z"}, bar | {"t": "2026-07-01T04:00:00Z"}]}}
    assert [str(b.session) for b in answers.bars(page)] == ["2026-11-23", "2026-07-01"]


# --- the request budget --------------------------------------------------------------------------


def test_the_reserve_is_only_for_exits() -> None:
    hand = Hand()
    budget = RequestBudget(10, 4, monotonic=hand)
    for _ in range(6):
        assert budget.wait_s() == 0
        budget.take()
    assert budget.wait_s() > 0
    assert budget.wait_s(is_exit=True) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_no_minute_ever_sees_more_than_two_fillings(steps: list[tuple[float, bool]]) -> None:
    hand = Hand()
    budget = RequestBudget(20, 5, monotonic=hand)
    sent: list[float] = []
    for pause, is_exit in steps:
        hand.now += pause
        if budget.wait_s(is_exit=is_exit) == 0:
            budget.take()
            sent.append(hand.now)
    for start in sent:
        assert sum(start <= s < start + 60 for s in sent) <= 40


def test_the_brokers_own_count_corrects_ours() -> None:
    budget = RequestBudget(200, monotonic=Hand())
    budget.learn({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "3"})
    assert (budget.per_minute, budget.available) == (100, 3)
    budget.learn({"X-RateLimit-Limit": "junk", "X-RateLimit-Remaining": "-1"})
    assert budget.per_minute == 100


def test_the_limit_rises_with_the_headers_up_to_the_ceiling() -> None:
    budget = RequestBudget(200, monotonic=Hand(), ceiling=1000)
    budget.learn({"X-RateLimit-Limit": "10000", "X-RateLimit-Remaining": "9999"})
    assert (budget.per_minute, budget.available) == (1000, 1000)


def test_after_a_429_nothing_goes_before_the_window_resets() -> None:
    hand = Hand()
    budget = RequestBudget(200, monotonic=hand, wall=lambda: 5000.0)
    assert budget.refused({"X-RateLimit-Reset": "5007", "X-RateLimit-Remaining": "0"}) == 7
    assert budget.wait_s() == pytest.approx(7)
    hand.now += 8
    assert budget.wait_s() == 0


def test_an_exit_probes_soon_after_a_429() -> None:
    hand = Hand()
    budget = RequestBudget(200, monotonic=hand, wall=lambda: 5000.0)
    budget.refused({"X-RateLimit-Reset": "5060", "X-RateLimit-Limit": "200"})
    assert budget.wait_s(is_exit=True) == pytest.approx(2)
    hand.now += 3
    assert budget.wait_s(is_exit=True) == 0
    assert budget.wait_s() > 50


def test_a_429_with_requests_remaining_is_a_burst_and_passes_soon() -> None:
    budget = RequestBudget(200, monotonic=Hand(), wall=lambda: 5000.0)
    assert budget.refused({"X-RateLimit-Reset": "5058", "X-RateLimit-Remaining": "180"}) == 1


# --- market time ---------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(-100, 100), st.sampled_from([0.0, 1.0, 20.0, 300.0])), max_size=30
    )
)
def test_market_time_never_goes_backwards(story: list[tuple[float, float, float]]) -> None:
    hand = Hand()
    clock = MarketClock(monotonic=hand)
    clock.update(reading(NOON))
    seen = [clock.now()]
    for pause, error, rate in story:
        hand.now += pause
        seen.append(clock.now())
        clock.update(reading(seen[-1] + timedelta(seconds=error), rate))
        seen.append(clock.now())
    assert seen == sorted(seen)


def test_market_time_runs_at_the_announced_rate() -> None:
    hand = Hand()
    clock = MarketClock(monotonic=hand)
    clock.update(reading(NOON, 300.0))
    hand.now += 2
    assert clock.now() == NOON + timedelta(minutes=10)
    assert clock.seconds_until(NOON + timedelta(minutes=20)) == pytest.approx(2.0)


def test_market_time_stops_at_a_hold() -> None:
    hand = Hand()
    clock = MarketClock(monotonic=hand)
    clock.update(reading(NOON, 300.0, NOON + timedelta(minutes=1)))
    hand.now += 60
    assert clock.now() == NOON + timedelta(minutes=1)
    assert clock.seconds_until(NOON + timedelta(minutes=2)) == math.inf


def test_before_the_first_reading_there_is_no_market_time() -> None:
    with pytest.raises(OperatorError, match="not known yet"):
        MarketClock().now()


async def test_waiting_follows_a_jump() -> None:
    clock = MarketClock()
    clock.update(reading(NOON))
    import asyncio

    waiting = asyncio.create_task(clock.wait_until(NOON + timedelta(hours=1)))
    await asyncio.sleep(0)
    clock.update(reading(NOON + timedelta(hours=1)))
    await asyncio.wait_for(waiting, 60)


# --- keys and addresses --------------------------------------------------------------------------


def test_keys_of_the_environment_come_first_and_do_not_print() -> None:
    keys = load_credentials({"APCA_API_KEY_ID": "PKABCDEFGH", "APCA_API_SECRET_KEY": "sssh"})
    assert (keys.key, keys.secret) == ("PKABCDEFGH", "sssh")
    assert "PKABCDEFGH" not in repr(keys)
    assert "sssh" not in repr(keys)
    assert keys.masked == "PK...GH (environment)"


def test_one_key_of_two_is_named() -> None:
    with pytest.raises(AuthRefused, match="APCA_API_SECRET_KEY is missing"):
        load_credentials({"APCA_API_KEY_ID": "PKABCDEFGH"})


def test_missing_keys_tell_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_password", lambda service, name: None)
    with pytest.raises(AuthRefused, match=r"environment.*keyring set tsh-console"):
        load_credentials({})


def test_the_keyring_is_the_second_source(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s1"}
    monkeypatch.setattr(keyring, "get_password", lambda service, name: stored[name])
    assert load_credentials({}) == Credentials("PK1", "s1", "keyring")


def test_addresses_follow_the_mode_and_sim_needs_a_simulator() -> None:
    paper = Endpoints.of_settings(BrokerSettings(mode=Mode.PAPER))
    assert paper.trading_url == "https://paper-api.alpaca.markets"
    assert paper.price_stream_url.endswith("/v2/iex")
    live = Endpoints.of_settings(BrokerSettings(mode=Mode.LIVE, feed="sip", trading_url="https://x.example/"))
    assert (live.trading_url, live.price_stream_url[-7:]) == ("https://x.example", "/v2/sip")
    with pytest.raises(UsageError, match="start the engine"):
        Endpoints.of_settings(BrokerSettings(mode=Mode.SIM))
    assert is_loopback("ws://127.0.0.1:9/stream")
    assert not is_loopback("https://api.alpaca.markets")


def test_decimal_sums_survive_the_border() -> None:
    assert wire.number("51.44", "p") * 437 == Decimal("22479.28")


def test_an_article_without_a_number_or_a_date_does_not_cost_the_page() -> None:
    row = {"id": 1, "headline": "h", "symbols": ["A"], "created_at": "2026-11-20T12:00:00Z"}
    undated = {key: value for key, value in row.items() if key != "created_at"}
    found = answers.articles({"news": [{**undated, "id": 2}, row, {**row, "id": "x"}]})
    assert [(a.id, a.created_at.year) for a in found] == [(2, 1970), (1, 2026)]  # qual drops and counts "no date"
