"""A position that nothing could sell for weeks (its trading was suspended) and an engine that was restarted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from execution_rig import Rig, rig, until

from engine.brackets import Bracket
from engine.events import PositionClosed
from engine.execution import our_orders, reconcile
from engine.orders_model import Fill, OrderIntent, client_order_id

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
LONG_AGO = date(2026, 11, 6)  # 17 days before the rig's session
SHARES = 12


async def bought_long_ago(r: Rig, symbol: str) -> None:
    """The journal's part: the intent and the fill of an entry. The account has as many shares."""
    at = datetime(2026, 11, 6, 14, 31, tzinfo=UTC)
    name = client_order_id(r.home.id8, LONG_AGO, symbol, "entry", 1)
    price = Decimal(str(round(r.closes[symbol], 2)))
    intent = OrderIntent(
        name, LONG_AGO, symbol, "buy", SHARES, "limit", price, None, "day", "entry", 1, "pick 1 of the list", at
    )
    await r.journal.record_intent(intent)
    await r.journal.record_fill(Fill("old-1", "e-1", name, symbol, "buy", SHARES, price, at))
    body = {"symbol": symbol, "qty": str(SHARES), "side": "buy", "type": "market", "time_in_force": "day"}
    r.sim.request("POST", "/v2/orders", body)
    await until(lambda: r.sim.request("GET", "/v2/positions"), "the shares of long ago")


async def test_a_position_of_weeks_ago_is_ours_after_a_restart_and_leaves_as_carried(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.go_to(r.session.open + timedelta(minutes=10))
        r.kill_desk()
        await bought_long_ago(r, r.names[0])
        desk = await r.restarted()
        assert [(h.symbol, h.session) for h in desk.book.holdings.values()] == [(r.names[0], LONG_AGO)]
        await until(lambda: not desk.book.open_holdings(), "sold")
        assert [(c.symbol, c.shares, c.reason) for c in r.told.of(PositionClosed)] == [
            (r.names[0], SHARES, "CARRIED")
        ]
        assert await r.rest.positions() == []
        assert (await desk.reconcile()).foreign == ()


async def test_the_orders_of_a_position_are_known_however_long_ago_they_were_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of no days stand for the days that have passed; the stop expired while nobody looked."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        held = r.desk.book.shares(r.names[0])
        await until(lambda: not r.desk.desk.records._waiting, "the stop is in the journal")
        await r.desk.stop()
        r.sim.request("DELETE", "/v2/orders")  # as its expiry would end it
        monkeypatch.setattr(our_orders, "RESTORE_DAYS", -1)
        monkeypatch.setattr(reconcile, "LOOK_BACK", timedelta(0))
        desk = await r.restarted()
        assert desk.book.shares(r.names[0]) == held
        assert desk.is_clean
        await r.protected()
        stops = [o for o in await r.rest.orders("open") if o.kind == "stop"]
        assert [int(o.shares) for o in stops] == [held]
        assert [o.status for o in desk.desk.of_symbol(r.names[0])] == ["filled", "canceled", stops[0].status]
