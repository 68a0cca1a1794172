"""What is known of the broker ages, and says so: against the simulator, whose answers are late or refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from execution_rig import rest_of

from engine.broker.clock import MarketClock
from engine.health import account_row
from engine.journal import JournalDb
from engine.model import NEW_YORK, Session
from engine.pipeline.broker_watch import LEAST_STALE_S, BrokerWatch, LastAnswer
from engine.simulator import Simulator


def test_what_was_not_answered_for_two_periods_is_stale_and_says_how_old_it_is() -> None:
    now = [100.0]
    answer = LastAnswer(5.0, monotonic=lambda: now[0])
    assert answer.link(None).state == "connecting"
    assert not answer.stale  # nothing is known that could be old
    answer.came()
    now[0] += 10.0
    assert (answer.link(38.2).state, answer.link(38.2).latency_ms) == ("live", 38.2)
    now[0] += 0.1
    link = answer.link(38.2)
    assert (link.state, link.age_s, link.latency_ms) == ("stale", 10.1, None)
    answer.failed("no connection")
    assert (answer.link(38.2).state, answer.link(38.2).detail) == ("down", "no connection")
    answer.came()
    assert answer.link(38.2).state == "live"
    quick = LastAnswer(0.5, monotonic=lambda: now[0])
    quick.came()
    now[0] += LEAST_STALE_S
    assert not quick.stale  # a moment of load is no news


def test_the_health_names_the_account_only_while_its_figures_are_old() -> None:
    now = [0.0]
    answer = LastAnswer(10.0, monotonic=lambda: now[0])
    assert account_row(answer) is None
    answer.came()
    assert account_row(answer) is None
    now[0] = 47.0
    answer.failed("the broker allows no more requests for 30 s (429)")
    row = account_row(answer)
    assert row is not None
    assert (row.state, row.value) == ("bad", "47 s old")
    assert "429" in row.detail


async def test_an_account_that_holds_shares_is_asked_more_often(sim: Simulator, tmp_path: Path) -> None:
    rest = rest_of(sim)

    async def none() -> list[Session]:
        return []

    journal = await JournalDb.open(tmp_path / "journal.db")
    watch = BrokerWatch(
        rest, MarketClock(rest.clock), journal, none, simulated=False, answered=lambda latency, skew: None
    )
    assert watch.account_pause_s == watch.money.period_s == 10.0
    account = await rest.account()
    watch.account = replace(account, equity=account.cash)
    assert watch.account_pause_s == 10.0
    watch.account = replace(account, equity=account.cash + Decimal("81.50"))
    assert watch.account_pause_s == 2.0
    await journal.close()
    await rest.close()


@asynccontextmanager
async def watching(sim: Simulator, journal: JournalDb) -> AsyncIterator[tuple[BrokerWatch, MarketClock]]:
    """A watch that asks as the engine has it ask, and its market clock."""
    rest = rest_of(sim)
    market = MarketClock(rest.clock)
    await market.refresh()

    async def calendar() -> list[Session]:
        today = market.now().astimezone(NEW_YORK).date()
        return await rest.calendar(today - timedelta(days=7), today + timedelta(days=7))

    watch = BrokerWatch(rest, market, journal, calendar, simulated=True, answered=lambda latency, skew: None)
    await watch.restore()

    async def every(period_s: float, ask: Callable[[], Awaitable[None]]) -> None:
        while True:
            await ask()
            await asyncio.sleep(period_s)

    tasks = [
        asyncio.create_task(every(watch.clock.period_s, watch.ask_clock)),
        asyncio.create_task(every(0.0, watch.ask_account)),
    ]
    try:
        yield watch, market
    finally:
        sim.clear_faults()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await watch.keep()
        await rest.close()


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(1200):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"did not come: {what}")


async def test_a_clock_that_does_not_answer_is_stale_long_before_its_request_ends(
    sim: Simulator, tmp_path: Path
) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")
    async with watching(sim, journal) as (watch, _):
        await until(lambda: watch.link.state == "live", "the first answer")
        assert watch.link.latency_ms is not None
        sim.fault("slow", method="GET", path="/v2/clock", seconds=6.0, times=1)
        await until(lambda: watch.link.state == "stale", "the age of the last answer tells")
        late = watch.link
        assert late.age_s is not None
        assert late.age_s >= LEAST_STALE_S
        assert late.latency_ms is None
        await until(lambda: watch.link.state == "live", "the answer came")
    await journal.close()


async def test_an_account_that_is_refused_keeps_its_figures_and_their_age_while_the_link_lives(
    sim: Simulator, tmp_path: Path
) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")
    async with watching(sim, journal) as (watch, _):
        await until(lambda: watch.account is not None and watch.link.state == "live", "the first answers")
        known = watch.account
        sim.fault("answer", method="GET", path="/v2/account", status=500, times=10_000)
        await until(lambda: watch.money.stale, "the account is old")
        assert watch.account is known
        assert watch.link.state == "live"
        await until(lambda: "500" in watch.money.problem, "why it is old")
        sim.clear_faults()
        await until(lambda: not watch.money.stale, "the account answers again")
        assert watch.money.problem == ""
    await journal.close()


async def test_the_days_low_is_known_again_after_a_restart(sim: Simulator, tmp_path: Path) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")
    async with watching(sim, journal) as (watch, market):
        day = market.now().astimezone(NEW_YORK).date()
        await until(lambda: watch.day_low(day)[0] is not None, "the first look")
    kept = await journal.get("day_low")
    await journal.put("day_low", {**kept, "percent": -0.75})
    async with watching(sim, journal) as (again, _):
        await until(lambda: again.account is not None and again.sessions, "the account after the restart")
        assert again.day_low(day)[0] == -0.75
    await journal.put("day_low", {"nonsense": 1})
    async with watching(sim, journal) as (anew, _):
        await until(lambda: anew.day_low(day)[0] is not None, "a kept low that cannot be read begins anew")
        assert anew.day_low(day)[0] != -0.75
    await journal.close()
