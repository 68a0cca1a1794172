"""From a model's answer to a number: validated, bounded, and backed by words that are really in the news.

An answer that is not exactly of the schema, off its scale, or that quotes what no article
says is no answer. The one thing to know: a score other than 0 needs at least one quote that
stands in an article it was given, so a model cannot report what nobody wrote. Pure: a
stored answer gives the same result on any day (``engine.qual.replay``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.qual.articles import clean_text
from engine.qual.prompt_files import value_on_scale

REASON_LIMIT = 240
QUOTE_LIMIT = 200
SHORTEST_QUOTE = 5  # letters and digits
MOST_EVIDENCE = 6
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL | re.IGNORECASE)


class AnswerError(ValueError):
    """The answer cannot be used; the sentence is what the model is told in the repair, in our own words."""


class EvidenceItem(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    article: str = Field(max_length=8)
    quote: str = Field(min_length=1, max_length=600)


class Answer(BaseModel):
    """What a model must send, and nothing else. Strict: "5" and 5.0 are not 5."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    score: int
    kinds: list[str] = Field(default=[], max_length=10)
    evidence: list[EvidenceItem] = Field(max_length=MOST_EVIDENCE)
    reason: str = Field(max_length=2000)


@dataclass(frozen=True, slots=True)
class Scale:
    """What of a prompt decides how its answer reads; kept in every record."""

    low: int
    high: int
    good: str
    kinds: tuple[str, ...] = ()
    veto_at: int | None = None

    def stored(self) -> dict[str, Any]:
        return {
            "low": self.low,
            "high": self.high,
            "good": self.good,
            "kinds": list(self.kinds),
            "veto_at": self.veto_at,
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Scale:
        return cls(stored["low"], stored["high"], stored["good"], tuple(stored["kinds"]), stored["veto_at"])


@dataclass(frozen=True, slots=True)
class ShownArticle:
    """One article as the model saw it, and the label it was to cite it by."""

    label: str  # "A1"
    id: int
    text: str  # headline and summary


@dataclass(frozen=True, slots=True)
class Parsed:
    """A usable answer."""

    answered: int  # on the prompt's own scale
    score: float  # -1..1, up is good
    quotes: tuple[tuple[int, str], ...]  # (article id, words)
    kinds: tuple[str, ...]
    reason: str
    veto: str  # "" or why the trade is forbidden

    def stored(self) -> dict[str, Any]:
        return {
            "answered": self.answered,
            "score": self.score,
            "quotes": [list(q) for q in self.quotes],
            "kinds": list(self.kinds),
            "reason": self.reason,
            "veto": self.veto,
        }


def answer_schema(scale: Scale, labels: Sequence[str]) -> dict[str, Any]:
    """The JSON schema a server enforces: whole scores on the scale, only labels that were shown."""
    evidence = {
        "type": "object",
        "additionalProperties": False,
        "required": ["article", "quote"],
        "properties": {"article": {"type": "string", "enum": list(labels)}, "quote": {"type": "string"}},
    }
    properties: dict[str, Any] = {
        "score": {"type": "integer", "minimum": scale.low, "maximum": scale.high},
        "evidence": {"type": "array", "items": evidence},
        "reason": {"type": "string"},
    }
    if scale.kinds:
        properties["kinds"] = {"type": "array", "items": {"type": "string", "enum": list(scale.kinds)}}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def parse_answer(text: str, scale: Scale, articles: Sequence[ShownArticle], prompt: str) -> Parsed:
    """The answer in ``text``. AnswerError says, without repeating the text, what is wrong with it."""
    fenced = _FENCED.match(text)
    try:
        answer = Answer.model_validate_json(fenced.group(1) if fenced else text)
    except ValidationError as error:
        raise AnswerError(_plain(error)) from error
    try:
        score = value_on_scale(answer.score, scale.low, scale.high, scale.good)
    except ValueError as error:
        raise AnswerError(f"score must be a whole number from {scale.low} to {scale.high}") from error
    unknown = [kind for kind in answer.kinds if kind not in scale.kinds]
    if unknown:
        raise AnswerError(f"kinds may only hold {', '.join(scale.kinds) or 'nothing'}")
    quotes = tuple(dict.fromkeys(_checked(item, articles) for item in answer.evidence))
    if score != 0.0 and not quotes:
        raise AnswerError("a score other than 0 needs evidence: quote the words of an article")
    kinds = tuple(dict.fromkeys(answer.kinds))
    veto = ""
    if scale.veto_at is not None and answer.score >= scale.veto_at:
        about = f" ({', '.join(kinds).replace('_', ' ')})" if kinds else ""
        veto = f'{prompt.replace("_", " ")} {answer.score} of {scale.high}{about}: "{quotes[0][1]}"'
    return Parsed(answer.score, score, quotes, kinds, clean_text(answer.reason, REASON_LIMIT), veto)


def _checked(item: EvidenceItem, articles: Sequence[ShownArticle]) -> tuple[int, str]:
    article = next((a for a in articles if a.label == item.article), None)
    if article is None:
        raise AnswerError(f"evidence must name one of the articles {', '.join(a.label for a in articles)}")
    quote = clean_text(item.quote, QUOTE_LIMIT).strip("\"'“”‘’… ")
    words = _comparable(quote)
    if len(re.sub(r"\W", "", words)) < SHORTEST_QUOTE:
        raise AnswerError(f"the quote from {article.label} is too short: quote at least two words")
    if words not in _comparable(article.text):
        raise AnswerError(f"the quote from {article.label} does not stand in it: copy the words exactly")
    return article.id, quote


def _comparable(text: str) -> str:
    """Case, spaces and the shape of quotation marks do not make another quote."""
    for curly, straight in (("’", "'"), ("‘", "'"), ("“", '"'), ("”", '"')):
        text = text.replace(curly, straight)
    return " ".join(text.casefold().split())


def _plain(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "json_invalid":
        return "the answer is not valid JSON"
    if first["type"] == "extra_forbidden":
        return "the answer holds a field that was not asked for"
    where = ".".join(str(part) for part in first["loc"]) or "the answer"
    return f"{where}: {first['msg'].lower()}"
