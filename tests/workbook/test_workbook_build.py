"""The built workbook is what its sources give, and what the layout promises. Without an office."""

from __future__ import annotations

import io
import random
import re
import zipfile
from pathlib import Path

import olefile
import pytest
from built_workbook import BuiltWorkbook, functions_of, read_workbook
from hypothesis import given
from hypothesis import strategies as st
from oletools.olevba import VBA_Parser, decompress_stream

from engine.brackets import DEFAULT_BRACKETS
from engine.compute import ALGORITHMS
from engine.compute.workbook import layout
from engine.model import BATCH_TICKERS, LOOKBACK, TICKERS, TRAINING_ROWS, ExitModel
from workbook import build
from workbook.compound_file import compound_file
from workbook.vba_project import Module, ModuleKind, compress

BUILT = build.TARGET
VOLATILE = {"OFFSET", "INDIRECT", "NOW", "TODAY", "RAND", "RANDBETWEEN", "RANDARRAY", "CELL", "INFO"}
EXCEL_2016 = {
    "ABS", "AND", "COUNT", "GESTEP", "IF", "IFERROR", "INDEX", "MAX", "MIN", "OR", "ROUND", "SQRT", "SUM",
    "SUMPRODUCT",
}  # fmt: skip
NOT_IN_BOTH_OFFICES = (
    ".Value2", ".End(", "StatusBar", "Debug.Print", "Evaluate", "CalculateFull", "Scripting.Dictionary", "Timer",
    "CreateObject",
)  # fmt: skip


@pytest.fixture(scope="module")
def book() -> BuiltWorkbook:
    return read_workbook(BUILT)


@pytest.fixture(scope="module")
def macros() -> dict[str, str]:
    return {name: (build.MACROS / f"{name}.bas").read_text("cp1252") for name in layout.MODULES}


# --- the file -------------------------------------------------------------------------


def test_the_committed_workbook_is_byte_for_byte_what_its_sources_give() -> None:
    assert build.build() == BUILT.read_bytes(), "run 'python -m workbook.build' and commit the file"


def test_building_again_gives_the_same_file_and_check_notices_another(tmp_path: Path) -> None:
    target = tmp_path / "again.xlsm"
    assert build.main(["--output", str(target)]) == 0
    assert target.read_bytes() == BUILT.read_bytes()
    target.write_bytes(target.read_bytes() + b" ")
    assert build.main(["--output", str(target), "--check"]) == 1


def test_the_archive_depends_on_no_time_and_no_compressor() -> None:
    with zipfile.ZipFile(BUILT) as archive:
        for entry in archive.infolist():
            assert entry.date_time == build.ZIP_DATE
            assert entry.compress_type == zipfile.ZIP_STORED


# --- the macros -----------------------------------------------------------------------


def test_olevba_extracts_exactly_the_macro_sources(book: BuiltWorkbook, macros: dict[str, str]) -> None:
    parser = VBA_Parser(str(BUILT))
    found = {name: code for _, _, name, code in parser.extract_macros()}
    parser.close()
    standard = {name.removesuffix(".bas"): code for name, code in found.items() if name.endswith(".bas")}
    assert {name: code.replace("\r\n", "\n") for name, code in standard.items()} == macros
    documents = {name.removesuffix(".cls") for name in found if name.endswith(".cls")}
    assert documents == {"ThisWorkbook", *(sheet.code_name for sheet in book.sheets.values())}


def test_every_macro_of_the_layout_exists_without_arguments(macros: dict[str, str]) -> None:
    for module, names in layout.MODULES.items():
        assert tuple(re.findall(r"^Public Sub (\w+)\(\)$", macros[module], re.MULTILINE)) == names


def test_every_entry_point_turns_an_error_into_the_error_state(macros: dict[str, str]) -> None:
    for module, names in layout.MODULES.items():
        for name in names:
            body = re.search(rf"Public Sub {name}\(\)\n(.*?)End Sub", macros[module], re.DOTALL)
            assert body is not None
            statements = [line.strip() for line in body[1].splitlines() if not line.strip().startswith("Dim ")]
            assert statements[0] == "On Error GoTo Failed", name
            assert f'Failed:\n    RecordError "{name}", Err.Description' in body[1], name


def test_macros_use_only_what_both_offices_know(macros: dict[str, str]) -> None:
    for module, source in macros.items():
        assert "Option Explicit" in source
        assert not [word for word in NOT_IN_BOTH_OFFICES if word in source], module
        assert source.isascii()


