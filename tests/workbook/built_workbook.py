"""Reads the built workbook's XML: sheets, formulas, values, names. Standard library only."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


@dataclass(frozen=True)
class Sheet:
    """Cells by address (``C5``): formulas without ``=``, and the values of the other cells."""

    name: str
    code_name: str
    frozen: bool
    formulas: dict[str, str] = field(default_factory=dict)
    values: dict[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltWorkbook:
    sheets: dict[str, Sheet]
    names: dict[str, str]
    calculation: str
    macros: bytes

    def formulas(self) -> Iterator[tuple[str, str, str]]:
        """Sheet, address, formula."""
        for sheet in self.sheets.values():
            for address, formula in sheet.formulas.items():
                yield sheet.name, address, formula


def read_workbook(path: Path) -> BuiltWorkbook:
    with zipfile.ZipFile(path) as archive:
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        targets = {relation.get("Id"): relation.get("Target") for relation in relations}
        texts = [
            "".join(part.text or "" for part in item.iter(f"{MAIN}t"))
            for item in ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
        ]
        sheets = {}
        for entry in book.iter(f"{MAIN}sheet"):
            name = str(entry.get("name"))
            content = archive.read(f"xl/{targets[entry.get(RELATION)]}")
            sheets[name] = _sheet(name, ElementTree.fromstring(content), texts)
        calculation = book.find(f"{MAIN}calcPr")
        assert calculation is not None
        return BuiltWorkbook(
            sheets=sheets,
            names={str(entry.get("name")): str(entry.text) for entry in book.iter(f"{MAIN}definedName")},
            calculation=str(calculation.get("calcMode")),
            macros=archive.read("xl/vbaProject.bin"),
        )


def _sheet(name: str, root: ElementTree.Element, texts: list[str]) -> Sheet:
    properties = root.find(f"{MAIN}sheetPr")
    assert properties is not None
    found = Sheet(name, str(properties.get("codeName")), root.find(f".//{MAIN}pane[@state='frozen']") is not None)
    for cell in root.iter(f"{MAIN}c"):
        address = str(cell.get("r"))
        formula, value = cell.find(f"{MAIN}f"), cell.find(f"{MAIN}v")
        if formula is not None:
            assert formula.attrib == {}, f"{name}!{address}: a shared or array formula"
            found.formulas[address] = str(formula.text)
        elif value is not None:
            text = str(value.text)
            found.values[address] = texts[int(text)] if cell.get("t") == "s" else float(text)
    return found


def functions_of(formula: str) -> set[str]:
    """Names of the functions that a formula calls."""
    return set(re.findall(r"([A-Z_][A-Z0-9_.]*)\(", re.sub(r'"[^"]*"', "", formula)))
