"""The search worker: ``python -m engine.decision.search_worker``, started by the engine, one run of mp2_p2.

It reads the pruned variations and the week's bars read-only, runs ``GroupSearch`` in its
threads beside the pipe to the engine, tells its view 4 times a second and ends with the
engine. It writes nothing but its checkpoint: the engine stores what it answers. Wire: ``engine.worker_pipe``;
request and answer: ``engine.decision.search_request``.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.brackets import BracketTable
from engine.decision.evidence_lane import EvidenceLane, EvidenceSnapshot
from engine.decision.gap_curve import GapCurve
from engine.decision.group_search import GroupSearch
from engine.decision.guardrails import tally_pairs
from engine.decision.overlap import stored_picks
from engine.decision.permutation_null import Shuffled, price_classes
from engine.decision.search_kernels import warm_up
from engine.decision.search_request import (
    SearchAnswer,
    SearchProgress,
    SearchRequest,
    WireGroup,
    WireShuffled,
    WireTally,
)
from engine.decision.search_snapshot import SearchSnapshot
from engine.decision.search_state import Checkpoint, CheckpointError, SearchState, digest_of
from engine.decision.shuffled_weeks import GroupRules, ShuffledWeeks, evidence_reserve, shuffle_tests
from engine.decision.time_flows import Flow
from engine.decision.top_groups import FoundGroup
from engine.decision.variation_pool import VariationPool, promising
from engine.decision.watchdog import SECOND
from engine.errors import DataError, OperatorError
from engine.model import DAYS, OPEN, Ints, ParameterSet, Words, excess_of, profit_percentage, unpack_picks
from engine.records import picks_words
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb
from engine.views import FlowView, GapPoint, GroupRow, GroupsView, LaneView, LedgerView
from engine.worker_pipe import PROGRESS_INTERVAL, WorkerServer, serve

log = logging.getLogger(__name__)

SHOWN_GROUPS = 20
CHECKPOINT_EVERY_S = 2.0  # wall seconds of work that a kill can cost, and a slice
SHOWN_FLOWS = 16
CLOSE_LOOK_S = 2.0  # most searches are over by then: the curve's points are taken closely
CLOSE_STEP_S = 0.02


@dataclass(frozen=True)
class SearchData:
    """The pruned variations as items, and the week they were measured on."""

    items: tuple[ParameterSet, ...]
    texts: tuple[str, ...]  # as a person reads an item
    bits: Words  # [n, 5, 16]
    algorithm: Ints  # [n] index of the space
    pp: Ints  # [5, 1000] micro-percent
    excess: Ints
    classes: Ints  # [1000] price bracket of each ticker
    tested: VariationPool | None = None  # what the items were chosen from


async def load(request: SearchRequest) -> SearchData:
    """Reads what the request names; DataError when the week is another one or incomplete."""
    stocks = await StocksDataDb.open(Path(request.stocks_db), read_only=True)
    try:
        sessions = await stocks.sessions()
        if not sessions or sessions[-1] != request.week:
            stored = f"the week of {sessions[-1]}" if sessions else "no week"
            raise DataError(
                f"the search was asked for the week of {request.week}, but {request.stocks_db} holds {stored}: "
                "run 'tshc weekend' to build the week's data"
            )
        spaces = [s.space() for s in request.spaces]
        kept = [(index, row.result) for index, s in enumerate(spaces) for row in await stocks.pruned(s)]
        days = [await stocks.day_windows(day) for day in range(1, DAYS + 1)]
    finally:
        await stocks.close()
    if any(symbols != days[0][0] for symbols, _ in days):
        raise DataError(
            "the five training days hold different tickers: run 'tshc weekend --replace' to build the week again"
        )
    if len({index for index, _ in kept}) < 2:
        raise OperatorError(
            f"only {len(kept)} variations of fewer than two algorithms passed the pruner, so there is nothing "
            "to combine: run more training cycles (training.cycles) or loosen the gates ([pruner] in tsh.toml)"
        )
    brackets = BracketTable(request.brackets)
    pp = np.stack([profit_percentage(bars[:, 0], brackets, request.exit_model) for _, bars in days])
    return SearchData(
        items=tuple(result.parameter_set for _, result in kept),
        texts=tuple(f"{spaces[i].algorithm} {spaces[i].text(result.values)}" for i, result in kept),
        bits=np.stack([picks_words(result.picks) for _, result in kept]),
        algorithm=np.array([index for index, _ in kept], np.int64),
        pp=pp,
        excess=excess_of(pp),
        classes=price_classes(np.stack([bars[:, 0, OPEN] for _, bars in days]), brackets),
    )


async def load_tested(request: SearchRequest) -> VariationPool | None:
    """Every variation that training tested; None when the request names no results."""
    if request.results_db is None:
        return None
    spaces = [s.space() for s in request.spaces]
    results = await VariationResultsDb.open(Path(request.results_db), spaces=spaces, read_only=True)
    picks, whole = [], True
    try:
        for space in spaces:
            tested = stored_picks(await results.tested_picks(space))
            whole &= len(tested) == space.size
            picks.append(
                promising(tested, request.pruner)
            )  # an exhaustive run tested 100,000: the others go at once
    finally:
        await results.close()
    return VariationPool.of([space.algorithm for space in spaces], picks, request.pruner, whole=whole)


def agreeing(tested: VariationPool | None, data: SearchData) -> VariationPool | None:
    """``tested`` when pruning it gives the searched variations; else None: shuffles could not repeat it."""
    if tested is None:
        return None
    kept = tested.kept(data.excess)
    again = {(int(a), b.tobytes()) for a, b in zip(tested.algorithm[kept], tested.bits[kept], strict=True)}
    if again == {(int(a), b.tobytes()) for a, b in zip(data.algorithm, data.bits, strict=True)}:
        return tested
    log.warning("the pruned variations are not those that the present results and [pruner] settings give")
    return None


class SearchRun:
    """One search with its commands and its views."""

    def __init__(self, request: SearchRequest) -> None:
        self._request = request
        self._search: GroupSearch | None = None
        self._evidence: EvidenceLane | None = None
        self._checkpoint: Checkpoint | None = None
        self._saved: SearchState | None = None  # what an earlier life left
        self._saved_at = time.monotonic()
        self._texts: tuple[str, ...] = ()
        self._curve = GapCurve()
        self._paused = self._stopped = False

    def command(self, command: str) -> None:
        """pause, resume or stop, at any moment; before the search has begun it is remembered."""
        self._stopped |= command == "stop"
        if command in ("pause", "resume"):
            self._paused = command == "pause"
        at_work = self._evidence or self._search
        if at_work is not None:
            {"pause": at_work.pause, "resume": at_work.resume, "stop": at_work.stop}[command]()

    async def run(self, server: WorkerServer) -> SearchAnswer:
        """Loads, compiles what is missing, searches to the end, and answers."""
        data = await load(self._request)
        self._texts = data.texts

        def compiled(done: int, total: int, name: str) -> None:
            server.progress(self._preparing(f"compiling kernels {done}/{total}: {name}"))

        await asyncio.to_thread(warm_up, compiled)
        if self._request.settings.permutations:
            tested = await load_tested(self._request)
            data = replace(data, tested=await asyncio.to_thread(agreeing, tested, data))
        self._read_checkpoint(data)
        search = self._search = await asyncio.to_thread(self._new_search, data)
        if self._paused:
            search.pause()
        if self._stopped:
            search.stop()
        search.start()
        state = ""
        step_s = CLOSE_STEP_S
        while not await asyncio.to_thread(search.wait, step_s):
            now = search.snapshot()
            step_s = CLOSE_STEP_S if now.elapsed_s < CLOSE_LOOK_S else PROGRESS_INTERVAL / 2
            self._curve.add(_gap_point(now))
            changed, state = now.state != state, now.state
            if changed or server.progress_due:
                server.progress(self._progress(now), force=changed)
            await self._save(search)
        self._curve.add(_gap_point(search.snapshot()))
        shuffled = await self._measure_luck(server, search, data)
        answer = await asyncio.to_thread(self._answer, search, data, shuffled)
        server.progress(self._message(answer.view), force=True)
        return answer

    def _new_search(self, data: SearchData) -> GroupSearch:
        settings = self._request.settings
        budget_s = self._request.budget_s() if self._saved is None else settings.budget_s
        build: Callable[..., GroupSearch] = GroupSearch
        if settings.cluster:
            from engine.decision.cluster_link import ClusterLink
            from engine.decision.cluster_search import ClusterSearch

            build = partial(ClusterSearch, link=ClusterLink(settings.cluster))
        return build(
            data.bits, data.excess, data.algorithm,
            min_picks=settings.min_picks, max_size=settings.max_size, top_k=settings.top_k,
            threads=settings.thread_count(), score_lambda=settings.penalty(), day_floor=settings.day_floor,
            min_positive_days=settings.min_positive_days, worst_day=settings.objective == "worst_day",
            budget_s=budget_s, evidence_s=evidence_reserve(budget_s, settings.permutations), tests=settings.tests,
            resume=self._saved,
        )  # fmt: skip

    async def _measure_luck(
        self, server: WorkerServer, search: GroupSearch, data: SearchData
    ) -> tuple[Shuffled, ...]:
        """The evidence lane, in the time that the search has left; nothing after a stop."""
        settings, groups = self._request.settings, search.result().groups
        if not settings.permutations or self._stopped or not groups:
            return ()
        rules = GroupRules(
            settings.min_picks, settings.max_size, settings.penalty(), settings.day_floor,
            settings.min_positive_days, settings.objective == "worst_day",
        )  # fmt: skip
        weeks = ShuffledWeeks(
            data.excess, data.classes, data.tested or (data.bits, data.algorithm), rules,
            seed=self._request.week.toordinal(), anchor_tests=settings.tests,
            all_tests=shuffle_tests(settings.budget_s, settings.permutations),
        )  # fmt: skip
        lane = EvidenceLane(
            weeks, [g.score for g in groups],
            ledger=search.ledger, threads=settings.thread_count(), shuffles=settings.permutations,
            time_left_s=search.time_left_s, resume=None if self._saved is None else self._saved.evidence,
        )  # fmt: skip
        self._evidence = lane
        if self._paused:
            lane.pause()
        lane.start()
        state = ""
        while not await asyncio.to_thread(lane.wait, PROGRESS_INTERVAL / 2):
            now = lane.snapshot()
            changed, state = now.state != state, now.state
            if changed or server.progress_due:
                server.progress(self._progress(search.snapshot()), force=changed)
            await self._save(search, lane)
        return lane.result()

    def _read_checkpoint(self, data: SearchData) -> None:
        """What an earlier life of this very search left; without it, or when it is damaged, anew."""
        if self._request.checkpoint is None:
            return
        settings = self._request.settings
        tested = () if data.tested is None else (data.tested.bits, data.tested.algorithm)
        inputs = (data.bits, data.excess, data.algorithm, data.classes, *tested)
        rules = self._request.pruner.model_dump_json()
        named = f"{self._request.week} {settings.thread_count()} {settings.model_dump_json()} {rules}"
        self._checkpoint = Checkpoint(
            Path(self._request.checkpoint), digest_of([named.encode(), *(array.tobytes() for array in inputs)])
        )
        try:
            self._saved = self._checkpoint.read()
        except CheckpointError as error:
            log.warning("%s", error)
        if self._saved is not None:
            log.info("going on from the checkpoint at %.1f s", self._saved.elapsed_s)

    async def _save(self, search: GroupSearch, lane: EvidenceLane | None = None) -> None:
        """Writes the checkpoint when it is time; a disk that refuses costs the resume, not the search."""
        if self._checkpoint is None or time.monotonic() - self._saved_at < CHECKPOINT_EVERY_S:
            return
        state = search.state()
        if lane is not None:
            state = replace(state, evidence=lane.state())
        try:
            await asyncio.to_thread(self._checkpoint.write, state)
        except OSError as error:
            log.warning("the checkpoint was not written: %s", error)
        self._saved_at = time.monotonic()

    def _preparing(self, detail: str) -> dict[str, Any]:
        view = GroupsView(state="running", budget_s=self._request.budget_s(), detail=detail)
        return SearchProgress(used_s=0.0, view=view).model_dump(mode="json")

    def _progress(self, now: SearchSnapshot) -> dict[str, Any]:
        view = self._view(now)
        return self._message(view)

    def _message(self, view: GroupsView) -> dict[str, Any]:
        resumed = self._saved is not None
        return SearchProgress(used_s=view.elapsed_s, resumed=resumed, view=view).model_dump(mode="json")

    def _view(self, now: SearchSnapshot) -> GroupsView:
        lane = None if self._evidence is None else self._evidence.snapshot()
        ledger = now.ledger if lane is None else lane.ledger
        mean_rate = now.tests / now.elapsed_s if now.elapsed_s > 0 else 0.0
        return GroupsView(
            state=now.state if lane is None else lane.state,
            budget_s=now.budget_s,
            elapsed_s=now.elapsed_s + (0.0 if lane is None else lane.elapsed_s),
            incumbent=now.incumbent,
            bound=now.bound,
            gap=now.gap,
            proven=now.proven,
            anchors_closed=now.anchors_closed,
            anchors=now.anchors,
            visited=now.frequent,
            tests=now.tests,
            tests_per_s=mean_rate if now.state == "done" else now.tests_per_s,
            curve=self._curve.points,
            lanes=tuple(
                LaneView(
                    thread=lane.lane + 1,
                    anchor="" if lane.anchor is None else self._texts[lane.anchor],
                    depth=lane.depth,
                    max_depth=lane.max_depth,
                    tests_per_s=lane.tests_per_s,
                    granted=lane.granted,
                    used=lane.used,
                    donated=lane.donated,
                    received=lane.received,
                    state=lane.state,
                    stall_s=lane.stall_s,
                )
                for lane in now.lanes
            ),
            flows=tuple(self._flow(flow) for flow in ledger.flows[-SHOWN_FLOWS:]),
            flow_totals=tuple(self._flow(flow) for flow in ledger.flow_totals),
            ledger=LedgerView(
                open_grants=ledger.open_grants,
                used=ledger.used,
                pool=ledger.pool,
                capacity=ledger.capacity,
                evidence=ledger.evidence_used,
                saved=ledger.saved,
            ),
            groups=tuple(self._row(rank, g) for rank, g in enumerate(now.groups[:SHOWN_GROUPS], start=1)),
            shuffles=self._request.settings.permutations,
            shuffles_done=0 if lane is None else lane.done,
            shuffle_scores=() if lane is None else tuple(_shown(score) for score in lane.best),
            observed=None if lane is None or lane.observed is None else _shown(lane.observed),
            detail=_detail(now, lane) or ("" if self._search is None else self._search.where),
        )

    def _flow(self, flow: Flow) -> FlowView:
        """As a screen shows it; threads are numbered from 1."""
        return FlowView(
            giver=_party(flow.giver),
            taker=_party(flow.taker),
            seconds=flow.amount / SECOND,
            times=flow.times,
            at_s=flow.at / SECOND / self._request.settings.thread_count(),
        )

    def _row(self, rank: int, group: FoundGroup) -> GroupRow:
        means = group.day_means
        return GroupRow(
            rank=rank,
            score=group.score,
            mean_day=sum(means) / DAYS,
            worst_day=min(means),
            picks_day=sum(group.day_counts) / DAYS,
            members=" + ".join(self._texts[i] for i in group.members),
        )

    def _answer(self, search: GroupSearch, data: SearchData, shuffled: Sequence[Shuffled]) -> SearchAnswer:
        result, end = search.result(), search.snapshot()
        view = self._view(end)
        judged: Sequence[Shuffled | None] = shuffled or [None] * len(result.groups)
        settings = self._request.settings
        tally = None
        if not result.groups:
            tally = tally_pairs(
                data.bits, data.excess, data.algorithm, min_picks=settings.min_picks,
                min_positive_days=settings.min_positive_days, day_floor=settings.day_floor,
            )  # fmt: skip
        lanes = {
            f"lane{lane.lane}_{name}": getattr(lane, name)
            for lane in end.lanes
            for name in ("granted", "used", "donated", "received")
        }
        return SearchAnswer(
            groups=tuple(_wire(group, data, luck) for group, luck in zip(result.groups, judged, strict=True)),
            week=self._request.week,
            proven=result.proven,
            gap=result.gap,
            tests=result.tests,
            frequent=result.frequent,
            seconds=view.elapsed_s,
            budget_s=self._request.budget_s(),
            threads=len(end.lanes),
            resumed=self._saved is not None,
            ledger=search.ledger.sums().as_dict() | lanes | {"search_wall": end.elapsed_s},
            view=view,
            tally=None if tally is None else WireTally.of(tally),
        )


def _shown(score: float) -> float | None:
    """A week's best score; None where no group passed (-inf to the arithmetic, which JSON does not know)."""
    return score if math.isfinite(score) else None


