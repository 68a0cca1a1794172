"""The journal's record of TSH decisions: append-only rows from which a day's decisions can be repeated.

What a row holds, and why these rows suffice, says ``engine.execution.tsh_record``; here they
are stored and read. ``session`` is the session of the position's entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from engine.database import Database, marks
from engine.model import utc_text
from engine.run_log import now_text

TSH_LOG_MIGRATION = (
    """CREATE TABLE tsh_decisions (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, session TEXT NOT NULL, symbol TEXT NOT NULL,
        market_at TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL)""",
    "CREATE INDEX tsh_decisions_session ON tsh_decisions (session, symbol)",
    "CREATE TRIGGER tsh_decisions_no_update BEFORE UPDATE ON tsh_decisions "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: tsh_decisions'); END",
    "CREATE TRIGGER tsh_decisions_no_delete BEFORE DELETE ON tsh_decisions "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: tsh_decisions'); END",
)


@dataclass(frozen=True, slots=True)
class TshRow:
    """One recorded step of one position; ``data`` is JSON-safe."""

    session: date
    symbol: str
    market_at: datetime
    kind: str  # of the event
    data: dict[str, Any]
    seq: int = 0  # given by the journal


class TshLog(Database):
    """A part of the journal."""

    async def append_tsh(self, rows: Sequence[TshRow]) -> None:
        """Stores the rows in one transaction (one wait for the disk)."""
        stored = [
            (
                now_text(),
                r.session.isoformat(),
                r.symbol,
                utc_text(r.market_at),
                r.kind,
                orjson.dumps(r.data).decode(),
            )
            for r in rows
        ]
        async with self.transaction() as connection:
            await connection.executemany(
                f"INSERT INTO tsh_decisions (at, session, symbol, market_at, kind, data) VALUES ({marks(6)})",
                stored,
            )

    async def tsh_rows(self, session: date) -> list[TshRow]:
        """The session's rows in the order in which they were decided."""
        rows = await self.rows(
            "SELECT session, symbol, market_at, kind, data, seq FROM tsh_decisions WHERE session = ? ORDER BY seq",
            (session.isoformat(),),
        )
        return [
            TshRow(date.fromisoformat(r[0]), r[1], datetime.fromisoformat(r[2]), r[3], orjson.loads(r[4]), r[5])
            for r in rows
        ]

    async def tsh_sessions(self) -> list[date]:
        """The sessions with recorded decisions, ascending."""
        rows = await self.rows("SELECT DISTINCT session FROM tsh_decisions ORDER BY session")
        return [date.fromisoformat(r[0]) for r in rows]
