"""Flatten whatever gets in its way: never FLAT before the broker says so twice, never stuck for good."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from execution_rig import Rig, rest_of, rig, until

from engine.brackets import Bracket
from engine.events import FlattenChanged
from engine.execution import flatten as flattening
from engine.execution.flatten import flatten_without_engine
from engine.execution.latch_file import read_latch
from engine.execution.tsh_trade_management import Phase

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)


async def held(r: Rig, count: int = 2) -> None:
    await r.enter(r.names[:count])
    await r.protected()


async def test_after_hours_the_sales_queue_and_the_open_makes_it_flat(tmp_path: Path) -> None:
    """The night is passed with the position held; the machine follows its queued sales to FLAT."""
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
        assert (await desk.flatten("anna")).state == "queued"
        tomorrow = desk.session()
        assert tomorrow is not None
        await r.go_to(tomorrow.open - timedelta(seconds=30), rate=20)
        assert desk.flatten_view().state == "queued"
        await until(lambda: desk.flatten_view().state == "flat", "FLAT at the open")
        assert await r.rest.positions() == []
        assert [(t.reason, t.shares) for t in desk.book.closed] == [("FLATTEN", 10)]
        steps = [e.step for e in r.told.of(FlattenChanged)]
        assert steps.index("queued") < steps.index("flat")
        sold = [line for line in r.sent() if line["body"]["side"] == "sell" and line["body"]["type"] == "market"]
        assert len(sold) == 1  # nobody cancelled the queued sale to sell the same shares himself


async def test_a_carried_position_leaves_at_the_next_open(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), exit_minutes=0.001, exit_wall_s=0.001) as r:
        await r.go_to(r.session.close - timedelta(minutes=2), rate=20)
        bought = await r.desk.desk.send(
            r.session.day, r.names[0], "buy", 10, "market", None, leg="entry", why="late in the day"
        )
        assert await r.desk.desk.settle(bought, 10)
        r.kill_desk()
        await r.run_at(60)
        await r.clock.wait_until(r.session.close)
        desk = await r.restarted()
        await until(lambda: desk.book.holdings[r.names[0]].tsh.phase is Phase.CARRIED, "CARRIED")
        tomorrow = desk.session()
        assert tomorrow is not None
        await r.go_to(tomorrow.open - timedelta(seconds=20), rate=20)
        await until(lambda: not desk.book.open_holdings(), "sold at the open")
        assert [t.reason for t in desk.book.closed] == ["CARRIED"]
        assert desk.book.closed[0].session == tomorrow.day
        assert await r.rest.orders("open") == []


async def test_refusals_for_wash_trades_and_held_shares_are_shown_and_sold_over(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await held(r)
        r.sim.fault("refuse_order", reason="wash_trade", symbol=r.names[0], times=2)
        r.sim.fault("refuse_order", reason="held", symbol=r.names[1], times=2)
        flattening = asyncio.create_task(r.desk.flatten("anna"))
        seen: set[str] = set()
        while not flattening.done():
            seen |= {row.step for row in r.desk.flatten_view().rows}
            await asyncio.sleep(0.02)
        assert (await flattening).state == "flat"
        assert any("wash trade" in step for step in seen)
        assert any("insufficient qty" in step for step in seen)
        assert await r.rest.positions() == []


async def test_one_name_whose_cancel_hangs_does_not_keep_the_others(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await held(r)
        stuck, other = r.names[:2]
        r.sim.fault("lose_cancel", symbol=stuck, times=2)
        flattening = asyncio.create_task(r.desk.flatten("anna"))
        await until(lambda: r.desk.book.shares(other) == 0, f"{other} is sold")
        assert r.desk.book.shares(stuck) > 0
        assert r.desk.flatten_view().state == "running"
        assert (await flattening).state == "flat"
        assert await r.rest.positions() == []


async def test_with_the_minutes_requests_spent_flatten_waits_and_ends_flat(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await held(r)
        r.sim.fault("answer", path="/v2/", status=429, times=8)
        r.sim.fault("mute", socket="trade", seconds=10)
        view = await r.desk.flatten("anna")
        assert view.state == "flat"
        assert view.confirmations == 2
        assert await r.rest.positions() == []


async def test_a_sale_in_doubt_is_not_flat(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await held(r, 1)
        r.sim.fault("answer_after_accept", method="POST", path="/v2/orders", status=504, times=1)
        r.sim.fault("mute", socket="trade", seconds=6)
        view = await r.desk.flatten("anna")
        assert view.state == "flat"
        assert r.desk.desk.unresolved() == []
        sold = [o for o in await r.rest.orders("all") if o.side == "sell" and o.filled]
        assert len(sold) == 1


async def test_four_positions_with_a_dead_engine_are_flat_by_rest_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await held(r, 4)
        r.kill_desk()
        rest = rest_of(r.sim)
        began = time.monotonic()
        view = await flatten_without_engine(rest, r.home, False, lambda view: None)
        print(f"four positions flat in {time.monotonic() - began:.2f} s")
        await rest.close()
        assert view.state == "flat"
        assert await r.rest.positions() == []
        assert await r.rest.orders("open") == []


async def test_a_flatten_without_the_engine_shows_life_however_slow_the_broker_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round of slow answers takes longer than a running engine would believe in a silent seller."""
    monkeypatch.setattr(flattening, "SIGN_OF_LIFE_S", 0.1)
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await held(r, 2)
        r.kill_desk()
        r.sim.fault("slow", method="POST", path="/v2/orders", seconds=1.0, times=2)
        rest, signs = rest_of(r.sim), set[int]()
        flatten = asyncio.create_task(flatten_without_engine(rest, r.home, False, lambda view: None))
        while not flatten.done():
            if r.home.latch.exists():
                signs.add(r.home.latch.stat().st_mtime_ns)
            await asyncio.sleep(0.05)
        await rest.close()
        assert (await flatten).state == "flat"
        assert len(signs) > 8
        latch = read_latch(r.home.latch)
        assert latch is not None
        assert not latch.acting


async def test_a_flatten_is_never_answered_by_the_flat_of_an_earlier_one(tmp_path: Path) -> None:
    """Pressed again after FLAT: until the broker has been asked anew, it is not flat but at work."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await held(r, 1)
        since = r.desk.flatten_answered_since(False)
        first = await r.desk.flatten("anna")
        assert first.state == "flat"
        assert first.begun_at is not None
        assert first.begun_at >= since
        again = r.desk.flatten_answered_since(False)
        assert first.begun_at < again  # what stands on the screen does not answer
        second = asyncio.create_task(r.desk.flatten("anna"))
        await until(lambda: r.desk.flattening, "the second at work")
        view = r.desk.flatten_view()
        assert view.state == "running"
        assert view.begun_at is not None
        assert view.begun_at >= again
        assert r.desk.flatten_answered_since(False) == view.begun_at  # a third one joins it
        assert r.desk.flatten_answered_since(True) > view.begun_at  # one that takes more does not
        assert (await second).begun_at == view.begun_at
