"""Keeps the strip and the overview true: has clock and account asked, repaints the views at 4 Hz."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date
from decimal import Decimal

from engine.commands import CommandTable
from engine.compute.algorithms import ALGORITHMS
from engine.daily.forward_ledger import counted_sources
from engine.daily.ledger_sessions import WeekSessions
from engine.decision.grade import Grade
from engine.decision.mp2_p2_group_discovery import LAST_SEARCH, stored_view
from engine.decision.selection import luck_text
from engine.events import ApprovalEnded, DayClosed, Event, FillReceived
from engine.health import Health
from engine.journal import LedgerEntry
from engine.kernel_warmup import KernelWarmup
from engine.model import NEW_YORK, Mode
from engine.pipeline.advice import grade_of, grade_view, kept_week_sessions, selected_groups, weeks_of
from engine.pipeline.board_feed import BoardFeed
from engine.pipeline.broker_watch import BrokerWatch
from engine.pipeline.engine_room import EngineRoom
from engine.pipeline.overview import DayFacts, day_track, next_event, next_items, present_lines, week_tiles
from engine.records import FinalGroup
from engine.run_log import StageRun
from engine.views import EventView, ForwardRow, GradeView, StageView, StatusView

PAINT_S = 0.25
OVERVIEW_S = 1.0

log = logging.getLogger(__name__)


class DayTrack:
    """The day's P&L over time in at most ``MOST`` points; when full, every second one goes."""

    MOST = 160

    def __init__(self) -> None:
        self._day: date | None = None
        self._points: list[float] = []
        self._step, self._count = 1, 0

    def add(self, day: date, percent: float | None) -> tuple[float, ...]:
        """Takes the value of this moment (None: nothing to add); all points of ``day``."""
        if day != self._day:
            self._day, self._points, self._step, self._count = day, [], 1, 0
        if percent is not None:
            if self._count % self._step == 0:
                self._points.append(round(percent, 4))
            self._count += 1
            if len(self._points) > self.MOST:
                self._points, self._step = self._points[::2], self._step * 2
        return tuple(self._points)


