"""Where everything is in ``workbook/tsh_engine.xlsm``: the contract of the workbook and its driver.

The build script writes the workbook from these facts and the driver reads and writes by
them; neither knows an address of its own. Standard library only: the office side of the
LibreOffice engine may load this file alone. Rows and columns count from 1, as in the sheet.

How a batch runs (the driver, or a person by hand):

1. ``ResetEngine``; ``ShiftTraining`` or ``ShiftExecution``; the parameters, real values,
   into ``parameter_area`` of each block; brackets and exit model if they changed.
2. ``ClearData``; bars into ``data_area(tickers)``, newest row first, ``DATA_ROWS`` rows a
   ticker (in execution mode row 65 is not looked at: leave it empty); symbols, if wanted,
   into ``symbol_area``; the number of tickers into ``TICKER_COUNT``.
3. ``StepBatch`` until ``STATE`` is no longer RUNNING. Each call first looks at
   ``STOP_REQUEST``, then works through at most ``CHUNK_SIZE`` tickers from ``NEXT_TICKER``,
   writing a row of ``Results`` at ``OUTPUT_ROW`` and moving both on after every ticker.
4. Read the results; ``ClearResults`` or go on below them with the next batch.

To resume in a fresh copy: the same parameters and data, ``NEXT_TICKER`` and ``OUTPUT_ROW``
set to where the last complete chunk ended, ``StepBatch``. After STOPPED: ``STOP_REQUEST``
back to 0, ``StepBatch``. After ERROR: read ``LAST_ERROR``, repair, ``ResetEngine``.
Never trust a macro's return value: the state cell says what happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FILE_NAME: Final = "tsh_engine.xlsm"
PROTOCOL_VERSION: Final = 1  # of this contract; the workbook carries the same number

# Sheets, in their order
HELP: Final = "Help"
CONTROL: Final = "Control"
DATA: Final = "Data"
WORK: Final = "Work"
TSH: Final = "TSH"
OUT: Final = "Out"
RESULTS: Final = "Results"

# States (the text in STATE)
IDLE: Final = "IDLE"
RUNNING: Final = "RUNNING"
DONE: Final = "DONE"
STOPPED: Final = "STOPPED"
ERROR: Final = "ERROR"
STATES: Final = (IDLE, RUNNING, DONE, STOPPED, ERROR)
EXIT_MODELS: Final = ("target_or_close", "open_to_close")  # texts of EXIT_MODEL
ERROR_MARK: Final = "#ERR"  # what a formula shows instead of an error value

# Macros: no arguments, no return value. Every module answers its Ping.
STEP_BATCH: Final = "StepBatch"
RUN_BATCH: Final = "RunBatch"  # for a person: steps until the state is no longer RUNNING
REQUEST_STOP: Final = "RequestStop"
SHIFT_TRAINING: Final = "ShiftTraining"
SHIFT_EXECUTION: Final = "ShiftExecution"
CLEAR_DATA: Final = "ClearData"
CLEAR_RESULTS: Final = "ClearResults"
RESET_ENGINE: Final = "ResetEngine"
MODULES: Final[dict[str, tuple[str, ...]]] = {  # standard module -> its macros
    "TshEngine": ("PingEngine", STEP_BATCH, RUN_BATCH),
    "TshControl": (
        "PingControl", REQUEST_STOP, SHIFT_TRAINING, SHIFT_EXECUTION, CLEAR_DATA, CLEAR_RESULTS, RESET_ENGINE,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Area:
    """A rectangle of one sheet; ``row`` and ``column`` of its first cell count from 1."""

    sheet: str
    row: int
    column: int
    rows: int = 1
    columns: int = 1

    @property
    def last_row(self) -> int:
        return self.row + self.rows - 1

    @property
    def last_column(self) -> int:
        return self.column + self.columns - 1

    @property
    def address(self) -> str:
        """Without the sheet and without dollars, e.g. ``C5:J7``."""
        first = f"{column_letters(self.column)}{self.row}"
        last = f"{column_letters(self.last_column)}{self.last_row}"
        return first if first == last else f"{first}:{last}"

    @property
    def absolute(self) -> str:
        """With the sheet and dollars, as a formula or a name wants it, e.g. ``'adx'!$C$5:$J$7``."""
        first = f"${column_letters(self.column)}${self.row}"
        last = f"${column_letters(self.last_column)}${self.last_row}"
        return f"'{self.sheet}'!{first if first == last else f'{first}:{last}'}"

    def cell(self, row: int, column: int) -> Area:
        """One cell of this area; ``row`` and ``column`` count from 0 within it."""
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            raise IndexError(f"{self.sheet}!{self.address} has no cell ({row}, {column})")
        return Area(self.sheet, self.row + row, self.column + column)


def column_letters(column: int) -> str:
    """1 is A, 27 is AA."""
    letters = ""
    while column > 0:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


# --- Control: helper cells ------------------------------------------------------------

_CONTROL_ROW: Final = 5


@dataclass(frozen=True)
class HelperCell:
    """One named cell of Control. ``name`` is also its defined name in the workbook."""

    name: str
    row: int
    start: int | str  # what the cell holds in the built workbook
    meaning: str

    @property
    def area(self) -> Area:
        return Area(CONTROL, self.row, 2)


STATE: Final = HelperCell("EngineState", _CONTROL_ROW, IDLE, "IDLE, RUNNING, DONE, STOPPED or ERROR")
CHUNK_SIZE: Final = HelperCell("ChunkSize", _CONTROL_ROW + 1, 5, "tickers that one StepBatch works through")
TICKER_COUNT: Final = HelperCell("TickerCount", _CONTROL_ROW + 2, 0, "tickers in Data, 0 to 250")
NEXT_TICKER: Final = HelperCell("NextTicker", _CONTROL_ROW + 3, 1, "number of the ticker to work on next")
LAST_FINISHED: Final = HelperCell(
    "LastFinished", _CONTROL_ROW + 4, 0, "number of the last ticker written to Results"
)
OUTPUT_ROW: Final = HelperCell("OutputRow", _CONTROL_ROW + 5, 1, "row of Results to write next, 1 to 1000")
STOP_REQUEST: Final = HelperCell("StopRequest", _CONTROL_ROW + 6, 0, "1 stops before the next chunk; 0 goes on")
SHIFT_ROWS: Final = HelperCell("ShiftRows", _CONTROL_ROW + 7, 1, "1 training (row 1 confirms), 0 execution")
EXIT_MODEL: Final = HelperCell(
    "ExitModel", _CONTROL_ROW + 8, EXIT_MODELS[0], "target_or_close, or open_to_close: how a day becomes PP"
)
LAST_ERROR: Final = HelperCell("LastError", _CONTROL_ROW + 9, "", "why the state is ERROR")
PING_ENGINE: Final = HelperCell(
    "PingEngineAnswer", _CONTROL_ROW + 10, 0, "protocol version, written by PingEngine"
)
PING_CONTROL: Final = HelperCell(
    "PingControlAnswer", _CONTROL_ROW + 11, 0, "protocol version, written by PingControl"
)
PROTOCOL: Final = HelperCell(
    "ProtocolVersion", _CONTROL_ROW + 12, PROTOCOL_VERSION, "version of this workbook's layout"
)
HELPER_CELLS: Final = (
    STATE, CHUNK_SIZE, TICKER_COUNT, NEXT_TICKER, LAST_FINISHED, OUTPUT_ROW, STOP_REQUEST,
    SHIFT_ROWS, EXIT_MODEL, LAST_ERROR, PING_ENGINE, PING_CONTROL, PROTOCOL,
)  # fmt: skip
PINGS: Final[dict[str, HelperCell]] = {"PingEngine": PING_ENGINE, "PingControl": PING_CONTROL}

# --- Data: one pasted batch -----------------------------------------------------------

BATCH_TICKERS: Final = 250
DATA_ROWS: Final = 65  # rows a ticker takes, in both modes
WINDOW_ROWS: Final = 64
FIELDS: Final = ("open", "high", "low", "close", "volume")
DATA_FIRST_ROW: Final = 5
DATA_FIRST_COLUMN: Final = 3  # A ticker number, B row of the window, C..G the bars
SYMBOL_COLUMN: Final = 10  # I ticker number, J symbol


def data_area(tickers: int = BATCH_TICKERS) -> Area:
    """Bars of the first ``tickers`` tickers: 65 rows each, newest first, open high low close volume."""
    return Area(DATA, DATA_FIRST_ROW, DATA_FIRST_COLUMN, tickers * DATA_ROWS, len(FIELDS))


def symbol_area(tickers: int = BATCH_TICKERS) -> Area:
    """One symbol a row; may stay empty."""
    return Area(DATA, DATA_FIRST_ROW, SYMBOL_COLUMN, tickers)


# --- Work: one ticker -----------------------------------------------------------------

BAR_FIRST_ROW: Final = 12  # of Work and of every block sheet: row of the newest bar
WORK_NUMBER: Final = Area(WORK, 2, 2)  # number of the ticker in Work
WORK_SYMBOL: Final = Area(WORK, 2, 4)
WORK_CHECK: Final = Area(WORK, 2, 6)  # 1 when the window's bars are usable, else ERROR_MARK
WORK_BARS: Final = Area(WORK, BAR_FIRST_ROW, 2, DATA_ROWS, len(FIELDS))  # as copied from Data
WORK_WINDOW: Final = Area(WORK, BAR_FIRST_ROW, 10, WINDOW_ROWS, len(FIELDS))  # the 64 bars, signal bar first
WORK_TYPICAL: Final = Area(WORK, BAR_FIRST_ROW, 15, WINDOW_ROWS)  # typical price of the same bars

# --- TSH: brackets and PP -------------------------------------------------------------

BRACKETS: Final = Area(
    TSH, 5, 1, 12, 5
)  # floor price, target, arm, trail, protective (percent); unused rows empty
BRACKET_FLOORS: Final = Area(TSH, 5, 1, 12)
BRACKET_TARGETS: Final = Area(TSH, 5, 2, 12)
PP: Final = Area(TSH, 12, 9)  # percent, not rounded; "" in execution mode

# --- Blocks ---------------------------------------------------------------------------

SLOTS: Final = 8  # variations of a block
BLOCKS: Final[dict[str, tuple[str, ...]]] = {  # algorithm = name of its sheet -> its parameters, in order
    "adx": ("n", "thr", "k"),
    "ema": ("f", "s", "k"),
    "macd": ("f", "s", "g", "z"),
    "rsi": ("n", "lo", "h"),
    "bb": ("n", "k", "m"),
    "stoch": ("n", "d", "lo"),
    "cci": ("n", "lev", "h"),
    "mfi": ("n", "lo", "h"),
    "donch": ("n", "m", "v"),
    "kelt": ("n", "m", "k"),
}
SETS: Final = len(BLOCKS) * SLOTS
SLOT_COLUMN: Final = 3  # A label, B unit, C..J variations 1..8
PARAMETER_ROW: Final = 5
VALID_ROW: Final = 9  # TRUE when the variation's parameters are a point of the space
BUY_ROW: Final = 10  # 1, 0 or ERROR_MARK
TEST_ROW: Final = 12  # first test; a test takes four rows: left side, right side, difference, met (1/0)
TEST_ROWS: Final = 4
MOST_TESTS: Final = 3


def parameter_area(algorithm: str) -> Area:
    """Real values (0.7, not 7 steps), one row a parameter, one column a slot; order as in ``BLOCKS``."""
    return Area(algorithm, PARAMETER_ROW, SLOT_COLUMN, len(BLOCKS[algorithm]), SLOTS)


def buy_area(algorithm: str) -> Area:
    return Area(algorithm, BUY_ROW, SLOT_COLUMN, 1, SLOTS)


def comparison_area(algorithm: str, slot: int) -> Area:
    """The three tests of one variation (slot 0..7), four rows each; unused tests are empty.

    Left side, right side and difference are numbers for a report of a disagreement: a
    difference of nearly nothing is a tie.
    """
    return Area(algorithm, TEST_ROW, SLOT_COLUMN + slot, MOST_TESTS * TEST_ROWS)


# --- Out and Results ------------------------------------------------------------------

# Both rows hold: number of the ticker, symbol, PP (percent, not rounded; "" in execution),
# then 80 flags, block after block, slot after slot.
OUT_COLUMNS: Final = 3 + SETS
PP_POSITION: Final = 2  # of a row, from 0
FLAGS_POSITION: Final = 3
OUT_ROW: Final = Area(OUT, 5, 1, 1, OUT_COLUMNS)
OUT_ERRORS: Final = Area(OUT, 2, 2)  # how many cells of OUT_ROW are ERROR_MARK
RESULT_ROWS: Final = 1000
RESULT_FIRST_ROW: Final = 5


def results_area(first: int = 1, rows: int = RESULT_ROWS) -> Area:
    """Rows of Results; ``first`` counts from 1, as ``OUTPUT_ROW`` does."""
    return Area(RESULTS, RESULT_FIRST_ROW + first - 1, 1, rows, OUT_COLUMNS)


def flag_position(algorithm: str, slot: int) -> int:
    """Position of a variation's flag among the 80 (slot 0..7)."""
    return list(BLOCKS).index(algorithm) * SLOTS + slot


