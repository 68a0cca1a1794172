"""Builds ``tsh_engine.xlsm`` from its sources: ``python -m workbook.build`` in the project's root.

The same sources always give the same bytes: no times, no random numbers, files stored
without compression (compressed bytes differ between zlib versions) in one order.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import zipfile
from datetime import datetime
from pathlib import Path

try:
    import xlsxwriter
except ImportError:
    sys.exit("building the workbook needs XlsxWriter: pip install -e '.[workbook]'")

from engine.compute.algorithms import ALGORITHMS
from engine.compute.workbook import layout
from workbook import plain_sheets
from workbook.block_sheet import write_block
from workbook.blocks import all_blocks
from workbook.help_sheet import write_help
from workbook.looks import Looks
from workbook.vba_project import Module, ModuleKind, vba_project

HERE = Path(__file__).resolve().parent
MACROS = HERE / "macros"
TARGET = HERE / layout.FILE_NAME
BORN = datetime(2025, 1, 1)  # in the document's properties
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
WORKBOOK_MODULE = "ThisWorkbook"
TAB_COLORS = {layout.HELP: "#7F7F7F", layout.CONTROL: "#BF9000", layout.DATA: "#BF9000", layout.TSH: "#BF9000",
              layout.WORK: "#7F7F7F", layout.OUT: "#548235", layout.RESULTS: "#548235"}  # fmt: skip


def sheet_module(sheet: str) -> str:
    """Code name of a sheet's document module."""
    return f"Sheet{sheet[0].upper()}{sheet[1:]}"


def modules() -> list[Module]:
    """Document modules (empty) and the macro sources, in the order of the project."""
    documents = [Module(WORKBOOK_MODULE, ModuleKind.WORKBOOK)]
    documents += [Module(sheet_module(sheet), ModuleKind.SHEET) for sheet in layout.SHEETS]
    sources = [
        Module(name, ModuleKind.STANDARD, (MACROS / f"{name}.bas").read_text("cp1252")) for name in layout.MODULES
    ]
    return documents + sources


def sample_bars() -> list[plain_sheets.Bar]:
    """65 invented bars, newest first: something to look at before the first batch."""
    bars = []
    close = 40.0
    for day in range(layout.DATA_ROWS):
        opened = close
        close = round(opened * (1 + 0.012 * math.sin(day * 0.7) + 0.006 * math.sin(day * 2.9)), 2)
        high, low = round(max(opened, close) * 1.006, 2), round(min(opened, close) * 0.994, 2)
        bars.append((opened, high, low, close, float(400_000 + 150_000 * (day * 7 % 11))))
    return bars[::-1]


def build() -> bytes:
    """The workbook's bytes."""
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written, {"in_memory": True})
    book.set_properties({"title": "TSH engine workbook", "author": "TSH Console", "created": BORN})
    book.set_calc_mode("manual")
    book.set_size(2400, 1400)
    book.add_vba_project(io.BytesIO(vba_project(modules())), is_stream=True)
    book.set_vba_name(WORKBOOK_MODULE)
    sheets = {}
    for name in layout.SHEETS:
        sheets[name] = book.add_worksheet(name)
        sheets[name].set_vba_name(sheet_module(name))
        sheets[name].set_tab_color(TAB_COLORS.get(name, "#1F3864"))
    for name, area in layout.defined_names():
        book.define_name(name, f"={area.absolute}")
    looks, sample = Looks(book), sample_bars()
    write_help(sheets[layout.HELP], looks)
    plain_sheets.write_control(sheets[layout.CONTROL], looks)
    plain_sheets.write_data(sheets[layout.DATA], looks, sample)
    plain_sheets.write_work(sheets[layout.WORK], looks, sample)
    plain_sheets.write_tsh(sheets[layout.TSH], looks)
    for block in all_blocks():
        write_block(sheets[block.algorithm], block, ALGORITHMS[block.algorithm], looks)
    plain_sheets.write_out(sheets[layout.OUT], looks)
    plain_sheets.write_results(sheets[layout.RESULTS], looks)
    book.close()
    return _stored(written.getvalue())


def _stored(compressed: bytes) -> bytes:
    """The same archive, its files in the same order, without compression and without times."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(compressed)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target,
    ):
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, ZIP_DATE)  # stored, not compressed
            entry.create_system = 0  # the same on every system
            target.writestr(entry, source.read(name))
    return out.getvalue()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workbook.build", description="Builds tsh_engine.xlsm.")
    parser.add_argument("--output", type=Path, default=TARGET, help="default: beside its sources")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when the file is out of date")
    options = parser.parse_args(arguments)
    content = build()
    if options.check:
        if not options.output.exists() or options.output.read_bytes() != content:
            print(
                f"{options.output} is not what its sources give: run 'python -m workbook.build'", file=sys.stderr
            )
            return 1
        print(f"{options.output} is what its sources give ({len(content):,} bytes)")
        return 0
    options.output.write_bytes(content)
    print(f"wrote {options.output} ({len(content):,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
