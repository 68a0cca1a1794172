"""What a block is, and how any block becomes a sheet.

A block file (``workbook/blocks``) states an algorithm once, as formulas with names in
braces; this module writes it for eight variations. Left: parameters, the answer, the tests
that lead to it. Right: one row a bar, newest first, the columns that the tests look at.

Names that a formula may use:

- ``{n}`` a parameter or a derived line of the same variation;
- ``{close}`` the same bar's cell of a Work column or of a column of this block;
- ``{close.older}``, ``{close.older3}`` one bar, three bars earlier (an empty cell, that is
  zero, before the oldest bar; also where a shorter column ends);
- ``{close.now}`` the signal bar's cell, ``{close.all}`` the whole column, for INDEX;
- ``{bar}`` 0 for the oldest bar to 63 for the signal bar, ``{age}`` bars before the signal bar.

Expressions keep the order of operations of the native kernels, so that not a bit differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from xlsxwriter.worksheet import Worksheet

from engine.compute.workbook import layout
from engine.spaces import ParameterSpace
from workbook.looks import NOTE, NUMBER, SPARSE, WHOLE, Looks

FIRST, BARS = layout.BAR_FIRST_ROW, layout.WINDOW_ROWS
SLOT_COLUMN = layout.SLOT_COLUMN
DERIVED_ROW = layout.TEST_ROW + layout.MOST_TESTS * layout.TEST_ROWS + 2
AGE_COLUMN = SLOT_COLUMN + layout.SLOTS + 1
BAR_COLUMN = AGE_COLUMN + 1
SERIES_COLUMN = BAR_COLUMN + 1
HEADING_ROW = layout.PARAMETER_ROW - 1

# Exact comparisons. The operators < > = take numbers as equal that differ after the 15th
# digit; GESTEP(a,b), 1 when a >= b, looks at every bit, as the native kernels do.
COMPARISONS = {
    ">=": "GESTEP({left},{right})",
    "<": "1-GESTEP({left},{right})",
    ">": "1-GESTEP({right},{left})",
    "<=": "GESTEP({right},{left})",
}


@dataclass(frozen=True)
class Line:
    """A number of a variation, below its tests: ``formula`` may name parameters, lines above and columns."""

    name: str
    label: str
    formula: str
    unit: str = ""

    @property
    def number_format(self) -> str:
        return WHOLE if self.unit.startswith("bar") else NUMBER


@dataclass(frozen=True)
class Column:
    """A number of every bar. ``bars``: of how many bars, from the signal bar back."""

    name: str
    heading: str
    formula: str
    bars: int = BARS


@dataclass(frozen=True)
class Test:
    """``left sign right`` must hold; with ``unless`` (a condition) it holds without being asked."""

    label: str
    left: str
    sign: str
    right: str
    unless: str = ""


@dataclass(frozen=True)
class Block:
    """One algorithm as a sheet. ``shared`` columns serve all variations, ``columns`` are one's own."""

    algorithm: str
    title: str
    rule: str
    units: Mapping[str, str]
    tests: tuple[Test, ...]
    lines: tuple[Line, ...] = ()
    shared: tuple[Column, ...] = ()
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Place:
    """A cell, and where a column of bars is: what a name in braces stands for."""

    sheet: str  # "" for the same sheet
    column: int
    row: int
    last_row: int

    def _at(self, row: int) -> str:
        return f"{self.sheet}${layout.column_letters(self.column)}{row}"

    def __str__(self) -> str:
        return self._at(self.row)

    def __getattr__(self, name: str) -> str:
        letters = layout.column_letters(self.column)
        if match := re.fullmatch(r"older(\d*)", name):
            return self._at(self.row + int(match[1] or 1))
        if name == "now":
            return f"{self.sheet}${letters}${FIRST}"
        if name == "all":
            return f"{self.sheet}${letters}${FIRST}:${letters}${self.last_row}"
        raise AttributeError(name)


def write_block(sheet: Worksheet, block: Block, space: ParameterSpace, looks: Looks) -> None:
    """Fills an empty sheet with ``block``; every cell of it is text, an input or a formula."""
    _BlockWriter(sheet, block, space, looks).write()


