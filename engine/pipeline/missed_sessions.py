"""Sessions that no weekday run worked off: what the frozen groups would have found, made good afterwards.

A frozen group owes the ledger every session of its week. Without this the operator's choice of
days would be in the evidence: a machine that is off on Tuesday evening loses Wednesday, and who
stays away from bad days has a better ledger. So each session that has no candidates is worked
off again as the evening before would have: the universe of that close, bars up to it and not
beyond, the executor's own rules, the frozen payload. The rows say that they were reconstructed,
and are judged like the others.

What still differs from an evening that was there: the list of assets and the settings are today's
(a ticker delisted since is missing, and those tend to be losers), and the source adjusts old
bars for splits since. It is computed on the kernels, whichever backend the executor has.

It happens beside trading: after the day's list is made, session by session, each kept when it is
done, and it ends before the open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import date, datetime

from engine.daily.forward_ledger import counted_sources
from engine.daily.ledger_sessions import OwedSession, owed_sessions, week_sessions
from engine.daily.mp2_p3_executor import execute
from engine.data.daily_snapshot import SESSIONS, signal_day
from engine.errors import DataError, OperatorError
from engine.events import LedgerDayRebuilt
from engine.journal import SELECTION_LIFE
from engine.model import Session
from engine.pipeline.advice import keep_week_sessions
from engine.pipeline.engine_room import EngineRoom
from engine.pipeline.ledger_days import (
    JUDGES_BEFORE_OPEN,
    MISSED,
    beside_trading,
    candidate_records,
    judge_waiting,
)
from engine.pipeline.selection_record import read_frozen

REBUILD_LIMIT_S = 900.0  # wall seconds in all; a session takes some dozens of requests
COUNT_LIMIT_S = 20.0

log = logging.getLogger(__name__)


async def count_sessions(room: EngineRoom, last: date, opens: datetime) -> None:
    """Keeps how many sessions up to ``last`` each week has, for the grade; never raises."""
    what = f"has not counted the sessions up to {last}"
    await beside_trading(room, opens - JUDGES_BEFORE_OPEN, COUNT_LIMIT_S, what, lambda: _count(room, last))


async def make_good(room: EngineRoom, last: date, opens: datetime) -> None:
    """Rebuilds and judges the sessions up to ``last`` that have no candidates; never raises but when cancelled.

    ``opens``: the next open, near which no session is begun. What was rebuilt before it ends stays.
    """
    what = f"has not made good the missed sessions up to {last}"
    await beside_trading(
        room, opens - JUDGES_BEFORE_OPEN, REBUILD_LIMIT_S, what, lambda: _make_good(room, last, opens)
    )


async def _count(room: EngineRoom, last: date) -> None:
    calendar = await room.calendar()
    mode = room.settings.broker.mode
    selections = await room.journal.selections(calendar[0].day)
    await keep_week_sessions(room.journal, mode, week_sessions(selections, calendar, counted_sources(mode), last))


async def _make_good(room: EngineRoom, last: date, opens: datetime) -> None:
    calendar = await room.calendar()
    missing = await missed_sessions(room, calendar, last)
    failed: list[str] = []
    for owed, selected in missing:
        if room.clock.now() >= opens - JUDGES_BEFORE_OPEN:
            log.info("the open is near: %s is made good by the next run", owed.session.day)
            break
        try:
            await _rebuild(room, owed, selected, calendar)
        except OperatorError as error:  # the others can still be made good; told together below
            failed.append(f"{owed.session.day}: {error}")
    if len(failed) < len(missing):
        await judge_waiting(room, last)
    if failed:
        raise DataError("; ".join(failed))


async def missed_sessions(
    room: EngineRoom, calendar: Sequence[Session], last: date
) -> list[tuple[OwedSession, tuple[int, ...]]]:
    """Owed sessions up to ``last`` without candidates, oldest first, each with its groups (1 trades, 2 shadow)."""
    sources = counted_sources(room.settings.broker.mode)
    first = last - MISSED
    recorded = await room.journal.ledger_recorded(sources, first)
    selections = await room.journal.selections(first - SELECTION_LIFE)
    missing = []
    for owed in owed_sessions(selections, calendar, sources, last):
        if owed.session.day < first:
            continue
        groups = {int(g["selected"]) for g in owed.selection.payload.get("groups", ()) if g.get("selected")}
        lacking = tuple(sorted(n for n in groups if (owed.session.day, n) not in recorded))
        if lacking:
            missing.append((owed, lacking))
    return missing


async def _rebuild(
    room: EngineRoom, owed: OwedSession, selected: Sequence[int], calendar: Sequence[Session]
) -> None:
    """The evening before ``owed`` again, for the groups that lack it; everything of a session is kept at once."""
    settings = room.settings
    sessions = [s.day for s in calendar if s.day <= owed.signal][-SESSIONS:]
    if len(sessions) < SESSIONS:
        raise DataError(f"the calendar at hand has {len(sessions)} sessions before it, {SESSIONS} are needed")
    frozen = read_frozen(owed.selection.payload)
    groups = {1: frozen.first, 2: frozen.second}
    chosen = [(n, group) for n in selected if (group := groups[n]) is not None]
    universe = await signal_day(room.rest, settings.data, sessions, lambda done, total: None)
    days = await asyncio.to_thread(
        execute,
        [group for _, group in chosen],
        universe.panel,
        room.compute(),
        settings.daily,
        settings.execution.bracket_table(),
        settings.training.exit_model,
    )
    found = [(n, day) for (n, _), day in zip(chosen, days, strict=True)]
    records = await asyncio.to_thread(
        candidate_records,
        settings,
        found,
        universe.panel,
        owed.session.day,
        owed.selection.week,
        reconstructed=True,
    )
    for record in records:
        await room.journal.record_ledger_candidates(record)
    for number, day in found:
        room.bus.publish(
            LedgerDayRebuilt(
                session=owed.session.day, selected=number, group=day.name, candidates=len(day.symbols)
            )
        )
