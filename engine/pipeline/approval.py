"""The approval: between a proposed trade list and the open stands one person's yes.

It names session, list hash, account and mode. A swap makes another list, which voids what
was said of the old one. Without a yes before the deadline (09:25 ET) there is no trade.
Every outcome is in the journal before anybody acts on it, a yes with the grade that was given
for it and the size that follows. With real money and a grade that advises no trade, a yes
must say that it is against the advice; simulated and paper trading are never held up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from engine.daily.trade_list import TradeList, swap
from engine.decision.grade import Grade
from engine.errors import RefusedError
from engine.events import ApprovalEnded, ApprovalGiven, TradeListReady
from engine.model import UTC
from engine.orders_model import Approval
from engine.pipeline.advice import advice_for
from engine.pipeline.engine_room import EngineRoom
from engine.pipeline.shortlist_view import rechosen
from engine.qual.combination import Combination
from engine.storage.stocks_data_db import StocksDataDb

Outcome = Literal["approved", "rejected", "expired"]
ACKNOWLEDGE = "The console asks for the word AGAINST; without one: 'tshc approve HASH --against-advice'"


@dataclass
class _Proposal:
    trade_list: TradeList
    combination: Combination
    deadline: datetime
    decided: asyncio.Event
    outcome: Outcome | None = None
    by: str = ""


class ApprovalDesk:
    """Holds at most one proposed list; commands of the consoles arrive here."""

    def __init__(self, room: EngineRoom) -> None:
        self._room = room
        self._proposal: _Proposal | None = None
        self._one_at_a_time = asyncio.Lock()  # two consoles, or a double press, decide once

    async def decide(
        self, trade_list: TradeList, combination: Combination, deadline: datetime
    ) -> tuple[Outcome, TradeList, str]:
        """Proposes the list and waits: (outcome, the list decided on, by whom)."""
        room = self._room
        proposal = _Proposal(trade_list, combination, deadline, asyncio.Event())
        self._proposal = proposal
        room.bus.publish(
            TradeListReady(
                session=trade_list.session,
                list_hash=trade_list.list_hash,
                symbols=trade_list.symbols,
                reason=trade_list.reason,
            )
        )
        try:
            earlier = await room.journal.approval(trade_list.session)
            if earlier is not None and earlier.outcome == "approved" and self._names(earlier, trade_list):
                proposal.outcome, proposal.by = "approved", earlier.by  # given before the engine was restarted
            elif not await room.pace.decision(deadline, proposal.decided, room.attended):
                async with self._one_at_a_time:
                    if proposal.outcome is None:
                        await self._record(proposal, "expired", "the clock")
        finally:
            self._proposal = None
        outcome = proposal.outcome or "expired"
        room.board.shortlist = room.board.shortlist.model_copy(
            update={"state": outcome, "approved_by": proposal.by if outcome == "approved" else ""}
        )
        return outcome, proposal.trade_list, proposal.by

    def _names(self, approval: Approval, trade_list: TradeList) -> bool:
        mode = self._room.settings.broker.mode.value
        return (approval.list_hash, approval.account, approval.mode) == (
            trade_list.list_hash,
            self._room.account,
            mode,
        )

    async def approve(self, session: date, list_hash: str, by: str, *, against_advice: bool = False) -> str:
        """Says yes to exactly this list; RefusedError with the reason when it is not the one proposed.

        ``against_advice``: the person has said that the trade is against the advice, which a live
        account needs when the grade is C or D. Elsewhere it changes nothing.
        """
        async with self._one_at_a_time:
            proposal = self._checked(session, list_hash)
            if self._room.clock.now() >= proposal.deadline:
                raise RefusedError("the approval deadline has passed: there is no trade in this session")
            mode = self._room.settings.broker.mode
            advice = await advice_for(self._room.journal, session, mode)
            if advice.against and not against_advice:
                raise RefusedError(
                    f"real money against the advice ({advice.text}; {advice.reason}): "
                    f"nothing was approved. {ACKNOWLEDGE}"
                )
            await self._record(proposal, "approved", by, advice)
        return f"approved {proposal.trade_list.short_hash}: {' '.join(proposal.trade_list.symbols)}"

    async def reject(self, session: date, list_hash: str, by: str) -> str:
        async with self._one_at_a_time:
            await self._record(self._checked(session, list_hash), "rejected", by)
        return f"rejected: no trade on {session}"

    async def swap(self, session: date, list_hash: str, out: str, into: str, by: str) -> str:
        """Replaces one pick by another shortlisted ticker; the new list waits for its own approval."""
        async with self._one_at_a_time:
            proposal = self._checked(session, list_hash)
            changed = swap(proposal.trade_list, out, into, proposal.combination)
            await self._keep(self._room.stocks, changed)
            await self._journal(proposal.trade_list, "voided", by)
            proposal.trade_list = changed
            self._room.board.shortlist = rechosen(self._room.board.shortlist, changed)
            self._room.bus.publish(
                TradeListReady(session=session, list_hash=changed.list_hash, symbols=changed.symbols)
            )
        return f"{into} instead of {out}; the list is now {changed.short_hash} and needs an approval"

    def _checked(self, session: date, list_hash: str) -> _Proposal:
        proposal = self._proposal
        if proposal is None or proposal.outcome is not None:
            raise RefusedError("no trade list waits for a decision now")
        if session != proposal.trade_list.session:
            raise RefusedError(f"the list that waits is for {proposal.trade_list.session}, not {session}")
        if list_hash != proposal.trade_list.list_hash:
            raise RefusedError(
                f"the list has changed: it is {proposal.trade_list.short_hash} now; read it again, then decide"
            )
        return proposal

    async def _record(self, proposal: _Proposal, outcome: Outcome, by: str, advice: Grade | None = None) -> None:
        await self._journal(proposal.trade_list, outcome, by, advice)
        proposal.outcome, proposal.by = outcome, by
        proposal.decided.set()

    async def _journal(
        self,
        trade_list: TradeList,
        outcome: Literal["approved", "rejected", "voided", "expired"],
        by: str,
        advice: Grade | None = None,
    ) -> None:
        room = self._room
        words = "" if advice is None else f"{advice.text}; {advice.reason}"
        await room.journal.record_approval(
            Approval(
                session=trade_list.session,
                list_hash=trade_list.list_hash,
                account=room.account,
                mode=room.settings.broker.mode.value,
                outcome=outcome,
                by=by,
                symbols=trade_list.symbols,
                at=datetime.now(UTC),
                grade="" if advice is None else advice.letter,
                advice=words,
                size=1.0 if advice is None else advice.factor,
                against_advice=advice is not None and advice.against,
            )
        )
        if outcome == "approved":
            room.bus.publish(
                ApprovalGiven(
                    session=trade_list.session,
                    list_hash=trade_list.list_hash,
                    account=room.account,
                    mode=room.settings.broker.mode.value,
                    by=by,
                    symbols=trade_list.symbols,
                    grade="" if advice is None else advice.letter,
                    advice=words,
                    size=1.0 if advice is None else advice.factor,
                    against_advice=advice is not None and advice.against,
                )
            )
        else:
            room.bus.publish(
                ApprovalEnded(session=trade_list.session, list_hash=trade_list.list_hash, outcome=outcome, by=by)
            )

    async def _keep(self, stocks: StocksDataDb, changed: TradeList) -> None:
        _, _, _, scores, _ = await stocks.trade_list()
        await stocks.replace_trade_list(changed.session, changed.list_hash, changed.picks, scores, changed.reason)
