"""Cell addresses as spreadsheets write them, and the rectangle of cells they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.compute.workbook.layout import column_letters

_A1 = re.compile(r"^\$?([A-Za-z]{1,3})\$?([1-9][0-9]*)(?::\$?([A-Za-z]{1,3})\$?([1-9][0-9]*))?$")


def column_number(letters: str) -> int:
    """The inverse of ``column_letters``."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of cells, rows and columns counted from 1, ends included."""

    row: int
    column: int
    last_row: int
    last_column: int

    @classmethod
    def parse(cls, text: str) -> Area | None:
        """``B3``, ``$A$1:C10``; None when the text is no address (a defined name, perhaps)."""
        found = _A1.match(text)
        if found is None:
            return None
        column, row = column_number(found[1]), int(found[2])
        last_column, last_row = (column_number(found[3]), int(found[4])) if found[3] else (column, row)
        return cls(min(row, last_row), min(column, last_column), max(row, last_row), max(column, last_column))

    @property
    def shape(self) -> tuple[int, int]:
        return self.last_row - self.row + 1, self.last_column - self.column + 1

    @property
    def from_zero(self) -> list[int]:
        """[first column, first row, last column, last row] counted from 0, as UNO wants it."""
        return [self.column - 1, self.row - 1, self.last_column - 1, self.last_row - 1]

    def text(self, *, absolute: bool = True) -> str:
        mark = "$" if absolute else ""
        first = f"{mark}{column_letters(self.column)}{mark}{self.row}"
        if self.shape == (1, 1):
            return first
        return f"{first}:{mark}{column_letters(self.last_column)}{mark}{self.last_row}"
