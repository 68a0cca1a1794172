"""Shares of ours that somebody else sells: booked at what they brought, once, and for good."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from execution_rig import Rig, rig, until

from engine.brackets import Bracket
from engine.broker.broker_types import BrokerOrder
from engine.errors import OperatorError
from engine.execution.outside_sales import OutsideSales, told_by_orders

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


async def sell_by_hand(r: Rig, shares: int) -> BrokerOrder:
    """A person cancels the stop and sells; the engine may be quicker and hold the shares again."""
    body = {"symbol": r.names[0], "qty": str(shares), "side": "sell", "type": "market", "time_in_force": "day"}
    for _ in range(50):
        with suppress(OperatorError):
            r.sim.request("DELETE", "/v2/orders")
            r.sim.request("POST", "/v2/orders", body)
            break
    left = r.desk.book.shares(r.names[0]) - shares
    await until(lambda: sum(int(p["qty"]) for p in r.sim.request("GET", "/v2/positions")) == left, "sold")
    return next(o for o in await r.rest.orders("all") if o.side == "sell" and o.filled)


async def test_a_position_sold_by_hand_stays_sold_after_a_restart(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        by_hand = await sell_by_hand(r, r.desk.book.shares(r.names[0]))
        await until(lambda: not r.desk.book.open_holdings(), "closed")
        (closed,) = r.desk.book.closed
        assert (closed.reason, closed.exit) == ("OUTSIDE", by_hand.average_price)
        assert (await r.desk.reconcile()).clean
        assert r.desk.drift.texts == ()  # the cash is explained
        r.kill_desk()
        desk = await r.restarted()
        assert desk.is_clean
        assert desk.book.open_holdings() == []
        assert desk.book.closed == [closed]
        assert desk.desk.open_orders() == []
        assert desk.drift.texts == ()
        assert sum(f.shares if f.side == "buy" else -f.shares for f in await r.journal.fills(r.session.day)) == 0
        account = await r.rest.account()
        assert account.equity - 100_000 == closed.pnl.quantize(Decimal("0.01"))


async def test_a_part_sold_by_somebody_else_leaves_the_rest_managed_after_a_restart_too(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        name, held = r.names[0], r.desk.book.shares(r.names[0])
        await sell_by_hand(r, 7)
        await until(lambda: r.desk.book.shares(name) == held - 7, "booked")
        await r.protected()
        (holding,) = r.desk.book.open_holdings()
        r.kill_desk()
        desk = await r.restarted()
        (restored,) = desk.book.open_holdings()
        assert (restored.tsh.shares, restored.sold, restored.proceeds) == (held - 7, 7, holding.proceeds)
        await r.protected()
        assert desk.is_clean
        assert [int(o.shares) for o in await r.rest.orders("open")] == [held - 7]


async def test_shares_that_vanish_without_a_sale_are_booked_once_at_the_last_price(tmp_path: Path) -> None:
    """A transfer, a corporate action: the account has no order that says what they brought."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        name = r.names[0]
        before = r.desk.book.holdings[name]
        await OutsideSales(r.desk.desk, r.desk.book, r.clock.now, lambda: r.session.day).book(name, 10, ())
        assert r.desk.book.shares(name) == before.tsh.shares - 10
        (sold,) = [f for f in await r.journal.fills(r.session.day) if f.side == "sell"]
        assert (sold.shares, sold.client_order_id) == (10, f"outside-20261123-{name}-1")
        # Its stop may be placed anew meanwhile: that intent may be the last.
        (meant,) = [i for i in await r.journal.intents(r.session.day) if i.leg == "outside"]
        assert "last price" in meant.why


def sale(
    number: int, minute: int, filled: int, price: str, symbol: str = "ABCD", side: str = "sell"
) -> BrokerOrder:
    at = NOON + timedelta(minutes=minute)
    raw: dict[str, Any] = {
        "id": f"o{number}", "client_order_id": f"by-hand-{number}", "symbol": symbol, "side": side,
        "type": "market", "status": "filled", "qty": "100", "filled_qty": str(filled), "filled_avg_price": price,
        "time_in_force": "day", "submitted_at": at.isoformat(), "updated_at": at.isoformat(),
    }  # fmt: skip
    return BrokerOrder.parse(raw)


def test_the_latest_sells_that_make_up_the_missing_shares_give_the_price() -> None:
    orders = [
        sale(1, 1, 100, "10"), sale(2, 5, 40, "20"), sale(3, 9, 20, "30"), sale(4, 9, 100, "99", "OTHER"),
        sale(5, 9, 100, "99", side="buy"), sale(6, 9, 0, "99"),
    ]  # fmt: skip
    told = told_by_orders(orders, "ABCD", 60, NOON + timedelta(minutes=2))
    assert told is not None
    assert told.price == Decimal("23.333333")  # 20 x 30 and 40 x 20
    assert told.at == NOON + timedelta(minutes=9)
    assert told.why.endswith("order o3, o2")
    part = told_by_orders(orders, "ABCD", 30, NOON)
    assert part is not None
    assert part.price == Decimal("26.666667")
    # One share more than was sold after the last booking: the orders do not tell its price.
    assert told_by_orders(orders, "ABCD", 61, NOON + timedelta(minutes=2)) is None
