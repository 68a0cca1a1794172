"""Which news may speak about a ticker, cleaned of everything that is not words.

Headlines are hostile input: they come from anyone who can issue a press release. Here they
lose markup, terminal control sequences, invisible and direction-changing characters, and
length; what is undated, later than the decision, about other tickers, or said twice is
dropped and counted. Pure functions.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from engine.model import NewsArticle

HEADLINE_LIMIT = 300  # characters
SUMMARY_LIMIT = 1500

_ANSI = re.compile(
    r"(?:\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system command: titles, hyperlinks
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]?)"  # control sequence: colours, cursor, screen
)
_LINK = re.compile(
    r"\b(?:https?|ftp|file):[^\s<>\"']*"
    r"|\b(?:data|javascript|mailto|tel):[^\s<>\"']+"  # "trial data: positive" is no link
    r"|\bwww\.[^\s<>\"']+"
    r"|\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|co|info|biz|app|xyz|link|ly|me)/[^\s<>\"']*",
    re.IGNORECASE,
)
_UNSEEN = re.compile(  # drawn as nothing, yet letters or marks by category: where hidden text can stand
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_BLOCK = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>?")
_EPOCH = datetime(1971, 1, 1, tzinfo=UTC)  # a feed's way to say "no date" is its zero


def clean_text(text: str, limit: int) -> str:
    """``text`` as plain words on one line, at most ``limit`` characters; without links, markup, hidden characters.

    Entities are resolved twice, before the markup goes, because feeds escape twice. Links go
    last: what hides inside one is gone by then, and cannot put a new one together.
    """
    text = html.unescape(html.unescape(text[: 8 * limit]))
    text = _TAG.sub(" ", _BLOCK.sub(" ", _ANSI.sub("", text)))
    kept = (c if unicodedata.category(c)[0] != "C" else " " if c in "\t\r\n" else "" for c in text)
    text = _few_marks(_UNSEEN.sub("", "".join(kept)))
    text = " ".join(_LINK.sub(" ", text).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _few_marks(text: str) -> str:
    """At most two combining marks on a letter: more of them write over the lines around."""
    kept, marks = [], 0
    for c in text:
        marks = marks + 1 if unicodedata.combining(c) else 0
        if marks <= 2:
            kept.append(c)
    return "".join(kept)


def _said(headline: str) -> str:
    """What two headlines must share to be the same news: their words."""
    return " ".join(re.findall(r"[a-z0-9]+", headline.lower()))


def usable_articles(
    articles: Iterable[NewsArticle], symbol: str, decision: datetime, window: timedelta
) -> tuple[list[NewsArticle], Counter[str]]:
    """The articles that may speak about ``symbol`` at ``decision``, newest first, cleaned; and the dropped ones.

    The reasons: "undated", "after the decision", "before the window", "about other tickers",
    "empty", "duplicate". Of equal headlines the earliest stays: the news was known from then on.
    """
    dropped: Counter[str] = Counter()
    first: dict[str, NewsArticle] = {}
    dated = []
    for article in articles:
        if symbol not in article.symbols:
            dropped["about other tickers"] += 1
        elif article.created_at is None or article.created_at.tzinfo is None or article.created_at < _EPOCH:
            dropped["undated"] += 1
        elif article.created_at > decision:
            dropped["after the decision"] += 1
        elif article.created_at < decision - window:
            dropped["before the window"] += 1
        else:
            dated.append(article)
    for article in sorted(dated, key=lambda a: (a.created_at, a.id)):
        headline = clean_text(article.headline, HEADLINE_LIMIT)
        key = _said(headline)
        if not key:
            dropped["empty"] += 1
        elif key in first:
            dropped["duplicate"] += 1
        else:
            first[key] = replace(
                article,
                headline=headline,
                summary=clean_text(article.summary or "", SUMMARY_LIMIT),
                source=clean_text(article.source or "", 60),
            )
    return sorted(first.values(), key=lambda a: (a.created_at, a.id), reverse=True), dropped
