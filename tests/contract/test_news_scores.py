"""The stage whole: the simulator's news over the real client, cache, lexicon, a model over HTTP, journal."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from execution_rig import MARKET_DATE, rest_of

from engine.broker.alpaca_rest import AlpacaRest
from engine.journal import JournalDb
from engine.model import Panel, Session, profit_percentage
from engine.pipeline.engine_room import next_session
from engine.pipeline.news_outcomes import outcomes_at_hand, pp_of
from engine.pipeline.news_scores import news_scores, read_news, window_start
from engine.qual.lexicon import LABEL
from engine.qual.replay import replay, replay_all
from engine.records import Candidate
from engine.settings import Settings
from engine.simulator import Simulator
from engine.storage.stocks_data_db import StocksDataDb

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from chat_server import chat_server


@dataclass
class Clock:
    at: datetime

    def now(self) -> datetime:
        return self.at


@dataclass
class Room:
    """What the stage takes from the engine's room."""

    settings: Settings
    rest: AlpacaRest
    stocks: StocksDataDb
    journal: JournalDb
    clock: Clock
    sessions: list[Session]

    async def calendar(self) -> list[Session]:
        return self.sessions

    def with_model(self, url: str, **more: Any) -> Room:
        qual = {"provider": "openai", "model": "grader", "base_url": url} | more
        return Room(
            Settings.model_validate({"qual": qual}),
            self.rest,
            self.stocks,
            self.journal,
            self.clock,
            self.sessions,
        )


@pytest.fixture
async def room(sim: Simulator, tmp_path: Path) -> AsyncIterator[Room]:
    rest = rest_of(sim)
    stocks = await StocksDataDb.open(tmp_path / "stocks.db")
    journal = await JournalDb.open(tmp_path / "journal.db")
    now = (await rest.clock()).at
    sessions = await rest.calendar(MARKET_DATE.replace(day=2), MARKET_DATE.replace(day=30))
    yield Room(Settings(), rest, stocks, journal, Clock(now), sessions)
    await journal.close()
    await stocks.close()
    await rest.close()


async def shortlist(room: Room) -> tuple[list[Candidate], Session, Session]:
    assets = sorted(await room.rest.assets(), key=lambda a: a.symbol)[:20]
    closes = tuple(10.0 + i / 7 for i in range(21))
    rows = [Candidate(i + 1, a.symbol, a.name, 10.0, 0.9 - i / 40, {}, {}, closes) for i, a in enumerate(assets)]
    signal = next(s for s in room.sessions if s.day == MARKET_DATE)
    return rows, signal, next_session(room.sessions, signal.day)


async def test_without_a_model_the_lexicon_scores_and_is_recorded_once(room: Any) -> None:
    rows, signal, session = await shortlist(room)
    report = await news_scores(room, rows, signal, session)
    assert report.window == "3 sessions"
    assert {s.label for s in report.scores} == {LABEL}
    assert all(not s.prompts for s in report.scores)
    scored = [s for s in report.scores if s.score is not None]
    assert scored
    again = await news_scores(room, rows, signal, session)
    assert again.scores == report.scores
    records = await room.journal.qual_decisions()
    assert [(r.symbol, r.score, r.model) for r in records] == [(s.symbol, s.score, LABEL) for s in scored]
    assert [r.difference for r in replay_all(records)] == [""] * len(scored)
    forged = replace(records[0], score=-(records[0].score or 0.0) - 0.5)
    assert "recorded" in replay(forged).difference
    room.clock.at += timedelta(minutes=3)
    await news_scores(room, rows, signal, session)
    assert len(await room.journal.qual_decisions()) == len(records), (
        "the same news three minutes on is the same reading"
    )
    start = window_start(room.sessions, signal.day, 3)
    read = [a.article for found in report.articles.values() for a in found]
    assert all(start <= a.created_at <= room.clock.at for a in read)


async def test_a_model_votes_on_every_ticker_with_news_and_a_restart_asks_nothing(room: Any) -> None:
    rows, signal, session = await shortlist(room)
    async with chat_server() as server:
        asking = room.with_model(server.url)
        report = await news_scores(asking, rows, signal, session)
        with_news = [s for s in report.scores if report.articles[s.symbol]]
        assert len(server.bodies) == 4 * len(with_news)
        assert {s.label for s in report.scores} == {"grader"}
        assert all(s.score is not None and len(s.prompts) == 4 for s in with_news)
        again = await news_scores(asking, rows, signal, session)
        assert again.scores == report.scores
        assert len(server.bodies) == 4 * len(with_news)
    stored = await read_news(asking, report.scores, signal, "as before")
    assert (stored.scores, stored.label, stored.note) == (report.scores, "grader", "as before")
    assert stored.articles == report.articles


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_url": "https://models.example/v1"}, "its price is not set"),
        ({"prompts": "nowhere"}, "has no prompt files"),
    ],
)
async def test_a_model_that_cannot_be_asked_costs_the_scores_and_is_not_replaced_by_the_lexicon(
    room: Any, change: dict[str, str], words: str
) -> None:
    rows, signal, session = await shortlist(room)
    plain = await news_scores(room, rows, signal, session)
    report = await news_scores(room.with_model("http://127.0.0.1:1/v1", **change), rows, signal, session)
    assert words in report.note
    assert {(s.score, s.label) for s in report.scores} == {(None, "grader")}
    assert [s.veto for s in report.scores] == [s.veto for s in plain.scores]


async def test_outcomes_come_from_the_bars_of_the_traded_session(room: Any) -> None:
    rows, signal, session = await shortlist(room)
    report = await news_scores(room, rows, signal, session)
    scored = sorted(s.symbol for s in report.scores if s.score is not None)
    days = [s.day for s in room.sessions if s.day <= session.day][-3:]
    bars = np.tile(np.array([10.0, 10.4, 9.9, 10.1, 1e6]), (len(scored), 3, 1))
    bars[0, -1, 3] = np.nan
    panel = Panel(tuple(scored), tuple(days), bars)
    execution, model = room.settings.execution, room.settings.training.exit_model
    found = pp_of(panel, session.day, frozenset(scored), execution.bracket_table(), model)
    assert set(found) == set(scored[1:]), "a bar without a close is no outcome"
    expected = profit_percentage(bars[1:, -1], execution.bracket_table(), model)
    assert list(found.values()) == [int(v) for v in expected]
    assert pp_of(panel, days[0].replace(year=2020), frozenset(scored), execution.bracket_table(), model) == {}
    assert await outcomes_at_hand(room.journal, room.stocks, room.settings) == {}, "no bars are stored"
