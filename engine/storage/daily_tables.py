"""What a weekday decides: ``shortlist``, ``trade_list`` and the news scores behind it.

Each has a one-row head beside it, because a day without a single candidate is a result too
and must say which session it speaks of. Parts and measures are JSON objects: their names
are settings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from engine.database import Database, insert
from engine.records import Candidate, PromptScore, QualScore, TradePick

_CANDIDATE_TABLE = """CREATE TABLE {name} (
        position INTEGER PRIMARY KEY, session TEXT NOT NULL, rank INTEGER NOT NULL, symbol TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL, close REAL NOT NULL, rank_score REAL NOT NULL, parts TEXT NOT NULL,
        measures TEXT NOT NULL, closes TEXT NOT NULL, veto TEXT NOT NULL)"""
DAILY_MIGRATION = (
    """CREATE TABLE shortlist_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), session TEXT NOT NULL, group_text TEXT NOT NULL)""",
    _CANDIDATE_TABLE.format(name="shortlist"),
    _CANDIDATE_TABLE.format(name="shortlist_vetoed"),
    """CREATE TABLE trade_list_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), session TEXT NOT NULL, list_hash TEXT NOT NULL,
        reason TEXT NOT NULL)""",
    """CREATE TABLE trade_list (
        position INTEGER PRIMARY KEY, session TEXT NOT NULL, symbol TEXT NOT NULL UNIQUE, score REAL NOT NULL,
        rank_score REAL NOT NULL, news_score REAL, reason TEXT NOT NULL)""",
    """CREATE TABLE qual_scores (
        position INTEGER PRIMARY KEY, session TEXT NOT NULL, symbol TEXT NOT NULL UNIQUE, score REAL,
        label TEXT NOT NULL, quotes TEXT NOT NULL, flags TEXT NOT NULL, veto TEXT NOT NULL)""",
)
PROMPT_SCORES_MIGRATION = (
    "ALTER TABLE qual_scores ADD COLUMN events TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE qual_scores ADD COLUMN prompts TEXT NOT NULL DEFAULT '[]'",
)


class DailyTables(Database):
    """The weekday tables' part of ``StocksDataDb``."""

    async def replace_shortlist(self, session: date, group: str, rows: Sequence[Candidate]) -> None:
        """``session`` is the signal day whose close the candidates were found on; ``rows`` may be empty.

        Ranked rows make the shortlist; those that the lookback check forbids (rank 0) are kept beside it.
        """
        day = session.isoformat()
        stored = [
            (
                position, day, c.rank, c.symbol, c.name, c.close, c.rank_score, json.dumps(c.parts),
                json.dumps(c.measures), json.dumps(c.closes), c.veto,
            )
            for position, c in enumerate(rows, start=1)
        ]  # fmt: skip
        async with self.transaction() as connection:
            await connection.execute("INSERT OR REPLACE INTO shortlist_head VALUES (1, ?, ?)", (day, group))
            for table, forbidden in (("shortlist", False), ("shortlist_vetoed", True)):
                await connection.execute(f"DELETE FROM {table}")
                await insert(connection, table, [row for row in stored if (row[2] == 0) is forbidden], 11)

    async def shortlist(self) -> tuple[date | None, list[Candidate]]:
        """The signal day and its candidates, ranked ones first, then the vetoed; (None, []) before the first."""
        head = await self.row("SELECT session FROM shortlist_head")
        columns = "position, rank, symbol, name, close, rank_score, parts, measures, closes, veto"
        rows = await self.rows(
            f"SELECT {columns} FROM shortlist UNION ALL SELECT {columns} FROM shortlist_vetoed ORDER BY position"
        )
        candidates = [
            Candidate(
                rank=row[1], symbol=row[2], name=row[3], close=row[4], rank_score=row[5], parts=json.loads(row[6]),
                measures=json.loads(row[7]), closes=tuple(json.loads(row[8])), veto=row[9],
            )
            for row in rows
        ]  # fmt: skip
        return (None if head is None else date.fromisoformat(head[0])), candidates

    async def shortlist_group(self) -> str:
        """The group that found the stored shortlist, as a person reads it; "" before the first."""
        head = await self.row("SELECT group_text FROM shortlist_head")
        return "" if head is None else str(head[0])

    async def replace_trade_list(
        self,
        session: date,
        list_hash: str,
        rows: Sequence[TradePick],
        qual: Sequence[QualScore],
        reason: str,
    ) -> None:
        """``session`` is the one to be traded; ``reason`` says why there are fewer than four, or none."""
        day = session.isoformat()
        picks = [(p.position, day, p.symbol, p.score, p.rank_score, p.news_score, p.reason) for p in rows]
        scores = [
            (
                i, day, q.symbol, q.score, q.label, json.dumps(q.quotes), json.dumps(q.flags), q.veto,
                json.dumps(q.events), json.dumps([asdict(p) for p in q.prompts]),
            )
            for i, q in enumerate(qual, start=1)
        ]  # fmt: skip
        async with self.transaction() as connection:
            await connection.execute(
                "INSERT OR REPLACE INTO trade_list_head VALUES (1, ?, ?, ?)", (day, list_hash, reason)
            )
            await connection.execute("DELETE FROM trade_list")
            await connection.execute("DELETE FROM qual_scores")
            await insert(connection, "trade_list", picks, 7)
            await insert(connection, "qual_scores", scores, 10)

    async def trade_list(self) -> tuple[date | None, str, list[TradePick], list[QualScore], str]:
        """(session to be traded, list hash, picks, news scores, reason); (None, "", ...) before the first."""
        head = await self.row("SELECT session, list_hash, reason FROM trade_list_head")
        if head is None:
            return None, "", [], [], ""
        picks = await self.rows(
            "SELECT position, symbol, score, rank_score, news_score, reason FROM trade_list ORDER BY position"
        )
        scores = await self.rows(
            "SELECT symbol, score, label, quotes, flags, veto, events, prompts FROM qual_scores ORDER BY position"
        )
        qual = [
            QualScore(
                symbol=row[0],
                score=row[1],
                label=row[2],
                quotes=tuple((int(a), str(b), float(c)) for a, b, c in json.loads(row[3])),
                flags=tuple(json.loads(row[4])),
                veto=row[5],
                events=tuple(json.loads(row[6])),
                prompts=tuple(_prompt_score(stored) for stored in json.loads(row[7])),
            )
            for row in scores
        ]
        return date.fromisoformat(head[0]), head[1], [TradePick(*row) for row in picks], qual, head[2]


def _prompt_score(stored: dict[str, Any]) -> PromptScore:
    quotes = tuple((int(number), str(words)) for number, words in stored["quotes"])
    return PromptScore(**{**stored, "quotes": quotes})
