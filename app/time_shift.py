"""What a console says of itself when its screens do not show the present."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TimeShift:
    """``past`` (a replay): everything on the screen is of that time; otherwise (frozen) the body alone."""

    badge: str  # in the strip: "REPLAY 60×", "FROZEN 42 s +3"
    past: bool
    runs: bool  # time moves on
    at: datetime | None  # market time of what is shown
    facts: tuple[str, ...]  # the important ones first
    share: float  # where between the beginning (0) and the end (1) of what can be shown
    keys: tuple[tuple[str, str], ...]  # key and what it does, the important ones first
