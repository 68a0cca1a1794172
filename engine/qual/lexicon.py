"""The local news lexicon: a bounded tone of an article, with the very words that made it.

It is what scores news when no model is configured, and it is always labelled LEXICON. The
one thing to know: it is deliberately simple and fully inspectable. Every point of a score
is a quoted span of the article and a line of ``lexicon.toml``; nothing an article says can
do more than move a number within -1..1 or raise one of the listed vetoes.

    tone  = sum of the weights of the terms found (headline in full, summary at half),
            turned at half strength after a negation, divided by 1 + the uncertainty words
    score = tone / (|tone| + 2)                                           in -1..1
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine.model import NewsArticle

LABEL = "LEXICON"
SUMMARY_WEIGHT = 0.5
HALF_SCORE = 2.0  # the tone whose score is 0.5
NEGATION_REACH = 4  # words before a term
NEGATION_STRENGTH = -0.5
GAP_WORDS = 5  # that "*" may stand for

_TOKEN = re.compile(r"[a-z0-9]+(?:[.,'&-][a-z0-9]+)*")
_BREAK = re.compile(r"[.,:;!?]|\s[-–—]\s")


@dataclass(frozen=True, slots=True)
class Token:
    word: str
    start: int  # character offsets in the text
    end: int
    clause: int  # a term or a negation never reaches across clauses


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the lexicon; an element is the spellings of a word, or None for a gap."""

    text: str
    elements: tuple[frozenset[str] | None, ...]
    weight: float = 0.0

    @property
    def words(self) -> int:
        return sum(element is not None for element in self.elements)


@dataclass(frozen=True, slots=True)
class Match:
    term: Term
    first: int  # token positions, inclusive
    last: int
    negation: int | None = None  # token position of the word that turns it

    @property
    def negated(self) -> bool:
        return self.negation is not None


@dataclass(frozen=True, slots=True)
class Finding:
    """One quoted span and what it adds to the article's score."""

    quote: str
    points: float


@dataclass(frozen=True, slots=True)
class Tone:
    """One article's score in -1..1, its evidence (the points sum to the score) and its flags."""

    score: float
    findings: tuple[Finding, ...]
    flags: tuple[tuple[str, str], ...]  # (veto reason, quoted words), not negated


