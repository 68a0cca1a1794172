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
import numbers
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xlwings as xw
from xlwings import base_classes as base

from engine.compute.workbook.cell_areas import Area
from engine.compute.workbook.libreoffice_link import Installation, OfficeLink, find_installation
from engine.compute.workbook.private_folder import PrivateFolder

NAME = "libreoffice"
ROWS, COLUMNS = 1_048_576, 1_024
EPOCH = dt.datetime(1899, 12, 30)  # day 0 of a spreadsheet's serial dates
FILTERS = {".xlsm": "Calc MS Excel 2007 VBA XML", ".xlsx": "Calc MS Excel 2007 XML", ".ods": "calc8"}
_MACRO = re.compile(r"^(?:'?.*'?!)?([\w.]+)$")


def register() -> xw.Engine:
    """The engine ``libreoffice`` of xlwings, added on first use and made the active one where Excel is absent."""
    if NAME not in xw.engines.engines_by_name:
        xw.engines.add(xw.Engine(impl=Engine()))
    engine: xw.Engine = xw.engines[NAME]
    if "excel" not in xw.engines.engines_by_name:
        engine.activate()
    return engine


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


class Books(base.Books):
    def __init__(self, app: App) -> None:
        self.app = app
        self._books: list[Book] = []  # the newest last

    @property
    def api(self) -> OfficeLink:
        return self.app.link

    @property
    def active(self) -> Book:
        if not self._books:
            raise KeyError("no book is open")
        return self._books[-1]

    def __call__(self, name_or_index: str | int) -> Book:
        if isinstance(name_or_index, numbers.Number):
            return self._books[int(name_or_index) - 1]
        for book in self._books:
            if book.name.lower() == str(name_or_index).lower():
                return book
        raise KeyError(name_or_index)

    def __contains__(self, name: str) -> bool:
        return any(book.name.lower() == name.lower() for book in self._books)

    def __len__(self) -> int:
        return len(self._books)

    def __iter__(self) -> Iterator[Book]:
        return iter(list(self._books))

    def add(self) -> Book:
        return self._take(self.app.link.call("open")["document"], f"Book{len(self._books) + 1}")

    def open(self, fullname: str, update_links: Any = None, read_only: Any = None, *_: Any, **__: Any) -> Book:
        """Opens a file hidden, with its macros allowed and without asking anything."""
        answer = self.app.link.call("open", path=str(Path(fullname).resolve()), read_only=bool(read_only))
        return self._take(answer["document"], str(Path(fullname).resolve()))

    def _take(self, document: int, fullname: str) -> Book:
        book = Book(self.app, document, fullname)
        self._books.append(book)
        return book

    def drop(self, book: Book) -> None:
        self._books.remove(book)

    def lift(self, book: Book) -> None:
        self._books.remove(book)
        self._books.append(book)


class Book(base.Book):
    def __init__(self, app: App, document: int, fullname: str) -> None:
        self._app, self.document, self._fullname = app, document, fullname

    @property
    def api(self) -> OfficeLink:
        return self._app.link

    @property
    def app(self) -> App:
        return self._app

    @property
    def name(self) -> str:
        return Path(self._fullname).name

    @property
    def fullname(self) -> str:
        return self._fullname

    @property
    def sheets(self) -> Sheets:
        return Sheets(self)

    @property
    def names(self) -> Names:
        return Names(self)

    @property
    def automatic(self) -> bool:
        return bool(self.call("automatic")["on"])

    @automatic.setter
    def automatic(self, on: bool) -> None:
        self.call("automatic", on=on)

    def call(self, do: str, **arguments: Any) -> dict[str, Any]:
        """A request about this document."""
        return self._app.link.call(do, document=self.document, **arguments)

    def activate(self) -> None:
        self._app.books.lift(self)

    def close(self) -> None:
        self.call("close")
        self._app.books.drop(self)

    def save(self, path: str | None = None, password: Any = None) -> None:
        """Never over a workbook with macros that people open in Excel: the office drops their code names."""
        target = Path(path or self._fullname).resolve()
        self.call("save", path=str(target), filter_name=FILTERS.get(target.suffix.lower()))
        self._fullname = str(target)


