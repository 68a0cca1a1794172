"""The group search on a real dask cluster of this machine: the same result, whoever comes and goes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from group_cases import Case, spread
from hypothesis import given
from hypothesis import strategies as st

from engine.decision.cluster_link import NO_DASHBOARD
from engine.decision.cluster_search import ClusterSearch, refitted
from engine.decision.group_search import GroupSearch, SearchResult
from engine.decision.search_snapshot import SearchSnapshot
from engine.decision.watchdog import SECOND, LaneAccount
from engine.errors import OperatorError
from engine.settings import SearchSettings

distributed: Any = pytest.importorskip("distributed", reason="the extra 'cluster' (dask) is not installed")
pytestmark = pytest.mark.slow

RULES: dict[str, Any] = {"min_picks": 6, "max_size": 6, "top_k": 30, "day_floor": -0.5, "min_positive_days": 2}
HARD: dict[str, Any] = {"min_picks": 5, "max_size": 6, "top_k": 50}  # a few batches on two cores


def link(address: str) -> Any:
    from engine.decision.cluster_link import ClusterLink

    return ClusterLink(address)


@contextmanager
def two_workers(folder: Path) -> Iterator[Any]:
    """Two worker processes without a nanny: one that is killed stays dead."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", scheduler_kwargs=NO_DASHBOARD,
        worker_dashboard_address=None, silence_logs=50, local_directory=str(folder),
    ) as cluster:  # fmt: skip
        yield cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """For the tests that leave it as they found it."""
    with two_workers(tmp_path_factory.mktemp("shared")) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Any]:
    """For a test whose workers are killed or come and go."""
    with two_workers(tmp_path) as cluster:
        yield cluster


def on(cluster: Any, case: Case, **settings: Any) -> ClusterSearch:
    return ClusterSearch(*case, link=link(cluster.scheduler_address), **({"threads": 1} | settings))


def local(case: Case, **settings: Any) -> SearchResult:
    search = GroupSearch(*case, threads=2, **settings)
    search.start()
    search.wait()
    return search.result()


def run(search: ClusterSearch, meanwhile: Callable[[SearchSnapshot], None] = lambda now: None) -> SearchResult:
    """To the end, looking often; the ledger must hold whenever one looks."""
    search.start()
    while not search.wait(0.05):
        now = search.snapshot()
        assert now.ledger_holds
        meanwhile(now)
    assert search.snapshot().ledger_holds
    return search.result()


@pytest.fixture(scope="module")
def case() -> Case:
    return spread(11, each=15)


@pytest.fixture(scope="module")
def hard() -> Case:
    return spread(3, each=28)


@pytest.fixture(scope="module")
def hard_result(hard: Case) -> SearchResult:
    return local(hard, **HARD)


def test_a_proven_result_is_the_local_one(cluster: Any, case: Case) -> None:
    search = on(cluster, case, **RULES)
    ours, here = run(search), local(case, **RULES)
    assert here.proven
    assert (ours.groups, ours.proven, ours.gap) == (here.groups, True, 0.0)
    lanes = search.snapshot().lanes
    assert [lane.state for lane in lanes] == ["done", "done"]
    assert sum(lane.used for lane in lanes) > 0


def test_under_a_quota_of_tests_everything_is_equal(cluster: Any, case: Case) -> None:
    ours, here = run(on(cluster, case, **RULES, tests=3000)), local(case, **RULES, tests=3000)
    assert not here.proven
    assert ours == here


