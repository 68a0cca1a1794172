"""Alerts at the console: what it writes to the terminal, through the real driver in a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until
from hypothesis import given
from hypothesis import strategies as st
from recorded_board import board as go_board

from app.alert_ringer import AlertRinger, notification
from app.console import TshConsole
from app.widgets.overview_panels import AlertsTable, NextPanel
from engine.views import AlertView, BoardView

PROJECT = Path(__file__).parents[2]
SEQUENCE = re.compile(r"\x1b\](?:9;|777;notify;)[^\x00-\x1f\x7f-\x9f]*\x07")


def alert(key: str = "exit-ABC", **fields: object) -> AlertView:
    defaults: dict[str, object] = {
        "key": key, "at": recorded.NOW, "text": "the exit was refused", "severity": "critical",
        "rings": 1, "ring_notice": True, "ring_bell": True,
    }  # fmt: skip
    return AlertView.model_validate(defaults | fields)


# --- what is written ---------------------------------------------------------------------------


@given(st.text(), st.text(), st.sampled_from(["auto", "9", "777", "both"]))
def test_no_text_can_end_or_begin_a_control_sequence(title: str, body: str, osc: str) -> None:
    written = notification(title, body, osc=osc, environ={})
    assert SEQUENCE.sub("", written) == ""
    assert len(SEQUENCE.findall(written)) == (2 if osc == "both" else 1)


@pytest.mark.parametrize(
    ("environ", "begins"),
    [
        ({"TERM": "xterm-256color"}, "\x1b]9;"),
        ({"TERM": "rxvt-unicode-256color"}, "\x1b]777;notify;"),
        ({"TERM": "foot"}, "\x1b]777;notify;"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, "\x1b]777;notify;"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/tmux"}, "\x1bPtmux;\x1b\x1b]9;"),
    ],
)
def test_each_terminal_is_asked_in_its_own_way(environ: dict[str, str], begins: str) -> None:
    written = notification("title", "body", osc="auto", environ=environ)
    assert written.startswith(begins)
    assert written.endswith("\x1b\\" if "TMUX" in environ else "\a")


def test_a_terminal_that_must_not_be_asked_only_gets_the_bell() -> None:
    ringer = AlertRinger("off")
    assert ringer.ring([], {}) == ""
    assert ringer.ring([alert()], {}) == "\a"


def test_a_rise_of_the_rings_is_rung_once() -> None:
    ringer = AlertRinger("9")
    assert ringer.ring([], {}) == ""
    assert ringer.ring([alert()], {}) == "\x1b]9;TSH Console: CRITICAL: the exit was refused\a\a"
    assert ringer.ring([alert()], {}) == ""
    assert ringer.ring([alert(count=9)], {}) == ""
    assert ringer.ring([alert(count=9, rings=2)], {}).count("(×9)") == 1
    assert ringer.ring([], {}) == ""
    assert ringer.ring([alert(count=9, rings=2)], {}) == ""
    over = alert(rings=3, over=True, ring_bell=False)
    assert ringer.ring([over], {}) == "\x1b]9;TSH Console: over: the exit was refused\a"


def test_a_console_that_attaches_tells_once_what_waits_and_not_what_is_settled() -> None:
    waiting = [alert("a", severity="warning", text="low"), alert("b", text="worst"), alert("c", acknowledged=True)]
    assert AlertRinger("9").ring(waiting, {}) == "\x1b]9;TSH Console: waiting: worst and 1 more\a\a"
    assert AlertRinger("9").ring([alert("c", acknowledged=True), alert("d", over=True)], {}) == ""
    assert AlertRinger("9").ring([alert("never told", rings=0)], {}) == ""


# --- a real terminal -----------------------------------------------------------------------------

CONSOLE = """
import sys
from pathlib import Path
from app.client import EngineClient
from app.console import TshConsole
from engine.home import Home
TshConsole(EngineClient(Home(Path(sys.argv[1]))), osc="9").run()
"""


@contextmanager
def console_in_a_terminal(home: Path) -> Iterator[int]:
    """The real console in a pseudo-terminal of its own; the descriptor of its other end."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("TMUX", None)
        os.environ["TERM"] = "xterm-256color"
        os.chdir(PROJECT)
        os.execv(sys.executable, [sys.executable, "-c", CONSOLE, str(home)])
    try:
        yield terminal
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal of Unix")
async def test_an_alert_of_the_engine_is_heard_at_the_terminal(engine: RecordedEngine) -> None:
    engine.board.overview = recorded.overview().model_copy(update={"alerts": ()})
    written = b""

    def read() -> bytes:
        nonlocal written
        with suppress(OSError):  # the other end is closed
            while select.select([terminal], [], [], 0)[0]:
                written += os.read(terminal, 65536)
        return written

    with console_in_a_terminal(engine.home.folder) as terminal:
        # Its mode is drawn by the paint in which it also looks for alerts: it has seen that nothing waits.
        await until(lambda: b"SIM" in read() and engine.server.consoles == 1, 120)
        assert b"\x1b]9;" not in read()
        before = len(read())
        engine.board.overview = engine.board.overview.model_copy(update={"alerts": (alert(),)})
        await until(lambda: b"\x1b]9;TSH Console: CRITICAL: the exit was refused\x07\x07" in read()[before:], 120)
        heard = len(read())
        engine.board.overview = engine.board.overview.model_copy(update={"alerts": (alert(count=2),)})
        await asyncio.sleep(1.0)
        assert b"\x1b]9;" not in read()[heard:]


