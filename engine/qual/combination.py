"""Rank and news together: which of the shortlist are traded, in which order, and why in words.

    score = rank score + tilt * news score          (no news, or no score, counts as 0)

The one thing to know: news can only tilt or veto **inside** the shortlist. It adds no
ticker, it moves a score by at most ``tilt``, and a vetoed candidate is never chosen. Of one
kind - one sector, or closes that move together - at most ``kind_cap`` are chosen: the next
best of another kind takes the place, and without one the place stays in cash. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.qual.likeness import Likeness
from engine.records import Candidate, QualScore, TradePick
from engine.settings import QualSettings


@dataclass(frozen=True, slots=True)
class Verdict:
    """One shortlisted ticker after the news; ``veto`` names why it may not be traded."""

    symbol: str
    rank: int
    score: float  # combined; within ``tilt`` of the rank score
    rank_score: float
    news_score: float | None
    reason: str
    veto: str = ""
    passed: str = ""  # why it was passed over although its score would have chosen it

    def pick(self, position: int, reason: str | None = None) -> TradePick:
        chosen = self.reason if reason is None else reason
        return TradePick(position, self.symbol, self.score, self.rank_score, self.news_score, chosen)


@dataclass(frozen=True, slots=True)
class Combination:
    """The whole shortlist in its final order, and what is chosen from it."""

    verdicts: tuple[Verdict, ...]  # those without a veto, best first, then the vetoed
    picks: tuple[TradePick, ...]
    reason: str  # why fewer than ``names`` were chosen; "" otherwise

    def verdict(self, symbol: str) -> Verdict | None:
        return next((v for v in self.verdicts if v.symbol == symbol), None)


def days_text(hours: float) -> str:
    """``72.0`` is "3 days", ``36.0`` is "36 hours"."""
    if hours >= 24 and hours % 24 == 0:
        days = int(hours // 24)
        return "1 day" if days == 1 else f"{days} days"
    return f"{hours:g} hours"


def _news_words(qual: QualScore | None, window: str, note: str) -> str:
    if qual is None or (qual.score is None and not qual.prompts):
        return note or f"no news in {window}"
    silent = ", ".join(f"{p.prompt.replace('_', ' ')}: {p.outcome}" for p in qual.prompts if p.score is None)
    if qual.score is None:
        return f"no score from {qual.label} ({silent})"
    without = f"; no score for {silent}" if silent else ""
    telling = [quote for quote in qual.quotes if quote[2] != 0.0]
    if not telling:
        return f"news without a tone ({qual.label}){without}"
    strongest = telling[0][1]
    articles = list(dict.fromkeys(article for article, _, _ in telling))
    count = f", {len(articles)} articles" if len(articles) > 1 else ""
    ids = " ".join(f"#{article}" for article in articles)
    return f'news {qual.score:+.2f} "{strongest}" ({qual.label}{count}) {ids}{without}'


def _verdict(
    candidate: Candidate, qual: QualScore | None, settings: QualSettings, window: str, note: str
) -> Verdict:
    news = None if qual is None else qual.score
    score = candidate.rank_score + settings.tilt * (news or 0.0)
    vetoes = [candidate.veto] if candidate.veto else []
    if qual is not None and qual.veto:
        vetoes.append(qual.veto)
    if news is not None and news < settings.veto_below:
        vetoes.append(f"news score {news:+.2f} is below {settings.veto_below:+.2f}")
    words = _news_words(qual, window, note)
    best = max(candidate.parts.items(), key=lambda part: (part[1], part[0]), default=None)
    strongest = f", most from {best[0].replace('_', ' ')}" if best else ""
    return Verdict(
        symbol=candidate.symbol,
        rank=candidate.rank,
        score=score,
        rank_score=candidate.rank_score,
        news_score=news,
        reason=f"rank {candidate.rank} ({candidate.rank_score:.2f}{strongest}); {words}",
        veto="; ".join(vetoes),
    )


def combine(
    candidates: Sequence[Candidate],
    scores: Sequence[QualScore],
    settings: QualSettings,
    names: int,
    *,
    note: str = "",
    emptiness: str = "",
    window: str = "",
    sectors: Mapping[str, str] | None = None,
) -> Combination:
    """The day's picks: the best ``names`` of ``candidates`` without a veto, not too many of one kind.

    The order is total: combined score, then rank score, then symbol. Scores of tickers that
    are not candidates are ignored. ``note`` replaces "no news ..." when the source was
    unavailable; ``emptiness`` says why there were no candidates at all; ``window`` says in
    words what news was asked for; ``sectors`` names the sectors that are known.
    """
    by_symbol = {s.symbol: s for s in scores}
    asked = window or days_text(settings.window_hours)
    verdicts = [_verdict(c, by_symbol.get(c.symbol), settings, asked, note) for c in candidates]
    verdicts.sort(key=lambda v: (bool(v.veto), -v.score, -v.rank_score, v.symbol))
    likeness = Likeness.of(candidates, sectors or {}, settings.kind_correlation)
    chosen: list[Verdict] = []
    for i, verdict in enumerate(verdicts):
        if verdict.veto or len(chosen) == names:
            break
        like = [(other.symbol, why) for other in chosen if (why := likeness.why(verdict.symbol, other.symbol))]
        if len(like) < settings.kind_cap:
            chosen.append(verdict)
            continue
        words = ", ".join(f"{symbol} ({why})" for symbol, why in like)
        passed = f"passed over, {settings.kind_cap} of its kind are chosen: {words}"
        verdicts[i] = replace(verdict, passed=passed, reason=f"{verdict.reason}; {passed}")
    picks = tuple(v.pick(position + 1) for position, v in enumerate(chosen))
    return Combination(tuple(verdicts), picks, _shortage(len(picks), names, verdicts, emptiness))


def _shortage(chosen: int, names: int, verdicts: Sequence[Verdict], emptiness: str) -> str:
    if chosen >= names:
        return ""
    if not verdicts:
        return emptiness or "the group has no candidate today"
    vetoed = sum(bool(v.veto) for v in verdicts)
    passed = sum(bool(v.passed) for v in verdicts)
    lost = [f"{vetoed} vetoed"] * bool(vetoed) + [f"{passed} passed over as too alike"] * bool(passed)
    because = ", ".join([f"{len(verdicts)} candidates", *lost]) if lost else f"only {len(verdicts)} candidates"
    return f"{chosen} of {names} names: {because}; the rest of the allocation stays in cash"
