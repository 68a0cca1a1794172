"""weekly_5d_data and daily_snapshot against the simulator with 6,000 symbols: wall seconds and bar requests.

Limits: the weekly data set in at most 30 s and 60 bar requests. Beside it, in the same run,
the seconds that storage alone takes for the same tables, and a second build from the stored
chunks. Run by hand: ``python tests/benchmarks/bench_weekly_data.py [--market FILE --date DAY]``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.data.bar_panels import bars_of
from engine.data.daily_snapshot import daily_snapshot
from engine.data.market_source import final_sessions, in_chunks
from engine.data.universe import sample_universe
from engine.data.weekly_5d_data import SESSIONS, weekly_5d_data
from engine.events import Event
from engine.settings import BrokerSettings, DataSettings
from engine.simulator import Simulator, start
from engine.storage.stocks_data_db import StocksDataDb

SECONDS, REQUESTS = 30.0, 60


class Silent:
    def publish(self, event: Event) -> None:
        """The benchmark prints its own lines."""


async def measure(simulator: Simulator, folder: Path) -> bool:
    settings = DataSettings()
    where = Endpoints.of_simulator(simulator.rest_url, simulator.trade_stream_url, simulator.price_stream_url)
    rest = AlpacaRest(BrokerSettings(), where, Credentials(simulator.key, simulator.secret))
    stocks = await StocksDataDb.open(folder / "stocks_data.db")
    now = (await rest.clock()).at
    sessions = await final_sessions(rest, now, SESSIONS, settings.settle_minutes)

    began = time.perf_counter()
    report = await weekly_5d_data(rest, stocks, settings, sessions, Silent())
    weekly, requests = time.perf_counter() - began, rest.bar_requests
    print(f"weekly_5d_data   {weekly:6.2f} s  {requests:3} bar requests  {report.summary}")

    began = time.perf_counter()
    await weekly_5d_data(rest, stocks, settings, sessions, Silent())
    print(f"  again          {time.perf_counter() - began:6.2f} s  {rest.bar_requests - requests:3} bar requests")

    panel = await stocks.history()
    bare = await StocksDataDb.open(folder / "storage_alone.db")
    began = time.perf_counter()
    await bare.begin_history("bench", panel.sessions)
    bars, size = bars_of(panel), len(in_chunks(panel.symbols, SESSIONS)[0]) * SESSIONS
    for chunk, first in enumerate(range(0, len(bars), size)):
        await bare.append_history(chunk, bars[first : first + size])
    await bare.replace_weekly_data(sample_universe(panel.symbols, settings.seed), seed=settings.seed)
    alone = time.perf_counter() - began
    rows = len(bars) + 5 * (len(panel.symbols) + 65_000)
    print(f"  storage alone  {alone:6.2f} s  {rows:,} rows; the week took {weekly / alone:.1f} times that")
    await bare.close()

    began = time.perf_counter()
    snapshot = await daily_snapshot(rest, stocks, settings, sessions[-1], now, Silent())
    print(f"daily_snapshot   {time.perf_counter() - began:6.2f} s  {snapshot.summary}")
    await stocks.close()
    await rest.close()
    return weekly <= SECONDS and requests <= REQUESTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market", default="synthetic")
    parser.add_argument("--date", type=date.fromisoformat, default=date(2026, 11, 20))
    parser.add_argument("--symbols", type=int, default=6000)
    chosen = parser.parse_args()
    market = chosen.market if chosen.market == "synthetic" else Path(chosen.market)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with start(market=market, date=chosen.date, symbols=chosen.symbols, folder=place) as simulator:
            kept = asyncio.run(measure(simulator, place))
    print("within the limits" if kept else f"NOT within {SECONDS:g} s and {REQUESTS} requests")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