class _BlockWriter:
    def __init__(self, sheet: Worksheet, block: Block, space: ParameterSpace, looks: Looks) -> None:
        self._sheet, self._block, self._space, self._looks = sheet, block, space, looks

    # --- names ------------------------------------------------------------------------

    def _own_column(self, slot: int, position: int) -> int:
        shared, own = len(self._block.shared), len(self._block.columns)
        return SERIES_COLUMN + shared + slot * own + position

    def _names(self, slot: int, row: int) -> dict[str, object]:
        """What every name means for one variation and one row of bars."""
        block = self._block
        names: dict[str, object] = {
            "age": f"${layout.column_letters(AGE_COLUMN)}{row}",
            "bar": f"${layout.column_letters(BAR_COLUMN)}{row}",
        }
        window = layout.WORK_WINDOW
        for position, name in enumerate(layout.FIELDS):
            names[name] = _Place(f"'{layout.WORK}'!", window.column + position, row, window.last_row)
        names["typical"] = _Place(f"'{layout.WORK}'!", layout.WORK_TYPICAL.column, row, window.last_row)
        for position, column in enumerate(block.shared):
            names[column.name] = _Place("", SERIES_COLUMN + position, row, FIRST + column.bars - 1)
        for position, column in enumerate(block.columns):
            names[column.name] = _Place("", self._own_column(slot, position), row, FIRST + column.bars - 1)
        letters = layout.column_letters(SLOT_COLUMN + slot)
        for position, name in enumerate(self._space.names):
            names[name] = f"{letters}${layout.PARAMETER_ROW + position}"
        for position, line in enumerate(block.lines):
            names[line.name] = f"{letters}${DERIVED_ROW + position}"
        return names

    def _formula(self, formula: str, slot: int = 0, row: int = FIRST) -> str:
        return "=" + formula.format_map(self._names(slot, row))

    # --- the sheet --------------------------------------------------------------------

    def write(self) -> None:
        self._headings()
        self._parameters()
        for slot in range(layout.SLOTS):
            self._answer(slot)
        self._bars()
        self._page()

    def _put(self, row: int, column: int, content: object, look: object) -> None:
        """Writes one cell; row and column count from 1."""
        self._sheet.write(row - 1, column - 1, content, look)

    def _headings(self) -> None:
        block, looks = self._block, self._looks
        self._put(1, 1, f"{block.algorithm}: {block.title}", looks.title)
        self._put(2, 1, block.rule, looks.label)
        self._put(HEADING_ROW, 1, "Variation", looks.heading)
        self._put(HEADING_ROW, 2, "unit, range", looks.heading)
        for slot in range(layout.SLOTS):
            self._put(HEADING_ROW, SLOT_COLUMN + slot, slot + 1, looks.heading)
        self._put(layout.VALID_ROW, 1, "parameters allowed", looks.label)
        self._put(layout.VALID_ROW, 2, "TRUE or FALSE", looks.note)
        self._put(layout.BUY_ROW, 1, "BUY", looks.make(bold=True))
        self._put(layout.BUY_ROW, 2, f"1, 0 or {layout.ERROR_MARK}", looks.note)
        for number, test in enumerate(block.tests):
            row = layout.TEST_ROW + number * layout.TEST_ROWS
            left, right = (side.strip() for side in test.label.split(f" {test.sign} "))
            self._put(row, 1, left, looks.make(top=1))
            self._put(row, 2, f"test {number + 1}: left side", looks.make(top=1, italic=True, font_color=NOTE))
            self._put(row + 1, 1, right, looks.label)
            self._put(row + 1, 2, "right side", looks.note)
            self._put(row + 2, 1, "left - right", looks.note)
            self._put(row + 3, 1, f"met: left {test.sign} right", looks.make(bold=True))
            self._put(row + 3, 2, f"1, 0; 1 when {test.unless}" if test.unless else "1 or 0", looks.note)
        if block.lines:
            self._put(DERIVED_ROW - 1, 1, "Worked out from the above and from the bars", looks.section)
        for position, line in enumerate(block.lines):
            self._put(DERIVED_ROW + position, 1, line.label, looks.label)
            self._put(DERIVED_ROW + position, 2, line.unit, looks.note)
        for position, note in enumerate(block.notes):
            self._put(DERIVED_ROW + len(block.lines) + 1 + position, 1, note, looks.note)

    def _parameters(self) -> None:
        looks = self._looks
        for position, parameter in enumerate(self._space.parameters):
            row = layout.PARAMETER_ROW + position
            low, high = parameter.value(parameter.low), parameter.value(parameter.high)
            self._put(row, 1, parameter.name, looks.make(bold=True))
            step = "" if parameter.step == 1 else f" by {parameter.step}"
            self._put(row, 2, f"{self._block.units[parameter.name]}, {low:g} to {high:g}{step}", looks.note)
            self._sheet.data_validation(
                row - 1, SLOT_COLUMN - 1, row - 1, SLOT_COLUMN + layout.SLOTS - 2,
                {
                    "validate": "integer" if parameter.step == int(parameter.step) else "decimal",
                    "criteria": "between", "minimum": low, "maximum": high,
                    "error_title": f"{self._block.algorithm}: {parameter.name}",
                    "error_message": f"{parameter.name} goes from {low:g} to {high:g}{step}.",
                },
            )  # fmt: skip
            for slot in range(layout.SLOTS):
                steps = parameter.low + (parameter.high - parameter.low) * (slot + 1) // (layout.SLOTS + 1)
                self._put(row, SLOT_COLUMN + slot, parameter.value(steps), looks.input())

    def _valid(self, slot: int) -> str:
        """The condition that a variation's parameters are a point of the space."""
        letters = layout.column_letters(SLOT_COLUMN + slot)
        count = len(self._space.parameters)
        column = f"{letters}${layout.PARAMETER_ROW}:{letters}${layout.PARAMETER_ROW + count - 1}"
        conditions = [f"COUNT({column})={count}"]
        for position, parameter in enumerate(self._space.parameters):
            cell = f"{letters}${layout.PARAMETER_ROW + position}"
            low, high = parameter.value(parameter.low), parameter.value(parameter.high)
            conditions += [f"{cell}>={low:g}", f"{cell}<={high:g}"]
            steps = cell if parameter.step == 1 else f"{cell}/{parameter.step}"
            conditions.append(f"ABS({steps}-ROUND({steps},0))<0.000001")
        if self._space.rising is not None:
            small, large = (f"{letters}${layout.PARAMETER_ROW + position}" for position in self._space.rising)
            conditions.append(f"{small}<{large}")
        return f"AND({','.join(conditions)})"

    def _answer(self, slot: int) -> None:
        block, looks, column = self._block, self._looks, SLOT_COLUMN + slot
        letters = layout.column_letters(column)
        met = []
        for number, test in enumerate(block.tests):
            row = layout.TEST_ROW + number * layout.TEST_ROWS
            left, right = f"{letters}{row}", f"{letters}{row + 1}"
            compared = COMPARISONS[test.sign].format(left=left, right=right)
            if test.unless:
                compared = f"IF({test.unless.format_map(self._names(slot, FIRST))},1,{compared})"
            self._put(row, column, self._formula(test.left, slot), looks.formula(ruled=True))
            self._put(row + 1, column, self._formula(test.right, slot), looks.formula())
            self._put(row + 2, column, f"={left}-{right}", looks.formula("0.00E+00"))
            self._put(row + 3, column, f"={compared}", looks.formula("0"))
            met.append(f"{letters}{row + 3}")
        self._put(layout.VALID_ROW, column, "=" + self._valid(slot), looks.formula("General"))
        valid = f"{letters}{layout.VALID_ROW}"
        mark = layout.ERROR_MARK
        self._put(
            layout.BUY_ROW, column, f'=IFERROR(IF({valid},{"*".join(met)},"{mark}"),"{mark}")', looks.output("0")
        )
        for position, line in enumerate(block.lines):
            look = looks.formula(line.number_format)
            self._put(DERIVED_ROW + position, column, self._formula(line.formula, slot), look)

    def _bars(self) -> None:
        looks, block = self._looks, self._block
        self._put(FIRST - 1, AGE_COLUMN, "bars before t", looks.heading)
        self._put(FIRST - 1, BAR_COLUMN, "bar, 0 oldest", looks.heading)
        for age in range(BARS):
            self._put(FIRST + age, AGE_COLUMN, age, looks.axis)
            self._put(FIRST + age, BAR_COLUMN, BARS - 1 - age, looks.axis)
        if block.shared:
            self._group("all variations", SERIES_COLUMN, block.shared)
            for position, column in enumerate(block.shared):
                self._column(column, SERIES_COLUMN + position, slot=0)
        for slot in range(layout.SLOTS if block.columns else 0):
            self._group(f"variation {slot + 1}", self._own_column(slot, 0), block.columns)
            for position, column in enumerate(block.columns):
                self._column(column, self._own_column(slot, position), slot)

    def _group(self, text: str, first: int, columns: tuple[Column, ...]) -> None:
        """A heading over neighbouring columns."""
        if len(columns) == 1:
            self._put(FIRST - 2, first, text, self._looks.heading)
        else:
            last = first + len(columns) - 1
            self._sheet.merge_range(FIRST - 3, first - 1, FIRST - 3, last - 1, text, self._looks.heading)

    def _column(self, column: Column, at: int, slot: int) -> None:
        self._put(FIRST - 1, at, column.heading, self._looks.heading)
        look = self._looks.formula(SPARSE)
        for row in range(FIRST, FIRST + column.bars):
            self._put(row, at, self._formula(column.formula, slot, row), look)

    def _page(self) -> None:
        sheet = self._sheet
        sheet.set_row(FIRST - 2, 30)
        sheet.set_column(0, 0, 30)
        sheet.set_column(1, 1, 22)
        sheet.set_column(SLOT_COLUMN - 1, SLOT_COLUMN + layout.SLOTS - 2, 9)
        sheet.set_column(AGE_COLUMN - 2, AGE_COLUMN - 2, 2)
        sheet.set_column(AGE_COLUMN - 1, BAR_COLUMN - 1, 7)
        sheet.set_column(SERIES_COLUMN - 1, self._own_column(layout.SLOTS, 0), 11)
        sheet.freeze_panes(FIRST - 1, SLOT_COLUMN - 1)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(0, 1)
        sheet.repeat_columns(0, 1)
