"""Exports: every table of every screen, all fields, full precision, units; never over another file."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
import recorded_board
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, until
from hypothesis import given
from hypothesis import strategies as st

from app.console import TshConsole
from app.exporter import exportable, file_stem
from app.table_export import csv_text, fields_of, header, unit_of, write_new
from app.widgets.groups_panels import LanesPanel
from app.widgets.table import Table
from engine.views import EventView, GateView, GroupRow, LaneView, OrderRow, PositionRow, ShortlistRow, StageView

AT = datetime(2026, 11, 20, 15, 42, 7, 123456, tzinfo=UTC)


def read(text: str) -> tuple[list[str], list[dict[str, str]]]:
    """What any reader of RFC 4180 sees."""
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    names = [name.partition(" (")[0] for name in rows[0]]
    assert all(len(row) == len(names) for row in rows)
    return rows[0], [dict(zip(names, row, strict=True)) for row in rows[1:]]


def row_kinds() -> set[type]:
    """The row type of every table of the console, and of the panels that draw rows."""
    kinds: set[type] = {LaneView, StageView, GateView}
    pending = list(Table.__subclasses__())
    while pending:
        table = pending.pop()
        pending += table.__subclasses__()
        for base in getattr(table, "__orig_bases__", ()):
            kinds |= {kind for kind in get_args(base) if isinstance(kind, type)}
    return kinds


def test_every_number_of_every_table_has_a_unit_or_is_a_count() -> None:
    kinds = row_kinds()
    assert {PositionRow, OrderRow, EventView, GroupRow, ShortlistRow} <= kinds
    for kind in kinds:
        for name, annotation in fields_of(kind).items():
            if "float" in str(annotation) or "Decimal" in str(annotation):
                assert unit_of(kind, name, annotation), f"{kind.__name__}.{name}: say its unit in UNITS"


def test_numbers_are_exact_times_are_utc_and_unknown_is_empty() -> None:
    row = PositionRow(symbol="ABCD", shares=412, entry=Decimal("60.7100"), pnl_pct=0.1 + 0.2, stale=True)
    titles, rows = read(csv_text([row]))
    assert "entry ($)" in titles
    assert "pnl_pct (%)" in titles
    assert "age_s (s)" in titles
    assert "shares" in titles
    assert rows[0]["entry"] == "60.7100"
    assert float(rows[0]["pnl_pct"]) == 0.1 + 0.2
    assert rows[0]["last"] == ""
    assert rows[0]["stale"] == "true"
    order = OrderRow(at=AT, symbol="ABCD", side="buy", shares=3)
    titles, rows = read(csv_text([order]))
    assert "at (UTC)" in titles
    assert rows[0]["at"] == "2026-11-20T15:42:07.123456Z"


def test_lines_end_as_rfc_4180_says_and_lists_are_json() -> None:
    text = csv_text([ShortlistRow(rank=1, symbol="A", parts={"gap_risk": 0.25}, sparkline=(1.5, 2.0))])
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    _, rows = read(text)
    assert rows[0]["parts"] == '{"gap_risk": 0.25}'
    assert rows[0]["sparkline"] == "[1.5, 2.0]"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives_and_none_is_a_formula(text: str) -> None:
    row = EventView(seq=1, at=AT, kind="news", level="info", text=text)
    _, rows = read(csv_text([row]))
    found = rows[0]["text"]
    assert not found.startswith(("=", "+", "-", "@", "\t"))
    assert found == text or found == "'" + text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_bit_by_bit(value: float) -> None:
    _, rows = read(csv_text([GroupRow(rank=1, score=value)]))
    assert float(rows[0]["score"]) == value


def test_a_dataclass_can_be_a_row_too() -> None:
    @dataclasses.dataclass(frozen=True)
    class Gate:
        name: str
        wait_s: float
        day: date

    assert header(Gate) == ["name", "wait_s (s)", "day"]
    assert read(csv_text([Gate("spread", 1.5, date(2026, 11, 20))]))[1][0]["day"] == "2026-11-20"


def test_a_file_that_exists_is_never_written_over(tmp_path: Path) -> None:
    paths = [write_new(tmp_path / "exports", "orders", ".csv", str(n), AT) for n in range(3)]
    assert [p.name for p in paths] == [
        "orders-20261120T154207Z.csv",
        "orders-20261120T154207Z-2.csv",
        "orders-20261120T154207Z-3.csv",
    ]
    assert [p.read_text() for p in paths] == ["0", "1", "2"]


# --- from the console -------------------------------------------------------------------------------


def exports(engine: RecordedEngine) -> list[Path]:
    return sorted((engine.home.folder / "exports").glob("*"))


async def test_the_key_exports_the_marked_table_and_says_where(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5", "e")
        await until(lambda: " in " in said(app))
        await pilot.press("tab", "e")
        await until(lambda: len(exports(engine)) == 2)
        await until(lambda: "orders-" in said(app))
    orders, positions = exports(engine)
    assert file_stem_of(orders) == "orders"
    assert file_stem_of(positions) == "positions"
    assert str(positions) in said(app)
    _, rows = read(positions.read_text(encoding="utf-8"))
    assert [row["symbol"] for row in rows] == [row.symbol for row in recorded.positions().rows]
    assert [row["entry"] for row in rows] == [str(row.entry) for row in recorded.positions().rows]


def file_stem_of(path: Path) -> str:
    return re.sub(r"-\d{8}T\d{6}Z(-\d+)?$", "", path.stem)


async def test_every_table_of_every_screen_is_in_the_palette_and_is_written_whole(
    engine: RecordedEngine, app: TshConsole
) -> None:
    wanted: dict[str, int] = {}
    engine.board.board = recorded_board.board()
    async with app.run_test(size=(80, 24)) as pilot:  # columns that a narrow terminal drops are exported too
        await painted(pilot, app)
        for mode in TshConsole.MODES:
            await pilot.press(app.shown_keys[f"go.{mode}"])
            await pilot.pause()
            screen = app.screen
            here = {file_stem(box): len(box.rows_to_export()) for box in exportable(screen)}
            with_rows = {file_stem(t) for t in screen.query(Table) if t.rows and t.display}
            assert with_rows <= set(here)
            if screen.query(LanesPanel):
                assert "lanes" in here
            wanted |= here
            commands = {c.title: c.callback for c in app.get_system_commands(screen)}
            for stem in here:
                commands[f"Export {stem} as CSV"]()
        await until(lambda: len(exports(engine)) == len(wanted))
    assert set(wanted) >= {
        "positions",
        "orders",
        "groups",
        "lanes",
        "shortlist",
        "journal",
        "algorithms",
        "alerts",
        "board",
    }
    for path in exports(engine):
        _, rows = read(path.read_text(encoding="utf-8"))
        assert len(rows) == wanted[file_stem_of(path)], path.name


async def test_the_picture_of_the_screen_is_an_svg_of_what_is_seen(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("5", "E")
        await until(lambda: exports(engine))
        await until(lambda: "the screen in" in said(app))
    (path,) = exports(engine)
    assert path.name.startswith("screen-positions-")
    assert path.suffix == ".svg"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "KLMN" in text


async def test_an_empty_table_and_a_folder_that_cannot_be_written_are_said(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("6", "e")
        await until(lambda: "there is no row to export on this screen" in said(app))
        (engine.home.folder / "exports").write_text("a file is in the way", encoding="utf-8")
        await pilot.press("5", "e")
        await until(lambda: "not exported into" in said(app))


async def test_what_is_filtered_is_what_is_exported(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("slash", *"abcd", "enter")
        await pilot.pause()
        table: Any = app.screen.query_one(Table)
        shown = [row.seq for row in table.rows]
        app.exporter.marked_table()
        await until(lambda: exports(engine))
        await until(lambda: " in " in said(app))
    _, rows = read(exports(engine)[0].read_text(encoding="utf-8"))
    assert [int(row["seq"]) for row in rows] == shown
    assert 0 < len(shown) < len(recorded.events())


@pytest.mark.parametrize("mode", ["positions", "journal"])
async def test_an_export_changes_nothing_in_the_engine(engine: RecordedEngine, app: TshConsole, mode: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press(app.shown_keys[f"go.{mode}"])
        app.exporter.marked_table()
        await until(lambda: exports(engine))
    assert engine.commands == []
