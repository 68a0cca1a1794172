"""The ledger's step over the real client and journal: once, made good after a kill, never in trading's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from execution_rig import MARKET_DATE, rest_of

from engine.broker.alpaca_rest import AlpacaRest
from engine.daily.forward_ledger import judged
from engine.daily.mp2_p3_executor import ExecutorOutcome, GroupDay
from engine.data.daily_snapshot import daily_snapshot
from engine.events import Event, LedgerDayJudged, LedgerNotWritten
from engine.journal import JournalDb
from engine.ledger_log import LedgerCandidates
from engine.model import Panel
from engine.pipeline.ledger_days import judge_sessions, keep_candidates
from engine.settings import Settings
from engine.simulator import Simulator
from engine.simulator.synthetic import SyntheticMarket
from engine.storage.stocks_data_db import StocksDataDb

MARKET = SyntheticMarket(MARKET_DATE, seed=7, symbols=60)
WEEK, NEXT = date(2026, 11, 13), date(2026, 11, 23)
SUNDAY = date(2026, 11, 15)  # no data source has its bars
SYMBOLS = tuple(sorted(listing.symbol for listing in MARKET.listings))


@dataclass
class Clock:
    at: datetime

    def now(self) -> datetime:
        return self.at


@dataclass
class Bus:
    told: list[Event] = field(default_factory=list)

    def publish(self, event: Event) -> None:
        self.told.append(event)

    def warnings(self) -> list[str]:
        return [event.text for event in self.told if isinstance(event, LedgerNotWritten)]


@dataclass
class Room:
    """What the step takes from the engine's room."""

    settings: Settings
    rest: AlpacaRest
    stocks: StocksDataDb
    journal: JournalDb
    clock: Clock
    opens: datetime
    bus: Bus = field(default_factory=Bus)


@pytest.fixture
async def room(sim: Simulator, tmp_path: Path) -> AsyncIterator[Any]:
    rest = rest_of(sim)
    stocks = await StocksDataDb.open(tmp_path / "stocks.db")
    journal = await JournalDb.open(tmp_path / "journal.db")
    now = (await rest.clock()).at
    opens = (await rest.calendar(NEXT, NEXT))[0].open
    yield Room(Settings(), rest, stocks, journal, Clock(now), opens)
    await journal.close()
    await stocks.close()
    await rest.close()


def record(session: date, selected: int = 1) -> LedgerCandidates:
    return LedgerCandidates(session, selected, "sim", WEEK, "rsi", tuple((s, 6e6) for s in SYMBOLS[5:15]), SYMBOLS)


def bars_of(session: date) -> Panel:
    traded = [(s, bar) for s in SYMBOLS if (bar := MARKET.bar(s, session))]
    rows = np.array([[bar] for _, bar in traded], dtype=np.float64)
    return Panel(tuple(s for s, _ in traded), (session,), rows)


async def test_a_session_is_judged_from_the_markets_bars_and_a_second_time_changes_nothing(room: Any) -> None:
    for selected in (1, 2):
        await room.journal.record_ledger_candidates(record(MARKET_DATE, selected))
    await judge_sessions(room, MARKET_DATE, room.opens)
    settings = room.settings
    expected = [
        judged(
            record(MARKET_DATE, selected), bars_of(MARKET_DATE), {}, settings.execution.bracket_table(),
            settings.training.exit_model, settings.ledger.cost_model(),
        )
        for selected in (1, 2)
    ]  # fmt: skip
    assert expected[0].universe > 30
    assert await room.journal.ledger_days() == expected
    week = await room.journal.ledger()
    assert [(e.week, e.selected, e.source, e.sessions) for e in week] == [(WEEK, 1, "sim", 1), (WEEK, 2, "sim", 1)]
    assert [type(event) for event in room.bus.told] == [LedgerDayJudged, LedgerDayJudged]
    await judge_sessions(room, MARKET_DATE, room.opens)
    assert await room.journal.ledger_days() == expected
    assert await room.journal.ledger() == week
    assert len(room.bus.told) == 2


async def test_a_kill_between_the_day_and_its_week_is_made_good_by_the_next_run(room: Any) -> None:
    await room.journal.record_ledger_candidates(record(MARKET_DATE))
    await judge_sessions(room, MARKET_DATE, room.opens)
    whole = await room.journal.ledger()
    async with room.journal.transaction() as connection:
        await connection.execute("DELETE FROM forward_ledger")
    await judge_sessions(room, MARKET_DATE, room.opens)
    assert await room.journal.ledger() == whole != []


async def test_sessions_that_were_missed_are_judged_later_and_one_without_bars_is_told_and_not_counted(
    room: Any,
) -> None:
    missed = [date(2026, 11, 16), date(2026, 11, 18)]
    for session in (*missed, SUNDAY):
        await room.journal.record_ledger_candidates(record(session))
    await judge_sessions(room, MARKET_DATE, room.opens)
    assert [day.session for day in await room.journal.ledger_days()] == missed
    assert [entry.sessions for entry in await room.journal.ledger()] == [2]
    (warning,) = room.bus.warnings()
    assert "2026-11-15" in warning
    assert "trading is not concerned" in warning


async def test_another_modes_sessions_and_those_that_are_not_over_wait(room: Any) -> None:
    await room.journal.record_ledger_candidates(replace(record(MARKET_DATE), source="paper"))
    await room.journal.record_ledger_candidates(record(NEXT))
    await judge_sessions(room, MARKET_DATE, room.opens)
    assert await room.journal.ledger_days() == []
    assert room.bus.told == []


