"""A trading day against the simulator: four quarters at the open, their exits, the refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from execution_rig import LIST_HASH, rig, until

from engine.brackets import Bracket
from engine.errors import RefusedError
from engine.events import EntryRefused, PositionClosed, TshChanged
from engine.orders_model import OrderIntent

# Distances so small that a simulated hour brings every kind of exit, whatever its prices do.
TARGET_SOON = Bracket(0.0, 0.02, 0.02, 0.02, 50.0)
TRAIL_SOON = Bracket(0.0, 45.0, 0.02, 0.02, 50.0)
NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)


def received(line: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(line["received_at"])


async def test_four_quarters_are_bought_at_the_open_and_sold_before_the_close(tmp_path: Path) -> None:
    async with rig(tmp_path, exit_minutes=360, brackets=(NEVER,)) as r:
        entered = await r.enter()
        assert entered.entered == r.names[:4]
        assert entered.allocation == Decimal("90000.00")
        for outcome in entered.outcomes:
            assert outcome.average is not None
            assert Decimal("21000") < outcome.shares * outcome.average <= Decimal("22500")
        watched = [row for row in r.desk.views().rows if row.state == "WATCH"]
        assert {row.symbol for row in watched} == set(r.names[:4])
        assert all("protective stop" in row.why_next for row in watched)
        await r.run_at(300)
        day = await r.desk.run_until_flat()
        assert {trade.reason for trade in day.trades} == {"END_OF_DAY"}
        assert len(day.trades) == 4
        assert day.carried == ()
        account = await r.rest.account()
        assert account.equity - 100_000 == day.pnl.quantize(Decimal("0.01"))
        assert await r.rest.positions() == []
        assert {t.symbol for t in day.trades} == set(r.names[:4])
        assert sum(f.shares if f.side == "buy" else -f.shares for f in await r.journal.fills(r.session.day)) == 0


async def test_prices_have_an_age_only_while_a_name_is_subscribed(tmp_path: Path) -> None:
    """An age that grows over an open market would look like a stream that has died."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await until(lambda: r.desk.link_views()[0].state == "live", "the price stream")
        prices, _ = r.desk.link_views()
        assert (prices.age_s, prices.detail) == (None, "no name is subscribed")
        await r.enter(r.names[:1])
        prices, _ = r.desk.link_views()
        assert prices.age_s is not None
        assert prices.detail == ""


