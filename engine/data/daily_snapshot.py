"""daily_snapshot: after the close, today's universe and its windows into ``dictionary_table``.

The universe is screened afresh on today's close; the bars go 22 sessions further back than
the window, because a candidate is ranked by what its group's firings earned over the last
21 sessions. Rerunnable: replaces the tables whole, or leaves the old ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter
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
        events.publish(Progress(stage=STAGE, done=len(parts), total=len(chunks), detail="chunks of symbols"))

    await for_each(range(len(chunks)), fetch)
    panel = joined([parts[number] for number in range(len(chunks))])
    complete = len(universe.candidates) - dropped[NO_COVERAGE] - dropped[UNUSABLE]
    if not panel.symbols:
        raise DataError(
            f"no ticker passes the screen on {session}: {universe.assets:,} listed, {len(universe.candidates):,} "
            f"common stock, {complete:,} with bars on all {SESSIONS} sessions. The last snapshot is unchanged; "
            "lower data.dollar_volume or widen data.price_low and data.price_high in tsh.toml"
        )
    await stocks.replace_companies(universe.names)
    await stocks.replace_dictionary(session, panel)
    return SnapshotReport(
        session=session,
        assets=universe.assets,
        candidates=len(universe.candidates),
        complete=complete,
        universe=len(panel.symbols),
        dropped={reason: count for reason, count in sorted(dropped.items()) if count},
        requests=len(chunks),
    )
