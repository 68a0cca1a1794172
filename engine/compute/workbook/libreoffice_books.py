"""Books, sheets and defined names of the engine ``libreoffice``: each a request to its office's server."""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlwings import base_classes as base

from engine.compute.workbook.cell_areas import Area
from engine.compute.workbook.libreoffice_cells import COLUMNS, ROWS, Range
from engine.compute.workbook.libreoffice_link import OfficeLink

if TYPE_CHECKING:
    from engine.compute.workbook.libreoffice_engine import App

FILTERS = {".xlsm": "Calc MS Excel 2007 VBA XML", ".xlsx": "Calc MS Excel 2007 XML", ".ods": "calc8"}


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
