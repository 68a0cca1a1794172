"""Keeps the GO / NO-GO board true: reads the journal when something was decided, the desk at every paint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from engine.decision.grade import Grade
from engine.errors import StorageError
from engine.model import Session
from engine.orders_model import Approval
from engine.pipeline.advice import advice_for
from engine.pipeline.engine_room import EngineRoom
from engine.pipeline.go_board import BoardFacts, board_session, board_view
from engine.pipeline.selection_record import read_frozen
from engine.views import BoardView, LinkView

DECISIONS = frozenset(
    {"approval_given", "approval_ended", "groups_selected", "run_finished", "engine_started", "ledger_day_judged"}
)


class BoardFeed:
    """``decided`` is called for every event; ``view`` at the cadence of the views."""

    def __init__(self, room: EngineRoom) -> None:
        self._room = room
        self._known_for: date | None = None
        self._approval: Approval | None = None
        self._week: date | None = None
        self._group = ""
        self._advice: Grade | None = None

    def decided(self, kind: str) -> None:
        """An event that may change what the journal says about the next session."""
        if kind in DECISIONS:
            self._known_for = None

    async def view(self, sessions: Sequence[Session], broker: LinkView) -> BoardView:
        """The board for the session whose entry window has not ended; empty while no calendar is known."""
        room = self._room
        now = room.clock.now()
        session = board_session(now, sessions, room.settings.execution, room.desk.entries_over)
        if session is None:
            return BoardView()
        if self._known_for != session.day:
            await self._read(session.day)
        list_hash = room.board.shortlist.list_hash if room.board.shortlist.session == session.day else ""
        desk = room.desk
        size = 1.0 if self._advice is None else self._advice.factor
        if self._approval is not None and self._approval.outcome == "approved":
            size = self._approval.size
        return board_view(
            BoardFacts(
                now=now,
                session=session,
                rules=room.settings.execution,
                shortlist=room.board.shortlist,
                week=self._week,
                group=self._group,
                reports=desk.go_board(self._approval, session, list_hash, size),
                held=desk.held,
                allocation=desk.would_allocate(size),
                advice=self._advice,
                broker=broker,
                timeout_s=room.settings.broker.timeout_s,
                links=desk.link_views(),
                reconciled_age_s=desk.reconciled_age_s,
                reconcile_s=room.settings.broker.reconcile_s,
                commit_ms=room.bus.commit_ms,
                journal_failed=room.bus.failed,
                drift=desk.drift.texts,
            )
        )

    async def _read(self, day: date) -> None:
        self._known_for = day
        self._approval = await self._room.journal.approval(day)
        found = await self._room.journal.live_selection(day)
        self._week, self._group, self._advice = None, "", None
        if found is not None:
            try:
                members = read_frozen(found.payload).first.members
                self._advice = await advice_for(self._room.journal, day, self._room.settings.broker.mode)
            except StorageError:
                return  # unreadable: there is no group to trade with, and the board says so
            self._week = found.week
            self._group = " · ".join(member.algorithm for member in members)
