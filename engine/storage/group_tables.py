"""What mp1_p3 and mp2_p2 decide: ``pruned_<algo>``, ``final_groups`` and how the search ended.

Percent columns are percentage points of mean excess unless named otherwise; picks are the
one blob, everything else can be read in the sqlite3 shell.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import date

from engine.database import Database, Row, marks
from engine.errors import StorageError
from engine.model import DAYS, ParameterSet
from engine.records import FinalGroup, PrunedVariation, SearchOutcome
from engine.spaces import ParameterSpace
from engine.storage.result_columns import (
    check_columns,
    column_list,
    create_statement,
    from_row,
    insert_statement,
    to_row,
)

_PREFIX = "pruned_"
_DAYS = range(1, DAYS + 1)
_GROUP_COLUMNS = (
    "rank INTEGER PRIMARY KEY",
    "selected INTEGER UNIQUE CHECK (selected IN (1, 2))",
    "members TEXT NOT NULL",
    "size INTEGER NOT NULL",
    "score REAL NOT NULL",
    "mean REAL NOT NULL",
    "deviation REAL NOT NULL",
    *(f"mean_day{d} REAL NOT NULL" for d in _DAYS),
    *(f"picks_day{d} INTEGER NOT NULL" for d in _DAYS),
    "pp_mean REAL NOT NULL",
    "leave_one_out REAL NOT NULL",
    "selection_score REAL NOT NULL",
    "standard_error REAL NOT NULL",
    "holdout_mean REAL",
    "holdout_error REAL",
    *(f"holdout_picks_day{d} INTEGER" for d in _DAYS),
    "p_value REAL",
    "overlap_first REAL",
    "verdict TEXT NOT NULL",
    "picks BLOB NOT NULL",
)

GROUP_MIGRATION = (
    f"CREATE TABLE final_groups ({', '.join(_GROUP_COLUMNS)})",
    """CREATE TABLE search_outcome (
        one INTEGER PRIMARY KEY CHECK (one = 1), week TEXT NOT NULL, proven INTEGER NOT NULL, gap REAL NOT NULL,
        tests INTEGER NOT NULL, frequent INTEGER NOT NULL, seconds REAL NOT NULL, budget_s REAL NOT NULL,
        threads INTEGER NOT NULL, ledger TEXT NOT NULL)""",
)

_LUCK_COLUMNS = (
    "shuffles_reached INTEGER",
    "shuffles_done INTEGER",
    "shuffles_planned INTEGER",
    "shuffles_certain INTEGER NOT NULL DEFAULT 0",
    "shuffles_bounded INTEGER",
    "shuffles_observed REAL",
)
LUCK_MIGRATION = tuple(f"ALTER TABLE final_groups ADD COLUMN {column}" for column in _LUCK_COLUMNS)
SCOPE_MIGRATION = ("ALTER TABLE final_groups ADD COLUMN shuffles_scope TEXT",)
_COLUMNS = len(_GROUP_COLUMNS) + len(_LUCK_COLUMNS) + 1


class GroupTables(Database):
    """The decision tables' part of ``StocksDataDb``."""

    async def replace_pruned(self, space: ParameterSpace, rows: Sequence[PrunedVariation]) -> None:
        table = _PREFIX + space.algorithm
        create = create_statement(
            table, space, before="rank INTEGER NOT NULL UNIQUE, ", after=", reasons TEXT NOT NULL"
        )
        statement = insert_statement(table, space).replace("(cycle", "(rank, reasons, cycle", 1)
        statement = statement.replace("VALUES (", "VALUES (?, ?, ", 1)
        async with self.transaction() as connection:
            await connection.execute(f'DROP TABLE IF EXISTS "{table}"')
            await connection.execute(create)
            await connection.executemany(statement, [(p.rank, p.reasons, *to_row(p.result)) for p in rows])

    async def pruned(self, space: ParameterSpace) -> list[PrunedVariation]:
        """The kept variations in rank order; [] before the pruner has run."""
        table = _PREFIX + space.algorithm
        if table not in await self.tables():
            return []
        await check_columns(self, table, space, 1)
        rows = await self.rows(f'SELECT rank, reasons, {column_list(space)} FROM "{table}" ORDER BY rank')
        return [PrunedVariation(from_row(space, row[2:]), row[0], row[1]) for row in rows]

    async def replace_final_groups(self, outcome: SearchOutcome, groups: Sequence[FinalGroup]) -> None:
        """Stores how the search ended and all its groups, whole. StorageError when a number is not finite."""
        rows = [_group_row(group) for group in groups]
        head = (
            outcome.week.isoformat(), int(outcome.proven), outcome.gap, outcome.tests, outcome.frequent,
            outcome.seconds, outcome.budget_s, outcome.threads, json.dumps(outcome.ledger, sort_keys=True),
        )  # fmt: skip
        try:
            async with self.transaction() as connection:
                await connection.execute("DELETE FROM final_groups")
                await connection.execute(
                    "INSERT OR REPLACE INTO search_outcome VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)", head
                )
                await connection.executemany(
                    f"INSERT INTO final_groups VALUES ({marks(_COLUMNS)})",
                    rows,
                )
        except sqlite3.IntegrityError as error:
            raise StorageError(
                f"the final groups were not stored in {self.path}: {error}; nothing was changed. "
                "Two groups share a rank or a selection, or a number is not finite: report this"
            ) from error

    async def final_groups(self) -> tuple[SearchOutcome | None, list[FinalGroup]]:
        """How the last search ended (None before the first) and its groups in rank order."""
        head = await self.row(
            "SELECT week, proven, gap, tests, frequent, seconds, budget_s, threads, ledger FROM search_outcome"
        )
        outcome = None
        if head is not None:
            outcome = SearchOutcome(
                week=date.fromisoformat(head[0]), proven=bool(head[1]), gap=head[2], tests=head[3],
                frequent=head[4], seconds=head[5], budget_s=head[6], threads=head[7], ledger=json.loads(head[8]),
            )  # fmt: skip
        return outcome, [_group(row) for row in await self.rows("SELECT * FROM final_groups ORDER BY rank")]

    async def wipe_groups(self) -> None:
        """Drops the pruned tables and empties the groups: the week starts from nothing."""
        tables = [table for table in await self.tables() if table.startswith(_PREFIX)]
        async with self.transaction() as connection:
            for table in tables:
                await connection.execute(f'DROP TABLE "{table}"')
            await connection.execute("DELETE FROM final_groups")
            await connection.execute("DELETE FROM search_outcome")

    async def group_row_counts(self) -> dict[str, int]:
        """Rows of each table that ``wipe_groups`` empties."""
        tables = [t for t in await self.tables() if t.startswith(_PREFIX)]
        return {table: await self.count(table) for table in [*tables, "final_groups", "search_outcome"]}


