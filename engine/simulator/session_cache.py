"""XNYS sessions by year, kept on disk: the calendar library takes longer to load than the rest of a simulator.

A year's file is named after the library's version, so another calendar is asked anew. What cannot be
read is computed again, what cannot be written is not kept. Only the embedded market asks here; a real
broker tells its sessions itself.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path

import platformdirs

from engine.model import UTC, Session

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where the years are kept: per user, beside the compiled kernels."""
    return Path(platformdirs.user_cache_dir("tsh-console")) / f"xnys-{version('exchange-calendars')}"


def year_sessions(first: int, last: int, folder: Path | None = None) -> tuple[Session, ...]:
    """All sessions of the years ``first`` to ``last``; ValueError where the calendar does not reach."""
    folder = folder or cache_folder()
    known = {year: _kept(folder / f"{year}.json") for year in range(first, last + 1)}
    missing = [year for year, sessions in known.items() if sessions is None]
    if missing:
        computed = _computed(missing[0], missing[-1])
        for year in missing:
            known[year] = [session for session in computed if session.day.year == year]
            _keep(folder / f"{year}.json", known[year] or [])
    return tuple(session for year in sorted(known) for session in known[year] or ())


def _computed(first: int, last: int) -> list[Session]:
    import exchange_calendars  # here: with pandas most of a second, which the kept years save

    schedule = exchange_calendars.get_calendar("XNYS", start=f"{first}-01-01", end=f"{last}-12-31").schedule
    return [
        Session(day.date(), opened.to_pydatetime().astimezone(UTC), closed.to_pydatetime().astimezone(UTC))
        for day, opened, closed in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    ]


def _kept(path: Path) -> list[Session] | None:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [
            Session(date.fromisoformat(day), datetime.fromisoformat(opened), datetime.fromisoformat(closed))
            for day, opened, closed in rows
        ]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        log.warning("the kept sessions of %s are computed again: %s", path.stem, error)
        return None


def _keep(path: Path, sessions: list[Session]) -> None:
    rows = [[s.day.isoformat(), s.open.isoformat(), s.close.isoformat()] for s in sessions]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(rows, file)
        Path(name).replace(path)  # whole or not at all: simulators start at the same time
    except OSError as error:
        log.info("the sessions of %s are not kept: %s", path.stem, error)
