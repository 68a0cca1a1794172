"""Which sessions a frozen selection is judged on: the calendar's choice, not the operator's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from engine.daily.forward_ledger import CountedWeek
from engine.daily.ledger_sessions import WeekSessions, in_force, owed_sessions, week_sessions
from engine.journal import Selection
from engine.model import Session

FRIDAY = date(2026, 11, 13)
REAL = frozenset({"paper", "live"})


def session(day: date) -> Session:
    opens = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return Session(day, opens, opens + timedelta(hours=6.5))


CALENDAR = [
    session(FRIDAY + timedelta(days=n)) for n in range(-7, 25) if (FRIDAY + timedelta(days=n)).weekday() < 5
]


def frozen(week: date, at: datetime | None = None, source: str = "paper", **payload: Any) -> Selection:
    evening = datetime(week.year, week.month, week.day, 23, tzinfo=UTC)
    return Selection(week, evening, payload, evening if at is None else at, source)


def days(*numbers: int) -> list[date]:
    return [date(2026, 11, n) for n in numbers]


def test_a_selection_owes_every_session_of_its_week_up_to_the_last_final_one() -> None:
    owed = owed_sessions([frozen(FRIDAY)], CALENDAR, REAL, date(2026, 11, 18))
    assert [o.session.day for o in owed] == days(16, 17, 18)
    assert [o.signal for o in owed] == days(13, 16, 17)
    assert [o.session.day for o in owed_sessions([frozen(FRIDAY)], CALENDAR, REAL, date(2026, 12, 1))] == days(
        16, 17, 18, 19, 20
    )


def test_what_was_frozen_late_owes_nothing_of_the_sessions_before_it() -> None:
    wednesday_noon = datetime(2026, 11, 18, 17, tzinfo=UTC)
    owed = owed_sessions([frozen(FRIDAY, wednesday_noon)], CALENDAR, REAL, date(2026, 11, 20))
    assert [o.session.day for o in owed] == days(19, 20)


def test_a_replaced_selection_owes_the_sessions_until_it_was_replaced() -> None:
    first, second = frozen(FRIDAY, name="a"), frozen(FRIDAY, datetime(2026, 11, 17, 23, tzinfo=UTC), name="b")
    owed = owed_sessions([first, second], CALENDAR, REAL, date(2026, 11, 20))
    assert [o.selection.payload["name"] for o in owed] == ["a", "a", "b", "b", "b"]


def test_the_next_weeks_selection_takes_over() -> None:
    selections = [frozen(FRIDAY), frozen(FRIDAY + timedelta(days=7))]
    weeks = {
        o.session.day: o.selection.week for o in owed_sessions(selections, CALENDAR, REAL, date(2026, 11, 24))
    }
    assert weeks[date(2026, 11, 20)] == FRIDAY
    assert weeks[date(2026, 11, 23)] == FRIDAY + timedelta(days=7)


@pytest.mark.parametrize("selection", [frozen(FRIDAY, source="sim"), frozen(FRIDAY, source="")])
def test_a_selection_of_another_kind_of_broker_owes_nothing(selection: Selection) -> None:
    assert in_force([selection], session(date(2026, 11, 16)), REAL) is None


def test_a_week_is_over_when_no_later_session_is_its_own() -> None:
    def of(last: date, *more: Selection) -> WeekSessions:
        return week_sessions([frozen(FRIDAY), *more], CALENDAR, REAL, last)[FRIDAY]

    assert of(date(2026, 11, 16)) == WeekSessions(1, False)
    assert of(date(2026, 11, 19)) == WeekSessions(4, False)
    assert of(date(2026, 11, 20)) == WeekSessions(5, True)
    replaced_early = frozen(date(2026, 11, 17), datetime(2026, 11, 17, 23, tzinfo=UTC))
    assert of(date(2026, 11, 17), replaced_early) == WeekSessions(2, True)


def test_only_a_whole_week_counts_as_one() -> None:
    def week(judged: int, sessions: WeekSessions | None) -> CountedWeek:
        return CountedWeek(FRIDAY, judged, 0.1, 0.2, 40.0, sessions)

    assert week(5, WeekSessions(5, True)).counts
    assert not week(1, WeekSessions(5, True)).counts
    assert week(1, WeekSessions(5, True)).missing == 4
    running = week(2, WeekSessions(2, False))
    assert (running.counts, running.missing) == (False, 0)
    assert week(1, None).counts  # kept before sessions were counted
