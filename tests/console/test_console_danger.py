"""Dangerous actions by consequence, and what must be unmistakable: drift, a lost engine, a live account."""

from __future__ import annotations

from decimal import Decimal

import pytest
import recorded_board as recorded_go
import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of, until
from textual.widgets import Button

from app.console import TshConsole
from app.dialogs.confirm import ConfirmDialog
from app.dialogs.flatten import FlattenDialog
from engine.views import PositionRow

LIVE = {"mode": "live", "account": "9981"}
WORDS = [
    (["4", "a"], "APPROVE", "approve"),
    (["5", "x"], "SELL", "exit_position"),
    (["5", "u"], "UNLATCH", "unlatch"),
]


@pytest.mark.parametrize(("keys", "word", "command"), WORDS, ids=[w[2] for w in WORDS])
async def test_on_a_live_account_what_moves_money_asks_for_a_typed_word(
    engine: RecordedEngine, app: TshConsole, keys: list[str], word: str, command: str
) -> None:
    engine.board.status = recorded.status().model_copy(update={**LIVE, "latched": "a test"})
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press(*keys, "y", "enter", *word.lower(), "enter")
        assert isinstance(app.screen, ConfirmDialog)
        assert engine.commands == []
        await pilot.press(*word, "enter", "enter")
        await until(lambda: engine.commands)
        await pilot.pause()
    assert [name for name, _ in engine.commands] == [command]


QUESTIONS = (["4", "a"], ["4", "r"], ["5", "x"], ["2", "s"], ["3", "s"], ["g", "a"], ["g", "r"], ["1", "u"])


