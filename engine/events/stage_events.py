"""The stages of a week: runs, progress, pruning, the search and its groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from engine.events.event import Event, Level


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    level: ClassVar[Level] = Level.NOTICE
    run: str
    run_kind: str
    resumed: bool = False

    @property
    def text(self) -> str:
        return f"{self.run_kind} run {self.run} {'resumed' if self.resumed else 'started'}"


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The end of a weekend or weekday run; ``outcome``: done, failed, stopped, refused, abandoned."""

    level: ClassVar[Level] = Level.NOTICE
    run: str
    run_kind: str
    outcome: str
    seconds: float
    summary: str

    @property
    def text(self) -> str:
        return f"{self.run_kind} run {self.run} {self.outcome} after {self.seconds:.1f} s: {self.summary}"


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    run: str
    stage: str
    resumed: bool = False

    @property
    def text(self) -> str:
        return f"{self.stage} {'resumed' if self.resumed else 'started'}"


@dataclass(frozen=True, kw_only=True)
class StageFinished(Event):
    level: ClassVar[Level] = Level.NOTICE
    run: str
    stage: str
    seconds: float
    summary: str
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.stage} done in {self.seconds:.1f} s: {self.summary}"


@dataclass(frozen=True, kw_only=True)
class StageFailed(Event):
    level: ClassVar[Level] = Level.ALERT
    run: str
    stage: str
    reason: str

    @property
    def text(self) -> str:
        return f"{self.stage} failed: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """A step inside a stage; shown live, not kept in the journal."""

    level: ClassVar[Level] = Level.DEBUG
    stage: str
    done: float
    total: float
    detail: str = ""

    @property
    def text(self) -> str:
        return f"{self.stage} {self.done:g}/{self.total:g} {self.detail}".rstrip()


@dataclass(frozen=True, kw_only=True)
class BackendTie(Event):
    """Both compute backends are right: an indicator lies within rounding of its threshold."""

    what: str  # ticker, day, algorithm, parameters, both values

    @property
    def text(self) -> str:
        return f"backends tie: {self.what}"


@dataclass(frozen=True, kw_only=True)
class AlgorithmPruned(Event):
    algorithm: str
    kept: int
    dropped: dict[str, int]

    @property
    def text(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
        return f"{self.algorithm}: kept {self.kept}; dropped {reasons or 'none'}"


@dataclass(frozen=True, kw_only=True)
class SearchProgressed(Event):
    """A line of the solver log; ``columns`` as ``engine.decision.solver_log`` names them."""

    level: ClassVar[Level] = Level.DEBUG
    columns: dict[str, Any]

    @property
    def text(self) -> str:
        c = self.columns
        best = "none" if c["incumbent"] is None else f"{c['incumbent']:+.3f}"
        gap = "proven" if c["proven"] else "gap unknown" if c["gap"] is None else f"gap {c['gap']:.3f}"
        return (
            f"search at {c['elapsed_s']:.1f} s: best {best}, {gap}, {c['anchors_open']:,} of {c['anchors']:,} "
            f"anchors open, {c['groups_visited']:,} groups, {c['tests_per_s'] / 1e6:.1f} M tests/s, "
            f"{c['shuffles_done']} of {c['shuffles']} shuffles"
        )


@dataclass(frozen=True, kw_only=True)
class GroupsSelected(Event):
    level: ClassVar[Level] = Level.NOTICE
    week: date
    first: str
    second: str
    proven: bool
    gap: float

    @property
    def text(self) -> str:
        state = "proven" if self.proven else f"gap {self.gap:.3f}"
        return f"groups selected ({state}): {self.first} | {self.second or 'no alternative'}"
