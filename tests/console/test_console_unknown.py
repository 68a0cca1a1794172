"""Before an engine has told anything the console says so: no default of a view is shown as a fact."""

from __future__ import annotations

import asyncio
import json

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until
from websockets.asyncio.client import unix_connect
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from app import cli
from app.client import EngineClient
from app.console import TshConsole
from app.dialogs.confirm import ConfirmDialog
from engine.control import PROTOCOL_VERSION
from engine.errors import OperatorError
from engine.home import FileLock, Home
from engine.views import StatusView

INVENTED = ("SIM", "0 positions", "market CLOSED", "closed", "no position", "no order today", "nothing is planned")


def one_line(app: TshConsole) -> str:
    return " ".join(text_of(app).split())


@pytest.mark.parametrize("read_only", [False, True])
async def test_nothing_is_invented_on_any_screen_before_the_first_attach(home: Home, read_only: bool) -> None:
    app = TshConsole(EngineClient(home), read_only=read_only)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: "attaching to the engine" in text_of(app))
        for key in "1234567g":
            await pilot.press(key)
            app.paint()
            await pilot.pause()
            shown = text_of(app)
            assert shown.startswith(" ? ▏"), key
            assert [text for text in INVENTED if text in shown] == [], key
            assert "not known: no engine attached" in shown, key
            assert "'tshc flatten' works without it" in one_line(app), key


async def test_flatten_before_the_first_attach_names_the_way_that_works(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: "attaching to the engine" in text_of(app))
        await pilot.press("f12")
        await until(lambda: "positions, orders and market not known: no engine attached" in one_line(app))
        assert [text for text in INVENTED if text in text_of(app)] == []
        assert "no engine is attached: run 'tshc flatten' in a shell, it needs no engine" in text_of(app)
        await pilot.press(*"FLATTEN", "enter")
        await until(lambda: "nothing was sent" in one_line(app))
        assert "run 'tshc flatten' in a shell" in text_of(app)


async def test_what_is_at_stake_appears_with_the_engine(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(lambda: "attaching to the engine" in text_of(app))
        await pilot.press("f12")
        await until(lambda: "not known" in text_of(app))
        engine = RecordedEngine(home, recorded.recorded_board())
        await engine.start()
        await until(lambda: "3 positions" in text_of(app) and "not known" not in text_of(app))
        assert text_of(app).startswith(" SIM ▏")
        assert "in a shell" not in text_of(app)
        await engine.stop()


async def test_questions_about_exposure_say_that_it_is_not_known(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(lambda: "attaching to the engine" in text_of(app))
        await pilot.press("u")
        await pilot.pause()
        assert "whether entries are latched off is not known" in said(app)
        for ask in (app.ask_unlatch, app.ask_shutdown):
            ask()
            await until(lambda: isinstance(app.screen, ConfirmDialog))
            await until(lambda: "market not known: no engine attached" in one_line(app))
            assert "0 positions" not in text_of(app)
            await until(lambda: "no engine: nothing can be sent" in text_of(app))
            await pilot.press("escape")
            await until(lambda: not isinstance(app.screen, ConfirmDialog))


async def test_money_asks_for_a_typed_word_while_the_account_is_not_known(home: Home) -> None:
    app = TshConsole(EngineClient(home))
    async with app.run_test(size=(100, 30)):
        await until(lambda: "attaching to the engine" in text_of(app))
        app.ask_unlatch()
        await until(lambda: "type UNLATCH and Enter" in text_of(app))


async def test_an_engine_that_has_told_nothing_yet_is_not_simulated(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.status = StatusView()
    async with app.run_test(size=(100, 30)) as pilot:
        await painted(pilot, app)
        assert text_of(app).startswith(" ? ▏")
        await pilot.press("f12")
        await until(lambda: "not known: the engine has told nothing yet" in text_of(app))
        assert "in a shell" not in text_of(app)


@pytest.mark.parametrize("tells", [True, False])
async def test_tshc_status_waits_for_what_the_engine_tells(
    engine: RecordedEngine, capsys: pytest.CaptureFixture[str], tells: bool
) -> None:
    """One that has just started trades live perhaps: its defaults say SIM."""
    engine.board.status = StatusView()
    lock = FileLock(engine.home.engine_lock)
    assert lock.acquire()
    try:
        asked = asyncio.create_task(
            asyncio.to_thread(cli.run, ["--home", str(engine.home.folder), "status", "--json"])
        )
        await asyncio.sleep(0.5)  # it is attached, or will be; either way the defaults are what it would print
        if tells:
            engine.board.status = recorded.status().model_copy(update={"mode": "live"})
        code = await asked
    finally:
        lock.release()
    answer = json.loads(capsys.readouterr().out)
    if tells:
        assert (code, answer["mode"]) == (0, "live")
    else:
        assert (code, "told nothing yet" in answer["error"]) == (1, True)


async def test_an_engine_of_another_protocol_is_told_with_the_ways_out(home: Home) -> None:
    record = {"pid": 1, "socket": str(home.socket_path()), "version": PROTOCOL_VERSION + 1}
    home.engine_record.write_text(json.dumps(record))
    async with EngineClient(home) as client:
        with pytest.raises(OperatorError) as refused:
            await client.attached(0.3)
    words = str(refused.value)
    assert f"speaks protocol {PROTOCOL_VERSION + 1}, this console {PROTOCOL_VERSION}" in words
    for way in ("update this console", "tshc engine stop --force", "'tshc flatten' works without it"):
        assert way in words
    assert "tshc engine start" not in words  # one runs already


async def test_views_of_another_version_are_told_with_the_ways_out(home: Home) -> None:
    async def newer(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"snapshot": {"unheard_of": 1}}')
        await socket.wait_closed()

    async with unix_serve(newer, str(home.socket_path())):
        home.engine_record.write_text(json.dumps({"pid": 1, "socket": str(home.socket_path())}))
        async with EngineClient(home) as client:
            await until(lambda: "cannot read" in client.trouble)
            with pytest.raises(OperatorError, match=r"this console cannot read: update.*'tshc flatten' works"):
                await client.attached(0.1)


async def test_a_console_of_another_version_is_turned_away_with_the_ways_out(engine: RecordedEngine) -> None:
    async with unix_connect(str(engine.home.socket_path()), uri="ws://localhost/") as socket:
        await socket.send(json.dumps({"hello": {"version": PROTOCOL_VERSION - 1, "client": "console"}}))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    words = closed.value.rcvd.reason
    assert f"the engine speaks protocol {PROTOCOL_VERSION}" in words
    assert "update this console, or restart the engine" in words
    assert "'tshc flatten' works without it" in words
