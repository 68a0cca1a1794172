"""Sessions without an evening run: rebuilt from bars, equal to what that evening would have kept; judged alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from execution_rig import MARKET_DATE, rest_of

from engine.broker.alpaca_rest import AlpacaRest
from engine.compute import ComputeEngine, open_engine
from engine.daily.mp2_p3_executor import shortlist
from engine.data.daily_snapshot import daily_snapshot
from engine.events import Event, LedgerDayRebuilt, LedgerNotWritten
from engine.journal import JournalDb
from engine.ledger_log import LedgerDay
from engine.model import DAYS, WORDS, Mode, ParameterSet, Session
from engine.pipeline.advice import grade_of, kept_week_sessions, left_out, weeks_of
from engine.pipeline.ledger_days import judge_sessions, keep_candidates
from engine.pipeline.missed_sessions import count_sessions, make_good, missed_sessions
from engine.pipeline.selection_record import frozen_payload
from engine.records import FinalGroup, SearchOutcome, picks_bytes
from engine.settings import Settings
from engine.simulator import Simulator
from engine.storage.stocks_data_db import StocksDataDb

WEEK, THURSDAY = date(2026, 11, 13), date(2026, 11, 19)
FROZEN = datetime(2026, 11, 13, 23, tzinfo=UTC)
SESSIONS = [date(2026, 11, n) for n in (16, 17, 18, 19, 20)]
assert SESSIONS[-1] == MARKET_DATE


@dataclass
class Clock:
    """Market time; ``steps`` are added to it one a reading."""

    at: datetime
    steps: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        if self.steps:
            self.at += self.steps.pop(0)
        return self.at


@dataclass
class Bus:
    told: list[Event] = field(default_factory=list)

    def publish(self, event: Event) -> None:
        self.told.append(event)


@dataclass
class Room:
    """What the steps take from the engine's room."""

    settings: Settings
    rest: AlpacaRest
    stocks: StocksDataDb
    journal: JournalDb
    clock: Clock
    engine: ComputeEngine
    opens: datetime
    bus: Bus = field(default_factory=Bus)

    def compute(self) -> ComputeEngine:
        return self.engine

    async def calendar(self) -> list[Session]:
        return await self.rest.calendar(MARKET_DATE - timedelta(days=200), MARKET_DATE + timedelta(days=14))


@pytest.fixture
async def room(sim: Simulator, tmp_path: Path) -> AsyncIterator[Room]:
    rest = rest_of(sim)
    stocks = await StocksDataDb.open(tmp_path / "stocks.db")
    journal = await JournalDb.open(tmp_path / "journal.db")
    settings = Settings()
    engine = open_engine(
        "native", brackets=settings.execution.bracket_table(), exit_model=settings.training.exit_model
    )
    now = (await rest.clock()).at
    opens = (await rest.calendar(date(2026, 11, 23), date(2026, 11, 23)))[0].open
    yield Room(settings, rest, stocks, journal, Clock(now), engine, opens)
    await journal.close()
    await stocks.close()
    await rest.close()


def group(selected: int, *members: ParameterSet) -> FinalGroup:
    return FinalGroup(
        rank=selected, members=members, score=1.0, mean=0.7, deviation=0.2, day_means=(0.5, 0.6, 0.7, 0.8, 0.9),
        day_picks=(8, 9, 10, 11, 12), pp_mean=0.4, picks=picks_bytes(np.zeros((DAYS, WORDS), np.uint64)),
        leave_one_out=0.3, selection_score=0.25, standard_error=0.1, holdout_mean=0.05, holdout_error=0.08,
        holdout_picks=(11, 9, 14, 8, 10), p_value=0.01, selected=selected, verdict="",
    )  # fmt: skip


FIRST, SECOND = group(1, ParameterSet("ema", (5, 20, 1))), group(2, ParameterSet("rsi", (2, 55, 1)))
PAYLOAD = frozen_payload([FIRST, SECOND], SearchOutcome(WEEK, True, 0.0, 1, 1, 1.0, 60.0, 2), "weekend-1")


async def freeze(journal: JournalDb, at: datetime = FROZEN, source: str = "sim") -> None:
    await journal.freeze_selection(WEEK, PAYLOAD, market_at=at, source=source)


async def evening_of_thursday(room: Room) -> None:
    """What the weekday run of Thursday does for Friday's session."""
    now, settings = room.clock.at, room.settings
    sessions = await room.rest.calendar(THURSDAY, MARKET_DATE)
    room.clock.at = sessions[0].close + timedelta(minutes=30)
    await daily_snapshot(room.rest, room.stocks, settings.data, THURSDAY, room.clock.at, room.bus)
    day = await shortlist(
        FIRST, SECOND, room.stocks, room.engine, settings.daily, settings.execution.bracket_table(),
        settings.training.exit_model, room.bus,
    )  # fmt: skip
    await keep_candidates(room, day, MARKET_DATE, sessions[1].open)  # type: ignore[arg-type]
    room.clock.at = now


async def candidates(journal: JournalDb) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in await journal.rows(
            "SELECT session, selected, source, week, members, candidates, universe, reconstructed "
            "FROM ledger_candidates ORDER BY session, selected"
        )
    ]


