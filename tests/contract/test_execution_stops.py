"""The protective stop rests at the broker: it sells without the engine, and never beside another seller."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from execution_rig import LIST_HASH, Rig, rig, until

from engine.brackets import Bracket
from engine.broker.broker_types import BrokerOrder
from engine.events import AlertRaised, EntriesLatched, OrderSent
from engine.execution.allocation import down_to_grid
from engine.execution.tsh_trade_management import ExitReason

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
TIGHT = Bracket(0.0, 45.0, 40.0, 40.0, 0.02)


async def resting(r: Rig, symbol: str) -> list[BrokerOrder]:
    return [o for o in await r.rest.orders("open") if o.symbol == symbol and o.kind == "stop"]


async def protected(r: Rig, symbol: str) -> BrokerOrder:
    """The one stop of ``symbol`` once the engine knows that it rests."""
    await until(lambda: r.desk._stops.resting(symbol) is not None, f"a resting stop of {symbol}")
    (stop,) = await resting(r, symbol)
    return stop


async def test_every_position_has_its_day_stop_at_the_broker_below_the_average_fill(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.enter()
        for symbol in [h.symbol for h in r.desk.book.open_holdings()]:
            stop = await protected(r, symbol)
            tsh = r.desk.book.holdings[symbol].tsh
            assert (stop.side, stop.time_in_force, int(stop.shares)) == ("sell", "day", tsh.shares)
            assert stop.stop_price == down_to_grid(tsh.protective_price)
            assert stop.client_order_id.split("-")[-2] == "stop"
            row = next(row for row in r.desk.views().rows if row.symbol == symbol)
            assert row.resting_stop == stop.stop_price


async def test_after_partial_fills_the_stop_covers_exactly_what_is_held(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), reprice_wait_s=0.05) as r:
        r.sim.fault("partial_fill", symbol=r.names[0], times=1)
        await r.enter(r.names[:1])
        stop = await protected(r, r.names[0])
        assert int(stop.shares) == r.desk.book.shares(r.names[0])
        assert r.desk.is_clean


async def test_an_exit_cancels_the_stop_and_sells_every_share(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await protected(r, r.names[0])
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert await r.rest.orders("open") == []
        assert await r.rest.positions() == []
        refused = [line for line in r.sent() if line["http"] != 200]
        assert refused == []  # the venue never saw two sells for the same shares


async def test_the_stop_sells_while_the_engine_is_dead_and_the_next_life_books_it(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(TIGHT,)) as r:
        await r.enter(r.names[:1])
        await until(
            lambda: r.desk._stops.resting(r.names[0]) is not None or not r.desk.book.open_holdings(), "a stop"
        )
        r.kill_desk()
        await r.run_at(100)
        await until(lambda: not r.sim.request("GET", "/v2/positions"), "the stop's fill at the venue")
        desk = await r.restarted()
        assert desk.book.open_holdings() == []
        assert [t.reason for t in desk.book.closed] == ["PROTECTIVE"]
        assert desk.is_clean


async def test_a_loss_that_the_last_positions_own_exit_made_latches_once_a_session_and_for_good(
    tmp_path: Path,
) -> None:
    """The stop sells the only position while nobody looks: no position is left that could show the loss."""
    async with rig(tmp_path, brackets=(TIGHT,)) as r:
        await r.enter(r.names[:1])
        await until(
            lambda: r.desk._stops.resting(r.names[0]) is not None or not r.desk.book.open_holdings(), "a stop"
        )
        r.kill_desk()
        await r.run_at(100)
        await until(lambda: not r.sim.request("GET", "/v2/positions"), "the stop's fill at the venue")
        nine_cents = r.settings.execution.model_copy(update={"day_loss_pct": 0.0001})
        r.settings = r.settings.model_copy(update={"execution": nine_cents})
        desk = await r.restarted()
        assert desk.book.open_holdings() == []
        assert desk.day_pnl() < Decimal("-0.09")
        await until(lambda: desk.latched.startswith("daily loss"), "the latch")
        await until(lambda: r.told.of(EntriesLatched), "told")
        await asyncio.sleep(0.3)  # written, too
        await desk.stop()
        desk = await r.restarted()
        assert desk.latched.startswith("daily loss")  # over the night, whatever the next day's loss is
        await desk.unlatch("anna")
        await asyncio.sleep(0.5)  # five heartbeats
        assert desk.latched == ""  # her word stands; the session's own gate still refuses
        board = {gate.gate: gate for gate in desk.go_board(None, r.session, LIST_HASH)}
        assert board["latch"].passed
        assert not board["day_loss"].passed
        await desk.stop()
        desk = await r.restarted()
        await asyncio.sleep(0.5)
        assert desk.latched == ""
        assert len(r.told.of(EntriesLatched)) == 1


async def test_a_restarted_engine_knows_its_stops_and_places_no_second_one(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:2])
        before = {s: (await protected(r, s)).id for s in r.names[:2]}
        r.kill_desk()
        desk = await r.restarted()
        await asyncio.sleep(0.5)
        assert {s: (await protected(r, s)).id for s in r.names[:2]} == before
        assert desk.is_clean


async def test_a_stop_that_somebody_cancelled_is_placed_again(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        first = await protected(r, r.names[0])
        await r.rest.cancel(first.id)
        await until(
            lambda: len([s for s in r.told.of(OrderSent) if s.kind_of_order == "stop"]) == 2, "a second stop"
        )
        assert (await protected(r, r.names[0])).id != first.id


@pytest.mark.parametrize("late", [False, True])
async def test_a_position_whose_stop_is_refused_is_sold_at_once(tmp_path: Path, late: bool) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        stop = await protected(r, r.names[0])
        if late:
            r.sim.fault("reject_order", symbol=r.names[0], times=1)
        else:
            r.sim.fault("answer", method="POST", path="/v2/orders", status=422, times=1)
        await r.rest.cancel(stop.id)  # the next one is refused
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert [t.reason for t in r.desk.book.closed] == [ExitReason.UNPROTECTED]
        assert any("no protective stop" in alert.message for alert in r.told.of(AlertRaised))
        assert await r.rest.positions() == []


async def test_a_stop_that_cannot_be_sent_for_a_moment_is_tried_again(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        stop = await protected(r, r.names[0])
        r.sim.fault("answer_after_accept", method="POST", path="/v2/orders", status=504, times=1)
        await r.rest.cancel(stop.id)
        await until(lambda: r.desk._stops.resting(r.names[0]) is not None, "the next stop")
        await asyncio.sleep(0.3)
        assert len(await resting(r, r.names[0])) == 1
        assert r.desk.book.closed == []


async def test_flatten_takes_the_stops_first_and_ends_flat(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter()
        for symbol in r.names[:4]:
            await protected(r, symbol)
        view = await r.desk.flatten("anna")
        assert view.state == "flat"
        assert await r.rest.orders("open") == []
        assert await r.rest.positions() == []
        assert r.desk.book.realised(r.session.day) != Decimal(0)
