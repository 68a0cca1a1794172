"""How a training run ended: the worker's answer, the same on both sides of the pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How a run ended."""

    cycle: int  # the last one stored
    cycles: int
    resumed_at: int  # cycles that were already stored when it began
    stopped: bool  # by command, before the last cycle
    distinct: int  # parameter sets tested in all
    tested: dict[str, int]
    exhausted: tuple[str, ...]  # algorithms without an untested set
    seconds: float  # wall time of this run, pauses included
    verified: int = 0  # batches computed by both backends in this run
    ties: tuple[str, ...] = ()  # differences that rounding explains, each in one line
    restarts: int = 0  # offices replaced in this run

    def summary(self) -> str:
        text = f"{self.cycle} of {self.cycles} cycles, {self.distinct:,} distinct sets tested"
        if self.resumed_at:
            text += f" (resumed after cycle {self.resumed_at})"
        if self.exhausted:
            text += f"; every set tested of {', '.join(self.exhausted)}"
        if self.verified:
            text += f"; {self.verified} batches agree on both backends, {len(self.ties)} ties"
        if self.restarts:
            text += f"; {self.restarts} offices replaced"
        return text + ("; stopped by command" if self.stopped else "")

    def plain(self) -> dict[str, Any]:
        """JSON-safe; ``of`` is the inverse."""
        return asdict(self) | {"exhausted": list(self.exhausted), "ties": list(self.ties)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> TrainingReport:
        return cls(**{**plain, "exhausted": tuple(plain["exhausted"]), "ties": tuple(plain["ties"])})
