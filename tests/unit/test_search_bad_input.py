"""Bad input to the group stage: a sentence that says what to do, and what was stored before stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discovery_week import SPACES, native, plan, store
from group_cases import case
from pydantic import ValidationError

from engine.config import load_settings
from engine.decision.group_search import GroupSearch, search_groups
from engine.decision.mp2_p2_group_discovery import DiscoveryReport, GroupDiscovery
from engine.decision.search_request import SearchRequest
from engine.decision.selection import NoGroupError
from engine.errors import OperatorError, UsageError
from engine.home import Home
from engine.records import FinalGroup
from engine.storage.stocks_data_db import StocksDataDb


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[FinalGroup, ...]]:
    """A week whose groups were found before, and these groups."""
    path = tmp_path_factory.mktemp("bad") / "stocks_data.db"
    asyncio.run(store(path, each=60))
    return path, asyncio.run(found(path)).groups


@pytest.fixture(scope="module")
def week(searched: tuple[Path, tuple[FinalGroup, ...]]) -> Path:
    return searched[0]


async def found(path: Path, said: list[str] | None = None, **settings: Any) -> DiscoveryReport:
    """Runs the whole stage under a quota of tests; ``said`` takes what its worker logs."""
    stocks = await StocksDataDb.open(path)
    try:
        told, chosen = None if said is None else said.append, {"tests": 100, "permutations": 0} | settings
        return await GroupDiscovery(stocks, plan(path, **chosen), native().evaluate, on_log=told).run()
    finally:
        await stocks.close()


async def tables(path: Path) -> dict[str, str]:
    stocks = await StocksDataDb.open(path, read_only=True)
    try:
        return await stocks.table_hashes()
    finally:
        await stocks.close()


@pytest.mark.parametrize(("algorithms", "kept"), [(0, 0), (1, 60)], ids=["no variation", "one algorithm"])
async def test_without_two_algorithms_there_is_nothing_to_combine_and_the_sentence_says_so(
    week: Path, tmp_path: Path, algorithms: int, kept: int
) -> None:
    path = tmp_path / "stocks_data.db"
    shutil.copy(week, path)
    stocks = await StocksDataDb.open(path)
    for space in SPACES[algorithms:]:
        await stocks.replace_pruned(space, [])
    await stocks.close()
    before = await tables(path)
    with pytest.raises(OperatorError, match=rf"only {kept} variations of fewer than two algorithms .*cycles"):
        await found(path)
    assert await tables(path) == before


async def test_more_picks_than_any_pair_shares_says_to_what_to_lower_it_and_keeps_the_former_groups(
    week: Path,
) -> None:
    before = await tables(week)
    with pytest.raises(NoGroupError, match=r"search\.min_picks stopped all \d+ pairs .*lower it from 1000 to \d+"):
        await found(week, min_picks=1000)
    assert await tables(week) == before


def test_a_budget_of_nothing_is_refused_at_every_door(tmp_path: Path, week: Path) -> None:
    with pytest.raises(UsageError, match=r"search\.budget_s.*greater than 0"):
        load_settings(Home(tmp_path), {"search.budget_s": "0s"}, {})
    request = plan(week).request(plan_week(week))
    with pytest.raises(ValidationError, match="greater than 0"):
        SearchRequest.model_validate(request.line() | {"budget_left_s": 0})
    with pytest.raises(ValueError, match="budget"):
        GroupSearch(*case(1), min_picks=4, max_size=4, top_k=5, threads=1, budget_s=0.0)


def plan_week(path: Path) -> Any:
    async def last() -> Any:
        stocks = await StocksDataDb.open(path, read_only=True)
        try:
            return (await stocks.sessions())[-1]
        finally:
            await stocks.close()

    return asyncio.run(last())


async def test_a_budget_too_small_to_look_ends_clearly_with_groups_or_with_what_to_change(week: Path) -> None:
    before = await tables(week)
    try:
        report = await found(week, budget_s=0.001, tests=None)
    except NoGroupError as error:
        sentence = str(error)
    else:
        assert report.groups  # what the least budget could find: a fast machine proves this week in it
        assert report.outcome.proven == (report.outcome.gap == 0.0)
        return
    assert "give it more time (search.budget_s)" in sentence
    assert await tables(week) == before


def test_a_search_of_no_item_or_one_item_is_an_empty_proof() -> None:
    problem = case(1)
    for kept in (0, 1):
        result = search_groups(
            problem.bits[:kept], problem.pp, problem.algorithm[:kept], min_picks=4, max_size=4, top_k=5, threads=2
        )
        assert (result.groups, result.proven, result.gap) == ((), True, 0.0)
    alone = search_groups(
        problem.bits, problem.pp, np.zeros_like(problem.algorithm), min_picks=4, max_size=4, top_k=5, threads=2
    )
    assert (alone.groups, alone.proven) == ((), True)


async def kill_one(path: Path, checkpoint: Path) -> str:
    """kill -9 for a long search's worker once it has written its checkpoint; the sentence of the stage."""
    stocks = await StocksDataDb.open(path)
    chosen = plan(path, checkpoint=checkpoint, budget_s=600.0, permutations=0, min_picks=2, max_size=10, top_k=100)
    stage = GroupDiscovery(stocks, chosen, native().evaluate)
    running = asyncio.create_task(stage.run())
    try:
        async with asyncio.timeout(240):
            while not checkpoint.exists():
                await asyncio.sleep(0.05)
                assert not running.done()
        assert stage.worker_pid is not None
        os.kill(stage.worker_pid, signal.SIGKILL)
        with pytest.raises(OperatorError) as lost:
            await running
        return str(lost.value)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, OperatorError):
            await running
        await stocks.close()


@dataclass(frozen=True)
class Lost:
    """A worker that was killed: what the stage said, the tables before and after, the checkpoint it left."""

    sentence: str
    before: dict[str, str]
    after: dict[str, str]
    checkpoint: bytes


@pytest.fixture(scope="module")
def lost(week: Path, tmp_path_factory: pytest.TempPathFactory) -> Lost:
    if os.name != "posix":
        pytest.skip("kill -9 is POSIX")
    checkpoint = tmp_path_factory.mktemp("lost") / "search.checkpoint"
    before = asyncio.run(tables(week))
    sentence = asyncio.run(kill_one(week, checkpoint))
    return Lost(sentence, before, asyncio.run(tables(week)), checkpoint.read_bytes())


def test_a_lost_worker_is_told_with_what_to_do_and_the_former_groups_stay(lost: Lost) -> None:
    assert "ended by signal 9" in lost.sentence
    assert "run 'tshc weekend' again" in lost.sentence
    assert lost.after == lost.before
    assert len(lost.checkpoint) > 1000


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut short", "is damaged"),
        ("another search's", "belongs to another search"),
        ("a folder", "cannot be read"),
    ],
)
async def test_a_checkpoint_that_cannot_be_used_costs_its_time_and_nothing_else(
    searched: tuple[Path, tuple[FinalGroup, ...]], lost: Lost, tmp_path: Path, kind: str, words: str
) -> None:
    checkpoint = tmp_path / "search.checkpoint"
    if kind == "a folder":
        checkpoint.mkdir()
    else:
        checkpoint.write_bytes(lost.checkpoint[:-10] if kind == "cut short" else lost.checkpoint)
    said: list[str] = []
    week, groups = searched
    report = await found(week, said, checkpoint=checkpoint)
    assert report.groups == groups
    assert any(words in line and "begins anew" in line for line in said)
