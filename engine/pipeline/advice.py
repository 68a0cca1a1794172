"""What the evidence advises for the session ahead: the frozen group, the ledger, and the grade that follows.

Read from the journal alone, like what trades: the selection that is in force, never the tables
of a weekend run that may be under way. The approval asks it at the moment of the yes, the
screens whenever the ledger or the selection changes; both get the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from engine.daily.forward_ledger import CountedWeek, counted_sources, ledger_weeks
from engine.daily.ledger_sessions import WeekSessions
from engine.decision.grade import Grade, grade
from engine.decision.selection import shuffled_of
from engine.errors import StorageError
from engine.journal import JournalDb
from engine.model import Mode, mean_or_zero
from engine.pipeline.selection_record import read_frozen
from engine.records import FinalGroup
from engine.views import GradeView


async def advice_for(journal: JournalDb, session: date, mode: Mode) -> Grade:
    """The grade of the group that would trade in ``session``; without a selection nothing is known of it.

    Raises StorageError when the frozen selection cannot be read.
    """
    found = await journal.live_selection(session)
    weeks = await weeks_of(journal, mode)
    return grade_of(None if found is None else read_frozen(found.payload).first, weeks, mode)


async def weeks_of(journal: JournalDb, mode: Mode) -> list[CountedWeek]:
    """The ledger's weeks of ``mode`` with the number of their sessions, as far as that is known."""
    return ledger_weeks(await journal.ledger_days(), mode, await kept_week_sessions(journal, mode))


async def keep_week_sessions(journal: JournalDb, mode: Mode, found: Mapping[date, WeekSessions]) -> None:
    """Keeps the sessions of the weeks; those of older weeks, which no calendar at hand reaches, stay."""
    known = {**await kept_week_sessions(journal, mode), **found}
    value = {week.isoformat(): [s.possible, s.over] for week, s in sorted(known.items())}
    await journal.put(_key(mode), value)


async def kept_week_sessions(journal: JournalDb, mode: Mode) -> dict[date, WeekSessions]:
    kept = await journal.get(_key(mode), {})
    return {date.fromisoformat(week): WeekSessions(int(n), bool(over)) for week, (n, over) in kept.items()}


def _key(mode: Mode) -> str:
    return "ledger_sessions_" + "_".join(sorted(counted_sources(mode)))


def left_out(weeks: Sequence[CountedWeek]) -> str:
    """Which weeks do not count because sessions of them are not judged; "" when none."""
    lacking = [week for week in weeks if week.missing]
    if not lacking:
        return ""
    sessions = sum(week.missing for week in lacking)
    if len(lacking) == 1:
        return f"the week of {lacking[0].week} does not count: {sessions} of its sessions not judged"
    return f"{len(lacking)} weeks do not count: {sessions} of their sessions not judged"


async def selected_groups(journal: JournalDb, session: date) -> list[FinalGroup]:
    """The frozen groups in force on a session, what trades first; empty without a readable selection."""
    found = await journal.live_selection(session)
    if found is None:
        return []
    try:
        frozen = read_frozen(found.payload)
    except StorageError:
        return []  # the board and the approval say so
    return [frozen.first, *([frozen.second] if frozen.second is not None else [])]


def grade_of(group: FinalGroup | None, weeks: Sequence[CountedWeek], mode: Mode) -> Grade:
    """The grade of one group over those of ``weeks`` that count."""
    counting = [week for week in weeks if week.counts]
    return grade(
        [week.tsh_excess for week in counting],
        None if group is None else group.holdout_mean,
        None if group is None else group.p_value,
        p_decided=group is not None and p_is_decided(group),
        mode=mode,
        breadth=mean_or_zero([week.candidates for week in weeks]) if weeks else _promised(group),
    )


def p_is_decided(group: FinalGroup) -> bool:
    """Whether the group's p counts: enough shuffled weeks, each of which chose its variations anew."""
    shuffled = shuffled_of(group)
    return shuffled is not None and shuffled.settled and shuffled.scope != "given"


def _promised(group: FinalGroup | None) -> float:
    """Candidates a day that the training days promise: picks among the sample and the hold-out tickers."""
    return 0.0 if group is None else mean_or_zero(group.day_picks) + mean_or_zero(group.holdout_picks)


def grade_view(given: Grade, weeks: Sequence[CountedWeek]) -> GradeView:
    """The grade as the consoles show it; ``weeks`` are those that it was given for."""
    counting = [week.pp_excess for week in weeks if week.counts]
    return GradeView(
        grade=given.letter,
        weeks=given.weeks,
        mean=given.mean,
        low_95=given.low_95,
        low_80=given.low_80,
        high_80=given.high_80,
        pp_mean=mean_or_zero(counting) if counting else None,
        needed=given.needed,
        advised=given.advised,
        factor=given.factor,
        against=given.against,
        text=given.text,
        reason=given.reason,
        left_out=left_out(weeks),
    )