async def test_near_the_open_it_does_not_begin(room: Any) -> None:
    await room.journal.record_ledger_candidates(record(MARKET_DATE))
    room.clock.at = room.opens - timedelta(minutes=10)
    await judge_sessions(room, MARKET_DATE, room.opens)
    assert await room.journal.ledger_days() == []


async def test_no_failure_reaches_the_trading_run(room: Any) -> None:
    await room.journal.record_ledger_candidates(record(MARKET_DATE))
    await room.rest.close()
    await judge_sessions(room, MARKET_DATE, room.opens)
    await room.journal.close()
    await judge_sessions(room, MARKET_DATE, room.opens)
    await keep_candidates(room, outcome(SYMBOLS[:3]), NEXT, room.opens)
    assert len(room.bus.warnings()) == 3


# --- the candidates of the evening -------------------------------------------------------------


def outcome(symbols: tuple[str, ...], signal: date = MARKET_DATE) -> ExecutorOutcome:
    def found(name: str) -> GroupDay:
        unused: Any = None
        return GroupDay(unused, name, signal, 60, (), (), symbols, (), 0.0, 0.0, "", "")

    return ExecutorOutcome(found("rsi · mfi"), found("bb"))


async def test_both_groups_candidates_are_kept_once_with_the_universe_and_their_dollar_volumes(room: Any) -> None:
    await daily_snapshot(room.rest, room.stocks, room.settings.data, MARKET_DATE, room.clock.at, room.bus)
    _, panel = await room.stocks.dictionary()
    room.bus.told.clear()
    await room.journal.freeze_selection(MARKET_DATE, {})
    own = tuple(reversed(panel.symbols[:4]))
    await keep_candidates(room, outcome(own), NEXT, room.opens)
    await keep_candidates(room, outcome(panel.symbols[5:9]), NEXT, room.opens)
    first, second = await room.journal.ledger_unjudged("sim", NEXT, NEXT)
    assert (first.selected, first.members, second.selected, second.members) == (1, "rsi · mfi", 2, "bb")
    assert (first.week, first.universe) == (MARKET_DATE, panel.symbols)
    assert tuple(symbol for symbol, _ in first.candidates) == own
    for symbol, volume in first.candidates:
        before = MARKET.bars(symbol, date(2026, 10, 1), MARKET_DATE)[-20:]
        assert volume == pytest.approx(np.median([d.bar.close * d.bar.volume for d in before]))
    assert room.bus.told == []


async def test_what_was_kept_as_paper_is_judged_when_the_account_is_live_by_then(room: Any) -> None:
    await room.journal.record_ledger_candidates(replace(record(MARKET_DATE), source="paper"))
    room.settings = Settings.model_validate({"broker": {"mode": "live"}})
    await judge_sessions(room, MARKET_DATE, room.opens)
    assert [(day.session, day.source) for day in await room.journal.ledger_days()] == [(MARKET_DATE, "paper")]


async def test_at_most_a_hundred_candidates_are_kept(room: Any) -> None:
    await daily_snapshot(room.rest, room.stocks, room.settings.data, MARKET_DATE, room.clock.at, room.bus)
    _, panel = await room.stocks.dictionary()
    room.settings = Settings.model_validate({"ledger": {"candidates": 3}})
    await room.journal.freeze_selection(MARKET_DATE, {})
    await keep_candidates(room, outcome(panel.symbols), NEXT, room.opens)
    first, _ = await room.journal.ledger_unjudged("sim", NEXT, NEXT)
    assert tuple(symbol for symbol, _ in first.candidates) == panel.symbols[:3]
    assert Settings().ledger.candidates == 100


async def test_a_list_made_minutes_before_its_deadline_is_still_kept_but_nothing_after_it(room: Any) -> None:
    await daily_snapshot(room.rest, room.stocks, room.settings.data, MARKET_DATE, room.clock.at, room.bus)
    _, panel = await room.stocks.dictionary()
    await room.journal.freeze_selection(MARKET_DATE, {})
    room.clock.at = room.opens - timedelta(minutes=5)
    await keep_candidates(room, outcome(panel.symbols[:3]), NEXT, room.opens)
    assert await room.journal.ledger_groups_recorded(NEXT, "sim") == set()
    room.clock.at -= timedelta(minutes=2)
    await keep_candidates(room, outcome(panel.symbols[:3]), NEXT, room.opens)
    assert await room.journal.ledger_groups_recorded(NEXT, "sim") == {1, 2}


async def test_a_group_that_was_trained_on_the_session_is_not_judged_on_it(room: Any) -> None:
    await room.journal.freeze_selection(NEXT, {})
    await keep_candidates(room, outcome(SYMBOLS[:3]), NEXT, room.opens)
    assert await room.journal.ledger_unjudged("sim", NEXT, NEXT) == []
    assert room.bus.told == []


async def test_bars_of_another_evening_are_refused_with_a_warning(room: Any) -> None:
    await daily_snapshot(room.rest, room.stocks, room.settings.data, MARKET_DATE, room.clock.at, room.bus)
    await room.journal.freeze_selection(MARKET_DATE, {})
    other = date(2026, 11, 19)
    await keep_candidates(room, outcome(SYMBOLS[:3], signal=other), NEXT, room.opens)
    assert await room.journal.ledger_unjudged("sim", NEXT, NEXT) == []
    assert "2026-11-19" in room.bus.warnings()[0]
