"""qual_scoring: what the news says about each shortlisted ticker, with quotes, or plainly that nobody did.

The one thing to know: news is advice, never a condition. A source that cannot be reached
costs the scores, not the trade list; the report then says so, and every ticker carries
"no score" instead of an invented zero.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from engine.errors import OperatorError
from engine.model import NewsArticle
from engine.qual.articles import usable_articles
from engine.qual.lexicon import LABEL, Lexicon, Tone, load_lexicon
from engine.records import QualScore
from engine.settings import QualSettings

log = logging.getLogger(__name__)

HALF_LIFE_HOURS = 24.0  # an article's weight halves with each day of age
NEUTRAL_WEIGHT = 0.25  # of an article without any tone, against one that has
VETO_SYMBOLS = 3  # an article that names more tickers raises a flag, not a veto: whom it means is unclear
QUOTES = 6  # kept for a ticker
TIMEOUT_S = 30.0  # wall seconds for the news request


class NewsSource(Protocol):
    """The broker's news feed: every article that names one of ``symbols``, created in [start, end] (UTC)."""

    async def news(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[NewsArticle]: ...


@dataclass(frozen=True, slots=True)
class ScoredArticle:
    """One article as a person reads it beside its score."""

    article: NewsArticle
    score: float


@dataclass(frozen=True)
class QualReport:
    """The scores of a shortlist and how they came about."""

    scores: tuple[QualScore, ...]  # one a ticker, in the order asked
    articles: Mapping[str, tuple[ScoredArticle, ...]]  # newest first, cleaned
    dropped: Counter[str] = field(default_factory=Counter)
    available: bool = True
    note: str = ""  # why there are no scores, or not the latest news; "" when the source answered
    label: str = LABEL  # who scored
    window: str = ""  # what was asked for, in words: "3 sessions"

    def summary(self) -> str:
        if not self.available:
            return self.note
        named = sum(s.score is not None for s in self.scores)
        vetoed = [f"{s.symbol} ({s.veto})" for s in self.scores if s.veto]
        text = f"{self.label}: news about {named} of {len(self.scores)} tickers"
        return text + (f"; vetoed {', '.join(vetoed)}" if vetoed else "")


def score_ticker(
    symbol: str, articles: Sequence[NewsArticle], decision: datetime, lexicon: Lexicon
) -> tuple[QualScore, tuple[ScoredArticle, ...]]:
    """The score of one ticker from its usable articles (``usable_articles``); pure.

    The mean of the articles' scores, weighted by recency (half-life one day), by how few
    tickers the article names (1/sqrt), and at a quarter for an article without any tone.
    No article: score None.
    """
    if not articles:
        return QualScore(symbol, None, LABEL), ()
    tones = [lexicon.read(article) for article in articles]
    weights = [_weight(a, t, decision) for a, t in zip(articles, tones, strict=True)]
    total = math.fsum(weights)
    quotes: list[tuple[int, str, float]] = []
    flags: list[str] = []
    vetoes: list[str] = []
    score = 0.0
    for article, tone, weight in zip(articles, tones, weights, strict=True):
        score += tone.score * weight / total
        quotes += [(article.id, f.quote, f.points * weight / total) for f in tone.findings]
        for reason, quote in tone.flags:
            quotes.append((article.id, quote, 0.0))
            text = f'{reason}: "{quote}"'
            flags.append(text)
            if len(article.symbols) <= VETO_SYMBOLS:
                vetoes.append(text)
    quotes = list({(i, q): (i, q, p) for i, q, p in reversed(quotes)}.values())
    quotes.sort(key=lambda entry: (-abs(entry[2]), entry[0], entry[1]))
    qual = QualScore(
        symbol=symbol,
        score=min(1.0, max(-1.0, score)),
        label=LABEL,
        quotes=tuple(quotes[:QUOTES]),
        flags=tuple(dict.fromkeys(flags)),
        veto="; ".join(dict.fromkeys(vetoes)),
        events=tuple(dict.fromkeys(event for article in articles for event in lexicon.events_of(article))),
    )
    return qual, tuple(ScoredArticle(a, t.score) for a, t in zip(articles, tones, strict=True))


def _weight(article: NewsArticle, tone: Tone, decision: datetime) -> float:
    hours = (decision - article.created_at).total_seconds() / 3600.0
    recency = math.exp2(-hours / HALF_LIFE_HOURS)
    specific = 1.0 / math.sqrt(max(1, len(article.symbols)))
    return recency * specific * (1.0 if tone.findings else NEUTRAL_WEIGHT)


def score_news(
    symbols: Sequence[str],
    articles: Sequence[NewsArticle],
    decision: datetime,
    settings: QualSettings,
    lexicon: Lexicon | None = None,
    start: datetime | None = None,
) -> QualReport:
    """Every ticker's score from one batch of articles; pure. Times are aware UTC.

    ``start`` begins the window: a session's close. Without it the window is ``window_hours`` long.
    """
    lexicon = lexicon or load_lexicon()
    window = timedelta(hours=settings.window_hours) if start is None else decision - start
    dropped: Counter[str] = Counter()
    scores, shown = [], {}
    for symbol in symbols:
        own = [a for a in articles if symbol in a.symbols]
        usable, lost = usable_articles(own, symbol, decision, window)
        dropped += lost
        qual, read = score_ticker(symbol, usable, decision, lexicon)
        scores.append(qual)
        shown[symbol] = read
    asked = set(symbols)
    dropped["about other tickers"] += sum(asked.isdisjoint(a.symbols) for a in articles)
    return QualReport(tuple(scores), shown, +dropped)


async def qual_scoring(
    symbols: Sequence[str],
    decision: datetime,
    source: NewsSource,
    settings: QualSettings,
    start: datetime | None = None,
) -> QualReport:
    """The lexicon's part of the stage: asks the source for the window before ``decision`` and scores what comes.

    A source that fails or does not answer within 30 s gives a report without scores whose
    note says so; the weekday goes on.
    """
    if not symbols:
        return QualReport((), {})
    since = decision - timedelta(hours=settings.window_hours) if start is None else start
    try:
        articles = await asyncio.wait_for(source.news(symbols, since, decision), TIMEOUT_S)
    except (OperatorError, OSError, TimeoutError) as error:
        log.warning("no news: %s", error)
        said = str(error) or f"no answer in {TIMEOUT_S:g} s"
        note = f"news is unavailable ({said}): the list is ranked without it"
        return QualReport(tuple(QualScore(s, None, LABEL) for s in symbols), {}, available=False, note=note)
    return score_news(symbols, articles, decision, settings, start=start)
