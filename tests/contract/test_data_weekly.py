"""weekly_5d_data and daily_snapshot against the simulator's own wire: what a real week needs, and kills."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.data.daily_snapshot import SESSIONS as SNAPSHOT_SESSIONS
from engine.data.daily_snapshot import daily_snapshot
from engine.data.market_source import final_sessions
from engine.data.weekly_5d_data import SESSIONS, WeeklyDataReport, weekly_5d_data
from engine.errors import DataError, RefusedError
from engine.events import Event, Progress
from engine.model import DAYS, LOOKBACK, TICKERS
from engine.settings import BrokerSettings, DataSettings
from engine.simulator import Simulator, start
from engine.storage.stocks_data_db import StocksDataDb

FRIDAY = date(2026, 11, 20)
SETTINGS = DataSettings()


class Heard:
    """Keeps what a stage publishes."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Large enough that 1,000 tickers are eligible and some are held out."""
    with start(date=FRIDAY, seed=7, symbols=2300, folder=tmp_path_factory.mktemp("market")) as simulator:
        yield simulator


def client(simulator: Simulator) -> AlpacaRest:
    where = Endpoints.of_simulator(simulator.rest_url, simulator.trade_stream_url, simulator.price_stream_url)
    return AlpacaRest(BrokerSettings(), where, Credentials(simulator.key, simulator.secret))


