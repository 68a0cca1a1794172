"""What execution promises in sentences, each on the real sockets of the simulator.

Halts with a gap, half days, skewed clocks, repeated and overtaken news, failed questions,
foreign orders, gates that exits do not pass, and a flatten that is asked twice or killed.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from execution_rig import MARKET_DATE, Rig, rest_of, rig, until

from engine.brackets import Bracket
from engine.broker import stream_link
from engine.broker.credentials import Credentials
from engine.broker.errors import BrokerUnavailable, OrderUnknown
from engine.broker.trade_stream import TradeStream
from engine.events import EntryRefused
from engine.execution.latch_file import read_latch
from engine.model import NEW_YORK
from engine.orders_model import OrderIntent
from engine.simulator import Simulator

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
CLOSE_STOP = Bracket(0.0, 45.0, 40.0, 40.0, 2.0)  # only the protective stop, 2 % below the entry


def foreign(r: Rig, symbol: str, **fields: Any) -> None:
    body = {"symbol": symbol, "qty": "5", "side": "buy", "type": "market", "time_in_force": "gtc"}
    r.sim.request("POST", "/v2/orders", body | fields)


def sales(r: Rig, *kinds: str) -> list[dict[str, Any]]:
    return [o for o in r.sim.state()["orders"] if o["side"] == "sell" and o["type"] in kinds]


# --- streams and requests -----------------------------------------------------------------------


async def test_no_call_waits_longer_than_its_timeout(sim: Simulator) -> None:
    """The venue takes every request and answers none of them in time."""
    rest = rest_of(sim, timeout_s=0.1)
    day, now = MARKET_DATE, datetime(2026, 11, 20, 21, tzinfo=UTC)
    intent = OrderIntent(
        f"tsh-00000000-20261123-TIME-entry-{int(time.time())}", day, "AAAA", "buy", 1, "market", None, None, "day",
        "entry", 1, "a test", now,
    )  # fmt: skip
    calls = {
        "account": rest.account(), "clock": rest.clock(), "assets": rest.assets(), "positions": rest.positions(),
        "orders": rest.orders(), "calendar": rest.calendar(day, day), "news": rest.news(["AAAA"], now, now),
        "daily_bars": rest.daily_bars(["AAAA"], day, day, "sip"), "latest_quotes": rest.latest_quotes(["AAAA"]),
        "latest_trades": rest.latest_trades(["AAAA"]), "order_by_client_id": rest.order_by_client_id("nobody"),
        "cancel": rest.cancel("nobody"), "cancel_all": rest.cancel_all(), "submit": rest.submit(intent),
        "close_position": rest.close_position("AAAA"),
    }  # fmt: skip
    public = {n for n in dir(rest) if not n.startswith("_") and asyncio.iscoroutinefunction(getattr(rest, n))}
    # A call that is added must be judged here too; keep_warm is clock requests whose answers nobody waits for.
    assert set(calls) == public - {"close", "keep_warm"}
    sim.fault("slow", path="/v", seconds=0.6, times=200)
    try:
        async with asyncio.timeout(120):
            answers = dict(zip(calls, await asyncio.gather(*calls.values(), return_exceptions=True), strict=True))
    finally:
        sim.clear_faults()
        await asyncio.sleep(0.7)  # what is still slow must not meet the next test
        await rest.close()
    wrong = {name: a for name, a in answers.items() if not isinstance(a, BrokerUnavailable | OrderUnknown)}
    assert wrong == {}


async def test_no_answer_that_drips_keeps_a_call_or_its_thread(sim: Simulator) -> None:
    """Each byte comes in time; the whole would take minutes, on more calls than there are threads."""
    rest = rest_of(sim, timeout_s=0.5)
    day, now = MARKET_DATE, datetime(2026, 11, 20, 21, tzinfo=UTC)
    intents = [
        OrderIntent(
            f"tsh-00000000-20261123-DRIP-entry-{int(time.time())}-{n}", day, "AAAA", "buy", 1, "limit",
            Decimal("1.01"), None, "day", "entry", 1, "a test", now,
        )
        for n in range(6)
    ]  # fmt: skip
    sim.fault("drip", path="/v2/", seconds=300, times=200)
    try:
        async with asyncio.timeout(120):
            sent = await asyncio.gather(*map(rest.submit, intents), return_exceptions=True)
            asked = await asyncio.gather(*(rest.clock() for _ in range(6)), return_exceptions=True)
    finally:
        sim.clear_faults()
    assert [type(answer) for answer in sent] == [OrderUnknown] * 6
    assert [type(answer) for answer in asked] == [BrokerUnavailable] * 6
    async with asyncio.timeout(60):
        assert (await rest.clock()).at  # the threads are free again
    await rest.close()


async def test_reconnects_back_off_further_each_time_and_never_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(stream_link.asyncio, "sleep", noted)
    runs = []
    for _ in range(2):

        async def ignore(_: Any) -> None:
            return None

        pauses = []
        stream = TradeStream(
            "ws://127.0.0.1:9/stream", Credentials("k", "s"), on_update=ignore, on_state=lambda *_: None
        )
        stream.start()
        for _ in range(10_000):
            if len(pauses) >= 9:
                break
            await sleep(0.001)
        await stream.stop()
        runs.append(pauses[:9])
    for run in runs:
        for number, pause in enumerate(run):
            middle = min(stream_link.LONGEST_BACKOFF_S, stream_link.FIRST_BACKOFF_S * 2**number)
            assert 0.75 * middle <= pause <= 1.25 * middle
    assert runs[0] != runs[1]


async def test_one_silent_symbol_gets_its_prices_from_rest_while_the_others_stream(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), stale_after_s=2.0) as r:
        await r.enter(r.names[:2])
        await until(lambda: set(r.names[:2]) <= set(r.desk.prices.latest), "prints of both")
        silent, loud = r.names[:2]
        await r.desk.prices._change("unsubscribe", [silent])  # the venue stops sending it; nobody here asked

        def sources() -> dict[str, str]:
            return {row.symbol: row.source for row in r.desk.views().rows}

        await until(lambda: sources() == {silent: "rest", loud: "stream"}, "REST for the silent one alone")
        assert r.desk.link_views()[0].state == "live"  # the link as a whole is not stale


async def test_repeated_and_overtaken_updates_book_every_share_once(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        r.sim.fault("duplicate_update", times=30)
        r.sim.fault("swap_updates", times=10)
        r.sim.fault("partial_fill", times=2)
        report = await r.enter(r.names[:2])
        bought = {o.symbol: o.shares for o in report.outcomes}
        assert all(bought.values())
        for name in r.names[:2]:
            await r.desk.exit_one(name, "anna")
        await until(lambda: not r.desk.book.open_holdings(), "closed")
        await asyncio.sleep(1.2)  # the last overtaken update arrives
        fills = await r.journal.fills(r.session.day)
        for side in ("buy", "sell"):
            booked = {n: sum(f.shares for f in fills if (f.symbol, f.side) == (n, side)) for n in bought}
            assert booked == bought
        assert r.sim.state()["positions"] == []
        assert sorted(t.shares for t in r.desk.book.closed) == sorted(bought.values())


# --- halts, half days, clocks ---------------------------------------------------------------------


async def test_nothing_is_sold_in_a_halt_and_the_gap_of_the_resumption_is_the_price(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(CLOSE_STOP,)) as r:
        name = r.names[0]
        await r.enter((name,))
        await r.protected()
        entry = r.desk.book.holdings[name].tsh.entry
        r.sim.fault("halt", symbol=name, market_seconds=160, gap_pct=-7.0)  # 8 s
        await until(lambda: r.desk.book.holdings[name].tsh.halted_at is not None, "the halt is known")
        assert "HALTED" in r.desk.views().rows[0].why_next
        await asyncio.sleep(1.0)  # 20 market seconds, with time to look before the halt ends
        assert r.desk.book.shares(name) > 0
        assert sales(r, "market", "limit") == []
        await until(lambda: not r.desk.book.open_holdings(), "sold after the resumption")
        (trade,) = r.desk.book.closed
        assert trade.reason == "PROTECTIVE"
        # It costs what the market moved: far below the stop's price, at the price of the resumption.
        assert Decimal("0.90") * entry < trade.exit < Decimal("0.96") * entry
        assert r.sim.state()["positions"] == []


async def bought_late(r: Rig, close: datetime, minutes: float) -> str:
    """A position bought so many market minutes before the close, at the pace of a minute a second."""
    await r.go_to(close - timedelta(minutes=minutes), rate=60)
    day = close.astimezone(NEW_YORK).date()
    order = await r.desk.desk.send(day, r.names[0], "buy", 10, "market", None, leg="entry", why="late in the day")
    assert await r.desk.desk.settle(order, 10)
    return r.names[0]


async def test_on_a_half_day_everything_is_sold_before_one_o_clock(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), exit_minutes=10.0, exit_wall_s=1.0) as r:
        (half,) = await r.rest.calendar(date(2026, 11, 27), date(2026, 11, 27))
        assert half.close.astimezone(NEW_YORK).hour == 13
        await bought_late(r, half.close, 15)
        day = await r.desk.run_until_flat()
        assert (day.session, day.carried) == (half.day, ())
        (trade,) = day.trades
        assert trade.reason == "END_OF_DAY"
        assert half.close - timedelta(minutes=11) < trade.at < half.close
        assert r.sim.state()["positions"] == []


@pytest.mark.parametrize("seconds", [-90, 90])
async def test_a_skewed_clock_of_the_broker_neither_misses_the_close_nor_runs_backwards(
    tmp_path: Path, seconds: int
) -> None:
    async with rig(tmp_path, brackets=(NEVER,), exit_minutes=8.0, exit_wall_s=1.0) as r:
        await bought_late(r, r.session.close, 14)
        r.sim.fault("clock_skew", market_seconds=seconds)
        shown = []
        while r.desk.book.open_holdings():
            shown.append(r.clock.now())
            await asyncio.sleep(0.02)
        assert shown == sorted(shown)
        assert [t.reason for t in r.desk.book.closed] == ["END_OF_DAY"]
        (sold,) = (n for n in r.sim.log() if n["kind"] == "fill" and n["side"] == "sell")
        assert datetime.fromisoformat(sold["market_at"]) < r.session.close


# --- gates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "gate", "words"),
    [
        ({"spread_cap_pct": 0.0001}, "spread", "0.0001 %"),
        ({"max_orders_a_day": 1}, "order_count", "1"),
        ({"names": 1}, "position_count", "at most 1"),
        ({"quote_age_s": 0.000001}, "quote_age", "s"),
        ({"gap_cap_pct": 0.000001}, "gap", "%"),
    ],
)
async def test_every_refusal_is_told_with_its_numbers(
    tmp_path: Path, settings: dict[str, Any], gate: str, words: str
) -> None:
    async with rig(tmp_path, brackets=(NEVER,), entry_window_end="09:30:20", **settings) as r:
        report = await r.enter(r.names[:2])
        refused = [e for e in r.told.of(EntryRefused) if e.gate == gate]
        assert refused, [(e.gate, e.reason) for e in r.told.of(EntryRefused)]
        assert all(words in e.reason and any(c.isdigit() for c in e.reason) for e in refused)
        assert len(report.entered) + len(r.told.of(EntryRefused)) == 2


async def test_an_exit_passes_no_entry_gate(tmp_path: Path) -> None:
    """Latched, the day's orders used up, the spread too wide, the approval void, reconcile not clean: it sells."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        await r.desk.latch("a test")
        await r.approve(outcome="rejected")
        strict = r.settings.execution.model_copy(
            update={"max_orders_a_day": 1, "spread_cap_pct": 0.000001, "quote_age_s": 0.000001, "names": 1}
        )
        r.desk._entries._rules = r.desk._live._rules = strict
        r.sim.fault("answer", method="GET", path="/v2/positions", status=500, times=4)
        assert not (await r.desk.reconcile()).clean
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "sold")
        assert [t.reason for t in r.desk.book.closed] == ["MANUAL"]