class StatusViews:
    """The tasks that feed StatusView, OverviewView, PositionsView and FlattenView."""

    def __init__(self, room: EngineRoom, warmup: KernelWarmup, commands: CommandTable) -> None:
        self._room, self._warmup, self._commands = room, warmup, commands
        self._board_feed = BoardFeed(room)
        self._health = Health(room, commands.weekend.workers)
        self._watch = BrokerWatch(
            room.rest,
            room.clock,
            room.journal,
            room.calendar,
            simulated=room.settings.broker.mode is Mode.SIM,
            answered=self._health.answered,
        )
        self._facts: dict[date, DayFacts] = {}
        self._weekend: tuple[StageView, ...] = ()
        self._evidence: tuple[str, ...] = ()
        self._grade = GradeView()
        self._forward: tuple[ForwardRow, ...] = ()
        self._day_track = DayTrack()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for event in await self._room.journal.recent(("day_closed", "approval_ended"), 50):
            self._remember(event.kind, event.data)
        await self._read_weekend()
        await self._watch.restore()
        self._health.start()
        watch = self._watch
        self._tasks = [
            asyncio.create_task(self._every(watch.clock.period_s, watch.ask_clock), name="clock"),
            asyncio.create_task(self._every(0.0, watch.ask_account), name="account"),
            asyncio.create_task(self._every(PAINT_S, self._paint), name="views"),
            asyncio.create_task(self._every(OVERVIEW_S, self._paint_overview), name="overview"),
        ]

    async def stop(self) -> None:
        await self._health.stop()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._watch.keep()

    def on_event(self, event: Event, view: EventView) -> None:
        """Day results and the end of runs change what the overview says (its alerts are the alert desk's)."""
        self._board_feed.decided(view.kind)
        if isinstance(event, FillReceived):
            self._watch.money_moved()
        elif isinstance(event, DayClosed | ApprovalEnded):
            self._remember(event.kind(), view.data)
        elif view.kind in ("run_finished", "groups_selected", "stage_failed", "ledger_day_judged"):
            task = asyncio.get_running_loop().create_task(self._read_weekend())
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)

    async def _every(self, period_s: float, work: Callable[[], Awaitable[None]]) -> None:
        """Repeats ``work``; the next begins a period after the last ended, and no failure ends it."""
        while True:
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except Exception:  # a view that fails must not blind the operator to all others
                log.exception("%s failed; it is tried again", getattr(work, "__name__", "a view"))
            await asyncio.sleep(period_s)

    # --- painting --------------------------------------------------------------------------

    async def _paint(self) -> None:
        room, board = self._room, self._room.board
        board.positions = room.desk.views()
        await asyncio.sleep(0)  # prices that came meanwhile are handled first
        board.flatten = room.desk.flatten_view()
        now = room.clock.now()
        watch, account = self._watch, self._watch.account
        held = [row for row in board.positions.rows if row.state in _HELD_STATES]
        text, at = next_event(board.overview.next, now)
        prices, orders = room.desk.link_views()
        board.status = StatusView(
            mode=room.settings.broker.mode.value,
            account=room.account,
            pid=os.getpid(),
            home=str(room.home.folder),
            broker=watch.link,
            prices=prices,
            orders=orders,
            watchdog=self._watchdog(),
            market_time=now,
            clock_rate=room.clock.rate,
            market_open=room.clock.is_open,
            next_event=text,
            next_event_at=at,
            equity=account.equity if account else None,
            day_pnl=account.day_pnl if account else None,
            day_pnl_pct=watch.day_pct,
            account_age_s=watch.money.age_s,
            account_stale=watch.money.stale,
            exposure=room.desk.exposure(),
            positions_open=len(held),
            orders_open=sum(1 for o in board.positions.orders if o.status in _OPEN_STATUSES),
            latched=room.desk.latched or room.bus.failed,
            drift=(*room.desk.drift.texts, *self._model_drift()),
            cycles=room.settings.training.cycles,
            search_budget_s=room.settings.search.budget_s,
            kernels=self._warmup.text,
        )

    async def _paint_overview(self) -> None:
        room, board = self._room, self._room.board
        now = room.clock.now()
        today = now.astimezone(NEW_YORK).date()
        watch, sessions, account = self._watch, self._watch.sessions, self._watch.account
        session = next((s.day for s in sessions if now < s.close), None)
        low, low_name = watch.day_low(today)
        moving = room.clock.is_open and not watch.money.stale
        health = self._health.rows(watch.link, watch.money)
        await asyncio.sleep(0)  # as above
        board.board = await self._board_feed.view(sessions, watch.link)
        await asyncio.sleep(0)
        positions = board.status.positions_open
        # The embedded market hurries once positions are held: when they would be sold is told before, too.
        rate = room.clock.rate
        if room.settings.broker.mode is Mode.SIM and not positions:
            rate = max(rate, room.settings.sim.speed)
        if board.refresh_stages is not None:
            board.refresh_stages()
        stages = board.overview.stages
        is_weekend = any(s.stage == "mp1_loop" for s in stages)
        board.overview = board.overview.model_copy(
            update={
                "week": week_tiles(
                    now,
                    sessions,
                    self._facts,
                    stages if is_weekend else self._weekend,
                    present_lines(session, board.shortlist, board.positions),
                ),
                "track": day_track(
                    now,
                    sessions,
                    room.settings.execution,
                    room.settings.data.settle_minutes,
                    board.shortlist,
                    rate,
                ),
                "next": next_items(
                    now,
                    sessions,
                    room.settings.execution,
                    room.settings.data.settle_minutes,
                    board.shortlist,
                    stages if self._commands.running else (),
                    positions,
                    rate,
                ),
                "cash": account.cash if account else None,
                "buying_power": account.buying_power if account else None,
                "day_low_pct": low,
                "day_low_name": low_name,
                "day_track": self._day_track.add(today, watch.day_pct if moving else None),
                "evidence": self._evidence,
                "grade": self._grade,
                "forward": self._forward,
                "health": health,
            }
        )

    def _model_drift(self) -> tuple[str, ...]:
        """Today's candidate count against the training week, while that list may still be traded."""
        room = self._room
        view, board = room.board.shortlist, room.board.board
        if not view.drift or view.state not in ("pending", "approved") or view.session != board.session:
            return ()
        return (view.drift,)

    def _watchdog(self) -> str:
        groups = self._room.board.groups
        if groups.state not in ("running", "paused"):
            return ""
        share = groups.elapsed_s / groups.budget_s * 100 if groups.budget_s else 0.0
        paused = " paused" if groups.state == "paused" else ""
        return f"{groups.elapsed_s:.0f} of {groups.budget_s:.0f} s, {share:.0f} %{paused}"

    # --- what the journal and the tables remember ------------------------------------------------

    def _remember(self, kind: str, data: dict[str, object]) -> None:
        session = date.fromisoformat(str(data["session"]))
        if kind == "day_closed":
            self._facts[session] = DayFacts(Decimal(str(data["pnl"])), int(str(data["trades"])))
        elif data.get("outcome") in ("rejected", "expired"):
            self._facts[session] = DayFacts(note=f"({data['outcome']})")

    async def _read_weekend(self) -> None:
        run = await self._room.journal.last_run("weekend")
        if run is not None:
            self._weekend = tuple(_stage_view(stage) for stage in await self._room.journal.stages(run.run))
        outcome, groups = await self._room.stocks.final_groups()
        chosen = sorted((g for g in groups if g.selected is not None), key=lambda g: g.selected or 0)
        ledger = await self._room.journal.ledger()
        mode = self._room.settings.broker.mode
        sessions = await kept_week_sessions(self._room.journal, mode)
        judged = Counter((d.week, d.selected, d.source) for d in await self._room.journal.ledger_days())
        counted = counted_sources(mode)
        self._forward = tuple(
            forward_row(
                entry,
                judged[entry.week, entry.selected, entry.source],
                sessions.get(entry.week) if entry.source in counted else None,
            )
            for entry in ledger
        )
        if not chosen:  # a new weekend run has emptied the tables: what trades is frozen in the journal
            today = self._room.clock.now().astimezone(NEW_YORK).date()
            chosen = await selected_groups(self._room.journal, today)
        if chosen:
            weeks = await weeks_of(self._room.journal, mode)
            grade = grade_of(chosen[0], weeks, mode)
            self._grade = grade_view(grade, weeks)
            self._evidence = evidence_lines(chosen, grade, self._grade.left_out)
        if outcome is not None and self._room.board.groups.state == "idle":
            kept = await self._room.journal.get(LAST_SEARCH)
            self._room.board.groups = stored_view(outcome, groups, list(ALGORITHMS.values()), kept)


