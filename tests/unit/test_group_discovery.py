"""mp2_p2 with a real search worker over real pipes: the same groups as in this process, commands, endings."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from discovery_week import OUTSIDE, SPACES, native, plan, store
from pydantic import ValidationError

from engine.brackets import DEFAULT_BRACKETS
from engine.decision.group_search import search_groups
from engine.decision.mp2_p2_group_discovery import GroupDiscovery, kept_search, stored_view
from engine.decision.search_request import MODULE, SearchAnswer, SearchProgress
from engine.decision.search_worker import load
from engine.decision.selection import NoGroupError, luck_text, significant
from engine.decision.solver_log import SolverLog
from engine.errors import DataError, OperatorError
from engine.events import Event, GroupsSelected
from engine.model import DAYS, ExitModel, profit_percentage
from engine.settings import PrunerSettings
from engine.storage.stocks_data_db import StocksDataDb
from engine.views import GroupsView, Snapshot
from engine.worker_pipe import WorkerClient


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("discovery") / "stocks_data.db"
    asyncio.run(store(path, each=20))
    return path


RULES = PrunerSettings(keep_default=20, keep={}, min_buys=20, min_buys_day=2)


@pytest.fixture(scope="module")
def trained_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With what training tested, and the best of it kept."""
    path = tmp_path_factory.mktemp("trained") / "stocks_data.db"
    asyncio.run(store(path, each=120, rules=RULES))
    return path


@pytest.fixture(scope="module")
def large_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "stocks_data.db"
    asyncio.run(store(path, each=200))  # not proven within a minute
    return path


class Published(list[Event]):
    def publish(self, event: Event) -> None:
        self.append(event)


async def last_session(path: Path) -> date:
    stocks = await StocksDataDb.open(path, read_only=True)
    try:
        return (await stocks.sessions())[-1]
    finally:
        await stocks.close()


async def test_the_stage_stores_the_searched_groups_with_two_selected(week: Path, tmp_path: Path) -> None:
    views: list[GroupsView] = []
    used: list[float] = []
    events, log_events = Published(), Published()
    log_file = tmp_path / "logs" / "search.jsonl"
    stocks = await StocksDataDb.open(week)
    try:
        stage = GroupDiscovery(
            stocks, plan(week), native().evaluate, on_view=views.append, on_used=used.append, events=events,
            solver_log=SolverLog(log_file, log_events),
        )  # fmt: skip
        report = await stage.run()
        outcome, groups = await stocks.final_groups()
    finally:
        await stocks.close()
    assert report.outcome == outcome
    assert list(report.groups) == groups
    assert outcome is not None
    assert outcome.proven
    assert outcome.gap == 0.0
    data = await load(plan(week).request(outcome.week))
    expected = search_groups(
        data.bits, data.excess, data.algorithm, min_picks=4, max_size=6, top_k=20, threads=1,
        day_floor=-0.5, min_positive_days=3,
    )  # fmt: skip
    assert {g.picks for g in groups} == {g.stored_picks for g in expected.groups}
    assert [g.rank for g in groups] == list(range(1, len(groups) + 1))
    assert [g.selected for g in groups[:2]] == [1, 2]
    assert all(g.selected is None for g in groups[2:])
    assert groups[1].overlap_first is not None
    assert groups[1].overlap_first < 0.5
    assert all(g.p_value is not None and "shuffled searches: p = " in luck_text(g) for g in groups)
    assert all(g.p_value == (1 + g.shuffles_reached) / (1 + g.shuffles_done) for g in groups)
    assert max(groups, key=lambda g: g.score).p_value == min(g.p_value or 1.0 for g in groups)
    assert outcome.ledger["evidence_used"] > 0
    assert any(0 < view.shuffles_done <= view.shuffles == 20 for view in views)
    assert outcome.ledger["open_grants"] + outcome.ledger["used"] + outcome.ledger["pool"] == pytest.approx(
        outcome.ledger["capacity"]
    )
    assert views[-1].state == "done"
    assert [row.selected for row in views[-1].groups[:2]] == [1, 2]
    assert [type(e) for e in events] == [GroupsSelected]
    lines = [json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines()]
    searched = next(view for view in reversed(views) if view.lanes and view.shuffles_done)
    assert lines[-1]["state"] == "done"
    assert lines[-1]["shuffles_done"] == searched.shuffles_done
    assert (lines[-1]["tests"], lines[-1]["groups_visited"]) == (outcome.tests, outcome.frequent)
    assert [lane["used_s"] for lane in lines[-1]["lanes"]] == [round(lane.used, 3) for lane in searched.lanes]
    assert {**log_events[-1].data()["columns"], "at": lines[-1]["at"]} == lines[-1]
    assert "proven" in log_events[-1].text
    assert used == sorted(used)
    assert stored_view(outcome, groups, SPACES).groups == views[-1].groups
    kept = json.loads(json.dumps(kept_search(outcome, views[-1])))
    assert stored_view(outcome, groups, SPACES, kept) == views[-1]  # a restart of the engine loses nothing
    assert stored_view(outcome, groups, SPACES, kept | {"tests": 1}).lanes == ()
    assert stored_view(outcome, groups, SPACES, kept | {"view": {"of": "a later version"}}).lanes == ()


