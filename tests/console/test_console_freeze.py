"""A frozen screen stands still; the data, the alarms, the strip and everything dangerous go on."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until
from textual.pilot import Pilot
from textual.widgets import Input

from app.client import EngineClient, EngineState, Link
from app.console import TshConsole
from app.dialogs.confirm import ConfirmDialog
from app.dialogs.flatten import FlattenDialog
from app.freeze import Freeze, ViewRing
from app.screens.base import ConsoleScreen
from app.time_shift import TimeShift
from app.widgets.box import cells
from app.widgets.transport import TransportLine, transport_line
from engine.home import Home
from engine.views import EventView, GroupsView, PositionsView


def priced(last: str) -> PositionsView:
    view = recorded.positions()
    return view.model_copy(
        update={"rows": (view.rows[0].model_copy(update={"last": Decimal(last)}), *view.rows[1:])}
    )


def fresh(seq: int, text: str, level: str = "info") -> EventView:
    return recorded.events()[-1].model_copy(update={"seq": seq, "text": text, "level": level})


def body_of(app: TshConsole) -> str:
    """The screen without strip, transport line and key line."""
    return "\n".join(text_of(app).splitlines()[2:-1])


async def at_positions(pilot: Pilot[None], app: TshConsole, engine: RecordedEngine, last: str = "60.71") -> None:
    """The positions screen, with a first price that is shown."""
    engine.board.positions = priced(last)
    await painted(pilot, app)
    await pilot.press("5")
    await until(lambda: last in text_of(app))


async def test_the_body_stands_still_while_prices_move_and_z_comes_back(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await at_positions(pilot, app, engine)
        await pilot.press("z")
        assert re.match(r" FROZEN \d s \+0 ", text_of(app).splitlines()[0])  # not always at once
        engine.board.positions = priced("59.99")
        engine.server.publish(fresh(61, "something happened"))
        await until(lambda: app.client.state.positions == priced("59.99") and app.client.state.seq == 61)
        await until(lambda: "1 events and 2 changes since" in text_of(app))
        assert "60.71" in body_of(app)
        assert "59.99" not in body_of(app)
        assert " +1 " in text_of(app).splitlines()[0]
        await pilot.press("z")
        assert "59.99" in body_of(app)
        assert "FROZEN" not in text_of(app)


async def test_every_screen_is_frozen_at_the_same_moment_and_escape_ends_it(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("z")
        engine.board.training = recorded.training().model_copy(update={"cycle": 199})
        engine.server.publish(fresh(61, "a thing of today"))
        await until(lambda: app.client.state.training.cycle == 199 and app.client.state.seq == 61)
        for key in "27":
            await pilot.press(key)
            assert "FROZEN" in text_of(app)
            assert "199" not in body_of(app)
            assert "a thing of today" not in body_of(app)
        await pilot.press("escape")
        assert "FROZEN" not in text_of(app)
        assert "a thing of today" in body_of(app)
        await pilot.press("2")
        assert "199" in body_of(app)


async def test_the_strip_and_a_lost_engine_are_told_of_now(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("z")
        engine.board.status = recorded.status().model_copy(
            update={"latched": "daily loss", "day_pnl": Decimal("-2100.55")}
        )
        await until(lambda: "LATCHED no new entries: daily loss" in text_of(app))
        assert "-2,100.55" in text_of(app).splitlines()[0]
        await engine.stop()
        await until(lambda: "ENGINE LOST" in text_of(app))
        assert "NOTHING sells ABCD KLMN MNOP" in " ".join(text_of(app).split())


async def test_alarms_that_come_meanwhile_are_said_over_the_frozen_screen(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("z")
        engine.server.publish(fresh(61, "a mere remark"))
        engine.server.publish(fresh(62, "KLMN halted", "alert"))
        await until(lambda: "ALERT now: KLMN halted" in said(app))
        assert said(app).count("KLMN halted") == 1
        assert "a mere remark" not in said(app)


async def test_dialogs_show_what_is_at_stake_now(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await at_positions(pilot, app, engine)
        await pilot.press("z")
        engine.board.positions = priced("59.99")
        engine.board.flatten = recorded.flatten().model_copy(
            update={"exposure": Decimal("61000.50"), "positions": 2}
        )
        await until(lambda: app.client.state.positions == priced("59.99"))
        await pilot.press("x")
        assert isinstance(app.screen, ConfirmDialog)
        assert "last 59.99 $" in text_of(app)
        engine.board.positions = priced("58.88")
        await until(lambda: "last 58.88 $" in text_of(app))
        await pilot.press("escape", "f12")
        assert isinstance(app.screen, FlattenDialog)
        await until(lambda: "2 positions   61,000.50" in text_of(app))
        await pilot.press(*"FLATTEN", "enter")
        await until(lambda: engine.commands)
    assert engine.commands == [("flatten", {"include_foreign": False})]


async def test_what_asks_no_question_is_not_sent_from_a_frozen_screen(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        for keys in (["2", "z", "p"], ["3", "p"], ["4", "space", "end", "space"]):
            app.clear_notifications()
            await pilot.press(*keys)
            await until(lambda: "the screen is frozen: z goes back to now" in said(app))
        assert engine.commands == []
        await pilot.press("z", "2", "p")
        await until(lambda: engine.commands)
    assert engine.commands == [("training_pause", {})]


async def test_arrows_look_back_and_forth_through_what_was_shown(engine: RecordedEngine, app: TshConsole) -> None:
    app.freezer.ring = ViewRing(period_s=0.0)
    async with app.run_test(size=(140, 40)) as pilot:
        await at_positions(pilot, app, engine, "60.11")
        for number, price in enumerate(("60.22", "60.33"), start=61):
            engine.server.publish(fresh(number, f"price {price}"))
            await until(lambda number=number: app.client.state.seq == number)
            engine.board.positions = priced(price)
            await until(lambda price=price: price in text_of(app))
        await pilot.press("z")
        for _ in range(60):
            await pilot.press("left")
        assert "60.11" in body_of(app)
        assert "60.33" not in body_of(app)
        assert app.shown.seq == 60
        await pilot.press("right_square_bracket")
        assert "event 61: price 60.22" in said(app)
        assert app.shown.seq == 61
        await pilot.press("right_square_bracket")
        assert app.shown.seq == 62
        await pilot.press("left_square_bracket")
        assert app.shown.seq == 61
        for _ in range(60):
            await pilot.press("right")
        assert "60.33" in body_of(app)
        assert "FROZEN" in text_of(app)


async def test_arrows_and_z_are_left_to_who_types_and_to_dialogs(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("z", "slash", *"zz", "left", "x")
        assert app.screen.query_one("#filter", Input).value == "zxz"
        assert app.freezer.frozen
        await pilot.press("escape", "4", "a")  # the first one clears the filter
        assert isinstance(app.screen, ConfirmDialog)
        await pilot.press("right", "escape")
        assert isinstance(app.screen, ConsoleScreen)
        assert app.freezer.frozen
    assert engine.commands == []


# --- the ring by itself --------------------------------------------------------------------------------


def state_with(cycle: int) -> EngineState:
    state = EngineState()
    state.training = recorded.training().model_copy(update={"cycle": cycle})
    state.revision = cycle
    return state


def test_the_ring_keeps_the_last_minutes_and_counts_what_it_keeps() -> None:
    ring = ViewRing(kept_s=60.0, period_s=0.5)
    state = state_with(0)
    for tick in range(1000):
        state.training = recorded.training().model_copy(update={"cycle": tick})
        state.revision += 1
        ring.take(state, tick * 0.25)
    moments = ring.moments
    assert moments[-1].at_s - moments[0].at_s == pytest.approx(60.0, abs=0.5)
    assert len(moments) == 121  # every other tick
    distinct = {id(body): len(body) for moment in moments for body in moment.bodies.values()}
    assert ring.bytes == sum(distinct.values())


def test_the_ring_is_bounded_in_bytes_too_and_never_empty() -> None:
    ring = ViewRing(kept_bytes=5_000, period_s=0.0)
    for number in range(1, 50):
        ring.take(state_with(number), float(number))
        assert ring.moments
    assert ring.bytes < 10_000
    assert len(ring.moments) < 10


def test_what_did_not_change_is_not_kept_again() -> None:
    ring = ViewRing(period_s=0.5)
    state = state_with(1)
    for tick in range(100):
        ring.take(state, float(tick))
    assert len(ring.moments) == 1


def test_a_moment_is_shown_as_it_was_to_the_last_field(home: Home) -> None:
    client = EngineClient(home)
    clock = [0.0]
    freeze = Freeze(client, clock=lambda: clock[0])
    client.link = Link.LIVE
    board = recorded.recorded_board()
    for name, view in board.views().items():
        setattr(client.state, name, view)
    client.state.revision += 1
    freeze.watch()
    clock[0] = 1.0
    client.state.groups = GroupsView()
    client.state.revision += 1
    freeze.begin()
    assert freeze.state.groups == GroupsView()
    assert freeze.state.positions is client.state.positions
    freeze.step(-1)
    assert {name: getattr(freeze.state, name) for name in board.views()} == board.views()
    freeze.step(1)
    assert freeze.state.groups == GroupsView()
    freeze.end()
    assert freeze.state is client.state


# --- the line below the strip -----------------------------------------------------------------------------

SHIFT = TimeShift(
    badge="REPLAY 60×",
    past=True,
    runs=True,
    at=recorded.NOW,
    facts=("end of the recording", "of 6 h 31 m"),
    share=0.5,
    keys=(("space", "pause"), ("← →", "10 s"), ("[ ]", "event"), ("+ -", "speed"), ("t", "time"), ("?", "more")),
)


@pytest.mark.parametrize("width", range(20, 220, 7))
def test_the_transport_line_fills_its_width_and_always_says_the_moment(width: int) -> None:
    line = transport_line(SHIFT, width)
    text = "".join(piece for piece, _ in line)
    assert cells(line) == width
    assert text.startswith(" ▶ Fri 20 Nov 2026"[:width])
    if width >= 80:
        assert "10:42:07 ET" in text
        assert "space pause" in text
        assert "━" in text
    if width >= 160:
        assert all(key in text for key in ("end of the recording", "of 6 h 31 m", "? more"))


def test_without_a_shift_there_is_no_line() -> None:
    assert TransportLine().draw(80) == []
