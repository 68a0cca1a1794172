"""Every command has its keys; what cannot be undone asks first."""

from __future__ import annotations

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until
from textual import events
from textual.widgets import Input

from app.client import EngineClient
from app.console import MODES, TshConsole
from app.dialogs.confirm import ConfirmDialog
from app.dialogs.weekend import WeekendDialog
from app.screens.base import ConsoleScreen
from app.widgets.table import Table
from engine.control import Answer
from engine.views import AlertView

SESSION = {"session": "2026-11-23", "list_hash": "7f3a19c2d41e9b07"}


async def test_the_number_keys_go_to_the_seven_screens(app: TshConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        for number, mode in enumerate(MODES, start=1):
            await pilot.press(str(number))
            assert isinstance(app.screen, ConsoleScreen)
            assert mode == app.screen.MODE


COMMANDS: list[tuple[list[str], str, dict[str, object]]] = [
    (["d"], "weekday", {}),
    (["w", "enter", "enter", "y"], "weekend", {"cycles": 200, "budget_s": 86400.0, "replace": False}),
    (["1", "k"], "acknowledge", {"key": "stale:KLMN"}),
    (["2", "p"], "training_pause", {}),
    (["2", "s", "y"], "training_stop", {}),
    (["3", "p"], "search_pause", {}),
    (["3", "s", "y"], "search_stop", {}),
    (["4", "a", "y"], "approve", SESSION),
    (["4", "r", "right", "enter"], "reject", SESSION),
    (["4", "space", "end", "space"], "swap", {**SESSION, "out": "ABCD", "into": "GHIJ"}),
    (["5", "x", "y"], "exit_position", {"symbol": "ABCD"}),
    (["5", "down", "x", "y"], "exit_position", {"symbol": "KLMN"}),
]


async def test_keys_send_their_command_and_nothing_else(engine: RecordedEngine) -> None:
    app = TshConsole(EngineClient(engine.home))
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        for keys, command, arguments in COMMANDS:
            engine.commands.clear()
            await pilot.press(*keys)
            await until(lambda: engine.commands)
            await pilot.pause()
            assert engine.commands == [(command, arguments)], keys


async def test_what_is_paused_resumes_with_the_same_key(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.training = recorded.training().model_copy(update={"state": "paused"})
    engine.board.groups = recorded.groups().model_copy(update={"state": "paused"})
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("2", "p", "3", "p")
        await until(lambda: len(engine.commands) == 2)
    assert [name for name, _ in engine.commands] == ["training_resume", "search_resume"]


async def test_questions_are_left_by_enter_and_by_escape_without_a_command(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        for keys in (["4", "a"], ["4", "r"], ["5", "x"], ["2", "s"], ["3", "s"]):
            for answer in ("enter", "escape", "n"):
                await pilot.press(*keys)
                assert isinstance(app.screen, ConfirmDialog)
                await pilot.press(answer)
                assert not isinstance(app.screen, ConfirmDialog)
    assert engine.commands == []


async def test_the_weekend_dialog_refuses_nonsense_and_keeps_what_was_typed(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("w")
        assert isinstance(app.screen, WeekendDialog)
        assert app.screen.query_one("#cycles", Input).value == "200"
        assert app.screen.query_one("#budget", Input).value == "24h"
        await pilot.press("8")
        assert app.screen.query_one("#cycles", Input).value == "8"
        app.screen.query_one("#budget", Input).value = "soon"
        await pilot.press("enter", "enter", "y")
        assert "'soon' is not a duration" in text_of(app)
        app.screen.query_one("#budget", Input).value = "1h30m"
        app.screen.query_one("#cycles", Input).value = "-3"
        await pilot.press("enter", "y")
        assert "'-3' is not a number of cycles" in text_of(app)
        app.screen.query_one("#cycles", Input).value = "7"
        await pilot.press("tab", "tab", "space", "tab", "tab", "enter")
        await until(lambda: engine.commands)
    assert engine.commands == [("weekend", {"cycles": 7, "budget_s": 5400.0, "replace": True})]


async def test_the_weekends_keys_mean_the_same_however_fast_they_come(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("w")
        for key, character in (("enter", "\r"), ("enter", "\r"), ("y", "y")):
            app.post_message(events.Key(key, character))  # as a terminal delivers what was typed ahead
        await until(lambda: engine.commands)
    assert engine.commands == [("weekend", {"cycles": 200, "budget_s": 86400.0, "replace": False})]


async def test_a_live_account_asks_for_a_typed_word_before_an_approval(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.status = recorded.status().model_copy(update={"mode": "live", "account": "9981"})
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("4", "a", *"yes", "enter")
        assert isinstance(app.screen, ConfirmDialog)
        assert engine.commands == []
        app.screen.query_one(Input).value = ""
        await pilot.press(*"APPROVE", "enter")
        await until(lambda: engine.commands)
    assert engine.commands == [("approve", SESSION)]


async def test_an_approval_names_the_list_that_was_shown_even_if_another_came_meanwhile(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("4", "a")
        engine.board.shortlist = recorded.shortlist().model_copy(update={"list_hash": "ffff000011112222"})
        await until(lambda: app.client.state.shortlist.list_hash.startswith("ffff"))
        app.paint()
        await pilot.pause()
        assert "the list changed meanwhile" in text_of(app)
        await pilot.press("y")
        await until(lambda: engine.commands)
    assert engine.commands == [("approve", SESSION)]


async def test_a_swap_in_an_approved_list_asks_first(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.shortlist = recorded.shortlist("approved")
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("4", "space", "end", "space")
        assert isinstance(app.screen, ConfirmDialog)
        assert "the approval ends" in text_of(app)
        await pilot.press("y")
        await until(lambda: engine.commands)
    assert engine.commands[0][0] == "swap"


async def test_a_half_made_swap_is_forgotten_by_escape(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("4", "space")
        assert "swap ABCD with" in text_of(app)
        await pilot.press("escape", "end", "space")
        await pilot.pause()
        assert "swap GHIJ with" in text_of(app)
    assert engine.commands == []


async def test_a_refusal_is_shown_with_its_reason(engine: RecordedEngine, app: TshConsole) -> None:
    engine.answers["weekday"] = Answer(False, "no group is selected [yet]")
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("d")
        await until(lambda: "refused: no group is selected [yet]" in said(app))


async def test_a_read_only_console_refuses_every_command_and_says_so(engine: RecordedEngine) -> None:
    app = TshConsole(EngineClient(engine.home), read_only=True)
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        assert "READ-ONLY" in text_of(app)
        for keys in ("1w", "1d", "1k", "4a", "4r", "5x", "2p", "3s"):
            app.clear_notifications()
            await pilot.press(*keys)
            await until(lambda: "this console is read-only" in said(app))
            assert isinstance(app.screen, ConsoleScreen), keys
        for keys in (["1", "f12"], ["4", "space", "end", "space"]):
            app.clear_notifications()
            await pilot.press(*keys)
            await until(lambda: "this console is read-only" in said(app))
            assert isinstance(app.screen, ConsoleScreen), keys
    assert engine.commands == []


async def test_the_palette_has_every_command(app: TshConsole) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        titles = [command.title for command in app.get_system_commands(app.screen)]
        await pilot.press("ctrl+p")
        assert app.screen.query("CommandInput")
    for expected in (
        "Weekend: run", "Market day: run", "Training: pause", "Training: resume",
        "Training: stop after this cycle",
        "Search: pause", "Search: resume", "Search: stop", "Trade list: approve", "Trade list: reject",
        "Trade list: swap a name", "Sell ABCD now", "Sell MNOP now", "FLATTEN everything", "Allow entries again",
        "Acknowledge all alerts", "Stop the engine", "Quit", "Theme", "Find in the journal",
    ):  # fmt: skip
        assert expected in titles
    assert "Sell QRST now" not in titles  # closed


async def test_unlatch_acknowledge_all_and_shutdown_are_sent_from_the_palette(
    engine: RecordedEngine, app: TshConsole
) -> None:
    alerts = tuple(AlertView(key=k, at=recorded.NOW, text=k) for k in ("one", "two"))
    engine.board.overview = recorded.overview().model_copy(update={"alerts": alerts})
    async with app.run_test() as pilot:
        await painted(pilot, app)
        by_title = {c.title: c.callback for c in app.get_system_commands(app.screen)}
        by_title["Allow entries again"]()
        await pilot.pause()
        await pilot.press("y")
        by_title["Acknowledge all alerts"]()
        await until(lambda: len(engine.commands) == 3)
        by_title["Stop the engine"]()
        await pilot.pause()
        assert "managed by NOBODY" in text_of(app)
        await pilot.press("y", "enter")  # not enough while positions are open
        assert isinstance(app.screen, ConfirmDialog)
        app.screen.query_one(Input).value = "STOP"
        await pilot.press("enter")
        await until(lambda: len(engine.commands) == 4)
    assert engine.commands == [
        ("unlatch", {}),
        ("acknowledge", {"key": "one"}),
        ("acknowledge", {"key": "two"}),
        ("shutdown", {"force": True}),
    ]


async def test_help_lists_the_keys_of_the_screen(app: TshConsole) -> None:
    async with app.run_test(size=(120, 50)) as pilot:
        await painted(pilot, app)
        for number in "1234567":
            await pilot.press(number)
            screen = app.screen
            assert isinstance(screen, ConsoleScreen)
            await pilot.press("question_mark")
            shown = text_of(app)
            for key, meaning in screen.KEYS:
                assert key in shown
                assert meaning.split(";")[0].split("(")[0][:30].strip() in shown
            await pilot.press("escape")


async def test_quitting_leaves_the_engine_running_and_says_so(
    engine: RecordedEngine, app: TshConsole, capsys: pytest.CaptureFixture[str]
) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("q")
        await pilot.pause()
    told = " ".join(capsys.readouterr().err.split())
    assert "the engine (pid 4242) goes on" in told
    assert "3 open positions stay managed" in told
    assert engine.commands == []
    async with EngineClient(engine.home) as again:
        await again.attached(60)


async def test_the_key_line_can_be_clicked(app: TshConsole) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await painted(pilot, app)
        line = text_of(app).splitlines()[-1]
        await pilot.click("#keys", offset=(line.index("5 positions") + 2, 0))
        await pilot.pause()
        assert isinstance(app.screen, ConsoleScreen)
        assert app.screen.MODE == "positions"


async def test_the_journal_filters_follows_freezes_and_shows_an_event_in_full(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("slash", *"FILLED abcd")
        await pilot.pause()
        table = app.screen.query_one(Table)
        assert len(table.rows) > 3
        assert {row.kind for row in table.rows} == {"fill_received"}  # type: ignore[attr-defined]
        await pilot.press("escape")
        await pilot.pause()
        everything = len(table.rows)
        await pilot.press("f")
        engine.server.publish(recorded.events()[1].model_copy(update={"seq": 61}))
        await until(lambda: app.client.state.seq == 61)
        app.paint()
        await pilot.pause()
        assert len(table.rows) == everything
        assert "FROZEN, 1 newer" in text_of(app)
        await pilot.press("f")
        await pilot.pause()
        assert len(table.rows) == everything + 1
        await pilot.press("l")
        await pilot.pause()
        assert {row.level for row in table.rows} == {"notice", "warning", "alert"}  # type: ignore[attr-defined]
        await pilot.press("enter")
        await pilot.pause()
        assert "Event " in text_of(app)
        assert "w47" in text_of(app)


async def test_the_weekends_defaults_are_those_of_the_engine(engine: RecordedEngine, app: TshConsole) -> None:
    told = {"cycles": 33, "search_budget_s": 90.0}
    engine.board.status = recorded.status().model_copy(update=told)
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("w", "enter", "enter", "y")
        await until(lambda: engine.commands)
    assert engine.commands == [("weekend", {"cycles": 33, "budget_s": 90.0, "replace": False})]


async def test_before_the_first_attach_the_weekend_offers_no_number_and_then_the_engines(
    engine: RecordedEngine, app: TshConsole
) -> None:
    told = {"cycles": 33, "search_budget_s": 90.0}
    engine.board.status = recorded.status().model_copy(update=told)
    await engine.stop()
    async with app.run_test() as pilot:
        await pilot.press("w")
        await until(lambda: isinstance(app.screen, WeekendDialog) and app.screen.ready)
        fields = [field.value for field in app.screen.query(Input)]
        assert fields == ["", ""]
        assert "default" not in text_of(app)
        await pilot.press("enter", "enter", "y")
        await pilot.pause()
        assert "no engine is attached yet" in text_of(app)
        await pilot.press("shift+tab", "shift+tab", *"2h", "shift+tab")  # what is typed meanwhile stays
        await engine.start()
        await painted(pilot, app)
        assert [field.value for field in app.screen.query(Input)] == ["33", "2h"]
        await pilot.press("7")  # the number that came is marked: typing takes its place
        assert app.screen.query_one("#cycles", Input).value == "7"
        await pilot.press("backspace", *"33")
        assert "default 33" in text_of(app)
        assert "default 90s" in text_of(app)
        await pilot.press("enter", "enter", "right", "enter")
        await until(lambda: engine.commands)
    assert engine.commands == [("weekend", {"cycles": 33, "budget_s": 7200.0, "replace": False})]


async def test_enter_alone_never_starts_a_weekend(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("w", "enter")
        assert app.focused is app.screen.query_one("#budget")
        await pilot.press("enter")
        assert app.focused is app.screen.query_one("#back")
        await pilot.press("enter")
        assert isinstance(app.screen, ConsoleScreen)
        await pilot.press("w", "n", "y", "escape")  # letters in a field are letters
        await pilot.pause()
        assert isinstance(app.screen, ConsoleScreen)
    assert engine.commands == []


async def test_the_cursor_stays_on_its_row_when_the_order_changes(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("5", "down")
        rows = recorded.positions().rows
        engine.board.positions = recorded.positions().model_copy(update={"rows": tuple(reversed(rows))})
        await until(lambda: app.client.state.positions.rows[0].symbol == "QRST")
        app.paint()
        await pilot.press("x", "y")
        await until(lambda: engine.commands)
    assert engine.commands == [("exit_position", {"symbol": "KLMN"})]


async def test_what_is_over_cannot_be_stopped(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.training = recorded.training().model_copy(update={"state": "done"})
    engine.board.groups = recorded.groups().model_copy(update={"state": "done"})
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("2", "s")
        await until(lambda: "no training is under way" in said(app))
        await pilot.press("3", "s")
        await until(lambda: "no search is under way" in said(app))
        assert not isinstance(app.screen, ConfirmDialog)
    assert engine.commands == []


async def test_keys_typed_on_while_the_console_closes_do_nothing(app: TshConsole) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        await pilot.press("5")
        app.exit()
        await app.on_event(events.Key("2", "2"))
        assert app.current_mode == "positions"


async def test_a_picture_asked_for_before_the_quit_is_written(app: TshConsole) -> None:
    async with app.run_test() as pilot:
        await painted(pilot, app)
        app.action_export_screen()
        await app.action_quit()
        assert list((app.client.home.folder / "exports").glob("screen-*.svg"))


async def test_y_starts_the_weekend_from_a_field_too(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        await pilot.press("w", *"12", "y")
        await until(lambda: engine.commands)
    assert engine.commands[0][0] == "weekend"
    assert engine.commands[0][1]["cycles"] == 12
