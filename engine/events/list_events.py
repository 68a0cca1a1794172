"""The trade list: ready, kept for the forward ledger, approved, judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from engine.events.event import Event, Level


@dataclass(frozen=True, kw_only=True)
class TradeListReady(Event):
    level: ClassVar[Level] = Level.NOTICE
    session: date
    list_hash: str
    symbols: tuple[str, ...]
    reason: str = ""

    @property
    def text(self) -> str:
        if not self.symbols:
            return f"no trade list for {self.session}: {self.reason}"
        return f"trade list {self.list_hash[:8]} for {self.session}: {' '.join(self.symbols)}"


@dataclass(frozen=True, kw_only=True)
class CandidatesRecorded(Event):
    """Every candidate of a selected group for one session: what the forward ledger will judge."""

    session: date
    selected: int  # 1 trades, 2 runs in shadow
    group: str
    symbols: tuple[str, ...]

    @property
    def text(self) -> str:
        role = "traded" if self.selected == 1 else "shadow"
        return f"{role} group has {len(self.symbols)} candidates for {self.session}"


@dataclass(frozen=True, kw_only=True)
class LedgerDayJudged(Event):
    """A day of a selected group entered the forward ledger; excess in percent, net of costs."""

    session: date
    selected: int
    candidates: int
    pp_excess: float | None  # None: no candidate
    tsh_excess: float | None

    @property
    def text(self) -> str:
        role = "traded" if self.selected == 1 else "shadow"
        if self.pp_excess is None or self.tsh_excess is None:
            return f"forward ledger {self.session}: the {role} group had no candidate"
        return (
            f"forward ledger {self.session}: candidates of the {role} group: {self.candidates}, net excess "
            f"{self.pp_excess:+.2f} % by PP, {self.tsh_excess:+.2f} % by TSH's pessimistic path"
        )


@dataclass(frozen=True, kw_only=True)
class LedgerDayRebuilt(Event):
    """The candidates of a session that no weekday run worked off were made good for the forward ledger."""

    session: date
    selected: int
    group: str
    candidates: int

    @property
    def text(self) -> str:
        role = "traded" if self.selected == 1 else "shadow"
        return f"forward ledger {self.session}: reconstructed, the {role} group would have had {self.candidates}"


@dataclass(frozen=True, kw_only=True)
class LedgerNotWritten(Event):
    """The forward ledger could not take or judge a day; trading is not concerned."""

    level: ClassVar[Level] = Level.WARNING
    what: str
    reason: str

    @property
    def text(self) -> str:
        return f"the forward ledger {self.what}: {self.reason}; trading is not concerned"


@dataclass(frozen=True, kw_only=True)
class ApprovalGiven(Event):
    level: ClassVar[Level] = Level.NOTICE
    session: date
    list_hash: str
    account: str
    mode: str
    by: str
    symbols: tuple[str, ...]
    grade: str = ""
    advice: str = ""
    size: float = 1.0
    against_advice: bool = False

    @property
    def text(self) -> str:
        against = f", AGAINST THE ADVICE (grade {self.grade})" if self.against_advice else ""
        return f"{self.by} approved {self.list_hash[:8]} for {self.session}{against}: {' '.join(self.symbols)}"


@dataclass(frozen=True, kw_only=True)
class ApprovalEnded(Event):
    """A trade list left the approval without a yes: rejected, voided by a swap, or expired."""

    level: ClassVar[Level] = Level.NOTICE
    session: date
    list_hash: str
    outcome: str
    by: str = ""

    @property
    def text(self) -> str:
        return f"trade list {self.list_hash[:8]} for {self.session} {self.outcome}" + (
            f" by {self.by}" if self.by else ""
        )
