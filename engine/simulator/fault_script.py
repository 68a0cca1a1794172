"""Faults by the clock: a TOML file of what goes wrong when, for ``tshc sim --faults FILE`` and ``sim.faults``.

    [[fault]]
    at = "09:31:00"          # New York, on the next session day; or an ISO date and time
    kind = "halt"            # kinds and their arguments: ``engine.simulator.faults``
    symbol = "ABCD"
    market_seconds = 300
    gap_pct = -4.0

Without ``at`` a fault is ordered when the simulator starts.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.model import NEW_YORK, UTC
from engine.simulator.faults import Fault


@dataclass(frozen=True, slots=True)
class ScriptedFault:
    """``at``: a New York time of day, a moment, or None for the start."""

    fault: Fault
    at: time | datetime | None = None

    def due_after(self, start: datetime, days: Sequence[date]) -> datetime:
        """The market time (UTC) at which it is ordered; ``days`` are the session days of the market, ascending.

        ValueError when no session day is left for a time of day.
        """
        if self.at is None:
            return start
        if isinstance(self.at, datetime):
            return max(start, self.at)
        for day in days[bisect_left(days, start.astimezone(NEW_YORK).date()) :]:
            due = datetime.combine(day, self.at, tzinfo=NEW_YORK).astimezone(UTC)
            if due >= start:
                return due
        raise ValueError(f"no session is left for a fault at {self.at}")

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> ScriptedFault:
        """ValueError saying what is wrong with one ``[[fault]]``."""
        given = dict(row)
        at = given.pop("at", None)
        return cls(Fault.parse(given), None if at is None else _moment(at))


def _moment(at: Any) -> time | datetime:
    if isinstance(at, time):
        return at
    if isinstance(at, str):
        try:
            return time.fromisoformat(at)
        except ValueError:
            at = datetime.fromisoformat(at)
    if not isinstance(at, datetime):
        raise ValueError("at is a time of day (09:31:00) or a date and time")
    return (at if at.tzinfo else at.replace(tzinfo=NEW_YORK)).astimezone(UTC)


def read_script(path: Path) -> list[dict[str, Any]]:
    """The checked rows of a script, JSON-safe; UsageError naming the file and the row that is wrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the faults' script {path} cannot be read: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}; correct that line") from error
    rows = table.get("fault")
    if set(table) != {"fault"} or not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise UsageError(f"{path} must hold [[fault]] tables and nothing else")
    for number, row in enumerate(rows, start=1):
        try:
            ScriptedFault.parse(row)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{path}, fault {number}: {error}") from error
    return [
        {k: v.isoformat() if k == "at" and not isinstance(v, str) else v for k, v in row.items()} for row in rows
    ]
