"""The sheets around the blocks: Control, Data, Work, TSH, Out, Results.

Addresses come from the layout; what stands here is text, formulas and looks.
"""

from __future__ import annotations

from collections.abc import Sequence

from xlsxwriter.worksheet import Worksheet

from engine.brackets import DEFAULT_BRACKETS
from engine.compute.workbook import layout
from workbook.looks import LEGEND, Looks

Bar = tuple[float, float, float, float, float]  # open, high, low, close, volume
PRICE, SHARES = "0.00##", "#,##0"
FIELD_NUMBERS = (PRICE, PRICE, PRICE, PRICE, SHARES)
BUTTONS = (  # caption, macro
    ("Step", layout.STEP_BATCH),
    ("Run batch", layout.RUN_BATCH),
    ("Stop", layout.REQUEST_STOP),
    ("Training", layout.SHIFT_TRAINING),
    ("Execution", layout.SHIFT_EXECUTION),
    ("Clear data", layout.CLEAR_DATA),
    ("Clear results", layout.CLEAR_RESULTS),
    ("Reset", layout.RESET_ENGINE),
)
WRITTEN_BY_MACROS = (
    layout.STATE, layout.LAST_FINISHED, layout.LAST_ERROR,
    layout.PING_ENGINE, layout.PING_CONTROL, layout.PROTOCOL,
)  # fmt: skip


def put(sheet: Worksheet, row: int, column: int, content: object, look: object) -> None:
    """Writes one cell; row and column count from 1."""
    sheet.write(row - 1, column - 1, content, look)


def put_area(sheet: Worksheet, area: layout.Area, content: object, look: object) -> None:
    put(sheet, area.row, area.column, content, look)


def write_control(sheet: Worksheet, looks: Looks) -> None:
    """Helper cells, buttons, legend."""
    put(sheet, 1, 1, "Control: helper cells of the cycling macro", looks.title)
    put(sheet, 2, 1, "Each value has the name in column A. Calculation is manual: macros calculate.", looks.note)
    first = layout.HELPER_CELLS[0].row
    for column, heading in enumerate(("name", "value", "meaning"), start=1):
        put(sheet, first - 1, column, heading, looks.heading)
    for cell in layout.HELPER_CELLS:
        look = looks.output() if cell in WRITTEN_BY_MACROS else looks.input()
        put(sheet, cell.row, 1, cell.name, looks.make(bold=True))
        put_area(sheet, cell.area, cell.start, look)
        put(sheet, cell.row, 3, cell.meaning, looks.make(indent=1))
    _allow(sheet, layout.CHUNK_SIZE, "integer", 1, layout.BATCH_TICKERS)
    _allow(sheet, layout.TICKER_COUNT, "integer", 0, layout.BATCH_TICKERS)
    _allow(sheet, layout.NEXT_TICKER, "integer", 1, layout.BATCH_TICKERS + 1)
    _allow(sheet, layout.OUTPUT_ROW, "integer", 1, layout.RESULT_ROWS + 1)
    _allow(sheet, layout.STOP_REQUEST, "integer", 0, 1)
    _allow(sheet, layout.SHIFT_ROWS, "integer", 0, 1)
    area = layout.EXIT_MODEL.area
    sheet.data_validation(area.address, {"validate": "list", "source": list(layout.EXIT_MODELS)})
    below = layout.HELPER_CELLS[-1].row + 2
    for position, (kind, meaning) in enumerate(LEGEND):
        look = {"input": looks.input(), "formula": looks.make(border=1), "output": looks.output()}[kind]
        put(sheet, below + position, 1, kind, look)
        put(sheet, below + position, 2, meaning, looks.note)
    for position, (caption, macro) in enumerate(BUTTONS):
        sheet.insert_button(
            below + 3 + 2 * (position // 2), position % 2,
            {"macro": macro, "caption": caption, "width": 110, "height": 26, "x_offset": 4, "y_offset": 4},
        )  # fmt: skip
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 22)
    sheet.set_column(2, 2, 62)
    sheet.freeze_panes(first - 1, 1)


def _allow(sheet: Worksheet, cell: layout.HelperCell, kind: str, low: int, high: int) -> None:
    sheet.data_validation(
        cell.area.address,
        {"validate": kind, "criteria": "between", "minimum": low, "maximum": high, "error_title": cell.name,
         "error_message": f"{cell.name} goes from {low} to {high}."},
    )  # fmt: skip


