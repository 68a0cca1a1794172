"""The training worker as the engine sees it: a process that may be killed at any moment."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from synthetic_week import store_week

from engine.compute import ALGORITHMS
from engine.errors import OperatorError, RefusedError
from engine.home import FileLock, Home
from engine.settings import Settings, TrainingSettings
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.launch import TrainingProcess, TrainingRequest
from engine.views import TrainingView

SPACES = list(ALGORITHMS.values())


@pytest.fixture(scope="module")
def stored_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stocks_data.db with one synthetic week."""
    path = tmp_path_factory.mktemp("week") / "stocks_data.db"
    asyncio.run(store_week(path, seed=11))
    return path


@pytest.fixture
def home(tmp_path: Path, stored_week: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    shutil.copy(stored_week, home.stocks_data)
    return home


def request(home: Home, cycles: int = 8, **changed: object) -> TrainingRequest:
    training = TrainingSettings(cycles=cycles, slots=2, seed=4)
    return TrainingRequest.of(home, Settings(training=training)).model_copy(update=changed)


async def kill_after(process: TrainingProcess, wait_s: float) -> None:
    """Kills the worker ``wait_s`` seconds after its loop began, and reads to the end."""
    killed = False
    async for view in process.views():
        if view.state == "running" and view.algorithms and not killed:
            await asyncio.sleep(wait_s)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed = True


async def hashes(home: Home) -> dict[str, str]:
    results = await VariationResultsDb.open(home.variation_results, spaces=SPACES)
    try:
        return await results.table_hashes()
    finally:
        await results.close()


async def test_a_run_through_the_pipe_tells_its_views_and_its_report(home: Home) -> None:
    views: list[TrainingView] = []
    process = TrainingProcess()
    report = await process.run(request(home, cycles=3), views.append)
    assert (report.cycle, report.distinct, report.stopped) == (3, 60, False)
    assert views[-1].state == "done"
    assert views[-1].distinct == 60
    assert not process.running
    results = await VariationResultsDb.open(home.variation_results, spaces=SPACES)
    assert [len(await results.results(s)) for s in SPACES] == [6] * 10
    await results.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
async def test_a_worker_killed_at_any_moment_and_started_again_gives_the_same_tables(
    home: Home, tmp_path: Path
) -> None:
    rng = random.Random(12)
    for _ in range(4):
        process = TrainingProcess()
        await process.start(request(home, cycles=100_000))
        with pytest.raises(OperatorError, match=r"signal 9.*resumes after the last stored cycle"):
            await kill_after(process, rng.uniform(0.0, 0.4))
        await process.close()
    results = await VariationResultsDb.open(home.variation_results, spaces=SPACES)
    cycles = await results.last_cycle() + 2
    await results.close()
    resumed = await TrainingProcess().run(request(home, cycles=cycles))
    assert resumed.resumed_at == cycles - 2

    whole = Home(tmp_path / "whole")
    whole.create()
    shutil.copy(home.stocks_data, whole.stocks_data)
    await TrainingProcess().run(request(whole, cycles=cycles))
    assert await hashes(home) == await hashes(whole)


async def test_a_worker_whose_engine_dies_finishes_its_cycle_and_the_next_one_goes_on(home: Home) -> None:
    process = TrainingProcess()
    await process.start(request(home, cycles=100_000))
    async for view in process.views():
        if view.cycle >= 2:
            break
    await process.close()
    assert process.report is None
    results = await VariationResultsDb.open(home.variation_results, spaces=SPACES)
    stored = await results.last_cycle()
    assert stored >= 2
    assert [len(await results.results(s)) for s in SPACES] == [2 * stored] * 10
    await results.close()
    report = await TrainingProcess().run(request(home, cycles=stored + 1))
    assert (report.resumed_at, report.cycle) == (stored, stored + 1)


async def test_pause_resume_and_stop_reach_the_worker(home: Home) -> None:
    process = TrainingProcess()
    await process.start(request(home, cycles=100_000))
    seen: list[str] = []
    async for view in process.views():
        seen.append(view.state)
        if view.state == "running" and view.cycle >= 1 and "paused" not in seen:
            await process.pause()
        elif view.state == "paused":
            await process.resume()
        elif view.state == "running" and "paused" in seen:
            await process.stop()
    assert [s for i, s in enumerate(seen) if i == 0 or s != seen[i - 1]] == [
        "running", "paused", "running", "stopping", "done",
    ]  # fmt: skip
    assert process.report is not None
    assert process.report.stopped
    await process.close()


async def test_a_second_writer_waits_and_is_then_refused(home: Home) -> None:
    lock = FileLock(home.training_lock)
    assert lock.acquire()
    try:
        with pytest.raises(RefusedError, match="still writing"):
            await TrainingProcess().run(request(home, lock_wait_s=0.3))
    finally:
        lock.release()


async def test_without_a_week_the_worker_says_what_to_run(tmp_path: Path) -> None:
    home = Home(tmp_path / "empty")
    home.create()
    stocks = await StocksDataDb.open(home.stocks_data)
    await stocks.close()
    with pytest.raises(OperatorError, match="tshc weekend"):
        await TrainingProcess().run(request(home))


async def test_another_seed_does_not_continue_the_stored_results(home: Home) -> None:
    await TrainingProcess().run(request(home, cycles=1))
    with pytest.raises(RefusedError, match=r"seed \(4 before, 5 now\)"):
        await TrainingProcess().run(request(home, cycles=2, seed=5))


def test_the_request_survives_the_pipe(home: Home) -> None:
    sent = request(home)
    assert TrainingRequest.model_validate(sent.line()) == sent
    assert [b.target_pct for b in sent.bracket_table()] == [3.0, 2.5, 2.0, 1.5, 1.0]
