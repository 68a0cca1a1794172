"""wipe_weekly_results: last week's results, pruned and group tables into a dated archive, then away.

Two databases cannot be wiped in one atomic step, so the order makes it safe: copy both,
verify both, note it, wipe one, note it, wipe the other, note it. A kill anywhere leaves
either the originals or the verified copies whole, and running the stage again finishes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from engine.database import Database, verify_copy
from engine.errors import RefusedError, StorageError
from engine.home import FileLock, Home
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb

STAGE = "wipe_weekly_results"
_MOST_COPIES = 1000  # of one week; more means that something loops


@dataclass(frozen=True, slots=True)
class WipeReport:
    """What was archived: the files' names (none when there was nothing) and how many rows they saved."""

    files: tuple[str, ...]
    rows: int

    @property
    def summary(self) -> str:
        if not self.files:
            return "nothing to archive: the tables were empty"
        return f"{self.rows:,} rows archived in {' and '.join(self.files)}, tables empty"


async def wipe_weekly_results(
    home: Home,
    stocks: StocksDataDb,
    today: date,
    progress: Mapping[str, Any],
    record: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> WipeReport:
    """Archives and wipes. ``progress`` is what an earlier, killed call last gave to ``record`` ({} at first).

    ``record`` must have stored its argument for good when it returns (the journal's stage
    progress). Raises RefusedError while a training worker runs, StorageError when a copy
    cannot be made or verified; the originals are then untouched.
    """
    lock = FileLock(home.training_lock)
    if not lock.acquire():
        raise RefusedError(
            "the training worker of this home is running and owns variation_results.db: nothing was wiped. "
            "Stop the training first ('tshc engine stop' ends everything), then run 'tshc weekend'"
        )
    try:
        results = await VariationResultsDb.open(home.variation_results)
        try:
            return await _wipe(home.archive, results, stocks, today, dict(progress), record)
        finally:
            await results.close()
    finally:
        lock.release()


async def _wipe(
    archive: Path,
    results: VariationResultsDb,
    stocks: StocksDataDb,
    today: date,
    state: dict[str, Any],
    record: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> WipeReport:
    databases: tuple[Database, ...] = (results, stocks)
    if "names" not in state:
        outcome, _ = await stocks.final_groups()
        week = today if outcome is None else outcome.week
        # The names are noted before the files are made: a half-made copy of ours may be replaced, no other.
        state["names"] = [_free_name(archive, week, database) for database in databases]
        await record(state)
    if "files" not in state:
        counts = [await results.row_counts(), await stocks.group_row_counts()]
        rows = sum(sum(tables.values()) for tables in counts)
        files = dict(zip(state["names"], counts, strict=True)) if rows else {}
        if files:
            for database, name in zip(databases, state["names"], strict=True):
                await database.backup_to(archive / name)
                await verify_copy(archive / name, files[name])
        state |= {"files": files, "rows": rows}
        await record(state)
    # The copies are looked at again: between the note and the wipe lie perhaps a kill and a careless hand.
    if not state.get("results_wiped") or not state.get("groups_wiped"):
        for name, counts in state["files"].items():
            await verify_copy(archive / name, counts)
    if not state.get("results_wiped"):
        await results.wipe()
        state["results_wiped"] = True
        await record(state)
    if not state.get("groups_wiped"):
        await stocks.wipe_groups()
        state["groups_wiped"] = True
        await record(state)
    return WipeReport(tuple(state["files"]), int(state["rows"]))


def _free_name(archive: Path, week: date, database: Database) -> str:
    """A file name that the archive does not hold yet."""
    for number in range(1, _MOST_COPIES):
        suffix = "" if number == 1 else f"-{number}"
        name = f"{week.isoformat()}-{database.path.stem}{suffix}.db"
        if not (archive / name).exists():
            return name
    raise StorageError(
        f"{archive} holds {_MOST_COPIES} archives of {week}; move the older ones away and try again"
    )
