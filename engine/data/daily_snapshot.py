"""daily_snapshot: after the close, today's universe and its windows into ``dictionary_table``.

The universe is screened afresh on today's close; the bars go 22 sessions further back than
the window, because a candidate is ranked by what its group's firings earned over the last
21 sessions. Rerunnable: replaces the tables whole, or leaves the old ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from engine.data.bar_panels import NO_COVERAGE, UNUSABLE, checked_panel, joined
from engine.data.market_source import MarketSource, final_sessions, for_each, in_chunks
from engine.data.universe import common_stock, screened
from engine.data.weekly_5d_data import screen_of
from engine.errors import DataError, RefusedError
from engine.events import EventSink, Progress
from engine.model import LOOKBACK, NEW_YORK, Panel
from engine.settings import DataSettings
from engine.storage.stocks_data_db import StocksDataDb

STAGE = "daily_snapshot"
SESSIONS = LOOKBACK + 22  # 21 sessions of past firings: each needs its own window and the bar after it


@dataclass(frozen=True, slots=True)
class SignalDay:
    """The universe as of one close, and what became of the others."""

    panel: Panel  # SESSIONS sessions up to and with the signal day
    names: dict[str, str]  # company by symbol, of all that were asked for
    assets: int
    candidates: int  # common stock
    dropped: dict[str, int]  # symbols by reason
    requests: int

    @property
    def complete(self) -> int:
        """Common stock with a good bar on all sessions."""
        return self.candidates - self.dropped.get(NO_COVERAGE, 0) - self.dropped.get(UNUSABLE, 0)


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What a snapshot holds; ``dropped`` counts symbols by reason."""

    session: date
    assets: int
    candidates: int
    complete: int  # with a good bar on all 86 sessions
    universe: int  # that pass the screen on today's close
    dropped: dict[str, int]
    requests: int

    @property
    def summary(self) -> str:
        return (
            f"{self.universe} tickers on the close of {self.session} ({self.assets} listed, "
            f"{self.candidates} common stock, {self.complete} complete); {self.requests} bar requests"
        )


async def signal_day(
    source: MarketSource, settings: DataSettings, sessions: Sequence[date], progress: Callable[[int, int], None]
) -> SignalDay:
    """The universe on the close of the last of ``sessions`` (SESSIONS of them, oldest first); stores nothing.

    ``progress(done, all)`` counts chunks of symbols. Of a day in the past it is the same but for what
    the source has changed since: its list of assets is today's, and bars are adjusted for later splits.
    Raises DataError when the bars must not be used or nothing passes the screen.
    """
    universe = common_stock(await source.assets())
    chunks = in_chunks(universe.candidates, SESSIONS)
    parts: dict[int, Panel] = {}
    dropped: Counter[str] = Counter(universe.dropped)

    async def fetch(number: int) -> None:
        bars = await source.daily_bars(chunks[number], sessions[0], sessions[-1], settings.history_feed)
        checked = await asyncio.to_thread(checked_panel, chunks[number], sessions, bars)
        parts[number], failed = screened(checked.panel, SESSIONS - 1, screen_of(settings))
        dropped.update(checked.dropped)
        dropped.update(failed)
        progress(len(parts), len(chunks))

    await for_each(range(len(chunks)), fetch)
    day = SignalDay(
        panel=joined([parts[number] for number in range(len(chunks))]),
        names=universe.names,
        assets=universe.assets,
        candidates=len(universe.candidates),
        dropped={reason: count for reason, count in sorted(dropped.items()) if count},
        requests=len(chunks),
    )
    if not day.panel.symbols:
        raise DataError(
            f"no ticker passes the screen on {sessions[-1]}: {day.assets:,} listed, {day.candidates:,} "
            f"common stock, {day.complete:,} with bars on all {SESSIONS} sessions. Nothing was stored; "
            "lower data.dollar_volume or widen data.price_low and data.price_high in tsh.toml"
        )
    return day


async def daily_snapshot(
    source: MarketSource,
    stocks: StocksDataDb,
    settings: DataSettings,
    session: date,
    now: datetime,
    events: EventSink,
) -> SnapshotReport:
    """Stores the universe as of the close of ``session``; ``now`` is market time.

    Raises RefusedError while the session's bars are not final, DataError when the bars must
    not be used or nothing passes the screen.
    """
    sessions = await final_sessions(source, now, SESSIONS, settings.settle_minutes)
    if sessions[-1] != session:
        raise RefusedError(
            f"the bars of {session} are not final at {now.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York: the last "
            f"session that closed {settings.settle_minutes} minutes ago is {sessions[-1]}. "
            "Run 'tshc weekday' again later"
        )
    found = await signal_day(
        source,
        settings,
        sessions,
        lambda done, total: events.publish(
            Progress(stage=STAGE, done=done, total=total, detail="chunks of symbols")
        ),
    )
    await stocks.replace_companies(found.names)
    await stocks.replace_dictionary(session, found.panel)
    return SnapshotReport(
        session=session,
        assets=found.assets,
        candidates=found.candidates,
        complete=found.complete,
        universe=len(found.panel.symbols),
        dropped=found.dropped,
        requests=found.requests,
    )
