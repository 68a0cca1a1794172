"""The UNO side of the LibreOffice engine: a program of its own, run by the system's python3.

The one thing to know: this file imports nothing but the standard library and ``uno``, so
that it runs under whatever Python the office was built for; everything above speaks to it
through a pipe (``libreoffice_link``), and a crash in here or in the office is contained.

    python3 libreoffice_server.py FOLDER SOFFICE_BIN

It starts one office with its own profile in FOLDER, answers requests from stdin on stdout
and ends with its owner: when stdin ends it kills the office and removes FOLDER. The office
in turn dies with this process (PR_SET_PDEATHSIG).

A message is a little-endian u32 length, that many bytes of JSON, and the cells that the
JSON announces under "cells" (see ``pack`` and ``unpack``). Requests name what to ``do``;
answers are {"ok": ...} or {"error": sentence}.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

Cell = Any  # float, str, or None for an error value; UNO objects are Any too

READY_WITHIN_S = 60.0
FIRST_START = 81  # a fresh profile makes the office exit once with this code
NUMBER, BLANK, TEXT, FAULT = range(4)  # what a cell holds; a fault is an error value such as #DIV/0!
UPDATE_NONE, ALWAYS_EXECUTE_NO_WARN = 0, 4  # com.sun.star.document.UpdateDocMode / MacroExecMode
VALUES, DATES, TEXTS, FORMULAS = 1, 2, 4, 16  # com.sun.star.sheet.CellFlags: what ClearContents clears
PR_SET_PDEATHSIG = 1
_SUB = r"^\s*(?:Public\s+|Private\s+)?(?:Sub|Function)\s+({})\b"


# --- the wire -------------------------------------------------------------------------------


def read_exactly(source: int, count: int) -> bytes | None:
    """``count`` bytes of a file descriptor, or None at its end."""
    parts = []
    while count:
        part = os.read(source, min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_message(source: int) -> tuple[dict[str, Any], bytes] | None:
    """(header, payload) of the next message, or None when the other side is gone."""
    head = read_exactly(source, 4)
    body = None if head is None else read_exactly(source, struct.unpack("<I", head)[0])
    if body is None:
        return None
    header = json.loads(body)
    payload = read_exactly(source, header.get("bytes", 0))
    return None if payload is None else (header, payload)


def write_message(target: int, header: dict[str, Any], payload: bytes = b"") -> None:
    body = json.dumps({**header, "bytes": len(payload)}).encode()
    data = memoryview(struct.pack("<I", len(body)) + body + payload)
    while data:
        data = data[os.write(target, data) :]


def pack(rows: Sequence[Sequence[Cell]], none: int = FAULT) -> tuple[dict[str, Any], bytes]:
    """Cells for the wire: (header part, payload). ``none``: what a None among them stands for.

    Payload: rows*columns float64, then, when a cell is not a number, a byte a cell that
    says what it is; the texts are in the header, in order.
    """
    flat = [value for row in rows for value in row]
    shape = {"rows": len(rows), "columns": len(rows[0]) if rows else 0}
    try:
        return shape, array("d", flat).tobytes()
    except TypeError:
        pass
    numbers, kinds, texts = array("d", bytes(8 * len(flat))), bytearray(len(flat)), []
    for i, value in enumerate(flat):
        if isinstance(value, str):
            kinds[i] = TEXT if value else BLANK
            if value:
                texts.append(value)
        elif isinstance(value, (int, float)):
            numbers[i] = value
        else:
            kinds[i] = none
    return {**shape, "texts": texts}, numbers.tobytes() + bytes(kinds)


def unpack(shape: dict[str, Any], payload: bytes) -> tuple[tuple[Cell, ...], ...]:
    """The inverse of ``pack``, as the tuple of tuples that UNO takes; blanks are empty texts."""
    rows, columns = shape["rows"], shape["columns"]
    flat = array("d")
    flat.frombytes(payload[: 8 * rows * columns])
    values: list[Cell] = flat.tolist()
    texts = iter(shape.get("texts", ()))
    for i, kind in enumerate(payload[8 * rows * columns :]):
        if kind != NUMBER:
            values[i] = next(texts) if kind == TEXT else ""
    return tuple(tuple(values[i : i + columns]) for i in range(0, rows * columns, columns))


# --- the office -----------------------------------------------------------------------------


def die_with_parent() -> None:
    """In the child, before exec: the office ends when this process does, kill -9 included (Linux alone has it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Office:
    """One soffice.bin with a profile of its own, and the documents open in it."""

    def __init__(self, folder: str, program: str) -> None:
        self.folder, self.program = folder, program
        self.process: Any = None  # subprocess.Popen, once started
        self.desktop: Any = None
        self.documents: dict[int, Any] = {}
        self._handles = 0
        self._macros: dict[tuple[int, str], str] = {}

    def start(self) -> dict[str, Any]:
        """Starts the office and connects; raises RuntimeError with the office's own words when it cannot."""
        places = ("/usr/lib/python3/dist-packages", str(Path(self.program).parent))
        sys.path += [place for place in places if place not in sys.path]  # appended: ours come first
        import uno

        deadline = time.monotonic() + READY_WITHIN_S
        pipe = f"tsh{os.getpid()}"
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
        while True:
            self._spawn(pipe)
            context = self._connected(resolver, pipe, deadline)
            if context is not None:
                break
        self.uno = uno
        self.desktop = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
        provider = context.ServiceManager.createInstanceWithContext(
            "com.sun.star.configuration.ConfigurationProvider", context
        )
        node = self._property("nodepath", "/org.openoffice.Setup/Product")
        access = provider.createInstanceWithArguments("com.sun.star.configuration.ConfigurationAccess", (node,))
        return {"pid": self.process.pid, "version": access.getByName("ooSetupVersionAboutBox")}

    def _spawn(self, pipe: str) -> None:
        folder = Path(self.folder)
        with (folder / "office.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program, f"-env:UserInstallation=file://{folder / 'profile'}",
                    "--headless", "--invisible", "--norestore", "--nologo", "--nodefault", "--nofirststartwizard",
                    f"--accept=pipe,name={pipe};urp;",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
            )  # fmt: skip
        (folder / "office.pid").write_text(str(self.process.pid), encoding="ascii")

    def _connected(self, resolver: Any, pipe: str, deadline: float) -> Any:
        """The office's context; None when it ended as a fresh profile does and wants another start."""
        url = f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext"
        while time.monotonic() < deadline:
            code = self.process.poll()
            if code == FIRST_START:
                return None
            if code is not None:
                raise RuntimeError(f"the office ended with code {code} while starting: {self.last_words()}")
            try:
                return resolver.resolve(url)
            except Exception:  # noqa: BLE001 - UNO's NoConnectException, until the acceptor listens
                time.sleep(0.05)
        raise RuntimeError(f"the office did not answer within {READY_WITHIN_S:.0f} s: {self.last_words()}")

    def last_words(self) -> str:
        lines = (Path(self.folder) / "office.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def gone(self) -> bool:
        """Whether the office is dead. Asked after a failure: a dying one may need a moment to be seen as dead."""
        if self.process is None or self.desktop is None:
            return False
        try:
            self.desktop.getCurrentFrame()
        except Exception:  # noqa: BLE001 - UNO's DisposedException: nobody is at the other end any more
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2.0)
            return True
        return bool(self.process.poll() is not None)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def quit(self) -> dict[str, Any]:
        """Closes every document without saving and ends the office."""
        for handle in list(self.documents):
            self.close(handle)
        with contextlib.suppress(Exception):  # UNO's DisposedException: it is gone, as wished
            self.desktop.terminate()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.kill()
        return {}

    # --- documents ---

    def _property(self, name: str, value: Any) -> Any:
        made = self.uno.createUnoStruct("com.sun.star.beans.PropertyValue")
        made.Name, made.Value = name, value
        return made

    def _url(self, path: str) -> Any:
        return self.uno.systemPathToFileUrl(path)

    def open(self, path: str | None = None, read_only: bool = False) -> dict[str, Any]:
        wanted = [
            self._property("Hidden", True),
            self._property("ReadOnly", bool(read_only)),
            self._property("UpdateDocMode", UPDATE_NONE),
            self._property("MacroExecutionMode", ALWAYS_EXECUTE_NO_WARN),
        ]
        url = "private:factory/scalc" if path is None else self._url(path)
        document = self.desktop.loadComponentFromURL(url, "_blank", 0, tuple(wanted))
        if document is None or not hasattr(document, "Sheets"):
            raise RuntimeError(f"the office could not load {path} as a spreadsheet")
        self._handles += 1
        self.documents[self._handles] = document
        return {"document": self._handles}

    def close(self, document: int) -> dict[str, Any]:
        held = self.documents.pop(document)
        self._macros = {key: uri for key, uri in self._macros.items() if key[0] != document}
        held.close(True)
        return {}

    def save(self, document: int, path: str, filter_name: str | None = None) -> dict[str, Any]:
        wanted = [self._property("FilterName", filter_name)] if filter_name else []
        self.documents[document].storeToURL(self._url(path), tuple(wanted))
        return {}

    def sheets(self, document: int) -> dict[str, Any]:
        return {"names": list(self.documents[document].Sheets.ElementNames)}

    def add_sheet(self, document: int, name: str, position: int) -> dict[str, Any]:
        self.documents[document].Sheets.insertNewByName(name, position)
        return {}

    def remove_sheet(self, document: int, name: str) -> dict[str, Any]:
        self.documents[document].Sheets.removeByName(name)
        return {}

    def rename_sheet(self, document: int, name: str, new: str) -> dict[str, Any]:
        self.documents[document].Sheets.getByName(name).setName(new)
        return {}

    # --- cells; an area is [first column, first row, last column, last row], from 0 ---

    def _range(self, document: int, sheet: str, area: Sequence[int]) -> Any:
        return self.documents[document].Sheets.getByName(sheet).getCellRangeByPosition(*area)

    def get(self, document: int, sheet: str, area: Sequence[int]) -> tuple[dict[str, Any], bytes]:
        return pack(self._range(document, sheet, area).getDataArray())

    def put(self, document: int, sheet: str, area: Sequence[int], rows: Any) -> dict[str, Any]:
        self._range(document, sheet, area).setDataArray(rows)
        return {}

    def formulas(self, document: int, sheet: str, area: Sequence[int]) -> dict[str, Any]:
        return {"formulas": self._range(document, sheet, area).getFormulaArray()}

    def put_formulas(self, document: int, sheet: str, area: Sequence[int], formulas: Any) -> dict[str, Any]:
        self._range(document, sheet, area).setFormulaArray(tuple(tuple(row) for row in formulas))
        return {}

    def clear(self, document: int, sheet: str, area: Sequence[int]) -> dict[str, Any]:
        self._range(document, sheet, area).clearContents(VALUES | DATES | TEXTS | FORMULAS)
        return {}

    def used(self, document: int, sheet: str) -> dict[str, Any]:
        cursor = self.documents[document].Sheets.getByName(sheet).createCursor()
        cursor.gotoStartOfUsedArea(False)
        cursor.gotoEndOfUsedArea(True)
        found = cursor.RangeAddress
        return {"area": [found.StartColumn, found.StartRow, found.EndColumn, found.EndRow]}

    # --- names ---

    def names(self, document: int) -> dict[str, Any]:
        held = self.documents[document].NamedRanges
        return {"names": [[name, held.getByName(name).Content] for name in held.ElementNames]}

    def name(self, document: int, name: str) -> dict[str, Any]:
        """Where a defined name points: sheet and area, or nothing when it is not a range."""
        held = self.documents[document].NamedRanges
        found = held.getByName(name).ReferredCells if held.hasByName(name) else None
        if found is None:
            return {"known": held.hasByName(name)}
        at = found.RangeAddress
        area = [at.StartColumn, at.StartRow, at.EndColumn, at.EndRow]
        return {"known": True, "sheet": found.Spreadsheet.Name, "area": area}

    def add_name(self, document: int, name: str, content: str) -> dict[str, Any]:
        origin = self.uno.createUnoStruct("com.sun.star.table.CellAddress")
        self.documents[document].NamedRanges.addNewByName(name, content, origin, 0)
        return {}

    def remove_name(self, document: int, name: str) -> dict[str, Any]:
        self.documents[document].NamedRanges.removeByName(name)
        return {}

    # --- calculation and macros ---

    def automatic(self, document: int, on: bool | None = None) -> dict[str, Any]:
        held = self.documents[document]
        if on is not None:
            held.enableAutomaticCalculation(bool(on))
        return {"on": held.isAutomaticCalculationEnabled()}

    def calculate(self, document: int, everything: bool = False) -> dict[str, Any]:
        held = self.documents[document]
        held.calculateAll() if everything else held.calculate()
        return {}

    def run(self, document: int, macro: str, arguments: Sequence[Any] = ()) -> dict[str, Any]:
        """Runs a macro of the document, ``Name`` or ``Module.Name``. Its return value proves nothing."""
        held = self.documents[document]
        key = (document, macro)
        if key not in self._macros:
            self._macros[key] = self._macro_uri(held, macro)
        script = held.getScriptProvider().getScript(self._macros[key])
        returned = script.invoke(tuple(arguments), (), ())[0]
        return {"returned": returned if isinstance(returned, (int, float, str, bool)) else None}

    def _macro_uri(self, document: Any, macro: str) -> str:
        wanted, _, name = macro.rpartition(".")
        libraries = document.BasicLibraries
        for library in libraries.ElementNames:
            if not libraries.isLibraryLoaded(library):
                libraries.loadLibrary(library)
            modules = libraries.getByName(library)
            for module in modules.ElementNames:
                if wanted and module.lower() != wanted.lower():
                    continue
                found = re.search(_SUB.format(re.escape(name)), modules.getByName(module), re.I | re.M)
                if found:
                    exact = found.group(1)
                    return f"vnd.sun.star.script:{library}.{module}.{exact}?language=Basic&location=document"
        raise LookupError(f"the workbook has no macro {macro}")


# --- serving --------------------------------------------------------------------------------


def end(office: Office, folder: str, code: int) -> NoReturn:
    """Nothing stays behind; without the interpreter's own exit, which can crash in the UNO library."""
    office.kill()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(code)


def answer(office: Office, header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    arguments = dict(header)
    for internal in ("do", "bytes", "cells"):
        arguments.pop(internal, None)
    if "cells" in header:
        arguments["rows"] = unpack(header["cells"], payload)
    result = getattr(office, header["do"])(**arguments)
    if isinstance(result, tuple):
        return {"ok": {}, "cells": result[0]}, result[1]
    return {"ok": result}, b""


OPERATIONS = frozenset(
    (
        "start", "quit", "open", "close", "save", "sheets", "add_sheet", "remove_sheet", "rename_sheet",
        "get", "put", "formulas", "put_formulas", "clear", "used",
        "names", "name", "add_name", "remove_name", "automatic", "calculate", "run",
    )
)  # fmt: skip


def main() -> None:
    folder, program = sys.argv[1:3]
    source, target = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not reach the wire
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    office = Office(folder, program)
    requests: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()

    def listen() -> None:
        while True:
            message = read_message(source)
            if message is None:  # the owner is gone, whatever the office is doing now
                end(office, folder, 0)
            requests.put(message)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        header, payload = requests.get()
        if header["do"] not in OPERATIONS:
            write_message(target, {"error": "no operation {}".format(header["do"])})
            continue
        try:
            reply = answer(office, header, payload)
        except Exception as error:  # noqa: BLE001 - the border: every failure is an answer
            gone = office.gone()
            what = "the office is gone" if gone else f"{type(error).__name__}: {error}"
            reply = {"error": what, "gone": gone}, b""
        try:
            write_message(target, *reply)
        except OSError:
            end(office, folder, 1)
        if header["do"] == "quit":
            end(office, folder, 0)


if __name__ == "__main__":
    main()
