"""One trained home, several market days: rejected, swapped, killed at the approval, killed with open positions.

The days follow each other on the same simulated market, as in a real week.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from app.client import EngineClient
from app.engine_process import wait_until_stopped
from app.replay_client import ReplayClient, load_day
from engine.home import Home

from .conftest import SMALL_MARKET, Tshc
from .kill_trials import kill_engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tshc]:
    """A home with two selected groups, on Monday evening; the third day from there is a half day."""
    overrides = SMALL_MARKET | {"sim.date": "2026-11-23"}
    tshc = Tshc(Home(tmp_path_factory.mktemp("weekdays") / "home"), overrides)
    tshc.json("weekend")
    yield tshc
    tshc.stop()


@asynccontextmanager
async def attached(tshc: Tshc) -> AsyncIterator[EngineClient]:
    async with EngineClient(tshc.home, name="console") as client:
        await client.attached(60)
        yield client


async def until(condition: Callable[[], bool], timeout_s: float = 240) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the views are polled as a console polls them
            await asyncio.sleep(0.05)


def begin_day(tshc: Tshc) -> subprocess.Popen[str]:
    return tshc.start("weekday")


async def test_a_rejected_list_is_no_trade_and_exit_code_3(trained: Tshc) -> None:
    day = begin_day(trained)
    async with attached(trained) as client:
        await until(lambda: client.state.shortlist.state == "pending")
        waiting = client.state.shortlist
        await until(lambda: client.state.board.summary.startswith("only your yes is missing"))
        assert client.state.board.list_hash == waiting.list_hash
        measured = {row.name: row for row in client.state.overview.health}
        assert measured.keys() >= {"engine", "broker", "prices", "orders", "books", "journal", "disk", "clock"}
        assert measured["books"].value == "agree"
        wrong = await client.command("approve", {"session": str(waiting.session), "list_hash": "0" * 64})
        assert not wrong.accepted
        assert "the list has changed" in wrong.reason
        refused = await client.command("weekday")
        assert not refused.accepted
        said = await client.command("reject", {"session": str(waiting.session), "list_hash": waiting.list_hash})
        assert said.accepted
        await until(lambda: client.state.board.verdict == "no_go")
        assert next(g for g in client.state.board.gates if g.gate == "approval").measured == "rejected"
    assert await asyncio.to_thread(day.wait, 180) == 3
    assert trained.rows(trained.home.journal, "SELECT COUNT(*) FROM intents") == [(0,)]


async def test_a_swap_makes_another_list_and_voids_what_was_said_of_the_old_one(trained: Tshc) -> None:
    day = begin_day(trained)
    async with attached(trained) as client:
        await until(lambda: client.state.shortlist.state == "pending")
        old = client.state.shortlist
        chosen = [row.symbol for row in old.rows if row.chosen]
        others = [row.symbol for row in old.rows if not row.chosen and not row.veto]
        if not others:
            pytest.skip(f"the day has only {len(old.rows)} candidates: nothing to swap in")
        where = {"session": str(old.session), "list_hash": old.list_hash}
        assert not (await client.command("swap", {**where, "out": chosen[0], "into": "SPY"})).accepted
        assert (await client.command("swap", {**where, "out": chosen[0], "into": others[0]})).accepted
        await until(lambda: client.state.shortlist.list_hash != old.list_hash)
        new = client.state.shortlist
        assert [row.symbol for row in new.rows if row.chosen and row.symbol not in chosen] == [others[0]]
        assert not (await client.command("approve", where)).accepted
        # Killed here, the restarted engine proposes the swapped list with its hash, still undecided.
        assert kill_engine(trained)
    day.kill()
    day.wait()
    wait_until_stopped(trained.home, 60)
    assert trained.run("engine", "start").returncode == 0
    async with attached(trained) as client:
        await until(lambda: client.state.shortlist.state == "pending")
        assert client.state.shortlist.list_hash == new.list_hash
        what = {"session": str(new.session), "list_hash": new.list_hash}
        first, second = await asyncio.gather(client.command("approve", what), client.command("approve", what))
        assert [first.accepted, second.accepted].count(True) == 1  # a double press decides once
        await until(lambda: any(row.state in ("WATCH", "ARMED") for row in client.state.positions.rows))
        await until(lambda: _entered(client))  # every name is decided
        # Two consoles, one of them gone: nothing changes for the positions.
        assert (await client.command("flatten")).accepted
        await until(lambda: client.state.flatten.state == "flat")
        assert (await client.command("unlatch")).accepted
    approvals = trained.rows(
        trained.home.journal,
        f"SELECT outcome FROM approvals WHERE session = '{new.session}' ORDER BY seq",
    )
    assert approvals == [("voided",), ("approved",)]


async def test_an_engine_killed_with_open_positions_comes_back_and_manages_them_to_the_close(
    trained: Tshc,
) -> None:
    await _until_idle(trained)
    day = begin_day(trained)
    async with attached(trained) as client:
        await until(lambda: client.state.shortlist.state == "pending")
        waiting = client.state.shortlist
        what = {"session": str(waiting.session), "list_hash": waiting.list_hash}
        assert (await client.command("approve", what)).accepted
        await until(lambda: sum(r.state in ("WATCH", "ARMED") for r in client.state.positions.rows) > 0)
        held = {row.symbol for row in client.state.positions.rows if row.state in ("WATCH", "ARMED")}
    killed_at = datetime.now(UTC)
    assert kill_engine(trained)
    day.kill()
    day.wait()
    wait_until_stopped(trained.home, 60)
    assert waiting.session is not None
    assert killed_at - await _replayable_until(trained, waiting.session) < timedelta(seconds=5)
    await asyncio.sleep(1.0)  # market time goes on without an engine: 300 s a second
    assert trained.run("engine", "start").returncode == 0
    async with attached(trained) as client:
        await until(lambda: held <= {row.symbol for row in client.state.positions.rows}, 20)
        await until(lambda: client.state.status.positions_open == 0 and not client.state.status.market_open, 150)
        fills = trained.rows(trained.home.journal, "SELECT side, shares, price FROM fills")
        flow = sum((Decimal(p) * n * (1 if side == "sell" else -1) for side, n, p in fills), Decimal(0))
        await until(lambda: client.state.status.equity == 100_000 + flow, 20)  # to the cent, and on the screen
        stopped = await client.command("shutdown")
        assert stopped.accepted, stopped.reason
    of_the_day = f"session = '{waiting.session}'"
    intents = trained.rows(
        trained.home.journal,
        f"SELECT symbol, COUNT(*) FROM intents WHERE {of_the_day} AND side = 'buy' GROUP BY symbol",
    )
    assert all(count <= 4 for _, count in intents)  # the first price and three re-prices, no second entry
    late = trained.rows(
        trained.home.journal,
        f"SELECT MAX(f.at) FROM fills f JOIN intents i USING (client_order_id) WHERE i.{of_the_day}",
    )[0][0]
    assert str(waiting.session) == "2026-11-27"
    assert datetime.fromisoformat(late) < datetime.fromisoformat("2026-11-27T18:00:00Z")


def _entered(client: EngineClient) -> bool:
    stages = {stage.stage: stage.state for stage in client.state.overview.stages}
    return stages.get("real_trader") == "done"


async def _replayable_until(trained: Tshc, session: date) -> datetime:
    """Wall time of the last moment that an engine recorded of ``session``; it replays, with its events."""
    replay = ReplayClient(trained.home, await load_day(trained.home, session))
    replay.seek(replay.data.tape.length_s)
    assert replay.data.note == ""
    assert replay.state.status.mode == "sim"
    assert replay.state.events[-1].seq == replay.state.seq > 0
    last = replay.data.tape.wall_at(len(replay.data.tape) - 1)
    await replay.close()
    return last


async def _until_idle(trained: Tshc) -> None:
    """The run of the day before has ended."""
    for _ in range(600):
        running = trained.rows(trained.home.journal, "SELECT COUNT(*) FROM runs WHERE state = 'running'")
        if running == [(0,)]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the day before did not end: " + trained.log())
