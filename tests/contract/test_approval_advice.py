"""Real money against the evidence: refused without its own word, halved by a B, and never in the way elsewhere.

The approval desk, the journal and the execution desk are the engine's own; the venue is the simulator.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from execution_rig import MARKET_DATE, Rig, rig, until

from engine.brackets import Bracket
from engine.daily.trade_list import TradeList
from engine.errors import RefusedError
from engine.events import ApprovalGiven, TradeListReady
from engine.ledger_log import LedgerDay
from engine.model import DAYS, WORDS, ParameterSet
from engine.orders_model import Approval
from engine.pipeline.approval import ApprovalDesk
from engine.pipeline.selection_record import frozen_payload
from engine.qual.combination import Combination
from engine.records import FinalGroup, SearchOutcome, TradePick, picks_bytes
from engine.view_board import ViewBoard

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
GOOD, FLAT = [0.1, 0.3], [0.1, -0.1]  # weeks, percent a day


def group(holdout: float) -> FinalGroup:
    return FinalGroup(
        rank=1, members=(ParameterSet("adx", (9, 20, 2)),), score=1.0, mean=0.7, deviation=0.2,
        day_means=(0.5, 0.6, 0.7, 0.8, 0.9), day_picks=(8, 9, 10, 11, 12), pp_mean=0.4,
        picks=picks_bytes(np.zeros((DAYS, WORDS), np.uint64)), leave_one_out=0.3, selection_score=0.25,
        standard_error=0.1, holdout_mean=holdout, holdout_error=0.08, holdout_picks=(11, 9, 14, 8, 10),
        p_value=0.01, selected=1, verdict="trades", shuffles_reached=1, shuffles_done=200, shuffles_planned=200,
        shuffles_scope="tested",
    )  # fmt: skip


def ledger_day(source: str, weeks_ago: int, excess: float) -> LedgerDay:
    week = MARKET_DATE - timedelta(days=7 * weeks_ago)
    return LedgerDay(
        session=week + timedelta(days=3), selected=1, source=source, week=week, members="adx", universe=50,
        candidates=40, cost=0.2, pp_universe=0.0, tsh_universe=0.0, pp_excess=excess, tsh_excess=excess, traded=0,
        traded_pp_excess=None, traded_tsh_excess=None, traded_live_excess=None, pp_to_live_gap=None,
    )  # fmt: skip


@asynccontextmanager
async def waiting(
    folder: Path, mode: str, weeks: list[float], *, holdout: float = 0.05, source: str = "paper"
) -> AsyncIterator[tuple[Rig, ApprovalDesk, TradeList]]:
    """A list that waits for its yes; the journal holds the selection and a ledger of ``weeks``."""
    async with rig(folder, broker={"mode": mode}, brackets=(NEVER,)) as r:
        outcome = SearchOutcome(MARKET_DATE, True, 0.0, 1, 1, 1.0, 60.0, 2)
        await r.journal.freeze_selection(MARKET_DATE, frozen_payload([group(holdout)], outcome, "weekend-1"))
        await r.journal.record_ledger_days([ledger_day(source, k, x) for k, x in enumerate(weeks, start=1)])

        async def decision(deadline: datetime, decided: asyncio.Event, attended: Any) -> bool:
            await decided.wait()
            return True

        assert r.desk.account is not None
        room: Any = SimpleNamespace(
            settings=r.settings, journal=r.journal, clock=r.clock, bus=r.told, board=ViewBoard(),
            account=r.desk.account.number, pace=SimpleNamespace(decision=decision), attended=lambda: True,
        )  # fmt: skip
        picks = [TradePick(n, symbol, 0.9, 0.9, None, "") for n, symbol in enumerate(r.names[:4], start=1)]
        proposed = TradeList.of(r.session.day, picks)
        approvals = ApprovalDesk(room)
        deadline = r.session.open - timedelta(minutes=5)
        deciding = asyncio.create_task(approvals.decide(proposed, Combination((), (), ""), deadline))
        await until(lambda: r.told.of(TradeListReady), "a proposed list")
        try:
            yield r, approvals, proposed
        finally:
            deciding.cancel()
            with suppress(asyncio.CancelledError):
                await deciding


async def enter(r: Rig, proposed: TradeList) -> Decimal:
    """The open with the list as it was approved; dollars of the day."""
    if r.clock.now() < r.session.open - timedelta(seconds=10):
        await r.go_to(r.session.open - timedelta(seconds=10))
    picks = [(pick.symbol, pick.position) for pick in proposed.picks]
    ranges = {symbol: r.closes[symbol] * 0.2 for symbol, _ in picks}
    report = await r.desk.enter(r.session, proposed.list_hash, picks, r.closes, ranges)
    assert report.entered
    return report.allocation


async def approved(r: Rig) -> Approval:
    found = await r.journal.approval(r.session.day)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("weeks", "holdout", "letter"), [([], 0.05, "C"), (FLAT * 6, 0.05, "C"), (GOOD * 6, -0.01, "D")]
)
async def test_real_money_against_the_advice_is_refused_without_its_own_word(
    tmp_path: Path, weeks: list[float], holdout: float, letter: str
) -> None:
    async with waiting(tmp_path, "live", weeks, holdout=holdout) as (r, approvals, proposed):
        with pytest.raises(RefusedError, match=f"against the advice .grade {letter}.*--against-advice"):
            await approvals.approve(r.session.day, proposed.list_hash, "anna")
        assert await r.journal.approval(r.session.day) is None
        assert r.told.of(ApprovalGiven) == []
        await approvals.approve(r.session.day, proposed.list_hash, "anna", against_advice=True)
        given = await approved(r)
        assert (given.outcome, given.grade, given.against_advice, given.size) == ("approved", letter, True, 0.5)
        assert f"grade {letter}" in given.advice
        event = r.told.of(ApprovalGiven)[0]
        assert (event.grade, event.against_advice) == (letter, True)
        assert "AGAINST THE ADVICE" in event.text
        assert await enter(r, proposed) == Decimal("45000.00")  # never more than a B would get


@pytest.mark.parametrize(
    ("weeks", "letter", "dollars"), [(GOOD * 4, "B", "45000.00"), (GOOD * 6, "A", "90000.00")]
)
async def test_with_the_advice_a_b_gets_half_and_an_a_the_full_size(
    tmp_path: Path, weeks: list[float], letter: str, dollars: str
) -> None:
    async with waiting(tmp_path, "live", weeks) as (r, approvals, proposed):
        await approvals.approve(r.session.day, proposed.list_hash, "anna")
        given = await approved(r)
        assert (given.grade, given.against_advice) == (letter, False)
        assert f"grade {letter}" in given.advice
        assert await enter(r, proposed) == Decimal(dollars)
        filled = [row for row in r.desk.views().rows if row.entry is not None]
        cost = sum((row.shares * row.entry for row in filled if row.entry is not None), Decimal(0))
        assert cost <= Decimal(dollars)


@pytest.mark.parametrize("mode", ["sim", "paper"])
async def test_advice_never_blocks_or_shrinks_simulated_and_paper_trading(tmp_path: Path, mode: str) -> None:
    weeks = [-0.1, -0.3] * 6
    async with waiting(tmp_path, mode, weeks, holdout=-0.2, source=mode) as (r, approvals, proposed):
        await approvals.approve(r.session.day, proposed.list_hash, "anna")
        given = await approved(r)
        assert (given.grade, given.against_advice, given.size) == ("D", False, 1.0)
        assert await enter(r, proposed) == Decimal("90000.00")


async def test_a_simulated_markets_weeks_say_nothing_for_real_money(tmp_path: Path) -> None:
    async with waiting(tmp_path, "live", GOOD * 6, source="sim") as (r, approvals, proposed):
        with pytest.raises(RefusedError, match="ledger 0 of 12 weeks"):
            await approvals.approve(r.session.day, proposed.list_hash, "anna")


@pytest.mark.parametrize("grade", ["", "C", "D"])
async def test_the_open_itself_refuses_a_live_approval_that_does_not_say_so(tmp_path: Path, grade: str) -> None:
    async with waiting(tmp_path, "live", []) as (r, approvals, proposed):
        await approvals.approve(r.session.day, proposed.list_hash, "anna", against_advice=True)
        forged = replace(await approved(r), grade=grade, against_advice=False)
        await r.journal.record_approval(forged)
        with pytest.raises(RefusedError, match="does not say that it is against the advice"):
            await enter(r, proposed)
        assert await r.journal.intents(r.session.day) == []


async def test_the_journal_keeps_advice_and_acknowledgement(tmp_path: Path) -> None:
    async with waiting(tmp_path, "live", []) as (r, _, _):
        kept = Approval(
            date(2026, 11, 24), "f" * 64, "1", "live", "approved", "anna", ("ABC",), datetime.now(UTC), "C",
            "grade C; why", 0.5, True,
        )  # fmt: skip
        await r.journal.record_approval(kept)
        assert await r.journal.approval(date(2026, 11, 24)) == kept
