"""The qual_scoring stage as a run needs it: window by session, cache, lexicon, then a model when one is set.

The lexicon always reads first: it scores when no model is configured, its hard words veto in
any case, and its record beside the model's is what ``tshc qual evaluate`` compares with. A
model that cannot be asked at all (no key, a broken prompt file) costs the scores, never the
trade list; the report says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from engine.errors import UsageError
from engine.model import Session, utc_text
from engine.pipeline.engine_room import EngineRoom
from engine.qual.lexicon import LABEL, load_lexicon
from engine.qual.likeness import read_sectors
from engine.qual.model_access import model_access
from engine.qual.model_scoring import model_label, model_scoring
from engine.qual.news_cache import CachedNews
from engine.qual.openai_provider import OpenAiProvider, load_sdk
from engine.qual.prompt_files import load_prompts
from engine.qual.qual_scoring import QualReport, qual_scoring, score_news
from engine.qual_log import QualDecision
from engine.records import Candidate, QualScore
from engine.settings import QualSettings

log = logging.getLogger(__name__)


def window_start(calendar: Sequence[Session], signal: date, sessions: int) -> datetime | None:
    """The close before the last ``sessions`` sessions up to ``signal``: from then on news is not in those bars.

    None when the calendar does not reach back so far.
    """
    days = [session.day for session in calendar]
    if signal not in days or days.index(signal) < sessions:
        return None
    return calendar[days.index(signal) - sessions].close


def window_words(settings: QualSettings, start: datetime | None) -> str:
    if start is None:
        return ""
    return "1 session" if settings.window_sessions == 1 else f"{settings.window_sessions} sessions"


async def news_scores(
    room: EngineRoom, candidates: Sequence[Candidate], signal: Session, session: Session
) -> QualReport:
    """The scores of the shortlist for ``session``, each decision recorded in the journal."""
    settings = room.settings.qual
    decision = room.clock.now()
    start = window_start(await room.calendar(), signal.day, settings.window_sessions)
    source = CachedNews(room.rest, room.stocks)
    asks_model = settings.provider != "lexicon"
    loading = asyncio.create_task(asyncio.to_thread(load_sdk)) if asks_model else None
    try:
        report = await qual_scoring([c.symbol for c in candidates], decision, source, settings, start)
    finally:
        if loading is not None:
            await loading
    report = replace(report, note=report.note or source.note, window=window_words(settings, start))
    await _record_lexicon(room, report, session.day)
    if not asks_model or not report.available:
        return report
    return await _with_model(room, report, candidates, session.day)


async def _with_model(
    room: EngineRoom, report: QualReport, candidates: Sequence[Candidate], session: date
) -> QualReport:
    settings = room.settings.qual
    try:
        prompts = load_prompts(settings.prompts)
        provider = OpenAiProvider(model_access(settings), settings)
    except UsageError as error:
        log.warning("no model: %s", error)
        label = model_label(settings.model)
        scores = tuple(_without_score(score, label) for score in report.scores)
        note = f"no score from {label}: {error}"
        return replace(report, scores=scores, label=label, note="; ".join(n for n in (report.note, note) if n))
    try:
        made = await model_scoring(report, candidates, session, prompts, provider, room.journal, settings)
    finally:
        await provider.close()
    words = f"{made.asked} asked, {made.kept} known, {made.unanswered} without a score"
    spent = f"{made.spent.tokens:,} tokens, {made.spent.cost_micro / 1e6:.4f} $"
    log.info("%s: %s; %s", made.report.label, words, spent)
    lost = f"{made.unanswered} of {made.asked + made.kept} questions got no score" if made.unanswered else ""
    return replace(made.report, note="; ".join(n for n in (report.note, lost) if n))


def _without_score(score: QualScore, label: str) -> QualScore:
    """No model, no score: the lexicon's number is not passed off as the model's; its vetoes hold."""
    return replace(score, score=None, label=label, quotes=())


async def _record_lexicon(room: EngineRoom, report: QualReport, session: date) -> None:
    """One record a ticker that has news; the same reading of the same session is not recorded twice."""
    made = [_lexicon_decision(score, report, session) for score in report.scores if score.score is not None]
    known = await room.journal.qual_answered([d.key for d in made]) if made else {}
    fresh = [d for d in made if d.key not in known]
    if fresh:
        await room.journal.record_qual(fresh)


def _lexicon_decision(score: QualScore, report: QualReport, session: date) -> QualDecision:
    articles = [
        {
            "id": read.article.id,
            "created_at": utc_text(read.article.created_at),
            "headline": read.article.headline,
            "summary": read.article.summary,
            "symbols": list(read.article.symbols),
        }
        for read in report.articles.get(score.symbol, ())
    ]
    version = load_lexicon().version
    inputs = {"session": session.isoformat(), "symbol": score.symbol, "version": version, "articles": articles}
    answer = {"score": score.score, "quotes": [list(q) for q in score.quotes], "veto": score.veto}
    canonical = json.dumps(inputs, sort_keys=True)
    return QualDecision(
        session=session,
        symbol=score.symbol,
        prompt="lexicon",
        version=version,
        variant="named",
        provider="local",
        model=LABEL,
        key=hashlib.sha256(canonical.encode()).hexdigest(),
        inputs=inputs,
        answers=(json.dumps(answer, sort_keys=True),),
        outcome="scored",
        parsed=answer,
        score=score.score,
    )


async def read_news(room: EngineRoom, known: Sequence[QualScore], signal: Session, note: str) -> QualReport:
    """The report of scores that an earlier life stored: nothing is asked again, articles are from the cache."""
    settings = room.settings.qual
    start = window_start(await room.calendar(), signal.day, settings.window_sessions)
    label = known[0].label if known else LABEL
    words = window_words(settings, start)
    if start is None:
        return QualReport(tuple(known), {}, note=note, label=label)
    now = room.clock.now()
    symbols = [score.symbol for score in known]
    articles = await room.stocks.kept_news(symbols, start, now)
    shown = score_news(symbols, articles, now, settings, start=start).articles
    return QualReport(tuple(known), shown, note=note, label=label, window=words)


def sectors_of(settings: QualSettings) -> tuple[dict[str, str], str]:
    """The known sectors and "", or none and why the file cannot be used: a broken file must not stop the day."""
    try:
        return read_sectors(settings.sectors), ""
    except UsageError as error:
        log.warning("no sectors: %s", error)
        return {}, str(error)
