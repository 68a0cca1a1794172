"""The drift alarm against the simulator: silent through a whole day, loud when somebody else acts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from execution_rig import Rig, rig, until

from engine.brackets import Bracket
from engine.events import DriftEnded, DriftFound

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)


def by_hand(r: Rig, symbol: str, shares: int, side: str = "buy", **more: Any) -> None:
    body = {"symbol": symbol, "qty": str(shares), "side": side, "type": "market", "time_in_force": "day", **more}
    r.sim.request("POST", "/v2/orders", body)


async def test_a_day_of_our_own_trades_raises_no_alarm(tmp_path: Path) -> None:
    async with rig(tmp_path, broker={"reconcile_s": 0.3}, exit_minutes=360, brackets=(NEVER,)) as r:
        await r.enter()
        await r.desk.exit_one(r.names[0], "anna")
        await r.run_at(300)
        await r.desk.run_until_flat()
        for _ in range(3):
            await r.desk.reconcile()
        assert r.told.of(DriftFound) == []
        assert r.desk.drift.texts == ()


async def test_cash_that_our_fills_do_not_explain_is_an_alarm_until_a_person_has_explained_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, broker={"reconcile_s": 0.3}, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        await r.desk.reconcile()
        assert r.desk.drift.texts == ()
        ours = r.desk.book.shares(r.names[0])
        by_hand(r, r.names[1], 7)
        await until(lambda: any("unexplained" in text for text in r.desk.drift.texts), "the cash alarm")
        found = {event.key: event for event in r.told.of(DriftFound)}
        assert set(found) == {"drift-cash"}  # a stranger's own symbol is foreign, not ours
        assert found["drift-cash"].message.startswith("DRIFT cash ")
        account = await r.rest.account()
        assert Decimal(found["drift-cash"].theirs) == account.cash
        # A person has explained it: the broker's figure is the new base, also after a restart.
        await r.desk.drift.accept("drift-cash")
        assert r.desk.drift.texts == ()
        assert [event.key for event in r.told.of(DriftEnded)] == ["drift-cash"]
        await r.desk.stop()
        desk = await r.restarted()
        for _ in range(3):
            await desk.reconcile()
        assert desk.drift.texts == ()
        assert desk.book.shares(r.names[0]) == ours


async def test_other_shares_than_ours_are_an_alarm_at_the_second_look(tmp_path: Path) -> None:
    async with rig(tmp_path, broker={"reconcile_s": 600}, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        report, name = await r.desk.reconcile(), r.names[0]
        more = [replace(p, shares=p.shares + 5) for p in report.values]
        drift, session = r.desk.drift, r.session.day
        for times in (1, 2, 3):
            await drift.look(replace(report, values=tuple(more)), r.desk.account, session, drift.traded(session))
            assert len(r.told.of(DriftFound)) == (times > 1)  # once, however often it is seen
        ours = r.desk.book.shares(name)
        assert drift.texts == (f"{name}: {ours:,} shares in our book, {ours + 5} at the broker",)
        await drift.look(replace(report, values=(), asked=False), None, session, drift.traded(session))
        assert drift.texts  # a broker that was not asked has not agreed
        await drift.look(report, r.desk.account, session, drift.traded(session))
        assert drift.texts == ()
        assert [event.key for event in r.told.of(DriftEnded)] == [f"drift-shares-{name}"]


async def test_a_strangers_open_order_in_a_held_symbol_is_an_alarm(tmp_path: Path) -> None:
    async with rig(tmp_path, broker={"reconcile_s": 600}, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        report = await r.desk.reconcile()
        mine = next(o for o in await r.rest.orders("open") if o.symbol == r.names[0])
        drift, session = r.desk.drift, r.session.day
        elsewhere = replace(mine, id="x1", client_order_id="by-hand-1", symbol=r.names[5])
        r.desk.desk.foreign = {"x1": elsewhere}
        for _ in range(3):
            await drift.look(report, r.desk.account, session, drift.traded(session))
        assert drift.texts == ()  # it concerns nothing of ours
        r.desk.desk.foreign = {"x1": replace(elsewhere, symbol=r.names[0])}
        for _ in range(2):
            await drift.look(report, r.desk.account, session, drift.traded(session))
        assert [event.key for event in r.told.of(DriftFound)] == ["drift-order-x1"]
        assert "an order that is not ours is open" in drift.texts[0]


async def test_the_base_of_the_cash_is_kept_in_the_journal_per_session(tmp_path: Path) -> None:
    async with rig(tmp_path, broker={"reconcile_s": 0.3}) as r:
        await r.desk.reconcile()
        kept = await r.journal.get("cash_base")
        assert kept == {"session": json.loads(json.dumps(kept))["session"], "cash": "100000.00"}
        await r.go_to(r.session.open - timedelta(seconds=30))
        await r.desk.reconcile()
        assert (await r.journal.get("cash_base"))["session"] == r.session.day.isoformat()
