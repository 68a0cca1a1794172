"""mp2_p2: finds the groups of variations and selects the two that are used.

The search runs in a worker process of its own (``search_worker``); this stage starts it,
relays its views and commands, measures every found group on the hold-out tickers (eligible,
never trained on, the same five days), selects, and stores ``final_groups`` whole. Rerunnable:
a search that was killed goes on from its checkpoint, or without one restarts with the time its
budget has left.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine.brackets import BracketTable
from engine.decision.search_request import MODULE, NAME, REMEDY, SearchAnswer, SearchProgress, SearchRequest
from engine.decision.selection import (
    MeasuredGroup,
    Replication,
    holdout_text,
    judgement,
    luck_text,
    replicate,
    select_groups,
)
from engine.decision.solver_log import SolverLog
from engine.errors import DataError
from engine.events import EventSink, GroupsSelected
from engine.model import DAYS, Bools, Evaluation, ExitModel, Floats, Ints, ParameterSet, profit_percentage
from engine.records import FinalGroup, SearchOutcome
from engine.settings import PrunerSettings, SearchSettings
from engine.spaces import ParameterSpace
from engine.storage.market_tables import training_windows
from engine.storage.stocks_data_db import StocksDataDb
from engine.views import GroupRow, GroupsView
from engine.worker_pipe import WorkerClient

LAST_SEARCH = "last_search"  # the journal's key of ``kept_search``
LEAST_BUDGET_S = 1.0  # wall seconds that a restarted search gets when its budget is used up

log = logging.getLogger(__name__)

Evaluate = Callable[[Floats, Sequence[ParameterSet]], Evaluation]
"""``ComputeEngine.evaluate`` in training mode: windows [n, 65, 5] and sets to buys bool[n, sets] and PP."""


@dataclass(frozen=True, slots=True)
class DiscoveryPlan:
    """What a run depends on besides the tables. ``used_before_s``: wall seconds of killed runs before."""

    stocks_db: Path
    spaces: tuple[ParameterSpace, ...]
    settings: SearchSettings
    brackets: BracketTable
    exit_model: ExitModel
    used_before_s: float = 0.0
    checkpoint: Path | None = None
    results_db: Path | None = None  # what the pruned variations were chosen from, by ``pruner``
    pruner: PrunerSettings | None = None

    def request(self, week: date) -> SearchRequest:
        """A fixed quota of tests gets the whole budget again: only tests may cut it, or it is not reproducible."""
        left = max(LEAST_BUDGET_S, self.settings.budget_s - self.used_before_s)
        return SearchRequest.of(
            self.stocks_db,
            week,
            self.spaces,
            self.settings,
            self.brackets,
            self.exit_model,
            None if self.settings.tests is not None else left,
            self.checkpoint,
            self.results_db,
            self.pruner,
        )


@dataclass(frozen=True, slots=True)
class DiscoveryReport:
    """What the stage did; ``groups`` in rank order as stored, ``second`` None without a real alternative."""

    outcome: SearchOutcome
    groups: tuple[FinalGroup, ...]
    holdout_tickers: int

    @property
    def first(self) -> FinalGroup:
        return next(g for g in self.groups if g.selected == 1)

    @property
    def second(self) -> FinalGroup | None:
        return next((g for g in self.groups if g.selected == 2), None)

    @property
    def summary(self) -> str:
        state = "proven" if self.outcome.proven else f"gap {self.outcome.gap:.3f}"
        found = f"{len(self.groups)} groups ({state}), {self.outcome.tests:,} tests"
        return f"{found}, {holdout_text(self.first)}; {luck_text(self.first)}"


class GroupDiscovery:
    """One run of the stage. Build it, ``await run()``; command it from the same event loop."""

    def __init__(
        self,
        stocks: StocksDataDb,
        plan: DiscoveryPlan,
        evaluate: Evaluate,
        *,
        on_view: Callable[[GroupsView], None] = lambda view: None,
        on_used: Callable[[float], None] = lambda seconds: None,
        events: EventSink | None = None,
        solver_log: SolverLog | None = None,
        on_log: Callable[[str], None] | None = None,
    ) -> None:
        """``on_view``: the latest view, at most 4 Hz, and the final one with the selection.

        ``on_used``: wall seconds of the budget used so far, killed runs included; journal it
        and give it back as ``used_before_s`` when the stage is run again.
        """
        self._stocks, self._plan, self._evaluate = stocks, plan, evaluate
        self._solver_log = SolverLog(None, None) if solver_log is None else solver_log
        self._on_view, self._on_used, self._events = on_view, on_used, events
        self._worker = WorkerClient(MODULE, name=NAME, remedy=REMEDY, on_log=on_log)

    @property
    def worker_pid(self) -> int | None:
        return self._worker.pid

    async def pause(self) -> bool:
        """False when the search has already ended; the same holds for ``resume`` and ``stop``."""
        return await self._worker.command("pause")

    async def resume(self) -> bool:
        return await self._worker.command("resume")

    async def stop(self) -> bool:
        """Ends the search early; its groups so far are selected from and stored, with the gap."""
        return await self._worker.command("stop")

    async def run(self) -> DiscoveryReport:
        """Searches, replicates, selects, stores. NoGroupError when nothing passed the guardrails."""
        sessions = await self._stocks.sessions()
        if len(sessions) != DAYS:
            raise DataError("the week's data set is missing: run 'tshc weekend', weekly_5d_data builds it")
        answer = await self._search(self._plan.request(sessions[-1]))
        outcome = answer.outcome(seconds_before=self._plan.used_before_s, budget_s=self._plan.settings.budget_s)
        measured = [group.measured() for group in answer.groups]
        replications, tickers = await self._replicate(measured)
        tally = None if answer.tally is None else answer.tally.tally()
        groups = await asyncio.to_thread(select_groups, measured, replications, tally=tally)
        await self._stocks.replace_final_groups(outcome, groups)
        report = DiscoveryReport(outcome, groups, tickers)
        if self._plan.checkpoint is not None:
            self._forget(self._plan.checkpoint)
        self._on_view(final_view(answer.view, groups, self._plan.spaces))
        self._publish(report)
        return report

    @staticmethod
    def _forget(checkpoint: Path) -> None:
        """The groups are stored; a checkpoint that cannot be removed is only of no use any more."""
        try:
            checkpoint.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s was not removed: %s", checkpoint, error)

    async def _search(self, request: SearchRequest) -> SearchAnswer:
        def relay(message: dict[str, object]) -> None:
            progress = SearchProgress.model_validate(message)
            self._on_view(progress.view)
            self._solver_log.tell(progress.view)
            self._on_used(progress.used_s if progress.resumed else self._plan.used_before_s + progress.used_s)

        return SearchAnswer.model_validate(await self._worker.run(request.line(), relay))

    async def _replicate(self, groups: Sequence[MeasuredGroup]) -> tuple[list[Replication], int]:
        """Every group on the hold-out tickers of each day; and how many tickers these are."""
        if not groups:
            return [], 0
        sets = sorted({m for g in groups for m in g.members}, key=lambda m: (m.algorithm, m.values))
        column = {parameter_set: i for i, parameter_set in enumerate(sets)}
        excess: list[Ints] = []
        picks: list[list[Bools]] = [[] for _ in groups]
        outside = await self._stocks.holdout()
        for day in range(1, DAYS + 1):
            _, sampled = await self._stocks.day_windows(day)
            windows = training_windows(outside, day)
            day_excess, buys = await asyncio.to_thread(self._holdout_day, sampled, windows, sets)
            excess.append(day_excess)
            for own, group in zip(picks, groups, strict=True):
                own.append(np.logical_and.reduce(buys[:, [column[m] for m in group.members]], axis=1))
        return [replicate(excess, own) for own in picks], len(outside.symbols)

    def _holdout_day(self, sampled: Floats, windows: Floats, sets: Sequence[ParameterSet]) -> tuple[Ints, Bools]:
        """Excess and buys of one day's hold-out tickers; excess is against the mean PP of the sampled 1,000."""
        if not len(windows):
            return np.empty(0, np.int64), np.empty((0, len(sets)), np.bool_)
        plan = self._plan
        reference = np.rint(profit_percentage(sampled[:, 0], plan.brackets, plan.exit_model).mean()).astype(
            np.int64
        )
        pp = profit_percentage(windows[:, 0], plan.brackets, plan.exit_model)
        return pp - reference, self._evaluate(windows, sets).buys

    def _publish(self, report: DiscoveryReport) -> None:
        if self._events is None:
            return
        second = report.second
        self._events.publish(
            GroupsSelected(
                week=report.outcome.week,
                first=members_text(report.first, self._plan.spaces),
                second="" if second is None else members_text(second, self._plan.spaces),
                proven=report.outcome.proven,
                gap=report.outcome.gap,
            )
        )


