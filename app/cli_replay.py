"""``tshc replay``: the list of recorded days, and one of them in the console."""

from __future__ import annotations

import asyncio
import datetime as dt

from rich.console import Console
from rich.table import Table

from app import formatting as f
from app.options import Options, print_json
from app.replay_client import SPEEDS, ReplayClient, load_day
from engine.errors import EXIT_DONE, UsageError
from engine.recording.day_file import RecordedDay, day_files, recorded_days


def list_days(options: Options) -> int:
    """Prints every recorded day, newest last."""
    days = recorded_days(options.home.recordings)
    if options.as_json:
        print_json([_facts(day) for day in days])
        return EXIT_DONE
    if not days:
        print(f"nothing is recorded in {options.home.recordings} yet: a running engine records by itself")
        return EXIT_DONE
    table = Table(box=None)
    for column in ("day", "mode", "from", "to"):
        table.add_column(column)
    for column in ("frames", "events", "size", "day's P&L"):
        table.add_column(column, justify="right")
    for day in days:
        if day.damage:
            table.add_row(f"{day.day}", "cannot be read", "", "", "", "", _size(day.bytes), "")
            continue
        pnl = f"{f.money(None if day.day_pnl is None else float(day.day_pnl), signed=True)} $"
        table.add_row(
            f"{day.day:%Y-%m-%d %a}",
            day.mode.upper(),
            f.eastern(day.first),
            f.eastern(day.last),
            f"{day.frames:,}",
            f"{day.events:,}",
            _size(day.bytes),
            pnl,
        )
    console = Console()
    console.print(table, highlight=False, markup=False)
    for day in days:
        if day.damage:
            console.print(f"{day.day}: {day.damage}", highlight=False, markup=False)
    console.print(f"'tshc replay {days[-1].day}' plays one; times are New York's", highlight=False, markup=False)
    return EXIT_DONE


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _facts(day: RecordedDay) -> dict[str, object]:
    if day.damage:
        return {"day": day.day, "bytes": day.bytes, "damage": day.damage}
    return {
        "day": day.day,
        "mode": day.mode,
        "first": day.first.isoformat(),
        "last": day.last.isoformat(),
        "runs": day.runs,
        "frames": day.frames,
        "events": day.events,
        "bytes": day.bytes,
        "wall_s": round(day.wall_s, 1),
        "day_pnl": day.day_pnl,
    }


def open_replay(options: Options, day: str, speed: float) -> int:
    """Plays ``day`` (a date, or ``last``) in the console until it is closed."""
    from app.replay_console import ReplayConsole

    if not SPEEDS[0] <= speed <= SPEEDS[-1]:
        raise UsageError(f"--speed is {SPEEDS[0]:g} to {SPEEDS[-1]:g}, not {speed:g}")
    data = asyncio.run(load_day(options.home, _chosen_day(options, day)))
    ReplayConsole(ReplayClient(options.home, data, speed=speed)).run()
    return EXIT_DONE


def _chosen_day(options: Options, text: str) -> dt.date:
    if text == "last":
        files = day_files(options.home.recordings)
        if not files:
            raise UsageError(f"nothing is recorded in {options.home.recordings} yet")
        return dt.date.fromisoformat(files[-1].stem)
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a day: write 2026-11-20 or last; 'tshc replay' lists them") from None
