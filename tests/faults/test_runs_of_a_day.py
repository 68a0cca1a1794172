"""One run at a time, and none that outlives its day: double clicks and missed opens against a whole engine."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.errors import OperatorError
from engine.journal import JournalDb
from engine.orders_model import TERMINAL_STATUSES
from engine.simulator import Simulator

from .daemon_life import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="POSIX sockets and signals")]

MONDAY_0940 = datetime(2026, 11, 23, 14, 40, tzinfo=UTC)  # five minutes after the entry window
TUESDAY_NOON = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)


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


def until(holds: Callable[[], Any], what: str, timeout_s: float = 180.0) -> Any:
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
    until(lambda: journalled(engine, "trade_list_ready"), "the list is in the journal")
    assert len(journalled(engine, "trade_list_ready")) == 1


def test_a_command_that_could_not_begin_leaves_the_place_free(engine: Daemon) -> None:
    simulator = engine.simulator()
    simulator.fault("answer", method="GET", path="/v2/calendar", status=500, times=50)
    accepted, reason = engine.command("weekday")
    assert not accepted
    assert "500" in reason or "answer" in reason
    simulator.clear_faults()
    assert engine.command("weekday") == (True, "")


def ended(engine: Daemon, run: str) -> dict[str, Any]:
    """The run's last RunFinished, once it is neither a failure nor a stop."""

    def found() -> dict[str, Any] | None:
        ends = [e for e in journalled(engine, "run_finished") if e["run"] == run]
        return ends[-1] if ends and ends[-1]["outcome"] not in ("failed", "stopped") else None

    return dict(until(found, f"{run} ends"))


def the_next_day_begins(engine: Daemon, session: str) -> None:
    """What a missed day must never prevent."""
    assert engine.command("weekday") == (True, "")
    shortlist = until(lambda: pending(engine), "the next list is proposed")
    assert shortlist["session"] == session
    assert engine.simulator().state()["orders"] == []


def pending(engine: Daemon) -> dict[str, Any] | None:
    shortlist: dict[str, Any] = engine.look()["shortlist"]
    return shortlist if shortlist["state"] == "pending" else None


def test_a_flatten_before_the_first_fill_ends_the_day(engine: Daemon) -> None:
    simulator = engine.simulator()
    simulator.fault("mute", socket="price", seconds=60)  # without a quote the entries wait inside their window
    simulator.fault("answer", method="GET", path="/v2/stocks/quotes", status=500, times=10_000)
    engine.begin_day()
    until(lambda: any(row["state"] == "ENTERING" for row in engine.look()["positions"]["rows"]), "entering")
    until(lambda: engine.look()["status"]["market_open"], "the open")
    over = engine.flatten()
    end = ended(engine, "weekday-1")
    assert end["outcome"] == "refused"
    assert "the entries were stopped: flatten" in end["summary"]
    until(lambda: over(engine.look()["flatten"]), "flat")
    simulator.clear_faults()
    the_next_day_begins(engine, "2026-11-24")


def test_a_power_cut_over_the_open_ends_the_day(engine: Daemon) -> None:
    engine.begin_day()
    engine.kill()
    engine.simulator().clock(jump_to=MONDAY_0940)
    engine.start()
    engine.wait_ready()
    end = ended(engine, "weekday-1")
    assert end["outcome"] == "refused"
    assert "2026-11-23" in end["summary"]
    assert "expired" in end["summary"]
    until(lambda: engine.command("weekday")[0], "the kernels of the restarted engine")
    assert until(lambda: pending(engine), "the next list")["session"] == "2026-11-24"


def test_a_broker_that_was_away_for_the_whole_window_ends_the_day(engine: Daemon) -> None:
    simulator = engine.simulator()
    engine.begin_day()
    simulator.fault("answer", method="GET", path="/v2/account", status=503, times=10_000)
    until(lambda: [e for e in journalled(engine, "run_finished") if e["outcome"] == "failed"], "the failure")
    assert engine.command("weekday") == (True, "")  # before the window has passed it is the same run again
    until(lambda: len(journalled(engine, "run_finished")) == 2, "the second failure")
    simulator.clock(jump_to=MONDAY_0940)
    assert engine.command("weekday") == (True, "")
    end = ended(engine, "weekday-1")
    assert end["outcome"] == "refused"
    simulator.clear_faults()
    the_next_day_begins(engine, "2026-11-24")


def test_a_day_that_passed_without_an_engine_is_closed_and_no_run_begins_by_itself(engine: Daemon) -> None:
    engine.begin_day()
    engine.kill()
    engine.simulator().clock(jump_to=TUESDAY_NOON)
    engine.start()
    engine.wait_ready()
    end = ended(engine, "weekday-1")
    assert end["outcome"] == "abandoned"
    assert "no trade on 2026-11-23" in end["summary"]
    assert len(journalled(engine, "run_started")) == 1
    until(lambda: engine.command("weekday")[0], "the kernels of the restarted engine")
    assert until(lambda: pending(engine), "the next list")["session"] == "2026-11-25"


def test_a_day_that_cannot_even_be_told_of_does_not_block_the_next(engine: Daemon) -> None:
    """It had bought, so it goes on after the restart; its tables are lost, so it fails, and is not repeated."""
    engine.begin_day()
    until(engine.held, "a position")
    engine.kill()
    simulator = engine.simulator()
    simulator.request("DELETE", "/v2/orders")
    until(lambda: sold_out(simulator), "sold by hand")
    simulator.clock(jump_to=TUESDAY_NOON)
    for file in engine.home.folder.glob(f"{engine.home.stocks_data.name}*"):
        file.unlink()
    engine.start()
    engine.wait_ready()
    until(lambda: [e for e in journalled(engine, "run_finished") if e["outcome"] == "failed"], "the failure")
    until(lambda: engine.command("weekday")[0], "the kernels of the restarted engine")
    assert until(lambda: pending(engine), "the next list")["session"] == "2026-11-25"


def sold_out(simulator: Simulator) -> bool:
    with suppress(OperatorError):  # a share that is not free yet
        simulator.request("DELETE", "/v2/positions")
    state = simulator.state()
    return not state["positions"] and all(order["status"] in TERMINAL_STATUSES for order in state["orders"])
