"""How cells look, the same on every sheet: what a cell is can be told from its colour."""

from __future__ import annotations

from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format

INPUT, FORMULA, OUTPUT, HEADING, NOTE = "#FFF2CC", "#FFFFFF", "#D9EAD3", "#1F3864", "#595959"
LEGEND = (
    ("input", "yellow: you, or the driver, write here"),
    ("formula", "white: formulas, do not overwrite"),
    ("output", "green: answers"),
)
NUMBER = "0.0000"
WHOLE = "0"
SPARSE = '0.0000;-0.0000;"-"'  # a zero in a long column is only a dash


class Looks:
    """The cell formats of one workbook, made on first use."""

    def __init__(self, workbook: Workbook) -> None:
        self._workbook = workbook
        self._formats: dict[tuple[tuple[str, Any], ...], Format] = {}

    def make(self, **properties: Any) -> Format:
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            self._formats[key] = self._workbook.add_format({"font_name": "Calibri", "font_size": 10, **properties})
        return self._formats[key]

    @property
    def title(self) -> Format:
        return self.make(bold=True, font_size=14, font_color=HEADING)

    @property
    def heading(self) -> Format:
        return self.make(
            bold=True,
            font_color="#FFFFFF",
            bg_color=HEADING,
            align="center",
            valign="vcenter",
            text_wrap=True,
            border=1,
        )

    @property
    def section(self) -> Format:
        return self.make(bold=True, font_color=HEADING, bottom=1)

    @property
    def label(self) -> Format:
        return self.make()

    @property
    def note(self) -> Format:
        return self.make(italic=True, font_color=NOTE)

    @property
    def text(self) -> Format:
        return self.make(text_wrap=True, valign="top")

    @property
    def axis(self) -> Format:
        """Numbers that only count rows."""
        return self.make(font_color=NOTE, align="center", bg_color="#F2F2F2")

    def input(self, number: str = "General") -> Format:
        return self.make(bg_color=INPUT, num_format=number, border=1, border_color="#BFBFBF", locked=False)

    def formula(self, number: str = NUMBER, *, ruled: bool = False) -> Format:
        """``ruled``: with a line above, where something new begins."""
        return self.make(bg_color=FORMULA, num_format=number, **({"top": 1} if ruled else {}))

    def output(self, number: str = "General") -> Format:
        return self.make(bg_color=OUTPUT, num_format=number, bold=True, align="center", border=1)