async def test_every_question_begins_on_back_and_a_double_press_asks_once(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.status = recorded.status().model_copy(update={"latched": "a test"})
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        for keys in QUESTIONS:
            await pilot.press(*keys, keys[-1])
            assert sum(isinstance(screen, ConfirmDialog) for screen in app.screen_stack) == 1, keys
            assert isinstance(app.focused, Button), keys
            assert app.focused.id == "back", keys
            await pilot.press("enter")
            assert not isinstance(app.screen, ConfirmDialog), keys
    assert engine.commands == []


async def test_the_question_before_a_sale_shows_the_price_live(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5", "x")
        await until(lambda: "last 61.35" in text_of(app))
        rows = tuple(
            row.model_copy(update={"last": Decimal("61.11")}) if row.symbol == "ABCD" else row
            for row in recorded.positions().rows
        )
        engine.board.positions = recorded.positions().model_copy(update={"rows": rows})
        await until(lambda: "last 61.11" in text_of(app))


async def test_stopping_the_engine_shows_what_would_be_left_alone_live(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        next(c.callback for c in app.get_system_commands(app.screen) if c.title == "Stop the engine")()
        await until(lambda: "75,193.16 $" in text_of(app))
        engine.board.status = recorded.status().model_copy(update={"exposure": Decimal("70000.00")})
        await until(lambda: "70,000.00 $" in text_of(app))
        await pilot.press("escape")
    assert engine.commands == []


async def test_f12_opens_over_the_palette_and_the_help(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        for before in (["ctrl+p"], ["question_mark"], ["7", "slash", "a"], ["5", "x"], ["w"]):
            await pilot.press(*before, "f12", "f12")
            await pilot.pause()
            assert isinstance(app.screen, FlattenDialog), before
            assert sum(isinstance(screen, FlattenDialog) for screen in app.screen_stack) == 1, before
            while len(app.screen_stack) > 1:
                await pilot.press("escape")
            await pilot.press("escape")
    assert engine.commands == []


async def test_drift_stands_on_every_screen_until_it_is_gone(engine: RecordedEngine, app: TshConsole) -> None:
    text = "ABCD: 412 shares in our book, 400 at the broker"
    engine.board.status = recorded.status().model_copy(update={"drift": (text,)})
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        for key in "1234567g":
            await pilot.press(key)
            shown = text_of(app)
            assert " DRIFT " in shown.split("\n")[0], key
            assert text in shown, key
        engine.board.status = recorded.status()
        await until(lambda: "DRIFT" not in text_of(app))


async def test_a_lost_engine_leaves_no_link_looking_alive(engine: RecordedEngine, app: TshConsole) -> None:
    rows = tuple(
        row.model_copy(update={"resting_stop": Decimal("58.28")}) if row.symbol == "ABCD" else row
        for row in recorded.positions().rows
    )
    engine.board.positions = recorded.positions().model_copy(update={"rows": rows})
    async with app.run_test(size=(118, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: "ENGINE LOST" in text_of(app))
        shown = " ".join(text_of(app).split())
        strip = text_of(app).split("\n")[0]
        assert "✕ LOST" in strip
        assert "●" not in strip
        assert "last known 10:42:07 ET" in shown
        assert "still protect ABCD 58.28." in shown
        assert "NOTHING sells KLMN MNOP until the engine is back" in shown


@pytest.mark.parametrize("width", [80, 118, 200])
async def test_the_strip_says_how_much_of_the_budget_a_search_has_used(
    engine: RecordedEngine, app: TshConsole, width: int
) -> None:
    engine.board.status = recorded.status().model_copy(update={"watchdog": "21600 of 86400 s, 25 %"})
    async with app.run_test(size=(width, 24)) as pilot:
        await painted(pilot, app)
        strip = text_of(app).split("\n")[0]
        assert ("search 21600 of 86400 s, 25 %" if width == 200 else "search 25 %") in strip
        assert "10:42:07" in strip
        assert "+182.40" in strip


@pytest.mark.parametrize("size", [(80, 24), (118, 40), (200, 60)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_the_overview_shows_now_health_and_the_board(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    engine.board.overview = recorded_go.overview()
    engine.board.board = recorded_go.board()
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        app.paint()
        await pilot.pause()
        shown = text_of(app)
        assert "Fri 20 ◂ now" in shown
        line = next(text for text in shown.splitlines() if "◆━" in text)
        assert line.count("●") == 1
        assert line.index("●") > line.rindex("◆")  # now is in the last day
        assert "exits 15:50" in shown
        for name in ("engine", "broker", "journal"):
            assert name in shown
        assert "g Mon ◌ WAIT" in shown


async def test_what_is_not_well_is_said_with_its_detail_at_any_size(
    engine: RecordedEngine, app: TshConsole
) -> None:
    view = recorded_go.overview()
    engine.board.overview = view.model_copy(update={"health": recorded_go.health(broker="watch")})
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        assert "broker 38 ms: worst 112 · 187 of 200 requests" in text_of(app)
        assert "1 to look at" in text_of(app)


def closed(sentence: str) -> PositionRow:
    return PositionRow(
        symbol="QRST", shares=119, entry=Decimal("33.42"), last=Decimal("33.92"), state="CLOSED",
        pnl=Decimal("59.62"), pnl_pct=1.50, why_next=sentence, exits_when="10:12:31 target captured",
    )  # fmt: skip


async def test_a_closed_position_says_how_it_ended(engine: RecordedEngine, app: TshConsole) -> None:
    rows = (*recorded.positions().rows[:3], closed("sold 10:12:31 at 33.92, target captured"))
    engine.board.positions = recorded.positions().model_copy(update={"rows": rows})
    for width, words in ((118, "sold 10:12:31 at 33.92, target captured"), (80, "10:12:31 target captured")):
        async with app.run_test(size=(width, 30)) as pilot:
            await painted(pilot, app)
            await pilot.press("5")
            await pilot.pause()
            line = next(text for text in text_of(app).splitlines() if "QRST" in text)
            assert words in line
            assert "+59.62" in line
            assert "CLOSED" in line
        app = TshConsole(type(app.client)(engine.home))


async def test_a_terminal_of_80_columns_shows_each_stop_and_which_orders_are_stops(
    engine: RecordedEngine, app: TshConsole
) -> None:
    vars(engine.board).update(vars(recorded.moment("positions")))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("5")
        await pilot.pause()
        lines = text_of(app).splitlines()
        view = engine.board.positions
        for row in view.rows:
            price = row.stop if row.stop is not None else row.resting_stop
            line = next(text for text in lines if row.symbol in text)
            assert (f" {price:,.2f} " in line) is (row.state != "CLOSED"), line
        resting = [order for order in view.orders if order.kind == "stop"]
        assert resting
        for order in resting:
            assert any(order.symbol in text and " stop " in text for text in lines), order
