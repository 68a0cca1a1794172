"""Which sessions a frozen selection must be judged on: all of its week, whoever was at the machine.

A session belongs to the selection that was in force at its open: the last one frozen before it,
for a week that ended at most seven days earlier. A selection that was frozen late owes nothing
of the days before; the choice of days is the calendar's, never the operator's. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from engine.journal import SELECTION_LIFE, Selection
from engine.model import Session


@dataclass(frozen=True, slots=True)
class WeekSessions:
    """How many sessions of a selection's week are final, and whether no further one will come."""

    possible: int
    over: bool


@dataclass(frozen=True, slots=True)
class OwedSession:
    """A session and the selection that was in force at its open; its signals came from ``signal``'s close."""

    session: Session
    signal: date
    selection: Selection


def in_force(selections: Sequence[Selection], session: Session, sources: Collection[str]) -> Selection | None:
    """The selection in force at the open of ``session``; ``selections`` in the order of freezing.

    Those of another kind of broker (``sources``: the modes that count), or without a market time, are left out.
    """
    found = [
        s
        for s in selections
        if s.source in sources
        and s.market_at is not None
        and s.market_at < session.open
        and session.day - SELECTION_LIFE <= s.week < session.day
    ]
    return found[-1] if found else None


def owed_sessions(
    selections: Sequence[Selection], calendar: Sequence[Session], sources: Collection[str], last: date
) -> list[OwedSession]:
    """Every session up to ``last`` with a selection in force, oldest first; ``calendar`` ascending."""
    owed = []
    for before, session in pairwise(calendar):
        selection = in_force(selections, session, sources) if session.day <= last else None
        if selection is not None:
            owed.append(OwedSession(session, before.day, selection))
    return owed


def week_sessions(
    selections: Sequence[Selection], calendar: Sequence[Session], sources: Collection[str], last: date
) -> dict[date, WeekSessions]:
    """For each week with a selection: its final sessions up to ``last``, and whether it is over.

    ``calendar`` must reach a week beyond ``last``: a week is over when no later session is its own.
    """
    final: dict[date, int] = defaultdict(int)
    running: set[date] = set()
    for session in calendar:
        selection = in_force(selections, session, sources)
        if selection is None:
            continue
        if session.day <= last:
            final[selection.week] += 1
        else:
            running.add(selection.week)
    return {week: WeekSessions(count, week not in running) for week, count in final.items()}