def members_text(group: FinalGroup, spaces: Sequence[ParameterSpace]) -> str:
    """``adx n 11  thr 18 + rsi n 14  lev 30``."""
    by_name = {space.algorithm: space for space in spaces}
    return " + ".join(f"{m.algorithm} {by_name[m.algorithm].text(m.values)}" for m in group.members)


def group_row(group: FinalGroup, spaces: Sequence[ParameterSpace]) -> GroupRow:
    """A stored group as the groups screen shows it."""
    return GroupRow(
        rank=group.rank,
        selected=group.selected,
        score=group.score,
        selection_score=group.selection_score,
        mean_day=group.mean,
        worst_day=min(group.day_means),
        picks_day=sum(group.day_picks) / len(group.day_picks),
        members=members_text(group, spaces),
        holdout=holdout_text(group),
        holdout_mean=group.holdout_mean,
        holdout_error=group.holdout_error,
        holdout_picks=sum(group.holdout_picks),
        overlap=group.overlap_first,
        p_value=group.p_value,
        luck=luck_text(group),
        shuffles_reached=group.shuffles_reached,
        shuffles_done=group.shuffles_done,
        judgement=judgement(group),
        verdict=group.verdict,
    )


def final_view(last: GroupsView, groups: Sequence[FinalGroup], spaces: Sequence[ParameterSpace]) -> GroupsView:
    """The search's last view with the selected groups in the place of the found ones."""
    return last.model_copy(update={"state": "done", "groups": tuple(group_row(g, spaces) for g in groups)})


