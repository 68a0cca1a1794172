"""One truth: whatever the threads, slices, pauses, lives and donations, the result is the same to the last digit.

Proven searches find the same groups; under a quota of tests everything is the same, the numbers of
tests and groups visited and the gap included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from group_cases import spread

from engine.decision import anchor_queue
from engine.decision.group_search import GroupSearch, search_groups
from engine.decision.search_snapshot import SearchResult
from engine.decision.search_state import Checkpoint
from engine.decision.watchdog import EQUAL_SPLIT, Policy

PROVEN: dict[str, Any] = {"min_picks": 6, "max_size": 6, "top_k": 50}
QUOTA: dict[str, Any] = {"min_picks": 5, "max_size": 6, "top_k": 50, "tests": 3_000}
PROBLEM = spread(1, each=30)
MODES = {"proven": PROVEN, "quota": QUOTA}
FIVE_MS, NOTHING = 0.005, Policy(1, helps=True)  # each anchor stalls after its first slice and is helped


@cache
def alone(mode: str) -> SearchResult:
    """On one thread in one go."""
    return search_groups(*PROBLEM, **MODES[mode], threads=1)


def whole(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    search = GroupSearch(*PROBLEM, **options, **more)
    search.start()
    assert search.wait(120)
    return search.result()


def paused(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    search = GroupSearch(*PROBLEM, **options, slice_s=0.001, **more)
    search.pause()
    search.start()
    pauses = 0
    while not search.wait(FIVE_MS):
        pauses += search.snapshot().state == "paused"
        search.resume()
        time.sleep(FIVE_MS)
        search.pause()
    assert pauses > 0
    return search.result()


def resumed(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    """Lives from checkpoint to checkpoint, each longer than the last: a busy machine gets somewhere too."""
    checkpoint = Checkpoint(file, "key")
    for life in range(1, 200):
        search = GroupSearch(*PROBLEM, **options, resume=checkpoint.read(), slice_s=0.001, **more)
        search.start()
        if search.wait(0.01 * life):
            assert life > 1
            return search.result()
        checkpoint.write(search.state())
        search.stop()
        search.wait()
    raise AssertionError("no end in sight")


def short(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    return whole(options, file, slice_s=0.0001, **more)


def long(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    return whole(options, file, slice_s=1e6, **more)


def donated(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    return whole(options, file, slice_s=0.001, policy=NOTHING, budget_s=600, **more)


def split(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    return whole(options, file, policy=EQUAL_SPLIT, budget_s=600, **more)


def donated_without_memory(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    """No stalled anchor may keep its stack: each is replayed from its cursor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchor_queue, "STACK_BYTES", 0)
        return donated(options, file, **more)


def resumed_and_donated(options: dict[str, Any], file: Path, **more: Any) -> SearchResult:
    return resumed(options, file, policy=NOTHING, budget_s=600, **more)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "treatment",
    [short, long, paused, resumed, donated, donated_without_memory, split, resumed_and_donated],
    ids=lambda t: t.__name__,
)
def test_the_result_is_the_same(
    treatment: Callable[..., SearchResult], mode: str, threads: int, tmp_path: Path
) -> None:
    expected = alone(mode)
    result = treatment(MODES[mode], tmp_path / "file", threads=threads)
    assert result.groups == expected.groups
    assert result.proven == expected.proven == (mode == "proven")
    if mode == "quota":
        assert result == expected
        assert result.gap > 0