def _party(name: int | str) -> str:
    return str(name + 1) if isinstance(name, int) else name


def _gap_point(now: SearchSnapshot) -> GapPoint:
    threshold = now.groups[-1].score if now.groups else None
    return GapPoint(at_s=now.elapsed_s, incumbent=now.incumbent, threshold=threshold, bound=now.bound)


def _detail(now: SearchSnapshot, lane: EvidenceSnapshot | None) -> str:
    if now.state != "done":
        return ""
    found = "proven" if now.proven else f"gap {now.gap:.3f}, {now.anchors - now.anchors_closed} anchors open"
    if lane is None:
        return f"{found}; {now.ledger.saved:.0f} thread-seconds of the budget saved"
    if lane.state != "done":
        return f"{found}; {lane.done} of {lane.planned} shuffled searches"
    return (
        f"{found}; {lane.done} shuffled searches took {lane.ledger.evidence_used:.1f} s of thread time, "
        f"{lane.ledger.saved:.0f} s of the budget saved"
    )


def _wire(group: FoundGroup, data: SearchData, shuffled: Shuffled | None) -> WireGroup:
    members = [data.items[i] for i in group.members]
    buys = unpack_picks(group.picks)
    return WireGroup(
        members=tuple((m.algorithm, m.values) for m in members),
        score=group.score,
        day_sums=group.day_sums,
        day_counts=group.day_counts,
        pp_sum=int(data.pp[buys].sum()),
        picks=group.stored_picks.hex(),
        shuffled=None if shuffled is None else WireShuffled.of(shuffled),
    )


async def work(server: WorkerServer) -> dict[str, Any]:
    """The worker's whole life between request and result."""
    run = SearchRun(SearchRequest.model_validate(server.request))
    server.listen(run.command)
    answer = await run.run(server)
    return answer.model_dump(mode="json")


if __name__ == "__main__":
    sys.exit(serve(work))
