"""variation_results.db: every parameter set measured this week, one table ``results_<algo>`` an algorithm.

One writer at a time: the training worker (or the wipe, while no worker runs), under the
home's training lock. A cycle is one transaction over all algorithms, so a killed worker
resumes after the last whole cycle. (In the seed this database was optuna_10a_data_db.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from engine.database import BUSY_S, Database, Schema
from engine.errors import StorageError
from engine.records import VariationResult
from engine.spaces import ParameterSpace
from engine.storage.result_columns import (
    check_columns,
    column_list,
    create_statement,
    from_row,
    insert_statement,
    parameter_order,
    to_row,
)

_PREFIX = "results_"


class VariationResultsDb(Database):
    """The results of the week's training."""

    SCHEMA = Schema(
        title="variation_results database",
        application_id=0x54534852,  # "TSHR"
        migrations=(
            (
                "CREATE TABLE cycles (cycle INTEGER PRIMARY KEY, variations INTEGER NOT NULL)",
                "CREATE TABLE run (one INTEGER PRIMARY KEY CHECK (one = 1), run_key TEXT NOT NULL)",
            ),
        ),
        synchronous="NORMAL",
        remedy="run 'tshc weekend' to train the week anew (past weeks are in the archive folder)",
    )
    UNHASHED_TABLES = frozenset({"run"})

    _spaces: dict[str, ParameterSpace]

    @classmethod
    async def open(
        cls, path: Path, *, read_only: bool = False, busy_s: float = BUSY_S, spaces: Iterable[ParameterSpace] = ()
    ) -> Self:
        """As ``Database.open``; makes the table of each space that has none (an eleventh algorithm)."""
        database = await super().open(path, read_only=read_only, busy_s=busy_s)
        database._spaces = {space.algorithm: space for space in spaces}
        try:
            present = set(await database.tables())
            missing = [s for a, s in database._spaces.items() if _PREFIX + a not in present]
            if missing and not read_only:
                async with database.transaction() as connection:
                    for space in missing:
                        await connection.execute(create_statement(_PREFIX + space.algorithm, space))
            for space in database._spaces.values():
                if _PREFIX + space.algorithm in present:
                    await check_columns(database, _PREFIX + space.algorithm, space, 0)
        except BaseException:
            await database.close()
            raise
        return database

    async def append_cycle(self, cycle: int, rows: Sequence[VariationResult]) -> None:
        """Stores all algorithms' results of one cycle, or none of them.

        Cycle 0 is an exhaustive run and may come in many batches; any other cycle comes once.
        Raises StorageError when the cycle or one of its parameter sets is already stored.
        """
        by_algorithm: dict[str, list[VariationResult]] = {}
        for row in rows:
            if row.cycle != cycle:
                raise ValueError(f"a result of cycle {row.cycle} among those of cycle {cycle}")
            by_algorithm.setdefault(row.algorithm, []).append(row)
        merge = " ON CONFLICT (cycle) DO UPDATE SET variations = variations + excluded.variations"
        try:
            async with self.transaction() as connection:
                await connection.execute(
                    "INSERT INTO cycles VALUES (?, ?)" + (merge if cycle == 0 else ""), (cycle, len(rows))
                )
                for algorithm, results in by_algorithm.items():
                    statement = insert_statement(_PREFIX + algorithm, self._space(algorithm))
                    await connection.executemany(statement, [to_row(result) for result in results])
        except sqlite3.IntegrityError as error:
            raise StorageError(
                f"cycle {cycle} was not stored in {self.path}: {error}. A stored cycle or parameter set was "
                "offered again, or a score is not a number; report this, and continue with 'tshc weekend'"
            ) from error

    async def last_cycle(self) -> int:
        """The last whole cycle, 0 before the first (and for an exhaustive run)."""
        found = await self.row("SELECT MAX(cycle) FROM cycles")
        return int(found[0] or 0) if found else 0

    async def results(self, space: ParameterSpace) -> list[VariationResult]:
        """All results of one algorithm in the order they were tested: cycle, slot, parameters."""
        rows = await self.rows(
            f'SELECT {column_list(space)} FROM "{_PREFIX}{space.algorithm}" '
            f"ORDER BY cycle, slot, {parameter_order(space)}"
        )
        return [from_row(space, row) for row in rows]

    async def tested_picks(self, space: ParameterSpace) -> list[bytes]:
        """The picks of every result of one algorithm, by rising parameters."""
        table = _PREFIX + space.algorithm
        return [
            row[0] for row in await self.rows(f'SELECT picks FROM "{table}" ORDER BY {parameter_order(space)}')
        ]

    async def run_key(self) -> str | None:
        """What the stored results depend on (data set, seed, slots ...), or None before the first cycle."""
        found = await self.row("SELECT run_key FROM run")
        return None if found is None else str(found[0])

    async def set_run_key(self, key: str) -> None:
        async with self.transaction() as connection:
            await connection.execute("INSERT OR REPLACE INTO run VALUES (1, ?)", (key,))

    async def row_counts(self) -> dict[str, int]:
        """Rows of each results table, whether its algorithm still exists or not."""
        return {table: await self.count(table) for table in await self.tables() if table.startswith(_PREFIX)}

    async def wipe(self) -> None:
        """Empties the week: every results table goes, those of the open spaces come back empty."""
        tables = [table for table in await self.tables() if table.startswith(_PREFIX)]
        async with self.transaction() as connection:
            for table in tables:
                await connection.execute(f'DROP TABLE "{table}"')
            for space in self._spaces.values():
                await connection.execute(create_statement(_PREFIX + space.algorithm, space))
            await connection.execute("DELETE FROM cycles")
            await connection.execute("DELETE FROM run")

    def _space(self, algorithm: str) -> ParameterSpace:
        try:
            return self._spaces[algorithm]
        except KeyError:
            raise ValueError(f"the database was opened without the space of '{algorithm}'") from None
