"""A model's votes on a shortlist: every prompt about every ticker that has news, within limits.

The one thing to know: whatever goes wrong with one question - no connection, a refusal, an
answer that is not of the schema, a limit - ends as "no score" with its reason, never as a
guess and never as a failed run. Every question asked is a record in the journal before its
score is used; a question that has a final answer there is not asked again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

from engine.qual.answers import AnswerError, Parsed, parse_answer
from engine.qual.articles import clean_text
from engine.qual.chat import ChatReply, ChatRequest, Provider, ProviderError
from engine.qual.prompt_files import Prompt, shares
from engine.qual.qual_scoring import QUOTES, QualReport
from engine.qual.questions import Question, Variant, question, repair, without_orders
from engine.qual.spending import LimitReached, SpendingMeter, Spent
from engine.qual_log import QualDecision, utc_today
from engine.records import Candidate, PromptScore, QualScore
from engine.settings import QualSettings

log = logging.getLogger(__name__)

SENDS = 2  # of one request: a rate limit, a failing server or a cut connection is tried once more
PAUSE_S = 0.5  # before the second, when the server names no time
LABEL_LIMIT = 32


class DecisionBook(Protocol):
    """The journal, as far as a run needs it."""

    async def record_qual(self, decisions: Sequence[QualDecision]) -> list[int]: ...
    async def qual_answered(self, keys: Sequence[str]) -> dict[str, QualDecision]: ...
    async def qual_spent(self, day: date) -> tuple[float, int, int]: ...


@dataclass(frozen=True)
class ModelReport:
    """What a run brought: the report with the model's scores, and what it used."""

    report: QualReport
    asked: int = 0  # questions that were new
    kept: int = 0  # questions that the journal had an answer to
    unanswered: int = 0
    spent: Spent = field(default_factory=Spent)


@dataclass(frozen=True, slots=True)
class _Told:
    """The end of one question before it is a record."""

    outcome: str
    note: str = ""
    parsed: Parsed | None = None


@dataclass
class _Costs:
    answers: list[str] = field(default_factory=list)
    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_micro: int = 0
    seconds: float = 0.0


