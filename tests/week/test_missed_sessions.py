"""A machine that was off on two evenings: the ledger has their sessions all the same, marked, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from engine.broker.simulator_control import SimulatorControl
from engine.home import Home
from engine.venue import known_simulator

from .conftest import SMALL_MARKET, Tshc
from .test_weekdays import attached, begin_day, until

pytestmark = pytest.mark.slow

WEEK = "2026-11-20"
MISSED, WORKED_OFF = ["2026-11-23", "2026-11-24"], "2026-11-25"
TUESDAY_EVENING = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)


@pytest.fixture
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tshc]:
    """Groups of Friday; the first evening after them that somebody is there is Tuesday's."""
    overrides = SMALL_MARKET | {"sim.date": WEEK}
    tshc = Tshc(Home(tmp_path_factory.mktemp("missed") / "home"), overrides)
    tshc.json("weekend")
    known = known_simulator(tshc.home)
    assert known is not None

    async def sleep_over() -> None:
        control = SimulatorControl(known[0].trading_url, known[1])
        await control.sim_clock(jump_to=TUESDAY_EVENING)
        await control.close()

    asyncio.run(sleep_over())
    yield tshc
    tshc.stop()


async def test_the_sessions_of_the_evenings_that_nobody_worked_off_are_made_good(late: Tshc) -> None:
    day = begin_day(late)
    async with attached(late) as client:
        await until(lambda: client.state.shortlist.state == "pending")
        waiting = client.state.shortlist
        assert str(waiting.session) == WORKED_OFF
        where = {"session": WORKED_OFF, "list_hash": waiting.list_hash}
        assert (await client.command("reject", where)).accepted
        assert await asyncio.to_thread(day.wait, 240) == 3
        journal = late.home.journal
        kept = late.rows(journal, "SELECT session, selected, source, week, reconstructed FROM ledger_candidates")
        assert {(row[0], row[4]) for row in kept} == {*((session, 1) for session in MISSED), (WORKED_OFF, 0)}
        assert {row[2:4] for row in kept} == {("sim", WEEK)}
        groups = {row[1] for row in kept if row[0] == WORKED_OFF}
        assert {row[:2] for row in kept} == {(s, n) for s in (*MISSED, WORKED_OFF) for n in groups}
        judged = late.rows(journal, "SELECT session, selected, reconstructed FROM ledger_days ORDER BY 1, 2")
        assert judged == [(session, n, 1) for session in MISSED for n in sorted(groups)]
        await until(lambda: bool(client.state.overview.forward), 20)
        row = client.state.overview.forward[0]
        assert (row.sessions, row.possible) == (2, 2)
    assert late.rows(journal, "SELECT text FROM events WHERE kind = 'ledger_not_written'") == []
