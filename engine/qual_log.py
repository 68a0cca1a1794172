"""The journal's record of news decisions: one row a question asked, append-only, replayable.

A row is cache, audit record and evidence of a failed parse at once: the hash of its inputs
finds it again, the inputs and the raw answers let anybody repeat the parse without a
network, and tokens, cost and time of a day add up to what the limits have left. Beside it
stand the outcomes: the PP of each scored ticker in the session that followed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from engine.database import Database, Row, marks
from engine.model import UTC
from engine.run_log import now_text

QUAL_LOG_MIGRATION = (
    """CREATE TABLE qual_decisions (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, session TEXT NOT NULL, symbol TEXT NOT NULL,
        prompt TEXT NOT NULL, version TEXT NOT NULL, variant TEXT NOT NULL, provider TEXT NOT NULL,
        model TEXT NOT NULL, key TEXT NOT NULL, inputs TEXT NOT NULL, answers TEXT NOT NULL,
        outcome TEXT NOT NULL, parsed TEXT, score REAL, attempts INTEGER NOT NULL, tokens_in INTEGER NOT NULL,
        tokens_out INTEGER NOT NULL, cost_micro INTEGER NOT NULL, seconds REAL NOT NULL, note TEXT NOT NULL)""",
    "CREATE INDEX qual_decisions_key ON qual_decisions (key)",
    "CREATE INDEX qual_decisions_session ON qual_decisions (session, symbol)",
    "CREATE INDEX qual_decisions_at ON qual_decisions (at)",
    """CREATE TABLE qual_outcomes (
        session TEXT NOT NULL, symbol TEXT NOT NULL, pp INTEGER NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (session, symbol))""",
    "CREATE TRIGGER qual_decisions_no_update BEFORE UPDATE ON qual_decisions "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: qual_decisions'); END",
    "CREATE TRIGGER qual_decisions_no_delete BEFORE DELETE ON qual_decisions "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: qual_decisions'); END",
)
FINAL = ("scored", "refused", "malformed")  # outcomes that asking again would not change
_COLUMNS = (
    "seq, at, session, symbol, prompt, version, variant, provider, model, key, inputs, answers, outcome, parsed, "
    "score, attempts, tokens_in, tokens_out, cost_micro, seconds, note"
)


@dataclass(frozen=True, slots=True)
class QualDecision:
    """One question about one ticker and what became of it."""

    session: date  # the one to be traded
    symbol: str
    prompt: str  # "catalyst", ...; "lexicon" for the word lists
    version: str
    variant: str  # "named" or "masked"
    provider: str  # "local" for the word lists
    model: str
    key: str  # sha256 of everything that decides the answer
    inputs: Mapping[str, Any]
    answers: tuple[str, ...]  # raw, in the order they came; the second is the repair
    outcome: str  # "scored", "refused", "malformed", "unavailable", "limit"
    parsed: Mapping[str, Any] | None
    score: float | None  # -1..1, up is good
    attempts: int = 0  # requests sent
    tokens_in: int = 0
    tokens_out: int = 0
    cost_micro: int = 0  # micro-dollars
    seconds: float = 0.0  # of the requests
    note: str = ""
    seq: int = 0  # given by the journal
    at: datetime | None = field(default=None, compare=False)  # wall UTC, given by the journal


class QualLog(Database):
    """The news decisions' part of ``JournalDb``."""

    async def record_qual(self, decisions: Sequence[QualDecision]) -> list[int]:
        """Appends decisions in one transaction, on disk when it returns; their numbers."""
        numbers = []
        async with self.transaction() as connection:
            for d in decisions:
                row = (
                    now_text(), d.session.isoformat(), d.symbol, d.prompt, d.version, d.variant, d.provider,
                    d.model, d.key, json.dumps(d.inputs, sort_keys=True), json.dumps(d.answers), d.outcome,
                    None if d.parsed is None else json.dumps(d.parsed, sort_keys=True), d.score, d.attempts,
                    d.tokens_in, d.tokens_out, d.cost_micro, d.seconds, d.note,
                )  # fmt: skip
                cursor = await connection.execute(
                    f"INSERT INTO qual_decisions ({_COLUMNS.removeprefix('seq, ')}) VALUES ({marks(20)})", row
                )
                numbers.append(int(cursor.lastrowid or 0))
        return numbers

    async def qual_answered(self, keys: Sequence[str]) -> dict[str, QualDecision]:
        """The latest final decision of each of these keys: what need not be asked again."""
        rows = await self.rows(
            f"SELECT {_COLUMNS} FROM qual_decisions WHERE key IN ({marks(len(keys))}) "
            f"AND outcome IN ({marks(len(FINAL))}) ORDER BY seq",
            (*keys, *FINAL),
        )
        return {decision.key: decision for decision in map(_decision, rows)}

    async def qual_decisions(self, session: date | None = None) -> list[QualDecision]:
        """All decisions (or those of one traded session), oldest first."""
        if session is None:
            rows = await self.rows(f"SELECT {_COLUMNS} FROM qual_decisions ORDER BY seq")
        else:
            rows = await self.rows(
                f"SELECT {_COLUMNS} FROM qual_decisions WHERE session = ? ORDER BY seq", (session.isoformat(),)
            )
        return [_decision(row) for row in rows]

    async def qual_scores_recorded(self) -> list[tuple[date, str, str, str, str, float]]:
        """(session, symbol, prompt, variant, model, score) of every scored decision; the latest of each wins."""
        rows = await self.rows(
            "SELECT session, symbol, prompt, variant, model, score FROM qual_decisions "
            "WHERE outcome = 'scored' AND score IS NOT NULL ORDER BY seq"
        )
        latest = {row[:5]: row[5] for row in rows}
        return [(date.fromisoformat(k[0]), k[1], k[2], k[3], k[4], score) for k, score in latest.items()]

    async def qual_spent(self, day: date) -> tuple[float, int, int]:
        """(seconds, tokens, micro-dollars) of all requests of one UTC day."""
        row = await self.row(
            "SELECT COALESCE(SUM(seconds), 0), COALESCE(SUM(tokens_in + tokens_out), 0), "
            "COALESCE(SUM(cost_micro), 0) FROM qual_decisions WHERE substr(at, 1, 10) = ?",
            (day.isoformat(),),
        )
        return (0.0, 0, 0) if row is None else (float(row[0]), int(row[1]), int(row[2]))

    async def record_outcomes(self, session: date, pp: Mapping[str, int]) -> None:
        """Keeps the PP (micro-percent) that a session brought for its scored tickers; the first value stays."""
        async with self.transaction() as connection:
            await connection.executemany(
                "INSERT OR IGNORE INTO qual_outcomes VALUES (?, ?, ?, ?)",
                [(session.isoformat(), symbol, value, now_text()) for symbol, value in sorted(pp.items())],
            )

    async def outcomes(self) -> dict[tuple[date, str], int]:
        """(session, symbol) -> PP in micro-percent."""
        rows = await self.rows("SELECT session, symbol, pp FROM qual_outcomes")
        return {(date.fromisoformat(session), symbol): pp for session, symbol, pp in rows}

    async def sessions_without_outcome(self) -> dict[date, tuple[str, ...]]:
        """Scored sessions and their tickers that have no PP yet."""
        rows = await self.rows(
            "SELECT DISTINCT d.session, d.symbol FROM qual_decisions d LEFT JOIN qual_outcomes o "
            "ON o.session = d.session AND o.symbol = d.symbol WHERE o.pp IS NULL AND d.outcome = 'scored' "
            "ORDER BY d.session, d.symbol"
        )
        return _by_session(rows)


def utc_today() -> date:
    """The day the limits count by: UTC, on the wall."""
    return datetime.now(UTC).date()


def _by_session(rows: Iterable[Row]) -> dict[date, tuple[str, ...]]:
    found: dict[date, tuple[str, ...]] = {}
    for session, symbol in rows:
        day = date.fromisoformat(session)
        found[day] = (*found.get(day, ()), symbol)
    return found


def _decision(row: Row) -> QualDecision:
    return QualDecision(
        seq=row[0], at=datetime.fromisoformat(row[1]), session=date.fromisoformat(row[2]), symbol=row[3],
        prompt=row[4], version=row[5], variant=row[6], provider=row[7], model=row[8], key=row[9],
        inputs=json.loads(row[10]), answers=tuple(json.loads(row[11])), outcome=row[12],
        parsed=None if row[13] is None else json.loads(row[13]), score=row[14], attempts=row[15],
        tokens_in=row[16], tokens_out=row[17], cost_micro=row[18], seconds=row[19], note=row[20],
    )  # fmt: skip
