"""weekly_5d_data: the week's bars, from the asset list to ``dict_day1..5`` and ``ds_day1..5``.

Rerunnable and resumable: each chunk of symbols is checked, screened and stored in one
transaction, so a killed build asks only for the chunks it does not have, and ends with the
same tables as one that was never killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from engine.data.bar_panels import NO_COVERAGE, UNUSABLE, bars_of, checked_panel
from engine.data.market_source import MarketSource, for_each, in_chunks
from engine.data.universe import Screen, Universe, common_stock, sample_universe, screened
from engine.errors import DataError
from engine.events import EventSink, Progress
from engine.model import DAYS, LOOKBACK, TICKERS
from engine.settings import DataSettings
from engine.storage.stocks_data_db import StocksDataDb

STAGE = "weekly_5d_data"
SESSIONS = LOOKBACK + DAYS  # 64 bars up to day1's signal bar, and the five days
_SCREEN_AT = LOOKBACK - 1  # the day before day1
_RULES = 1  # raised when the rules of what is stored change: an older half-built history is then not resumed


@dataclass(frozen=True, slots=True)
class WeeklyDataReport:
    """What a build did; ``dropped`` counts symbols by reason, over listing, coverage and screen."""

    sessions: tuple[date, ...]  # the five training sessions
    assets: int
    candidates: int  # common stock by listing, symbol and name
    complete: int  # with a good bar on all 69 sessions
    eligible: int  # that pass the screen
    sampled: int
    dropped: dict[str, int]
    requests: int  # for bars, by this call
    resumed: int  # chunks that an earlier call had stored

    @property
    def summary(self) -> str:
        again = f", {self.resumed} chunks kept from before" if self.resumed else ""
        return (
            f"{self.sampled} of {self.eligible} eligible tickers for {self.sessions[0]}..{self.sessions[-1]} "
            f"({self.assets} listed, {self.candidates} common stock, {self.complete} complete); "
            f"{self.requests} bar requests{again}"
        )


def screen_of(settings: DataSettings) -> Screen:
    return Screen(settings.price_low, settings.price_high, settings.dollar_volume, settings.median_sessions)


def build_key(candidates: Sequence[str], sessions: Sequence[date], settings: DataSettings) -> str:
    """Names everything the history depends on: the same key means that a half-built one may go on."""
    content = {
        "rules": _RULES,
        "sessions": [day.isoformat() for day in sessions],
        "symbols": list(candidates),
        "feed": settings.history_feed,
        "screen": [settings.price_low, settings.price_high, settings.dollar_volume, settings.median_sessions],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


async def weekly_5d_data(
    source: MarketSource,
    stocks: StocksDataDb,
    settings: DataSettings,
    sessions: Sequence[date],
    events: EventSink,
) -> WeeklyDataReport:
    """Builds the week's tables for ``sessions``: the 69 of ``market_source.final_sessions``, oldest first.

    Raises DataError when the bars must not be used (a session that is not complete, a source
    that sends nonsense) or when fewer than 1,000 tickers are eligible; both say what to do.
    """
    if len(sessions) != SESSIONS:
        raise ValueError(f"weekly_5d_data needs {SESSIONS} sessions, not {len(sessions)}")
    universe = common_stock(await source.assets())
    chunks = in_chunks(universe.candidates, SESSIONS)
    screen = screen_of(settings)
    stored = await stocks.begin_history(build_key(universe.candidates, sessions, settings), sessions)
    done = len(stored)

    def show() -> None:
        events.publish(Progress(stage=STAGE, done=done, total=len(chunks), detail="chunks of symbols"))

    async def build(number: int) -> None:
        nonlocal done
        symbols = chunks[number]
        bars = await source.daily_bars(symbols, sessions[0], sessions[-1], settings.history_feed)
        checked = await asyncio.to_thread(checked_panel, symbols, sessions, bars)
        passing, failed = screened(checked.panel, _SCREEN_AT, screen)
        rows = await asyncio.to_thread(bars_of, passing)
        await stocks.append_history(number, rows, dropped={**checked.dropped, **failed})
        done += 1
        show()

    show()
    todo = [number for number in range(len(chunks)) if number not in stored]
    await for_each(todo, build)

    eligible = (await stocks.history()).symbols
    later = await stocks.history_dropped()
    complete = len(universe.candidates) - later.get(NO_COVERAGE, 0) - later.get(UNUSABLE, 0)
    if len(eligible) < TICKERS:
        raise _too_few(universe, complete, len(eligible), settings, sessions)
    sample = sample_universe(eligible, settings.seed)
    await stocks.replace_companies(universe.names)
    await stocks.replace_weekly_data(sample, seed=settings.seed)
    return WeeklyDataReport(
        sessions=tuple(sessions[LOOKBACK:]),
        assets=universe.assets,
        candidates=len(universe.candidates),
        complete=complete,
        eligible=len(eligible),
        sampled=len(sample),
        dropped=dict(sorted((Counter(universe.dropped) + Counter(later)).items())),
        requests=len(todo),
        resumed=len(stored),
    )


def _too_few(
    universe: Universe, complete: int, eligible: int, settings: DataSettings, sessions: Sequence[date]
) -> DataError:
    return DataError(
        f"only {eligible:,} tickers are eligible for the week ending {sessions[-1]}, {TICKERS:,} are needed: "
        f"{universe.assets:,} listed, {len(universe.candidates):,} common stock, {complete:,} with bars on all "
        f"{SESSIONS} sessions, {eligible:,} within {settings.price_low:g}-{settings.price_high:g} dollars and "
        f"{settings.dollar_volume:,.0f} dollars a day on {sessions[_SCREEN_AT]}. "
        "dict_day1..5 and ds_day1..5 are unchanged. Lower data.dollar_volume or widen data.price_low and "
        "data.price_high in tsh.toml; on the embedded market raise sim.symbols (6000), with a market file "
        "choose a date with more listings"
    )
