"""A search that was killed goes on from its checkpoint and ends as if nothing had happened."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from group_cases import Case, spread
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision.group_search import GroupSearch, search_groups
from engine.decision.search_snapshot import SearchResult
from engine.decision.search_state import Checkpoint, CheckpointError, SearchState, digest_of
from engine.decision.watchdog import Policy

SLOW: dict[str, Any] = {"min_picks": 6, "max_size": 6, "top_k": 50}


def lives(
    given: Case, file: Path, options: dict[str, Any], *, life_s: float, **more: Any
) -> tuple[SearchResult, int]:
    """Runs the search in lives of ``life_s`` wall seconds, each from the last one's file; (result, lives).

    They grow longer, so that a busy machine gets somewhere too.
    """
    checkpoint = Checkpoint(file, "key")
    for number in range(1, 200):
        search = GroupSearch(*given, **options, resume=checkpoint.read(), slice_s=0.001, **more)
        search.start()
        if search.wait(life_s * (1 + number / 10)):
            return search.result(), number
        checkpoint.write(search.state())
        search.stop()  # what it finds from here on is lost, as after kill -9
        search.wait(60)
    raise AssertionError("no end in sight")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_proven_search_in_many_lives_has_the_same_groups_and_has_lost_no_time(
    tmp_path: Path, threads: int
) -> None:
    problem = spread(1, each=40)
    expected = search_groups(*problem, **SLOW, threads=1)
    result, number = lives(problem, tmp_path / "file", SLOW, life_s=0.05, threads=threads)
    assert number > 2
    assert result.proven
    assert result.groups == expected.groups


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tests", [300, 5_000])
def test_under_a_quota_many_lives_give_the_same_everything(tmp_path: Path, tests: int, threads: int) -> None:
    problem = spread(4, each=60)
    options = {"min_picks": 5, "max_size": 6, "top_k": 50, "tests": tests}
    expected = search_groups(*problem, **options, threads=1)
    result, number = lives(problem, tmp_path / "file", options, life_s=0.02, threads=threads)
    assert number > 2
    assert result == expected


def test_stalled_anchors_go_on_where_they_stalled(tmp_path: Path) -> None:
    """Grants so short that every anchor stalls again and again."""
    problem = spread(1, each=30)
    options = SLOW | {"min_picks": 5, "policy": Policy(1, helps=True)}
    result, number = lives(problem, tmp_path / "file", options, life_s=0.05, threads=2)
    expected = search_groups(*problem, **(SLOW | {"min_picks": 5}), threads=1)
    assert number > 2
    assert result.groups == expected.groups


def test_time_and_ledger_go_on_and_the_wall_clock_plays_no_part(tmp_path: Path, monkeypatch: Any) -> None:
    problem = spread(1, each=80)
    options = {"min_picks": 3, "max_size": 10, "top_k": 20, "threads": 2, "budget_s": 4.0}
    search = GroupSearch(*problem, **options)
    search.start()
    while not (search.snapshot().tests and search.snapshot().ledger.used > 0.3):
        time.sleep(0.05)
    state = search.state()
    search.stop()
    search.wait(60)
    monkeypatch.setattr(time, "time", lambda: 0.0)  # the clock was set back half a century
    Checkpoint(tmp_path / "file", "key").write(state)
    again = GroupSearch(*problem, **options, resume=Checkpoint(tmp_path / "file", "key").read())
    before = again.snapshot()
    assert before.elapsed_s == state.elapsed_s > 0.15
    assert before.ledger_holds
    assert before.ledger.used > 0.3
    again.start()
    assert again.wait(120)
    after = again.snapshot()
    assert after.elapsed_s < 4.0 + 30.0  # a busy machine ends a slice late; the whole search would take hours
    assert after.ledger_holds
    assert after.tests > before.tests > 0
    assert after.groups[0].score >= state.top[0].score


def test_the_bound_holds_in_the_second_life() -> None:
    problem = spread(1, each=35)
    best = search_groups(*problem, **SLOW, threads=1).groups[0].score
    search = GroupSearch(*problem, **SLOW, threads=2, slice_s=0.001)
    search.start()
    search.wait(0.05)
    again = GroupSearch(*problem, **SLOW, threads=2, resume=search.state())
    search.stop()
    search.wait(60)
    sample = again.snapshot()
    assert sample.bound is not None
    assert max(sample.bound, sample.incumbent or -10.0) >= best


def state_of(problem: Case) -> SearchState:
    search = GroupSearch(*problem, **SLOW, threads=2, slice_s=0.001)
    search.start()
    search.wait(0.1)
    state = search.state()
    search.stop()
    search.wait(60)
    return state


def test_a_file_holds_the_whole_state_and_is_small(tmp_path: Path) -> None:
    state = state_of(spread(1, each=60))
    checkpoint = Checkpoint(tmp_path / "file", "key")
    checkpoint.write(state)
    assert checkpoint.read() == state
    assert (tmp_path / "file").stat().st_size < 200_000
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    checkpoint.clear()
    checkpoint.clear()
    assert checkpoint.read() is None


def test_another_searchs_file_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "file", digest_of([b"a", b"b"])).write(state_of(spread(1, each=10)))
    with pytest.raises(CheckpointError, match="belongs to another search"):
        Checkpoint(tmp_path / "file", digest_of([b"ab"])).read()


@settings(max_examples=20)
@given(at=st.integers(0, 10_000), length=st.integers(0, 10_000), cut=st.booleans())
def test_a_damaged_file_is_never_taken_for_a_state(
    tmp_path_factory: pytest.TempPathFactory, at: int, length: int, cut: bool
) -> None:
    file = tmp_path_factory.mktemp("damaged") / "file"
    Checkpoint(file, "key").write(STATE)
    content = bytearray(file.read_bytes())
    if cut:
        content = content[: length % len(content)]
    else:
        content[at % len(content)] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(CheckpointError):
        Checkpoint(file, "key").read()


STATE = state_of(spread(1, each=8))