async def test_the_last_view_tells_who_gave_time_to_whom_how_the_gap_closed_and_what_luck_found(
    week: Path,
) -> None:
    views: list[GroupsView] = []
    stocks = await StocksDataDb.open(week)
    try:
        await GroupDiscovery(stocks, plan(week), native().evaluate, on_view=views.append).run()
    finally:
        await stocks.close()
    last = views[-1]
    assert last.tests_per_s >= last.tests / last.elapsed_s > 0  # the search's mean; elapsed has the shuffles too
    for lane in last.lanes:
        others = [flow for flow in last.flow_totals if flow.giver != flow.taker]  # its own again is neither
        received = sum(flow.seconds for flow in others if flow.taker == str(lane.thread))
        assert received == pytest.approx(lane.received, abs=1e-6)
        assert sum(flow.seconds for flow in others if flow.giver == str(lane.thread)) <= lane.donated + 1e-6
    assert "shuffles" in {flow.taker for flow in last.flows}
    assert {"at_s", "seconds"} <= last.flows[0].model_dump().keys()
    assert last.curve[-1].incumbent == last.incumbent
    assert len(last.shuffle_scores) == last.shuffles_done
    assert last.observed == pytest.approx(last.incumbent)
    assert all(row.judgement and row.holdout_picks >= 0 for row in last.groups)


async def test_shuffled_weeks_without_any_group_reach_the_console_and_a_restart(week: Path) -> None:
    """A floor that hardly a group passes: most shuffled weeks have none, and JSON has no infinity."""
    views: list[GroupsView] = []
    stocks = await StocksDataDb.open(week)
    try:
        found = await GroupDiscovery(stocks, plan(week), native().evaluate).run()
        floor = max(min(group.day_means) for group in found.groups) - 1e-6
        chosen = plan(week, day_floor=floor, permutations=40)
        report = await GroupDiscovery(stocks, chosen, native().evaluate, on_view=views.append).run()
    finally:
        await stocks.close()
    assert None in views[-1].shuffle_scores
    sent = json.loads(Snapshot(groups=views[-1]).model_dump_json())
    assert Snapshot.model_validate(sent).groups == views[-1]
    kept = json.loads(json.dumps(kept_search(report.outcome, views[-1]), allow_nan=False))
    assert stored_view(report.outcome, report.groups, SPACES, kept) == views[-1]
    kept["view"]["shuffle_scores"] = [-math.inf if score is None else score for score in views[-1].shuffle_scores]
    assert stored_view(report.outcome, report.groups, SPACES, kept) == views[-1]  # as earlier versions kept it
    with pytest.raises(ValidationError):
        GroupsView(observed=-math.inf)


