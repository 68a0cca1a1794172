"""The engine, its links, what it was told and what it raised as an alert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.events.event import Event, Level


@dataclass(frozen=True, kw_only=True)
class EngineStarted(Event):
    level: ClassVar[Level] = Level.NOTICE
    mode: str
    account: str
    pid: int

    @property
    def text(self) -> str:
        return f"engine started: {self.mode.upper()} account {self.account}, pid {self.pid}"


@dataclass(frozen=True, kw_only=True)
class EngineStopped(Event):
    level: ClassVar[Level] = Level.NOTICE
    reason: str

    @property
    def text(self) -> str:
        return f"engine stopped: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class LinkChanged(Event):
    """A stream or the broker's REST changed state: connecting, live, stale, refused, down."""

    link: str
    state: str
    detail: str = ""

    @property
    def text(self) -> str:
        return f"{self.link}: {self.state}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, kw_only=True)
class AlertRaised(Event):
    """Something the operator must see; while it is open, the same ``key`` again only counts.

    ``severity`` and ``topic`` as ``engine.alerts.alert`` names them; left empty, the key says both.
    ``holds``: it describes a state and closes itself when that has ended.
    """

    level: ClassVar[Level] = Level.ALERT
    key: str
    message: str
    severity: str = ""
    topic: str = ""
    holds: bool = False

    @property
    def text(self) -> str:
        return self.message


@dataclass(frozen=True, kw_only=True)
class AlertRecovered(Event):
    """The reason of an alert is gone: it closes itself."""

    level: ClassVar[Level] = Level.NOTICE
    key: str
    message: str

    @property
    def text(self) -> str:
        return f"over: {self.message}"


@dataclass(frozen=True, kw_only=True)
class AlertTold(Event):
    """An alert left the engine; ``what``: raised, repeated, escalated, recovered."""

    key: str
    what: str
    sink: str
    detail: str

    @property
    def text(self) -> str:
        return f"alert '{self.key}' {self.what}: {self.sink} {self.detail}"


@dataclass(frozen=True, kw_only=True)
class AlertNotTold(Event):
    """A sink could not pass an alert on."""

    level: ClassVar[Level] = Level.WARNING
    key: str
    what: str
    sink: str
    reason: str

    @property
    def text(self) -> str:
        return f"alert '{self.key}' {self.what}: {self.sink} FAILED: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class AlertAcknowledged(Event):
    key: str
    by: str

    @property
    def text(self) -> str:
        return f"alert '{self.key}' acknowledged by {self.by}"


@dataclass(frozen=True, kw_only=True)
class RecordingStopped(Event):
    """What the screens show is no longer kept for a replay."""

    level: ClassVar[Level] = Level.WARNING
    reason: str

    @property
    def text(self) -> str:
        return f"the recording of the screens stopped: {self.reason}; everything else goes on"


@dataclass(frozen=True, kw_only=True)
class CommandReceived(Event):
    command: str
    arguments: dict[str, Any]
    accepted: bool
    reason: str = ""

    @property
    def text(self) -> str:
        verdict = "accepted" if self.accepted else f"refused: {self.reason}"
        return f"command {self.command} {verdict}"