def test_macros_know_the_names_states_and_sizes_of_the_layout(macros: dict[str, str]) -> None:
    everything = "\n".join(macros.values())
    used = set(re.findall(r'(?:HelperCell|NamedRange)\("(\w+)"\)', everything))
    assert used <= {name for name, _ in layout.defined_names()}
    assert {cell.name for cell in layout.HELPER_CELLS} - used == {layout.EXIT_MODEL.name}  # a formula reads it
    assert set(re.findall(r'"([A-Z]{4,})"', everything)) == set(layout.STATES)
    sizes = dict(re.findall(r"Private Const (\w+) As Long = (\d+)", everything))
    assert sizes == {
        "RowsOfTicker": str(layout.DATA_ROWS),
        "MostTickers": str(layout.BATCH_TICKERS),
        "MostResults": str(layout.RESULT_ROWS),
    }


def test_a_macro_source_under_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="must open with"):
        _ = Module("Wanted", ModuleKind.STANDARD, 'Attribute VB_Name = "Other"\n').text


@given(st.lists(st.sampled_from([b"Dim ", b"ticker", b" As Long\r\n", b"x", b"    ", b"\xe9"]), max_size=4000))
def test_compressed_text_reads_back(words: list[bytes]) -> None:
    text = b"".join(words)
    assert bytes(decompress_stream(bytearray(compress(text)))) == text


@given(st.binary(max_size=3000))
def test_compressed_bytes_of_any_kind_read_back(content: bytes) -> None:
    assert bytes(decompress_stream(bytearray(compress(content)))) == content


def test_a_chunk_that_does_not_shrink_is_stored_raw() -> None:
    noise = random.Random(5).randbytes(4096)
    packed = compress(noise)
    assert len(packed) == 1 + 2 + 4096
    assert bytes(decompress_stream(bytearray(packed))) == noise


@given(st.lists(st.integers(0, 9000), min_size=1, max_size=40))
def test_a_compound_file_holds_streams_of_every_size(sizes: list[int]) -> None:
    streams = {f"s{number}": bytes([number % 256]) * size for number, size in enumerate(sizes)}
    content = compound_file({"VBA": streams, "PROJECT": b"text"})
    with olefile.OleFileIO(io.BytesIO(content)) as read:
        assert not read.parsing_issues
        assert read.openstream("PROJECT").read() == b"text"
        for name, stream in streams.items():
            assert read.openstream(f"VBA/{name}").read() == stream


def test_the_project_is_not_protected_and_lists_every_module(book: BuiltWorkbook) -> None:
    with olefile.OleFileIO(io.BytesIO(book.macros)) as project:
        text = project.openstream("PROJECT").read().decode("cp1252")
    fields = dict(line.split("=", 1) for line in text.splitlines() if line.count("=") == 1)
    assert _revealed(fields["CMG"], fields["ID"]) == bytes(4)
    assert _revealed(fields["DPB"], fields["ID"]) == b"\0"
    assert _revealed(fields["GC"], fields["ID"]) == b"\xff"
    assert re.findall(r"^Module=(\w+)", text, re.MULTILINE) == list(layout.MODULES)
    documents = re.findall(r"^Document=(\w+)/&H00000000", text, re.MULTILINE)
    assert documents == ["ThisWorkbook", *(sheet.code_name for sheet in book.sheets.values())]


