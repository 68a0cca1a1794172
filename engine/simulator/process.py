"""Starting the simulator as a child process, and the handle to it.

The child gets one JSON request line on stdin and answers with one JSON line on stdout:
its addresses, or why it cannot start. Its stdin stays open; when this process ends, by
whatever death, the child reads the end of file and ends too. Only the standard library is
imported here: the caller pays nothing for the child's market.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from engine.errors import DataError, OperatorError, UsageError
from engine.redaction import without_secrets

READY_WITHIN_S = 90.0  # building a 6,000-symbol market takes seconds, on a loaded machine more
STOP_WITHIN_S = 5.0
_KINDS: dict[str, type[OperatorError]] = {"DataError": DataError, "UsageError": UsageError}


@dataclass(frozen=True)
class Simulator:
    """A running simulator: where it listens, the keys it accepts, its log, and the means to steer it."""

    rest_url: str  # trading, data and news: one origin
    trade_stream_url: str
    price_stream_url: str
    key: str
    secret: str
    pid: int
    log_path: Path  # JSON lines: every order request (received_at UTC, microseconds), fill and cancel
    _process: subprocess.Popen[bytes] = field(repr=False)
    lingers: bool = False  # outlives its owner for a while

    def stop(self) -> None:
        """Ends the child, a lingering one too; a second call does nothing."""
        if self.lingers and self.running():
            self._process.terminate()
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                self._process.stdin.close()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_WITHIN_S)
        if self._process.stdout:
            self._process.stdout.close()

    def running(self) -> bool:
        return self._process.poll() is None

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One JSON request to the simulator; OperatorError with its message when it refuses."""
        content = None if body is None else json.dumps(body).encode()
        headers = {
            "APCA-API-KEY-ID": self.key,
            "APCA-API-SECRET-KEY": self.secret,
            "Content-Type": "application/json",
        }
        asked = urllib.request.Request(self.rest_url + path, content, headers, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(asked, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise OperatorError(
                f"the simulator refused {method} {path}: {error.read().decode(errors='replace')}"
            ) from error
        return json.loads(text) if text else None

    def clock(
        self, *, rate: float | None = None, jump_to: datetime | None = None, hold_at: datetime | str | None = ""
    ) -> dict[str, Any]:
        """Steers market time (see ``POST /sim/clock``) and returns the clock; ``hold_at=None`` clears a hold."""
        body: dict[str, Any] = {}
        if rate is not None:
            body["rate"] = rate
        if jump_to is not None:
            body["jump_to"] = jump_to.isoformat()
        if hold_at is None or isinstance(hold_at, datetime):
            body["hold_at"] = hold_at.isoformat() if hold_at else None
        answer: dict[str, Any] = self.request("POST", "/sim/clock", body)
        return answer

    def state(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.request("GET", "/sim/state")
        return answer

    def fault(self, kind: str, **how: Any) -> None:
        """Orders a fault; kinds and arguments: ``engine.simulator.faults``."""
        self.request("POST", "/sim/faults", {"kind": kind, **how})

    def clear_faults(self) -> None:
        self.request("DELETE", "/sim/faults")

    def log(self) -> list[dict[str, Any]]:
        """The order log so far."""
        if not self.log_path.exists():
            return []
        return [json.loads(line) for line in self.log_path.read_text(encoding="utf-8").splitlines()]


def start_process(
    *,
    market: str | Path = "synthetic",
    date: date,
    seed: int = 7,
    symbols: int = 6000,
    cash: int | str = 100_000,
    speed: float = 1.0,
    folder: Path | None = None,
    key: str | None = None,
    secret: str | None = None,
    port: int = 0,
    trading_limit: int = 200,
    data_limit: int = 10_000,
    limit_window_s: float = 60.0,
    partial_fills: float = 0.0,
    linger_s: float = 0.0,
    faults: str | Path = "",
    resume: bool = False,
    account: str = "sim",
) -> Simulator:
    """Starts a simulator whose market stands at 16:30 New York after the session of ``date``.

    ``market`` is ``"synthetic"`` or the path of a daily-bar parquet file; ``cash`` dollars;
    ``speed`` market seconds per wall second (at most 1000); limits are requests in
    ``limit_window_s`` wall seconds (a minute, as at Alpaca; a test of the wait may shorten it);
    ``partial_fills`` is the share of orders that fill in two parts; ``linger_s`` wall seconds without a
    request until the child ends after its owner's death (0: at once); ``faults`` is a TOML script of
    what goes wrong (see ``fault_script``); ``account`` is whose account number it shows (sim, paper,
    live), for tests of what a mode refuses. Logs and books go to ``folder``; ``resume`` goes on with the
    books of a simulator that was killed there (give it that one's ``port``, ``key`` and ``secret`` too).
    Raises OperatorError (DataError for a bad file, UsageError for a bad choice) when the
    child cannot serve.
    """
    script = _script(Path(faults).expanduser()) if str(faults) else []
    place = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="tsh-sim-"))
    place.mkdir(parents=True, exist_ok=True)
    request = {
        "market": str(market) if market == "synthetic" else str(Path(market).expanduser().absolute()),
        "date": date.isoformat(),
        "seed": seed,
        "symbols": symbols,
        "cash": str(cash),
        "speed": speed,
        "folder": str(place.absolute()),
        "key": key or "SIM" + secrets.token_hex(8).upper(),
        "secret": secret or secrets.token_hex(20),
        "port": port,
        "trading_limit": trading_limit,
        "data_limit": data_limit,
        "limit_window_s": limit_window_s,
        "partial_fills": partial_fills,
        "linger_s": linger_s,
        "faults": script,
        "resume": resume,
        "account": account,
    }
    errors = place / "simulator.err"
    with errors.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.simulator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**without_secrets(os.environ), "PYTHONUNBUFFERED": "1"},
        )
    answer = _first_answer(process, request, errors)
    if "error" in answer:
        process.wait(STOP_WITHIN_S)
        raise _KINDS.get(answer.get("kind", ""), OperatorError)(answer["error"])
    return Simulator(
        rest_url=answer["rest_url"],
        trade_stream_url=answer["trade_stream_url"],
        price_stream_url=answer["price_stream_url"],
        key=str(request["key"]),
        secret=str(request["secret"]),
        pid=process.pid,
        log_path=Path(answer["log_path"]),
        _process=process,
        lingers=linger_s > 0,
    )


def _script(path: Path) -> list[dict[str, Any]]:
    from engine.simulator.fault_script import read_script  # here: who orders no faults does not pay for it

    return read_script(path)


def _first_answer(process: subprocess.Popen[bytes], request: dict[str, Any], errors: Path) -> dict[str, Any]:
    """The child's first line; OperatorError when it dies or stays silent."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the simulator is started with pipes")
    late = threading.Timer(READY_WITHIN_S, process.kill)
    late.daemon = True
    late.start()
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = b""
    finally:
        late.cancel()
    if line:
        answer: dict[str, Any] = json.loads(line)
        return answer
    process.kill()
    process.wait(STOP_WITHIN_S)
    tail = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise OperatorError(
        f"the simulator did not start ({tail[0] if tail else 'no message'}); its log is {errors}; start it again"
    )


@contextmanager
def start(**choices: Any) -> Iterator[Simulator]:
    """``start_process`` for a ``with`` block: the child ends with the block."""
    simulator = start_process(**choices)
    try:
        yield simulator
    finally:
        simulator.stop()
