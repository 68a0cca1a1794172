"""Updates in lanes and records behind them: in order within a symbol, nothing lost, nobody held up by another."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from engine.broker.broker_types import BrokerOrder, TradeUpdate
from engine.execution.order_records import OrderRecords
from engine.execution.update_lanes import UpdateLanes
from engine.journal import JournalDb

AT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
ORDER = BrokerOrder(
    id="o1", client_order_id="tsh-00000000-20261123-AAA-stop-1", symbol="AAA", side="sell", kind="stop",
    status="new", shares=Decimal(10), filled=Decimal(0), average_price=None, limit_price=None,
    stop_price=Decimal(9), time_in_force="day", submitted_at=AT, updated_at=AT,
)  # fmt: skip


def update(symbol: str, event: str) -> TradeUpdate:
    return TradeUpdate(event, replace(ORDER, symbol=symbol), AT)


async def test_a_symbol_whose_fill_waits_for_the_disk_holds_up_no_other() -> None:
    booked: list[str] = []
    disk = asyncio.Event()

    async def book(told: TradeUpdate) -> None:
        if told.event == "fill":
            await disk.wait()
        booked.append(f"{told.order.symbol} {told.event}")

    lanes = UpdateLanes(book)
    for symbol, event in (("AAA", "fill"), ("AAA", "canceled"), ("BBB", "canceled")):
        lanes.put(update(symbol, event))
    for _ in range(20):  # turns of the loop: more than any of them needs
        await asyncio.sleep(0)
    assert booked == ["BBB canceled"]
    disk.set()
    await lanes.drained()
    assert booked == ["BBB canceled", "AAA fill", "AAA canceled"]


async def test_an_update_that_cannot_be_booked_costs_no_other() -> None:
    booked: list[str] = []

    async def book(told: TradeUpdate) -> None:
        if told.event == "new":
            raise ValueError("broken")
        booked.append(told.event)

    lanes = UpdateLanes(book)
    lanes.put(update("AAA", "new"))
    lanes.put(update("AAA", "fill"))
    await lanes.drained()
    assert booked == ["fill"]


async def test_records_are_written_soon_and_only_forward(tmp_path: Path) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")

    async def keep(what: str, writing: object) -> None:
        await writing  # type: ignore[misc]

    records = OrderRecords(journal, keep)
    records.soon(ORDER.state())
    records.soon(replace(ORDER, status="canceled").state())
    await records.written()
    records.soon(ORDER.state())  # late news: the journal knows better
    await records.written()
    assert [state.status for state in await journal.orders()] == ["canceled"]
    await journal.close()
