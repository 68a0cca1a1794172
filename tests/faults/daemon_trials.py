"""Kills of the whole engine and of consoles attached to it, at seeded moments of a trading day.

The engine's day is the program's own (``daemon_life``): approved, entered at the open,
exited by TSH, by hand and by flatten. Each kill is one trial. A killed engine comes back by
itself to its weekday run and its positions; a killed console must leave no trace at all.
Run by ``kill_trials``.
"""

from __future__ import annotations

import fcntl
import os
import pty
import random
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

from .daemon_life import ROOT, Daemon
from .trading_trials import WITHIN_S, Day, moment

SESSION = date(2026, 11, 23)
ENGINE_KILLS, CONSOLE_KILLS = 8, 20
# What a hand may do before the console dies: look around, open dialogs, never finish the word that flattens.
KEYS = ("1", "2", "3", "4", "5", "6", "7", "?", "\x1b", "\t", "\x1b[A", "\x1b[B", "\x1b[24~", "FLAT", "\x10")


def engine_day(folder: Path, seed: int, kills: int = ENGINE_KILLS) -> Day:
    """One day of a whole engine with ``kills`` kills, or fewer when TSH has sold everything before."""
    dice, result = random.Random(seed), Day()
    daemon = Daemon(folder / "home", speed=60)
    try:
        daemon.start()
        daemon.wait_ready()
        daemon.begin_day()
        for number in range(kills):
            if number and dice.random() < 0.25:
                time.sleep(dice.random() * WITHIN_S)
                doing = "starting"
            else:
                daemon.wait_ready()
                if not _trades(daemon):
                    break
                ordered = _operate(daemon, dice, number, kills)
                time.sleep(moment(dice, ordered))
                doing = ordered or daemon.doing()
            daemon.kill()
            result.kills[doing] += 1
            daemon.start()
            if dice.random() < 0.7:  # else the next kill may fall into this recovery
                daemon.wait_ready()
                found = daemon.recovered(SESSION)
                result.wrong += [f"seed {seed}, kill {number + 1} ({doing}): {w}" for w in found]
        daemon.wait_ready()
        result.wrong += [f"seed {seed}, end: {w}" for w in _end_flat(daemon)]
    finally:
        daemon.end()
    return result


def _trades(daemon: Daemon, within_s: float = 10.0) -> bool:
    """Whether the day goes on: its run has been taken up again and has not sold everything."""
    deadline = time.monotonic() + within_s
    while daemon.doing() == "no position":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _operate(daemon: Daemon, dice: random.Random, number: int, kills: int) -> str:
    """Orders something, late in the day: what it was, or empty."""
    held = sorted(daemon.held())
    if number == kills - 1:
        daemon.command("flatten")
        return "flatten"
    if number >= kills // 2 and held and dice.random() < 0.7:
        daemon.command("exit_position", symbol=dice.choice(held))
        return "exit"
    return ""


def _end_flat(daemon: Daemon) -> list[str]:
    """Flattens what is left and audits the day."""
    ended, deadline = daemon.flatten(), time.monotonic() + 180
    while not ended(daemon.look()["flatten"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = daemon.recovered(SESSION)
    state, venue = daemon.look()["flatten"]["state"], daemon.simulator().state()
    if state != "flat" or venue["positions"]:
        found.append(f"the day ended {state} with {len(venue['positions'])} positions")
    return found


# --- consoles --------------------------------------------------------------------------------------


class Console:
    """A real ``tshc`` on a terminal of its own."""

    def __init__(self, daemon: Daemon) -> None:
        self._terminal, its_side = pty.openpty()
        fcntl.ioctl(its_side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "--home", str(daemon.home.folder)],
            stdin=its_side, stdout=its_side, stderr=its_side, start_new_session=True, cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )  # fmt: skip
        os.close(its_side)
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                block = os.read(self._terminal, 65536)
            except OSError:
                return
            if not block:
                return
            self._seen += block

    def shows(self, words: str, within_s: float) -> bool:
        """Whether ``words`` were drawn, in one piece, within so many seconds."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if words.encode() in self._seen:
                return True
            time.sleep(0.02)
        return False

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)
        self._reader.join(30)
        os.close(self._terminal)


def console_day(folder: Path, seed: int, kills: int = CONSOLE_KILLS) -> Day:
    """One engine that holds four positions in a calm market, and ``kills`` consoles that die beside it."""
    dice, result = random.Random(seed), Day()
    daemon = Daemon(folder / "home", speed=1, wide=True)
    try:
        daemon.start()
        daemon.wait_ready()
        daemon.begin_day()
        result.wrong += daemon.recovered(SESSION)
        until_entered(daemon)
        pid, before, held = daemon.pid, quiet_journal(daemon), daemon.held()
        symbol = min(held)
        for number in range(kills):
            console = Console(daemon)
            if dice.random() < 0.3:
                doing = "starting"
                time.sleep(dice.random() * WITHIN_S)
            else:
                console.press("5")
                attached = console.shows("Positions", 60) or console.shows(symbol, 30)
                doing = "looking"
                if not attached:
                    result.wrong.append(f"seed {seed}, console {number + 1} never showed the positions")
                for _ in range(dice.randrange(6)):
                    key = dice.choice(KEYS)
                    doing = "at the flatten dialog" if key == "\x1b[24~" else doing
                    console.press(key)
                    time.sleep(dice.random() * 0.3)
            console.kill()
            result.kills[doing] += 1
            after = journal_of(daemon)
            changed = [f"{table} changed: {rows[:3]}" for table, rows in differing(before, after).items()]
            if daemon.pid != pid or daemon.held() != held:
                changed.append(f"the engine is another one, or holds {daemon.held()}")
            result.wrong += [f"seed {seed}, console {number + 1} ({doing}): {w}" for w in changed]
            before = after
        result.wrong += [f"seed {seed}, before the end: {w}" for w in daemon.recovered(SESSION)]
        result.wrong += [f"seed {seed}, end: {w}" for w in _end_flat(daemon)]
    finally:
        daemon.end()
    return result


def until_entered(daemon: Daemon) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        stages = {s["stage"]: s["state"] for s in daemon.look()["overview"]["stages"]}
        if stages.get("tsh_trade_management") == "running" and daemon.held() and not daemon.recovered(SESSION, 5):
            return
        time.sleep(0.1)
    raise RuntimeError(f"no positions: {daemon.look()['overview']['stages']}")


Tables = dict[str, list[tuple[Any, ...]]]


def journal_of(daemon: Daemon) -> Tables:
    """Every row of the journal, but for what prices move: the highs, and the low of the day."""
    connection = sqlite3.connect(f"file:{daemon.home.journal}?mode=ro", uri=True)
    try:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        tables = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names}
    finally:
        connection.close()
    tables["settings_kv"] = [row for row in tables["settings_kv"] if row[0] not in ("tsh_levels", "day_low")]
    return tables


def quiet_journal(daemon: Daemon) -> Tables:
    """The journal once nothing is added to it any more."""
    before = journal_of(daemon)
    for _ in range(60):
        time.sleep(1.0)
        now = journal_of(daemon)
        if now == before:
            return now
        before = now
    raise RuntimeError("the engine never came to rest")


def differing(before: Tables, after: Tables) -> Tables:
    return {name: [row for row in after[name] if row not in before[name]] or [("rows are gone",)]
            for name in after if after[name] != before[name]}  # fmt: skip
