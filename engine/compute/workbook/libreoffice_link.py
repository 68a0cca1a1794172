"""The pipe to one LibreOffice: starts its server process, sends requests, reads answers.

Requests are answered one at a time and in order. ``kill`` may be called from any thread:
a request that waits on a dead or hung office then raises ``OfficeGoneError`` at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from engine.compute.workbook import libreoffice_server as wire
from engine.compute.workbook.private_folder import PrivateFolder, sweep
from engine.errors import OperatorError
from engine.redaction import without_secrets

SERVER = Path(wire.__file__)
SYSTEM_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
PROGRAM_FOLDERS = ("/usr/lib/libreoffice/program", "/usr/lib64/libreoffice/program", "/opt/libreoffice/program")
GRACE_S = 3.0  # the server's time to say that its office died, before it is ended itself
QUIT_WITHIN_S = 8.0
INSTALL = "install it ('apt-get install libreoffice-calc-nogui python3-uno' on Debian)"


class OfficeGoneError(OperatorError):
    """The office or its server died or was killed while a request waited."""


class OfficeError(OperatorError):
    """The office refused a request; it still runs."""


@dataclass(frozen=True)
class Installation:
    """A LibreOffice that can be driven."""

    program: Path  # soffice.bin
    python: str  # an interpreter that can import uno

    @property
    def text(self) -> str:
        return f"LibreOffice in {self.program.parent}"


def find_installation(override: str = "") -> Installation:
    """The LibreOffice of this machine. OperatorError says what is missing and how to get it.

    ``override`` (setting ``workbook.office``): soffice, soffice.bin or the folder they are in.
    """
    program = _program(override)
    candidates = (*SYSTEM_PYTHONS, str(program.parent / "python"), shutil.which("python3") or "")
    for python in dict.fromkeys(candidates):
        if python and Path(python).exists() and _imports_uno(python, str(program.parent)):
            return Installation(program, python)
    raise OperatorError(
        f"no python3 of this machine can import uno (asked {', '.join(p for p in candidates if p)}): "
        "install python3-uno for the LibreOffice in " + str(program.parent)
    )


def _program(override: str) -> Path:
    if override:
        given = Path(override).expanduser()
        folder = given if given.is_dir() else given.resolve().parent
        if (folder / "soffice.bin").exists():
            return folder / "soffice.bin"
        raise OperatorError(f"workbook.office names {override}, but there is no soffice.bin: correct the setting")
    found = shutil.which("soffice") or shutil.which("libreoffice")
    folders = [Path(found).resolve().parent] if found else []
    for folder in (*folders, *map(Path, PROGRAM_FOLDERS)):
        if (folder / "soffice.bin").exists():
            return folder / "soffice.bin"
    raise OperatorError(f"this machine has no LibreOffice (soffice is not on the PATH): {INSTALL}")


@cache
def _imports_uno(python: str, program_folder: str) -> bool:
    check = f"import sys; sys.path += ['/usr/lib/python3/dist-packages', {program_folder!r}]; import uno"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class OfficeLink:
    """One running LibreOffice and the pipe to it. ``close`` it, or its process is ended with this one."""

    def __init__(self, installation: Installation, folder: PrivateFolder) -> None:
        self.installation, self.folder = installation, folder
        self.office_pid = 0
        self.version = ""
        self._lock = threading.Lock()
        self._closed = False
        with (folder.path / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [installation.python, str(SERVER), str(folder.path), str(installation.program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                start_new_session=os.name == "posix",
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._to, self._from = self._server.stdin.fileno(), self._server.stdout.fileno()

    @classmethod
    def start(cls, installation: Installation, folder: PrivateFolder) -> OfficeLink:
        """Starts an office (1-2 s); OperatorError with its last words when it does not come up."""
        sweep(folder.root)
        link = cls(installation, folder)
        try:
            started = link.call("start")
        except (OfficeError, OfficeGoneError) as error:
            said = link.last_words()
            link.kill()
            raise OperatorError(f"LibreOffice does not start: {error}{said}") from error
        link.office_pid, link.version = int(started["pid"]), str(started["version"])
        return link

    @property
    def server_pid(self) -> int:
        return self._server.pid

    @property
    def alive(self) -> bool:
        return not self._closed and self._server.poll() is None and _runs(self.office_pid)

    def call(self, do: str, rows: Sequence[Sequence[Any]] | None = None, **arguments: Any) -> dict[str, Any]:
        """One request; the answer's fields.

        OfficeError when it was refused, OfficeGoneError when nobody answers.
        """
        return self._exchange(do, rows, arguments)[0]

    def cells(self, do: str, **arguments: Any) -> list[list[Any]]:
        """One request that answers with cells: numbers, texts, None for a blank, ``#ERR`` for an error value."""
        header, payload = self._exchange(do, None, arguments, whole=True)
        return _cells(header["cells"], payload)

    def _exchange(
        self, do: str, rows: Sequence[Sequence[Any]] | None, arguments: dict[str, Any], *, whole: bool = False
    ) -> tuple[dict[str, Any], bytes]:
        header: dict[str, Any] = {"do": do, **arguments}
        payload = b""
        if rows is not None:
            header["cells"], payload = wire.pack(rows, none=wire.BLANK)
        with self._lock:
            if self._closed:
                raise OfficeGoneError(f"the office is closed: '{do}' cannot be asked")
            try:
                wire.write_message(self._to, header, payload)
                self._wait(do)
                message = wire.read_message(self._from)
            except OSError as error:
                raise OfficeGoneError(f"the office process died during '{do}' ({error})") from error
        if message is None:
            raise OfficeGoneError(f"the office process died during '{do}'{self.last_words()}")
        answer, data = message
        if "error" in answer:
            kind = OfficeGoneError if answer.get("gone") else OfficeError
            raise kind(f"the office could not do '{do}': {answer['error']}")
        return (answer if whole else answer["ok"]), data

    def _wait(self, do: str) -> None:
        """Until the answer begins. When the office itself is dead the server has ``GRACE_S`` to say so."""
        dead_since = None
        while not select.select([self._from], [], [], 0.5)[0]:
            if not self.office_pid or _runs(self.office_pid):
                continue
            dead_since = dead_since or time.monotonic()
            if time.monotonic() - dead_since > GRACE_S:
                self._server.kill()
                raise OfficeGoneError(f"the office died during '{do}' and its server with it")

    def last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder.path / "server.log").read_text(errors="replace").strip().splitlines()
            return f"; it said: {lines[-1]}" if lines else ""
        return ""

    def kill(self) -> None:
        """Ends office and server by force and removes their folder. Safe from any thread, and twice."""
        self._closed = True
        for pid in (self.office_pid, self._server.pid):
            with contextlib.suppress(psutil.Error):
                if pid and _runs(pid):
                    psutil.Process(pid).kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(5.0)
        self.folder.remove()

    def close(self) -> None:
        """Ends the office in order, by force when that takes too long."""
        if self._closed:
            return
        watchdog = threading.Timer(QUIT_WITHIN_S, self.kill)
        watchdog.start()
        try:
            self.call("quit")
        except (OfficeError, OfficeGoneError):
            pass  # it is dead already: what kill() does next is all that is left to do
        finally:
            watchdog.cancel()
        self.kill()


def _runs(pid: int) -> bool:
    """Whether a process is there and not a zombie; a stopped one is there."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _environment() -> dict[str, str]:
    """Without our interpreter's settings: the server runs under another one. And without any secret."""
    hidden = ("PYTHON", "VIRTUAL_ENV")
    kept = {n: value for n, value in without_secrets(os.environ).items() if not n.startswith(hidden)}
    return {**kept, "SAL_USE_VCLPLUGIN": "svp"}


def _cells(shape: dict[str, Any], payload: bytes) -> list[list[Any]]:
    rows, columns = int(shape["rows"]), int(shape["columns"])
    values: list[Any] = memoryview(payload[: 8 * rows * columns]).cast("d").tolist()
    texts = iter(shape.get("texts", ()))
    for i, kind in enumerate(payload[8 * rows * columns :]):
        if kind == wire.TEXT:
            values[i] = next(texts)
        elif kind != wire.NUMBER:
            values[i] = None if kind == wire.BLANK else "#ERR"
    return [values[i : i + columns] for i in range(0, rows * columns, columns)]
