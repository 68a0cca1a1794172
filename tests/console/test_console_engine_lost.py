"""A lost engine is seen at once, with what still protects the positions; the rest of the page stays."""

from __future__ import annotations

from decimal import Decimal

import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of, until

from app.client import EngineClient
from app.console import TshConsole
from engine.home import Home
from engine.views import OrderRow, PositionsView, StatusView


def stop_order(symbol: str, **more: object) -> OrderRow:
    order = {"at": recorded.NOW, "symbol": symbol, "side": "sell", "shares": 412, "kind": "stop", "status": "new"}
    return OrderRow.model_validate({**order, "price": Decimal("58.28"), **more})


async def test_a_lost_engine_is_said_on_every_screen_and_forgotten_when_it_is_back(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: "ENGINE LOST" in text_of(app))
        for key in "234567":
            await pilot.press(key)
            assert "ENGINE LOST" in text_of(app)
        assert "NOTHING sells ABCD KLMN MNOP until the engine is back" in " ".join(text_of(app).split())
        await engine.start()
        await until(lambda: "ENGINE LOST" not in text_of(app))


async def test_resting_stops_of_ours_are_named_as_what_still_protects(
    engine: RecordedEngine, app: TshConsole
) -> None:
    view = recorded.positions()
    engine.board.positions = view.model_copy(
        update={
            "orders": (stop_order("ABCD"), stop_order("KLMN", status="filled"), stop_order("MNOP", foreign=True))
        }
    )
    async with app.run_test(size=(160, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: "ENGINE LOST" in text_of(app))
        await until(lambda: "NOTHING sells" in " ".join(text_of(app).split()))  # the lines below need a layout
        shown = " ".join(text_of(app).split())
        assert "still protect ABCD 58.28." in shown
        assert "NOTHING sells KLMN MNOP" in shown


async def test_without_positions_there_is_nothing_to_fear(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.positions = PositionsView()
    engine.board.status = StatusView()
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: "No positions were open" in text_of(app))


async def test_before_the_first_attach_the_console_says_what_it_waits_for(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    async with app.run_test(size=(120, 40)):
        await until(lambda: "attaching to the engine" in text_of(app))
        await until(lambda: "no engine runs for this home folder" in " ".join(text_of(app).split()))
