"""Keeps the strip and the overview true: polls clock and account, repaints the views at 4 Hz.

Polling is slow on a real broker (its rate limit is shared with orders) and quick on the
simulator, where market time runs up to 300 times faster.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date
from decimal import Decimal

from engine.broker.broker_types import Account
from engine.broker.errors import BrokerError
from engine.commands import CommandTable
from engine.compute.algorithms import ALGORITHMS
from engine.decision.mp2_p2_group_discovery import stored_view
from engine.decision.selection import verdict_parts
from engine.events import ApprovalEnded, DayClosed, Event, FillReceived
from engine.kernel_warmup import KernelWarmup
from engine.model import NEW_YORK, Mode, Session
from engine.pipeline.engine_room import EngineRoom
from engine.pipeline.overview import DayFacts, next_event, next_items, week_tiles
from engine.records import FinalGroup
from engine.run_log import StageRun
from engine.views import EventView, LinkView, StageView, StatusView

PAINT_S = 0.25
OVERVIEW_S = 1.0
FILLS_TOGETHER_S = 0.2  # fills of one moment cost one request

log = logging.getLogger(__name__)


class StatusViews:
    """The tasks that feed StatusView, OverviewView, PositionsView and FlattenView."""

    def __init__(self, room: EngineRoom, warmup: KernelWarmup, commands: CommandTable) -> None:
        self._room, self._warmup, self._commands = room, warmup, commands
        self._account: Account | None = None
        self._broker = LinkView(state="connecting")
        self._sessions: list[Session] = []
        self._facts: dict[date, DayFacts] = {}
        self._weekend: tuple[StageView, ...] = ()
        self._evidence: tuple[str, ...] = ()
        self._day_low: tuple[date, float] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._money_moved = asyncio.Event()  # a fill: the account is read at once
        simulated = room.settings.broker.mode is Mode.SIM
        self._clock_s, self._account_s = (0.5, 1.0) if simulated else (5.0, 10.0)

    async def start(self) -> None:
        for event in await self._room.journal.recent(("day_closed", "approval_ended"), 50):
            self._remember(event.kind, event.data)
        await self._read_weekend()
        self._tasks = [
            asyncio.create_task(self._every(self._clock_s, self._poll_clock), name="clock"),
            asyncio.create_task(self._every(0.0, self._watch_account), name="account"),
            asyncio.create_task(self._every(PAINT_S, self._paint), name="views"),
            asyncio.create_task(self._every(OVERVIEW_S, self._paint_overview), name="overview"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def on_event(self, event: Event, view: EventView) -> None:
        """Day results and the end of runs change what the overview says (its alerts are the alert desk's)."""
        if isinstance(event, FillReceived):
            self._money_moved.set()
        elif isinstance(event, DayClosed | ApprovalEnded):
            self._remember(event.kind(), view.data)
        elif view.kind in ("run_finished", "groups_selected", "stage_failed"):
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

    # --- polling ---------------------------------------------------------------------------

    async def _poll_clock(self) -> None:
        began = time.monotonic()
        try:
            await self._room.clock.refresh()
        except BrokerError as error:
            self._broker = LinkView(state="down", detail=str(error)[:200])
            return
        self._broker = LinkView(state="live", latency_ms=round((time.monotonic() - began) * 1000, 1))

    async def _watch_account(self) -> None:
        """Reads the account now, then waits for a fill or the period, whichever is first."""
        self._money_moved.clear()
        await self._poll_account()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._money_moved.wait(), self._account_s)
        await asyncio.sleep(FILLS_TOGETHER_S)

    async def _poll_account(self) -> None:
        with suppress(BrokerError):  # the clock's poll tells the state of the link
            self._account = await self._room.rest.account()
            today = self._room.clock.now().astimezone(NEW_YORK).date()
            if not self._sessions or all(s.day <= today for s in self._sessions[-5:]):
                self._sessions = await self._room.calendar()

    # --- painting --------------------------------------------------------------------------

    async def _paint(self) -> None:
        room, board = self._room, self._room.board
        board.positions = room.desk.views()
        board.flatten = room.desk.flatten_view()
        now = room.clock.now()
        account = self._account
        day_pct = self._day_pct()
        held = [row for row in board.positions.rows if row.state in _HELD_STATES]
        text, at = next_event(board.overview.next)
        prices, orders = room.desk.link_views()
        board.status = StatusView(
            mode=room.settings.broker.mode.value,
            account=room.account,
            pid=os.getpid(),
            home=str(room.home.folder),
            broker=self._broker,
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
            day_pnl_pct=day_pct,
            exposure=room.desk.exposure(),
            positions_open=len(held),
            orders_open=sum(1 for o in board.positions.orders if o.status in _OPEN_STATUSES),
            latched=room.desk.latched or room.bus.failed,
            cycles=room.settings.training.cycles,
            search_budget_s=room.settings.search.budget_s,
            kernels=self._warmup.text,
        )

    async def _paint_overview(self) -> None:
        room, board = self._room, self._room.board
        now = room.clock.now()
        today = now.astimezone(NEW_YORK).date()
        positions = board.status.positions_open
        account = self._account
        stages = board.overview.stages
        is_weekend = any(s.stage == "mp1_loop" for s in stages)
        board.overview = board.overview.model_copy(
            update={
                "week": week_tiles(
                    today, self._sessions, self._facts, stages if is_weekend else self._weekend, positions
                ),
                "next": next_items(
                    now,
                    self._sessions,
                    room.settings.execution,
                    room.settings.data.settle_minutes,
                    board.shortlist,
                    stages if self._commands.running else (),
                    positions,
                ),
                "cash": account.cash if account else None,
                "buying_power": account.buying_power if account else None,
                "day_low_pct": self._low(today),
                "evidence": self._evidence,
            }
        )

    def _day_pct(self) -> float | None:
        account = self._account
        if account is None or account.last_equity <= 0:
            return None
        return float(account.day_pnl / account.last_equity * 100)

    def _low(self, today: date) -> float | None:
        """The day's lowest P&L in percent of the equity at the last close, seen since the engine started."""
        now = self._day_pct()
        if now is not None:
            lowest = self._day_low[1] if self._day_low and self._day_low[0] == today else now
            self._day_low = (today, min(lowest, now))
        return self._day_low[1] if self._day_low and self._day_low[0] == today else None

    def _watchdog(self) -> str:
        groups = self._room.board.groups
        if groups.state not in ("running", "paused"):
            return ""
        return f"{groups.elapsed_s:.0f} of {groups.budget_s:.0f} s" + (
            " paused" if groups.state == "paused" else ""
        )

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
        if outcome is not None:
            self._evidence = evidence_lines(chosen)
            if self._room.board.groups.state == "idle":
                self._room.board.groups = stored_view(outcome, groups, list(ALGORITHMS.values()))


_HELD_STATES = frozenset({"WATCH", "ARMED", "TARGET", "EXITING", "CARRIED"})
_OPEN_STATUSES = frozenset(
    {"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "held", "sent", "unknown"}
)


def evidence_lines(chosen: list[FinalGroup]) -> tuple[str, ...]:
    """What is known about the selected groups beyond their own five days, in plain words."""
    lines = []
    for group in chosen:
        name = "A" if group.selected == 1 else "B"
        luck = verdict_parts(group.verdict)[1] or "p not measured"
        holdout = (
            "hold-out: no picks"
            if group.holdout_mean is None
            else f"hold-out {group.holdout_mean:+.2f} ± {group.holdout_error or 0.0:.2f} %/day"
        )
        lines.append(f"group {name}  {holdout}")
        lines.append(f"group {name}  {luck}")
    if chosen:
        lines.append("five days decide nothing and no forward ledger is kept yet: paper only")
    return tuple(lines)


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
