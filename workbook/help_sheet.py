"""The Help sheet: how the workbook works, ready to print."""

from __future__ import annotations

from xlsxwriter.worksheet import Worksheet

from engine.compute.workbook import layout
from workbook.looks import LEGEND, Looks

BLOCK_NAMES = ", ".join(layout.BLOCKS)
LINE_LENGTH = 100  # characters of a line in the text column
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "What this workbook does",
        (
            "It tests 80 variations (ten algorithms, eight parameter sets each) on one ticker after the other: "
            "does the signal bar of the ticker's 64-bar window buy?",
            "In training it also works out PP, the profit percentage of the day after the signal.",
            "Python drives it through xlwings; a person may use the buttons on Control. It computes the same as "
            "the native kernels of TSH Console.",
        ),
    ),
    (
        "The sheets",
        (
            "Control: helper cells (state, chunk, next ticker, stop, error) and buttons.",
            "Data: one pasted batch, at most 250 tickers of 65 rows, newest first.",
            "Work: the ticker that is looked at now, and its window of 64 bars.",
            "TSH: the bracket table, and PP of the confirmation day.",
            f"{BLOCK_NAMES}: a sheet an algorithm. Top left its parameters and BUY, below the tests that lead to "
            "BUY, right one row a bar.",
            "Out: the 80 flags and PP of the ticker in Work. Results: one row a finished ticker.",
        ),
    ),
    (
        "Run a batch by hand",
        (
            "1. Enable macros when Excel asks.",
            "2. On Control: Reset, Clear data, Clear results; then Training or Execution.",
            "3. Paste bars into Data from C5, symbols from J5 if you like; write TickerCount on Control.",
            "4. Run batch. Stop ends it after the present chunk; StopRequest back to 0 and Run batch goes on.",
            "5. EngineState says DONE; Results holds the answers.",
            "ERROR: LastError says which ticker and why. Repair, Reset, run again.",
        ),
    ),
    (
        "Training and execution",
        (
            "Training: row 1 of a ticker is the confirmation day, rows 2 to 65 are the window; a buy means: enter "
            "at the open of row 1.",
            "Execution: rows 1 to 64 are the window; a buy is a candidate for tomorrow. There is no PP.",
        ),
    ),
    (
        "Change a parameter",
        (
            "Write the real value (0.7, not 7 steps) into a yellow cell of a block and press F9: BUY follows.",
            "Outside the range in column B 'parameters allowed' turns FALSE and BUY shows "
            f"{layout.ERROR_MARK}; the macro refuses such a ticker.",
        ),
    ),
    (
        "Reading the formulas",
        (
            "t is the signal bar, t-k the bar k bars before it. Columns of bars run from t (top) to the oldest "
            "bar (bottom): a formula that looks at the row below looks at the bar before.",
            "Until an average has its seed, its column holds a running sum; the notes of the block say so.",
            "GESTEP(a,b) is 1 when a >= b. It stands where every bit counts: the signs < > = of a spreadsheet "
            "take numbers as equal that differ only after the 15th digit.",
            "INDEX(...):INDEX(...) is a range of variable length. No function is volatile.",
        ),
    ),
)


def write_help(sheet: Worksheet, looks: Looks) -> None:
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 3)
    sheet.set_column(1, 1, LINE_LENGTH, looks.text)
    sheet.write(0, 0, "TSH engine workbook", looks.title)
    about = f"Layout version {layout.PROTOCOL_VERSION}. Sources: the folder 'workbook' of TSH Console."
    sheet.write(1, 0, about, looks.note)
    row = 3
    for heading, paragraphs in SECTIONS:
        row = _section(sheet, looks, row, heading)
        for paragraph in paragraphs:
            sheet.write(row, 1, paragraph, looks.text)
            sheet.set_row(row, 14 * (1 + len(paragraph) // LINE_LENGTH))
            row += 1
        row += 1
    row = _section(sheet, looks, row, "Colours")
    for kind, meaning in LEGEND:
        look = {"input": looks.input(), "formula": looks.make(border=1), "output": looks.output()}[kind]
        sheet.write(row, 1, meaning, look)
        row += 1
    sheet.set_portrait()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.set_margins(0.6, 0.6, 0.7, 0.7)
    sheet.set_footer("&LTSH engine workbook&RPage &P of &N")
    sheet.print_area(0, 0, row, 1)
    sheet.freeze_panes(2, 0)


def _section(sheet: Worksheet, looks: Looks, row: int, heading: str) -> int:
    sheet.write(row, 0, heading, looks.section)
    sheet.write_blank(row, 1, None, looks.section)
    return row + 1
