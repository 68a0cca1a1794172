"""The trade list: what the operator approves, named by the hash of its content.

The one thing to know: the hash covers the session and every row, and nothing of the account
or the time it was made, so the same decision has the same hash on every machine and any
change - a swap too - is a different list that needs its own approval. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from engine.errors import RefusedError
from engine.qual.combination import Combination
from engine.records import TradePick

HASH_DECIMALS = 9  # of a score; below what two machines' arithmetic could differ in


def content_hash(session: date, picks: Sequence[TradePick]) -> str:
    """sha256 (64 hex digits) over canonical JSON of the session to trade and its rows."""
    rows = [
        {
            "position": p.position,
            "symbol": p.symbol,
            "score": _rounded(p.score),
            "rank_score": _rounded(p.rank_score),
            "news_score": None if p.news_score is None else _rounded(p.news_score),
            "reason": p.reason,
        }
        for p in picks
    ]
    body = {"session": session.isoformat(), "rows": rows}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _rounded(score: float) -> float:
    return round(score, HASH_DECIMALS) + 0.0  # minus zero is zero


@dataclass(frozen=True, slots=True)
class TradeList:
    """The picks of one session in order of preference; ``reason`` says why they are fewer than asked."""

    session: date  # the session to be traded
    picks: tuple[TradePick, ...]
    reason: str
    list_hash: str

    @classmethod
    def of(cls, session: date, picks: Sequence[TradePick], reason: str = "") -> TradeList:
        return cls(session, tuple(picks), reason, content_hash(session, picks))

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(p.symbol for p in self.picks)

    @property
    def short_hash(self) -> str:
        """As the operator compares it: ``7f3a·19c2``."""
        return f"{self.list_hash[:4]}·{self.list_hash[4:8]}"


def build(session: date, combination: Combination) -> TradeList:
    """The trade list of ``session`` (the next one) from the day's combination."""
    return TradeList.of(session, combination.picks, combination.reason)


def swap(current: TradeList, out: str, into: str, combination: Combination) -> TradeList:
    """The list with ``into`` in the place of ``out``: the operator's choice, inside the shortlist.

    Its hash is new, so an approval of ``current`` does not cover it. Raises RefusedError when
    ``out`` is not on the list, or ``into`` is already on it, not shortlisted, or vetoed.
    """
    place = next((i for i, p in enumerate(current.picks) if p.symbol == out), None)
    if place is None:
        raise RefusedError(f"{out} is not on the trade list: choose one of {', '.join(current.symbols) or 'none'}")
    if into in current.symbols:
        raise RefusedError(f"{into} is already on the trade list: choose another shortlisted ticker")
    verdict = combination.verdict(into)
    if verdict is None:
        raise RefusedError(f"{into} is not on today's shortlist: only a shortlisted ticker can be traded")
    if verdict.veto:
        raise RefusedError(f"{into} is vetoed ({verdict.veto}): choose a ticker without a veto")
    picks = list(current.picks)
    reason = f"operator's choice instead of {out}; {verdict.reason}"
    picks[place] = verdict.pick(picks[place].position, reason)
    return TradeList.of(current.session, picks, current.reason)


def difference(today: Sequence[str], before: Sequence[str]) -> str:
    """Today's symbols against the last list: ``+ABCD +EFGH -QRST``, "unchanged", each side in its order."""
    added = [f"+{s}" for s in today if s not in before]
    gone = [f"-{s}" for s in before if s not in today]
    return " ".join(added + gone) or "unchanged"
