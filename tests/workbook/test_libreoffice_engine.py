"""LibreOffice behind xlwings' public API: what a program written for Excel finds there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xlwings as xw

from engine.compute.workbook.cell_areas import Area, column_number
from engine.compute.workbook.layout import column_letters
from engine.compute.workbook.libreoffice_engine import register
from engine.compute.workbook.libreoffice_link import Installation, OfficeError


@pytest.fixture(scope="module")
def app(office: Installation) -> Iterator[xw.App]:
    opened = register().apps.add(add_book=False)
    yield opened
    opened.quit()


@pytest.fixture
def sheet(app: xw.App) -> Iterator[xw.Sheet]:
    book = app.books.add()
    yield book.sheets[0]
    book.close()


def test_the_engine_is_registered_once_and_active_where_excel_is_absent(app: xw.App) -> None:
    assert register() is register()
    assert xw.engines.active.name == "libreoffice"
    assert app.engine.name == "libreoffice"
    assert app.pid in list(xw.apps.keys())
    assert app.version.major >= 7


def test_values_of_every_kind_come_back_as_they_went(sheet: xw.Sheet) -> None:
    sheet["A1"].value = [[1, 2.5, "text"], [None, True, -1e-300]]
    assert sheet["A1:C2"].value == [[1.0, 2.5, "text"], [None, 1.0, -1e-300]]
    assert sheet["A1"].value == 1.0
    assert sheet["C1"].value == "text"
    assert sheet["A2"].value is None
    assert sheet["A1"].expand("right").value == [1.0, 2.5, "text"]


def test_every_bit_of_a_number_survives(sheet: xw.Sheet) -> None:
    numbers = np.random.default_rng(3).standard_normal((400, 7)) * 10.0 ** np.arange(-3, 4)
    sheet["B2"].options(np.array).value = numbers
    assert np.array_equal(sheet["B2:H401"].options(np.array).value, numbers)
    assert np.array_equal(np.array(sheet["B2:H401"].raw_value), numbers)


def test_data_frames_and_dates(sheet: xw.Sheet) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    sheet["A1"].value = frame
    assert sheet["A1"].options(pd.DataFrame, expand="table").value.equals(frame.set_index(pd.Index([0.0, 1.0])))
    sheet["F1"].value = datetime(2026, 11, 20, 12)
    assert sheet["F1"].value == 46346.5


def test_formulas_are_computed_and_error_values_never_look_like_numbers(sheet: xw.Sheet) -> None:
    sheet["A1"].value = [3, 4]
    sheet["A2"].formula = "=SQRT(A1*A1+B1*B1)"
    assert sheet["A2"].value == 5.0
    assert sheet["A2"].formula == "=SQRT(A1*A1+B1*B1)"
    sheet["A3"].formula = "=1/0"
    assert sheet["A3"].value is None
    assert sheet["A3"].raw_value == "#ERR"
    assert sheet["A3"].options(err_to_str=True).value == "#ERR"


def test_manual_calculation_waits_for_the_call(sheet: xw.Sheet) -> None:
    app = sheet.book.app
    sheet["A2"].formula = "=A1*2"
    app.calculation = "manual"
    sheet["A1"].value = 21
    assert app.calculation == "manual"
    assert sheet["A2"].value == 0.0
    app.calculate()
    assert sheet["A2"].value == 42.0
    app.calculation = "automatic"


def test_names_sheets_and_ranges(sheet: xw.Sheet) -> None:
    book = sheet.book
    added = book.sheets.add("More", after=sheet)
    assert [s.name for s in book.sheets] == [sheet.name, "More"]
    added["C3:D4"].value = [[1, 2], [3, 4]]
    book.names.add("Corner", "=More!$C$3:$D$4")
    assert "Corner" in book.names
    assert "Other" not in book.names
    assert book.names["Corner"].refers_to_range.address == "$C$3:$D$4"
    assert added["Corner"].value == [[1.0, 2.0], [3.0, 4.0]]
    assert added.used_range.address == "$C$3:$D$4"
    assert added.range((3, 3), (4, 4)).shape == (2, 2)
    assert added["C3"].end("down").address == "$C$4"
    added["C3:D4"].clear_contents()
    assert added["C3:D4"].value == [[None, None], [None, None]]
    del book.names["Corner"]
    added.delete()
    assert len(book.sheets) == 1


def test_saving_and_opening_again(app: xw.App, sheet: xw.Sheet, tmp_path: Path) -> None:
    sheet["A1"].value = "kept"
    target = tmp_path / "saved.xlsx"
    sheet.book.save(target)
    other = app.books.open(target)
    assert other.sheets[0]["A1"].value == "kept"
    assert {book.name for book in app.books} >= {"saved.xlsx"}


def test_a_macro_that_is_not_there_and_values_that_do_not_fit_are_refused(sheet: xw.Sheet) -> None:
    with pytest.raises(OfficeError, match="no macro Absent"):
        sheet.book.macro("Absent")()
    with pytest.raises(ValueError, match="do not fit"):
        sheet["A1:B2"].raw_value = [[1.0, 2.0, 3.0]]


def test_addresses() -> None:
    assert [column_number(column_letters(c)) for c in (1, 26, 27, 702, 703)] == [1, 26, 27, 702, 703]
    assert Area.parse("$B$3:C10") == Area(3, 2, 10, 3)
    assert Area.parse("C10:B3") == Area(3, 2, 10, 3)
    assert Area.parse("EngineState") is None
    assert Area.parse("B3").text() == "$B$3"  # type: ignore[union-attr]
