"""``tshc workbook``: does the workbook agree with the native kernels, and building it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.options import Options, print_json, say
from engine.compute import ALGORITHMS, close_engine, open_engine
from engine.compute.agreement import Agreement, compare_engines
from engine.compute.check_material import edge_sets, seeded_windows
from engine.compute.protocol import OfficeEngine
from engine.errors import EXIT_DONE, EXIT_FAILED, UsageError
from engine.home import Home
from engine.model import DAYS, LOOKBACK, MICRO, Floats
from engine.settings import Settings
from engine.storage.stocks_data_db import StocksDataDb

SOURCES = Path(__file__).parents[1]
NAMES = ("native", "workbook")
SHOWN = 20  # differences printed in full


@dataclass(frozen=True)
class _Material:
    windows: Floats  # [tickers, 65, 5]
    labels: tuple[str, ...]  # how a report calls each of them
    what: str


def check(options: Options, tickers: int, seed: int) -> int:
    """Both modes on real bars when the home holds a training week, else on seeded ones; 1 on a disagreement."""
    settings = options.settings().settings
    material = asyncio.run(_material(options.home, tickers, seed))
    account, office = _compared(settings, material, seed, quiet=options.as_json)
    if options.as_json:
        print_json(_plain(account, material, office))
    else:
        _print(account, material, office)
    return EXIT_DONE if account.agree else EXIT_FAILED


async def _material(home: Home, tickers: int, seed: int) -> _Material:
    """Real windows from the home's training week, day1 first; seeded ones when it has none."""
    if home.stocks_data.exists():
        stocks = await StocksDataDb.open(home.stocks_data, read_only=True)
        try:
            if await stocks.sessions():
                days = [await stocks.day_windows(day) for day in range(1, DAYS + 1)]
                real = np.concatenate([windows for _, windows in days])[:tickers]
                called = [f"{symbol}, day {day}" for day, (symbols, _) in enumerate(days, 1) for symbol in symbols]
                what = f"{len(real):,} windows of the training week in {home.folder}"
                return _Material(real, tuple(called[:tickers]), what)
        finally:
            await stocks.close()
    labels = tuple(f"window {number}" for number in range(1, tickers + 1))
    return _Material(seeded_windows(seed, tickers), labels, f"{tickers:,} seeded windows (seed {seed})")


def _compared(settings: Settings, material: _Material, seed: int, *, quiet: bool) -> tuple[Agreement, str]:
    account = Agreement(NAMES)
    sets = edge_sets(seed)
    table, model = settings.execution.bracket_table(), settings.training.exit_model
    native = open_engine("native", brackets=table, exit_model=model)
    book = open_engine("workbook", brackets=table, exit_model=model, workbook=settings.workbook)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
            task = bar.add_task("starting offices", total=2 * len(material.windows))
            book.warm_up(lambda *_: None)
            bar.update(task, description="comparing tickers")
            trained, executed = material.windows, material.windows[:, 1:].copy()
            assert executed.shape[1] == LOOKBACK

            def done(count: int) -> None:
                bar.advance(task, count)

            compare_engines(native, book, trained, sets, "training", account, done)
            compare_engines(native, book, executed, sets, "execution", account, done)
        office = book.status().office if isinstance(book, OfficeEngine) else ""
    finally:
        close_engine(book)
    return account, office


def _plain(account: Agreement, material: _Material, office: str) -> dict[str, Any]:
    return {
        "agree": account.agree,
        "office": office,
        "compared_on": material.what,
        "algorithms": {
            name: {
                "cells": account.cells[name],
                "disagreements": account.disagreements[name],
                "ties": account.ties[name],
            }
            for name in ALGORITHMS
        },
        "pp": {
            "cells": account.pp_cells,
            "disagreements": account.pp_disagreements,
            "largest_difference_pct": account.largest_pp / MICRO,
        },
        "differences": [
            {"where": material.labels[d.ticker], "tie": d.tie, "text": d.text(account.names)}
            for d in account.found[:SHOWN]
        ],
    }


def _print(account: Agreement, material: _Material, office: str) -> None:
    table = Table(title=f"native against {office}: {material.what}, training and execution", title_justify="left")
    for column in ("", "cells compared", "disagreements", "ties", "largest PP difference, %"):
        table.add_column(column, justify="left" if not column else "right")
    for name in ALGORITHMS:
        table.add_row(
            name, f"{account.cells[name]:,}", str(account.disagreements[name]), str(account.ties[name]), ""
        )
    table.add_row(
        "PP", f"{account.pp_cells:,}", str(account.pp_disagreements), "", f"{account.largest_pp / MICRO:.6f}"
    )
    Console().print(table, highlight=False)
    for difference in account.found[:SHOWN]:
        kind = "tie" if difference.tie else "DISAGREEMENT"
        say(f"{kind}: {material.labels[difference.ticker]}: {difference.text(account.names)}")
    if len(account.found) > SHOWN:
        say(f"and {len(account.found) - SHOWN} more")
    say("the backends agree" if account.agree else "THE BACKENDS DISAGREE: do not train on either")


def build() -> int:
    """Runs the build script beside the workbook's sources; UsageError in an installation without them."""
    if not (SOURCES / "workbook" / "build.py").exists():
        raise UsageError(
            "this installation has no workbook sources: build from a checkout of the project ('pip install -e .')"
        )
    return subprocess.run([sys.executable, "-m", "workbook.build"], cwd=SOURCES, check=False).returncode