async def test_replication_is_what_the_groups_members_pick_among_the_tickers_outside_the_sample(
    week: Path,
) -> None:
    stocks = await StocksDataDb.open(week)
    try:
        report = await GroupDiscovery(stocks, plan(week, tests=20_000), native().evaluate).run()
        first = report.first
        means, counts = [], []
        for day in range(1, DAYS + 1):
            _, sampled = await stocks.day_windows(day)
            _, outside = await stocks.holdout_windows(day)
            picked = native().evaluate(outside, first.members).buys.all(axis=1)
            pp = profit_percentage(outside[:, 0], DEFAULT_BRACKETS, ExitModel.TARGET_OR_CLOSE)
            universe = profit_percentage(sampled[:, 0], DEFAULT_BRACKETS, ExitModel.TARGET_OR_CLOSE).mean()
            counts.append(int(picked.sum()))
            if picked.any():
                means.append((pp[picked] - round(universe)).mean() / 1e6)
    finally:
        await stocks.close()
    assert report.holdout_tickers == OUTSIDE
    assert first.holdout_picks == tuple(counts)
    assert sum(counts) > 0
    assert first.holdout_mean == pytest.approx(np.mean(means))


async def test_a_quota_of_tests_stores_the_same_groups_twice(week: Path) -> None:
    stored = []
    stocks = await StocksDataDb.open(week)
    try:
        for used_before_s in (0.0, 29.0):  # the second stands for a run that was killed late and restarted
            chosen = plan(week, tests=2_000, min_picks=3, used_before_s=used_before_s)
            await GroupDiscovery(stocks, chosen, native().evaluate).run()
            outcome, groups = await stocks.final_groups()
            assert outcome is not None
            stored.append((groups, outcome.tests, outcome.frequent, outcome.gap, outcome.proven))
    finally:
        await stocks.close()
    assert stored[0] == stored[1]


async def test_a_search_on_a_cluster_of_this_machine_stores_the_same_groups(week: Path) -> None:
    pytest.importorskip("distributed", reason="the extra 'cluster' (dask) is not installed")
    views: list[GroupsView] = []
    stocks = await StocksDataDb.open(week)
    try:
        await GroupDiscovery(stocks, plan(week), native().evaluate).run()
        _, here = await stocks.final_groups()
        stage = GroupDiscovery(
            stocks, plan(week, cluster="local:2", budget_s=300.0), native().evaluate, on_view=views.append
        )
        report = await stage.run()
        _, there = await stocks.final_groups()
    finally:
        await stocks.close()
    assert report.outcome.proven
    assert there == here
    assert any("of local:2" in view.detail for view in views)


async def test_pause_resume_and_stop_reach_the_worker_and_what_was_found_is_kept(large_week: Path) -> None:
    views: list[GroupsView] = []
    stocks = await StocksDataDb.open(large_week)
    try:
        stage = GroupDiscovery(
            stocks,
            plan(large_week, min_picks=2, top_k=100, budget_s=600, max_size=10),
            native().evaluate,
            on_view=views.append,
        )
        running = asyncio.create_task(stage.run())
        await until(lambda: bool(views) and views[-1].tests > 0, running)
        assert await stage.pause()
        await until(lambda: views[-1].state == "paused", running)
        await asyncio.sleep(0.3)
        paused = views[-1]
        await asyncio.sleep(0.6)
        assert views[-1].ledger == paused.ledger
        assert views[-1].elapsed_s == paused.elapsed_s
        assert await stage.resume()
        await until(lambda: views[-1].state == "running" and views[-1].tests > paused.tests, running)
        assert await stage.stop()
        report = await asyncio.wait_for(running, 120)
    finally:
        await stocks.close()
    assert not report.outcome.proven
    assert report.outcome.gap > 0
    assert report.first.selected == 1


async def until(condition: object, running: asyncio.Task[object]) -> None:
    assert callable(condition)
    async with asyncio.timeout(120):
        while not condition():
            if running.done():
                await running
                raise AssertionError("the stage ended early")
            await asyncio.sleep(0.05)


async def test_a_killed_search_restarts_with_what_its_budget_has_left(large_week: Path) -> None:
    options = {"min_picks": 2, "max_size": 10, "top_k": 100, "budget_s": 2.5}
    used: list[float] = []
    stocks = await StocksDataDb.open(large_week)
    try:
        stage = GroupDiscovery(stocks, plan(large_week, **options), native().evaluate, on_used=used.append)
        running = asyncio.create_task(stage.run())
        await until(lambda: bool(used) and used[-1] > 0.8, running)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        again = plan(large_week, used_before_s=used[-1], **options)
        assert again.request(await last_session(large_week)).budget_s() == pytest.approx(2.5 - used[-1])
        report = await GroupDiscovery(stocks, again, native().evaluate).run()
    finally:
        await stocks.close()
    assert report.outcome.budget_s == 2.5
    assert used[-1] < report.outcome.seconds < 2.5 + 1.0


