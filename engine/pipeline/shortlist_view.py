"""The Shortlist screen from the day's facts. Pure: candidates, news, combination and list in; a view out."""

from __future__ import annotations

from datetime import datetime

from engine.daily.mp2_p3_executor import GroupDay
from engine.daily.trade_list import TradeList
from engine.orders_model import Approval
from engine.qual.combination import Combination
from engine.qual.qual_scoring import QualReport
from engine.records import Candidate, PromptScore
from engine.views import NewsLine, PromptLine, QuoteLine, ShortlistRow, ShortlistView


def shortlist_view(
    day: GroupDay,
    qual: QualReport,
    combination: Combination,
    trade_list: TradeList,
    *,
    deadline: datetime,
    valid_until: datetime,
    previous: Approval | None,
) -> ShortlistView:
    """The list as it waits for a decision (state ``pending``), or ``empty`` with the reason.

    ``previous``: how the list of the last earlier session ended, for the difference from yesterday.
    """
    return ShortlistView(
        state="pending" if trade_list.picks else "empty",
        session=trade_list.session,
        signal_day=day.session,
        group=day.name,
        candidates=day.candidates,
        expected=day.expected,
        drift=day.drift,
        rows=tuple(_row(candidate, qual, combination, trade_list) for candidate in day.ranked),
        vetoed=tuple(f"{c.symbol}: {c.veto}" for c in day.vetoed),
        list_hash=trade_list.list_hash,
        deadline=deadline,
        valid_until=valid_until,
        previous=() if previous is None else previous.symbols,
        previous_session=None if previous is None else previous.session,
        previous_outcome="" if previous is None else previous.outcome,
        detail="; ".join(text for text in (trade_list.reason, day.drift, qual.note) if text),
    )


def _row(candidate: Candidate, qual: QualReport, combination: Combination, trade_list: TradeList) -> ShortlistRow:
    verdict = combination.verdict(candidate.symbol)
    news = next((score for score in qual.scores if score.symbol == candidate.symbol), None)
    return ShortlistRow(
        rank=candidate.rank,
        symbol=candidate.symbol,
        name=candidate.name,
        score=verdict.score if verdict else candidate.rank_score,
        rank_score=candidate.rank_score,
        parts=candidate.parts,
        month_pct=candidate.measures.get("month_mean_pct"),
        sparkline=candidate.closes,
        close=candidate.close,
        news_score=news.score if news else None,
        news_label=news.label if news else "",
        news=tuple(
            NewsLine(
                at=read.article.created_at,
                headline=read.article.headline,
                source=read.article.source,
                score=read.score,
                id=read.article.id,
            )
            for read in qual.articles.get(candidate.symbol, ())
        ),
        quotes=tuple(QuoteLine(article=a, text=words, points=p) for a, words, p in news.quotes) if news else (),
        prompts=tuple(_prompt(row) for row in news.prompts) if news else (),
        events=news.events if news else (),
        flags=news.flags if news else (),
        reason=verdict.reason if verdict else "",
        chosen=candidate.symbol in trade_list.symbols,
        veto=verdict.veto if verdict else candidate.veto,
    )


def _prompt(row: PromptScore) -> PromptLine:
    return PromptLine(
        prompt=row.prompt,
        score=row.score,
        label=row.label,
        weight=row.weight,
        outcome=row.outcome,
        quotes=tuple(QuoteLine(article=article, text=words) for article, words in row.quotes),
        reason=row.reason,
        other=row.other,
        version=row.version,
        record=row.record,
    )


def rechosen(view: ShortlistView, trade_list: TradeList) -> ShortlistView:
    """The view after a swap: other marks, another hash."""
    rows = tuple(row.model_copy(update={"chosen": row.symbol in trade_list.symbols}) for row in view.rows)
    return view.model_copy(update={"rows": rows, "list_hash": trade_list.list_hash})
