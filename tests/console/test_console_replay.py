"""A recorded day in the console: the screens as they were, moved through by keys, commanding nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import recorded_views as recorded
from console_harness import said, text_of, until
from textual.widgets import Input

from app.cli import run
from app.client import VIEWS, Link
from app.console import MODES
from app.dialogs.flatten import FlattenDialog
from app.dialogs.help import HelpDialog
from app.dialogs.jump import JumpDialog
from app.replay_client import ReplayClient, load_day, view_of
from app.replay_console import ReplayConsole
from app.screens.base import ConsoleScreen
from app.widgets.journal_table import JournalTable
from engine.errors import OperatorError, UsageError
from engine.events import AlertRaised, CommandReceived
from engine.home import Home
from engine.journal import JournalDb
from engine.recording.day_file import day_path, micros
from engine.recording.recorder import DayWriter
from engine.recording.tape import Tape
from engine.views import PositionsView, StatusView, TrainingView, View

START = recorded.NOW
FRAMES = 600  # one a second: ten minutes
EVENT_EVERY = 60


def shown_at(second: int) -> dict[str, View]:
    """What the screens show, so many seconds after ``START``."""
    board = recorded.recorded_board()
    at = START + timedelta(seconds=second)
    row = board.positions.rows[0]
    views = board.views()
    views["status"] = board.status.model_copy(update={"market_time": at, "clock_rate": 1.0})
    views["positions"] = board.positions.model_copy(
        update={"rows": (row.model_copy(update={"age_s": float(second)}), *board.positions.rows[1:])}
    )
    views["training"] = board.training.model_copy(update={"cycle": second // 10})
    return views


@pytest.fixture(scope="module")
def recorded_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A journal of 14 events, and ten minutes of screens during which the last ten came, one a minute."""
    home = Home(tmp_path_factory.mktemp("replay") / "home")
    home.create()

    async def journalled() -> None:
        journal = await JournalDb.open(home.journal)
        for number in range(1, 15):
            at = START + timedelta(seconds=(number - 4) * EVENT_EVERY)
            await journal.append(AlertRaised(key=f"k{number}", message=f"event number {number}"), at)
        await journal.close()

    asyncio.run(journalled())
    writer = DayWriter(
        day_path(home.recordings, recorded.FRIDAY), pid=1, first_seq=4, anchor="alert_raised: event number 4"
    )
    for second in range(FRAMES):
        at = micros(START + timedelta(seconds=second))
        writer.write(shown_at(second), 4 + second // EVENT_EVERY, at, at)
    writer.close()
    return home


@pytest.fixture
async def client(recorded_home: Home) -> ReplayClient:
    return ReplayClient(recorded_home, await load_day(recorded_home, recorded.FRIDAY))


@pytest.fixture
def app(client: ReplayClient) -> ReplayConsole:
    return ReplayConsole(client)


# --- the same views ------------------------------------------------------------------------------


async def test_every_view_is_the_one_that_was_shown_at_any_instant_and_in_any_order(client: ReplayClient) -> None:
    for second in (0, 599, 1, 240, 239, 241, 480, 300, 10, 0):
        client.seek(second + 0.4)
        assert {name: getattr(client.state, name) for name in VIEWS} == shown_at(second)
    await client.close()


async def test_events_are_those_known_at_that_instant(client: ReplayClient) -> None:
    for second, newest in ((0, 4), (59, 4), (60, 5), (599, 13), (120, 6), (0, 4)):
        client.seek(second)
        assert [event.seq for event in client.state.events] == list(range(1, newest + 1)), second
        assert client.state.seq == newest
    await client.close()


async def test_it_plays_at_its_speed_and_stops_at_the_end(client: ReplayClient) -> None:
    client.playing, client.speed = True, 60.0
    await client.tick(0.5)
    assert client.position == pytest.approx(30)
    assert client.state.status.market_time == START + timedelta(seconds=30)
    for _ in range(30):
        await client.tick(0.5)
    assert client.position == FRAMES - 1
    assert not client.playing
    assert "end of the recording" in client.time_shift().facts
    await client.close()


async def test_speeds_go_from_one_to_3600_in_steps(client: ReplayClient) -> None:
    client.speed = 60.0
    seen = []
    for _ in range(8):
        client.faster(1)
        seen.append(client.speed)
    assert seen == [120, 300, 600, 1800, 3600, 3600, 3600, 3600]
    for _ in range(12):
        client.faster(-1)
    assert client.speed == 1
    await client.close()


async def test_every_command_is_refused_with_what_it_is(client: ReplayClient) -> None:
    for command in ("weekend", "flatten", "approve", "shutdown", "status"):
        answer = await client.command(command)
        assert not answer.accepted
        assert "this is a replay of 2026-11-20" in answer.reason
    await client.close()


# --- moving --------------------------------------------------------------------------------------


async def playing(app: ReplayConsole) -> None:
    await until(lambda: isinstance(app.screen, ConsoleScreen) and app.screen.ready and app.replay.playing)
    app.replay.playing = False
    app.replay.seek(0)
    app.paint()


async def test_keys_move_through_the_day_and_the_strip_says_that_it_is_a_replay(app: ReplayConsole) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        await playing(app)
        for key, second in (
            ("right", 10), ("shift+right", 70), ("left", 60), ("shift+left", 0), ("left", 0),
            ("end", 599), ("home", 0), ("right_square_bracket", 60), ("right_square_bracket", 120),
            ("left_square_bracket", 60),
        ):  # fmt: skip
            await pilot.press(key)
            assert app.replay.position == second, key
        assert "event 5: event number 5" in said(app)
        await pilot.press("left_square_bracket")
        assert "no event of this day before this moment" in said(app)
        await pilot.pause()
        strip, transport = text_of(app).splitlines()[:2]
        assert strip.startswith(" REPLAY ‖ ▏ of SIM ")
        assert "Fri 20 Nov 2026 10:43:07 ET" in transport
        assert "10:43:07 ET" in strip
        await pilot.press("plus", "space")
        await until(lambda: " REPLAY 120× " in text_of(app).splitlines()[0])
        assert app.replay.playing
        await pilot.press("minus", "minus", "space")
        assert app.replay.speed == 30
        assert not app.replay.playing


async def test_playing_goes_on_by_itself_on_every_screen(app: ReplayConsole) -> None:
    app.replay.speed = 2.0  # the end of the day is minutes away
    async with app.run_test(size=(120, 40)) as pilot:
        for number, mode in enumerate(MODES, start=1):
            await pilot.press(str(number))
            before = app.replay.position
            await until(lambda before=before: app.replay.position > before)
            assert isinstance(app.screen, ConsoleScreen)
            assert mode == app.screen.MODE
            await until(lambda: "REPLAY 2×" in text_of(app))


async def test_a_time_is_typed_and_a_wrong_one_is_explained(app: ReplayConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await playing(app)
        await pilot.press("t", *"nonsense", "enter")
        assert "'nonsense' is not a time" in text_of(app)
        app.screen.query_one(Input).value = "18:00"
        await pilot.press("enter")
        assert "18:00:00 was not recorded: this day goes from 10:42:07 to 10:52:06" in text_of(app)
        app.screen.query_one(Input).value = "10:45:30"
        await pilot.press("enter")
        assert not isinstance(app.screen, JumpDialog)
        assert app.client.state.status.market_time == START + timedelta(seconds=203)
        await pilot.press("t", *"1050", "enter")
        assert app.client.state.status.market_time == START + timedelta(seconds=473)


async def test_who_types_a_filter_gets_every_letter(app: ReplayConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await playing(app)
        await pilot.press("end", "slash", *"number 1", "left", "left", "home")
        assert app.screen.query_one("#filter", Input).value == "number 1"
        assert [event.seq for event in app.screen.query_one(JournalTable).rows] == [1, 10, 11, 12, 13]
        assert app.replay.position == FRAMES - 1


async def test_the_shortlists_space_bar_plays_and_swaps_nothing(app: ReplayConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await playing(app)
        await pilot.press("4", "space")
        assert app.replay.playing


# --- commanding nothing -------------------------------------------------------------------------------


async def test_f12_says_that_it_is_a_replay_and_where_to_sell(app: ReplayConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await playing(app)
        await pilot.press("f12")
        assert not any(isinstance(screen, FlattenDialog) for screen in app.screen_stack)
        assert "this is a replay of 2026-11-20; nothing was sold" in said(app)
        assert "tshc flatten" in said(app)


async def test_what_commands_elsewhere_opens_nothing_and_is_refused_here(app: ReplayConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await playing(app)
        for keys in (["w"], ["d"], ["1", "k"], ["2", "p"], ["2", "s"], ["4", "a"], ["4", "r"], ["5", "x"]):
            app.clear_notifications()
            await pilot.press(*keys)
            await until(lambda: "refused: this is a replay of 2026-11-20" in said(app))
            assert isinstance(app.screen, ConsoleScreen), keys


async def test_a_replay_of_real_money_does_not_look_like_real_money(app: ReplayConsole) -> None:
    async with app.run_test(size=(120, 40)):
        await playing(app)
        app.client.state.status = recorded.status().model_copy(update={"mode": "live"})
        app.paint()
        await until(lambda: " of LIVE " in text_of(app).splitlines()[0])
        assert "LIVE MONEY" not in text_of(app)


async def test_an_alert_of_the_past_rings_nobody(app: ReplayConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[object] = []
    monkeypatch.setattr(app.ringer, "ring", lambda *given: rung.append(given) or "\a")
    async with app.run_test(size=(120, 40)) as pilot:
        await playing(app)
        await pilot.press("1", "end")
        assert app.client.state.overview.alerts
    assert rung == []


async def test_help_and_palette_offer_what_a_replay_can_do(app: ReplayConsole) -> None:
    async with app.run_test(size=(120, 60)) as pilot:
        await playing(app)
        names = [command.title for command in app.get_system_commands(app.screen)]
        assert "Go to a time" in names
        assert not [name for name in names if "FLATTEN" in name or "Stop the engine" in name]
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpDialog)
        assert "10 s back or forth" in text_of(app)
        assert "sell the marked position" not in text_of(app)
        await pilot.press("escape", "q")
    assert app.return_value is None


# --- what may be missing ----------------------------------------------------------------------------


async def test_another_journal_costs_the_events_and_not_the_screens(recorded_home: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    home.recordings.mkdir()
    name = f"{recorded.FRIDAY}.db"
    (home.recordings / name).write_bytes((recorded_home.recordings / name).read_bytes())
    data = await load_day(home, recorded.FRIDAY)
    assert "without events" in data.note
    data.tape.close()
    journal = await JournalDb.open(home.journal)
    for _ in range(20):
        await journal.append(CommandReceived(command="weekday", arguments={}, accepted=True), None)
    await journal.close()
    data = await load_day(home, recorded.FRIDAY)
    assert "not the one that 2026-11-20 was recorded with" in data.note
    client = ReplayClient(home, data)
    client.seek(60)
    assert list(client.state.events) == []
    assert client.state.training == shown_at(60)["training"]
    app = ReplayConsole(client)
    async with app.run_test(size=(120, 40)):
        await until(lambda: "not the one that" in said(app))


async def test_a_day_that_is_not_there_is_refused_with_those_that_are(recorded_home: Home) -> None:
    with pytest.raises(UsageError, match=r"2026-11-21 is not recorded in .*: recorded are 2026-11-20"):
        await load_day(recorded_home, recorded.FRIDAY + timedelta(days=1))


async def test_a_frame_that_is_spoiled_stops_the_replay_and_says_so(recorded_home: Home, tmp_path: Path) -> None:
    path = tmp_path / f"{recorded.FRIDAY}.db"
    path.write_bytes(day_path(recorded_home.recordings, recorded.FRIDAY).read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE frames SET body = x'00' WHERE frame = 100")
        connection.commit()
    data = await load_day(recorded_home, recorded.FRIDAY)
    data.tape.close()
    data.tape = Tape.open(path)
    app = ReplayConsole(ReplayClient(recorded_home, data, speed=30.0))
    async with app.run_test(size=(200, 40)) as pilot:
        await until(lambda: "damaged at frame 100" in said(app))
        assert "cannot be read from here on" in text_of(app).splitlines()[1]
        await pilot.press("home")
        assert app.replay.position == 0
        await pilot.press("end")
        assert app.replay.position == FRAMES - 1


def test_a_view_of_another_version_loses_fields_that_are_unknown_now() -> None:
    tree = recorded.positions().model_dump(mode="json")
    tree["rows"][1]["mood"] = "bullish"
    tree["phase_of_moon"] = 0.5
    assert view_of(PositionsView, tree) == recorded.positions()
    with pytest.raises(OperatorError, match="another version"):
        view_of(TrainingView, {"cycle": "many"})


def test_a_day_that_is_still_recorded_goes_on_at_its_end(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()

    async def watched() -> None:
        journal = await JournalDb.open(home.journal)
        await journal.append(AlertRaised(key="a", message="first"), START)
        writer = DayWriter(
            day_path(home.recordings, recorded.FRIDAY), pid=1, first_seq=1, anchor="alert_raised: first"
        )
        clock = [100.0]

        def frame(second: int, seq: int) -> None:
            at = micros(START + timedelta(seconds=second))
            wall = micros(recorded.datetime.now(recorded.UTC))
            writer.write(shown_at(second), seq, wall, at)
            writer.commit()

        frame(0, 1)
        client = ReplayClient(home, await load_day(home, recorded.FRIDAY), speed=1.0, clock=lambda: clock[0])
        client.playing = True
        clock[0] += 5
        await client.tick(1.0)
        assert client.playing
        assert "newest, still recording" in client.time_shift().facts
        await journal.append(AlertRaised(key="b", message="second"), START)
        frame(1, 2)
        clock[0] += 5
        await client.tick(5.0)
        assert client.state.status.market_time == START + timedelta(seconds=1)
        assert [event.text for event in client.state.events] == ["first", "second"]
        assert client.link is Link.LIVE
        await client.close()
        writer.close()
        await journal.close()

    asyncio.run(watched())


# --- the command ---------------------------------------------------------------------------------------


def test_the_command_lists_the_days_with_size_events_and_profit(
    recorded_home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--home", str(recorded_home.folder), "replay"]) == 0
    listed = capsys.readouterr().out
    assert "2026-11-20 Fri" in listed
    assert "10:42:07" in listed
    assert run(["--home", str(recorded_home.folder), "replay", "--json"]) == 0
    [day] = json.loads(capsys.readouterr().out)
    status = shown_at(0)["status"]
    assert isinstance(status, StatusView)
    assert (day["day"], day["frames"], day["events"]) == ("2026-11-20", FRAMES, 9)
    assert day["day_pnl"] == str(status.day_pnl)
    assert day["bytes"] > 10_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["2026-11-19"], "is not recorded"),
        (["yesterday"], "is not a day"),
        (["last", "--speed", "9999"], "--speed is 1 to 3600"),
    ],
)
def test_a_wrong_request_is_usage(
    recorded_home: Home, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(["--home", str(recorded_home.folder), "replay", *arguments]) == 2
    assert says in capsys.readouterr().err
