"""Cells of the engine ``libreoffice``: values and formulas of an area, read and written in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from xlwings import base_classes as base

from engine.compute.workbook.cell_areas import Area
from engine.compute.workbook.libreoffice_link import OfficeLink

if TYPE_CHECKING:
    from engine.compute.workbook.libreoffice_books import Sheet

ROWS, COLUMNS = 1_048_576, 1_024


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
