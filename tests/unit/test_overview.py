"""The week's tiles and the coming events: pure functions of facts and market time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from engine.model import NEW_YORK, Session
from engine.pipeline.overview import DayFacts, day_track, next_event, next_items, present_lines, week_tiles
from engine.settings import ExecutionSettings
from engine.status_views import DayTrack
from engine.views import NextItem, PositionRow, PositionsView, ShortlistRow, ShortlistView, StageView

THANKSGIVING = date(2026, 11, 26)


def session(day: date, close_hour: int = 21) -> Session:
    start = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return Session(day, start, start.replace(hour=close_hour, minute=0))


WEEK = [
    session(date(2026, 11, 23)),
    session(date(2026, 11, 24)),
    session(date(2026, 11, 25)),
    session(date(2026, 11, 27), close_hour=18),
]


def test_a_week_shows_the_weekend_then_five_days_with_their_results() -> None:
    facts = {
        date(2026, 11, 23): DayFacts(Decimal("182.40"), 4),
        date(2026, 11, 24): DayFacts(note="(rejected)"),
    }
    stages = [StageView(stage="weekly_5d_data", state="done"), StageView(stage="mp1_loop", state="running")]
    noon = datetime(2026, 11, 25, 17, 0, tzinfo=UTC)
    tiles = week_tiles(noon, WEEK, facts, stages, ("3 of 4 open", "+12.00 $"))
    assert [tile.title for tile in tiles] == ["Weekend", "Mon", "Tue", "Wed", "Thu", "Fri"]
    assert tiles[0].lines == ("data ✓", "train ▶")
    assert tiles[1].lines == ("+182.40 $", "4 trades")
    assert tiles[2].state == "no_trade"
    assert (tiles[3].state, tiles[3].lines) == ("present", ("3 of 4 open", "+12.00 $"))
    assert (tiles[4].day, tiles[4].lines) == (THANKSGIVING, ("holiday",))
    assert tiles[5].state == "future"


def test_on_a_weekend_the_week_that_comes_is_shown() -> None:
    tiles = week_tiles(datetime(2026, 11, 21, 15, 0, tzinfo=UTC), WEEK, {}, [])
    assert tiles[1].day == date(2026, 11, 23)
    assert tiles[0].lines == ("not run",)


def test_what_runs_comes_first_and_the_clock_s_events_follow_in_order() -> None:
    now = datetime(2026, 11, 25, 14, 20, tzinfo=UTC)
    deadline = now + timedelta(minutes=5)
    pending = ShortlistView(state="pending", deadline=deadline)
    running = [StageView(stage="approval", state="running", detail="waits for a person")]
    items = next_items(now, WEEK, ExecutionSettings(), 20, pending, running, open_positions=0)
    assert items[0].active
    assert items[0].text.startswith("approval")
    times = [item.at for item in items if item.at is not None]
    assert times == sorted(times)
    assert times[0] == deadline
    assert next_event(items, now) == ("approval closes; without it no trade", deadline)


def test_a_half_day_says_when_it_closes_and_when_its_exits_begin() -> None:
    now = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
    items = next_items(now, WEEK, ExecutionSettings(), 20, ShortlistView(), [], open_positions=2)
    texts = {item.text: item.at for item in items}
    assert "market closes early" in texts
    assert texts["end-of-day exits"] == datetime(2026, 11, 27, 17, 50, tzinfo=UTC)
    assert items[0].text == "managing exits (TSH), 2 open"


def test_the_time_line_stands_in_the_day_whose_close_comes_next() -> None:
    monday_evening = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
    tiles = week_tiles(monday_evening, WEEK, {date(2026, 11, 23): DayFacts(Decimal(5), 1)}, [], ("no list yet",))
    assert [tile.done for tile in tiles[:2]] == [1.0, 1.0]
    assert tiles[2].state == "present"
    assert 0 < tiles[2].done < 0.1
    assert tiles[2].lines == ("no list yet",)
    assert [tile.done for tile in tiles[3:]] == [0.0, 0.0, 0.0]


def test_after_the_weeks_last_close_the_next_week_is_shown() -> None:
    friday_evening = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
    tiles = week_tiles(friday_evening, WEEK, {}, [])
    assert tiles[1].day == date(2026, 11, 30)
    assert 0 < tiles[0].done < 0.1  # the weekend has begun


def test_the_days_moments_know_what_has_passed_and_what_is_next() -> None:
    noon = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    marks = day_track(noon, WEEK, ExecutionSettings(), 20, ShortlistView())
    assert [(mark.text, mark.state) for mark in marks] == [
        ("list", "past"),
        ("approval", "past"),
        ("open", "past"),
        ("exits", "next"),
        ("close", "future"),
    ]
    half_day = day_track(datetime(2026, 11, 27, 15, 0, tzinfo=UTC), WEEK, ExecutionSettings(), 20, ShortlistView())
    assert half_day[-2].at == datetime(2026, 11, 27, 17, 50, tzinfo=UTC)
    assert (
        day_track(datetime(2026, 11, 28, 15, 0, tzinfo=UTC), WEEK, ExecutionSettings(), 20, ShortlistView()) == ()
    )


def test_the_day_under_way_says_where_it_stands() -> None:
    day = date(2026, 11, 24)
    rows = tuple(ShortlistRow(rank=i, symbol=s, chosen=True) for i, s in enumerate(("ABCD", "EFGH"), start=1))
    listed = ShortlistView(state="pending", session=day, rows=rows)
    assert present_lines(day, ShortlistView(), PositionsView()) == ("no list yet",)
    assert present_lines(day, listed, PositionsView()) == ("2 names wait", "for your yes")
    approved = listed.model_copy(update={"state": "approved"})
    assert present_lines(day, approved, PositionsView()) == ("approved", "2 names")
    held = PositionsView(
        session=day,
        rows=(
            PositionRow(symbol="ABCD", shares=10, state="WATCH"),
            PositionRow(symbol="EFGH", shares=5, state="CLOSED"),
        ),
        realised=Decimal("-3.50"),
        unrealised=Decimal("10.00"),
    )
    assert present_lines(day, approved, held) == ("1 of 2 open", "+6.50 $")


def test_the_days_curve_keeps_its_shape_in_few_points_and_begins_anew_each_day() -> None:
    track, day = DayTrack(), date(2026, 11, 24)
    for second in range(10_000):
        points = track.add(day, second / 100)
    assert len(points) <= DayTrack.MOST
    assert points[0] == 0.0
    assert points[-1] > 95
    assert list(points) == sorted(points)
    assert track.add(day, None) == points
    assert track.add(date(2026, 11, 25), 1.0) == (1.0,)


def test_a_hurried_clock_brings_the_end_of_day_exits_forward_on_every_line() -> None:
    noon = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
    for rate, hour, minute in ((1.0, 15, 50), (300.0, 15, 10)):
        track = day_track(noon, WEEK, ExecutionSettings(), 20, ShortlistView(), rate)
        items = next_items(noon, WEEK, ExecutionSettings(), 20, ShortlistView(), [], 2, rate)
        marks = [mark.at for mark in track if mark.text == "exits"]
        coming = [item.at for item in items if item.text == "end-of-day exits"]
        assert marks[0] == coming[0] == datetime(2026, 11, 23, hour, minute, tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("state", "of", "done"),
    [
        ("none", None, (False, False)),
        ("pending", 24, (True, False)),
        ("approved", 24, (True, True)),
        ("rejected", 24, (True, False)),
        ("expired", 24, (True, False)),
        ("approved", 23, (False, False)),  # yesterday's
    ],
)
def test_a_list_and_a_yes_are_ticked_only_when_there_was_one(
    state: str, of: int | None, done: tuple[bool, bool]
) -> None:
    noon = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    day = None if of is None else date(2026, 11, of)
    shortlist = ShortlistView.model_validate({"state": state, "session": day})
    marks = {mark.text: mark for mark in day_track(noon, WEEK, ExecutionSettings(), 20, shortlist)}
    assert (marks["list"].done, marks["approval"].done) == done
    assert marks["open"].done


def test_what_is_over_is_not_counted_down_to() -> None:
    opens, closes = datetime(2026, 11, 24, 14, 30, tzinfo=UTC), datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
    items = (NextItem(at=opens, text="market opens"), NextItem(at=closes, text="market closes"))
    assert next_event(items, opens) == ("market closes", closes)
    assert next_event(items, closes) == ("", None)
