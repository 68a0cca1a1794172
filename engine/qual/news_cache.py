"""The news feed behind a cache on disk: what is known is not asked for again, and survives a silent feed.

Articles arrive late in a feed, so the last quarter of an hour before the known end is asked
for once more. When the feed does not answer, what is known speaks, and ``note`` says until
when it is known; nothing known at all is the feed's own error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from engine.errors import OperatorError
from engine.model import NEW_YORK, NewsArticle
from engine.qual.qual_scoring import TIMEOUT_S, NewsSource

log = logging.getLogger(__name__)

LATE = timedelta(minutes=15)  # how much later than its date an article may reach the feed
PATIENCE_S = TIMEOUT_S - 5.0  # wall seconds for the feed, so that the cache can still speak for it

Known = Mapping[str, tuple[datetime, datetime]]


class NewsStore(Protocol):
    """``StocksDataDb``, as far as the cache needs it."""

    async def news_known(self, symbols: Sequence[str]) -> dict[str, tuple[datetime, datetime]]: ...

    async def keep_news(
        self, symbols: Sequence[str], start: datetime, until: datetime, articles: Sequence[NewsArticle]
    ) -> None: ...

    async def kept_news(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[NewsArticle]: ...


class CachedNews:
    """A ``NewsSource`` that asks another one only for what it does not know."""

    def __init__(self, feed: NewsSource, store: NewsStore) -> None:
        self._feed, self._store = feed, store
        self.note = ""  # after ``news``: why it is not up to date; "" when it is

    async def news(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[NewsArticle]:
        """Every article about ``symbols`` created in start..end (UTC) that the feed or the cache has."""
        self.note = ""
        known = await self._store.news_known(symbols)
        try:
            async with asyncio.timeout(PATIENCE_S):
                for since, asked in _missing(symbols, known, start, end).items():
                    articles = await self._feed.news(asked, since, end)
                    await self._store.keep_news(asked, since, end, articles)
        except (OperatorError, OSError, TimeoutError) as error:
            if any(s not in known or known[s][0] > start or known[s][1] < start for s in symbols):
                raise
            until = min(known[s][1] for s in symbols).astimezone(NEW_YORK)
            said = str(error) or f"no answer in {PATIENCE_S:g} s"
            log.warning("news from the cache: %s", said)
            self.note = f"the news feed does not answer ({said}); news is known until {until:%a %H:%M} ET"
        return await self._store.kept_news(symbols, start, end)


def _missing(symbols: Sequence[str], known: Known, start: datetime, end: datetime) -> dict[datetime, list[str]]:
    """From when each ticker must be asked about, tickers with the same gap together."""
    gaps: dict[datetime, list[str]] = {}
    for symbol in symbols:
        first, last = known.get(symbol, (end, start))
        if first <= start and last >= end:
            continue
        since = max(start, last - LATE) if first <= start else start
        gaps.setdefault(since, []).append(symbol)
    return gaps
