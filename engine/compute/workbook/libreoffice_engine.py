"""LibreOffice as an engine of xlwings: the same public API that drives Excel.

Written from xlwings' own base classes and its public objects alone. It offers what a
program that computes in a workbook needs (open, save, sheets, ranges, names, formulas,
macros, calculation); charts, pictures and formats stay unsupported and say so through
the base classes.

The one thing to know: a UNO call never happens in this process. Every method is a request
to a server process of its own (``libreoffice_link``), so an office that crashes or hangs
costs an exception, never the program.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xlwings as xw
from xlwings import base_classes as base

from engine.compute.workbook.libreoffice_books import Books
from engine.compute.workbook.libreoffice_link import Installation, OfficeLink, find_installation
from engine.compute.workbook.private_folder import PrivateFolder

NAME = "libreoffice"
EPOCH = dt.datetime(1899, 12, 30)  # day 0 of a spreadsheet's serial dates
_MACRO = re.compile(r"^(?:'?.*'?!)?([\w.]+)$")


def register() -> xw.Engine:
    """The engine ``libreoffice`` of xlwings, added on first use and made the active one where Excel is absent."""
    if NAME not in xw.engines.engines_by_name:
        xw.engines.add(xw.Engine(impl=Engine()))
    engine: xw.Engine = xw.engines[NAME]
    if "excel" not in xw.engines.engines_by_name:
        engine.activate()
    return engine


def excel_is_here() -> bool:
    """Whether xlwings can drive Excel on this machine: Windows or macOS with its bridge."""
    return sys.platform in ("win32", "darwin") and "excel" in xw.engines.engines_by_name


@dataclass(frozen=True)
class Place:
    """Which office, and the folder that it lives in."""

    installation: Installation
    folder: PrivateFolder


class Engine:
    """What xlwings asks of an engine: apps, and how values travel."""

    name = NAME
    type = "desktop"

    def __init__(self) -> None:
        self.apps = Apps(self)

    @staticmethod
    def prepare_xl_data_element(x: Any, options: Any = None) -> Any:
        """A Python value as a cell takes it: dates become serial days, a missing value a blank."""
        if x is None or (isinstance(x, float) and x != x):
            return None
        if isinstance(x, dt.datetime):
            return (x.replace(tzinfo=None) - EPOCH) / dt.timedelta(days=1)
        if isinstance(x, dt.date):
            return float((dt.datetime(x.year, x.month, x.day) - EPOCH).days)
        if isinstance(x, bool | np.bool_ | np.number):
            return float(x)
        return x

    @staticmethod
    def clean_value_data(
        data: Any, datetime_builder: Any, empty_as: Any, number_builder: Any, err_to_str: Any = False
    ) -> list[list[Any]]:
        """Cells as Python values: blanks as ``empty_as``, error values as None unless they are wanted as text."""

        def clean(value: Any) -> Any:
            if value is None or value == "":
                return empty_as
            if value == "#ERR":
                return value if err_to_str else None
            if number_builder is not None and isinstance(value, float):
                return number_builder(value)
            return value

        return [[clean(value) for value in row] for row in data]


class Apps(base.Apps):
    """The offices started by this process, by the pid of their ``soffice.bin``."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._apps: dict[int, App] = {}

    def keys(self) -> list[int]:
        return list(self._apps)

    def add(
        self, spec: Any = None, add_book: bool | None = None, xl: Any = None, visible: bool | None = None
    ) -> App:
        """``spec``: a ``Place``, or None for a folder of its own. The office is never visible."""
        place = spec if isinstance(spec, Place) else Place(find_installation(), PrivateFolder())
        link = OfficeLink.start(place.installation, place.folder)
        app = App(self, link)
        self._apps = {app.pid: app, **self._apps}  # the newest is the active one
        if add_book:
            app.books.add()
        return app

    def drop(self, pid: int) -> None:
        self._apps.pop(pid, None)

    @staticmethod
    def cleanup() -> None:
        """Nothing to do: an office ends with its server, a server with its owner."""

    def __iter__(self) -> Iterator[App]:
        return iter(list(self._apps.values()))

    def __len__(self) -> int:
        return len(self._apps)

    def __getitem__(self, pid: int) -> App:
        return self._apps[pid]


class App(base.App):
    """One office."""

    # The base class declares these as properties without setters; plain attributes shadow them.
    screen_updating: Any = True
    display_alerts: Any = True
    enable_events: Any = True
    interactive: Any = True
    status_bar: Any = False
    cut_copy_mode: Any = False
    visible: Any = False

    def __init__(self, apps: Apps, link: OfficeLink) -> None:
        self.apps, self.link = apps, link
        self._pid = link.office_pid
        self._books = Books(self)

    @property
    def engine(self) -> Engine:
        return self.apps.engine

    @property
    def api(self) -> OfficeLink:
        return self.link

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def version(self) -> str:
        return self.link.version

    @property
    def hwnd(self) -> None:
        return None

    @property
    def path(self) -> str:
        return str(self.link.installation.program.parent)

    @property
    def books(self) -> Books:
        return self._books

    @property
    def selection(self) -> None:
        return None

    def activate(self, steal_focus: bool = False) -> None:
        self.apps.drop(self.pid)
        self.apps._apps = {self.pid: self, **self.apps._apps}

    def quit(self) -> None:
        self.apps.drop(self.pid)
        self.link.close()

    def kill(self) -> None:
        self.apps.drop(self.pid)
        self.link.kill()

    @property
    def calculation(self) -> str:
        return "automatic" if all(book.automatic for book in self._books) else "manual"

    @calculation.setter
    def calculation(self, value: str) -> None:
        for book in self._books:
            book.automatic = value == "automatic"

    def calculate(self) -> None:
        for book in self._books:
            self.link.call("calculate", document=book.document, everything=True)

    def run(self, macro: str, args: Sequence[Any] = ()) -> Any:
        """Runs ``'book.xlsm'!Name``, ``Module.Name`` or ``Name``; of the active book when none is named."""
        found = _MACRO.match(macro)
        if found is None:
            raise ValueError(f"'{macro}' is not the name of a macro")
        book_name = macro.rpartition("!")[0].strip("'")
        book = self._books(book_name) if book_name else self._books.active
        answer = self.link.call("run", document=book.document, macro=found[1], arguments=list(args))
        return answer["returned"]