_HELD_STATES = frozenset({"WATCH", "ARMED", "TARGET", "EXITING", "CARRIED"})
_OPEN_STATUSES = frozenset(
    {"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "held", "sent", "unknown"}
)


def evidence_lines(chosen: list[FinalGroup], grade: Grade, left_out: str = "") -> tuple[str, ...]:
    """What is known about the selected groups beyond their own five days, in plain words.

    ``grade``: of the first of them, which trades; ``left_out``: weeks that it could not count.
    """
    if not chosen:
        return ()
    lines = [grade.text, grade.reason, *([left_out] if left_out else [])]
    for group in chosen:
        name = "A" if group.selected == 1 else "B"
        holdout = (
            "hold-out: no picks"
            if group.holdout_mean is None
            else f"hold-out {group.holdout_mean:+.2f} ± {group.holdout_error or 0.0:.2f} %/day"
        )
        lines.append(f"group {name}  {holdout}")
        lines.append(f"group {name}  {luck_text(group, short=True)}")
    return tuple(lines)


def forward_row(entry: LedgerEntry, judged: int, sessions: WeekSessions | None = None) -> ForwardRow:
    """A week of the forward ledger as the evidence screen shows it; ``judged``: its sessions, empty ones too."""
    return ForwardRow(
        week=entry.week,
        group="A" if entry.selected == 1 else "B",
        source=entry.source,
        sessions=judged,
        possible=None if sessions is None else sessions.possible,
        candidates=entry.candidates,
        pp_excess=entry.pp_excess,
        pp_error=entry.pp_error,
        tsh_excess=entry.tsh_excess,
        tsh_error=entry.tsh_error,
        traded=entry.traded,
        traded_live_excess=entry.traded_live_excess,
    )


def _stage_view(stage: StageRun) -> StageView:
    state = {"running": "running", "done": "done", "failed": "failed"}.get(stage.state, "waiting")
    return StageView.model_validate(
        {
            "stage": stage.stage,
            "state": state,
            "seconds": float(stage.progress.get("seconds", 0.0)),
            "detail": stage.note,
        }
    )