@pytest.mark.parametrize(("end", "tests"), [("stop", None), ("budget", 10**9)])
def test_a_worker_that_hangs_holds_up_neither_a_stop_nor_the_end_of_the_budget(
    own_cluster: Any, end: str, tests: int | None
) -> None:
    """And what it was doing is open: a later life finds everything in its place."""
    problem = spread(5, each=60, common=0.8)
    run(on(own_cluster, spread(1, each=5), **RULES))  # the workers have loaded their kernels
    options: dict[str, Any] = {"min_picks": 3, "max_size": 10, "top_k": 20, "tests": tests}
    search = on(own_cluster, problem, **options, budget_s=4.0 if end == "budget" else 600.0)
    search.start()
    while not search.snapshot().tests:
        time.sleep(0.02)
    pid = next(iter(own_cluster.workers.values())).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.0)  # its batch should be home by now
        began = time.monotonic()
        if end == "stop":
            search.stop()
        while search.snapshot().state != "done" and time.monotonic() - began < 50:
            assert search.snapshot().ledger_holds
            time.sleep(0.05)
        ended = search.snapshot()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ended.state == "done"
    assert ended.ledger_holds
    assert ended.ledger.open_grants == 0
    search.wait()
    assert not search.result().proven
    places = {job.place for job in search.state().jobs}
    assert places <= {"fresh", "stalled", "deeper"}
    assert len(search.state().jobs) == ended.anchors - ended.anchors_closed