def kept_search(outcome: SearchOutcome, view: GroupsView) -> dict[str, Any]:
    """The last view without its groups, JSON-safe: what no table holds (lanes, flows, curve, shuffles)."""
    view = view.model_copy(update={"groups": ()})
    return {"week": outcome.week.isoformat(), "tests": outcome.tests, "view": view.model_dump(mode="json")}


def _finite(kept: Any) -> Any:
    """A kept view as the console can be sent it: earlier versions kept -Infinity where there was no group."""
    if isinstance(kept, float):
        return kept if math.isfinite(kept) else None
    if isinstance(kept, Mapping):
        return {name: _finite(value) for name, value in kept.items()}
    if isinstance(kept, list | tuple):
        return [_finite(value) for value in kept]
    return kept


def stored_view(
    outcome: SearchOutcome,
    groups: Sequence[FinalGroup],
    spaces: Sequence[ParameterSpace],
    kept: Mapping[str, Any] | None = None,
) -> GroupsView:
    """What the groups screen shows of a search that ended in an earlier run of the engine.

    ``kept``: of ``kept_search``; when it is of another search, or of another version of the
    program, the screen shows what the tables know.
    """
    rows = tuple(group_row(g, spaces) for g in groups)
    if kept is not None and (kept["week"], kept["tests"]) == (outcome.week.isoformat(), outcome.tests):
        try:
            return GroupsView.model_validate(_finite(kept["view"])).model_copy(update={"groups": rows})
        except ValidationError as error:
            log.warning("the last search's lanes and curves are of another version: %s", error)
    return GroupsView(
        state="done",
        budget_s=outcome.budget_s,
        elapsed_s=outcome.seconds,
        incumbent=max((g.score for g in groups), default=None),
        gap=outcome.gap,
        proven=outcome.proven,
        visited=outcome.frequent,
        tests=outcome.tests,
        tests_per_s=outcome.tests / outcome.seconds if outcome.seconds else 0.0,
        groups=rows,
    )