def write_data(sheet: Worksheet, looks: Looks, sample: Sequence[Bar]) -> None:
    """The empty batch with its row numbers, and one invented ticker to look at."""
    put(sheet, 1, 1, "Data: one batch, at most 250 tickers of 65 rows, newest row first", looks.title)
    put(
        sheet, 2, 1,
        "Training: row 1 is the confirmation day, row 2 the signal bar. Execution: row 1 is the signal bar, "
        "row 65 is not looked at. No empty or non-positive prices.",
        looks.note,
    )  # fmt: skip
    heading = layout.DATA_FIRST_ROW - 1
    units = ("$", "$", "$", "$", "shares")
    for column, text in enumerate(
        ("ticker", "row", *(f"{field}, {unit}" for field, unit in zip(layout.FIELDS, units, strict=True))), start=1
    ):
        put(sheet, heading, column, text, looks.heading)
    put(sheet, heading, layout.SYMBOL_COLUMN - 1, "ticker", looks.heading)
    put(sheet, heading, layout.SYMBOL_COLUMN, "symbol", looks.heading)
    axis = looks.axis
    row = layout.DATA_FIRST_ROW
    for ticker in range(1, layout.BATCH_TICKERS + 1):
        put(sheet, layout.DATA_FIRST_ROW + ticker - 1, layout.SYMBOL_COLUMN - 1, ticker, axis)
        for number in range(1, layout.DATA_ROWS + 1):
            put(sheet, row, 1, ticker, axis)
            put(sheet, row, 2, number, axis)
            row += 1
    for number, bar in enumerate(sample):
        for position, value in enumerate(bar):
            look = looks.input(FIELD_NUMBERS[position])
            put(sheet, layout.DATA_FIRST_ROW + number, layout.DATA_FIRST_COLUMN + position, value, look)
    put_area(sheet, layout.symbol_area(1), "SAMPLE", looks.input())
    sheet.set_column(0, 1, 8)
    for position, number_format in enumerate(FIELD_NUMBERS):
        column = layout.DATA_FIRST_COLUMN - 1 + position
        sheet.set_column(column, column, 13, looks.input(number_format))
    sheet.set_column(layout.SYMBOL_COLUMN - 1, layout.SYMBOL_COLUMN - 1, 12, looks.input())
    sheet.freeze_panes(heading, layout.DATA_FIRST_COLUMN - 1)


def write_work(sheet: Worksheet, looks: Looks, sample: Sequence[Bar]) -> None:
    """One ticker: the rows as copied from Data, and the window that the blocks look at."""
    first = layout.BAR_FIRST_ROW
    put(sheet, 1, 1, "Work: the ticker that the blocks look at now", looks.title)
    for area, label, content, look in (
        (layout.WORK_NUMBER, "ticker", 1, looks.input()),
        (layout.WORK_SYMBOL, "symbol", "SAMPLE", looks.input()),
        (layout.WORK_CHECK, "usable", _usable(), looks.output()),
    ):
        put(sheet, area.row, area.column - 1, label, looks.make(align="right"))
        put_area(sheet, area, content, look)
    for line, text in enumerate(
        (
            "Left: 65 rows as the macro copied them from Data, newest first.",
            "Right: the 64 bars of the window. The signal bar t is row 1 + ShiftRows (Control): row 2 in training,"
            " where row 1 confirms, row 1 in execution.",
            "Every block reads the window on the right, in the same rows. TP = (high + low + close)/3.",
        ),
        start=4,
    ):
        put(sheet, line, 1, text, looks.note)
    units = ("$", "$", "$", "$", "shares")
    bars, window, typical = layout.WORK_BARS, layout.WORK_WINDOW, layout.WORK_TYPICAL
    headings = [f"{field}, {unit}" for field, unit in zip(layout.FIELDS, units, strict=True)]
    put(sheet, first - 1, 1, "row", looks.heading)
    put(sheet, first - 1, window.column - 2, "bars before t", looks.heading)
    put(sheet, first - 1, window.column - 1, "bar, 0 oldest", looks.heading)
    for position, heading in enumerate(headings):
        put(sheet, first - 1, bars.column + position, heading, looks.heading)
        put(sheet, first - 1, window.column + position, heading, looks.heading)
    put(sheet, first - 1, typical.column, "TP, $", looks.heading)
    for number in range(layout.DATA_ROWS):
        put(sheet, first + number, 1, number + 1, looks.axis)
        for position, value in enumerate(sample[number]):
            put(sheet, first + number, bars.column + position, value, looks.input(FIELD_NUMBERS[position]))
    for number in range(layout.WINDOW_ROWS):
        row = first + number
        put(sheet, row, window.column - 2, number, looks.axis)
        put(sheet, row, window.column - 1, layout.WINDOW_ROWS - 1 - number, looks.axis)
        for position in range(len(layout.FIELDS)):
            letters = layout.column_letters(bars.column + position)
            same, older = f"{letters}{bars.row + number}", f"{letters}{bars.row + number + 1}"
            formula = f"=IF({layout.SHIFT_ROWS.name}=1,{older},{same})"
            put(sheet, row, window.column + position, formula, looks.formula(FIELD_NUMBERS[position]))
        high, low, close = (f"{layout.column_letters(window.column + field)}{row}" for field in (1, 2, 3))
        put(sheet, row, typical.column, f"=({high}+{low}+{close})/3", looks.formula())
    sheet.set_column(0, 0, 9)
    sheet.set_column(1, typical.column - 1, 11)
    sheet.set_row(first - 2, 30)
    sheet.freeze_panes(first - 1, 1)


