"""A whole engine (``python -m engine.daemon``) on a small market of its own, to be driven, looked at and killed.

The home is given a frozen selection instead of a weekend: one group that finds candidates on
any day. From there on everything is the program's own: the weekday run, the approval, the
entries, the exits, the simulator that the engine starts and that outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import unix_connect

from engine.control import PROTOCOL_VERSION
from engine.home import Home
from engine.journal import JournalDb
from engine.model import DAYS, ParameterSet
from engine.pipeline.selection_record import frozen_payload
from engine.records import FinalGroup, SearchOutcome
from engine.simulator import Simulator

from .audit import differences

ROOT = Path(__file__).parents[2]
MARKET_DATE = date(2026, 11, 20)
OPEN_STATES = ("WATCH", "ARMED", "TARGET", "EXITING", "CARRIED")
# Fires for a tenth of a market on most days: the trials need names to buy, not good ones.
GROUP = ParameterSet("rsi", (14, 50, 5))
SETTINGS = """
[sim]
date = 2026-11-20
symbols = 400
speed = {speed}
entry_speed = 20

[broker]
timeout_s = 3
reconcile_s = 2

[execution]
brackets = [{{floor_price = 0.0, {levels}}}]
"""


class Daemon:
    """One home and the engine process that runs on it now, if any."""

    def __init__(self, folder: Path, *, speed: float, wide: bool = False) -> None:
        self.home = Home(folder)
        self.home.create()
        percents = (45, 40, 40, 20) if wide else (2, 1, 0.6, 3)
        names = ("target_pct", "arm_pct", "trail_pct", "protective_pct")
        levels = ", ".join(f"{name} = {value}" for name, value in zip(names, percents, strict=True))
        self.home.settings.write_text(SETTINGS.format(speed=speed, levels=levels), encoding="utf-8")
        asyncio.run(self._freeze_selection())
        self._process: subprocess.Popen[str] | None = None
        self._ready = False

    async def _freeze_selection(self) -> None:
        group = FinalGroup(
            rank=1, members=(GROUP,), score=0.0, mean=0.0, deviation=0.0, day_means=(0.0,) * DAYS,
            day_picks=(100,) * DAYS, pp_mean=0.0, picks=b"", leave_one_out=0.0, selection_score=0.0,
            standard_error=0.0, selected=1,
        )  # fmt: skip
        outcome = SearchOutcome(MARKET_DATE, True, 0.0, 1, 1, 1.0, 1.0, 1)
        journal = await JournalDb.open(self.home.journal)
        await journal.freeze_selection(MARKET_DATE, frozen_payload([group], outcome, "trial"))
        await journal.close()

    # --- the process ---------------------------------------------------------------------------

    def start(self) -> None:
        """Returns at once; ``wait_ready`` until it listens."""
        self._ready = False
        self.home.logs.mkdir(exist_ok=True)
        with (self.home.logs / "engine.err").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.daemon", "--home", str(self.home.folder)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, text=True,
            )  # fmt: skip

    def wait_ready(self) -> None:
        if self._ready:
            return
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if said.get("ready"):
                self._ready = True
                return
            if "error" in said:
                raise RuntimeError(f"the engine does not start: {said['error']}")
        raise RuntimeError(f"the engine died by itself ({self._process.wait(60)}): {self.log()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL, to the engine alone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def end(self) -> None:
        """The engine and its simulator, whatever state they are in."""
        self.kill()
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self.simulator().pid, signal.SIGKILL)

    def log(self) -> str:
        path = self.home.logs / "engine.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def simulator(self) -> Simulator:
        """The venue that this home's record names; FileNotFoundError before there was one."""
        record = json.loads((self.home.folder / "simulator.json").read_text(encoding="utf-8"))
        log = self.home.folder / "simulator" / "simulator.log.jsonl"
        return Simulator(**record, log_path=log, _process=None)  # type: ignore[arg-type]

    # --- the control channel -------------------------------------------------------------------

    def look(self) -> dict[str, Any]:
        """A snapshot of every view."""
        return self._talk(None, {})[0]

    def command(self, command: str, **arguments: Any) -> tuple[bool, str]:
        """(accepted, why not)."""
        answer = self._talk(command, arguments)[1]
        return bool(answer["accepted"]), str(answer["reason"])

    def flatten(self) -> Callable[[dict[str, Any]], bool]:
        """Begins a flatten; whether a snapshot's flatten view is the end of this one (or of a later one)."""
        answer = self._talk("flatten", {})[1]
        since = datetime.fromisoformat(answer["data"]["since"])

        def ended(view: dict[str, Any]) -> bool:
            began = view["begun_at"]
            return view["state"] not in ("idle", "running") and datetime.fromisoformat(began) >= since

        return ended

    def _talk(self, command: str | None, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        hello = {"hello": {"version": PROTOCOL_VERSION, "read_only": False, "client": "trial", "token": ""}}
        with unix_connect(str(self.home.socket_path()), max_size=None, close_timeout=1) as socket:
            socket.send(json.dumps(hello))
            snapshot: dict[str, Any] = json.loads(socket.recv(60))["snapshot"]
            if command is None:
                return snapshot, {}
            socket.send(json.dumps({"id": 1, "command": command, "arguments": arguments}))
            while True:
                frame = json.loads(socket.recv(60))
                if "answer" in frame:
                    return snapshot, frame["answer"]

    # --- driving a day -------------------------------------------------------------------------

    def begin_day(self, within_s: float = 240.0) -> None:
        """Starts the weekday run and approves its list; returns when the approval has been given."""
        accepted, reason = self.command("weekday")
        deadline = time.monotonic() + within_s
        while not accepted and "compil" in reason and time.monotonic() < deadline:
            time.sleep(0.3)  # the kernels of a fresh machine
            accepted, reason = self.command("weekday")
        if not accepted:
            raise RuntimeError(f"no weekday: {reason}")
        while time.monotonic() < deadline:
            shortlist = self.look()["shortlist"]
            if shortlist["state"] == "pending":
                where = {"session": shortlist["session"], "list_hash": shortlist["list_hash"]}
                accepted, reason = self.command("approve", **where)
                if accepted:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the list was never approved: {reason or self.look()['overview']}")

    def held(self) -> dict[str, int]:
        """Shares by symbol that the engine manages."""
        rows = self.look()["positions"]["rows"]
        return {row["symbol"]: row["shares"] for row in rows if row["state"] in OPEN_STATES}

    def doing(self) -> str:
        """What is under way, in one word, for the statistics."""
        try:
            seen = self.look()
        except (OSError, WebSocketException, TimeoutError):
            return "starting"
        if seen["flatten"]["state"] == "running":
            return "flattening"
        states = {row["state"] for row in seen["positions"]["rows"]}
        running = [stage["stage"] for stage in seen["overview"]["stages"] if stage["state"] == "running"]
        if "EXITING" in states:
            return "exiting"
        if running == ["real_trader"]:
            return "entering"
        return "holding" if states & set(OPEN_STATES) else "no position"

    # --- after a kill --------------------------------------------------------------------------

    def recovered(self, first: date, within_s: float = 120.0) -> list[str]:
        """Waits until engine, journal and venue agree in everything; what never agreed."""
        deadline, found = time.monotonic() + within_s, ["never asked"]
        while time.monotonic() < deadline:
            found = self._disagreements(first)
            if not found:
                return []
            time.sleep(0.2)
        return found

    def _disagreements(self, first: date) -> list[str]:
        try:
            seen = self.look()
        except (OSError, WebSocketException, TimeoutError) as error:
            return [f"the engine does not answer: {error!r}"]
        rows = [row for row in seen["positions"]["rows"] if row["state"] in OPEN_STATES]
        bare = [row["symbol"] for row in rows if row["state"] in OPEN_STATES[:3] and row["resting_stop"] is None]
        leaving = [row["symbol"] for row in rows if row["state"] == "EXITING"]
        entering = [row["symbol"] for row in seen["positions"]["rows"] if row["state"] == "ENTERING"]
        if bare or leaving or entering or seen["flatten"]["state"] == "running":
            return [f"bare {bare}, leaving {leaving}, entering {entering}, flatten {seen['flatten']['state']}"]
        if seen["positions"]["foreign"]:
            return [f"foreign: {seen['positions']['foreign']}"]
        return asyncio.run(self._audit(first, {row["symbol"]: row["shares"] for row in rows}))

    async def _audit(self, first: date, held: dict[str, int]) -> list[str]:
        simulator = self.simulator()
        journal = await JournalDb.open(self.home.journal, read_only=True)
        try:
            # The venue is asked last: what happens in between is found at the next look.
            state = await asyncio.to_thread(simulator.state)
            return await differences(journal, first, state, simulator.log(), managed=held, home8=self.home.id8)
        finally:
            await journal.close()
