"""The Help sheet: how the workbook works, on two printed pages."""

from __future__ import annotations

from xlsxwriter.worksheet import Worksheet

from engine.compute.workbook import layout
from workbook.looks import LEGEND, Looks

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "What this workbook does",
        (
            "It tests 80 variations (ten algorithms, eight parameter sets each) on one ticker after the other: does the "
            "signal bar of the ticker's 64-bar window buy? In training it also works out PP, the profit percentage of "
            "the day after the signal.",
            "It is driven by Python through xlwings, or by hand with the buttons on Control. It computes the same as "
            "the native kernels of TSH Console, cell by cell.",
        ),
    ),
    (
        "The sheets",
        (
            "Control: helper cells (state, chunk, next ticker, stop, error) and buttons.",
            "Data: one pasted batch, at most 250 tickers of 65 rows, newest first: open, high, low, close, volume.",
            "Work: the ticker that is looked at now, and its window of 64 bars.",
            "TSH: the bracket table, and PP of the confirmation day.",
            f"{', '.join(layout.BLOCKS)}: a block an algorithm. Top left the parameters of eight variations and BUY; "
            "below, the tests that lead to BUY; right, one row a bar.",
            "Out: the 80 flags and PP of the ticker in Work. Results: a row a finished ticker.",
        ),
    ),
    (
        "Run a batch by hand",
        (
            "1. Enable macros when Excel asks. 2. Control: Reset, Clear results, then Training or Execution. 3. Paste "
            "bars into Data and set TickerCount. 4. Run batch (Stop ends it after the present chunk; StopRequest back "
            "to 0 and Run batch goes on). 5. Results holds the answers; EngineState says DONE.",
            "ERROR: LastError says which ticker and why. Repair, then Reset.",
        ),
    ),
    (
        "Training and execution",
        (
            "Training: row 1 of a ticker is the confirmation day, rows 2 to 65 are the window, a buy means: enter at "
            "row 1's open. Execution: rows 1 to 64 are the window, a buy is a candidate for tomorrow; no PP.",
        ),
    ),
    (
        "Change a parameter",
        (
            "Write the real value (0.7, not 7 steps) into a yellow cell of a block and calculate (F9): BUY follows. "
            "'parameters allowed' turns FALSE outside the range in column B, and BUY shows "
            f"{layout.ERROR_MARK}; the macro refuses such a row.",
        ),
    ),
    (
        "Reading the formulas",
        (
            "t is the signal bar, t-k the bar k bars earlier. Every column of bars runs from t (top) to the oldest bar "
            "(bottom), so a formula that refers to the row below refers to the bar before. Until an average is seeded, "
            "its column holds a running sum: the notes of each block say to which bar.",
            "GESTEP(a,b) is 1 when a >= b. It stands where a comparison must see every bit; the signs < > = of a "
            "spreadsheet take numbers as equal that differ only after the 15th digit.",
            "INDEX(first):INDEX(last) is a range of variable length. There are no volatile functions; calculation is "
            "manual, the macros calculate.",
        ),
    ),
)


def write_help(sheet: Worksheet, looks: Looks) -> None:
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 3)
    sheet.set_column(1, 1, 110, looks.text)
    sheet.write(0, 0, "TSH engine workbook", looks.title)
    sheet.write(1, 0, f"Layout version {layout.PROTOCOL_VERSION}. Sources: the folder 'workbook' of TSH Console.", looks.note)
    row = 3
    for heading, paragraphs in SECTIONS:
        sheet.write(row, 0, heading, looks.section)
        sheet.write_blank(row, 1, None, looks.section)
        row += 1
        for paragraph in paragraphs:
            sheet.write(row, 1, paragraph, looks.text)
            sheet.set_row(row, 14 * (1 + len(paragraph) // 115))
            row += 1
        row += 1
    sheet.write(row, 0, "Colours", looks.section)
    sheet.write_blank(row, 1, None, looks.section)
    for kind, meaning in LEGEND:
        row += 1
        look = {"input": looks.input(), "formula": looks.make(border=1), "output": looks.output()}[kind]
        sheet.write(row, 1, meaning, look)
    sheet.set_portrait()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.set_margins(0.6, 0.6, 0.7, 0.7)
    sheet.set_footer("&LTSH engine workbook&RPage &P of &N")
    sheet.freeze_panes(2, 0)