def _usable() -> str:
    """1 when every bar that is looked at is a number, prices positive, volumes not negative."""
    bars, window = layout.WORK_BARS, layout.WORK_WINDOW
    letters = [layout.column_letters(bars.column + position) for position in range(len(layout.FIELDS))]
    shifted = f"{layout.SHIFT_ROWS.name}=1"
    prices = layout.Area(window.sheet, window.row, window.column, window.rows, 4).address
    volumes = layout.Area(window.sheet, window.row, window.column + 4, window.rows).address
    everything = f"COUNT({letters[0]}{bars.row}:{letters[-1]}{bars.last_row})={layout.DATA_ROWS * 5}"
    without_last = f"COUNT({letters[0]}{bars.row}:{letters[-1]}{bars.last_row - 1})={layout.WINDOW_ROWS * 5}"
    confirmation = f"MIN({letters[0]}{bars.row}:{letters[3]}{bars.row})>0"
    checks = f"AND(IF({shifted},{everything},{without_last}),MIN({prices})>0,MIN({volumes})>=0,{confirmation})"
    return f'=IFERROR(IF({checks},1,"{layout.ERROR_MARK}"),"{layout.ERROR_MARK}")'


def write_tsh(sheet: Worksheet, looks: Looks) -> None:
    """The bracket table, and the profit of the confirmation day by the daily model."""
    table, pp = layout.BRACKETS, layout.PP
    put(sheet, 1, 1, "TSH: brackets by entry price, and the profit of the confirmation day", looks.title)
    put(
        sheet, 2, 1,
        "Rising floor prices, no gaps; unused rows empty. The daily model uses the target alone.",
        looks.note,
    )  # fmt: skip
    for position, heading in enumerate(
        ("from entry price, $", "target, %", "arm, %", "trail, % of high", "protective stop, %")
    ):
        put(sheet, table.row - 1, table.column + position, heading, looks.heading)
    rows = [(b.floor_price, b.target_pct, b.arm_pct, b.trail_pct, b.protective_pct) for b in DEFAULT_BRACKETS]
    for number in range(table.rows):
        for position in range(table.columns):
            value = rows[number][position] if number < len(rows) else None
            put(sheet, table.row + number, table.column + position, value, looks.input("0.00"))

    label, unit, value = pp.column - 2, pp.column - 1, pp.column
    letters = layout.column_letters(value)
    first = pp.row - 7
    cells = {name: f"{letters}{first + number}" for number, name in enumerate(_PROFIT_LINES)}
    put(sheet, first - 1, label, "PP of the confirmation day", looks.heading)
    put(sheet, first - 1, unit, "unit", looks.heading)
    put(sheet, first - 1, value, "value", looks.heading)
    open_, high, _, close = (layout.WORK_BARS.cell(0, position).absolute for position in range(4))
    floors, targets = "BracketFloors", "BracketTargets"
    formulas = {
        "open": ("entry at the open", "$", f"={open_}"),
        "high": ("high", "$", f"={high}"),
        "close": ("close", "$", f"={close}"),
        "target": (
            "target of its bracket",
            "%",
            f'=INDEX({targets},SUMPRODUCT(({floors}<>"")*({floors}<={cells["open"]})))',
        ),
        "limit": ("target price", "$", f"={cells['open']}*(1+{cells['target']}/100)"),
        "reached": (
            "target reached",
            "1 or 0",
            f'=IF({layout.EXIT_MODEL.name}="{layout.EXIT_MODELS[0]}",GESTEP({cells["high"]},{cells["limit"]}),0)',
        ),
        "exit": ("exit price", "$", f"=IF({cells['reached']}=1,{cells['limit']},{cells['close']})"),
        "pp": (
            "PP, before costs",
            "%",
            f'=IF({layout.SHIFT_ROWS.name}=0,"",'
            f'IFERROR(100*({cells["exit"]}/{cells["open"]}-1),"{layout.ERROR_MARK}"))',
        ),
    }
    for number, name in enumerate(_PROFIT_LINES):
        text, measure, formula = formulas[name]
        last = name == "pp"
        put(sheet, first + number, label, text, looks.make(bold=last))
        put(sheet, first + number, unit, measure, looks.note)
        look = looks.output("0.000000") if last else looks.formula("0" if name == "reached" else "0.00####")
        put(sheet, first + number, value, formula, look)
    put(sheet, pp.row + 1, label, "Not rounded here; empty in execution mode, which has no such day.", looks.note)
    sheet.set_column(0, table.columns - 1, 13)
    sheet.set_column(label - 1, label - 1, 26)
    sheet.set_column(unit - 1, value - 1, 13)
    sheet.set_row(table.row - 2, 30)
    sheet.freeze_panes(table.row - 1, 0)