def _revealed(quoted: str, project_id: str) -> bytes:
    """Data decryption of MS-OVBA 2.4.3.3; fails when version, key or length do not fit."""
    coded = bytes.fromhex(quoted.strip('"'))
    seed, version, key = coded[0], coded[0] ^ coded[1], coded[0] ^ coded[2]
    assert version == 2
    assert key == sum(project_id.strip('"').encode()) & 0xFF
    plain, before, last = key, coded[1], coded[2]
    out = bytearray()
    for byte in coded[3:]:
        plain = byte ^ (before + plain & 0xFF)
        before, last = last, byte
        out.append(plain)
    content = out[(seed & 6) // 2 :]
    assert int.from_bytes(content[:4], "little") == len(content) - 4
    return bytes(content[4:])


# --- sheets, names, cells -------------------------------------------------------------


def test_sheets_names_and_calculation_mode_are_the_layouts(book: BuiltWorkbook) -> None:
    assert tuple(book.sheets) == layout.SHEETS
    assert {name: area.absolute for name, area in layout.defined_names()} == {
        name: _quoted(target) for name, target in book.names.items() if not name.startswith("_xlnm.")
    }
    assert book.calculation == "manual"
    assert all(sheet.frozen for sheet in book.sheets.values())
    assert len({sheet.code_name for sheet in book.sheets.values()}) == len(layout.SHEETS)


def _quoted(target: str) -> str:
    sheet, _, cells = target.rpartition("!")
    return f"'{sheet.strip(chr(39))}'!{cells}"


def test_the_layout_speaks_of_the_same_sizes_and_algorithms_as_the_program() -> None:
    names = {name: space.names for name, space in ALGORITHMS.items()}
    assert names == layout.BLOCKS
    assert list(layout.BLOCKS) == list(ALGORITHMS)
    assert (layout.BATCH_TICKERS, layout.DATA_ROWS, layout.WINDOW_ROWS) == (BATCH_TICKERS, TRAINING_ROWS, LOOKBACK)
    assert layout.RESULT_ROWS == TICKERS
    assert tuple(ExitModel) == layout.EXIT_MODELS


def test_helper_cells_hold_what_the_layout_says(book: BuiltWorkbook) -> None:
    values = book.sheets[layout.CONTROL].values
    for cell in layout.HELPER_CELLS:
        assert values[f"A{cell.row}"] == cell.name
        assert values.get(cell.area.address, "") == cell.start
        assert values[f"C{cell.row}"] == cell.meaning


def test_every_parameter_cell_holds_a_point_of_its_space_under_its_name(book: BuiltWorkbook) -> None:
    for algorithm, names in layout.BLOCKS.items():
        area, values = layout.parameter_area(algorithm), book.sheets[algorithm].values
        space = ALGORITHMS[algorithm]
        for row, name in enumerate(names):
            assert values[f"A{area.row + row}"] == name
        points = {space.reals(point) for point in space.enumerate()}
        for slot in range(layout.SLOTS):
            column = tuple(values[area.cell(row, slot).address] for row in range(area.rows))
            assert column in points, f"{algorithm} variation {slot + 1}: {column}"


def test_brackets_in_cells_are_the_default_ones(book: BuiltWorkbook) -> None:
    values, area = book.sheets[layout.TSH].values, layout.BRACKETS
    rows = [[values.get(area.cell(row, column).address) for column in range(5)] for row in range(area.rows)]
    expected = [[b.floor_price, b.target_pct, b.arm_pct, b.trail_pct, b.protective_pct] for b in DEFAULT_BRACKETS]
    assert rows == expected + [[None] * 5] * (area.rows - len(expected))


def test_out_names_and_links_all_eighty_flags(book: BuiltWorkbook) -> None:
    out = book.sheets[layout.OUT]
    for algorithm in layout.BLOCKS:
        for slot in range(layout.SLOTS):
            at = layout.FLAGS_POSITION + layout.flag_position(algorithm, slot)
            flag = layout.OUT_ROW.cell(0, at)
            assert out.formulas[flag.address] == layout.buy_area(algorithm).cell(0, slot).absolute
            heading = layout.Area(layout.OUT, flag.row - 1, flag.column).address
            assert out.values[heading] == f"{algorithm} {slot + 1}"
            below = layout.Area(layout.RESULTS, layout.RESULT_FIRST_ROW - 1, flag.column).address
            assert book.sheets[layout.RESULTS].values[below] == f"{algorithm} {slot + 1}"


# --- formulas -------------------------------------------------------------------------


def test_formulas_are_plain_and_nothing_is_volatile(book: BuiltWorkbook) -> None:
    count = 0
    for sheet, address, formula in book.formulas():
        used = functions_of(formula)
        assert not used & VOLATILE, f"{sheet}!{address}"
        assert used <= EXCEL_2016, f"{sheet}!{address} uses {used - EXCEL_2016}"
        count += 1
    assert 10_000 < count < 20_000


def test_every_answer_turns_an_error_into_the_mark(book: BuiltWorkbook) -> None:
    for algorithm in layout.BLOCKS:
        for slot in range(layout.SLOTS):
            formula = book.sheets[algorithm].formulas[layout.buy_area(algorithm).cell(0, slot).address]
            assert re.fullmatch(r'IFERROR\(IF\(.*,"#ERR"\),"#ERR"\)', formula)
    for area in (layout.WORK_CHECK, layout.PP):
        assert "IFERROR(" in book.sheets[area.sheet].formulas[area.address]


def test_variations_of_a_block_differ_in_nothing_but_their_columns(book: BuiltWorkbook) -> None:
    """The formula above every variation is the first one's, moved: no slot is computed in another way."""
    first, last = layout.column_letters(layout.SLOT_COLUMN), layout.SLOT_COLUMN + layout.SLOTS - 1
    for algorithm in layout.BLOCKS:
        sheet = book.sheets[algorithm]
        for row in range(layout.VALID_ROW, layout.TEST_ROW + layout.MOST_TESTS * layout.TEST_ROWS):
            shapes = {
                re.sub(
                    r"\$?[A-Z]{1,3}\$?\d+", "cell", sheet.formulas.get(f"{layout.column_letters(column)}{row}", "")
                )
                for column in range(layout.SLOT_COLUMN, last + 1)
            }
            assert len(shapes) == 1, f"{algorithm} row {row} from {first}"
