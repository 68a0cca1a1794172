"""The wire of the search worker: one request in, progress and one result out, all JSON-safe.

Shared by the engine's side (mp2_p2_group_discovery) and the worker's (search_worker).
Imports nothing that compiles: the engine process starts a worker, it does not become one.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from engine.brackets import Bracket, BracketTable
from engine.decision.guardrails import GuardrailTally
from engine.decision.permutation_null import Scope, Shuffled
from engine.decision.selection import MeasuredGroup
from engine.model import ExitModel, Parameter, ParameterSet
from engine.records import SearchOutcome
from engine.settings import PrunerSettings, SearchSettings
from engine.spaces import ParameterSpace
from engine.views import GroupsView

MODULE = "engine.decision.search_worker"
NAME = "search worker"
REMEDY = "run 'tshc weekend' again, the search restarts with the time its budget has left"


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WireParameter(Wire):
    name: str
    low: int
    high: int
    step: Decimal


class WireSpace(Wire):
    """A ParameterSpace: the worker knows no algorithm by itself."""

    algorithm: str
    parameters: tuple[WireParameter, ...]
    rising: tuple[int, int] | None = None

    @classmethod
    def of(cls, space: ParameterSpace) -> WireSpace:
        parameters = tuple(
            WireParameter(name=p.name, low=p.low, high=p.high, step=p.step) for p in space.parameters
        )
        return cls(algorithm=space.algorithm, parameters=parameters, rising=space.rising)

    def space(self) -> ParameterSpace:
        parameters = tuple(Parameter(p.name, p.low, p.high, p.step) for p in self.parameters)
        return ParameterSpace(self.algorithm, parameters, self.rising)


class SearchRequest(Wire):
    """The one line that a search worker gets. ``budget_left_s`` wall seconds; None: the whole budget."""

    stocks_db: str
    week: date  # day5; the worker refuses another week's data
    spaces: tuple[WireSpace, ...]
    settings: SearchSettings
    brackets: tuple[Bracket, ...]
    exit_model: ExitModel
    budget_left_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    checkpoint: str | None = None  # file to go on from, and to write every 2 s
    results_db: str | None = None  # what training tested, and the rules that pruned it: shuffled weeks prune
    pruner: PrunerSettings = PrunerSettings()  # anew by them; without results they search the pruned variations

    @classmethod
    def of(
        cls,
        stocks_db: Path,
        week: date,
        spaces: tuple[ParameterSpace, ...],
        settings: SearchSettings,
        brackets: BracketTable,
        exit_model: ExitModel,
        budget_left_s: float | None,
        checkpoint: Path | None = None,
        results_db: Path | None = None,
        pruner: PrunerSettings | None = None,
    ) -> SearchRequest:
        return cls(
            stocks_db=str(stocks_db),
            week=week,
            spaces=tuple(WireSpace.of(s) for s in spaces),
            settings=settings,
            brackets=tuple(brackets),
            exit_model=exit_model,
            budget_left_s=budget_left_s,
            checkpoint=None if checkpoint is None else str(checkpoint),
            results_db=None if results_db is None else str(results_db),
            pruner=pruner or PrunerSettings(),
        )

    def line(self) -> dict[str, Any]:
        """JSON-safe, as ``WorkerClient.start`` sends it."""
        return self.model_dump(mode="json") | {"brackets": [asdict(b) for b in self.brackets]}

    def budget_s(self) -> float:
        return self.settings.budget_s if self.budget_left_s is None else self.budget_left_s


class SearchProgress(Wire):
    """What the worker tells 4 times a second: the view, and the wall seconds of the budget it has used."""

    used_s: float
    resumed: bool = False  # it went on from a checkpoint: ``used_s`` counts the earlier lives
    view: GroupsView


class WireShuffled(Wire):
    """A Shuffled: how a group compares with the best of shuffled weeks."""

    reached: int
    done: int
    planned: int
    certain: bool
    bounded: int | None
    observed: float | None
    scope: Scope

    @classmethod
    def of(cls, shuffled: Shuffled) -> WireShuffled:
        return cls(**asdict(shuffled))

    def shuffled(self) -> Shuffled:
        return Shuffled(**self.model_dump())


class WireGroup(Wire):
    """A found group; sums in micro-percent, picks as hex of ``engine.records.picks_bytes``."""

    members: tuple[tuple[str, tuple[int, ...]], ...]
    score: float
    day_sums: tuple[int, ...]
    day_counts: tuple[int, ...]
    pp_sum: int
    picks: str
    shuffled: WireShuffled | None = None

    def measured(self) -> MeasuredGroup:
        return MeasuredGroup(
            members=tuple(ParameterSet(algorithm, values) for algorithm, values in self.members),
            score=self.score,
            day_sums=self.day_sums,
            day_counts=self.day_counts,
            pp_sum=self.pp_sum,
            picks=bytes.fromhex(self.picks),
            shuffled=None if self.shuffled is None else self.shuffled.shuffled(),
        )


class WireTally(Wire):
    """A GuardrailTally; sent only when no group was found."""

    min_picks: int
    min_positive_days: int
    day_floor: float | None
    pairs: int
    few_picks: int
    few_positive_days: int
    bad_day: int
    best_shared: int

    @classmethod
    def of(cls, tally: GuardrailTally) -> WireTally:
        return cls(**asdict(tally))

    def tally(self) -> GuardrailTally:
        return GuardrailTally(**self.model_dump())


class SearchAnswer(Wire):
    """The worker's result: all groups, best first; how the search ended; its last view."""

    groups: tuple[WireGroup, ...]
    week: date
    proven: bool
    gap: float
    tests: int
    frequent: int
    seconds: float
    budget_s: float  # what this run was given
    threads: int
    resumed: bool = False  # ``seconds`` count the earlier lives
    ledger: dict[str, float]
    view: GroupsView
    tally: WireTally | None = None

    def outcome(self, *, seconds_before: float, budget_s: float) -> SearchOutcome:
        """As stored: with the time of killed runs before this one, and the budget of the settings."""
        return SearchOutcome(
            week=self.week,
            proven=self.proven,
            gap=self.gap,
            tests=self.tests,
            frequent=self.frequent,
            seconds=self.seconds if self.resumed else self.seconds + seconds_before,
            budget_s=budget_s,
            threads=self.threads,
            ledger=self.ledger,
        )
