"""A simulated week writes its own evidence: the forward ledger against a computation from the market itself.

Four weekdays follow a weekend: one traded and flattened, two rejected, one killed while its
list waited. What the journal then says of the three sessions that are over is computed again
in plain Python, from the bars that the simulator's market makes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from statistics import fmean, median, stdev
from typing import Any

import pytest

from app.engine_process import wait_until_stopped
from engine.brackets import DEFAULT_BRACKETS
from engine.home import Home
from engine.simulator.market import Bar
from engine.simulator.synthetic import SyntheticMarket

from .conftest import SMALL_MARKET, Tshc
from .kill_trials import kill_engine
from .test_weekdays import attached, begin_day, until

pytestmark = pytest.mark.slow

WEEK = date(2026, 11, 23)
SESSIONS = [date(2026, 11, 24), date(2026, 11, 25), date(2026, 11, 27)]  # over and judged
OPEN_SESSION = date(2026, 11, 30)  # found, not over
MARKET = SyntheticMarket(WEEK, seed=7, symbols=2400)
NEAR = 1e-4  # percent: levels are rounded to a hundredth of a cent, and halves of that are not decided alike


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tshc]:
    overrides = SMALL_MARKET | {"sim.date": WEEK.isoformat()}
    tshc = Tshc(Home(tmp_path_factory.mktemp("ledger") / "home"), overrides)
    tshc.json("weekend")
    asyncio.run(_four_days(tshc))
    yield tshc
    tshc.stop()


async def _four_days(tshc: Tshc) -> None:
    day = begin_day(tshc)
    async with attached(tshc) as client:
        await until(lambda: client.state.shortlist.state == "pending")
        waiting = client.state.shortlist
        what = {"session": str(waiting.session), "list_hash": waiting.list_hash}
        assert (await client.command("approve", what)).accepted
        await until(lambda: {s.stage: s.state for s in client.state.overview.stages}.get("real_trader") == "done")
        assert (await client.command("flatten")).accepted
        await until(lambda: client.state.flatten.state == "flat")
        assert (await client.command("unlatch")).accepted
    assert await asyncio.to_thread(day.wait, 240) == 0
    for killed in (False, True, False):
        await _rejected_day(tshc, killed=killed)


async def _rejected_day(tshc: Tshc, *, killed: bool) -> None:
    day = begin_day(tshc)
    if killed:
        async with attached(tshc) as client:
            await until(lambda: client.state.shortlist.state == "pending")
        assert kill_engine(tshc)
        day.kill()
        day.wait()
        wait_until_stopped(tshc.home, 60)
        assert tshc.run("engine", "start").returncode == 0
    async with attached(tshc) as client:
        await until(lambda: client.state.shortlist.state == "pending")
        waiting = client.state.shortlist
        what = {"session": str(waiting.session), "list_hash": waiting.list_hash}
        assert (await client.command("reject", what)).accepted
        await until(lambda: not client.state.overview.stages or client.state.shortlist.state == "rejected")
    if not killed:
        assert await asyncio.to_thread(day.wait, 180) == 3
    for _ in range(1200):
        if tshc.rows(tshc.home.journal, "SELECT COUNT(*) FROM runs WHERE state = 'running'") == [(0,)]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the day did not end: " + tshc.log())


# --- the independent computation ---------------------------------------------------------------


def traded_bar(symbol: str, session: date) -> Bar | None:
    return MARKET.bar(symbol, session)


def pp(bar: Bar) -> float:
    target = bar.open * (1 + DEFAULT_BRACKETS.at(bar.open).target_pct / 100)
    return 100 * ((target if bar.high >= target else bar.close) / bar.open - 1)


def worst(bar: Bar) -> float:
    """The least of the exits that are possible, told apart one by one."""
    own = DEFAULT_BRACKETS.at(bar.open)

    def level(price: float, percent: float) -> float:
        return round(price * (1 + percent / 100), 4)  # a level is kept to a hundredth of a cent

    stop, arm = level(bar.open, -own.protective_pct), level(bar.open, own.arm_pct)
    target = level(bar.open, own.target_pct)
    if bar.low <= stop:
        leaves = stop
    elif bar.high < arm:
        leaves = bar.close
    elif level(min(bar.high, target), -own.trail_pct) >= bar.low:
        leaves = max(level(arm, -own.trail_pct), bar.low)
    else:
        leaves = target if bar.high >= target else bar.close
    return 100 * (leaves / bar.open - 1)


def round_trip(symbol: str, session: date, price: float) -> float:
    before = [d for d in MARKET.bars(symbol, date(2026, 9, 1), session) if d.day < session][-20:]
    volume = median(d.bar.close * d.bar.volume for d in before)
    side = 0.05 if volume >= 20e6 else 0.10 if volume >= 5e6 else 0.20
    return 2 * (side + (0.10 if price < 5 else 0.05 if price < 10 else 0.0))


def expected_day(candidates: list[str], universe: list[str], session: date) -> tuple[float, float]:
    """Net excess of the candidates by PP and by the worst TSH path, percent."""
    whole = [bar for symbol in universe if (bar := traded_bar(symbol, session))]
    own = [(symbol, bar) for symbol in candidates if (bar := traded_bar(symbol, session))]
    costs = fmean(round_trip(symbol, session, bar.open) for symbol, bar in own)
    return (
        fmean(pp(bar) for _, bar in own) - costs - fmean(map(pp, whole)),
        fmean(worst(bar) for _, bar in own) - costs - fmean(map(worst, whole)),
    )


def recorded(tshc: Tshc) -> dict[tuple[str, int], tuple[list[str], list[str]]]:
    rows = tshc.rows(tshc.home.journal, "SELECT session, selected, candidates, universe FROM ledger_candidates")
    return {(r[0], r[1]): ([name for name, _ in json.loads(r[2])], json.loads(r[3])) for r in rows}


def expected_days(tshc: Tshc, selected: int) -> list[tuple[float, float]]:
    found = recorded(tshc)
    days = [(d, *found[d.isoformat(), selected]) for d in SESSIONS if (d.isoformat(), selected) in found]
    return [expected_day(own, universe, day) for day, own, universe in days if own]


# --- what the journal says ---------------------------------------------------------------------


def test_what_is_judged_was_recorded_before_its_session_as_the_executor_found_it(week: Tshc) -> None:
    told: dict[tuple[str, int], list[str]] = {}
    for (data,) in week.rows(week.home.journal, "SELECT data FROM events WHERE kind = 'candidates_recorded'"):
        event: dict[str, Any] = json.loads(data)
        told[event["session"], event["selected"]] = event["symbols"][:100]
    kept = recorded(week)
    assert {key: own for key, (own, _) in kept.items()} == told
    assert {session for session, _ in kept} == {d.isoformat() for d in [*SESSIONS, OPEN_SESSION]}
    counts = week.rows(
        week.home.journal, "SELECT progress FROM stage_runs WHERE stage = 'daily_snapshot' ORDER BY rowid"
    )
    universes = [json.loads(progress)["counts"]["universe"] for (progress,) in counts]
    assert [len(kept[d.isoformat(), 1][1]) for d in [*SESSIONS, OPEN_SESSION]] == universes


def test_each_session_that_is_over_is_judged_once_and_equals_the_markets_own_bars(week: Tshc) -> None:
    days = week.rows(
        week.home.journal,
        "SELECT session, selected, source, week, candidates, universe, pp_excess, tsh_excess FROM ledger_days",
    )
    found = recorded(week)
    assert {day[:2] for day in days} == {key for key in found if key[0] != OPEN_SESSION.isoformat()}
    assert {day[2:4] for day in days} == {("sim", WEEK.isoformat())}
    assert sum(day[4] for day in days) > 0
    for session, selected, _, _, candidates, universe, pp_excess, tsh_excess in days:
        own, whole = found[session, selected]
        day = date.fromisoformat(session)
        assert candidates == sum(traded_bar(symbol, day) is not None for symbol in own)
        assert universe == sum(traded_bar(symbol, day) is not None for symbol in whole)
        if candidates:
            assert (pp_excess, tsh_excess) == pytest.approx(expected_day(own, whole, day), abs=NEAR)


def test_the_weeks_entry_is_the_mean_of_its_days_with_their_standard_error(week: Tshc) -> None:
    entries = week.rows(
        week.home.journal,
        "SELECT week, selected, source, sessions, pp_excess, pp_error, tsh_excess, tsh_error FROM forward_ledger",
    )
    assert {entry[1] for entry in entries} >= {1}
    for day5, selected, source, sessions, pp_excess, pp_error, tsh_excess, tsh_error in entries:
        days = expected_days(week, selected)
        assert (day5, source, sessions) == (WEEK.isoformat(), "sim", len(days))
        for k, (mean, error) in enumerate(((pp_excess, pp_error), (tsh_excess, tsh_error))):
            values = [day[k] for day in days]
            assert mean == pytest.approx(fmean(values), abs=NEAR)
            assert error == pytest.approx(stdev(values) / len(values) ** 0.5, abs=NEAR)


def test_the_traded_names_stand_beside_with_what_their_fills_brought(week: Tshc) -> None:
    session = SESSIONS[0].isoformat()
    fills = week.rows(
        week.home.journal,
        "SELECT f.symbol, f.side, f.shares, f.price FROM fills f JOIN intents i USING (client_order_id) "
        f"WHERE i.session = '{session}'",
    )
    cost, back = ({s: 0.0 for s, *_ in fills} for _ in range(2))
    for symbol, side, shares, price in fills:
        (cost if side == "buy" else back)[symbol] += shares * float(price)
    results = {symbol: 100 * (back[symbol] / cost[symbol] - 1) for symbol in cost}
    assert results
    _, universe = recorded(week)[session, 1]
    mean = fmean(pp(bar) for symbol in universe if (bar := traded_bar(symbol, SESSIONS[0])))
    traded, live, own_pp, gap = week.rows(
        week.home.journal,
        "SELECT traded, traded_live_excess, traded_pp_excess, pp_to_live_gap FROM ledger_days "
        f"WHERE session = '{session}' AND selected = 1",
    )[0]
    assert traded == len(results)
    assert live == pytest.approx(fmean(results.values()) - mean, abs=NEAR)
    assert gap == pytest.approx(live - own_pp, abs=NEAR)
    shadow = week.rows(week.home.journal, "SELECT traded FROM ledger_days WHERE selected = 2")
    assert {row[0] for row in shadow} <= {0}


async def test_the_screens_count_the_week(week: Tshc) -> None:
    async with attached(week) as client:
        await until(lambda: bool(client.state.overview.forward), 20)
        forward, evidence = client.state.overview.forward, client.state.overview.evidence
    assert (forward[0].week, forward[0].group, forward[0].source) == (WEEK, "A", "sim")
    assert (forward[0].sessions, forward[0].possible) == (len(SESSIONS), len(SESSIONS))
    assert "grade" in evidence[0]
    assert "ledger 0 of 12 weeks" in evidence[0]  # the week is not over: it does not count as one yet


def test_nothing_had_to_be_made_good_where_every_evening_was_worked_off(week: Tshc) -> None:
    rows = week.rows(week.home.journal, "SELECT DISTINCT reconstructed FROM ledger_candidates")
    assert rows == [(0,)]


def test_nothing_was_warned_of(week: Tshc) -> None:
    assert week.rows(week.home.journal, "SELECT text FROM events WHERE kind = 'ledger_not_written'") == []
