"""The forward ledger's days in the journal: what a group found before an open, and what became of it.

Both tables are append-only and keyed by session, group and source; the first row stays. So a
day that is recorded or judged twice (a resumed run) changes nothing, and candidates
cannot be changed once their session is known. The weekly entries are derived from these rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import date

from engine.database import Database, marks
from engine.run_log import now_text


def _append_only(table: str) -> tuple[str, str]:
    refused = f"BEGIN SELECT RAISE(ABORT, 'the journal is append-only: {table}'); END"
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refused}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refused}",
    )


LEDGER_LOG_MIGRATION = (
    """CREATE TABLE ledger_candidates (
        session TEXT NOT NULL, selected INTEGER NOT NULL, source TEXT NOT NULL, week TEXT NOT NULL,
        members TEXT NOT NULL, candidates TEXT NOT NULL, universe TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (session, selected, source))""",
    """CREATE TABLE ledger_days (
        session TEXT NOT NULL, selected INTEGER NOT NULL, source TEXT NOT NULL, week TEXT NOT NULL,
        members TEXT NOT NULL, universe INTEGER NOT NULL, candidates INTEGER NOT NULL, cost REAL NOT NULL,
        pp_universe REAL NOT NULL, tsh_universe REAL NOT NULL, pp_excess REAL, tsh_excess REAL,
        traded INTEGER NOT NULL, traded_pp_excess REAL, traded_tsh_excess REAL, traded_live_excess REAL,
        pp_to_live_gap REAL, at TEXT NOT NULL, PRIMARY KEY (session, selected, source))""",
    *_append_only("ledger_candidates"),
    *_append_only("ledger_days"),
)


# Sessions that nobody worked off: their rows say that they were made afterwards.
LEDGER_REBUILT_MIGRATION = (
    "ALTER TABLE ledger_candidates ADD COLUMN reconstructed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE ledger_days ADD COLUMN reconstructed INTEGER NOT NULL DEFAULT 0",
)


@dataclass(frozen=True, slots=True)
class LedgerCandidates:
    """What one frozen group would buy at the open of ``session``, as known the evening before.

    ``reconstructed``: not recorded then, but made later from bars up to that evening alone.
    """

    session: date
    selected: int  # 1 traded, 2 shadow
    source: str  # "live", "paper", "sim"
    week: date  # of the selection: its day5
    members: str
    candidates: tuple[tuple[str, float], ...]  # best first: symbol, median dollar volume a day
    universe: tuple[str, ...]  # every ticker that was asked
    reconstructed: bool = False


@dataclass(frozen=True, slots=True)
class LedgerDay:
    """One judged day of one group. Percent; excess is net of the candidates' costs, means over tickers."""

    session: date
    selected: int
    source: str
    week: date
    members: str
    universe: int  # tickers with a bar, of those that were asked
    candidates: int  # with a bar
    cost: float  # mean round trip of the candidates
    pp_universe: float  # equal-weight mean, gross
    tsh_universe: float
    pp_excess: float | None  # None: no candidate
    tsh_excess: float | None
    traded: int  # candidates that were really bought
    traded_pp_excess: float | None
    traded_tsh_excess: float | None
    traded_live_excess: float | None  # from executions; None while none is closed
    pp_to_live_gap: float | None  # live minus PP of the closed trades, both net
    reconstructed: bool = False  # the candidates were made afterwards


class LedgerLog(Database):
    """A part of the journal."""

    async def record_ledger_candidates(self, record: LedgerCandidates) -> bool:
        """Keeps the candidates of a session; False when they were kept before: the first ones stay."""
        row = (
            record.session.isoformat(), record.selected, record.source, record.week.isoformat(), record.members,
            json.dumps(record.candidates), json.dumps(record.universe), now_text(), int(record.reconstructed),
        )  # fmt: skip
        sql = f"INSERT OR IGNORE INTO ledger_candidates VALUES ({marks(len(row))})"
        return await self.in_one_trip(lambda journal: journal.execute(sql, row).rowcount == 1)

    async def ledger_groups_recorded(self, session: date, source: str) -> frozenset[int]:
        """Which groups (1 traded, 2 shadow) have their candidates of a session kept."""
        rows = await self.rows(
            "SELECT selected FROM ledger_candidates WHERE session = ? AND source = ?",
            (session.isoformat(), source),
        )
        return frozenset(int(row[0]) for row in rows)

    async def ledger_recorded(self, sources: Collection[str], first: date) -> frozenset[tuple[date, int]]:
        """(session, group) of all candidates that are kept from ``first`` on, under any of the sources."""
        rows = await self.rows(
            "SELECT session, selected FROM ledger_candidates WHERE session >= ? "
            f"AND source IN ({marks(len(sources))})",
            (first.isoformat(), *sorted(sources)),
        )
        return frozenset((date.fromisoformat(row[0]), int(row[1])) for row in rows)

    async def ledger_unjudged(self, source: str, first: date, last: date) -> list[LedgerCandidates]:
        """Candidates of sessions ``first``..``last`` that have no judged day yet, oldest first."""
        rows = await self.rows(
            "SELECT c.session, c.selected, c.source, c.week, c.members, c.candidates, c.universe, c.reconstructed "
            "FROM ledger_candidates c LEFT JOIN ledger_days d "
            "ON d.session = c.session AND d.selected = c.selected AND d.source = c.source "
            "WHERE d.session IS NULL AND c.source = ? AND c.session BETWEEN ? AND ? "
            "ORDER BY c.session, c.selected",
            (source, first.isoformat(), last.isoformat()),
        )
        return [
            LedgerCandidates(
                session=date.fromisoformat(row[0]),
                selected=row[1],
                source=row[2],
                week=date.fromisoformat(row[3]),
                members=row[4],
                candidates=tuple((str(symbol), float(volume)) for symbol, volume in json.loads(row[5])),
                universe=tuple(json.loads(row[6])),
                reconstructed=bool(row[7]),
            )
            for row in rows
        ]

    async def record_ledger_days(self, days: Sequence[LedgerDay]) -> int:
        """Keeps judged days in one transaction; how many were new. What was judged before stays."""
        rows = [
            (
                d.session.isoformat(), d.selected, d.source, d.week.isoformat(), *astuple(d)[4:-1], now_text(),
                int(d.reconstructed),
            )
            for d in days
        ]  # fmt: skip
        async with self.transaction() as connection:
            stored = 0
            for row in rows:
                cursor = await connection.execute(
                    f"INSERT OR IGNORE INTO ledger_days VALUES ({marks(len(row))})", row
                )
                stored += cursor.rowcount
        return stored

    async def ledger_days(self) -> list[LedgerDay]:
        """All judged days, oldest first."""
        names = ", ".join(f.name for f in fields(LedgerDay))
        rows = await self.rows(f"SELECT {names} FROM ledger_days ORDER BY session, selected, source")
        days = [
            LedgerDay(date.fromisoformat(row[0]), row[1], row[2], date.fromisoformat(row[3]), *row[4:])
            for row in rows
        ]
        return [replace(day, reconstructed=bool(day.reconstructed)) for day in days]