class ModelRun:
    """One run over one shortlist."""

    def __init__(
        self, provider: Provider, settings: QualSettings, book: DecisionBook, session: date, meter: SpendingMeter
    ) -> None:
        self._provider, self._settings, self._book = provider, settings, book
        self._session, self._meter = session, meter
        self._places = asyncio.Semaphore(settings.concurrency)
        self.kept = 0  # questions that the journal had an answer to
        self._stopped = ""  # why nothing more is asked: a refused key stays refused

    async def answer(self, questions: Sequence[Question]) -> dict[tuple[str, str, str], QualDecision]:
        """The decision of each question by (symbol, prompt, variant), recorded."""
        known = await self._book.qual_answered([q.key for q in questions]) if questions else {}
        found: dict[tuple[str, str, str], QualDecision] = {}
        tasks = []
        for q in questions:
            if q.key in known:
                found[q.symbol, q.prompt.name, q.variant] = known[q.key]
            else:
                tasks.append(asyncio.create_task(self._decide(q)))
        self.kept = len(found)
        try:
            decisions = await asyncio.gather(*tasks)
        except BaseException:  # a journal that cannot be written, or a cancelled run: nothing is left in flight
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return found | {(d.symbol, d.prompt, d.variant): d for d in decisions}

    async def _decide(self, q: Question) -> QualDecision:
        costs = _Costs()
        async with self._places:
            told = await self._ask(q, costs)
        decision = QualDecision(
            session=self._session,
            symbol=q.symbol,
            prompt=q.prompt.name,
            version=q.prompt.version,
            variant=q.variant,
            provider=self._provider.name,
            model=self._provider.model,
            key=q.key,
            inputs=q.stored(),
            answers=tuple(costs.answers),
            outcome=told.outcome,
            parsed=told.parsed.stored() if told.parsed else None,
            score=told.parsed.score if told.parsed else None,
            attempts=costs.attempts,
            tokens_in=costs.tokens_in,
            tokens_out=costs.tokens_out,
            cost_micro=costs.cost_micro,
            seconds=round(costs.seconds, 3),
            note=told.note,
        )
        (seq,) = await self._book.record_qual([decision])
        return replace(decision, seq=seq)

    async def _ask(self, q: Question, costs: _Costs) -> _Told:
        try:
            reply = await self._send(q.request, costs)
            if reply.refusal:
                return _Told("refused", f"the model refused: {clean_text(reply.refusal, 120)}")
            try:
                return _Told("scored", "", self._parsed(reply, q))
            except AnswerError as fault:
                again = await self._send(repair(q.request, reply.text, str(fault)), costs)
            if again.refusal:
                return _Told("refused", f"the model refused: {clean_text(again.refusal, 120)}")
            try:
                return _Told("scored", "after one repair", self._parsed(again, q))
            except AnswerError as fault:
                return _Told("malformed", f"no usable answer, asked twice: {fault}")
        except LimitReached as limit:
            return _Told("limit", str(limit))
        except ProviderError as error:
            if error.kind == "key refused":
                self._stopped = str(error)
            return _Told("unavailable", str(error))

    @staticmethod
    def _parsed(reply: ChatReply, q: Question) -> Parsed:
        if reply.cut_off:
            raise AnswerError("the answer was cut off: be brief")
        return parse_answer(reply.text, q.scale, q.articles, q.prompt.name)

    async def _send(self, request: ChatRequest, costs: _Costs) -> ChatReply:
        """One answer, after at most two sends. Raises ProviderError or LimitReached."""
        for send in range(1, SENDS + 1):
            if self._stopped:
                raise ProviderError("key refused", self._stopped)
            try:
                return await self._send_once(request, costs)
            except ProviderError as error:
                pause = PAUSE_S if error.retry_after_s is None else error.retry_after_s
                if not error.passing or send == SENDS or pause >= self._meter.seconds_left():
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last send returns or raises")

    async def _send_once(self, request: ChatRequest, costs: _Costs) -> ChatReply:
        most = self._meter.most(sum(len(m.content.encode()) for m in request.messages))
        self._meter.take(most)
        started, true = time.monotonic(), None
        try:
            costs.attempts += 1
            patience = min(self._settings.request_timeout_s, self._meter.seconds_left())
            reply = await self._provider.ask(request, patience)
            costs.answers.append(reply.text or reply.refusal)
            if reply.tokens_in is not None and reply.tokens_out is not None:
                price = self._meter.price(reply.tokens_in, reply.tokens_out)
                true = Spent(time.monotonic() - started, reply.tokens_in + reply.tokens_out, price)
                costs.tokens_in += reply.tokens_in
                costs.tokens_out += reply.tokens_out
            return reply
        except ProviderError as error:
            if error.kind not in ("timeout", "connection", "server error"):
                true = Spent(time.monotonic() - started)  # turned away before a model worked on it
            raise
        finally:
            seconds = time.monotonic() - started
            booked = true or self._meter.unknown(most, seconds)
            if true is None:
                costs.tokens_out += self._settings.answer_tokens
                costs.tokens_in += most.tokens - self._settings.answer_tokens
            costs.seconds += seconds
            costs.cost_micro += booked.cost_micro
            self._meter.settle(most, booked)


def model_label(model: str) -> str:
    """The model as it stands beside a score; the name is a setting, so it is cleaned like any text."""
    return clean_text(model, LABEL_LIMIT) or "MODEL"


