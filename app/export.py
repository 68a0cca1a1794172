"""``tshc export``: any table of the home as CSV, for a spreadsheet or a notebook."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any, TextIO

from app.options import Options, say
from engine.database import Database
from engine.errors import EXIT_DONE, OperatorError, UsageError
from engine.journal import JournalDb
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb


async def export(options: Options, table: str | None, out: Path | None) -> int:
    """Writes ``table`` to ``out`` (or standard output); without a table lists what there is."""
    databases = await _open(options)
    try:
        if table is None:
            await _list(databases)
            return EXIT_DONE
        for database in databases:
            if table in await database.tables():
                names, rows = await database.content(table)
                _write(names, rows, out)
                say(f"{len(rows):,} rows of {table}" + (f" in {out}" if out else ""))
                return EXIT_DONE
    finally:
        for database in databases:
            await database.close()
    raise UsageError(f"no table '{table}' in {options.home.folder}: 'tshc export' without a name lists them")


async def _open(options: Options) -> list[Database]:
    home = options.home
    kinds: tuple[tuple[Any, Path], ...] = (
        (StocksDataDb, home.stocks_data),
        (VariationResultsDb, home.variation_results),
        (JournalDb, home.journal),
    )
    databases: list[Database] = [await kind.open(path, read_only=True) for kind, path in kinds if path.exists()]
    if not databases:
        raise OperatorError(f"{home.folder} holds no databases yet: run 'tshc weekend' first, or give --home")
    return databases


async def _list(databases: list[Database]) -> None:
    for database in databases:
        for name in await database.tables():
            print(f"{database.path.name:24} {name:24} {await database.count(name):>10,} rows")


def _write(names: list[str], rows: list[tuple[Any, ...]], out: Path | None) -> None:
    if out is None:
        _csv(sys.stdout, names, rows)
        return
    with out.open("w", newline="", encoding="utf-8") as file:
        _csv(file, names, rows)


def _csv(file: TextIO, names: list[str], rows: list[tuple[Any, ...]]) -> None:
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow([value.hex() if isinstance(value, bytes) else value for value in row])
