"""The Overview screen's week and its next events. Pure: facts and market time in, view parts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from engine.config import ExecutionSettings
from engine.model import NEW_YORK, Session
from engine.views import DayTile, NextItem, ShortlistView, StageView


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What is known of one past session."""

    pnl: Decimal | None = None
    trades: int = 0
    note: str = ""  # why there was no trade


def week_tiles(
    today: date,
    sessions: Sequence[Session],
    facts: Mapping[date, DayFacts],
    weekend: Sequence[StageView],
    open_positions: int,
) -> tuple[DayTile, ...]:
    """The weekend before this trading week, then Monday to Friday; holidays say so."""
    monday = today - timedelta(days=today.weekday())
    if today.weekday() >= 5:
        monday += timedelta(days=7)
    open_days = {s.day for s in sessions}
    tiles = [_weekend_tile(monday - timedelta(days=2), weekend, today)]
    for offset in range(5):
        day = monday + timedelta(days=offset)
        tiles.append(_day_tile(day, today, day in open_days, facts.get(day), open_positions))
    return tuple(tiles)


def _weekend_tile(day: date, stages: Sequence[StageView], today: date) -> DayTile:
    marks = {"done": "✓", "running": "▶", "paused": "‖", "failed": "✗", "waiting": "·"}
    short = {
        "weekly_5d_data": "data",
        "wipe_weekly_results": "wipe",
        "mp1_loop": "train",
        "mp1_p3_pruner": "prune",
        "mp2_p2_group_discovery": "groups",
    }
    lines = tuple(f"{short[s.stage]} {marks[s.state]}" for s in stages if s.stage in short)
    failed = any(s.state == "failed" for s in stages)
    running = any(s.state in ("running", "paused") for s in stages)
    state = "failed" if failed else "present" if running else "past" if lines else "future"
    return DayTile(day=day, title="Weekend", lines=lines or ("not run",), state=state)


def _day_tile(day: date, today: date, is_session: bool, facts: DayFacts | None, positions: int) -> DayTile:
    title = f"{day:%a}"
    if not is_session:
        return DayTile(day=day, title=title, lines=("holiday",), state="past" if day < today else "future")
    if facts is not None and facts.pnl is not None:
        lines = (f"{facts.pnl:+,.2f} $", f"{facts.trades} trade{'s' if facts.trades != 1 else ''}")
        return DayTile(day=day, title=title, lines=lines, state="past")
    if facts is not None and facts.note:
        return DayTile(day=day, title=title, lines=("no trade", facts.note), state="no_trade")
    if day == today:
        now = f"▶ {positions} positions" if positions else "today"
        return DayTile(day=day, title=title, lines=(now,), state="present")
    return DayTile(day=day, title=title, state="past" if day < today else "future")


def next_items(
    now: datetime,
    sessions: Sequence[Session],
    execution: ExecutionSettings,
    settle_minutes: int,
    shortlist: ShortlistView,
    stages: Sequence[StageView],
    open_positions: int,
) -> tuple[NextItem, ...]:
    """What runs now and what the clock brings, soonest first; at most six lines."""
    items = [
        NextItem(text=f"{s.stage}: {s.detail}".rstrip(": "), active=True)
        for s in stages
        if s.state in ("running", "paused")
    ]
    if open_positions:
        items.append(NextItem(text=f"managing exits (TSH), {open_positions} open", active=True))
    coming: list[NextItem] = []
    if shortlist.state == "pending" and shortlist.deadline is not None:
        coming.append(NextItem(at=shortlist.deadline, text="approval closes; without it no trade"))
    for session in sessions:
        if session.close <= now - timedelta(minutes=settle_minutes):
            continue
        coming.append(NextItem(at=session.open, text="market opens"))
        exits = session.close - timedelta(minutes=execution.exit_minutes)
        if open_positions:
            coming.append(NextItem(at=exits, text="end-of-day exits"))
        coming.append(NextItem(at=session.close, text="market closes" + _half_day(session)))
        settled = session.close + timedelta(minutes=settle_minutes)
        coming.append(NextItem(at=settled, text="the day's bars are final: d starts the weekday"))
        if len(coming) > 8:
            break
    later = sorted((i for i in coming if i.at is not None and i.at > now), key=lambda i: i.at or now)
    return tuple((items + later)[:6])


def _half_day(session: Session) -> str:
    close = session.close.astimezone(NEW_YORK)
    return f" early ({close:%H:%M})" if close.hour < 16 else ""


def next_event(items: Sequence[NextItem]) -> tuple[str, datetime | None]:
    """The first coming event for the strip: (text, market time)."""
    for item in items:
        if item.at is not None:
            return item.text, item.at
    return "", None
