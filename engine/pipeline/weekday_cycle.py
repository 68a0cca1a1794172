"""The weekday: snapshot after the close, the chosen group, the news, one person's yes, the open, the exits.

daily_snapshot -> mp2_p3_executor -> qual_scoring -> approval -> real_trader ->
tsh_trade_management until flat. Signals come from the last final session, trades happen in
the next one. A restarted engine goes on where the run stood: a list that was proposed or
approved keeps its hash, and positions are managed from the first second.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from engine.broker.errors import BrokerError
from engine.compute import close_engine
from engine.daily.mp2_p3_executor import ExecutorOutcome, shortlist
from engine.daily.trade_list import TradeList, build
from engine.data.daily_snapshot import daily_snapshot
from engine.errors import OperatorError, RefusedError
from engine.events import CandidatesRecorded, DayClosed, RunFinished
from engine.model import NEW_YORK, Session
from engine.pipeline.approval import ApprovalDesk
from engine.pipeline.engine_room import EngineRoom, next_session
from engine.pipeline.ledger_days import judge_sessions, keep_candidates
from engine.pipeline.missed_sessions import count_sessions, make_good
from engine.pipeline.news_outcomes import record_outcomes
from engine.pipeline.news_scores import news_scores, read_news, sectors_of
from engine.pipeline.runs import RunBook, Stage, open_run
from engine.pipeline.selection_record import FrozenSelection, read_frozen
from engine.pipeline.shortlist_view import shortlist_view
from engine.qual.combination import Combination, combine
from engine.run_log import Run

STAGES = (
    "daily_snapshot",
    "mp2_p3_executor",
    "qual_scoring",
    "approval",
    "real_trader",
    "tsh_trade_management",
)
CENT, CENT4 = Decimal("0.01"), Decimal("0.0001")
OPEN_LEAD = timedelta(seconds=30)  # market time at which entries are prepared before the open


@dataclass(frozen=True, slots=True)
class WeekdayDates:
    """The session whose close gives the signals, and the next one, which is traded."""

    signal: Session
    session: Session

    def at(self, clock: time) -> datetime:
        """A New York time of the traded session as UTC."""
        return datetime.combine(self.session.day, clock, NEW_YORK).astimezone(self.session.open.tzinfo)


class WeekdayCycle:
    """Runs one weekday at a time."""

    def __init__(self, room: EngineRoom, approvals: ApprovalDesk) -> None:
        self._room, self._approvals = room, approvals

    async def dates(self) -> WeekdayDates:
        """Which close to wait for. Of an unfinished run its own; else the next one not yet worked off."""
        room = self._room
        calendar = await room.calendar()
        unfinished = await self._unfinished(calendar)
        if unfinished is not None:
            return unfinished
        now, execution = room.clock.now(), room.settings.execution
        last = await room.journal.last_run("weekday")
        worked_off = date.fromisoformat(last.payload["signal"]) if last is not None else date.min
        for signal in calendar:
            if signal.day <= worked_off:
                continue
            dates = WeekdayDates(signal, next_session(calendar, signal.day))
            if now < dates.at(execution.approval_deadline):
                return dates
        raise RefusedError("the broker's calendar has no further session; try again tomorrow")

    async def _unfinished(self, calendar: list[Session]) -> WeekdayDates | None:
        """The dates of the run that an earlier life of the engine, or a failure, left behind.

        One whose session is over and that bought nothing in it has nothing left to do: it is closed, or it would
        stand in the way of every later day. The same holds for one that is older than the calendar: what it may
        have bought is managed by the desk, which needs no run.
        """
        room = self._room
        run = await room.journal.unfinished_run("weekday")
        if run is None:
            return None
        days = {session.day: session for session in calendar}
        signal = days.get(date.fromisoformat(run.payload["signal"]))
        if signal is not None:
            dates = WeekdayDates(signal, next_session(calendar, signal.day))
            if room.clock.now() < dates.session.close or room.desk.bought_in(dates.session.day):
                return dates
        await self._close_missed(run)
        return None

    async def _close_missed(self, run: Run) -> None:
        session = run.payload["session"]
        summary = f"no trade on {session}: the session is over and nothing was bought in it"
        await self._room.journal.finish_run(run.run, "abandoned", summary)
        self._room.bus.publish(
            RunFinished(run=run.run, run_kind="weekday", outcome="abandoned", seconds=0.0, summary=summary)
        )

    async def resume(self) -> tuple[str, str]:
        """Goes on with the run that an earlier life of the engine left behind; begins none of its own."""
        if await self._unfinished(await self._room.calendar()) is None:
            return "abandoned", "nothing to resume"
        return await self.run()

    async def run(self) -> tuple[str, str]:
        """The whole weekday; (outcome, summary).

        Raises OperatorError when a stage fails; the run can be resumed until its session is over.
        """
        room = self._room
        dates = await self.dates()
        selection = await self.selection(dates.session.day)
        payload = {"signal": dates.signal.day.isoformat(), "session": dates.session.day.isoformat()}
        run, resumed = await open_run(room, "weekday", payload, replace=False)
        book = RunBook(room, run, STAGES, resumed=resumed)
        book.start()
        try:
            outcome, summary = await self._stages(book, dates, selection)
        except asyncio.CancelledError:
            await book.finish("stopped", "the engine was stopped; 'tshc weekday' resumes the run")
            raise
        except Exception as error:
            words = str(error) or type(error).__name__
            await book.finish("failed", words)
            if room.clock.now() >= dates.session.close:
                # A repeat could only tell of the day; failing again and again it would block those that come.
                await room.journal.finish_run(run.run, "failed", words)
            raise
        await book.finish(outcome, summary)
        return outcome, summary

    async def selection(self, session: date) -> FrozenSelection:
        found = await self._room.journal.live_selection(session)
        if found is None:
            last = await self._room.journal.unfinished_run("weekend")
            why = f" (the run {last.run} is unfinished; 'tshc weekend' resumes it)" if last else ""
            raise RefusedError(f"no group is selected for the session of {session}: run 'tshc weekend' first{why}")
        return read_frozen(found.payload)

    async def _stages(self, book: RunBook, dates: WeekdayDates, selection: FrozenSelection) -> tuple[str, str]:
        room = self._room
        settled = dates.signal.close + timedelta(minutes=room.settings.data.settle_minutes)
        await room.pace.until(settled)
        async with book.stage("daily_snapshot", dates.signal.day.isoformat()) as stage:
            if not stage.skipped:
                await self._snapshot(book, stage, dates)
        await judge_sessions(room, dates.signal.day, dates.session.open)
        await count_sessions(room, dates.signal.day, dates.session.open)
        await room.kernels_ready()
        names = await room.stocks.companies()
        async with book.stage("mp2_p3_executor", "always") as stage:
            day = await self._shortlist(selection, names)
            traded = day.traded
            stage.summary = f"{traded.candidates} candidates of {traded.universe:,}: {traded.name}" + (
                f"; {traded.reason}" if traded.reason else ""
            )
            stage.counts = {
                "universe": traded.universe,
                "candidates": traded.candidates,
                "shortlist": len(traded.ranked),
                "vetoed": len(traded.vetoed),
                "shadow": day.shadow.candidates if day.shadow else 0,
            }
            for selected, found in ((1, day.traded), (2, day.shadow)):
                if found is not None and not stage.skipped:
                    room.bus.publish(
                        CandidatesRecorded(
                            session=dates.session.day, selected=selected, group=found.name, symbols=found.symbols
                        )
                    )
        await keep_candidates(room, day, dates.session.day, dates.session.open)
        missed = asyncio.create_task(make_good(room, dates.signal.day, dates.session.open), name="missed sessions")
        try:
            return await self._listed(book, dates, day, missed)
        finally:
            await _ended(missed)

    async def _listed(
        self, book: RunBook, dates: WeekdayDates, day: ExecutorOutcome, missed: asyncio.Task[None]
    ) -> tuple[str, str]:
        """From the shortlist to the end of the day; ``missed`` works beside it, at most until the entries."""
        room = self._room
        await room.pace.evening(missed)
        async with book.stage("qual_scoring", dates.session.day.isoformat()) as stage:
            trade_list, combination = await self._trade_list(stage, day, dates)
        if not trade_list.picks:
            await missed
            summary = f"NO_CANDIDATES for {trade_list.session}: {trade_list.reason}"
            return "done", summary
        async with book.stage("approval", dates.session.day.isoformat()) as stage:
            deadline = dates.at(room.settings.execution.approval_deadline)
            outcome, trade_list, by = await self._approvals.decide(trade_list, combination, deadline)
            stage.summary = f"{outcome} by {by}: list {trade_list.short_hash}"
        if outcome != "approved":
            await missed
            return "refused", f"no trade on {trade_list.session}: the list was not approved ({outcome})"
        return await self._trade(book, dates, day, trade_list, missed)

    async def _snapshot(self, book: RunBook, stage: Stage, dates: WeekdayDates) -> None:
        room = self._room
        report = await daily_snapshot(
            room.rest, room.stocks, room.settings.data, dates.signal.day, room.clock.now(), book.sink(stage)
        )
        stage.summary = report.summary
        stage.counts = {
            "listed": report.assets,
            "common_stock": report.candidates,
            "complete": report.complete,
            "universe": report.universe,
            "bar_requests": report.requests,
            "dropped": report.dropped,
        }
        await record_outcomes(room)

    async def _shortlist(self, selection: FrozenSelection, names: dict[str, str]) -> ExecutorOutcome:
        room, settings = self._room, self._room.settings
        engine = await asyncio.to_thread(room.executor_compute)
        try:
            return await shortlist(
                selection.first,
                selection.second,
                room.stocks,
                engine,
                settings.daily,
                settings.execution.bracket_table(),
                settings.training.exit_model,
                room.bus,
                names,
            )
        finally:
            await asyncio.to_thread(close_engine, engine)

    async def _trade_list(
        self, stage: Stage, day: ExecutorOutcome, dates: WeekdayDates
    ) -> tuple[TradeList, Combination]:
        """Scores the news once; a restarted run uses the scores and the list that were stored."""
        room, settings = self._room, self._room.settings
        candidates = day.traded.ranked
        known = await room.stocks.trade_list()
        if stage.skipped and known[0] == dates.session.day:
            qual = await read_news(room, known[3], dates.signal, "news as read before the restart")
        else:
            stage.skipped = False
            qual = await news_scores(room, candidates, dates.signal, dates.session)
        sectors, without = sectors_of(settings.qual)
        combination = combine(
            candidates,
            qual.scores,
            settings.qual,
            settings.execution.names,
            note="" if qual.available else qual.note,
            emptiness=day.traded.reason,
            window=qual.window,
            sectors=sectors,
        )
        qual = replace(qual, note="; ".join(words for words in (qual.note, without) if words))
        if stage.skipped:
            trade_list = TradeList.of(dates.session.day, known[2], known[4])
        else:
            trade_list = build(dates.session.day, combination)
            await room.stocks.replace_trade_list(
                trade_list.session, trade_list.list_hash, trade_list.picks, qual.scores, trade_list.reason
            )
            stage.summary = (
                f"{qual.summary()}; list {trade_list.short_hash}: {' '.join(trade_list.symbols) or 'empty'}"
            )
            stage.counts = {
                "scored": sum(score.score is not None for score in qual.scores),
                "articles": sum(len(found) for found in qual.articles.values()),
                "picks": len(trade_list.picks),
                "list_hash": trade_list.list_hash,
            }
        execution = settings.execution
        room.board.shortlist = shortlist_view(
            day.traded,
            qual,
            combination,
            trade_list,
            deadline=dates.at(execution.approval_deadline),
            valid_until=dates.at(execution.approval_valid_until),
            previous=await room.journal.last_list_before(dates.session.day),
        )
        return trade_list, combination

    async def _trade(
        self,
        book: RunBook,
        dates: WeekdayDates,
        day: ExecutorOutcome,
        trade_list: TradeList,
        missed: asyncio.Task[None],
    ) -> tuple[str, str]:
        room, no_trade = self._room, ""
        async with book.stage("real_trader", trade_list.list_hash) as stage:
            if not stage.skipped:
                await room.pace.until(dates.session.open - OPEN_LEAD)
                await _ended(missed)  # nothing works beside trading
                await room.pace.entering()
                closes, ranges = _yesterday(trade_list, day)
                picks = [(pick.symbol, pick.position) for pick in trade_list.picks]
                try:
                    report = await room.desk.enter(dates.session, trade_list.list_hash, picks, closes, ranges)
                except (RefusedError, BrokerError) as error:
                    # What was bought before has its manager; with nothing bought the day has ended here.
                    if not self._window_lost(error, dates):
                        raise
                    entered = room.desk.bought_in(dates.session.day)
                    stage.summary = f"entered {' '.join(entered) or 'nothing'}: {error}"
                    stage.counts = {"approved": len(picks), "entered": list(entered)}
                    no_trade = "" if entered else str(error)
                else:
                    refused = {o.symbol: o.refused.text for o in report.outcomes if o.refused and not o.shares}
                    stage.summary = f"entered {' '.join(report.entered) or 'nothing'}" + "".join(
                        f"; {symbol}: {why}" for symbol, why in refused.items()
                    )
                    stage.counts = {
                        "approved": len(picks),
                        "entered": list(report.entered),
                        "refused": refused,
                        "allocation": str(report.allocation),
                    }
        if no_trade:
            await room.pace.resting()
            return "refused", f"no trade on {dates.session.day}: {no_trade}"
        async with book.stage("tsh_trade_management", trade_list.list_hash) as stage:
            await room.pace.managing()
            result = await room.desk.run_until_flat()
            pnl, trades = result.pnl, len(result.trades)
            carried = f"; CARRIED {' '.join(result.carried)}" if result.carried else ""
            stage.summary = f"{trades} trades closed, {pnl:+.2f} ${carried}"
            stage.counts = {
                "trades": [
                    {
                        "symbol": trade.symbol,
                        "shares": trade.shares,
                        "entry": str(trade.entry.quantize(CENT4)),
                        "exit": str(trade.exit.quantize(CENT4)),
                        "pnl": str(trade.pnl.quantize(CENT)),
                        "reason": str(trade.reason),
                    }
                    for trade in result.trades
                ],
                "pnl": str(pnl.quantize(CENT)),
                "carried": list(result.carried),
            }
        await room.pace.until(dates.session.close)
        room.bus.publish(DayClosed(session=dates.session.day, pnl=pnl, trades=trades))
        await room.pace.resting()
        return "done", f"{dates.session.day}: {trades} trades, {pnl:+.2f} $"

    def _window_lost(self, error: OperatorError, dates: WeekdayDates) -> bool:
        """Whether a repeat could not enter any more: refused for this session, or the broker was away too long."""
        if isinstance(error, RefusedError):
            return True
        return self._room.clock.now() >= dates.at(self._room.settings.execution.entry_window_end)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancels it and waits until it has let go; what it kept so far stays."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _yesterday(trade_list: TradeList, day: ExecutorOutcome) -> tuple[dict[str, float], dict[str, float]]:
    """What the gates compare the open with: last close and ATR(20) of each pick, dollars."""
    ranked = {c.symbol: c for c in day.traded.ranked if c.symbol in trade_list.symbols}
    closes = {symbol: c.close for symbol, c in ranked.items()}
    ranges = {symbol: c.close * c.measures["atr_pct"] / 100.0 for symbol, c in ranked.items()}
    return closes, ranges
