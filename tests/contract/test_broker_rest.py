"""AlpacaRest against the simulator: typed answers, its retries, and what it never repeats."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from execution_rig import MARKET_DATE, credentials, endpoints, rest_of

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.broker.errors import (
    AuthRefused,
    BrokerUnavailable,
    DuplicateOrderId,
    OrderRefused,
    OrderUnknown,
    RateLimited,
    RequestRefused,
)
from engine.broker.simulator_control import SimulatorControl
from engine.orders_model import OrderIntent
from engine.settings import BrokerSettings
from engine.simulator import Simulator


@pytest.fixture
async def rest(sim: Simulator) -> AsyncIterator[AlpacaRest]:
    client = rest_of(sim)
    yield client
    sim.clear_faults()
    await client.cancel_all()
    await client.close()


@pytest.fixture
def ids() -> Iterator[str]:
    return (f"tsh-00000000-20261123-TEST-entry-{n}" for n in range(int(datetime.now().timestamp() * 1e6), 10**18))


@dataclass(frozen=True)
class Buying:
    symbol: str
    shares: int
    client_order_id: str
    limit: str = "6.00"

    def intent(self) -> OrderIntent:
        return OrderIntent(
            client_order_id=self.client_order_id,
            session=date(2026, 11, 23),
            symbol=self.symbol,
            side="buy",
            shares=self.shares,
            kind="limit",
            limit_price=Decimal(self.limit),
            stop_price=None,
            time_in_force="day",
            leg="entry",
            attempt=1,
            why="test",
            at=datetime.now(UTC),
        )


async def symbol_of(rest: AlpacaRest) -> str:
    return next(a.symbol for a in await rest.assets() if a.tradable and a.exchange == "NYSE")


async def test_account_clock_and_calendar_come_typed(rest: AlpacaRest) -> None:
    account = await rest.account()
    assert (account.status, account.equity, account.day_pnl) == ("ACTIVE", Decimal(100_000), 0)
    clock = await rest.clock()
    assert clock.at.tzinfo is not None
    assert not clock.is_open
    week = await rest.calendar(date(2026, 11, 23), date(2026, 11, 29))
    assert [s.day.day for s in week] == [23, 24, 25, 27]
    assert week[-1].close - week[-1].open == timedelta(hours=3.5)


async def test_daily_bars_are_whole_over_all_pages_and_every_request_is_counted(rest: AlpacaRest) -> None:
    symbols = [a.symbol for a in await rest.assets()]
    before = rest.bar_requests
    bars = await rest.daily_bars(symbols, date(2026, 1, 2), MARKET_DATE, "sip")
    assert rest.bar_requests - before == -(-len(bars) // 10_000)
    assert rest.bar_requests - before >= 2
    assert len({(b.symbol, b.session) for b in bars}) == len(bars)
    assert max(b.session for b in bars) == MARKET_DATE
    assert [b.fault() for b in bars if b.fault()] == []


async def test_quotes_and_trades_of_unknown_symbols_are_absent(rest: AlpacaRest) -> None:
    symbol = await symbol_of(rest)
    assert set(await rest.latest_quotes([symbol, "NOSUCH"])) == {symbol}
    assert set(await rest.latest_trades([symbol, "NOSUCH"])) == {symbol}
    assert await rest.latest_quotes([]) == {}


async def test_news_is_paged_to_its_end(rest: AlpacaRest) -> None:
    symbols = [a.symbol for a in await rest.assets()]
    articles = await rest.news(
        symbols, datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 20, 21, 30, tzinfo=UTC)
    )
    assert len(articles) > 50
    assert len({a.id for a in articles}) == len(articles)


async def test_reads_are_tried_again_after_server_errors_and_429(sim: Simulator, rest: AlpacaRest) -> None:
    sim.fault("answer", method="GET", path="/v2/account", status=504, times=2)
    assert (await rest.account()).status == "ACTIVE"
    sim.fault("answer", method="GET", path="/v2/account", status=429, times=1)
    assert (await rest.account()).status == "ACTIVE"


async def test_reads_give_up_with_one_plain_sentence(sim: Simulator, rest: AlpacaRest) -> None:
    sim.fault("answer", method="GET", path="/v2/account", status=500, times=50)
    with pytest.raises(BrokerUnavailable, match="answered 500 for the account"):
        await rest.account()


async def test_an_order_behind_a_504_is_sent_once_and_found_by_its_id(
    sim: Simulator, rest: AlpacaRest, ids: Iterator[str]
) -> None:
    order = Buying(await symbol_of(rest), 1, next(ids))
    sim.fault("answer_after_accept", method="POST", path="/v2/orders", status=504, times=1)
    with pytest.raises(OrderUnknown):
        await rest.submit(order.intent())
    found = await rest.order_by_client_id(order.client_order_id)
    assert found is not None
    assert [o.client_order_id for o in await rest.orders("all")].count(order.client_order_id) == 1


async def test_an_order_that_is_answered_late_is_in_doubt_not_refused(sim: Simulator, ids: Iterator[str]) -> None:
    impatient = rest_of(sim, timeout_s=0.3)
    order = Buying(await symbol_of(impatient), 1, next(ids))
    sim.fault("slow", method="POST", path="/v2/orders", seconds=1.0, times=1)
    with pytest.raises(OrderUnknown):
        await impatient.submit(order.intent())
    await impatient.close()


async def test_a_429_on_an_order_is_not_repeated(sim: Simulator, rest: AlpacaRest, ids: Iterator[str]) -> None:
    order = Buying(await symbol_of(rest), 1, next(ids))
    sim.fault("answer", method="POST", path="/v2/orders", status=429, times=1)
    before = rest.trading.requests
    with pytest.raises(RateLimited):
        await rest.submit(order.intent())
    assert rest.trading.requests == before + 1


async def test_a_second_order_with_the_same_id_is_told_apart(rest: AlpacaRest, ids: Iterator[str]) -> None:
    order = Buying(await symbol_of(rest), 1, next(ids))
    await rest.submit(order.intent())
    with pytest.raises(DuplicateOrderId):
        await rest.submit(order.intent())


async def test_too_little_buying_power_refuses_the_order_with_its_code(
    rest: AlpacaRest, ids: Iterator[str]
) -> None:
    order = Buying(await symbol_of(rest), 1_000_000, next(ids))
    with pytest.raises(OrderRefused, match="insufficient buying power") as refusal:
        await rest.submit(order.intent())
    assert (refusal.value.status, refusal.value.code) == (403, 40310000)
    assert await rest.order_by_client_id(order.client_order_id) is None


async def test_a_cancel_is_a_request_and_an_ended_order_says_so(rest: AlpacaRest, ids: Iterator[str]) -> None:
    placed = await rest.submit(Buying(await symbol_of(rest), 1, next(ids)).intent())
    assert await rest.cancel(placed.id)
    for _ in range(500):  # the terminal status comes a moment later
        again = await rest.order_by_client_id(placed.client_order_id)
        assert again is not None
        if again.ended:
            break
        await asyncio.sleep(0.02)
    assert again.status == "canceled"
    assert not await rest.cancel(placed.id)


async def test_wrong_keys_are_refused_with_how_to_set_them_and_without_the_keys(sim: Simulator) -> None:
    wrong = AlpacaRest(BrokerSettings(), endpoints(sim), Credentials("PKWRONGWRONG", "SECRETSECRET"))
    with pytest.raises(AuthRefused, match="APCA_API_KEY_ID") as refusal:
        await wrong.account()
    assert "PKWRONG" not in str(refusal.value)
    assert "SECRETSECRET" not in str(refusal.value)
    await wrong.close()


async def test_nobody_there_is_told_plainly_and_an_order_then_never_left(ids: Iterator[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = Endpoints.of_simulator(f"http://127.0.0.1:{port}", "ws://x", "ws://x")
    rest = AlpacaRest(BrokerSettings(), nowhere, Credentials("k", "s"))
    with pytest.raises(BrokerUnavailable, match="no connection"):
        await rest.clock()
    with pytest.raises(BrokerUnavailable, match="no connection"):
        await rest.submit(Buying("ABCD", 1, next(ids)).intent())
    await rest.close()


async def test_the_simulators_clock_refuses_to_go_back(sim: Simulator) -> None:
    control = SimulatorControl(sim.rest_url, credentials(sim))
    with pytest.raises(RequestRefused) as refusal:
        await control.sim_clock(jump_to=datetime(2026, 11, 20, tzinfo=UTC))
    assert refusal.value.status == 422
    assert (await control.sim_clock(rate=1.0)).rate == 1.0
    await control.close()
