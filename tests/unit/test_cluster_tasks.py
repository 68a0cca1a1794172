"""What travels between a search and a cluster's workers, without a cluster: carried by threads of this process."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from group_cases import spread

from engine.decision import cluster_search, cluster_tasks
from engine.decision.cluster_search import ClusterSearch
from engine.decision.cluster_tasks import PROGRAM, Batch, Walked, install, program_digest
from engine.decision.group_problem import rank_problem
from engine.decision.group_search import search_groups
from engine.decision.watchdog import Policy
from engine.errors import OperatorError

PROBLEM = spread(4, algorithms=5, each=10)
RULES: dict[str, Any] = {"min_picks": 5, "max_size": 5, "top_k": 50}


class HereLink:
    """Calls the workers' functions in the calling thread; what goes there and back is copied as on a wire."""

    address = "here"

    def __init__(self, workers: int) -> None:
        self._workers = {f"worker {number}": 1 for number in range(workers)}
        self.sent: list[tuple[Batch, tuple[Walked, ...]]] = []

    def workers(self) -> dict[str, int]:
        return self._workers

    def call(self, worker: str, function: Callable[..., Any], *arguments: Any, **how: Any) -> Any:
        answer = pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(arguments)))))
        if isinstance(arguments[0], Batch):
            self.sent.append((arguments[0], answer))
        return answer

    def close(self) -> None:
        """Takes its time, as a cluster does whose workers must be ended."""
        time.sleep(0.5)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("tests", [None, 500, 10_000])
def test_anchors_that_are_cut_off_by_time_travel_again_and_end_as_on_one_machine(
    workers: int, tests: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every batch is over after one slice of fifty tests."""
    monkeypatch.setattr(cluster_search, "FAR", Policy(1, helps=True))
    monkeypatch.setattr("engine.decision.watchdog.DONATION_NS", 1)
    monkeypatch.setattr(cluster_tasks, "LEAST_TESTS", 50)
    monkeypatch.setattr(cluster_tasks, "SLICE_NS", 1)
    link: Any = HereLink(workers)
    search = ClusterSearch(*PROBLEM, **RULES, tests=tests, threads=1, link=link)
    search.start()
    assert search.wait(120)
    ours, here = search.result(), search_groups(*PROBLEM, **RULES, tests=tests, threads=1)
    again = [order for batch, _ in link.sent for order in batch.orders if order.kept or order.cursor]
    assert len(again) > 50
    if tests is None:
        assert (ours.groups, ours.proven) == (here.groups, True)
    else:
        assert all(order.cursor is None for order in again)
        assert ours == here
    assert any(one.done is None for _, walked in link.sent for one in walked)  # not begun: it went back


@pytest.mark.parametrize("tests", [None, 10**9])
def test_a_batch_comes_home_when_its_time_is_over(tests: int | None) -> None:
    """However many tests its anchors may make."""
    options: dict[str, Any] = {"min_picks": 3, "max_size": 10, "top_k": 50, "tests": tests}
    for budget_s in (3.0, 30.0):  # the second when a busy machine left no time for two batches
        link: Any = HereLink(1)
        search = ClusterSearch(*spread(5, each=60, common=0.8), **options, budget_s=budget_s, threads=1, link=link)
        search.start()
        assert search.wait(180)
        if len(link.sent) > 1:
            break
    assert len(link.sent) > 1, search.snapshot()
    assert not search.result().proven
    assert search.snapshot().elapsed_s < budget_s + 60.0  # a busy machine ends a slice late; all takes hours
    assert search.snapshot().ledger_holds


def test_a_worker_whose_messages_could_mean_something_else_is_refused(tmp_path: Path) -> None:
    """The same kernels do not make the same program: an order may have learned a word since."""
    for source in Path(cluster_tasks.__file__).parent.glob("*.py"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    assert program_digest(tmp_path) == PROGRAM
    with (tmp_path / "cluster_tasks.py").open("a") as file:
        file.write("# another version\n")
    problem = rank_problem(*PROBLEM, min_picks=5, max_size=5)
    assert install("here", problem, PROGRAM) == ""
    assert "install the same version" in install("here", problem, program_digest(tmp_path))


def until_it_has_ended(search: ClusterSearch) -> None:
    while not search.wait(0.01):
        pass


def test_a_failure_is_told_as_soon_as_the_search_has_ended_not_only_when_the_cluster_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever looks now and then would take what there is for the result."""
    monkeypatch.setattr(cluster_search, "PROGRAM", "another")
    link: Any = HereLink(1)
    search = ClusterSearch(*PROBLEM, **RULES, threads=1, link=link)
    search.start()
    with pytest.raises(OperatorError, match="install the same version"):
        until_it_has_ended(search)
