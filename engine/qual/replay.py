"""A decision record read again: the same inputs and raw answers must give the same score, on any machine.

No network, no model, no clock. What differs was either parsed by another version of the
program or is not what was written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.model import NewsArticle
from engine.qual.answers import AnswerError, Parsed, Scale, ShownArticle, parse_answer
from engine.qual.lexicon import load_lexicon
from engine.qual.qual_scoring import score_ticker
from engine.qual_log import QualDecision


@dataclass(frozen=True, slots=True)
class Replayed:
    """One record beside what its answer gives today; ``difference`` is "" when they agree."""

    decision: QualDecision
    parsed: Parsed | None
    difference: str = ""


def replay(decision: QualDecision) -> Replayed:
    """Parses the record's last answer again; a record without an answer to parse has nothing to differ in."""
    if decision.prompt == "lexicon":
        return _read_again(decision)
    if decision.outcome not in ("scored", "malformed"):
        return Replayed(decision, None)
    inputs = decision.inputs
    articles = [ShownArticle(a["label"], a["id"], a["text"]) for a in inputs["articles"]]
    try:
        parsed = parse_answer(decision.answers[-1], Scale.read(inputs["scale"]), articles, decision.prompt)
    except (AnswerError, IndexError) as error:
        if decision.outcome == "malformed":
            return Replayed(decision, None)
        return Replayed(decision, None, f"recorded {_shown(decision.score)}, not usable today: {error}")
    if decision.outcome == "malformed":
        # An answer that was cut off can be whole JSON by chance: the record keeps the server's word for it.
        if "cut off" in decision.note:
            return Replayed(decision, None)
        return Replayed(decision, parsed, f"recorded as malformed, today {_shown(parsed.score)}")
    if parsed.stored() != dict(decision.parsed or {}):
        return Replayed(decision, parsed, f"recorded {_shown(decision.score)}, today {_shown(parsed.score)}")
    return Replayed(decision, parsed)


def _read_again(decision: QualDecision) -> Replayed:
    """The word lists on the recorded articles. Weights are relative, so the hour of the decision cancels out."""
    lexicon = load_lexicon()
    if decision.version != lexicon.version:
        return Replayed(decision, None)  # other words: nothing to compare with
    articles = [
        NewsArticle(
            a["id"], a["headline"], a["summary"], "", tuple(a["symbols"]), datetime.fromisoformat(a["created_at"])
        )
        for a in decision.inputs["articles"]
    ]
    newest = max(a.created_at for a in articles)
    score = score_ticker(decision.symbol, articles, newest, lexicon)[0].score
    if score is None or decision.score is None or not math.isclose(score, decision.score, abs_tol=1e-9):
        return Replayed(decision, None, f"recorded {_shown(decision.score)}, today {_shown(score)}")
    return Replayed(decision, None)


def replay_all(decisions: Sequence[QualDecision]) -> list[Replayed]:
    return [replay(decision) for decision in decisions]


def _shown(score: float | None) -> str:
    return "no score" if score is None else f"{score:+.2f}"
