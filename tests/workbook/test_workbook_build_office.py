"""The built workbook inside LibreOffice: every formula computes, the macros keep their word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import xlwings as xw
from built_workbook import read_workbook
from synthetic_bars import synthetic_windows

from engine.compute import ALGORITHMS, NativeEngine, ParameterSet
from engine.compute.workbook import layout
from engine.compute.workbook.layout import Area, HelperCell
from engine.compute.workbook.libreoffice_engine import Place, register
from engine.compute.workbook.libreoffice_link import Installation
from engine.compute.workbook.offices import private_copy
from engine.compute.workbook.private_folder import PrivateFolder
from engine.model import Floats
from workbook import build

TICKERS = 12


class Hands:
    """A person at the workbook: macros, helper cells, pasted areas."""

    def __init__(self, book: xw.Book) -> None:
        self.book = book

    def macro(self, *names: str) -> None:
        for name in names:
            self.book.macro(name)()

    def read(self, area: Area) -> Any:
        return self.book.sheets[area.sheet].range(area.address).raw_value

    def write(self, area: Area, values: Sequence[Sequence[Any]]) -> None:
        self.book.sheets[area.sheet].range(area.address).raw_value = [list(row) for row in values]

    def get(self, cell: HelperCell) -> Any:
        return self.read(cell.area)

    def set(self, cell: HelperCell, value: float) -> None:
        self.write(cell.area, [[value]])

    def paste(self, windows: Floats) -> None:
        """A fresh batch in training mode."""
        self.macro(layout.RESET_ENGINE, layout.CLEAR_DATA, layout.CLEAR_RESULTS, layout.SHIFT_TRAINING)
        self.write(layout.data_area(len(windows)), windows.reshape(-1, 5).tolist())
        self.write(layout.symbol_area(len(windows)), [[f"T{number}"] for number in range(len(windows))])
        self.set(layout.TICKER_COUNT, len(windows))

    def parameters(self) -> list[ParameterSet]:
        """The 80 sets that the blocks hold, in whole steps."""
        sets = []
        for algorithm, space in ALGORITHMS.items():
            for column in zip(*self.read(layout.parameter_area(algorithm)), strict=True):
                steps = [round(v / float(p.step)) for v, p in zip(column, space.parameters, strict=True)]
                sets.append(ParameterSet(algorithm, tuple(steps)))
        return sets

    def flags(self, rows: int) -> np.ndarray[Any, Any]:
        return np.array([row[layout.FLAGS_POSITION :] for row in self.read(layout.results_area(1, rows))])


@pytest.fixture(scope="module")
def hands(office: Installation) -> Iterator[Hands]:
    folder = PrivateFolder()
    app = register().apps.add(spec=Place(office, folder))
    try:
        book = app.books.open(str(private_copy(folder, build.TARGET)))
        app.calculate()
        yield Hands(book)
    finally:
        app.quit()
        folder.remove()


@pytest.fixture(scope="module")
def windows() -> Floats:
    return synthetic_windows(seed=11, tickers=TICKERS, rows=layout.DATA_ROWS)


def test_no_formula_of_the_sample_ticker_shows_an_error(hands: Hands) -> None:
    computed = 0
    for name, sheet in read_workbook(build.TARGET).sheets.items():
        if not sheet.formulas:
            continue
        cells = hands.book.sheets[name].range("A1:CZ80").raw_value
        for address in sheet.formulas:
            row, column = _place(address)
            assert cells[row][column] not in (None, layout.ERROR_MARK), f"{name}!{address}"
            computed += 1
    assert computed > 10_000


def _place(address: str) -> tuple[int, int]:
    letters = address.rstrip("0123456789")
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(address[len(letters) :]) - 1, column - 1


def test_each_module_answers_its_ping(hands: Hands) -> None:
    for ping, cell in layout.PINGS.items():
        hands.set(cell, 0)
        hands.macro(ping)
        assert hands.get(cell) == layout.PROTOCOL_VERSION


def test_a_batch_by_hand_gives_the_kernels_flags(hands: Hands, windows: Floats) -> None:
    hands.paste(windows)
    hands.macro(layout.RUN_BATCH)
    assert hands.get(layout.STATE) == layout.DONE, hands.get(layout.LAST_ERROR)
    rows = hands.read(layout.results_area(1, TICKERS + 1))
    assert [row[:2] for row in rows[:-1]] == [[number + 1, f"T{number}"] for number in range(TICKERS)]
    assert set(rows[-1]) == {None}
    expected = NativeEngine().evaluate(windows, hands.parameters())
    assert (hands.flags(TICKERS) == expected.buys).all()
    assert expected.pp is not None
    assert np.abs([row[layout.PP_POSITION] * 1e6 for row in rows[:-1]] - expected.pp).max() <= 0.5


def test_execution_looks_at_rows_one_to_sixty_four_and_has_no_pp(hands: Hands, windows: Floats) -> None:
    hands.paste(windows)
    hands.macro(layout.SHIFT_EXECUTION)
    without_last = [row if at % layout.DATA_ROWS != layout.DATA_ROWS - 1 else [None] * 5
                    for at, row in enumerate(windows.reshape(-1, 5).tolist())]  # fmt: skip
    hands.write(layout.data_area(TICKERS), without_last)
    hands.macro(layout.RUN_BATCH)
    assert hands.get(layout.STATE) == layout.DONE, hands.get(layout.LAST_ERROR)
    window = np.ascontiguousarray(windows[:, : layout.WINDOW_ROWS])
    expected = NativeEngine().evaluate(window, hands.parameters(), mode="execution")
    assert (hands.flags(TICKERS) == expected.buys).all()
    assert {row[layout.PP_POSITION] for row in hands.read(layout.results_area(1, TICKERS))} == {None}


def test_chunks_advance_the_helper_cells_and_a_stop_is_looked_at_first(hands: Hands, windows: Floats) -> None:
    hands.paste(windows)
    hands.set(layout.CHUNK_SIZE, 5)
    hands.macro(layout.STEP_BATCH)
    progress = (layout.STATE, layout.LAST_FINISHED, layout.NEXT_TICKER, layout.OUTPUT_ROW)
    assert [hands.get(cell) for cell in progress] == [layout.RUNNING, 5, 6, 6]
    hands.macro(layout.REQUEST_STOP, layout.STEP_BATCH)
    assert [hands.get(cell) for cell in progress] == [layout.STOPPED, 5, 6, 6]
    hands.set(layout.STOP_REQUEST, 0)
    hands.macro(layout.STEP_BATCH, layout.STEP_BATCH)
    assert [hands.get(cell) for cell in progress] == [layout.DONE, 12, 13, 13]
    hands.macro(layout.STEP_BATCH)  # nothing left: nothing happens
    assert [hands.get(cell) for cell in progress] == [layout.DONE, 12, 13, 13]
    numbers = [row[0] for row in hands.read(layout.results_area(1, TICKERS))]
    assert numbers == list(range(1, TICKERS + 1))


def test_a_batch_resumes_where_another_ended(hands: Hands, windows: Floats) -> None:
    hands.paste(windows)
    hands.set(layout.NEXT_TICKER, 9)
    hands.set(layout.OUTPUT_ROW, 9)
    hands.macro(layout.RUN_BATCH)
    numbers = [row[0] for row in hands.read(layout.results_area(1, TICKERS))]
    assert numbers == [None] * 8 + [9, 10, 11, 12]


@pytest.mark.parametrize("bad", ["no number", None, -1.0], ids=["text", "missing", "negative"])
def test_an_unusable_bar_ends_in_error_with_the_tickers_number(hands: Hands, windows: Floats, bad: object) -> None:
    hands.paste(windows)
    rows = windows.reshape(-1, 5).tolist()
    rows[3 * layout.DATA_ROWS + 20][1] = bad
    hands.write(layout.data_area(TICKERS), rows)
    hands.macro(layout.RUN_BATCH)
    assert hands.get(layout.STATE) == layout.ERROR
    assert hands.get(layout.LAST_ERROR) == "ticker 4: a bar in Data is missing, not a number, or not positive"
    assert hands.get(layout.LAST_FINISHED) == 3
    assert hands.read(layout.results_area(4, 1))[0][0] is None, "a refused ticker leaves no row"
    hands.macro(layout.STEP_BATCH)
    assert hands.get(layout.STATE) == layout.ERROR, "an error stays until ResetEngine"


def test_parameters_outside_the_space_are_refused_by_name(hands: Hands, windows: Floats) -> None:
    hands.paste(windows)
    area = layout.parameter_area("ema")
    before = hands.read(area)
    wrong = [list(row) for row in before]
    wrong[0][2], wrong[1][2] = 12, 12  # f must be below s
    try:
        hands.write(area, wrong)
        hands.macro(layout.STEP_BATCH)
        assert hands.get(layout.STATE) == layout.ERROR
        assert hands.get(layout.LAST_ERROR) == "ticker 1: error cell in Out: ema 3"
    finally:
        hands.write(area, before)


@pytest.mark.parametrize(
    ("cell", "value", "said"),
    [
        (layout.TICKER_COUNT, 251, "TickerCount is 251"),
        (layout.TICKER_COUNT, 0, "TickerCount is 0"),
        (layout.CHUNK_SIZE, 0, "ChunkSize must be at least 1"),
        (layout.NEXT_TICKER, 13, "NextTicker is 13"),
        (layout.OUTPUT_ROW, 990, "Results has no room from row 990"),
        (layout.SHIFT_ROWS, 2, "ShiftRows must be 1"),
    ],
)
def test_wrong_helper_cells_are_refused_in_words(
    hands: Hands, windows: Floats, cell: HelperCell, value: float, said: str
) -> None:
    hands.paste(windows)
    hands.set(layout.CHUNK_SIZE, 5)
    hands.set(cell, value)
    hands.macro(layout.STEP_BATCH)
    assert hands.get(layout.STATE) == layout.ERROR
    assert said in hands.get(layout.LAST_ERROR)
    hands.set(layout.CHUNK_SIZE, 5)


def test_an_error_deep_inside_a_macro_reaches_the_state_cell(hands: Hands, windows: Floats) -> None:
    hands.paste(windows)
    hands.book.names["OutErrors"].delete()
    try:
        hands.macro(layout.STEP_BATCH)
        assert hands.get(layout.STATE) == layout.ERROR
        assert str(hands.get(layout.LAST_ERROR)).startswith("StepBatch: ")
    finally:
        hands.book.names.add("OutErrors", f"={layout.OUT_ERRORS.absolute}")


def test_clearing_leaves_nothing_behind(hands: Hands, windows: Floats) -> None:
    hands.paste(windows[:2])
    hands.macro(layout.RUN_BATCH, layout.CLEAR_DATA, layout.CLEAR_RESULTS, layout.RESET_ENGINE)
    assert {value for row in hands.read(layout.data_area(3)) for value in row} == {None}
    assert {value for row in hands.read(layout.symbol_area(3)) for value in row} == {None}
    assert {value for row in hands.read(layout.results_area(1, 3)) for value in row} == {None}
    cells = (layout.STATE, layout.TICKER_COUNT, layout.NEXT_TICKER, layout.OUTPUT_ROW, layout.LAST_ERROR)
    assert [hands.get(cell) for cell in cells] == [layout.IDLE, 0, 1, 1, None]


@pytest.mark.parametrize("open_", [2.0, 5.0, 9.99, 10.0, 24.0, 75.0, 400.0])
def test_pp_follows_the_bracket_of_the_entry_price(hands: Hands, windows: Floats, open_: float) -> None:
    bars = np.repeat(windows[:1], 3, axis=0)
    bars[:, 0] = [
        [open_, open_ * 1.1, open_ * 0.9, open_ * 0.97, 1000.0],  # beyond every target
        [open_, open_ * 1.0001, open_ * 0.9, open_ * 0.97, 1000.0],  # below every target
        [open_, open_, open_, open_, 1000.0],
    ]
    hands.paste(bars)
    hands.macro(layout.RUN_BATCH)
    expected = NativeEngine().evaluate(bars, hands.parameters()).pp
    assert expected is not None
    found = [row[layout.PP_POSITION] for row in hands.read(layout.results_area(1, 3))]
    assert np.rint(np.array(found) * 1e6).astype(np.int64).tolist() == expected.tolist()
