"""One instance of the workbook, driven through xlwings: the same code for Excel and LibreOffice.

The one thing to know: nothing is believed that was not read back. A macro's return value
says nothing (LibreOffice swallows runtime errors), so the state cell decides, and every
result row must carry the number of the ticker that is due. The rows are taken home after
every chunk: when the office crashes or hangs, a new one gets the same parameters and data
and goes on after the last row that was taken, so that none is lost and none is doubled.

Addresses and the protocol: ``layout``.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import xlwings as xw

from engine.brackets import DEFAULT_BRACKETS, BracketTable
from engine.compute.workbook import layout
from engine.compute.workbook.layout import Area, HelperCell
from engine.compute.workbook.offices import WORKBOOK_FILE, Office, private_copy
from engine.compute.workbook.private_folder import PrivateFolder
from engine.errors import DataError, OperatorError, UsageError
from engine.model import Bools, ExitModel, Floats

log = logging.getLogger(__name__)

START_WITHIN_S = 120.0  # starting an office and opening the workbook, before it counts as hung
PASTE_WITHIN_S = 60.0
DYING_S = 1.0
FRUITLESS_RESTARTS = 3  # in a row, without one row between them: then the workbook, not the office, is at fault
_CONTROL = Area(
    layout.CONTROL,
    layout.HELPER_CELLS[0].row,
    2,
    layout.HELPER_CELLS[-1].row - layout.HELPER_CELLS[0].row + 1,
)

Blocks = dict[str, tuple[tuple[float, ...], ...]]  # algorithm -> real values of its 8 slots


class WorkbookFault(OperatorError):  # noqa: N818 - a fault of the workbook, told as a sentence
    """The workbook answered, and what it answered cannot be used."""


class BatchStoppedError(OperatorError):
    """The batch was abandoned on request; the instance is ready for another."""


@dataclass(frozen=True)
class DriverPlan:
    """What every instance of one engine has in common."""

    office: Office
    workbook: Path = WORKBOOK_FILE
    chunk: int = 25  # tickers a step
    deadline_s: float = 60.0  # wall seconds for one step
    brackets: BracketTable = DEFAULT_BRACKETS
    exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE


@dataclass(frozen=True)
class BatchResult:
    """``flags`` bool[tickers, 80] in the order of the blocks; ``pp`` percent, not rounded, None in execution."""

    flags: Bools
    pp: Floats | None


class WorkbookDriver:
    """One office with one private copy of the workbook. All methods from one thread, except ``kill``."""

    def __init__(self, plan: DriverPlan, number: int = 1) -> None:
        self.plan, self.number = plan, number
        self.restarts = 0
        self.tickers = 0  # worked through in all
        self.stop = threading.Event()  # set: the batch ends after the present chunk
        self.office_version = ""
        self._folder: PrivateFolder | None = None
        self._app: xw.App | None = None
        self._book: xw.Book | None = None
        self._pid = 0
        self._blocks: Blocks = {}
        self._in_office: Blocks = {}  # what the open copy holds
        self._mode = ""

    @property
    def pid(self) -> int:
        """Of the office; 0 while none runs."""
        return self._pid

    # --- life --------------------------------------------------------------------------------

    def open(self) -> None:
        """Starts an office with a fresh copy of the workbook and proves that its macros answer."""
        folder = self._folder = PrivateFolder()
        copy = private_copy(folder, self.plan.workbook)
        self._app = self.plan.office.open_app(folder)
        self._pid = int(self._app.pid)
        self.office_version = f"{self.plan.office.name} {self._app.version}"
        with self._within(START_WITHIN_S, "opening the workbook"):
            self._app.display_alerts = False
            self._book = self._app.books.open(str(copy))
            self._app.calculation = "manual"
            self._app.calculate()  # the office trusts the values stored in the file
            self._check()
            self._configure()
        self._in_office, self._mode = {}, ""

    def close(self) -> None:
        """Ends the office without saving; leaves no process and no file."""
        app, pid = self._forget()
        if app is not None:
            try:
                app.quit()
            except Exception as error:  # noqa: BLE001 - every bridge has its own exceptions; kill() follows anyway
                log.info("workbook instance %d did not quit in order: %s", self.number, error)
        self._discard(app, pid)

    def _forget(self) -> tuple[xw.App | None, int]:
        app, pid = self._app, self._pid
        self._app, self._book, self._pid = None, None, 0
        return app, pid

    def kill(self) -> None:
        """Ends the office by force, from any thread; a request that waits on it then fails at once."""
        app = self._app
        if app is not None:
            self.plan.office.kill(app, self._pid)

    def _discard(self, app: xw.App | None, pid: int) -> None:
        if app is not None:
            self.plan.office.kill(app, pid)
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _restart(self, why: str) -> None:
        log.warning("workbook instance %d: %s; starting another office", self.number, why)
        self._discard(*self._forget())
        self.restarts += 1
        self.open()

    # --- what the rest of the program asks ---------------------------------------------------

    def write_blocks(self, blocks: Blocks) -> None:
        """Real parameter values of every block, 8 slots each; written now, and again after a restart."""
        for algorithm, slots in blocks.items():
            if len(slots) != layout.SLOTS:
                raise UsageError(f"block {algorithm} takes {layout.SLOTS} variations; {len(slots)} were given")
        self._blocks = dict(blocks)
        self._surely(self._write_blocks)

    def run_batch(self, windows: Floats, mode: str, on_chunk: Callable[[int], None] | None = None) -> BatchResult:
        """All 80 variations on up to 250 windows (float64[n, 65 or 64, 5], newest row first).

        ``on_chunk(tickers)`` after every chunk. BatchStoppedError when ``stop`` is set;
        WorkbookFault or DataError for what the workbook itself refuses; a crashed or hung
        office is replaced and the batch goes on after its last row.
        """
        count = len(windows)
        if not 0 < count <= layout.BATCH_TICKERS:
            raise UsageError(f"a batch holds 1 to {layout.BATCH_TICKERS} tickers; {count} were given")
        rows: list[list[Any]] = []
        fruitless = 0
        while len(rows) < count:
            before = len(rows)
            try:
                if self._book is None:
                    self.open()
                self._begin(windows, mode, len(rows))
                self._steps(rows, count, on_chunk)
            except (WorkbookFault, DataError, UsageError, BatchStoppedError):
                raise
            except Exception as error:
                if not self._lost():
                    raise
                fruitless = fruitless + 1 if len(rows) == before else 0
                if fruitless >= FRUITLESS_RESTARTS:
                    raise OperatorError(
                        f"{self.plan.office.name} failed {fruitless} times in a row at ticker {len(rows) + 1} of "
                        f"a batch ({error}): see whether the machine is overloaded, raise workbook.deadline_s "
                        f"({self.plan.deadline_s:g} s now), or set training.backend to 'native'"
                    ) from error
                self._restart(f"the office failed at ticker {len(rows) + 1} of {count} ({error})")
        return _result(rows, mode)

    def _surely(self, act: Callable[[], None]) -> None:
        """``act``, once more in a new office when the present one died."""
        try:
            act()
        except Exception as error:
            if not self._lost():
                raise
            self._restart(f"the office failed ({error})")
            act()

    def _lost(self) -> bool:
        """Whether the office is dead (a hung one has been killed by its deadline).

        Asked after a failure: a dying process may need a moment to be seen as dead.
        """
        patience = time.monotonic() + DYING_S
        while self._pid and _runs(self._pid):
            if time.monotonic() > patience:
                return False
            time.sleep(0.05)
        return True

    # --- a batch -----------------------------------------------------------------------------

    def _begin(self, windows: Floats, mode: str, done: int) -> None:
        """Parameters, data and helper cells for the tickers from ``done`` (counted from 0)."""
        with self._within(PASTE_WITHIN_S, "writing the batch"):
            self._macro(layout.RESET_ENGINE)
            if self._mode != mode:
                self._macro(layout.SHIFT_TRAINING if mode == "training" else layout.SHIFT_EXECUTION)
                self._mode = mode
            self._write_blocks()
            self._macro(layout.CLEAR_RESULTS)
            self._write(layout.data_area(len(windows)), _rows(windows))
            self._set(layout.TICKER_COUNT, len(windows))
            self._set(layout.CHUNK_SIZE, self.plan.chunk)
            self._set(layout.NEXT_TICKER, done + 1)
            self._set(layout.OUTPUT_ROW, done + 1)

    def _steps(self, rows: list[list[Any]], count: int, on_chunk: Callable[[int], None] | None) -> None:
        while len(rows) < count:
            if self.stop.is_set():
                raise BatchStoppedError(f"the batch was stopped after {len(rows)} of {count} tickers")
            with self._within(self.plan.deadline_s, "a step of the batch"):
                self._macro(layout.STEP_BATCH)
                control = self._control()
                state = str(control[layout.STATE.name])
                finished = _whole(control[layout.NEXT_TICKER.name]) - 1
                if state not in (layout.RUNNING, layout.DONE):
                    self._refuse(state, control)
                if not len(rows) < finished <= count:
                    raise WorkbookFault(
                        f"the workbook's step did nothing (state {state}, next ticker {finished + 1} of {count}): "
                        "its macros did not run or do not fit this program; 'tshc workbook build' makes it anew"
                    )
                fresh = self._read(layout.results_area(len(rows) + 1, finished - len(rows)))
            for number, row in enumerate(fresh, start=len(rows) + 1):
                _check_row(row, number)
            rows += fresh
            self.tickers += len(fresh)
            if on_chunk is not None:
                on_chunk(len(fresh))

    def _refuse(self, state: str, control: dict[str, Any]) -> None:
        said = control[layout.LAST_ERROR.name] or "no message"
        if state == layout.ERROR:
            raise WorkbookFault(f"the workbook stopped in the middle of a batch: {said}")
        raise WorkbookFault(f"the workbook is {state or 'without a state'} in the middle of a batch ({said})")

    def _write_blocks(self) -> None:
        with self._within(PASTE_WITHIN_S, "writing the parameters"):
            for algorithm, slots in self._blocks.items():
                if self._in_office.get(algorithm) != slots:
                    self._write(layout.parameter_area(algorithm), [list(row) for row in zip(*slots, strict=True)])
                    self._in_office[algorithm] = slots

    # --- opening -----------------------------------------------------------------------------

    def _check(self) -> None:
        """The right workbook, of the right version, with macros that run."""
        assert self._book is not None
        names = {sheet.name for sheet in self._book.sheets}
        missing = [name for name in layout.SHEETS if name not in names]
        if missing:
            raise WorkbookFault(
                f"{self.plan.workbook.name} has no sheet {missing[0]}: 'tshc workbook build' makes it"
            )
        version = self._get(layout.PROTOCOL)
        if version != layout.PROTOCOL_VERSION:
            raise WorkbookFault(
                f"{self.plan.workbook.name} speaks version {version:g} of the layout and this program "
                f"{layout.PROTOCOL_VERSION}: 'tshc workbook build' makes the right one"
                if isinstance(version, float)
                else f"{self.plan.workbook.name} does not say its version: 'tshc workbook build' makes it anew"
            )
        for ping, answer in layout.PINGS.items():
            self._set(answer, 0)
            try:
                self._macro(ping)
            except Exception as error:
                if self._lost():
                    raise
                raise WorkbookFault(
                    f"macro {ping} cannot be run ({error}): enable macros for {self.plan.workbook.name}, "
                    "or build it anew with 'tshc workbook build'"
                ) from error
            if self._get(answer) != layout.PROTOCOL_VERSION:
                raise WorkbookFault(
                    f"macro {ping} did not answer: macros are disabled or its module does not compile; "
                    "enable macros, or build the workbook anew with 'tshc workbook build'"
                )

    def _configure(self) -> None:
        """Exit model and bracket table of the settings."""
        brackets = list(self.plan.brackets)
        if len(brackets) > layout.BRACKETS.rows:
            raise UsageError(
                f"the workbook takes {layout.BRACKETS.rows} brackets; the settings have {len(brackets)}: "
                "use fewer, or the native backend"
            )
        rows: list[list[float | None]] = [
            [b.floor_price, b.target_pct, b.arm_pct, b.trail_pct, b.protective_pct] for b in brackets
        ]
        rows += [[None] * layout.BRACKETS.columns for _ in range(layout.BRACKETS.rows - len(rows))]
        self._write(layout.BRACKETS, rows)
        self._set(layout.EXIT_MODEL, str(self.plan.exit_model))

    # --- cells -------------------------------------------------------------------------------

    def _range(self, area: Area) -> xw.Range:
        assert self._book is not None
        return self._book.sheets[area.sheet].range(area.address)

    def _write(self, area: Area, rows: Sequence[Sequence[Any]]) -> None:
        self._range(area).raw_value = rows

    def _read(self, area: Area) -> list[list[Any]]:
        return [list(row) for row in self._range(area).raw_value]

    def _set(self, cell: HelperCell, value: float | str) -> None:
        self._range(cell.area).raw_value = value

    def _get(self, cell: HelperCell) -> Any:
        return self._range(cell.area).raw_value

    def _control(self) -> dict[str, Any]:
        values = self._read(_CONTROL)
        return {cell.name: values[cell.row - _CONTROL.row][0] for cell in layout.HELPER_CELLS}

    def _macro(self, name: str) -> None:
        assert self._book is not None
        self._book.macro(name)()

    @contextlib.contextmanager
    def _within(self, seconds: float, what: str) -> Iterator[None]:
        """Kills the office when the block takes longer: what waits on it then fails and is done again."""

        def late() -> None:
            log.warning("workbook instance %d: %s took more than %.0f s", self.number, what, seconds)
            self.kill()

        watchdog = threading.Timer(seconds, late)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()


def _rows(windows: Floats) -> list[list[float | None]]:
    """Windows as rows of Data: 65 a ticker; the last one stays empty in execution mode."""
    flat: list[list[float | None]] = []
    blank: list[float | None] = [None] * len(layout.FIELDS)
    for window in windows.tolist():
        flat += window
        flat += [blank] * (layout.DATA_ROWS - len(window))
    return flat


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _whole(value: Any) -> int:
    if not isinstance(value, int | float):
        raise WorkbookFault(f"a helper cell of the workbook holds {value!r} where a number belongs")
    return int(value)


def _check_row(row: Sequence[Any], number: int) -> None:
    """One row of Results must be the due ticker's, with 80 clean flags."""
    if row[0] != number:
        raise WorkbookFault(f"row {number} of Results holds ticker {row[0]}: the batch is not complete")
    for position, flag in enumerate(row[layout.FLAGS_POSITION :]):
        if flag not in (0.0, 1.0):
            algorithm = list(layout.BLOCKS)[position // layout.SLOTS]
            raise WorkbookFault(
                f"{algorithm}, variation {position % layout.SLOTS + 1}, ticker {number} of the batch: "
                f"the workbook answers {flag!r} instead of 1 or 0"
            )


def _result(rows: Sequence[Sequence[Any]], mode: str) -> BatchResult:
    flags = np.array([row[layout.FLAGS_POSITION :] for row in rows], dtype=np.float64) == 1.0
    if mode != "training":
        return BatchResult(flags, None)
    values = [row[layout.PP_POSITION] for row in rows]
    if not all(isinstance(value, int | float) for value in values):
        wrong = next(i for i, value in enumerate(values) if not isinstance(value, int | float))
        raise WorkbookFault(f"ticker {wrong + 1} of the batch has no PP: the workbook answers {values[wrong]!r}")
    return BatchResult(flags, np.array(values, dtype=np.float64))