class Terms:
    """A set of terms, found longest first so that "beats estimates" is not also "beats"."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self._by_word: dict[str, list[Term]] = {}
        for term in terms:
            for word in term.elements[0] or ():
                self._by_word.setdefault(word, []).append(term)

    def find(self, tokens: list[Token], negations: frozenset[str]) -> list[Match]:
        """The matches of ``tokens``, in order of position; no token serves two of them."""
        found: list[tuple[int, int, Term]] = []
        for i, token in enumerate(tokens):
            for term in self._by_word.get(token.word, ()):
                last = _match_end(term.elements, tokens, i)
                if last is not None:
                    found.append((i, last, term))
        found.sort(key=lambda f: (-f[2].words, -abs(f[2].weight), f[0], f[1], f[2].text))
        taken = [False] * len(tokens)
        accepted = []
        for first, last, term in found:
            if not any(taken[first : last + 1]):
                taken[first : last + 1] = [True] * (last + 1 - first)
                accepted.append((first, last, term))
        return [
            Match(term, first, last, _negation(tokens, first, negations))
            for first, last, term in sorted(accepted, key=lambda f: f[0])
        ]


def _match_end(elements: tuple[frozenset[str] | None, ...], tokens: list[Token], at: int) -> int | None:
    """The last token position of a match that starts at ``at``, or None; the shortest gaps are taken."""
    position, reach = at, 0
    for element in elements:
        if element is None:
            reach = GAP_WORDS
            continue
        for step in range(reach + 1):
            where = position + step
            if where >= len(tokens) or tokens[where].clause != tokens[at].clause:
                return None
            if tokens[where].word in element:
                position, reach = where + 1, 0
                break
        else:
            return None
    return position - 1


def _negation(tokens: list[Token], first: int, negations: frozenset[str]) -> int | None:
    """The nearest negation within reach before token ``first``, in its clause."""
    for position in range(first - 1, max(-1, first - 1 - NEGATION_REACH), -1):
        if tokens[position].clause != tokens[first].clause:
            return None
        if tokens[position].word in negations:
            return position
    return None


def tokens_of(text: str) -> list[Token]:
    """Lower-case words with their offsets; the text between two words may end a clause."""
    lowered = text.lower().replace("’", "'")
    if len(lowered) != len(text):  # some capitals have no lower case of the same length
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text).replace("’", "'")
    result: list[Token] = []
    clause, end = 0, 0
    for found in _TOKEN.finditer(lowered):
        if _BREAK.search(lowered[end : found.start()]):
            clause += 1
        end = found.end()
        result.append(Token(found.group(), found.start(), end, clause))
    return result


@dataclass(frozen=True)
class Lexicon:
    """The loaded word lists."""

    tones: Terms
    uncertainty: Terms
    vetoes: tuple[tuple[str, Terms], ...]  # (reason, terms)
    negations: frozenset[str]
    events: tuple[tuple[str, Terms], ...] = ()  # (name, terms)
    version: str = ""  # of the word lists: LEXICON and the first digits of their sha256

    def events_of(self, article: NewsArticle) -> tuple[str, ...]:
        """What kinds of event the cleaned article reports, in the lexicon's order; not what it denies."""
        texts = [tokens_of(text) for text in (article.headline, article.summary)]
        return tuple(
            name
            for name, terms in self.events
            if any(not match.negated or name == "halt" for t in texts for match in terms.find(t, self.negations))
        )

    def read(self, article: NewsArticle) -> Tone:
        """The tone of one cleaned article; pure. A term counts once an article, where it weighs most."""
        best: dict[str, tuple[float, str]] = {}
        flags: dict[str, str] = {}
        doubt = 0.0
        for text, share in ((article.headline, 1.0), (article.summary, SUMMARY_WEIGHT)):
            tokens = tokens_of(text)
            for match in self.tones.find(tokens, self.negations):
                strength = NEGATION_STRENGTH if match.negated else 1.0
                points = match.term.weight * strength * share
                if abs(points) > abs(best.get(match.term.text, (0.0, ""))[0]):
                    best[match.term.text] = (points, _quote(text, tokens, match))
            for match in self.uncertainty.find(tokens, frozenset()):
                doubt += match.term.weight * share
            for reason, terms in self.vetoes:
                for match in terms.find(tokens, self.negations):
                    if not match.negated:
                        flags.setdefault(reason, _quote(text, tokens, match))
        tone = sum(points for points, _ in best.values()) / (1.0 + doubt)
        scale = (1.0 + doubt) * (abs(tone) + HALF_SCORE)
        findings = tuple(Finding(quote, points / scale) for points, quote in best.values())
        return Tone(tone / (abs(tone) + HALF_SCORE), findings, tuple(flags.items()))


def _quote(text: str, tokens: list[Token], match: Match) -> str:
    """The article's own words, with the negation that turned them."""
    first = match.first if match.negation is None else match.negation
    return text[tokens[first].start : tokens[match.last].end]


def _elements(text: str) -> tuple[frozenset[str] | None, ...]:
    elements = tuple(None if part == "*" else frozenset(part.split("|")) for part in text.split())
    if not elements or elements[0] is None or elements[-1] is None:
        raise ValueError(f"a lexicon term must begin and end with a word: {text!r}")
    for element in elements:
        for word in element or ():
            if not _TOKEN.fullmatch(word):
                raise ValueError(f"{word!r} in lexicon term {text!r} can never match a word of a text")
    return elements


def _weighted(table: Mapping[str, Any], sign: float) -> Iterator[Term]:
    for text, weight in table.items():
        if not 0 < float(weight) <= 5:
            raise ValueError(f"the weight of {text!r} must be above 0 and at most 5")
        yield Term(text, _elements(text), sign * float(weight))


def parse_lexicon(source: str) -> Lexicon:
    """The lexicon of a TOML text. ValueError for a term that cannot match or a weight out of range."""
    table = tomllib.loads(source)
    tones = [*_weighted(table["positive"], 1.0), *_weighted(table["negative"], -1.0)]
    vetoes = tuple(
        (entry["reason"], Terms(Term(text, _elements(text)) for text in entry["terms"]))
        for entry in table["veto"].values()
    )
    return Lexicon(
        tones=Terms(tones),
        uncertainty=Terms(_weighted(table["uncertainty"], 1.0)),
        vetoes=vetoes,
        negations=frozenset(table["negation"]["words"]),
        events=tuple(
            (name, Terms(Term(text, _elements(text)) for text in entry["terms"]))
            for name, entry in table.get("event", {}).items()
        ),
        version=f"{LABEL} {hashlib.sha256(source.encode()).hexdigest()[:8]}",
    )


@cache
def load_lexicon() -> Lexicon:
    """The lexicon that ships with the program."""
    return parse_lexicon(Path(__file__).with_name("lexicon.toml").read_text(encoding="utf-8"))