def _group_row(group: FinalGroup) -> Row:
    members = json.dumps([{"algorithm": m.algorithm, "values": list(m.values)} for m in group.members])
    holdout = group.holdout_picks or (None,) * DAYS
    if len(group.day_means) != DAYS or len(group.day_picks) != DAYS or len(holdout) != DAYS:
        raise ValueError(f"group {group.rank} does not have {DAYS} days")
    return (
        group.rank, group.selected, members, len(group.members), group.score, group.mean, group.deviation,
        *group.day_means, *group.day_picks, group.pp_mean, group.leave_one_out, group.selection_score,
        group.standard_error, group.holdout_mean, group.holdout_error, *holdout, group.p_value,
        group.overlap_first, group.verdict, group.picks, group.shuffles_reached, group.shuffles_done,
        group.shuffles_planned, int(group.shuffles_certain), group.shuffles_bounded, group.shuffles_observed,
        group.shuffles_scope,
    )  # fmt: skip


def _group(row: Row) -> FinalGroup:
    rank, selected, members, _size, score, mean, deviation = row[:7]
    day_means, day_picks, rest = row[7:12], row[12:17], row[17:]
    pp_mean, leave_one_out, selection_score, standard_error, holdout_mean, holdout_error = rest[:6]
    holdout_picks, (p_value, overlap_first, verdict, picks) = rest[6:11], rest[11:15]
    reached, done, planned, certain, bounded, observed, scope = rest[15:]
    return FinalGroup(
        rank=rank,
        members=tuple(ParameterSet(m["algorithm"], tuple(m["values"])) for m in json.loads(members)),
        score=score,
        mean=mean,
        deviation=deviation,
        day_means=tuple(day_means),
        day_picks=tuple(day_picks),
        pp_mean=pp_mean,
        picks=picks,
        leave_one_out=leave_one_out,
        selection_score=selection_score,
        standard_error=standard_error,
        holdout_mean=holdout_mean,
        holdout_error=holdout_error,
        holdout_picks=() if holdout_picks[0] is None else tuple(holdout_picks),
        p_value=p_value,
        shuffles_reached=reached,
        shuffles_done=done,
        shuffles_planned=planned,
        shuffles_certain=bool(certain),
        shuffles_bounded=bounded,
        shuffles_observed=observed,
        shuffles_scope=scope,
        overlap_first=overlap_first,
        selected=selected,
        verdict=verdict,
    )