# --- reconcile and what is foreign ----------------------------------------------------------------


async def test_a_failed_question_is_never_flat(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), broker={"reconcile_s": 60.0}) as r:
        await r.enter(r.names[:2])
        await r.protected()
        held = {h.symbol: h.tsh.shares for h in r.desk.book.open_holdings()}
        for path in ("/v2/positions", "/v2/orders"):
            r.sim.fault("answer", method="GET", path=path, status=500, times=4)
            report = await r.desk.reconcile()
            assert not report.clean
            assert "could not be asked" in report.detail
            assert {h.symbol: h.tsh.shares for h in r.desk.book.open_holdings()} == held
            assert not r.desk.is_flat
            gates = {g.gate: g for g in r.desk.go_board(None, r.session, "x")}
            assert not gates["reconcile"].passed  # entries wait
            r.sim.clear_faults()
        assert (await r.desk.reconcile()).clean
        assert sales(r, "market", "limit") == []


async def test_a_days_trading_leaves_what_is_foreign_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.go_to(r.session.open + timedelta(seconds=5), rate=1)
        foreign(r, r.names[5], client_order_id="a person")
        foreign(r, r.names[6], client_order_id="another program", type="limit", limit_price="1.01")
        other_home = "tsh-ffffffff-20261123-" + r.names[7] + "-entry-1"
        foreign(r, r.names[7], client_order_id=other_home, type="limit", limit_price="1.01")
        await until(lambda: len(r.sim.state()["positions"]) == 1, "the foreign position")
        await r.run_at(20)
        await r.enter(r.names[:2])
        await r.restarted()
        for _ in range(4):
            await r.desk.reconcile()
        for name in r.names[:2]:
            await r.desk.exit_one(name, "anna")
        await until(lambda: not r.desk.book.open_holdings(), "sold")
        state = r.sim.state()
        assert {o["client_order_id"] for o in state["orders"] if o["status"] == "new"} == {
            "another program",
            other_home,
        }
        assert [p["symbol"] for p in state["positions"]] == [r.names[5]]
        shown = " ".join((await r.desk.reconcile()).foreign)
        assert all(name in shown for name in r.names[5:8])


