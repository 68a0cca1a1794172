"""Starts and stops the engine process of a home folder.

The engine is a process of its own session: closing the terminal, quitting the console or
killing it leaves the engine running. While it starts it reports on its standard output,
one JSON line each: {"starting": "..."}; at the end {"ready": ...} or {"error": ...}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from engine.errors import OperatorError, RefusedError, UsageError
from engine.home import FileLock, Home
from engine.model import Mode
from engine.settings import Settings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0


def engine_runs(home: Home) -> bool:
    """Whether an engine holds the lock of ``home``."""
    if not home.engine_lock.exists():
        return False
    lock = FileLock(home.engine_lock)
    if lock.acquire():
        lock.release()
        return False
    return True


def engine_record(home: Home) -> dict[str, Any] | None:
    """Pid and address of the running engine, or None."""
    if not engine_runs(home):
        return None
    try:
        record = json.loads(home.engine_record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def confirm_live(settings: Settings, home: Home) -> list[str]:
    """The engine's arguments for its mode: real money needs a word typed by a person at a terminal.

    RefusedError when the word is not LIVE, or when nobody can type it.
    """
    if settings.broker.mode is not Mode.LIVE:
        return []
    if not sys.stdin.isatty():
        raise RefusedError(
            "live trading needs a typed confirmation: start the engine once at a terminal with "
            "'tshc --broker live engine start'"
        )
    print(f"REAL MONEY: the engine of {home.folder} will trade the LIVE account.", file=sys.stderr)
    if input("type LIVE to go: ").strip() != "LIVE":
        raise RefusedError("not confirmed: no engine was started")
    return ["--live-confirmed"]


def start_engine(
    home: Home,
    settings: Settings,
    overrides: Sequence[str] = (),
    on_step: Callable[[str], None] = lambda _: None,
) -> None:
    """Starts the engine and returns when it listens; does nothing when one runs already.

    ``settings`` are those in force, ``overrides`` the command line's part of them as
    ``section.key=value``. Raises the engine's own refusal (an OperatorError with its exit
    code) when it does not come up, and RefusedError for live trading without the typed word.
    """
    if engine_runs(home):
        return
    confirmed = confirm_live(settings, home)
    home.create()
    home.logs.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "engine.daemon", "--home", str(home.folder), *confirmed]
    for override in overrides:
        command += ["--set", override]
    with (home.logs / "engine.err").open("ab") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            cwd=Path(__file__).parents[1],
            env=os.environ.copy(),
        )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            said = _parsed(line)
            if "starting" in said:
                on_step(str(said["starting"]))
            elif said.get("ready"):
                return
            elif "error" in said:
                kinds = {2: UsageError, 3: RefusedError}
                raise kinds.get(int(said.get("exit_code", 1)), OperatorError)(str(said["error"]))
        process.wait(timeout=5)
        raise OperatorError(
            f"the engine ended while starting (code {process.returncode}); see {home.logs / 'engine.err'}"
        )
    finally:
        process.stdout.close()


def stop_engine_by_force(home: Home) -> bool:
    """Ends a hung engine: SIGTERM, then SIGKILL after the timeout; False when none runs.

    Only the process that holds this home's lock is touched.
    """
    record = engine_record(home)
    if record is None:
        return False
    try:
        process = psutil.Process(int(record["pid"]))
        if "engine.daemon" not in " ".join(process.cmdline()):
            return False
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(5)
    except psutil.NoSuchProcess:
        return False
    return True


def wait_until_stopped(home: Home, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """True when the engine has let go of its lock in time."""
    deadline = time.monotonic() + timeout_s
    while engine_runs(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