@pytest.fixture(scope="module")
def built(market: Simulator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WeeklyDataReport, Heard]:
    """A week built once: its database (copied by who changes it), its report and what was published."""
    path, heard = tmp_path_factory.mktemp("built") / "stocks_data.db", Heard()

    async def build() -> WeeklyDataReport:
        rest, stocks = client(market), await StocksDataDb.open(path)
        try:
            report = await weekly_5d_data(rest, stocks, SETTINGS, await week_of(rest), heard)
            assert rest.bar_requests == report.requests == -(-report.candidates // (10_000 // SESSIONS))
            return report
        finally:
            await stocks.close()
            await rest.close()

    return path, asyncio.run(build()), heard


@pytest.fixture
async def rest(market: Simulator) -> AsyncIterator[AlpacaRest]:
    opened = client(market)
    yield opened
    await opened.close()


@pytest.fixture
async def stocks(tmp_path: Path) -> AsyncIterator[StocksDataDb]:
    """An empty database."""
    opened = await StocksDataDb.open(tmp_path / "stocks_data.db")
    yield opened
    await opened.close()


@pytest.fixture
async def week(built: tuple[Path, WeeklyDataReport, Heard], tmp_path: Path) -> AsyncIterator[StocksDataDb]:
    """The built week, free to be changed."""
    shutil.copy(built[0], tmp_path / "week.db")
    opened = await StocksDataDb.open(tmp_path / "week.db")
    yield opened
    await opened.close()


async def week_of(rest: AlpacaRest) -> tuple[date, ...]:
    return await final_sessions(rest, (await rest.clock()).at, SESSIONS, SETTINGS.settle_minutes)


async def test_the_week_is_built_as_the_contract_says(
    rest: AlpacaRest, week: StocksDataDb, built: tuple[Path, WeeklyDataReport, Heard]
) -> None:
    sessions, stocks, (_, report, heard) = await week_of(rest), week, built
    assert sessions[-1] == FRIDAY

    assert report.sessions == await stocks.sessions() == sessions[LOOKBACK:]
    assert report.sampled == TICKERS
    assert TICKERS < report.eligible < report.complete < report.candidates < report.assets
    assert (
        report.candidates
        + sum(count for reason, count in report.dropped.items() if "screen" not in reason and "bar" not in reason)
        == report.assets
    )
    tickers, first = await stocks.day_windows(1)
    assert len(tickers) == len(set(tickers)) == TICKERS
    assert list(tickers) == sorted(tickers)
    for day in range(1, DAYS + 1):
        symbols, windows = await stocks.day_windows(day)
        assert symbols == tickers
        assert windows.shape == (TICKERS, 65, 5)
        assert np.isfinite(windows).all()
        assert (windows[:, :, 4] > 0).all(), "coverage means volume on every session"
        others, held = await stocks.holdout_windows(day)
        assert len(others) == report.eligible - TICKERS == len(held)
        assert not set(others) & set(tickers)
    signal, volume = first[:, 1, 3], first[:, 1:21, 3] * first[:, 1:21, 4]
    assert ((signal >= 2) & (signal <= 200)).all()
    assert (np.median(volume, axis=1) >= 1_000_000).all()

    sent = await rest.daily_bars([tickers[17]], sessions[0], sessions[-1], "sip")
    assert [[b.open, b.high, b.low, b.close, b.volume] for b in reversed(sent[:65])] == first[17].tolist()
    names = await stocks.companies()
    assert all(names[symbol] for symbol in tickers)
    progress = [e for e in heard.events if isinstance(e, Progress)]
    assert (progress[0].done, progress[-1].done) == (0, progress[-1].total)


async def test_a_finished_week_is_built_again_without_asking_for_bars(
    rest: AlpacaRest, week: StocksDataDb, built: tuple[Path, WeeklyDataReport, Heard]
) -> None:
    sessions, hashes, (_, once, _) = await week_of(rest), await week.table_hashes(), built
    again = await weekly_5d_data(rest, week, SETTINGS, sessions, Heard())
    assert again == replace(once, requests=0, resumed=once.requests)
    assert await week.table_hashes() == hashes
    other_seed = await weekly_5d_data(rest, week, SETTINGS.model_copy(update={"seed": 2}), sessions, Heard())
    assert rest.bar_requests == 0, "another sample needs no other bars"
    assert other_seed.eligible == once.eligible
    changed = await week.table_hashes()
    assert changed["history"] == hashes["history"]
    assert changed["ds_day1"] != hashes["ds_day1"]


_BUILDER = """
import asyncio, sys
from datetime import date
from pathlib import Path
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.settings import BrokerSettings, DataSettings
from engine.data.market_source import final_sessions
from engine.data.weekly_5d_data import SESSIONS, weekly_5d_data
from engine.storage.stocks_data_db import StocksDataDb

class Quiet:
    def publish(self, event):
        print(event.text, flush=True)

async def main(folder, url, key, secret):
    rest = AlpacaRest(BrokerSettings(), Endpoints(url, url, "", ""), Credentials(key, secret))
    stocks = await StocksDataDb.open(Path(folder) / "stocks_data.db")
    sessions = await final_sessions(rest, (await rest.clock()).at, SESSIONS, 20)
    await weekly_5d_data(rest, stocks, DataSettings(), sessions, Quiet())
    await stocks.close()
    await rest.close()

asyncio.run(main(*sys.argv[1:]))
print("done")
"""


def builder(market: Simulator, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _BUILDER, str(folder), market.rest_url, market.key, market.secret]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.slow
async def test_a_build_killed_again_and_again_ends_like_one_that_never_was(
    market: Simulator, week: StocksDataDb, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    random, kept = Random(20_261_120), []
    for _ in range(3):
        process = builder(market, folder)
        assert process.stdout is not None
        for _ in range(random.randint(2, 3)):  # the state it found, then a chunk or two of its own
            stored = (await asyncio.to_thread(process.stdout.readline)).decode().split()[1]
        kept.append(int(stored.split("/")[0]))
        await asyncio.sleep(random.uniform(0.0, 0.1))
        process.kill()
        await asyncio.to_thread(process.communicate)
    assert kept == sorted(set(kept)), "each went on where the one before was killed"
    last = builder(market, folder)
    out, _ = await asyncio.to_thread(last.communicate)
    assert out.endswith(b"done\n")
    resumed = await StocksDataDb.open(folder / "stocks_data.db")
    assert await resumed.table_hashes() == await week.table_hashes()
    await resumed.close()


async def test_too_few_eligible_tickers_are_told_step_by_step_and_the_old_week_stays(
    sim: Simulator, week: StocksDataDb
) -> None:
    before = await week.table_hashes()
    small = client(sim)
    with pytest.raises(DataError) as told:
        await weekly_5d_data(small, week, SETTINGS, await week_of(small), Heard())
    await small.close()
    sentence = str(told.value)
    for part in (
        "1,000 are needed",
        "listed",
        "common stock",
        "69 sessions",
        "2-200 dollars",
        "data.dollar_volume",
    ):
        assert part in sentence
    after = await week.table_hashes()
    assert {table for table in before if before[table] != after[table]} == {"history"}


async def test_the_snapshot_holds_today_s_universe_with_a_longer_lookback(
    rest: AlpacaRest, stocks: StocksDataDb
) -> None:
    now = (await rest.clock()).at
    report = await daily_snapshot(rest, stocks, SETTINGS, FRIDAY, now, Heard())
    session, panel = await stocks.dictionary()
    assert session == report.session == FRIDAY
    assert panel.bars.shape == (report.universe, SNAPSHOT_SESSIONS, 5)
    assert SNAPSHOT_SESSIONS == 64 + 22
    assert panel.sessions[-1] == FRIDAY
    close = panel.bars[:, -1, 3]
    assert ((close >= 2) & (close <= 200)).all()
    assert await stocks.row('SELECT COUNT(*), MAX("row") FROM dictionary_table') == (report.universe * 64, 64)
    hashes = await stocks.table_hashes()
    assert await daily_snapshot(rest, stocks, SETTINGS, FRIDAY, now, Heard()) == report
    assert await stocks.table_hashes() == hashes


async def test_a_session_that_is_not_final_is_refused_and_the_last_snapshot_stays(
    rest: AlpacaRest, stocks: StocksDataDb
) -> None:
    now = (await rest.clock()).at
    with pytest.raises(RefusedError, match="the bars of 2026-11-23 are not final"):
        await daily_snapshot(rest, stocks, SETTINGS, date(2026, 11, 23), now, Heard())
    early = now.replace(hour=21, minute=0, second=0, microsecond=0) + timedelta(minutes=19, seconds=59)
    with pytest.raises(RefusedError, match="the last session that closed 20 minutes ago is 2026-11-19"):
        await daily_snapshot(rest, stocks, SETTINGS, FRIDAY, early, Heard())
    with pytest.raises(DataError, match="daily_snapshot has not run"):
        await stocks.dictionary()
