"""The day's low: kept over restarts, and called no more than what was seen."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from engine.model import Session
from engine.pipeline.day_low import GAP, DayLow, loaded, looked

DAY = date(2026, 11, 24)
OPEN = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)
SESSION = Session(DAY, OPEN, OPEN + timedelta(hours=6, minutes=30))
WALL = datetime(2026, 1, 5, tzinfo=UTC)  # a simulated market has another time than the wall


def after(minutes: float) -> datetime:
    return OPEN + timedelta(minutes=minutes)


def watched(*looks: tuple[float, float, float], low: DayLow | None = None) -> DayLow:
    """``looks``: minutes of market time after the open, wall seconds, percent."""
    for minutes, seconds, percent in looks:
        low = looked(low, percent, after(minutes), WALL + timedelta(seconds=seconds), SESSION)
    assert low is not None
    return low


def test_the_lowest_stays_when_the_day_recovers() -> None:
    low = watched((-5, 0, 0.0), (10, 10, -0.4), (20, 20, 0.9))
    assert (low.percent, low.name(SESSION)) == (-0.4, "day low")


def test_an_engine_that_is_started_again_knows_the_low_of_before() -> None:
    kept = json.loads(json.dumps(watched((-5, 0, 0.0), (10, 10, -0.4)).dump()))
    low = watched((11, 50, 0.2), low=loaded(kept))
    assert (low.percent, low.name(SESSION)) == (-0.4, "day low")


def test_a_low_that_nobody_watched_from_the_open_says_since_when() -> None:
    low = watched((270, 0, -0.1))
    assert low.name(SESSION) == "low since 14:00"
    assert low.name(None) == "day low"  # no session that day: nothing moved before


def test_time_in_which_nobody_looked_makes_it_the_low_that_was_seen() -> None:
    before = ((-5, 0, 0.0), (10, 10, -0.4))
    seconds = 10 + GAP.total_seconds() + 1
    assert watched(*before, (240, seconds, 0.1)).name(SESSION) == "low seen"
    assert watched(*before, (11, seconds, 0.1), (12, seconds + 1, 0.1)).name(SESSION) == "low seen"
    # A simulated market may hurry or jump within a second: that is no gap of ours.
    assert watched(*before, (240, 12, 0.1)).name(SESSION) == "day low"


def test_a_gap_while_the_market_is_closed_hides_nothing() -> None:
    assert watched((-500, 0, 0.0), (-5, 9000, 0.0), (10, 9010, -0.4)).name(SESSION) == "day low"
    closed = 6.5 * 60 + 1
    evening = watched((-5, 0, 0.0), (10, 10, -0.4), (closed, 20, -0.2), (closed + 90, 9000, -0.2))
    assert (evening.percent, evening.name(SESSION)) == (-0.4, "day low")


def test_a_new_day_begins_anew() -> None:
    low = watched((-5, 0, 0.0), (10, 10, -0.4), (24 * 60, 20, 0.3))
    assert (low.day, low.percent) == (DAY + timedelta(days=1), 0.3)


@pytest.mark.parametrize("kept", [{}, {"day": "x"}, {"day": None, "percent": 1}, []])
def test_something_else_than_a_low_is_not_taken_for_one(kept: object) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        loaded(kept)  # type: ignore[arg-type]
