"""The Overview screen's week and its next events. Pure: facts and market time in, view parts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from engine.execution.tsh_trade_management import exit_start
from engine.model import NEW_YORK, UTC, Session
from engine.settings import ExecutionSettings
from engine.views import DayTile, NextItem, PositionsView, ShortlistView, StageView, TrackMark


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What is known of one past session."""

    pnl: Decimal | None = None
    trades: int = 0
    note: str = ""  # why there was no trade


def week_tiles(
    now: datetime,
    sessions: Sequence[Session],
    facts: Mapping[date, DayFacts],
    weekend: Sequence[StageView],
    present: Sequence[str] = (),
) -> tuple[DayTile, ...]:
    """The weekend before this trading week, then Monday to Friday; holidays say so.

    A day reaches from the close before to its own close: its list, its yes and its trades belong
    to it. After the week's last close the week that comes is shown. ``present`` is what the day
    that is under way says.
    """
    closes = {s.day: s.close for s in sessions}
    monday = _monday(now, closes)
    before = [close for day, close in closes.items() if day < monday]
    tiles = [_weekend_tile(monday - timedelta(days=2), weekend)]
    bounds = [max(before) if before else _midnight(monday - timedelta(days=2)), _midnight(monday)]
    for offset in range(5):
        day = monday + timedelta(days=offset)
        bounds.append(closes.get(day, _midnight(day) + timedelta(hours=16)))
        tiles.append(_day_tile(day, day in closes, facts.get(day)))
    made = []
    for tile, start, end in zip(tiles, bounds, bounds[1:], strict=False):
        done = min(1.0, max(0.0, (now - start) / (end - start))) if end > start else float(now >= end)
        made.append(_in_time(tile, done, present))
    return tuple(made)


def _monday(now: datetime, closes: Mapping[date, datetime]) -> date:
    """Of the week that is shown: this one until its last close, then the next."""
    today = now.astimezone(NEW_YORK).date()
    monday = today - timedelta(days=today.weekday())
    last = max((c for day, c in closes.items() if monday <= day < monday + timedelta(days=7)), default=None)
    over = today.weekday() >= 5 if last is None else now >= last
    return monday + timedelta(days=7) if over else monday


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), NEW_YORK)


def _weekend_tile(day: date, stages: Sequence[StageView]) -> DayTile:
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


def _day_tile(day: date, is_session: bool, facts: DayFacts | None) -> DayTile:
    title = f"{day:%a}"
    if not is_session:
        return DayTile(day=day, title=title, lines=("holiday",))
    if facts is not None and facts.pnl is not None:
        lines = (f"{facts.pnl:+,.2f} $", f"{facts.trades} trade{'s' if facts.trades != 1 else ''}")
        return DayTile(day=day, title=title, lines=lines, state="past")
    if facts is not None and facts.note:
        return DayTile(day=day, title=title, lines=("no trade", facts.note), state="no_trade")
    return DayTile(day=day, title=title)


def _in_time(tile: DayTile, done: float, present: Sequence[str]) -> DayTile:
    """How much of the day has passed; the day under way says what it does."""
    changes: dict[str, object] = {"done": done}
    if tile.title != "Weekend" and tile.state == "future":
        if done >= 1:
            changes["state"] = "past"
        elif done > 0:
            changes["state"] = "present"
            if tile.lines != ("holiday",):
                changes["lines"] = tuple(present)
    return tile.model_copy(update=changes)