async def test_a_reconstructed_day_equals_what_the_evenings_run_recorded_and_is_judged_the_same(
    room: Room, tmp_path: Path
) -> None:
    await freeze(room.journal)
    await evening_of_thursday(room)
    await judge_sessions(room, MARKET_DATE, room.opens)  # type: ignore[arg-type]
    recorded, judged = await candidates(room.journal), await room.journal.ledger_days()
    assert [row[:2] for row in recorded] == [("2026-11-20", 1), ("2026-11-20", 2)]
    assert all(day.candidates >= 2 for day in judged)  # so that their order is compared too

    journal = await JournalDb.open(tmp_path / "absent.db")  # of a machine that was off all week
    absent = replace(room, journal=journal, bus=Bus())
    await freeze(journal)
    stored = await room.stocks.dictionary()
    await make_good(absent, MARKET_DATE, room.opens)  # type: ignore[arg-type]
    rebuilt, days = await candidates(journal), await journal.ledger_days()
    assert [row[:7] for row in rebuilt if row[0] == "2026-11-20"] == [row[:7] for row in recorded]
    assert {row[7] for row in recorded} == {0}
    assert {row[7] for row in rebuilt} == {1}
    assert [replace(day, reconstructed=False) for day in days if day.session == MARKET_DATE] == judged
    assert {(day.session, day.selected) for day in days} == {(day, n) for day in SESSIONS for n in (1, 2)}
    assert all(day.reconstructed for day in days)
    assert len([e for e in absent.bus.told if isinstance(e, LedgerDayRebuilt)]) == 10
    assert [e.text for e in absent.bus.told if isinstance(e, LedgerNotWritten)] == []
    after = await room.stocks.dictionary()  # what tomorrow's list is made from is untouched
    assert (after[0], after[1].symbols) == (stored[0], stored[1].symbols)
    [entry] = [e for e in await journal.ledger() if e.selected == 1]
    assert entry.sessions == len([d for d in days if d.selected == 1 and d.candidates])
    await journal.close()


async def test_what_the_evening_recorded_stays_and_only_the_rest_is_made_good(room: Room) -> None:
    await freeze(room.journal)
    await evening_of_thursday(room)
    await make_good(room, MARKET_DATE, room.opens)  # type: ignore[arg-type]
    rows = await candidates(room.journal)
    assert {row[0]: row[7] for row in rows} == {day.isoformat(): int(day != MARKET_DATE) for day in SESSIONS}
    assert await missed_sessions(room, await room.calendar(), MARKET_DATE) == []  # type: ignore[arg-type]


async def test_near_the_open_it_ends_after_a_session_and_the_next_run_goes_on(room: Room) -> None:
    await freeze(room.journal)
    near = room.opens - room.clock.at - timedelta(minutes=10)
    room.clock.steps = [timedelta(0), timedelta(0), near]  # the entrance, the first session, the second
    await make_good(room, MARKET_DATE, room.opens)  # type: ignore[arg-type]
    begun = await candidates(room.journal)
    assert {row[0] for row in begun} == {"2026-11-16"}
    await make_good(room, MARKET_DATE, room.opens)  # type: ignore[arg-type]
    assert await candidates(room.journal) == begun  # still near the open
    room.clock.at -= timedelta(hours=5)
    await make_good(room, MARKET_DATE, room.opens)  # type: ignore[arg-type]
    rows = await candidates(room.journal)
    assert rows[: len(begun)] == begun
    assert {row[0] for row in rows} == {day.isoformat() for day in SESSIONS}


@pytest.mark.parametrize(
    ("frozen", "source", "owed"),
    [
        (datetime(2026, 11, 18, 17, tzinfo=UTC), "sim", SESSIONS[3:]),
        (FROZEN, "paper", []),
        (datetime(2026, 11, 21, tzinfo=UTC), "sim", []),
    ],
)
async def test_only_sessions_after_the_freeze_and_of_this_kind_of_broker_are_owed(
    room: Room, frozen: datetime, source: str, owed: list[date]
) -> None:
    await freeze(room.journal, frozen, source)
    missing = await missed_sessions(room, await room.calendar(), MARKET_DATE)  # type: ignore[arg-type]
    assert [m.session.day for m, _ in missing] == owed


async def test_a_week_counts_when_it_is_over_and_judged_on_every_session(room: Room) -> None:
    await freeze(room.journal)
    await room.journal.record_ledger_days([judged_day(session) for session in (*SESSIONS[:1], *SESSIONS[2:])])
    await count_sessions(room, SESSIONS[2], room.opens)  # type: ignore[arg-type]
    assert {(s.possible, s.over) for s in (await kept_week_sessions(room.journal, Mode.SIM)).values()} == {
        (3, False)
    }
    await count_sessions(room, MARKET_DATE, room.opens)  # type: ignore[arg-type]
    weeks = await weeks_of(room.journal, Mode.SIM)
    assert [(w.judged, w.missing, w.counts) for w in weeks] == [(4, 1, False)]
    assert grade_of(None, weeks, Mode.SIM).weeks == 0
    assert left_out(weeks) == "the week of 2026-11-13 does not count: 1 of its sessions not judged"
    await room.journal.record_ledger_days([judged_day(SESSIONS[1])])
    weeks = await weeks_of(room.journal, Mode.SIM)
    assert (grade_of(None, weeks, Mode.SIM).weeks, left_out(weeks)) == (1, "")


def judged_day(session: date) -> LedgerDay:
    return LedgerDay(
        session=session, selected=1, source="sim", week=WEEK, members="ema", universe=50, candidates=9, cost=0.2,
        pp_universe=0.0, tsh_universe=0.0, pp_excess=0.1, tsh_excess=0.1, traded=0, traded_pp_excess=None,
        traded_tsh_excess=None, traded_live_excess=None, pp_to_live_gap=None,
    )  # fmt: skip
