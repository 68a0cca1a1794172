"""The weekend: from the week's bars to two frozen groups.

weekly_5d_data -> wipe_weekly_results -> mp1_loop -> mp1_p3_pruner ->
mp2_p2_group_discovery -> the selection frozen into the journal. Killed at any point it
resumes at the first unfinished unit of work and ends with the same tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Any

from engine.compute.algorithms import ALGORITHMS
from engine.daily.mp2_p3_executor import group_name
from engine.data.market_source import final_sessions
from engine.data.weekly_5d_data import SESSIONS, weekly_5d_data
from engine.data.wipe_weekly_results import wipe_weekly_results
from engine.decision.mp1_p3_pruner import prune
from engine.decision.mp2_p2_group_discovery import (
    LAST_SEARCH,
    DiscoveryPlan,
    GroupDiscovery,
    kept_search,
    members_text,
)
from engine.decision.solver_log import SolverLog
from engine.errors import OperatorError, RefusedError
from engine.events import BackendTie, GroupsSelected
from engine.pipeline.engine_room import EngineRoom, next_session
from engine.pipeline.runs import RunBook, Stage, StopRequestedError, open_run
from engine.pipeline.selection_record import frozen_payload
from engine.run_log import Run
from engine.settings import Settings
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.launch import TrainingProcess, TrainingRequest
from engine.views import GroupsView, TrainingView

STAGES = (
    "weekly_5d_data",
    "wipe_weekly_results",
    "mp1_loop",
    "mp1_p3_pruner",
    "mp2_p2_group_discovery",
)


SAVE_USED_EVERY_S = 2.0  # how much of its budget a killed search may get twice


class WeekendCycle:
    """Runs one weekend at a time; training and search take commands while they run."""

    def __init__(self, room: EngineRoom) -> None:
        self._room = room
        self._training: TrainingProcess | None = None
        self._search: GroupDiscovery | None = None

    async def open(self, settings: Settings, *, replace: bool) -> tuple[Run, bool]:
        """Checks that a weekend may run now, and begins or resumes it: (run, resumed).

        RefusedError with open positions, or inside the week of a live selection without
        ``replace``: what is being traded must not change under the trader. OperatorError when
        the settings ask for the workbook and this machine has no office.
        """
        room = self._room
        if settings.training.backend == "workbook" or settings.training.verify:
            await asyncio.to_thread(_office_or_refusal, settings)
        positions = await room.rest.positions()
        if positions:
            symbols = ", ".join(sorted(p.symbol for p in positions))
            raise RefusedError(
                f"positions are open ({symbols}): a weekend run waits until they are closed "
                "('tshc flatten' closes them)"
            )
        week = (await final_sessions(room.rest, room.clock.now(), 1, settings.data.settle_minutes))[-1]
        unfinished = await room.journal.unfinished_run("weekend")
        if unfinished is None and not replace:
            await self._refuse_inside_live_week(week)
        return await open_run(room, "weekend", _payload(week, settings), replace=replace)

    async def _refuse_inside_live_week(self, week: date) -> None:
        room = self._room
        first = next_session(await room.calendar(), week)
        live = await room.journal.live_selection(first.day)
        if live is not None:
            raise RefusedError(
                f"the groups of the week of {live.week} are in force until {first.day} and later: "
                "choose to replace them (a tick in the console, --replace on the command line) to train anew now "
                "and trade the new groups from the next session"
            )

    async def run(self, run: Run, settings: Settings, *, resumed: bool) -> tuple[str, str]:
        """All stages; (outcome, summary). A failing stage raises and leaves the run to be resumed."""
        book = RunBook(self._room, run, STAGES, resumed=resumed)
        book.start()
        try:
            summary = await self._stages(book, run, settings)
        except StopRequestedError as stop:
            await book.finish("stopped", str(stop))
            return "stopped", str(stop)
        except asyncio.CancelledError:
            await book.finish("stopped", "the engine was stopped; 'tshc weekend' resumes the run")
            raise
        except Exception as error:
            await book.finish("failed", str(error) or type(error).__name__)
            raise
        await book.finish("done", summary)
        return "done", summary

    def workers(self) -> list[tuple[str, int]]:
        """(name, pid) of the worker processes that run now."""
        pids = (
            ("training", self._training.pid if self._training is not None else None),
            ("search", self._search.worker_pid if self._search is not None else None),
        )
        return [(name, pid) for name, pid in pids if pid is not None]

    async def command(self, what: str, verb: str) -> bool:
        """pause, resume or stop of ``training`` or ``search``; False when it is not under way."""
        worker = self._training if what == "training" else self._search
        if worker is None:
            return False
        actions = {"pause": worker.pause, "resume": worker.resume, "stop": worker.stop}
        return await actions[verb]()

    # --- stages ----------------------------------------------------------------------------

    async def _stages(self, book: RunBook, run: Run, settings: Settings) -> str:
        week = date.fromisoformat(run.payload["week"])
        async with book.stage("weekly_5d_data", run.payload["data"]) as stage:
            if not stage.skipped:
                await self._weekly_data(book, stage, settings)
        async with book.stage("wipe_weekly_results", week.isoformat()) as stage:
            if not stage.skipped:
                await self._wipe(book, stage, run)
        async with book.stage("mp1_loop", week.isoformat()) as stage:
            if not stage.skipped:
                await self._train(book, stage, settings)
        async with book.stage("mp1_p3_pruner", week.isoformat()) as stage:
            if not stage.skipped:
                await self._prune(book, stage, settings)
        async with book.stage("mp2_p2_group_discovery", week.isoformat()) as stage:
            if not stage.skipped:
                await self._discover(book, stage, settings)
        return await self._freeze(run, week, stage.summary)

    async def _weekly_data(self, book: RunBook, stage: Stage, settings: Settings) -> None:
        room = self._room
        sessions = await final_sessions(room.rest, room.clock.now(), SESSIONS, settings.data.settle_minutes)
        report = await weekly_5d_data(room.rest, room.stocks, settings.data, sessions, book.sink(stage))
        stage.summary = report.summary
        stage.counts = {
            "listed": report.assets,
            "common_stock": report.candidates,
            "complete": report.complete,
            "eligible": report.eligible,
            "sampled": report.sampled,
            "bar_requests": report.requests,
            "dropped": report.dropped,
        }

    async def _wipe(self, book: RunBook, stage: Stage, run: Run) -> None:
        async def record(state: Mapping[str, Any]) -> None:
            await book.save(stage, wipe=dict(state))

        report = await wipe_weekly_results(
            self._room.home,
            self._room.stocks,
            date.fromisoformat(run.payload["week"]),
            stage.progress.get("wipe", {}),
            record,
        )
        stage.summary = report.summary
        stage.counts = {"archived_rows": report.rows, "files": list(report.files)}

    async def _train(self, book: RunBook, stage: Stage, settings: Settings) -> None:
        room = self._room
        process = TrainingProcess()
        self._training = process

        told_ties = 0

        def show(view: TrainingView) -> None:
            nonlocal told_ties
            room.board.training = view
            for tie in view.ties[told_ties:]:
                room.bus.publish(BackendTie(what=tie))
            told_ties = len(view.ties)
            done = view.cycle / view.cycles if view.cycles else None
            book.show(stage, done, view.detail if not view.cycle else f"cycle {view.cycle} of {view.cycles}")

        if room.board.status.kernels:
            book.show(stage, None, "waiting for the kernels")
        try:
            await room.kernels_ready()
            report = await process.run(TrainingRequest.of(room.home, settings), show)
        except OperatorError:
            room.board.training = room.board.training.model_copy(update={"state": "failed"})
            raise
        finally:
            self._training = None
        if report.stopped:
            raise StopRequestedError(
                f"training was stopped after cycle {report.cycle} of {report.cycles}: "
                "'tshc weekend' goes on from there"
            )
        stage.summary = report.summary()
        stage.counts = {
            "cycles": report.cycle,
            "distinct": report.distinct,
            "tested": report.tested,
            "verified_batches": report.verified,
            "ties": len(report.ties),
            "offices_replaced": report.restarts,
        }

    async def _prune(self, book: RunBook, stage: Stage, settings: Settings) -> None:
        room = self._room
        spaces = list(ALGORITHMS.values())
        results = await VariationResultsDb.open(room.home.variation_results, spaces=spaces, read_only=True)
        try:
            report = await prune(results, room.stocks, spaces, settings.pruner, book.sink(stage))
        finally:
            await results.close()
        stage.summary = report.summary()
        stage.counts = {"kept": report.kept, "dropped": {a: dict(c) for a, c in report.dropped.items()}}

    async def _discover(self, book: RunBook, stage: Stage, settings: Settings) -> None:
        room, engine = self._room, self._room.compute()
        used_before = float(stage.progress.get("used_s", 0.0))
        saved_at = 0.0
        saving: set[asyncio.Task[None]] = set()

        def show(view: GroupsView) -> None:
            room.board.groups = view
            book.show(stage, min(1.0, view.elapsed_s / view.budget_s) if view.budget_s else None, view.detail)

        def used(seconds: float) -> None:
            nonlocal saved_at
            if seconds - saved_at >= SAVE_USED_EVERY_S:
                saved_at = seconds
                task = asyncio.create_task(book.save(stage, used_s=round(seconds, 3)))
                saving.add(task)
                task.add_done_callback(saving.discard)

        plan = DiscoveryPlan(
            room.home.stocks_data,
            tuple(ALGORITHMS.values()),
            settings.search,
            settings.execution.bracket_table(),
            settings.training.exit_model,
            used_before,
            room.home.search_checkpoint,
            room.home.variation_results,
            settings.pruner,
        )
        if not used_before:  # a search of this run has not begun: what lies there is an abandoned run's
            room.home.search_checkpoint.unlink(missing_ok=True)
        await room.kernels_ready()
        search = GroupDiscovery(
            room.stocks,
            plan,
            lambda windows, sets: engine.evaluate(windows, sets, mode="training"),
            on_view=show,
            on_used=used,
            solver_log=SolverLog(room.home.logs / "search.jsonl", book.sink(stage)),
        )
        self._search = search
        try:
            report = await search.run()
        except OperatorError:
            room.board.groups = room.board.groups.model_copy(update={"state": "failed"})
            raise
        finally:
            self._search = None
            if saving:
                await asyncio.gather(*saving)
        outcome = report.outcome
        await room.journal.put(LAST_SEARCH, kept_search(outcome, room.board.groups))
        stage.summary = report.summary
        stage.counts = {
            "groups": len(report.groups),
            "proven": outcome.proven,
            "gap": outcome.gap,
            "tests": outcome.tests,
            "visited": outcome.frequent,
            "search_seconds": round(outcome.ledger.get("search_wall", outcome.seconds), 2),
            "budget_seconds_used": round(outcome.seconds, 2),
            "p_value": next((g.p_value for g in report.groups if g.selected == 1), None),
            "threads": outcome.threads,
            "ledger": outcome.ledger,
            "lanes": [
                {
                    "thread": lane.thread,
                    "granted_s": round(lane.granted, 2),
                    "used_s": round(lane.used, 2),
                    "donated_s": round(lane.donated, 2),
                    "received_s": round(lane.received, 2),
                }
                for lane in room.board.groups.lanes
            ],
            "holdout_tickers": report.holdout_tickers,
            "selected": [members_text(g, plan.spaces) for g in report.groups if g.selected is not None],
        }

    async def _freeze(self, run: Run, week: date, summary: str) -> str:
        room = self._room
        outcome, groups = await room.stocks.final_groups()
        if outcome is None or not any(g.selected == 1 for g in groups):
            raise OperatorError("the search left no selected group in final_groups; run 'tshc weekend --replace'")
        payload = frozen_payload(groups, outcome, run.run)
        known = await room.journal.live_selection(week)
        if known is None or known.week != week or known.payload != payload:
            await room.journal.freeze_selection(
                week, payload, market_at=room.clock.now(), source=room.settings.broker.mode.value
            )
        names = {g.selected: group_name(g.members) for g in groups if g.selected is not None}
        room.bus.publish(
            GroupsSelected(
                week=week,
                first=names[1],
                second=names.get(2, ""),
                proven=outcome.proven,
                gap=outcome.gap,
            )
        )
        return summary


def _office_or_refusal(settings: Settings) -> None:
    """Before the data is built, not after it: which office would compute. OperatorError when there is none."""
    from engine.compute.workbook.offices import find_office  # xlwings loads only where it is wanted

    find_office(settings.workbook.office)


def _payload(week: date, settings: Settings) -> dict[str, Any]:
    """What names a weekend run: with the same payload an unfinished one is resumed."""
    training, search = settings.training, settings.search
    return {
        "week": week.isoformat(),
        "data": settings.data.model_dump_json(),
        "cycles": training.cycles,
        "slots": training.slots,
        "seed": training.seed,
        "backend": training.backend,
        "exhaustive": training.exhaustive,
        "search": search.model_dump_json(),
    }
