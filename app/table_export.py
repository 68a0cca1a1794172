"""Any table of the console as a file: every field of its rows, in full precision, with its unit.

What stands on the screen is rounded and drops columns; the file has the rows as the engine gave
them. CSV by RFC 4180 (comma, CRLF, quotes doubled), UTF-8, one header line, ``name (unit)``. Times are
UTC in ISO 8601, unknown is empty, lists and tables inside a field are JSON.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter

from engine.model import UTC

FOLDER = "exports"
POINTS, SHARE, DAY = "percentage points", "0..1", "%/day"
# Units that neither the name (_pct, _s, _ms) nor the type (Decimal is dollars) tells, by row and field.
UNITS: Mapping[str, Mapping[str, str]] = {
    "AlgorithmRow": {
        "best": POINTS, "top100": POINTS, "trend": POINTS, "median": POINTS, "median_trend": POINTS,
        "buys_day": "1/day", "worst_day": "%",
    },
    "ForwardRow": {
        "pp_excess": DAY, "pp_error": DAY, "tsh_excess": DAY, "tsh_error": DAY, "traded_live_excess": DAY,
    },
    "GroupRow": {
        "score": POINTS, "selection_score": POINTS, "mean_day": DAY, "worst_day": "%", "picks_day": "1/day",
        "overlap": SHARE, "p_value": SHARE, "holdout_mean": DAY, "holdout_error": DAY,
    },
    "LaneView": {
        "tests_per_s": "1/s", "granted": "thread s", "used": "thread s", "donated": "thread s",
        "received": "thread s",
    },
    "ShortlistRow": {
        "score": SHARE, "rank_score": SHARE, "parts": SHARE, "month_pct": DAY, "close": "$", "sparkline": "$",
        "news_score": "-1..1",
    },
    "StageView": {"seconds": "s", "progress": SHARE},
}  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula; news and notes come from outside.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def fields_of(kind: type) -> dict[str, Any]:
    """The fields of a row and their types: of a view, or of a dataclass."""
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    raise TypeError(f"{kind.__name__} is neither a view nor a dataclass")


def unit_of(kind: type, name: str, annotation: Any) -> str:
    """The unit of a field, ``""`` for words and counts."""
    known = UNITS.get(kind.__name__, {}).get(name)
    if known is not None:
        return known
    for ending, unit in (("_pct", "%"), ("_ms", "ms"), ("_s", "s")):
        if name.endswith(ending):
            return unit
    text = str(annotation)
    if "Decimal" in text:
        return "$"
    return "UTC" if "datetime.datetime" in text else ""


def header(kind: type) -> list[str]:
    cells: list[str] = []
    for name, annotation in fields_of(kind).items():
        unit = unit_of(kind, name, annotation)
        cells.append(f"{name} ({unit})" if unit else name)
    return cells


def csv_text(rows: Sequence[object]) -> str:
    """The rows (all of one kind, at least one) as the text of a CSV file."""
    kind = type(rows[0])
    names = list(fields_of(kind))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header(kind))
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in names])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return "'" + value if value.startswith(FORMULA_STARTS) else value
    if not value:
        return ""
    return json.dumps(TypeAdapter(Any).dump_python(value, mode="json"), ensure_ascii=False)


def write_new(folder: Path, stem: str, suffix: str, text: str, at: datetime) -> Path:
    """Writes ``text`` into a file that did not exist before, and returns its path. OSError as it comes."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        tail = f"-{number}" if number > 1 else ""
        path = folder / f"{stem}-{stamp}{tail}{suffix}"
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except FileExistsError:
            number += 1
        else:
            return path
