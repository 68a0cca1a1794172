"""The news that was read: articles as the feed sent them, and up to when each ticker's news is known.

A cache, not a result: it is left out of the table hashes, and what is older than a month goes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from engine.database import Database, marks
from engine.model import NewsArticle, utc_text

NEWS_MIGRATION = (
    """CREATE TABLE news_articles (
        id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, headline TEXT NOT NULL, summary TEXT NOT NULL,
        source TEXT NOT NULL, symbols TEXT NOT NULL)""",
    "CREATE INDEX news_articles_created ON news_articles (created_at)",
    "CREATE TABLE news_known (symbol TEXT PRIMARY KEY, start TEXT NOT NULL, until TEXT NOT NULL)",
)
NEWS_TABLES = frozenset({"news_articles", "news_known"})
KEPT = timedelta(days=31)


class NewsTables(Database):
    """The news cache's part of ``StocksDataDb``."""

    async def news_known(self, symbols: Sequence[str]) -> dict[str, tuple[datetime, datetime]]:
        """For each ticker that was asked about, the times (UTC) from and until which its news is here."""
        rows = await self.rows(
            f"SELECT symbol, start, until FROM news_known WHERE symbol IN ({marks(len(symbols))})", tuple(symbols)
        )
        return {row[0]: (datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2])) for row in rows}

    async def keep_news(
        self, symbols: Sequence[str], start: datetime, until: datetime, articles: Sequence[NewsArticle]
    ) -> None:
        """Stores what the feed answered about ``symbols`` for start..until; a later text replaces one."""
        known = await self.news_known(symbols)
        spans = []
        for symbol in symbols:
            first, last = known.get(symbol, (start, until))
            if start <= last and until >= first:  # one span without a gap
                spans.append((symbol, utc_text(min(first, start)), utc_text(max(last, until))))
            else:
                spans.append((symbol, utc_text(start), utc_text(until)))
        rows = [
            (a.id, utc_text(a.created_at), a.headline, a.summary, a.source, json.dumps(a.symbols))
            for a in articles
        ]
        async with self.transaction() as connection:
            await connection.executemany("INSERT OR REPLACE INTO news_articles VALUES (?, ?, ?, ?, ?, ?)", rows)
            await connection.executemany("INSERT OR REPLACE INTO news_known VALUES (?, ?, ?)", spans)
            gone = utc_text(until - KEPT)
            await connection.execute("DELETE FROM news_articles WHERE created_at < ?", (gone,))
            await connection.execute("UPDATE news_known SET start = ? WHERE start < ?", (gone, gone))
            await connection.execute("DELETE FROM news_known WHERE until < ?", (gone,))

    async def kept_news(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[NewsArticle]:
        """The stored articles about any of ``symbols`` created in start..end, newest first."""
        rows = await self.rows(
            "SELECT id, headline, summary, source, symbols, created_at FROM news_articles "
            "WHERE created_at >= ? AND created_at <= ? ORDER BY created_at DESC, id DESC",
            (utc_text(start), utc_text(end)),
        )
        asked = set(symbols)
        found = [
            NewsArticle(row[0], row[1], row[2], row[3], tuple(json.loads(row[4])), datetime.fromisoformat(row[5]))
            for row in rows
        ]
        return [article for article in found if not asked.isdisjoint(article.symbols)]