# --- flatten --------------------------------------------------------------------------------------


async def test_flatten_asked_three_times_sells_once(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:3])
        await r.protected()
        first, second = await asyncio.gather(r.desk.flatten("anna"), r.desk.flatten("bert"))
        third = await r.desk.flatten("anna again")
        assert [v.state for v in (first, second, third)] == ["flat"] * 3
        assert sorted(o["symbol"] for o in sales(r, "market")) == sorted(r.names[:3])
        bought = {o["symbol"]: o["filled_qty"] for o in r.sim.state()["orders"] if o["side"] == "buy"}
        assert {o["symbol"]: o["qty"] for o in sales(r, "market")} == bought


async def test_a_flatten_that_was_killed_goes_on_by_itself_and_sells_once(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:3])
        await r.protected()
        r.sim.fault("lose_cancel", symbol=r.names[0], times=1)  # so that there is a middle to be killed in
        flattening = asyncio.create_task(r.desk.flatten("anna"))
        await until(lambda: r.desk.book.shares(r.names[1]) == 0, "a part is sold")
        assert r.desk.book.shares(r.names[0]) > 0
        flattening.cancel()
        r.kill_desk()
        desk = await r.restarted()  # nobody asks for anything
        await until(lambda: desk.flatten_view().state == "flat", "flat again")
        assert r.sim.state()["positions"] == []
        assert sorted(o["symbol"] for o in sales(r, "market") if o["filled_qty"] != "0") == sorted(r.names[:3])
        assert read_latch(r.home.latch) is not None  # entries stay latched until a person lifts it


async def test_partial_results_are_shown_symbol_by_symbol(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:2])
        await r.protected()
        stuck = r.names[0]
        r.sim.fault("refuse_order", reason="held", symbol=stuck, times=3)
        seen: set[tuple[tuple[str, int], ...]] = set()
        flattening = asyncio.create_task(r.desk.flatten("anna"))
        while not flattening.done():
            view = r.desk.flatten_view()
            seen.add(tuple((row.symbol, row.shares) for row in view.rows))
            await asyncio.sleep(0.01)
        assert (await flattening).state == "flat"
        assert any([symbol for symbol, _ in rows] == [stuck] for rows in seen)  # the other one is gone already