async def test_shuffled_weeks_prune_what_training_tested_anew(trained_week: Path) -> None:
    options = {"permutations": 60, "min_picks": 3}
    reports, views = [], []
    stocks = await StocksDataDb.open(trained_week)
    try:
        others = RULES.model_copy(update={"keep_default": 9})
        for rules, threads in ((RULES, 1), (RULES, 2), (None, 2), (others, 2)):
            chosen = plan(trained_week, rules=rules, threads=threads, **options)
            stage = GroupDiscovery(stocks, chosen, native().evaluate, on_view=views.append)
            reports.append((await stage.run()).groups)
            views.append(views[-1])
    finally:
        await stocks.close()
    alone, together, blind, foreign = reports
    assert alone == together  # p, counts and verdict are the same on one thread and two
    assert {g.shuffles_scope for g in together} == {"tested"}
    assert "training is not repeated" in luck_text(together[0])
    best = max(together, key=lambda g: g.score)
    assert best.shuffles_observed == pytest.approx(best.score)
    assert {g.shuffles_scope for g in (*blind, *foreign)} == {"given"}  # nothing tested, or other rules than those
    assert " at least (its variations were chosen on the same days" in luck_text(blind[0])
    assert not any(significant(g) for g in blind)
    again = max(blind, key=lambda g: g.score)
    assert (again.score, again.members) == (best.score, best.members)
    assert again.p_value < best.p_value


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
async def test_shuffles_done_before_a_kill_are_not_done_again(trained_week: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "search.checkpoint"
    options = {"permutations": 100_000, "min_picks": 3, "budget_s": 8.0, "rules": RULES}
    views: list[GroupsView] = []
    stocks = await StocksDataDb.open(trained_week)
    try:
        chosen = plan(trained_week, checkpoint=checkpoint, **options)
        stage = GroupDiscovery(stocks, chosen, native().evaluate, on_view=views.append)
        running = asyncio.create_task(stage.run())
        await until(lambda: checkpoint.exists() and views[-1].shuffles_done > 20, running)
        saved = checkpoint.read_bytes()
        await until(lambda: checkpoint.read_bytes() != saved, running)
        assert stage.worker_pid is not None
        os.kill(stage.worker_pid, signal.SIGKILL)
        with pytest.raises(OperatorError, match="ended by signal 9"):
            await running
        last = views[-1]
        again = GroupDiscovery(
            stocks, plan(trained_week, checkpoint=checkpoint, used_before_s=last.elapsed_s, **options),
            native().evaluate, on_view=views.append,
        )  # fmt: skip
        report = await again.run()
    finally:
        await stocks.close()
    resumed = next(view for view in views[views.index(last) + 1 :] if view.shuffles_done)
    assert last.elapsed_s - 5.0 < resumed.elapsed_s
    assert resumed.shuffle_scores[: last.shuffles_done // 2] == last.shuffle_scores[: last.shuffles_done // 2]
    assert resumed.shuffles_done > last.shuffles_done // 2
    assert report.outcome.proven
    assert report.outcome.seconds < 8.0 + 1.0
    assert views[-1].shuffle_scores[: last.shuffles_done] == last.shuffle_scores


async def killed(path: Path, checkpoint: Path, options: dict[str, object]) -> GroupsView:
    """Runs the stage until its checkpoint has been written twice, then kill -9 for its worker; the last view."""
    views: list[GroupsView] = []
    stocks = await StocksDataDb.open(path)
    try:
        stage = GroupDiscovery(
            stocks, plan(path, checkpoint=checkpoint, **options), native().evaluate, on_view=views.append
        )
        running = asyncio.create_task(stage.run())
        await until(checkpoint.exists, running)
        first = checkpoint.read_bytes()
        await until(lambda: checkpoint.read_bytes() != first, running)
        assert stage.worker_pid is not None
        os.kill(stage.worker_pid, signal.SIGKILL)
        with pytest.raises(OperatorError, match="ended by signal 9"):
            await running
    finally:
        await stocks.close()
    return views[-1]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
async def test_a_search_killed_with_minus_9_goes_on_from_its_checkpoint(large_week: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "search.checkpoint"
    options = {"min_picks": 2, "max_size": 10, "top_k": 100, "budget_s": 9.0, "permutations": 0}
    last = await killed(large_week, checkpoint, options)
    views: list[GroupsView] = []
    used: list[float] = []
    stocks = await StocksDataDb.open(large_week)
    try:
        again = plan(large_week, checkpoint=checkpoint, used_before_s=last.elapsed_s, **options)
        stage = GroupDiscovery(stocks, again, native().evaluate, on_view=views.append, on_used=used.append)
        report = await stage.run()
    finally:
        await stocks.close()
    searching = [view for view in views if view.anchors]
    assert searching[0].tests > 0.3 * last.tests
    assert last.elapsed_s - searching[0].elapsed_s < 5.0
    # What the first life has used counts against the budget, up to its last checkpoint.
    assert max(1.0, last.elapsed_s - 5.0) < used[0] <= used[-1] < 9.0 + 1.0
    assert report.outcome.tests > last.tests
    assert report.outcome.seconds < 9.0 + 1.0
    assert report.first.selected == 1
    assert not checkpoint.exists()


async def test_a_damaged_checkpoint_costs_its_time_and_nothing_else(week: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "search.checkpoint"
    checkpoint.write_bytes(b"x" * 100)
    stocks = await StocksDataDb.open(week)
    said: list[str] = []
    try:
        plain = await GroupDiscovery(stocks, plan(week), native().evaluate).run()
        chosen = plan(week, checkpoint=checkpoint)
        report = await GroupDiscovery(stocks, chosen, native().evaluate, on_log=said.append).run()
    finally:
        await stocks.close()
    assert report.groups == plain.groups
    assert any("is damaged: the search begins anew" in line for line in said)
    assert not checkpoint.exists()


async def test_the_worker_tells_views_and_answers_with_all_that_a_group_needs(week: Path) -> None:
    request = plan(week).request(await last_session(week))
    client = WorkerClient(MODULE, name="search worker", remedy="test")
    told: list[SearchProgress] = []
    answer = SearchAnswer.model_validate(
        await client.run(request.line(), lambda m: told.append(SearchProgress.model_validate(m)))
    )
    assert told[-1].view.state == "done"
    assert told[-1].view.anchors_closed == told[-1].view.anchors > 0
    assert len(told[-1].view.lanes) == answer.threads == 2
    group = answer.groups[0].measured()
    assert len(group.members) >= 2
    assert len({m.algorithm for m in group.members}) == len(group.members)
    assert min(group.day_counts) >= 4
    assert math.isfinite(group.score)


def test_a_worker_whose_engine_died_ends_by_itself(large_week: Path) -> None:
    request = plan(large_week, min_picks=2, top_k=100, max_size=10, budget_s=600).request(
        asyncio.run(last_session(large_week))
    )
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request.line()).encode() + b"\n")
    process.stdin.flush()
    while json.loads(process.stdout.readline())["progress"]["view"]["tests"] == 0:
        pass
    process.stdin.close()
    assert process.wait(60) is not None
    process.stdout.close()


async def test_no_group_within_the_guardrails_says_which_one_blocks_and_what_to_change(week: Path) -> None:
    stocks = await StocksDataDb.open(week)
    try:
        with pytest.raises(
            NoGroupError, match=r"search\.min_picks stopped all \d+ pairs .*lower it from 400 to \d+"
        ):
            await GroupDiscovery(stocks, plan(week, min_picks=400), native().evaluate).run()
    finally:
        await stocks.close()


async def test_another_weeks_data_is_refused_by_the_worker(week: Path) -> None:
    client = WorkerClient(MODULE, name="search worker", remedy="test")
    with pytest.raises(DataError.__base__, match="was asked for the week of 2020-01-03"):
        await client.run(plan(week).request(date(2020, 1, 3)).line())


async def test_a_home_without_a_data_set_says_so(tmp_path: Path) -> None:
    stocks = await StocksDataDb.open(tmp_path / "stocks_data.db")
    try:
        with pytest.raises(DataError, match="weekly_5d_data builds it"):
            await GroupDiscovery(stocks, plan(tmp_path / "stocks_data.db"), native().evaluate).run()
    finally:
        await stocks.close()
