"""The strip's countdown has a name at every width: of what it is must never be guessed."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of

from app.console import TshConsole
from app.widgets.status_strip import SHORT_EVENTS, short_event
from engine.model import UTC, Session
from engine.pipeline.overview import next_items
from engine.settings import ExecutionSettings
from engine.views import ShortlistView

NOWS = {
    "exits": (recorded.eastern(11, 6, 41), True, "end-of-day exits", recorded.eastern(15, 10), "exits 4h03m"),
    "yes": (
        recorded.eastern(9, 20, 2), False, "approval closes; without it no trade", recorded.eastern(9, 25),
        "yes 4m58s",
    ),
    "opens": (recorded.eastern(9, 20, 2), False, "market opens", recorded.eastern(9, 30), "opens 9m58s"),
    "closes": (
        recorded.eastern(12, 0), True, "market closes early (13:00)", recorded.eastern(13, 0), "closes 1h00m",
    ),
    "list": (
        recorded.eastern(16, 1), False, "bars are final: d makes the list", recorded.eastern(16, 20),
        "list 19m00s",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["sim", "paper", "live"])
@pytest.mark.parametrize("name", NOWS)
async def test_at_80_columns_the_countdown_says_of_what(
    engine: RecordedEngine, app: TshConsole, name: str, mode: str
) -> None:
    now, is_open, event, at, words = NOWS[name]
    engine.board.status = recorded.status().model_copy(
        update={
            "mode": mode, "market_time": now, "market_open": is_open, "next_event": event, "next_event_at": at,
            "day_pnl": Decimal("-1182.40"),
        }
    )  # fmt: skip
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        strip = text_of(app).split("\n")[0]
    assert f"{'open' if is_open else 'closed'} {words} " in strip
    assert "-1,182.40" in strip
    assert strip.count("●") == 4
    assert "…" not in strip


def test_every_event_that_the_engine_counts_down_to_has_a_short_name() -> None:
    opening = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    sessions = [
        Session(day.date(), day, day + timedelta(hours=hours))
        for day, hours in ((opening, 6.5), (opening + timedelta(days=1), 3.5))
    ]
    pending = ShortlistView(state="pending", deadline=opening - timedelta(minutes=5))
    now = opening - timedelta(hours=1)
    seen = set()
    for _ in range(200):
        items = next_items(now, sessions, ExecutionSettings(), 20, pending, [], 2)
        seen |= {short_event(item.text) for item in items if item.at is not None}
        now += timedelta(minutes=15)
    assert seen == set(SHORT_EVENTS.values())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_is_over_is_not_counted_down_to(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    """The view may be a moment older than the clock: 'approval closes in 0 s' would be told after the yes."""
    over = {"market_time": recorded.eastern(9, 29), "next_event_at": recorded.eastern(9, 25)}
    update = {**over, "market_open": False, "next_event": "approval closes; without it no trade"}
    engine.board.status = recorded.status().model_copy(update=update)
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        strip = text_of(app).split("\n")[0]
        assert "09:29:00" in strip
        assert "0 s" not in strip.replace("0.2 s", "")
        assert "approval" not in strip
        assert "yes" not in strip
