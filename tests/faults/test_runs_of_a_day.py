"""One run at a time, and none that outlives its day: double clicks and missed opens against a whole engine."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.journal import JournalDb

from .daemon_life import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="POSIX sockets and signals")]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Daemon]:
    """A whole engine on Friday evening that can begin a weekday."""
    daemon = Daemon(tmp_path / "home", speed=20, wide=True)
    try:
        daemon.start()
        daemon.wait_ready()
        # A command that begins nothing: refused for its backend as soon as the kernels are compiled.
        until(lambda: "compil" not in daemon.command("weekend", backend="none")[1], "the kernels are ready")
        yield daemon
    finally:
        daemon.end()


def until(holds: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """What ``holds`` returned when it was true; the limit is for a hung test, not a measurement."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"never happened: {what}")


def journalled(engine: Daemon, kind: str) -> list[dict[str, Any]]:
    """The data of the journal's events of one kind, oldest first."""

    async def read() -> list[dict[str, Any]]:
        journal = await JournalDb.open(engine.home.journal, read_only=True)
        try:
            return [event.data for event in await journal.recent([kind], 100)]
        finally:
            await journal.close()

    return asyncio.run(read())


@pytest.mark.parametrize("second", ["weekday", "weekend"])
def test_of_two_commands_at_once_one_begins_a_run(engine: Daemon, second: str) -> None:
    simulator = engine.simulator()
    for path in ("/v2/calendar", "/v2/positions"):  # what the commands ask before they begin
        simulator.fault("slow", method="GET", path=path, seconds=0.7, times=20)
    arguments = {"weekday": {}, "weekend": {"replace": True}}
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(engine.command, "weekday")
        time.sleep(0.2)
        other = pool.submit(engine.command, second, **arguments[second])
        answers = [first.result(), other.result()]
    simulator.clear_faults()
    assert [accepted for accepted, _ in answers] == [True, False]
    assert "a weekday run is under way" in answers[1][1]
    until(lambda: engine.look()["shortlist"]["state"] == "pending", "the list is proposed")
    assert [event["run"] for event in journalled(engine, "run_started")] == ["weekday-1"]
    assert len(journalled(engine, "trade_list_ready")) == 1


def test_a_command_that_could_not_begin_leaves_the_place_free(engine: Daemon) -> None:
    simulator = engine.simulator()
    simulator.fault("answer", method="GET", path="/v2/calendar", status=500, times=50)
    accepted, reason = engine.command("weekday")
    assert not accepted
    assert "500" in reason or "answer" in reason
    simulator.clear_faults()
    assert engine.command("weekday") == (True, "")
