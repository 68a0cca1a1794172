"""The lowest P&L of the day, kept over restarts of the engine, under a name that claims no more than was seen.

Pure: looks in, the low out. A look is an answer of the broker about the account; between two
looks, and while no engine ran, nobody knows how low it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from engine.model import NEW_YORK, Session

GAP = timedelta(seconds=60)  # wall time without a look that makes a gap, if the market was open in it


@dataclass(frozen=True, slots=True)
class DayLow:
    """Of one New York date, in percent of the equity at the last close.

    ``looked_at`` is wall time, ``since`` and ``seen`` are market time.
    """

    day: date
    percent: float
    since: datetime  # the first look
    seen: datetime  # the last look
    looked_at: datetime
    gap: bool = False

    def name(self, session: Session | None) -> str:
        """What the figure may be called."""
        if session is not None and self.since > session.open:
            return f"low since {self.since.astimezone(NEW_YORK):%H:%M}"
        return "low seen" if self.gap else "day low"

    def dump(self) -> dict[str, Any]:
        """JSON-able; ``loaded`` reads it."""
        return {
            "day": self.day.isoformat(),
            "percent": self.percent,
            "since": self.since.isoformat(),
            "seen": self.seen.isoformat(),
            "looked_at": self.looked_at.isoformat(),
            "gap": self.gap,
        }


def loaded(kept: Mapping[str, Any]) -> DayLow:
    """What ``dump`` wrote. KeyError, ValueError or TypeError for anything else."""
    since, seen, looked_at = (datetime.fromisoformat(kept[name]) for name in ("since", "seen", "looked_at"))
    return DayLow(
        date.fromisoformat(kept["day"]), float(kept["percent"]), since, seen, looked_at, bool(kept["gap"])
    )


def looked(
    low: DayLow | None, percent: float, now: datetime, looked_at: datetime, session: Session | None
) -> DayLow:
    """The low after one more look at market time ``now``; ``session`` is today's, None without one.

    A new New York date begins anew. The market closed, nothing moves: a gap then hides nothing.
    """
    day = now.astimezone(NEW_YORK).date()
    if low is None or low.day != day:
        return DayLow(day, percent, since=now, seen=now, looked_at=looked_at)
    open_meanwhile = session is not None and low.seen < session.close and now > session.open
    gap = low.gap or (looked_at - low.looked_at > GAP and open_meanwhile)
    return replace(low, percent=min(low.percent, percent), seen=now, looked_at=looked_at, gap=gap)