_PROFIT_LINES = ("open", "high", "close", "target", "limit", "reached", "exit", "pp")


def write_out(sheet: Worksheet, looks: Looks) -> None:
    """The row that the macro copies to Results, and the same flags as a table for people."""
    row, errors = layout.OUT_ROW, layout.OUT_ERRORS
    put(sheet, 1, 1, "Out: the answers for the ticker in Work", looks.title)
    put(sheet, errors.row, 1, "error cells", looks.label)
    flags = layout.Area(layout.OUT, row.row, row.column + layout.FLAGS_POSITION, 1, layout.SETS).address
    pp = row.cell(0, layout.PP_POSITION).address
    put_area(
        sheet, errors,
        f"={layout.SETS}-COUNT({flags})+IF(COUNT(WorkCheck)=1,0,1)"
        f'+IF(OR(COUNT({pp})=1,AND({layout.SHIFT_ROWS.name}=0,{pp}="")),0,1)',
        looks.output("0"),
    )  # fmt: skip
    put(sheet, errors.row, 3, "not 0: the macro refuses the ticker", looks.note)
    write_row_headings(sheet, looks, row.row - 1)
    put(sheet, row.row, 1, "=WorkNumber", looks.output("0"))
    put(sheet, row.row, 2, '=IF(WorkSymbol="","",WorkSymbol)', looks.output())
    put(sheet, row.row, 3, "=ProfitPercentage", looks.output("0.000000"))
    table = row.row + 4
    put(sheet, table - 2, 1, "The same flags as a table (1 buys)", looks.section)
    put(sheet, table - 1, 1, "algorithm", looks.heading)
    for slot in range(layout.SLOTS):
        put(sheet, table - 1, 2 + slot, slot + 1, looks.heading)
    for number, algorithm in enumerate(layout.BLOCKS):
        put(sheet, table + number, 1, algorithm, looks.make(bold=True))
        for slot in range(layout.SLOTS):
            flag = row.cell(0, layout.FLAGS_POSITION + layout.flag_position(algorithm, slot))
            source = layout.buy_area(algorithm).cell(0, slot).absolute
            put_area(sheet, flag, f"={source}", looks.output("0"))
            put(sheet, table + number, 2 + slot, f"={flag.address}", looks.make(num_format="0", align="center"))
    sheet.set_column(0, 2, 12)
    sheet.set_column(3, layout.OUT_COLUMNS - 1, 8)
    sheet.freeze_panes(row.row - 1, 1)


def write_row_headings(sheet: Worksheet, looks: Looks, at: int) -> None:
    """Headings of ``OUT_ROW`` and of Results."""
    for column, text in enumerate(("ticker", "symbol", "PP, %"), start=1):
        put(sheet, at, column, text, looks.heading)
    for algorithm in layout.BLOCKS:
        for slot in range(layout.SLOTS):
            column = 1 + layout.FLAGS_POSITION + layout.flag_position(algorithm, slot)
            put(sheet, at, column, f"{algorithm} {slot + 1}", looks.heading)


def write_results(sheet: Worksheet, looks: Looks) -> None:
    """Empty rows under their headings; the macro fills them."""
    put(sheet, 1, 1, "Results: one row a finished ticker", looks.title)
    put(sheet, 2, 1, f"Up to {layout.RESULT_ROWS:,} rows, one training day; 1 buys.", looks.note)
    write_row_headings(sheet, looks, layout.RESULT_FIRST_ROW - 1)
    sheet.set_column(0, 1, 10)
    sheet.set_column(2, 2, 12, looks.make(num_format="0.000000"))
    sheet.set_column(3, layout.OUT_COLUMNS - 1, 8, looks.make(align="center"))
    sheet.freeze_panes(layout.RESULT_FIRST_ROW - 1, 2)