class Sheets(base.Sheets):
    def __init__(self, book: Book) -> None:
        self.book = book

    @property
    def api(self) -> OfficeLink:
        return self.book.api

    @property
    def _names(self) -> list[str]:
        return list(self.book.call("sheets")["names"])

    @property
    def active(self) -> Sheet:
        return self(1)

    def __call__(self, name_or_index: str | int) -> Sheet:
        names = self._names
        if isinstance(name_or_index, numbers.Number):
            return Sheet(self.book, names[int(name_or_index) - 1])
        for name in names:
            if name.lower() == str(name_or_index).lower():
                return Sheet(self.book, name)
        raise KeyError(name_or_index)

    def __contains__(self, name: str) -> bool:
        return name.lower() in (n.lower() for n in self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Sheet]:
        return iter([Sheet(self.book, name) for name in self._names])

    def add(self, before: Sheet | None = None, after: Sheet | None = None, name: str | None = None) -> Sheet:
        names = self._names
        position = 0
        if before is not None:
            position = names.index(before.name)
        elif after is not None:
            position = names.index(after.name) + 1
        number = len(names) + 1
        while name is None or name in names:
            name, number = f"Sheet{number}", number + 1
        self.book.call("add_sheet", name=name, position=position)
        return Sheet(self.book, name)


class Sheet(base.Sheet):
    def __init__(self, book: Book, name: str) -> None:
        self._book, self._name = book, name

    @property
    def api(self) -> OfficeLink:
        return self._book.api

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._book.call("rename_sheet", name=self._name, new=value)
        self._name = value

    @property
    def book(self) -> Book:
        return self._book

    @property
    def names(self) -> Names:
        return Names(self._book)

    @property
    def index(self) -> int:
        return Sheets(self._book)._names.index(self._name) + 1

    @property
    def cells(self) -> Range:
        return Range(self, Area(1, 1, ROWS, COLUMNS))

    @property
    def used_range(self) -> Range:
        first_column, first_row, last_column, last_row = self._book.call("used", sheet=self._name)["area"]
        return Range(self, Area(first_row + 1, first_column + 1, last_row + 1, last_column + 1))

    def range(self, arg1: Any, arg2: Any = None) -> Range:
        first = self._corner(arg1)
        if arg2 is None:
            return first
        a, b = first._area, self._corner(arg2)._area
        both = Area(
            min(a.row, b.row),
            min(a.column, b.column),
            max(a.last_row, b.last_row),
            max(a.last_column, b.last_column),
        )
        return Range(first._sheet, both)

    def _corner(self, given: Any) -> Range:
        if isinstance(given, Range):
            return given
        if isinstance(given, tuple):
            row, column = (int(i) for i in given)
            if row < 1 or column < 1:
                raise IndexError("rows and columns count from 1")
            return Range(self, Area(row, column, row, column))
        area = Area.parse(given)
        return Range(self, area) if area is not None else Names(self._book)(given).refers_to_range

    def activate(self) -> None:
        """Nothing to see: the office has no window."""

    select = activate

    def clear_contents(self) -> None:
        self.cells.clear_contents()

    clear = clear_contents

    def delete(self) -> None:
        self._book.call("remove_sheet", name=self._name)


