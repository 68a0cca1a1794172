"""From an approved list to positions: the approval, the allocation, the gates of the account, real_trader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import Account
from engine.broker.clock import MarketClock
from engine.broker.price_stream import PriceStream
from engine.errors import RefusedError
from engine.events import EventSink
from engine.execution import gates
from engine.execution.allocation import allocation
from engine.execution.gates import ApprovedFor, GateReport
from engine.execution.live_prices import LivePrices
from engine.execution.order_ids import ENTRY
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook, trades_of
from engine.execution.real_trader import EntryDay, EntryOutcome, EntryPlan, EntryProtection, RealTrader
from engine.execution.reconcile import ReconcileReport
from engine.execution.trading_calendar import at_new_york
from engine.journal import JournalDb
from engine.model import Session
from engine.orders_model import Approval
from engine.settings import Settings

_DAY = "trading_day"


@dataclass(frozen=True, slots=True)
class EntryReport:
    """What became of the entries; ``entered`` had at least one share bought."""

    session: date
    allocation: Decimal
    outcomes: tuple[EntryOutcome, ...]

    @property
    def entered(self) -> tuple[str, ...]:
        return tuple(o.symbol for o in self.outcomes if o.shares)


class Entries:
    """One open at a time. ``reconciled`` gives the latest reconcile, ``day_pnl`` the day's dollars."""

    def __init__(
        self,
        rest: AlpacaRest,
        desk: OrderDesk,
        book: PositionsBook,
        clock: MarketClock,
        prices: PriceStream,
        live: LivePrices,
        journal: JournalDb,
        settings: Settings,
        events: EventSink,
        *,
        reconciled: Callable[[], ReconcileReport | None],
        day_pnl: Callable[[], Decimal],
        stops: EntryProtection,
    ) -> None:
        self.allocation: Decimal | None = None
        self.entering: set[str] = set()
        self._refused: dict[str, str] = {}
        self._refused_on: date | None = None  # the session that did not enter them
        self._rest, self._desk, self._book, self._clock = rest, desk, book, clock
        self._prices, self._live, self._journal, self._events = prices, live, journal, events
        self._rules, self._mode = settings.execution, settings.broker.mode
        self._reconciled, self._day_pnl, self._stops = reconciled, day_pnl, stops
        self._task: asyncio.Task[list[EntryOutcome]] | None = None
        self._busy = False  # somebody is in ``enter``, from before its first question to the broker

    async def restore(self, session: date) -> None:
        """The allocation of a day that an earlier life of the engine began."""
        kept = await self._journal.get(_DAY, {})
        if kept.get("session") == session.isoformat():
            self.allocation = Decimal(kept["allocation"])

    def refused_on(self, session: date) -> dict[str, str]:
        """The names that ``session`` did not enter, with the reason; an earlier day's are not its own."""
        return self._refused if session == self._refused_on else {}

    def stop(self) -> None:
        """Ends the entries under way; their open orders are cancelled by who asked for them."""
        if self._task is not None:
            self._task.cancel()

    async def enter(
        self,
        session: Session,
        list_hash: str,
        picks: Sequence[tuple[str, int]],
        last_closes: Mapping[str, float],
        atr: Mapping[str, float],
    ) -> EntryReport:
        """See ``ExecutionDesk.enter``. RefusedError while an earlier call is under way: both could buy a name."""
        if self._busy:
            raise RefusedError("no entries: others are under way; wait for their end")
        self._busy = True
        try:
            return await self._enter(session, list_hash, picks, last_closes, atr)
        finally:
            self._busy = False

    async def _enter(
        self,
        session: Session,
        list_hash: str,
        picks: Sequence[tuple[str, int]],
        last_closes: Mapping[str, float],
        atr: Mapping[str, float],
    ) -> EntryReport:
        account = await self._rest.account()
        approval = await self._journal.approval(session.day)
        wanted = self.wanted(session, list_hash, account)
        refusal = gates.approval_gate(approval, wanted, self._valid_until(session), self._clock.now())
        begun = [self._bought_before(symbol, session.day) for symbol, _ in picks]
        if not refusal.passed:
            if not any(begun):
                raise RefusedError(f"no entries: {refusal.text}")
            # An earlier life of the engine was here in time: what it bought is the answer.
            late = [o or EntryOutcome(s, 0, None, refusal) for o, (s, _) in zip(begun, picks, strict=True)]
            return EntryReport(session.day, await self._allocate(session.day, account, approval), tuple(late))
        allocated = await self._allocate(session.day, account, approval)
        plans = [
            EntryPlan(symbol, position, _dollars(last_closes.get(symbol)) or Decimal(0), _dollars(atr.get(symbol)))
            for (symbol, position), before in zip(picks, begun, strict=True)
            if before is None
        ]
        trader = RealTrader(
            self._desk,
            self._clock,
            self._live,
            self._events,
            self._rules,
            lambda symbol, first: self._account_gates(symbol, first, approval, wanted, session),
            self._stops,
        )
        self._refused, self._refused_on = {}, session.day
        self.entering = {plan.symbol for plan in plans}
        await self._prices.subscribe(sorted(self.entering))
        try:
            await self._clock.wait_until(session.open)
            day = EntryDay(session, at_new_york(session.day, self._rules.entry_window_end), allocated)
            self._task = asyncio.create_task(trader.enter(day, plans), name="entries")
            decided = await self._finished(self._task)
        finally:
            self._task = None
            self.entering = set()
        self._refused = {o.symbol: o.refused.text for o in decided if o.refused is not None and not o.shares}
        await self._prices.unsubscribe([p.symbol for p in plans if not self._book.shares(p.symbol)])
        entered = {o.symbol: o for o in (*decided, *filter(None, begun))}
        return EntryReport(session.day, allocated, tuple(entered[symbol] for symbol, _ in picks))

    async def _finished(self, entries: asyncio.Task[list[EntryOutcome]]) -> list[EntryOutcome]:
        """The outcomes; RefusedError when flatten or the day's loss stopped the entries."""
        try:
            await asyncio.wait({entries})
        except asyncio.CancelledError:
            entries.cancel()
            raise
        if not entries.cancelled():
            return entries.result()
        for order in self._desk.open_orders():
            if order.intent.leg == ENTRY:
                await self._desk.cancel(order)
        raise RefusedError(f"the entries were stopped: {self._desk.latched or 'the engine stops'}")

    def _bought_before(self, symbol: str, session: date) -> EntryOutcome | None:
        """What this session has already bought of a name (before a restart, or by a call before this one)."""
        holding = self._book.holdings.get(symbol)
        if holding is None or holding.session != session:
            return None
        return EntryOutcome(symbol, holding.tsh.bought, holding.tsh.entry)

    async def _allocate(self, session: date, account: Account, approval: Approval | None) -> Decimal:
        """The day's allocation: computed once, kept over a restart in the middle of the entries."""
        await self.restore(session)
        kept = await self._journal.get(_DAY, {})
        if kept.get("session") != session.isoformat() or self.allocation is None:
            self.allocation = self.would_allocate(account, approval.size if approval is not None else 1.0)
            await self._journal.put(_DAY, {"session": session.isoformat(), "allocation": str(self.allocation)})
        return self.allocation

    def would_allocate(self, account: Account, size: float) -> Decimal:
        """Dollars that a day begun now would get; ``size`` is what the advice makes of it (``Approval.size``)."""
        return allocation(
            account.equity,
            account.buying_power,
            share=self._rules.allocation_share,
            advised_size=self._rules.advised_size * size,
        )

    # --- gates ---------------------------------------------------------------------------------

    def wanted(self, session: Session, list_hash: str, account: Account | None) -> ApprovedFor:
        number = account.number if account is not None else ""
        return ApprovedFor(session.day, list_hash, number, self._mode.value)

    def board(
        self,
        approval: Approval | None,
        wanted: ApprovedFor,
        session: Session,
        allocated: Decimal | None = None,
    ) -> list[GateReport]:
        """The gates that concern the account and no single name.

        ``allocated``: dollars that the loss is measured against instead of the day's own allocation.
        """
        report = self._reconciled()
        return [
            gates.approval_gate(approval, wanted, self._valid_until(session), self._clock.now()),
            gates.latch_gate(self._desk.latched),
            gates.reconcile_gate(report is not None and report.clean, report.detail if report else ""),
            self.loss_gate(allocated),
            gates.order_count_gate(len(self._desk.of_session(session.day)), self._rules.max_orders_a_day),
        ]

    def loss_gate(self, allocated: Decimal | None = None) -> GateReport:
        against = self.allocation if allocated is None else allocated
        if against is None:
            return GateReport("day_loss", True, "no allocation yet today")
        return gates.day_loss_gate(self._day_pnl(), against, self._rules.day_loss_pct)

    def position_gate(self, symbol: str = "") -> GateReport:
        """How many other names are held or on their way."""
        held = {h.symbol for h in self._book.open_holdings()}
        on_the_way = {o.intent.symbol for o in self._desk.open_orders() if o.intent.side == "buy"}
        return gates.position_count_gate(len((held | on_the_way) - {symbol}), self._rules.names)

    def _account_gates(
        self, symbol: str, first: bool, approval: Approval | None, wanted: ApprovedFor, session: Session
    ) -> list[GateReport]:
        reports = self.board(approval, wanted, session)
        reports.append(gates.market_gate(self._clock.is_open, self._clock.now(), session))
        reports.append(self.position_gate(symbol))
        if first:
            report = self._reconciled()
            held = set(report.held if report is not None else ())
            held |= {h.symbol for h in self._book.open_holdings()}
            held |= {t.symbol for t in trades_of(self._book.closed, session.day)}
            # Before the first order of a name from here, one that works was sent by somebody else of this home.
            held |= {o.intent.symbol for o in self._desk.open_orders(symbol) if o.intent.side == "buy"}
            reports.append(gates.held_gate(symbol, held))
        else:
            holding = self._book.holdings.get(symbol)
            leaving = holding is not None and holding.session == session.day and holding.tsh.leaving
            reports.append(GateReport("leaving", not leaving, "already leaving" if leaving else "not leaving"))
        return reports

    def _valid_until(self, session: Session) -> datetime:
        return at_new_york(session.day, self._rules.approval_valid_until)


def _dollars(value: float | None) -> Decimal | None:
    if value is None or not value > 0:
        return None
    return Decimal(str(round(value, 6)))
