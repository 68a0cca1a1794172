"""A real desk on the simulator in trouble: which alerts leave, and what ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from execution_rig import Rig, rig, until

from engine.alerts.desk import AlertDesk
from engine.alerts.sink import Note, Outcome, Scrubber
from engine.brackets import Bracket
from engine.events import Event
from engine.settings import AlertSettings
from engine.view_board import ViewBoard
from engine.views import LinkView, StatusView

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
FASTER = 20.0  # the alerts' clock, so that what must last 15 seconds lasts under one


@dataclass
class Pager:
    """A sink that remembers, under the name of one that the ladders know."""

    name: str = "webhook"
    notes: list[Note] = field(default_factory=list)

    def in_force(self) -> str:
        return "a pager"

    async def send(self, note: Note) -> Outcome:
        self.notes.append(note)
        return Outcome(self.name, "sent")

    async def close(self) -> None:
        return

    def states(self, key: str) -> list[str]:
        return [note.what for note in self.notes if note.key == key]


@asynccontextmanager
async def paged(r: Rig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pager]:
    """The alert desk beside the execution desk, as the daemon joins them; warnings leave at once, too."""
    board, pager = ViewBoard(), Pager()
    alerts = AlertDesk(
        AlertSettings(warning=("webhook",), disk_free_mb=1),
        r.journal,
        r.told,
        board,
        r.home,
        [pager],
        mode="sim",
        scrub=Scrubber((r.sim.key, r.sim.secret)),
        monotonic=lambda: time.monotonic() * FASTER,
        look_s=0.05,
    )
    keep = r.told.publish

    def publish(event: Event) -> None:
        if alerts.take(event):
            keep(event)

    monkeypatch.setattr(r.told, "publish", publish)

    async def paint() -> None:
        while True:
            prices, orders = r.desk.link_views()
            board.positions, board.flatten = r.desk.views(), r.desk.flatten_view()
            board.status = StatusView(
                pid=1,
                broker=LinkView(state="live"),
                prices=prices,
                orders=orders,
                market_open=r.clock.is_open,
                market_time=r.clock.now(),
                latched=r.desk.latched,
            )
            await asyncio.sleep(0.02)

    await alerts.restore()
    painter = asyncio.create_task(paint())
    alerts.start()
    try:
        yield pager
    finally:
        painter.cancel()
        await alerts.stop()


async def test_an_ordinary_entry_and_exit_alerts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r, paged(r, monkeypatch) as pager:
        await r.enter(r.names[:2])
        await r.protected()
        for symbol in r.names[:2]:
            await r.desk.exit_one(symbol, "anna")
        await until(lambda: not r.desk.book.open_holdings(), "flat")
        assert pager.notes == []


async def test_a_stop_that_the_broker_refuses_is_told_and_over_when_the_position_is_sold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r, paged(r, monkeypatch) as pager:
        symbol = r.names[0]
        await r.enter((symbol,))
        await r.protected()
        r.sim.fault("reject_order", symbol=symbol, times=1)
        await r.rest.cancel(next(o.id for o in await r.rest.orders("open") if o.kind == "stop"))
        await until(
            lambda: pager.states(f"unprotected-{symbol}") == ["raised", "recovered"], "the alert and its end"
        )
        assert pager.notes[0].severity == "critical"
        assert not r.desk.book.open_holdings()


async def test_an_exit_that_the_broker_rejects_is_told_and_over_when_a_later_one_sells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r, paged(r, monkeypatch) as pager:
        symbol = r.names[0]
        await r.enter((symbol,))
        await r.protected()
        r.sim.fault("reject_order", symbol=symbol, times=2)
        await r.desk.exit_one(symbol, "anna")
        await until(lambda: pager.states(f"exit-{symbol}") == ["raised", "recovered"], "the alert and its end")
        refused = next(note for note in pager.notes if note.key == f"exit-{symbol}")
        assert "the exit was refused" in refused.text


async def test_a_price_stream_that_falls_silent_over_a_position_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, brackets=(NEVER,), stale_after_s=0.5) as r, paged(r, monkeypatch) as pager:
        symbol = r.names[0]
        await r.enter((symbol,))
        await r.protected()
        r.sim.fault("mute", socket="price", seconds=300)
        await until(lambda: pager.states("link-prices") == ["raised"], "the silence")
        note = next(note for note in pager.notes if note.key == "link-prices")
        assert note.severity == "critical"
        assert symbol in note.text


async def test_a_flatten_that_cannot_end_is_told_and_over_when_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r, paged(r, monkeypatch) as pager:
        await r.enter(r.names[:1])
        await r.protected()
        r.sim.fault("reject_order", symbol=r.names[0], times=4)
        view = await r.desk.flatten("anna")
        assert view.state == "flat"
        states = pager.states(f"exit-{r.names[0]}")
        assert states[0] == "raised"
        await until(lambda: pager.states(f"exit-{r.names[0]}")[-1] == "recovered", "its end")
        assert [note.severity.value for note in pager.notes if note.key == "entries-latched"][:1] in (
            [],
            ["notice"],
        )
