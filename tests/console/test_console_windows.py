"""Windows that show a row in full go on showing what is so now, and hold all of it on a small terminal."""

from __future__ import annotations

from decimal import Decimal

import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of, until
from textual.pilot import Pilot

from app.client import Link
from app.console import TshConsole
from app.dialogs.frame import InfoDialog
from engine.views import PositionRow

SMALL = (80, 24)


async def opened(pilot: Pilot[None], app: TshConsole, *keys: str) -> str:
    await painted(pilot, app)
    await pilot.press(*keys)
    await pilot.pause()
    assert isinstance(app.screen, InfoDialog)
    return text_of(app)


def give(engine: RecordedEngine, **changed: object) -> PositionRow:
    """The first position as the engine has it from now on."""
    view = recorded.positions()
    row = view.rows[0].model_copy(update=changed)
    engine.board.positions = view.model_copy(update={"rows": (row, *view.rows[1:])})
    return row


async def test_the_position_window_has_what_a_small_table_leaves_out(app: TshConsole) -> None:
    async with app.run_test(size=SMALL) as pilot:
        shown = await opened(pilot, app, "5", "enter")
        for said in (
            "412 shares", "last 61.35  0.2s from stream", "P&L +263.68 $ +1.05 %", "entry 60.71", "high 61.42",
            "stop 61.05", "target 61.62", "price ≤ 61.05 (trail) or ≥ 61.62", "●",
        ):  # fmt: skip
            assert said in shown, said


async def test_the_position_window_follows_the_price_its_age_and_the_end(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "5", "enter")
        give(engine, last=Decimal("57.11"), age_s=7.3, stale=True, source="rest", pnl=Decimal("-1483.20"))
        await until(lambda: "last 57.11  STALE 7.3s!, rest quotes" in text_of(app))
        assert "61.35" not in "".join(line for line in text_of(app).splitlines() if "│ │" in line)
        assert "P&L -1,483.20 $" in text_of(app)
        give(engine, shares=0, state="CLOSED", why_next="sold 10:44:02 at 57.02, protective stop")
        await until(lambda: "ended     sold 10:44:02 at 57.02, protective stop" in text_of(app))
        assert "last 57.11" not in text_of(app)
        engine.board.positions = recorded.positions().model_copy(update={"rows": ()})
        await until(lambda: "ABCD is not among the positions any more" in text_of(app))


async def test_a_window_says_when_what_it_shows_is_only_the_last_that_was_heard(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "5", "enter")
        await engine.stop()
        await until(lambda: app.client.link is Link.LOST)
        await until(lambda: "ENGINE LOST: this is the last that was heard" in text_of(app))