async def model_scoring(
    report: QualReport,
    candidates: Sequence[Candidate],
    session: date,
    prompts: Sequence[Prompt],
    provider: Provider,
    book: DecisionBook,
    settings: QualSettings,
) -> ModelReport:
    """Replaces the lexicon's scores in ``report`` by the model's; its vetoes and flags stay in force.

    ``session`` is the one to be traded. Tickers without news are not asked about. Raises
    StorageError when the journal cannot be written, and nothing for what the provider did.
    """
    variants: tuple[Variant, ...] = ("named",) if settings.masking == "off" else ("named", "masked")
    questions: list[Question] = []
    orders: dict[str, list[tuple[int, str]]] = {}
    by_symbol = {score.symbol: score for score in report.scores}
    for candidate in candidates:
        read = [scored.article for scored in report.articles.get(candidate.symbol, ())]
        usable, orders[candidate.symbol] = without_orders(read)
        if usable and candidate.symbol in by_symbol:
            events = by_symbol[candidate.symbol].events
            questions += [
                question(candidate, usable, events, session, prompt, variant, provider.model, settings)
                for prompt in prompts
                for variant in variants
            ]
    meter = SpendingMeter(settings, Spent(*await book.qual_spent(utc_today())), time.monotonic)
    running = ModelRun(provider, settings, book, session, meter)
    decisions = await running.answer(questions)
    label = model_label(provider.model)
    scores = tuple(
        model_score(score, prompts, decisions, label, settings, orders.get(score.symbol, ()))
        for score in report.scores
    )
    unanswered = sum(d.score is None for d in decisions.values())
    if unanswered:
        log.warning("%s: %d of %d questions without a score", label, unanswered, len(decisions))
    return ModelReport(
        replace(report, scores=scores, label=label),
        asked=len(questions) - running.kept,
        kept=running.kept,
        unanswered=unanswered,
        spent=meter.used,
    )


def model_score(
    lexicon: QualScore,
    prompts: Sequence[Prompt],
    decisions: Mapping[tuple[str, str, str], QualDecision],
    label: str,
    settings: QualSettings,
    orders: Sequence[tuple[int, str]],
) -> QualScore:
    """One ticker's news score from its decisions; pure.

        news score = sum over prompts of share * score           (the shares sum to 1)

    A prompt without a score adds nothing; the others do not grow in its place. Without any
    score there is none. Words that veto (the lexicon's) veto whatever a model says.
    """
    votes: Variant = "masked" if settings.masking == "masked" else "named"
    silent: Variant = "named" if votes == "masked" else "masked"
    share = shares(prompts)
    rows = []
    for prompt in prompts:
        decision = decisions.get((lexicon.symbol, prompt.name, votes))
        if decision is not None:
            other = decisions.get((lexicon.symbol, prompt.name, silent))
            rows.append(prompt_score(decision, share[prompt.name], label, None if other is None else other.score))
    scored = [row for row in rows if row.score is not None]
    flags = list(lexicon.flags)
    flags += [f'not shown to the model: article {number} gives orders ("{words}")' for number, words in orders]
    return QualScore(
        symbol=lexicon.symbol,
        score=min(1.0, max(-1.0, math.fsum(r.weight * (r.score or 0.0) for r in scored))) if scored else None,
        label=label,
        quotes=_quotes(scored),
        flags=tuple(flags),
        veto="; ".join(dict.fromkeys(v for v in (lexicon.veto, *(r.veto for r in rows)) if v)),
        events=lexicon.events,
        prompts=tuple(rows),
    )


def prompt_score(decision: QualDecision, share: float, label: str, other: float | None) -> PromptScore:
    """One prompt's vote as the operator sees it."""
    parsed = decision.parsed or {}
    return PromptScore(
        prompt=decision.prompt,
        score=decision.score,
        weight=share,
        label=label,
        version=decision.version,
        outcome=decision.outcome,
        quotes=tuple((int(number), str(words)) for number, words in parsed.get("quotes", ())),
        reason=str(parsed.get("reason", "")) if decision.score is not None else decision.note,
        veto=str(parsed.get("veto", "")),
        other=other,
        record=decision.seq,
    )


def _quotes(scored: Sequence[PromptScore]) -> tuple[tuple[int, str, float], ...]:
    """(article, words, contribution), the strongest first; a prompt's contribution is spread over its quotes."""
    points: dict[tuple[int, str], float] = {}
    for row in scored:
        for quote in row.quotes:
            points[quote] = points.get(quote, 0.0) + row.weight * (row.score or 0.0) / len(row.quotes)
    ordered = sorted(((n, words, p) for (n, words), p in points.items()), key=lambda q: (-abs(q[2]), q[0], q[1]))
    return tuple(ordered[:QUOTES])