class Range(base.Range):
    def __init__(self, sheet: Sheet, area: Area) -> None:
        self._sheet, self._area = sheet, area
        self.options: dict[str, Any] = {}

    @property
    def api(self) -> OfficeLink:
        return self._sheet.api

    @property
    def sheet(self) -> Sheet:
        return self._sheet

    @property
    def coords(self) -> tuple[str, int, int, int, int]:
        return (self._sheet.name, self.row, self.column, *self.shape)

    @property
    def row(self) -> int:
        return self._area.row

    @property
    def column(self) -> int:
        return self._area.column

    @property
    def shape(self) -> tuple[int, int]:
        return self._area.shape

    def __len__(self) -> int:
        rows, columns = self.shape
        return rows * columns

    @property
    def max_cells_per_read(self) -> None:
        return None

    @property
    def max_cells_per_write(self) -> None:
        return None

    @property
    def address(self) -> str:
        return self._area.text()

    def get_address(self, row_absolute: bool, col_absolute: bool, external: bool) -> str:
        plain = self._area.text(absolute=row_absolute and col_absolute)
        return f"'[{self._sheet.book.name}]{self._sheet.name}'!{plain}" if external else plain

    def __call__(self, arg1: int, arg2: int | None = None) -> Range:
        columns = self.shape[1]
        row, column = divmod(arg1 - 1, columns) if arg2 is None else (arg1 - 1, arg2 - 1)
        at_row, at_column = self.row + row, self.column + column
        return Range(self._sheet, Area(at_row, at_column, at_row, at_column))

    @property
    def rows(self) -> list[Range]:
        area = self._area
        return [
            Range(self._sheet, Area(row, area.column, row, area.last_column))
            for row in range(area.row, area.last_row + 1)
        ]

    @property
    def columns(self) -> list[Range]:
        area = self._area
        return [
            Range(self._sheet, Area(area.row, column, area.last_row, column))
            for column in range(area.column, area.last_column + 1)
        ]

    def _call(self, do: str, rows: Any = None, **arguments: Any) -> dict[str, Any]:
        book = self._sheet.book
        where = {"sheet": self._sheet.name, "area": self._area.from_zero}
        return book.app.link.call(do, rows, document=book.document, **where, **arguments)

    @property
    def raw_value(self) -> Any:
        """One cell's value, or rows of values: numbers, texts, None for a blank, ``#ERR`` for an error value."""
        book = self._sheet.book
        found = book.app.link.cells(
            "get", document=book.document, sheet=self._sheet.name, area=self._area.from_zero
        )
        return found[0][0] if len(self) == 1 else found

    @raw_value.setter
    def raw_value(self, value: Any) -> None:
        """One value for every cell, or rows of values of the range's shape."""
        rows, columns = self.shape
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            value = [[value] * columns] * rows
        if len(value) != rows or any(len(row) != columns for row in value):
            raise ValueError(f"{self.address} has {rows} x {columns} cells; the values do not fit")
        self._call("put", value)

    @property
    def formula(self) -> Any:
        found = self._call("formulas")["formulas"]
        return found[0][0] if len(self) == 1 else tuple(tuple(row) for row in found)

    @formula.setter
    def formula(self, value: Any) -> None:
        rows, columns = self.shape
        many = [[value] * columns] * rows if isinstance(value, str) else [list(row) for row in value]
        self._call("put_formulas", formulas=many)

    @property
    def has_array(self) -> bool:
        return False

    def clear_contents(self) -> None:
        self._call("clear")

    clear = clear_contents

    def end(self, direction: str) -> Range:
        """The last filled cell ``down``, ``up``, ``left`` or ``right`` from here, as the arrow keys find it."""
        step_row, step_column = {"down": (1, 0), "up": (-1, 0), "right": (0, 1), "left": (0, -1)}[direction]
        used = self._sheet.used_range._area
        row, column = self.row, self.column

        def filled(at_row: int, at_column: int) -> bool:
            return Range(self._sheet, Area(at_row, at_column, at_row, at_column)).raw_value is not None

        def inside(at_row: int, at_column: int) -> bool:
            return 1 <= at_row <= used.last_row and 1 <= at_column <= used.last_column

        along = filled(row, column) and inside(row + step_row, column + step_column)
        along = along and filled(row + step_row, column + step_column)
        while inside(row + step_row, column + step_column):
            following = filled(row + step_row, column + step_column)
            if along and not following:
                break
            row, column = row + step_row, column + step_column
            if following and not along:
                break
        return Range(self._sheet, Area(row, column, row, column))


class Names(base.Names):
    """The book's defined names."""

    def __init__(self, book: Book) -> None:
        self.book = book

    @property
    def api(self) -> OfficeLink:
        return self.book.api

    def snapshot(self) -> list[tuple[str, Name]]:
        return [(name, Name(self.book, name)) for name, _ in self.book.call("names")["names"]]

    def __call__(self, name_or_index: str | int) -> Name:
        if isinstance(name_or_index, numbers.Number):
            return self.snapshot()[int(name_or_index) - 1][1]
        if not self.contains(name_or_index):
            raise KeyError(name_or_index)
        return Name(self.book, str(name_or_index))

    def contains(self, name_or_index: str | int) -> bool:
        return bool(self.book.call("name", name=str(name_or_index))["known"])

    def __len__(self) -> int:
        return len(self.book.call("names")["names"])

    def add(self, name: str, refers_to: str) -> Name:
        content = refers_to.removeprefix("=").replace("!", ".")
        if re.match(r"^\w+\.", content):
            content = "$" + content
        self.book.call("add_name", name=name, content=content)
        return Name(self.book, name)


class Name(base.Name):
    def __init__(self, book: Book, name: str) -> None:
        self.book, self._name = book, name

    @property
    def api(self) -> OfficeLink:
        return self.book.api

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        content = dict(self.book.call("names")["names"])[self._name]
        self.delete()
        self.book.call("add_name", name=value, content=content)
        self._name = value

    @property
    def refers_to(self) -> str:
        contents: dict[str, str] = dict(self.book.call("names")["names"])
        return "=" + contents[self._name].replace("$'", "'").replace(".", "!", 1)

    @refers_to.setter
    def refers_to(self, value: str) -> None:
        self.delete()
        self.book.names.add(self._name, value)

    @property
    def refers_to_range(self) -> Range:
        found = self.book.call("name", name=self._name)
        if "area" not in found:
            raise KeyError(f"the name {self._name} does not refer to cells")
        first_column, first_row, last_column, last_row = found["area"]
        area = Area(first_row + 1, first_column + 1, last_row + 1, last_column + 1)
        return Range(Sheet(self.book, found["sheet"]), area)

    def delete(self) -> None:
        self.book.call("remove_name", name=self._name)


def excel_is_here() -> bool:
    """Whether xlwings can drive Excel on this machine: Windows or macOS with its bridge."""
    return sys.platform in ("win32", "darwin") and "excel" in xw.engines.engines_by_name