def test_a_scheduler_that_hangs_holds_up_no_stop(tmp_path: Path) -> None:
    """It is a process of its own here, and answers nothing any more."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    host = ["--host", "127.0.0.1", "--scheduler-file", str(file), "--no-dashboard"]
    free = ["--port", "0", "--dashboard-address", "127.0.0.1:0"]
    alone = ["--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)]
    with (
        subprocess.Popen([*dask, "scheduler", *free, *host], **quiet) as scheduler,
        subprocess.Popen([*dask, "worker", *alone, *host], **quiet) as worker,
    ):
        try:
            while not file.exists():
                time.sleep(0.05)
            address = json.loads(file.read_text())["address"]
            search = ClusterSearch(
                *spread(5, each=60, common=0.8), min_picks=3, max_size=10, top_k=20, threads=1, link=link(address)
            )
            search.start()
            while not search.snapshot().tests:
                time.sleep(0.02)
            os.kill(scheduler.pid, signal.SIGSTOP)
            began = time.monotonic()
            search.stop()
            while search.snapshot().state != "done" and time.monotonic() - began < 50:
                time.sleep(0.05)
            assert search.snapshot().state == "done"
            assert search.snapshot().ledger_holds
        finally:
            os.kill(scheduler.pid, signal.SIGCONT)
            for process in (worker, scheduler):
                process.terminate()


def test_a_worker_killed_at_work_costs_its_batch_and_nothing_else(
    own_cluster: Any, hard: Case, hard_result: SearchResult
) -> None:
    search = on(own_cluster, hard, **HARD)
    victim: list[int] = []

    def kill_one(now: SearchSnapshot) -> None:
        if not victim and now.tests > 0:
            worker = next(iter(own_cluster.workers.values()))
            victim.append(worker.pid)
            worker.auto_restart = False
            os.kill(worker.pid, signal.SIGKILL)

    ours = run(search, kill_one)
    assert victim
    assert (ours.groups, ours.proven) == (hard_result.groups, True)
    assert [lane.state for lane in search.snapshot().lanes].count("lost") == 1


def test_a_worker_that_joins_gets_a_lane_and_brings_its_time(
    own_cluster: Any, hard: Case, hard_result: SearchResult
) -> None:
    own_cluster.scale(1)
    while len(own_cluster.scheduler_info["workers"]) > 1:
        time.sleep(0.05)
    search = on(own_cluster, hard, **HARD, budget_s=600.0)
    before = search.ledger.capacity
    asked: list[bool] = []

    def invite(now: SearchSnapshot) -> None:
        if not asked:
            asked.append(True)
            own_cluster.scale(2)

    ours = run(search, invite)
    assert ours.groups == hard_result.groups
    lanes = search.snapshot().lanes
    assert len(lanes) == 2
    assert before < search.ledger.capacity <= 2 * before


def test_without_any_worker_this_machine_goes_on_alone(own_cluster: Any, case: Case) -> None:
    own_cluster.scale(0)
    while own_cluster.scheduler_info["workers"]:
        time.sleep(0.05)
    search = on(own_cluster, case, **RULES, local_after_s=0.2)
    assert run(search).groups == local(case, **RULES).groups
    assert "and this machine" not in search.where


def test_the_budget_ends_it_with_a_gap_and_a_stop_ends_it_early(cluster: Any) -> None:
    hardest = spread(5, each=60, common=0.8)
    run(on(cluster, spread(1, each=5), **RULES))  # the workers have loaded their kernels
    limited = on(cluster, hardest, min_picks=3, max_size=10, top_k=50, budget_s=3.0)
    result = run(limited)
    assert not result.proven
    assert result.gap > 0
    assert result.groups
    assert limited.snapshot().elapsed_s < 3.0 + 60.0  # a batch and its way home, on a loaded machine
    stopped = on(cluster, hardest, min_picks=3, max_size=10, top_k=50)
    assert not run(stopped, lambda now: stopped.stop() if now.tests else None).proven


def test_a_pause_consumes_nothing_and_a_second_life_with_other_workers_ends_alike(
    own_cluster: Any, hard: Case, hard_result: SearchResult
) -> None:
    first = on(own_cluster, hard, **HARD, budget_s=600.0)
    first.start()
    while not first.snapshot().tests:
        time.sleep(0.02)
    first.pause()
    at, seen = first.snapshot(), -1
    while seen != at.tests:  # batches under way come home
        seen = at.tests
        time.sleep(1.5)
        at = first.snapshot()
    time.sleep(0.3)
    assert first.snapshot().tests == at.tests
    assert first.snapshot().elapsed_s == at.elapsed_s
    left = first.state()
    first.stop()
    first.wait()
    own_cluster.scale(1)
    while len(own_cluster.scheduler_info["workers"]) > 1:
        time.sleep(0.05)
    second = on(own_cluster, hard, **HARD, budget_s=600.0, resume=left)
    result = run(second)
    assert result.groups == hard_result.groups
    assert second.snapshot().tests > at.tests
    assert second.ledger.used >= sum(account.used for account in left.lanes)


def test_a_worker_of_another_version_is_refused_with_the_reason(
    cluster: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.decision.cluster_search.PROGRAM", "another")
    search = on(cluster, case, **RULES)
    search.start()
    with pytest.raises(OperatorError, match="install the same version"):
        search.wait(60)


def test_a_cluster_of_this_machine_takes_no_port_that_another_one_may_have() -> None:
    """Dask's web server asks for 8787 by itself, and warns when it does not get it."""
    with socket.socket() as other, warnings.catch_warnings():
        with suppress(OSError):  # somebody else has it: as good
            other.bind(("127.0.0.1", 8787))
            other.listen()
        warnings.filterwarnings("error", message="Port")
        here = link("local:1")
        here.close()


def test_a_cluster_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.decision.cluster_link.CONNECT_S", 0.5)
    with pytest.raises(OperatorError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"):
        link("tcp://127.0.0.1:9")


@pytest.mark.parametrize("wrong", ["local", "local:0", "local:x", "127.0.0.1:8786", "tcp:// "])
def test_an_address_that_is_none_is_refused_by_the_settings(wrong: str) -> None:
    with pytest.raises(ValueError, match="cluster"):
        SearchSettings(cluster=wrong)


accounts = st.builds(
    lambda granted, received, used: LaneAccount(granted, received, used, granted + received - used),
    st.integers(SECOND, 2 * SECOND), st.integers(0, SECOND), st.integers(0, SECOND),
)  # fmt: skip


@given(st.lists(accounts, min_size=1, max_size=6), st.integers(1, 6))
def test_an_earlier_lifes_accounts_fit_any_number_of_lanes_and_keep_their_sums(
    earlier: list[LaneAccount], lanes: int
) -> None:
    now = refitted(earlier, lanes)
    assert len(now) == lanes
    for name in LaneAccount.__slots__:
        assert sum(getattr(a, name) for a in now) == sum(getattr(a, name) for a in earlier)
    assert all(account.open == 0 for account in now)