async def test_every_intent_is_committed_before_the_simulator_received_its_order(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        committed: dict[str, datetime] = {}
        write = r.journal.record_intent

        async def noted(intent: OrderIntent) -> None:
            await write(intent)
            committed[intent.client_order_id] = datetime.now(UTC)

        r.journal.record_intent = noted  # type: ignore[method-assign]
        await r.enter()
        for name in r.names[:4]:
            await r.desk.exit_one(name, "anna")
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        sent = {line["body"]["client_order_id"]: received(line) for line in r.sent()}
        assert len(sent) >= 8
        assert all(committed[name] < at for name, at in sent.items())
        assert {i.client_order_id for i in await r.journal.intents(r.session.day)} == set(sent)


@pytest.mark.parametrize(("bracket", "reason"), [(TARGET_SOON, "TARGET"), (TRAIL_SOON, "TRAIL")])
async def test_positions_leave_by_target_and_by_trail(tmp_path: Path, bracket: Bracket, reason: str) -> None:
    async with rig(tmp_path, brackets=(bracket,)) as r:
        await r.enter()
        await r.run_at(100)
        await until(lambda: reason in [c.reason for c in r.told.of(PositionClosed)], f"an exit by {reason}")
        if reason == "TRAIL":
            assert "ARMED" in [c.state for c in r.told.of(TshChanged)]


async def test_a_falling_price_is_bounded_by_the_protective_stop(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(Bracket(0.0, 45.0, 40.0, 40.0, 0.02),)) as r:
        await r.enter()
        await r.run_at(100)
        await until(lambda: "PROTECTIVE" in [c.reason for c in r.told.of(PositionClosed)], "a protective exit")


async def test_a_person_sells_one_position_and_only_that(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter()
        with pytest.raises(RefusedError, match="no open TSH position"):
            await r.desk.exit_one("NOSUCH", "anna")
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: r.desk.book.holdings[r.names[0]].tsh.closed, "the sale")
        assert [t.reason for t in r.desk.book.closed] == ["MANUAL"]
        assert len(r.desk.book.open_holdings()) == 3


async def test_without_an_approval_of_this_list_nothing_is_sent(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.go_to(r.session.open - timedelta(seconds=10))
        closes = {n: r.closes[n] for n in r.names[:4]}
        with pytest.raises(RefusedError, match="no approval"):
            await r.desk.enter(r.session, LIST_HASH, [(r.names[0], 1)], closes, closes)
        await r.approve(outcome="rejected")
        with pytest.raises(RefusedError, match="rejected"):
            await r.desk.enter(r.session, LIST_HASH, [(r.names[0], 1)], closes, closes)
        await r.approve()
        with pytest.raises(RefusedError, match="list hash"):
            await r.desk.enter(r.session, "b" * 64, [(r.names[0], 1)], closes, closes)
        assert r.sent() == []


async def test_a_gap_and_a_latch_refuse_with_their_numbers(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        far = r.names[0]
        report = await r.enter(closes={far: r.closes[far] * 0.9})
        assert far not in report.entered
        assert len(report.entered) == 3
        refused = {e.symbol: e for e in r.told.of(EntryRefused)}
        assert refused[far].gate == "gap"
        assert "at most 5 % either way" in refused[far].reason
        rows = {row.symbol: row.state for row in r.desk.views().rows}
        assert rows[far] == "REFUSED"
        await r.desk.latch("a test")
        again = await r.enter((r.names[5],))
        assert again.entered == ()
        assert again.outcomes[0].refused is not None
        assert again.outcomes[0].refused.gate == "latch"


async def test_the_names_that_one_day_refused_do_not_stand_under_the_next_ones_date(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.desk.latch("a test")
        await r.enter(r.names[:1])
        assert [row.state for row in r.desk.views().rows] == ["REFUSED"]
        await r.go_to(r.session.open + timedelta(days=1))
        await until(lambda: r.desk.views().session != r.session.day, "the next session")
        assert r.desk.views().rows == ()


async def test_a_name_is_bought_once_a_held_one_and_a_late_one_not_at_all(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        first = await r.enter(r.names[:1])
        body = {"symbol": r.names[1], "qty": "5", "side": "buy", "type": "market", "time_in_force": "day"}
        r.sim.request("POST", "/v2/orders", body)  # somebody else buys another
        await until(lambda: len(r.sim.request("GET", "/v2/positions")) == 2, "the foreign position")
        again = await r.enter(r.names[:1])
        assert again.outcomes == first.outcomes
        await r.desk.reconcile()
        foreign = await r.enter(r.names[1:2])
        assert foreign.outcomes[0].refused is not None
        assert foreign.outcomes[0].refused.gate == "held"
        await r.run_at(300)
        await r.clock.wait_until(r.session.open + timedelta(minutes=6))
        with pytest.raises(RefusedError, match="expired"):
            await r.enter(r.names[2:3])
        assert (await r.enter(r.names[:1])).entered == r.names[:1]


async def test_a_second_entry_beside_the_first_is_refused_before_it_sends_anything(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        r.sim.fault("slow", method="POST", path="/v2/orders", seconds=1.0, times=1)
        first = asyncio.create_task(r.enter(r.names[:1]))
        await until(lambda: r.desk.views().rows, "the first is entering")
        with pytest.raises(RefusedError, match="others are under way"):
            await r.enter(r.names[:1])
        assert (await first).entered == r.names[:1]
        bought = [line for line in r.sent() if line["body"]["side"] == "buy"]
        assert len(bought) == 1
        assert (await r.enter(r.names[:1])).outcomes == first.result().outcomes  # told what there is


async def test_a_name_with_a_working_buy_of_this_home_is_not_bought_beside_it(tmp_path: Path) -> None:
    """Only booked fills made a name held: a buy that still rests must count too."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.approve()
        await r.go_to(r.session.open + timedelta(seconds=5))
        far_below = Decimal(str(round(r.closes[r.names[0]] * 0.5, 2)))
        r.desk._entries.entering.add(r.names[0])
        order = await r.desk.desk.send(
            r.session.day, r.names[0], "buy", 1, "limit", far_below, leg="entry", why="another hand"
        )
        assert not order.ended
        report = await r.enter(r.names[:1])
        assert report.entered == ()
        assert report.outcomes[0].refused is not None
        assert report.outcomes[0].refused.gate == "held"


async def test_a_days_loss_latches_entries_and_sells_everything(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), day_loss_pct=0.001) as r:
        with suppress(RefusedError):  # the loss may come before the last name has been decided
            await r.enter()
        await r.run_at(60)
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert {t.reason for t in r.desk.book.closed} == {"DAY_LOSS"}
        assert "daily loss" in r.desk.latched
        assert (r.home.folder / "LATCH").exists()


async def test_the_go_board_lists_every_gate_with_its_remedy(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        board = {g.gate: g for g in r.desk.go_board(None, r.session, LIST_HASH)}
        assert not board["approval"].passed
        assert "approve" in board["approval"].remedy
        assert board["reconcile"].passed
        assert board["prices_link"].passed
        assert board["orders_link"].passed
        await r.approve()
        approval = await r.journal.approval(r.session.day)
        assert all(g.passed for g in r.desk.go_board(approval, r.session, LIST_HASH))
