"""The whole week by keys alone, in a real terminal (tmux): weekend, list, approval, positions, flatten.

Nothing here talks to the engine: keys go in, the picture is read. Afterwards the journal must
say the same as the screen did. In the middle the console is killed and opened again.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.home import Home

from .conftest import PROJECT, Tshc

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

OVERRIDES = {"sim.symbols": "2400", "sim.date": "2026-11-25", "sim.speed": "60"}


class Terminal:
    """A tmux server of its own with one window; what is typed and what is seen."""

    def __init__(self, folder: Path, columns: int = 120, lines: int = 40) -> None:
        # COLUMNS and LINES would overrule the terminal's own size
        self._socket = folder / "tmux"
        environ = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR", "COLUMNS", "LINES")}
        self._environ = {**environ, "LANG": "C.UTF-8", "PYTHONPATH": str(PROJECT)}
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", str(columns), "-y", str(lines), "sh")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def run(self, command: list[str]) -> None:
        self.type(f"cd {shlex.quote(str(PROJECT))} && exec {shlex.join(command)}")
        self.press("Enter")

    def reopen(self, command: list[str]) -> None:
        """The program again in a fresh shell, in the place of one that has ended."""
        self._tmux("respawn-window", "-k", "sh")
        self.run(command)

    def pid(self) -> int:
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def seen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def wait_for(self, what: str | Callable[[str], object], seconds: float = 240) -> str:
        """The picture as soon as it shows ``what`` (a regular expression, or a condition)."""
        matches = what if callable(what) else re.compile(what).search
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            picture = self.seen()
            if matches(picture):
                return picture
            time.sleep(0.1)
        raise AssertionError(f"not seen within {seconds:g} s: {what}\n{self.seen()}")

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal._tmux("set-option", "-g", "remain-on-exit", "on")
    yield terminal
    terminal.close()


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Tshc]:
    tshc = Tshc(Home(tmp_path / "home"), OVERRIDES)
    yield tshc
    tshc.stop()


def test_an_operator_runs_the_week_with_keys_alone(terminal: Terminal, operator: Tshc) -> None:
    demo = operator.command("demo", "--cycles", "3", "--search-budget", "8s", "--home", str(operator.home.folder))
    terminal.run(demo)
    terminal.wait_for(r"SIM.*(?s:.)*FLATTEN")

    terminal.press("w")
    terminal.wait_for("training cycles")
    terminal.press("Enter", "Enter", "y")
    terminal.wait_for(lambda picture: "training cycles" not in picture)
    terminal.press("3")
    terminal.wait_for(r"(?m)^.*\bA\b.*p = 0\.\d+|better than \d+ of \d+")
    terminal.press("1")
    terminal.wait_for("groups ✓")

    terminal.press("d")
    terminal.press("4")
    terminal.wait_for(r"NO TRADE")
    terminal.press("a")
    terminal.wait_for("Approve this trade list")
    terminal.press("y")
    terminal.press("5")
    terminal.wait_for(r"WATCH|ARMED")

    os.kill(terminal.pid(), signal.SIGKILL)  # the terminal is gone, the positions are not
    terminal.reopen(operator.command())
    terminal.wait_for("FLATTEN")
    terminal.press("5")
    terminal.wait_for(r"WATCH|ARMED")

    terminal.press("F12")
    terminal.wait_for("type FLATTEN")
    terminal.type("FLATTEN")
    terminal.press("Enter")
    terminal.wait_for("FLAT, confirmed by the broker")
    terminal.press("Escape")
    terminal.wait_for(lambda picture: "FLATTEN EVERYTHING" not in picture)
    terminal.press("q")
    assert "open positions stay managed" not in terminal.wait_for("The console is closed")

    rows = operator.rows
    journal = operator.home.journal
    assert rows(journal, "SELECT COUNT(*) FROM approvals") == [(1,)]
    bought = rows(
        journal, "SELECT symbol, SUM(shares) FROM fills WHERE side = 'buy' GROUP BY symbol ORDER BY symbol"
    )
    sold = rows(
        journal, "SELECT symbol, SUM(shares) FROM fills WHERE side = 'sell' GROUP BY symbol ORDER BY symbol"
    )
    assert bought
    assert bought == sold
