"""The words of alerts: severity, topic, a finding, an alert, and what is told of it. No I/O.

An alert is known by its key. While it is open the same key only counts; it ends when somebody
acknowledges it or, when it describes a state (``holds``), when that state has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Severity(StrEnum):
    """How soon somebody has to react."""

    NOTICE = "notice"  # today
    WARNING = "warning"  # within the hour
    CRITICAL = "critical"  # now

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Topic(StrEnum):
    EXITS = "exits"
    FLATTEN = "flatten"
    PROTECTION = "protection"
    STREAMS = "streams"
    ENTRIES = "entries"
    APPROVAL = "approval"
    RECONCILE = "reconcile"
    RUNS = "runs"
    ENGINE = "engine"
    SINKS = "sinks"
    TEST = "test"


ALWAYS_TOLD = frozenset({Topic.EXITS, Topic.FLATTEN, Topic.PROTECTION})  # whatever the hour

What = Literal["raised", "repeated", "escalated", "recovered", "test"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, as the rules see it; ``after_s``: wall seconds that it must last first."""

    key: str
    severity: Severity
    topic: Topic
    text: str
    after_s: float = 0.0
    holds: bool = True

    def is_worse_than(self, severity: Severity, topic: Topic) -> bool:
        """More severe than it was known, or about a position by now: then no quiet hour may hold it back."""
        endangers = self.topic in ALWAYS_TOLD and not _always_told(severity, topic)
        return endangers or self.severity.rank > severity.rank


@dataclass(frozen=True, slots=True)
class Alert:
    """One key's present or last episode. Times are wall UTC."""

    key: str
    severity: Severity
    topic: Topic
    text: str
    holds: bool
    opened_at: datetime
    last_at: datetime
    market_at: datetime | None = None  # market time of last_at
    count: int = 1
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    over_at: datetime | None = None
    step: int = 0  # how often it was told in this episode
    told_at: datetime | None = None
    told_to: tuple[str, ...] = ()  # sinks that are owed the news of its end
    rings: int = 0  # how often anything was told under this key, ever

    @property
    def is_open(self) -> bool:
        """What happened once is settled by its acknowledgement; what holds, only by its end."""
        return self.over_at is None and (self.holds or not self.acknowledged_by)

    @property
    def waiting(self) -> bool:
        return self.is_open and not self.acknowledged_by

    @property
    def always_told(self) -> bool:
        """Whether quiet hours leave it alone."""
        return _always_told(self.severity, self.topic)

    @property
    def ended_at(self) -> datetime | None:
        return None if self.is_open else self.over_at or self.acknowledged_at


def _always_told(severity: Severity, topic: Topic) -> bool:
    return topic in ALWAYS_TOLD or severity is Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class Telling:
    """An alert that leaves the engine now, and where to."""

    alert: Alert
    what: What
    sinks: tuple[str, ...]
