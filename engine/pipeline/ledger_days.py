"""The forward ledger's step of a weekday: keep tonight's candidates, judge the sessions that are over.

Candidates go into the journal before their session; after it, from the next weekday run on, the bars
of that session are asked for exactly those tickers that were the universe then. (The new
snapshot would not do: it holds only what still passes the screen, and a ticker that fell out
of it is often one that lost.) A session whose judging was missed is judged by the next run; one that
nobody kept candidates for is made good by ``missed_sessions``.

Nothing here may stop a trading run: a failure is journalled as a warning, and both steps
have a limit in wall time and stay away from the open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

import numpy as np

from engine.daily.forward_ledger import counted_sources, judged, live_results, week_entries
from engine.daily.mp2_p3_executor import ExecutorOutcome, GroupDay
from engine.data.bar_panels import checked_panel, joined
from engine.data.market_source import for_each
from engine.errors import DataError, OperatorError
from engine.events import LedgerDayJudged, LedgerNotWritten
from engine.ledger_log import LedgerCandidates, LedgerDay
from engine.model import CLOSE, VOLUME, Panel
from engine.pipeline.engine_room import EngineRoom
from engine.settings import Settings

# Until when either step may begin (market time before the open), and how long it may take (wall seconds).
KEEPS_BEFORE_OPEN, KEEP_LIMIT_S = timedelta(minutes=5), 20.0
JUDGES_BEFORE_OPEN, JUDGE_LIMIT_S = timedelta(minutes=15), 120.0
MISSED = timedelta(days=45)  # how far back a session is still judged
SYMBOLS_A_REQUEST = 200  # one bar each; the limit is the length of the address

log = logging.getLogger(__name__)


async def keep_candidates(room: EngineRoom, day: ExecutorOutcome, session: date, opens: datetime) -> None:
    """Records what both groups would buy at the open (``opens``) of ``session``, once; never raises."""
    what = f"has not taken the candidates for {session}"
    await beside_trading(room, opens - KEEPS_BEFORE_OPEN, KEEP_LIMIT_S, what, lambda: _keep(room, day, session))


async def judge_sessions(room: EngineRoom, last: date, opens: datetime) -> None:
    """Judges recorded sessions up to ``last`` (bars are final), brings the weeks up to date; never raises.

    ``opens``: the next open, near which it does not begin.
    """
    what = f"has not judged the sessions up to {last}"
    await beside_trading(room, opens - JUDGES_BEFORE_OPEN, JUDGE_LIMIT_S, what, lambda: judge_waiting(room, last))


async def beside_trading(
    room: EngineRoom, latest: datetime, limit_s: float, what: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Does ``work`` unless it is ``latest`` (market time); what goes wrong is a warning, never an error."""
    try:
        if room.clock.now() >= latest:
            log.info("the forward ledger %s: the open is near or over", what)
            return
        async with asyncio.timeout(limit_s):
            await work()
    except OperatorError as error:
        room.bus.publish(LedgerNotWritten(what=what, reason=str(error)))
    except TimeoutError:
        room.bus.publish(LedgerNotWritten(what=what, reason=f"it took more than {limit_s:.0f} s"))
    except Exception as error:  # whatever it is, a ledger must not stop a trading run
        log.exception("the forward ledger %s", what)
        room.bus.publish(LedgerNotWritten(what=what, reason=f"internal error: {error!r}"))


# --- before the session ------------------------------------------------------------------------


async def _keep(room: EngineRoom, day: ExecutorOutcome, session: date) -> None:
    source = room.settings.broker.mode.value
    groups = [(1, day.traded), *([(2, day.shadow)] if day.shadow else [])]
    kept = await room.journal.ledger_groups_recorded(session, source)
    if kept >= {selected for selected, _ in groups}:
        return
    selection = await room.journal.live_selection(session)
    if selection is None or selection.week >= session:
        return  # a group that was trained on this session says nothing about it
    stored, panel = await room.stocks.dictionary()
    if stored != day.traded.session:
        raise DataError(f"the stored bars end {stored}, the candidates were found on {day.traded.session}")
    for record in await asyncio.to_thread(
        candidate_records, room.settings, groups, panel, session, selection.week
    ):
        await room.journal.record_ledger_candidates(record)


