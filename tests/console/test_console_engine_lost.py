"""A lost engine is seen at once, with what still protects the positions; the rest of the page stays."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, strips_of, text_of, until
from websockets.asyncio.server import ServerConnection, unix_serve

from app import themes
from app.client import LOST_AFTER_S, EngineClient, Link
from app.console import TshConsole
from engine.home import Home
from engine.views import OrderRow, PositionRow, PositionsView, StatusView


def stop_order(symbol: str, **more: object) -> OrderRow:
    order = {"at": recorded.NOW, "symbol": symbol, "side": "sell", "shares": 412, "kind": "stop", "status": "new"}
    return OrderRow.model_validate({**order, "price": Decimal("58.28"), **more})


def buy(symbol: str, **more: object) -> OrderRow:
    order = {"at": recorded.NOW, "symbol": symbol, "side": "buy", "shares": 10, "kind": "limit", "status": "new"}
    return OrderRow.model_validate({**order, **more})


def words(app: TshConsole) -> str:
    """What stands on the terminal, wherever it is wrapped."""
    return " ".join(text_of(app).split())


def row_of(app: TshConsole, symbol: str) -> str:
    """The line of ``symbol`` in the table of positions."""
    lines = text_of(app).splitlines()
    return next((line for line in lines if "│" in line and line.lstrip("│▸ ").startswith(symbol)), "")


def age_of(app: TshConsole, symbol: str) -> float:
    """Seconds, as they stand beside a price that is stale."""
    stale = [part for part in row_of(app, symbol).split() if part.endswith("s!")]
    return float(stale[0].removesuffix("s!")) if stale else 0.0


def ink_of(app: TshConsole, text: str) -> str:
    """In which ink ("dim" or "text") ``text`` is written in the first row of the positions."""
    dim = app.ink_styles["dim"]
    row = next((strip for strip in strips_of(app) if "ARMED" in strip.text), None)
    for part in row or ():
        if part.text.strip() == text and part.style is not None:
            return "dim" if part.style.dim or part.style.color == dim.color is not None else "text"
    return ""


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
    engine.board.status = StatusView(pid=4242)
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: "No positions were open" in text_of(app))


async def test_an_engine_that_was_lost_before_it_told_anything_leaves_the_positions_unknown(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.positions = PositionsView()
    engine.board.status = StatusView()
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: "It never told what is open" in words(app))
        assert "No positions were open" not in words(app)
        assert "'tshc flatten' needs no engine" in words(app)


ENTERING = PositionRow(symbol="KLMN", state="ENTERING", why_next="entry orders are out")
IN_FLIGHT = {
    "an open buy of ours": (PositionsView(orders=(buy("ABCD"),)), 1, "1 entry order (ABCD) may still fill"),
    "a name that is entering": (PositionsView(rows=(ENTERING,)), 0, "1 entry order (KLMN) may still fill"),
    "both": (
        PositionsView(rows=(ENTERING,), orders=(buy("ABCD"),)), 2, "2 entry orders (ABCD KLMN) may still fill",
    ),
    "the same name twice": (
        PositionsView(rows=(ENTERING,), orders=(buy("KLMN"),)), 1, "1 entry order (KLMN) may still fill",
    ),
    "orders that are only counted": (PositionsView(), 2, "2 entry orders may still fill"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_FLIGHT)
async def test_entries_in_flight_are_told_when_the_engine_is_lost(
    engine: RecordedEngine, app: TshConsole, name: str
) -> None:
    engine.board.positions, orders, expected = IN_FLIGHT[name]
    engine.board.status = StatusView(pid=4242, orders_open=orders)
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: expected in words(app))
        assert "nothing would protect them. In a shell: 'tshc flatten'" in words(app)
        assert "No positions were open" not in words(app)


async def test_orders_that_are_no_entries_of_ours_are_not_taken_for_some(
    engine: RecordedEngine, app: TshConsole
) -> None:
    orders = (buy("ABCD", status="filled"), buy("SPY", foreign=True))
    engine.board.positions = PositionsView(orders=orders)
    engine.board.status = StatusView(pid=4242, orders_open=1)
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: "No positions were open" in words(app))
        assert "may still fill" not in words(app)


async def test_prices_grow_old_with_the_silence_and_say_that_they_are_stale(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5")
        await until(lambda: "0.2s" in row_of(app, "ABCD"))
        assert "STALE" not in row_of(app, "ABCD")
        await engine.stop()
        await until(lambda: "STALE" in row_of(app, "ABCD"))
        assert "0.2s" not in row_of(app, "ABCD")
        await until(lambda: age_of(app, "ABCD") >= LOST_AFTER_S)
        first = age_of(app, "ABCD")
        await until(lambda: age_of(app, "ABCD") > first + 1.0)  # it goes on without any news
        assert "STALE" not in row_of(app, "QRST")  # closed: it has no price that could be old
        await engine.start()
        await until(lambda: "0.2s" in row_of(app, "ABCD") and "STALE" not in row_of(app, "ABCD"))


@pytest.mark.parametrize("theme", [theme.name for theme in themes.OURS])
async def test_the_bodies_dim_while_the_engine_is_lost(
    engine: RecordedEngine, app: TshConsole, theme: str
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        app.theme = theme
        await pilot.press("5")
        await until(lambda: ink_of(app, "412") == "text")
        await engine.stop()
        await until(lambda: "ENGINE LOST" in text_of(app))
        await until(lambda: ink_of(app, "412") == "dim")
        await engine.start()
        await until(lambda: ink_of(app, "412") == "text")


@pytest.mark.parametrize("width", [80, 120, 200])
async def test_the_numbers_of_the_strip_are_marked_as_old(
    engine: RecordedEngine, app: TshConsole, width: int
) -> None:
    async with app.run_test(size=(width, 30)) as pilot:
        await painted(pilot, app)
        assert "(old)" not in text_of(app)
        await engine.stop()
        await until(lambda: "ENGINE LOST" in text_of(app))
        strip = text_of(app).split("\n")[0]
        assert "as of " in strip
        assert "10:42:07" in strip
        assert "+182.40" in strip
        assert "(old)" in strip
        for live in (" open", " closes", "5h17m", "5 h 17 m"):
            assert live not in strip


async def test_the_question_before_a_sale_says_that_nothing_can_be_sent(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("5", "x")
        await until(lambda: "last 61.35 $ (0.2s)" in text_of(app))
        assert "nothing can be sent" not in text_of(app)
        await engine.stop()
        await until(lambda: "no engine: nothing can be sent" in text_of(app))
        await until(lambda: "(0.2s)" not in text_of(app))
        await pilot.press("y")
        await until(lambda: "nothing was sent" in said(app))
    assert engine.commands == []


async def test_the_flatten_dialog_says_as_of_when_its_numbers_are(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("f12")
        await until(lambda: "3 positions" in text_of(app))
        assert "as last known" not in text_of(app)
        await engine.stop()
        await until(lambda: "as last known, 10:42:07 ET" in text_of(app))
        assert "the engine is lost: run 'tshc flatten' in a shell" in text_of(app)


async def test_a_flatten_that_ran_is_not_said_to_run_still(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.flatten = recorded.flattening()
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await until(lambda: "FLATTEN running: 3 sell all" in words(app))
        await engine.stop()
        await until(lambda: "FLATTEN running when the engine was lost: 3 sell all" in words(app))


async def test_a_silent_engine_is_sent_nothing_that_it_would_do_later_but_a_flatten(home: Home) -> None:
    heard: list[str] = []

    async def mute(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"snapshot": {}}')
        async for frame in socket:
            heard.append(json.loads(frame)["command"])

    async with unix_serve(mute, str(home.socket_path())):
        home.engine_record.write_text(json.dumps({"pid": 1, "socket": str(home.socket_path())}))
        async with EngineClient(home) as client:
            await client.attached(60)
            await until(lambda: client.link is Link.LOST)
            answer = await client.command("exit_position", {"symbol": "ABCD"})
            assert not answer.accepted
            assert "the engine has been silent for" in answer.reason
            assert "nothing was sent" in answer.reason
            answer = await client.command("flatten", timeout_s=0.2)
            assert "is not known" in answer.reason
            await until(lambda: heard)
    assert heard == ["flatten"]


async def test_before_the_first_attach_the_console_says_what_it_waits_for(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    async with app.run_test(size=(120, 40)):
        await until(lambda: "attaching to the engine" in text_of(app))
        await until(lambda: "no engine runs for this home folder" in " ".join(text_of(app).split()))