# --- Defined names --------------------------------------------------------------------

SHEETS: Final = (HELP, CONTROL, DATA, WORK, TSH, *BLOCKS, OUT, RESULTS)


def defined_names() -> Iterator[tuple[str, Area]]:
    """Every defined name of the workbook and what it names."""
    for cell in HELPER_CELLS:
        yield cell.name, cell.area
    yield "DataBars", data_area()
    yield "DataSymbols", symbol_area()
    yield "WorkNumber", WORK_NUMBER
    yield "WorkSymbol", WORK_SYMBOL
    yield "WorkCheck", WORK_CHECK
    yield "WorkBars", WORK_BARS
    yield "WorkWindow", WORK_WINDOW
    yield "WorkTypical", WORK_TYPICAL
    yield "TshBrackets", BRACKETS
    yield "BracketFloors", BRACKET_FLOORS
    yield "BracketTargets", BRACKET_TARGETS
    yield "ProfitPercentage", PP
    yield "OutRow", OUT_ROW
    yield "OutErrors", OUT_ERRORS
    yield "ResultRows", results_area()
    for algorithm, names in BLOCKS.items():
        area = parameter_area(algorithm)
        yield f"{algorithm}_parameters", area
        for row, name in enumerate(names):
            yield f"{algorithm}_{name}", Area(algorithm, area.row + row, area.column, 1, SLOTS)
        yield f"{algorithm}_buy", buy_area(algorithm)