def candidate_records(
    settings: Settings,
    groups: Sequence[tuple[int, GroupDay]],
    panel: Panel,
    session: date,
    week: date,
    *,
    reconstructed: bool = False,
) -> list[LedgerCandidates]:
    """What the ledger keeps of each group (1 trades, 2 shadow); ``panel`` ends the evening before ``session``."""
    recent = panel.bars[:, -settings.data.median_sessions :]
    medians = np.median(recent[:, :, CLOSE] * recent[:, :, VOLUME], axis=1)
    volumes = dict(zip(panel.symbols, medians.tolist(), strict=True))
    return [
        LedgerCandidates(
            session=session,
            selected=selected,
            source=settings.broker.mode.value,
            week=week,
            members=found.name,
            candidates=tuple((symbol, volumes[symbol]) for symbol in found.symbols[: settings.ledger.candidates]),
            universe=panel.symbols,
            reconstructed=reconstructed,
        )
        for selected, found in groups
    ]


# --- after the session -------------------------------------------------------------------------


async def judge_waiting(room: EngineRoom, last: date) -> None:
    """Judges what is recorded and not judged, up to ``last``; DataError names the sessions that could not be."""
    waiting: list[LedgerCandidates] = []
    for source in sorted(counted_sources(room.settings.broker.mode)):  # kept as paper, and the account is live now
        waiting += await room.journal.ledger_unjudged(source, last - MISSED, last)
    waiting.sort(key=lambda record: record.session)
    judged_now: list[LedgerDay] = []
    failed: list[str] = []
    for session, records in groupby(waiting, key=lambda record: record.session):
        try:
            judged_now += await _judge_session(room, session, list(records))
        except OperatorError as error:  # the others can still be judged; told together below
            failed.append(f"{session}: {error}")
    await _bring_weeks_up_to_date(room)
    for day in judged_now:
        room.bus.publish(
            LedgerDayJudged(
                session=day.session,
                selected=day.selected,
                candidates=day.candidates,
                pp_excess=day.pp_excess,
                tsh_excess=day.tsh_excess,
            )
        )
    if failed:
        raise DataError("; ".join(failed))


async def _judge_session(room: EngineRoom, session: date, records: list[LedgerCandidates]) -> list[LedgerDay]:
    settings = room.settings
    asked = {symbol for r in records for symbol in (*r.universe, *(name for name, _ in r.candidates))}
    bars = await _bars(room, sorted(asked), session)
    live = live_results(await room.journal.fills(session))
    days = [
        judged(
            record,
            bars,
            live if record.selected == 1 else {},
            settings.execution.bracket_table(),
            settings.training.exit_model,
            settings.ledger.cost_model(),
        )
        for record in records
    ]
    await room.journal.record_ledger_days(days)
    return days


async def _bars(room: EngineRoom, symbols: list[str], session: date) -> Panel:
    """The session's bars of those symbols that traded in it. DataError when the source does not have it."""
    feed = room.settings.data.history_feed
    chunks = [symbols[i : i + SYMBOLS_A_REQUEST] for i in range(0, len(symbols), SYMBOLS_A_REQUEST)]
    answers: dict[int, Panel] = {}

    async def fetch(number: int) -> None:
        bars = await room.rest.daily_bars(chunks[number], session, session, feed)
        answers[number] = checked_panel(chunks[number], (session,), bars).panel

    await for_each(range(len(chunks)), fetch)
    panel = joined(list(answers.values()))
    if 2 * len(panel.symbols) < len(symbols):
        raise DataError(f"the data source has bars of {len(panel.symbols):,} of {len(symbols):,} tickers")
    return panel


async def _bring_weeks_up_to_date(room: EngineRoom) -> None:
    """Derives every week from its days, so that a kill between day and week is made good by the next run."""
    known = {(e.week, e.selected, e.source): e for e in await room.journal.ledger()}
    for entry in week_entries(await room.journal.ledger_days()):
        if known.get((entry.week, entry.selected, entry.source)) != entry:
            await room.journal.record_ledger_entry(entry)
