"""What goes wrong between the desk and the broker, on the real sockets of the simulator."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from execution_rig import Rig, endpoints, rest_of, rig, until

from engine.brackets import Bracket
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.errors import AuthRefused
from engine.errors import OperatorError, RefusedError
from engine.events import AlertRaised, EntryRefused
from engine.execution.flatten import flatten_without_engine
from engine.execution.latch_file import read_latch
from engine.execution.tsh_trade_management import Phase
from engine.pipeline.market_pace import SimulatedPace
from engine.settings import BrokerSettings
from engine.views import FlattenView

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)


def foreign_order(r: Rig, symbol: str, shares: int = 5, **fields: Any) -> None:
    """Somebody else's order in the same account."""
    body = {"symbol": symbol, "qty": str(shares), "side": "buy", "type": "market", "time_in_force": "day"}
    r.sim.request("POST", "/v2/orders", body | fields)


async def ours(r: Rig, symbol: str, side: str) -> list[str]:
    """Entries or exits of a symbol at the venue; the protective stop is neither."""
    orders = await r.rest.orders("all")
    return [o.client_order_id for o in orders if (o.symbol, o.side) == (symbol, side) and o.kind != "stop"]


async def test_an_entry_accepted_behind_a_504_is_found_and_not_sent_twice(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        r.sim.fault("answer_after_accept", method="POST", path="/v2/orders", status=504, times=1)
        report = await r.enter(r.names[:1])
        assert report.entered == r.names[:1]
        assert len(await ours(r, r.names[0], "buy")) == 1
        assert int((await r.rest.positions())[0].shares) == report.outcomes[0].shares


async def test_an_exit_accepted_behind_a_504_sells_once(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        r.sim.fault("answer_after_accept", method="POST", path="/v2/orders", status=504, times=1)
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert len(await ours(r, r.names[0], "sell")) == 1


async def test_an_exit_in_doubt_while_nobody_answers_is_looked_up_before_anything_else_is_sold(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        held = r.desk.book.shares(r.names[0])
        r.sim.fault("answer_after_accept", method="POST", path="/v2/orders", status=504, times=1)
        r.sim.fault("answer", method="GET", path="/v2/orders", status=500, times=6)
        r.sim.fault("mute", socket="trade", seconds=20)
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert len(await ours(r, r.names[0], "sell")) == 1
        assert r.desk.book.closed[0].shares == held


async def test_an_exit_is_tried_again_until_the_broker_takes_it(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        r.sim.fault("answer", method="POST", path="/v2/orders", status=403, times=2)
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert await r.rest.positions() == []


async def test_partial_fills_add_up_to_one_position_and_one_sale(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        r.sim.fault("partial_fill", symbol=r.names[0], times=1)
        report = await r.enter(r.names[:1])
        held = r.desk.book.shares(r.names[0])
        await r.protected()
        assert held == report.outcomes[0].shares == int((await r.rest.positions())[0].shares)
        r.sim.fault("partial_fill", symbol=r.names[0], times=1)
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert r.desk.book.closed[0].shares == held
        fills = await r.journal.fills(r.session.day)
        assert sum(f.shares for f in fills if f.side == "sell") == held


async def test_an_entry_rejected_after_it_was_accepted_leaves_no_position(tmp_path: Path) -> None:
    async with rig(tmp_path, reprices=0) as r:
        r.sim.fault("reject_order", symbol=r.names[0], times=1)
        report = await r.enter(r.names[:1])
        assert report.entered == ()
        assert [e.symbol for e in r.told.of(EntryRefused)] == [r.names[0]]
        assert await r.rest.positions() == []


async def test_fills_that_the_stream_never_told_are_booked_from_rest_once(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        r.sim.fault("mute", socket="trade", seconds=1.5)
        report = await r.enter(r.names[:1])
        bought = report.outcomes[0].shares
        assert bought > 0
        await r.desk.reconcile()
        await asyncio.sleep(1.8)  # the stream speaks again; whatever it repeats is known
        await r.desk.reconcile()
        assert r.desk.book.shares(r.names[0]) == bought
        assert sum(f.shares for f in await r.journal.fills(r.session.day)) == bought


async def test_a_dropped_order_stream_reconciles_when_it_is_back(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        before = r.desk.trades.connections
        r.sim.fault("drop", socket="trade")
        await until(lambda: r.desk.trades.connections > before and r.desk.is_clean, "a clean reconcile")


async def test_a_silent_price_stream_is_replaced_by_rest_and_shown_so(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), stale_after_s=0.5) as r:
        await r.enter(r.names[:1])
        await until(lambda: r.desk.prices.latest, "prints")
        r.sim.fault("mute", socket="price", seconds=8.0)  # both are to be seen while it lasts
        await until(lambda: r.desk.views().rows[0].source == "rest", "prices from REST")
        await until(lambda: r.desk.link_views()[0].state == "stale", "the stale link")
        await until(lambda: r.desk.views().rows[0].source == "stream", "the stream again")


async def test_a_desk_that_died_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter()
        await r.run_at(20)
        name = r.names[0]
        await until(
            lambda: r.desk.book.holdings[name].tsh.last_at > r.session.open + timedelta(minutes=1), "a minute"
        )
        await asyncio.sleep(0.3)  # the levels are written every beat
        before = r.desk.book.holdings[name].tsh
        r.kill_desk()
        desk = await r.restarted()
        after = desk.book.holdings[name].tsh
        assert (after.shares, after.entry, after.session_close) == (
            before.shares,
            before.entry,
            before.session_close,
        )
        assert after.high >= before.high
        assert desk.is_clean
        assert {h.symbol for h in desk.book.open_holdings()} == set(r.names[:4])
        await desk.exit_one(name, "anna")
        await until(lambda: desk.book.holdings[name].tsh.closed, "the sale")
        assert len(await ours(r, name, "sell")) == 1


async def test_a_desk_that_died_while_selling_sells_on_and_not_twice(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        held = r.desk.book.shares(r.names[0])
        r.sim.fault("answer", method="POST", path="/v2/orders", status=403, times=1)
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: r.desk.book.holdings[r.names[0]].trouble, "the refusal")
        await r.desk._levels.save()
        await r.desk._exits.halt()
        r.kill_desk()
        desk = await r.restarted()
        await until(lambda: not desk.book.open_holdings(), "flat")
        fills = await r.journal.fills(r.session.day)
        assert sum(f.shares for f in fills if f.side == "sell") == held
        assert await r.rest.positions() == []


async def test_flatten_sells_every_tsh_position_and_leaves_foreign_ones(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter()
        foreign_order(r, r.names[5])
        foreign_order(r, r.names[6], type="limit", limit_price="0.5")
        idle = r.desk.flatten_view()
        assert idle.state == "idle"
        assert idle.positions == 4
        assert idle.exposure is not None
        assert idle.exposure > 80_000
        view = await r.desk.flatten("anna")
        assert (view.state, view.confirmations) == ("flat", 2)
        assert [p.symbol for p in await r.rest.positions()] == [r.names[5]]
        assert len(await r.rest.orders("open")) == 1
        assert any(word.startswith(r.names[5]) for word in view.foreign)
        assert {t.reason for t in r.desk.book.closed} == {"FLATTEN"}
        assert "flatten by anna" in r.desk.latched
        assert not (await r.enter(r.names[7:8])).entered


async def test_flatten_with_all_takes_foreign_orders_and_positions_too(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:2])
        foreign_order(r, r.names[5])
        foreign_order(r, r.names[6], type="limit", limit_price="0.5")
        view = await r.desk.flatten("anna", include_foreign=True)
        assert view.state == "flat"
        assert await r.rest.positions() == []
        assert await r.rest.orders("open") == []


async def test_flatten_with_all_closes_a_foreign_fraction_by_the_broker(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        foreign_order(r, r.names[5], qty="10.5")
        foreign_order(r, r.names[6], qty="0.25")
        view = await r.desk.flatten("anna", include_foreign=True)
        assert view.state == "flat"
        assert await r.rest.positions() == []


async def test_flatten_survives_refused_sales_and_unanswered_questions(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:2])
        await r.protected()
        r.sim.fault("answer", method="POST", path="/v2/orders", status=403, times=2)
        r.sim.fault("answer", method="GET", path="/v2/positions", status=500, times=5)
        view = await r.desk.flatten("anna")
        assert view.state == "flat"
        assert await r.rest.positions() == []


async def test_a_missed_close_is_carried_and_flatten_then_queues_the_sale_for_the_open(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), exit_minutes=0.001, exit_wall_s=0.001) as r:
        await r.go_to(r.session.close - timedelta(minutes=2), rate=20)
        bought = await r.desk.desk.send(
            r.session.day, r.names[0], "buy", 10, "market", None, leg="entry", why="late in the day"
        )
        assert await r.desk.desk.settle(bought, 10)
        r.kill_desk()  # the engine is dead at the close
        await r.run_at(60)
        await r.clock.wait_until(r.session.close)
        desk = await r.restarted()
        await until(lambda: desk.book.holdings[r.names[0]].tsh.phase is Phase.CARRIED, "CARRIED")
        assert (await desk.run_until_flat()).carried == (r.names[0],)
        assert any("missed the close" in alert.message for alert in r.told.of(AlertRaised))
        view = await desk.flatten("anna")
        assert view.state == "queued"
        assert "market is closed" in view.step
        queued = await r.rest.orders("open")
        assert [(o.symbol, o.side, int(o.shares)) for o in queued] == [(r.names[0], "sell", 10)]
        assert [p.symbol for p in await r.rest.positions()] == [r.names[0]]


async def test_flatten_in_the_middle_of_the_entries_stops_them_and_sells_what_was_bought(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), reprice_wait_s=5.0) as r:
        entering = asyncio.create_task(r.enter())
        await until(lambda: r.desk.book.open_holdings(), "a first fill")
        view = await r.desk.flatten("anna")
        assert view.state == "flat"
        with suppress(RefusedError):  # it may have ended just before
            await entering
        assert await r.rest.positions() == []
        assert await r.rest.orders("open") == []


async def test_the_latch_of_a_flatten_survives_a_restart_and_a_person_lifts_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.desk.flatten("anna")
        r.kill_desk()
        desk = await r.restarted()
        assert "flatten by anna" in desk.latched
        await desk.unlatch("anna")
        assert desk.latched == ""
        assert desk.flatten_view().state == "idle"
        assert read_latch(r.home.latch) is None


async def test_tshc_flatten_works_with_rest_and_the_home_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter()
        foreign_order(r, r.names[5])
        r.kill_desk()
        views: list[FlattenView] = []
        rest = rest_of(r.sim)
        view = await flatten_without_engine(rest, r.home, False, views.append, pause_s=0.1)
        await rest.close()
        assert view.state == "flat"
        assert [p.symbol for p in await r.rest.positions()] == [r.names[5]]
        latch = read_latch(r.home.latch)
        assert latch is not None
        assert (latch.reason, latch.acting) == ("tshc flatten", False)
        assert len((r.home.folder / "flatten.jsonl").read_text().splitlines()) >= 4
        # The engine that comes back finds the sales, and its book agrees with the broker.
        desk = await r.restarted()
        await until(lambda: desk.is_clean, "clean")
        assert desk.book.open_holdings() == []
        assert desk.latched == "tshc flatten"


async def test_tshc_flatten_with_wrong_keys_says_so_and_leaves_the_latch(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        wrong = AlpacaRest(BrokerSettings(), endpoints(r.sim), Credentials("PKWRONGWRONG", "SECRETSECRET"))
        with pytest.raises(AuthRefused):
            await flatten_without_engine(wrong, r.home, False, lambda view: None)
        await wrong.close()
        assert r.desk.latched == "tshc flatten"


async def test_while_somebody_else_sells_behind_the_latch_the_engine_yields(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        r.home.latch.write_text('{"reason": "tshc flatten", "acting": true, "pid": 0}')
        await r.desk.exit_one(r.names[0], "anna")
        await asyncio.sleep(0.8)
        assert await ours(r, r.names[0], "sell") == []
        r.home.latch.unlink()
        await until(lambda: not r.desk.book.open_holdings(), "flat")


async def test_entries_wait_until_the_book_agrees_with_the_broker(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.sim.fault("answer", method="GET", path="/v2/positions", status=500, times=1000)
        report = await r.desk.reconcile()
        assert not report.clean
        assert "could not be asked" in report.detail
        board = {g.gate: g for g in r.desk.go_board(None, r.session, "x")}
        assert not board["reconcile"].passed
        r.sim.clear_faults()
        assert (await r.desk.reconcile()).clean


async def test_shares_sold_by_somebody_else_close_the_position_as_such(tmp_path: Path) -> None:
    """A person cancels the stop and sells by hand: no new stop, and no sale of shares that are gone."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        for _ in range(50):  # the engine may be quicker and hold the shares again
            with suppress(OperatorError):
                r.sim.request("DELETE", "/v2/orders")
                r.sim.request("DELETE", f"/v2/positions/{r.names[0]}")
                break
        await until(lambda: r.sim.request("GET", "/v2/positions") == [], "sold")
        for _ in range(3):
            await r.desk.reconcile()
        await until(lambda: not r.desk.book.open_holdings(), "closed")
        assert [t.reason for t in r.desk.book.closed] == ["OUTSIDE"]
        assert not [line for line in r.sent() if "sold short" in str(line["result"])]


async def test_an_entry_order_of_an_earlier_life_is_cancelled(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.go_to(r.session.open + timedelta(minutes=1))
        order = await r.desk.desk.send(
            r.session.day, r.names[0], "buy", 1, "limit", _far_below(r), leg="entry", why="an earlier life"
        )
        assert not order.ended
        r.kill_desk()
        desk = await r.restarted()
        assert desk.is_clean
        assert await r.rest.orders("open") == []


def _far_below(r: Rig) -> Decimal:
    return Decimal(str(round(r.closes[r.names[0]] * 0.5, 2)))


async def test_an_early_close_moves_the_end_of_day_exits_with_it(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), exit_minutes=1.0) as r:
        await r.enter(r.names[:1])
        r.sim.fault("early_close", market_seconds=180)
        await r.run_at(20)
        await until(lambda: not r.desk.book.open_holdings(), "the exit before the early close")
        assert [t.reason for t in r.desk.book.closed] == ["END_OF_DAY"]
        assert any("now closes at" in alert.message for alert in r.told.of(AlertRaised))


async def test_a_hold_of_an_engine_that_was_killed_is_released_after_the_decision(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        deadline = r.session.open - timedelta(minutes=5)
        await r.go_to(deadline - timedelta(minutes=3))
        r.clock.update(await r.control.sim_clock(hold_at=deadline))  # a person was reading; then kill -9
        decided = asyncio.Event()
        decided.set()
        pace = SimulatedPace(r.clock, r.control, speed=300, entry_speed=20)
        assert await pace.decision(deadline, decided, lambda: False)
        assert (await r.rest.clock()).hold_at is None