def present_lines(session: date | None, shortlist: ShortlistView, positions: PositionsView) -> tuple[str, ...]:
    """What the session that is under way or comes next stands at, in two short lines."""
    entered = [row for row in positions.rows if row.shares and row.state != "REFUSED"]
    held = [row for row in entered if row.state != "CLOSED"]
    if held:
        pnl = positions.realised + positions.unrealised
        return (f"{len(held)} of {len(entered)} open", f"{pnl:+,.2f} $")
    if shortlist.session is None or shortlist.session != session:
        return ("no list yet",)
    names = sum(row.chosen for row in shortlist.rows)
    word = f"{names} name{'s' if names != 1 else ''}"
    match shortlist.state:
        case "pending":
            return (f"{word} wait", "for your yes")
        case "approved":
            if positions.session == session and entered:
                return (f"{len(entered)} of {names} closed", f"{positions.realised:+,.2f} $")
            return ("approved", word)
        case "rejected" | "expired":
            return ("no trade", f"({shortlist.state})")
        case "empty":
            return ("no candidates",)
    return ("no list yet",)


def day_track(
    now: datetime,
    sessions: Sequence[Session],
    execution: ExecutionSettings,
    settle_minutes: int,
    shortlist: ShortlistView,
    rate: float = 1.0,
) -> tuple[TrackMark, ...]:
    """The moments of the trading day that is under way or comes next, from its list to its close.

    ``rate``: market seconds a wall second while positions are held; a hurried clock needs its end-of-day
    exits earlier.
    """
    known = list(sessions)
    index = next((i for i, s in enumerate(known) if now < s.close), None)
    if index is None:
        return ()
    session = known[index]
    deadline = datetime.combine(session.day, execution.approval_deadline, NEW_YORK)
    moments = [
        (deadline, "approval"),
        (session.open, "open"),
        (exit_start(session.close, execution.exit_minutes, execution.exit_wall_s, rate), "exits"),
        (session.close, "close"),
    ]
    if index:
        moments.insert(0, (known[index - 1].close + timedelta(minutes=settle_minutes), "list"))
    marks, coming = [], False
    for at, text in moments:
        state: Literal["past", "next", "future"] = "past" if now >= at else "future" if coming else "next"
        coming = coming or state == "next"
        done = _happened(text, session.day, shortlist)
        marks.append(TrackMark(at=at.astimezone(UTC), text=text, state=state, done=done))
    return tuple(marks)


def _happened(moment: str, session: date, shortlist: ShortlistView) -> bool:
    """The market opens and closes by itself; a list and a yes there are only when somebody made them."""
    mine = shortlist.session == session
    if moment == "list":
        return mine and shortlist.state != "none"
    return moment != "approval" or (mine and shortlist.state == "approved")


def next_items(
    now: datetime,
    sessions: Sequence[Session],
    execution: ExecutionSettings,
    settle_minutes: int,
    shortlist: ShortlistView,
    stages: Sequence[StageView],
    open_positions: int,
    rate: float = 1.0,
) -> tuple[NextItem, ...]:
    """What runs now and what the clock brings, soonest first; at most six lines."""
    items = [
        NextItem(text=f"{s.stage}: {s.detail}".rstrip(": "), active=True)
        for s in stages
        if s.state in ("running", "paused") and not (open_positions and s.stage == "tsh_trade_management")
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
        exits = exit_start(session.close, execution.exit_minutes, execution.exit_wall_s, rate)
        if open_positions:
            coming.append(NextItem(at=exits, text="end-of-day exits"))
        coming.append(NextItem(at=session.close, text="market closes" + _half_day(session)))
        settled = session.close + timedelta(minutes=settle_minutes)
        coming.append(NextItem(at=settled, text="bars are final: d makes the list"))
        if len(coming) > 8:
            break
    later = sorted((i for i in coming if i.at is not None and i.at > now), key=lambda i: i.at or now)
    return tuple((items + later)[:6])


def _half_day(session: Session) -> str:
    return " early" if session.close.astimezone(NEW_YORK).hour < 16 else ""


def next_event(items: Sequence[NextItem], now: datetime) -> tuple[str, datetime | None]:
    """The first event after ``now`` for the strip: (text, market time). The items may be a second old."""
    for item in items:
        if item.at is not None and item.at > now:
            return item.text, item.at
    return "", None