async def test_the_overview_shows_the_count_the_weight_and_what_is_over(
    engine: RecordedEngine, app: TshConsole
) -> None:
    alerts = (
        alert("a", text="alpha is unsold", count=7),
        alert("b", text="beta is over", over=True, severity="warning"),
        alert("c", text="gamma was seen", acknowledged=True),
    )
    engine.board.overview = recorded.overview().model_copy(update={"alerts": alerts})
    async with app.run_test(size=(120, 50)) as pilot:
        await painted(pilot, app)
        lines = {name: next(line for line in text_of(app).splitlines() if name in line)
                 for name in ("alpha", "beta", "gamma")}  # fmt: skip
        assert "‼ ×7  alpha is unsold" in lines["alpha"]
        assert "over" in lines["beta"]
        assert "!" not in lines["beta"]
        assert "seen" in lines["gamma"]
        assert "1 to acknowledge" in text_of(app)
        app.acknowledge_all()
        await until(lambda: engine.commands)
    assert engine.commands == [("acknowledge", {"key": "a"})]


async def test_k_after_k_works_through_what_waits_one_by_one(engine: RecordedEngine, app: TshConsole) -> None:
    def told(*seen: str) -> None:
        alerts = tuple(alert(key, text=f"alert {key}", acknowledged=key in seen) for key in ("a", "b", "c"))
        engine.board.overview = recorded.overview().model_copy(update={"alerts": alerts})

    told()
    async with app.run_test(size=(120, 50)) as pilot:
        await painted(pilot, app)
        table = app.screen.query_one(AlertsTable)
        for number, key in enumerate(("a", "b", "c"), start=1):
            await until(lambda key=key: table.current is not None and table.current.key == key)
            await pilot.press("k")
            await until(lambda number=number: len(engine.commands) == number)
            told(*("a", "b", "c")[:number])
            await until(lambda number=number: sum(row.waiting for row in table.rows) == 3 - number)
        await pilot.press("k")
        await until(lambda: "no alert waits to be acknowledged" in said(app))
    assert engine.commands == [("acknowledge", {"key": key}) for key in ("a", "b", "c")]


async def test_on_a_settled_alert_k_marks_the_first_that_waits_and_takes_it_when_pressed_again(
    engine: RecordedEngine, app: TshConsole
) -> None:
    alerts = (alert("a"), alert("b"), alert("c", over=True))
    engine.board.overview = recorded.overview().model_copy(update={"alerts": alerts})
    async with app.run_test(size=(120, 50)) as pilot:
        await painted(pilot, app)
        table = app.screen.query_one(AlertsTable)
        table.go_to("c")
        await pilot.press("k")
        assert "2 wait" in said(app)
        assert table.current is not None
        assert table.current.key == "a"
        await pilot.press("k")
        await until(lambda: engine.commands)
        engine.board.overview = engine.board.overview.model_copy(update={"alerts": (alert("b"), alerts[2])})
        await until(lambda: len(table.rows) == 2)
        table.go_to("c")
        await pilot.press("k")  # the only one that waits needs no second look
        await until(lambda: len(engine.commands) == 2)
    assert engine.commands == [("acknowledge", {"key": "a"}), ("acknowledge", {"key": "b"})]


async def test_a_frozen_overview_acknowledges_nothing_because_it_may_have_got_worse(
    engine: RecordedEngine, app: TshConsole
) -> None:
    overview = recorded.overview()
    engine.board.overview = overview.model_copy(update={"alerts": (alert(severity="warning"),)})
    async with app.run_test(size=(120, 50)) as pilot:
        await painted(pilot, app)
        await pilot.press("z")
        worse = overview.model_copy(update={"alerts": (alert(severity="critical"),)})
        engine.board.overview = worse
        await until(lambda: app.client.state.overview == worse)
        await pilot.press("k")
        await until(lambda: "the screen is frozen" in said(app))
        assert engine.commands == []
        await pilot.press("z", "k")
        await until(lambda: engine.commands)
    assert engine.commands == [("acknowledge", {"key": "exit-ABC"})]


async def test_a_verdict_leaves_the_overview_with_its_session(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.board = go_board("go")
    async with app.run_test(size=(120, 50)) as pilot:
        await painted(pilot, app)
        panel = app.screen.query_one(NextPanel)
        await until(lambda: "GO" in "".join(text for text, _ in panel.foot))
        engine.board.board = BoardView()
        await until(lambda: app.client.state.board == BoardView())
        await painted(pilot, app)
        assert panel.foot == ()
