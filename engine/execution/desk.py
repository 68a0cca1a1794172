"""The execution desk: the one thing the daemon holds to trade a day.

It joins the streams, the order path, the book, the exits, reconcile and flatten, and owns
the heartbeat that turns market time into end-of-day exits. Prices come from the stream,
print by print; when they are stale in regular hours REST stands in and is shown as such.
A desk that is started in the middle of a day finds its positions in the journal and goes
on managing them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import Account, BrokerOrder
from engine.broker.clock import MarketClock
from engine.broker.credentials import Credentials
from engine.broker.errors import BrokerError
from engine.broker.price_stream import HaltNotice, PriceStream
from engine.broker.stream_link import LinkState
from engine.broker.trade_stream import TradeStream
from engine.config import Settings
from engine.errors import OperatorError, RefusedError
from engine.events import AlertRaised, EventSink, FlattenChanged, LinkChanged, PositionClosed, TshChanged
from engine.execution import flatten as flattening
from engine.execution import gates
from engine.execution.allocation import allocation
from engine.execution.exits import ExitRunner
from engine.execution.flatten import Flattener, FlattenPorts
from engine.execution.gates import ApprovedFor, GateReport
from engine.execution.order_ids import ENTRY, FLATTEN
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import Change, ClosedTrade, PositionsBook, trades_of
from engine.execution.positions_view import positions_view
from engine.execution.real_trader import EntryDay, EntryOutcome, EntryPlan, RealTrader, account_board
from engine.execution.reconcile import Reconciler, ReconcileReport
from engine.execution.tsh_trade_management import ExitReason, Phase, TshRules
from engine.home import Home
from engine.journal import JournalDb
from engine.model import NEW_YORK, Quote, Session, Tick
from engine.orders_model import Approval, Fill, OrderIntent
from engine.views import FlattenView, LinkView, PositionsView

log = logging.getLogger(__name__)

BEAT_S = 0.1  # the heartbeat, wall seconds
FAST_CLOCK_READ_S = 1.0  # how often the broker's clock is read while market time runs fast
CLOCK_READ_S = 30.0
REST_PRICE_S = 1.0  # how often REST stands in for a silent stream
CALENDAR_DAYS = 10
_LEVELS, _DAY, _FLATTEN = "tsh_levels", "trading_day", "flatten"


@dataclass(frozen=True, slots=True)
class DayReport:
    """What became of a trading day. Dollars."""

    session: date
    trades: tuple[ClosedTrade, ...]
    pnl: Decimal  # realised
    carried: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntryReport:
    """What became of the entries; ``entered`` had at least one share bought."""

    session: date
    allocation: Decimal
    outcomes: tuple[EntryOutcome, ...]

    @property
    def entered(self) -> tuple[str, ...]:
        return tuple(o.symbol for o in self.outcomes if o.shares)


class ExecutionDesk:
    """Build it with everything it needs, ``start`` it, and ``stop`` it at the end of the engine's life."""

    def __init__(
        self,
        rest: AlpacaRest,
        credentials: Credentials,
        clock: MarketClock,
        journal: JournalDb,
        home: Home,
        settings: Settings,
        events: EventSink,
    ) -> None:
        self.clock, self.events = clock, events
        self._rest, self._journal, self._home = rest, journal, home
        self._settings = rules = settings.execution
        self._broker = settings.broker
        self.book = PositionsBook(
            TshRules(rules.bracket_table(), rules.target == "ride", rules.exit_minutes, rules.exit_wall_s)
        )
        self.desk = OrderDesk(rest, journal, home, clock, events, self._on_fill)
        self.prices = PriceStream(
            rest.endpoints.price_stream_url,
            credentials,
            on_state=self._on_link,
            on_tick=self._on_tick,
            on_halt=self._on_halt,
            expects_data=lambda: self.clock.known and self.clock.is_open,
            stale_after_s=rules.stale_after_s,
        )
        self.trades = TradeStream(
            rest.endpoints.trade_stream_url,
            credentials,
            on_update=self.desk.on_update,
            on_state=self._on_link,
            on_connected=self._after_connect,
        )
        self._exits = ExitRunner(rest, self.desk, self.book, clock, self._fresh_quote, self._session_day)
        self._reconciler = Reconciler(
            rest,
            self.desk,
            self.book,
            events,
            entering=lambda symbol: symbol in self._entering,
            exiting=self._exits.running,
            now=clock.now,
            on_lost=lambda symbol, shares: self.book.lost(symbol, shares, clock.now(), self._session_day()),
        )
        self.account: Account | None = None
        self.allocation: Decimal | None = None
        self._sessions: list[Session] = []
        self._reconciled: ReconcileReport | None = None
        self._reconciling = asyncio.Lock()
        self._entering: set[str] = set()
        self._refused: dict[str, str] = {}
        self._entry_task: asyncio.Task[list[EntryOutcome]] | None = None
        self._flattener: Flattener | None = None
        self._flatten_task: asyncio.Task[FlattenView] | None = None
        self._flatten_foreign = False
        self._flatten_view = FlattenView()
        self._tasks: list[asyncio.Task[None]] = []
        self._levels_written = ""
        self._rest_priced_at = 0.0
        self._reconciled_at = 0.0
        self._dirty = False
        self._started = False

    # --- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Restores the book from the journal, reconciles, opens both streams, resumes what was under way.

        Raises a BrokerError when the broker does not answer at all: nothing was sent.
        """
        await self.clock.refresh()
        self.account = await self._rest.account()
        await self._read_calendar()
        today = self._session_day()
        for fill, intent in await self.desk.restore(today):
            self.book.on_fill(fill, intent.session, self._close_of(intent.session, fill.at))
        leaving = self.book.restore_levels(await self._journal.get(_LEVELS, {}))
        day = await self._journal.get(_DAY, {})
        if day.get("session") == today.isoformat():
            self.allocation = Decimal(day["allocation"])
        self._started = True
        self.trades.start()
        self.prices.start()
        await self.prices.subscribe([h.symbol for h in self.book.open_holdings()])
        await self.trades.wait_live(self._broker.timeout_s)
        await self.reconcile()
        for symbol in leaving:
            self._start_exit(symbol, self.book.holdings[symbol].tsh.reason or ExitReason.MANUAL)
        self._tasks = [
            asyncio.create_task(self._heartbeat(), name="execution heartbeat"),
            asyncio.create_task(self._watch(), name="execution watch"),
        ]
        kept = await self._journal.get(_FLATTEN, {})
        if kept.get("state") in ("running", "queued"):
            self._begin_flatten(bool(kept.get("include_foreign")))

    async def stop(self) -> None:
        """Ends streams and tasks; positions and sent orders stay as they are at the broker."""
        if self._entry_task is not None:
            self._entry_task.cancel()
        tasks: list[asyncio.Task[None]] = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._flatten_task is not None:
            self._flatten_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._flatten_task
        await self._exits.halt()
        if self._started:
            await self._save_levels()
        await self.prices.stop()
        await self.trades.stop()

    # --- what the daemon asks ------------------------------------------------------------------

    @property
    def is_clean(self) -> bool:
        """Whether the last reconcile found book and broker in agreement."""
        return self._reconciled is not None and self._reconciled.clean

    @property
    def latched(self) -> str:
        return self.desk.latched

    @property
    def is_flat(self) -> bool:
        return not self.book.open_holdings() and not self.desk.open_orders()

    def session(self) -> Session | None:
        """The session that is open or comes next, by the broker's calendar."""
        now = self.clock.now()
        return next((s for s in self._sessions if now < s.close), None)

    def day_pnl(self) -> Decimal:
        """Realised and open dollars of TSH positions today."""
        return self.book.realised(self._session_day()) + self.book.unrealised()

    def exposure(self) -> Decimal:
        return sum((h.tsh.last * h.tsh.shares for h in self.book.open_holdings()), Decimal(0))

    async def reconcile(self) -> ReconcileReport:
        """One pass now (also done after each reconnect and every ``broker.reconcile_s``)."""
        async with self._reconciling:
            self._reconciled_at = time.monotonic()
            report = await self._reconciler.run()
            for change in report.lost:
                self._tell(change)
            with suppress(BrokerError):
                self.account = await self._rest.account()
            self._reconciled = report
            return report

    async def enter(
        self,
        session: Session,
        list_hash: str,
        picks: Sequence[tuple[str, int]],
        last_closes: Mapping[str, float],
        atr: Mapping[str, float],
    ) -> EntryReport:
        """Buys the approved list at the open of ``session``; waits for the open and until every name is decided.

        ``picks``: (symbol, position) best first; ``last_closes`` and ``atr`` (ATR(20)) in dollars. A name that
        this session has bought already is not bought again but reported as entered. Every refusal is an event.
        Raises RefusedError without a valid approval of exactly this list, BrokerError when the broker is away.
        """
        self.account = await self._rest.account()
        approval = await self._journal.approval(session.day)
        wanted = ApprovedFor(session.day, list_hash, self.account.number, self._broker.mode.value)
        refusal = gates.approval_gate(approval, wanted, self._valid_until(session), self.clock.now())
        begun = [self._bought_before(symbol, session.day) for symbol, _ in picks]
        if not refusal.passed:
            if any(begun):  # an earlier life of the engine was here in time: what it bought is the answer
                outcomes = tuple(
                    o or EntryOutcome(s, 0, None, refusal) for o, (s, _) in zip(begun, picks, strict=True)
                )
                return EntryReport(session.day, await self._allocate(session.day), outcomes)
            raise RefusedError(f"no entries: {refusal.text}")
        allocated = await self._allocate(session.day)
        plans = [
            EntryPlan(symbol, position, _dollars(last_closes.get(symbol)) or Decimal(0), _dollars(atr.get(symbol)))
            for (symbol, position), before in zip(picks, begun, strict=True)
            if before is None
        ]
        self._refused.clear()
        self._entering = {plan.symbol for plan in plans}
        await self.prices.subscribe(sorted(self._entering))
        try:
            await self.clock.wait_until(session.open)
            day = EntryDay(session, self._at(session.day, self._settings.entry_window_end), allocated)
            trader = RealTrader(
                self.desk,
                self.clock,
                self,
                self.events,
                self._settings,
                lambda symbol, first: self._account_gates(symbol, first, approval, wanted, session),
            )
            self._entry_task = asyncio.create_task(trader.enter(day, plans), name="entries")
            decided = await self._finished(self._entry_task)
        finally:
            self._entry_task = None
            self._entering = set()
        self._refused = {o.symbol: o.refused.text for o in decided if o.refused is not None and not o.shares}
        await self.prices.unsubscribe([p.symbol for p in plans if not self.book.shares(p.symbol)])
        entered = {o.symbol: o for o in (*decided, *filter(None, begun))}
        return EntryReport(session.day, allocated, tuple(entered[symbol] for symbol, _ in picks))

    def _bought_before(self, symbol: str, session: date) -> EntryOutcome | None:
        """What this session has already bought of a name (before a restart, or by a call before this one)."""
        holding = self.book.holdings.get(symbol)
        if holding is None or holding.session != session:
            return None
        return EntryOutcome(symbol, holding.tsh.bought, holding.tsh.entry)

    async def _allocate(self, session: date) -> Decimal:
        """The day's allocation: computed once, kept over a restart in the middle of the entries."""
        kept = await self._journal.get(_DAY, {})
        if kept.get("session") == session.isoformat():
            self.allocation = Decimal(kept["allocation"])
        else:
            if self.account is None:
                raise OperatorError("the account is not known yet; check the link to the broker")
            self.allocation = allocation(
                self.account.equity,
                self.account.buying_power,
                share=self._settings.allocation_share,
                advised_size=self._settings.advised_size,
            )
            await self._journal.put(_DAY, {"session": session.isoformat(), "allocation": str(self.allocation)})
        return self.allocation

    async def _finished(self, entries: asyncio.Task[list[EntryOutcome]]) -> list[EntryOutcome]:
        """The outcomes; RefusedError when flatten or the day's loss stopped the entries."""
        try:
            await asyncio.wait({entries})
        except asyncio.CancelledError:
            entries.cancel()
            raise
        if not entries.cancelled():
            return entries.result()
        for order in self.desk.open_orders():
            if order.intent.leg == ENTRY:
                await self.desk.cancel(order)
        raise RefusedError(f"the entries were stopped: {self.latched or 'the engine stops'}")

    async def run_until_flat(self) -> DayReport:
        """Returns when no TSH position is open, or the session is over and what is left is CARRIED."""
        session = self._session_day()
        while True:
            left = self.book.open_holdings()
            if not left or all(h.tsh.phase is Phase.CARRIED for h in left):
                trades = tuple(trades_of(self.book.closed, session))
                await self._save_levels()
                held = {h.symbol for h in left}
                await self.prices.unsubscribe(self.prices.symbols - held)
                return DayReport(
                    session, trades, sum((t.pnl for t in trades), Decimal(0)), tuple(h.symbol for h in left)
                )
            await asyncio.sleep(BEAT_S)

    async def exit_one(self, symbol: str, by: str) -> None:
        """Sells one TSH position now. RefusedError when there is none."""
        change = self.book.request_exit(symbol, ExitReason.MANUAL)
        if change is None:
            raise RefusedError(f"no open TSH position in {symbol}; the positions screen lists what there is")
        log.info("%s: exit asked by %s", symbol, by)
        self._tell(change)

    async def latch(self, reason: str) -> None:
        await self.desk.latch(reason)

    async def unlatch(self, by: str) -> None:
        """Entries may leave again. RefusedError while flatten is at work."""
        if self.flattening:
            raise RefusedError("flatten is at work: entries stay latched until it has ended")
        await self.desk.unlatch(by)

    @property
    def flattening(self) -> bool:
        return self._flatten_task is not None and not self._flatten_task.done()

    async def flatten(self, by: str, include_foreign: bool = False) -> FlattenView:
        """Latches entries and flattens; the final view (flat, queued or failed). A second call joins the first.

        ``include_foreign`` adds orders and positions that are not TSH's. Never refused.
        """
        try:
            await self.desk.latch(f"flatten by {by}")
        except OSError as error:  # a home that cannot be written must not keep positions open
            self.events.publish(
                AlertRaised(key="latch-file", message=f"the LATCH file cannot be written: {error}")
            )
        if self._entry_task is not None:
            self._entry_task.cancel()
        task = self._begin_flatten(include_foreign)
        return await asyncio.shield(task)

    def go_board(self, approval: Approval | None, session: Session, list_hash: str) -> tuple[GateReport, ...]:
        """The GO / NO-GO board before the open: every gate that can be asked without a quote."""
        number = self.account.number if self.account is not None else ""
        wanted = ApprovedFor(session.day, list_hash, number, self._broker.mode.value)
        now = self.clock.now()
        board = [
            gates.approval_gate(approval, wanted, self._valid_until(session), now),
            gates.latch_gate(self.latched),
            gates.reconcile_gate(self.is_clean, self._reconciled.detail if self._reconciled else ""),
            self._loss_gate(),
            gates.order_count_gate(len(self.desk.of_session(session.day)), self._settings.max_orders_a_day),
            gates.position_count_gate(len(self.book.open_holdings()), self._settings.names),
            gates.link_gate("prices", self.prices.state, self.prices.detail),
            gates.link_gate("orders", self.trades.state, self.trades.detail),
        ]
        if self.account is not None:
            board.append(account_board(self.account))
        return tuple(board)

    def views(self) -> PositionsView:
        """The positions screen, now."""
        session = self._session_day()
        return positions_view(
            self.book,
            self.desk.of_session(session),
            self.desk.foreign.values(),
            self._reconciled.foreign if self._reconciled is not None else (),
            session=session,
            entering=self._entering,
            refused=self._refused,
            allocation=self.allocation,
            now_s=time.monotonic(),
            stale_after_s=self._settings.stale_after_s,
            market_open=self.clock.is_open,
        )

    def flatten_view(self) -> FlattenView:
        """What flatten is doing; before one, what it would close and what crossing the spread may cost."""
        if self._flatten_view.state != "idle":
            return self._flatten_view
        cost: Decimal | None = Decimal(0)
        for holding in self.book.open_holdings():
            quote = self.prices.quotes.get(holding.symbol)
            if quote is None or cost is None:
                cost = None
                break
            cost += (quote.ask - quote.bid) / 2 * holding.tsh.shares
        return FlattenView(
            exposure=self.exposure(),
            positions=len(self.book.open_holdings()),
            orders=len(self.desk.open_orders()),
            market_open=self.clock.is_open,
            expected_cost=cost,
            foreign=self._reconciled.foreign if self._reconciled is not None else (),
        )

    def link_views(self) -> tuple[LinkView, LinkView]:
        """(prices, orders) for the status strip."""
        return (
            LinkView(
                state=self.prices.state,
                age_s=self.prices.age_s,
                latency_ms=self.prices.latency_ms,
                detail=self.prices.detail,
            ),
            LinkView(
                state=self.trades.state,
                age_s=self.trades.age_s,
                latency_ms=self.trades.latency_ms,
                detail=self.trades.detail,
            ),
        )

    # --- EntryFeed: fresh numbers for the gates ------------------------------------------------

    async def quote(self, symbol: str) -> Quote | None:
        """On IEX the gates use REST quotes (CONTRACTS, *Execution defaults*); on SIP the stream's, if fresh."""
        if self._broker.feed == "sip":
            quote = self._fresh_quote(symbol)
            if quote is not None:
                return quote
        return (await self._rest.latest_quotes([symbol])).get(symbol)

    def quote_age_s(self, quote: Quote) -> float:
        """Wall seconds: since we saw it, or by the venue's time stamp, whichever is more."""
        seen = time.monotonic() - quote.seen
        rate = self.clock.rate or 1.0
        stamped = (self.clock.now() - quote.at).total_seconds() / rate
        return max(0.0, seen, stamped)

    def halted(self, symbol: str) -> str | None:
        notice = self.prices.halted.get(symbol)
        return None if notice is None else notice.reason

    # --- gates of the account ------------------------------------------------------------------

    def _account_gates(
        self, symbol: str, first: bool, approval: Approval | None, wanted: ApprovedFor, session: Session
    ) -> list[GateReport]:
        now = self.clock.now()
        others = {h.symbol for h in self.book.open_holdings()} - {symbol}
        on_the_way = {o.intent.symbol for o in self.desk.open_orders() if o.intent.side == "buy"} - {symbol}
        reports = [
            gates.approval_gate(approval, wanted, self._valid_until(session), now),
            gates.latch_gate(self.latched),
            gates.market_gate(self.clock.is_open, now, session),
            gates.reconcile_gate(self.is_clean, self._reconciled.detail if self._reconciled else ""),
            self._loss_gate(),
            gates.order_count_gate(len(self.desk.of_session(session.day)), self._settings.max_orders_a_day),
            gates.position_count_gate(len(others | on_the_way), self._settings.names),
        ]
        if first:
            held = set(self._reconciled.held if self._reconciled is not None else ())
            held |= {h.symbol for h in self.book.open_holdings()}
            held |= {t.symbol for t in trades_of(self.book.closed, session.day)}
            reports.append(gates.held_gate(symbol, held))
        else:
            holding = self.book.holdings.get(symbol)
            leaving = holding is not None and holding.session == session.day and holding.tsh.leaving
            reports.append(GateReport("leaving", not leaving, "already leaving" if leaving else "not leaving"))
        return reports

    def _loss_gate(self) -> GateReport:
        if self.allocation is None:
            return GateReport("day_loss", True, "no allocation yet today")
        return gates.day_loss_gate(self.day_pnl(), self.allocation, self._settings.day_loss_pct)

    def _valid_until(self, session: Session) -> datetime:
        return self._at(session.day, self._settings.approval_valid_until)

    @staticmethod
    def _at(day: date, new_york: clock_time) -> datetime:
        return datetime.combine(day, new_york, tzinfo=NEW_YORK)

    # --- what the streams and the clock tell ---------------------------------------------------

    def _on_tick(self, tick: Tick) -> None:
        change = self.book.on_tick(tick)
        if change is not None:
            self._tell(change)

    def _on_halt(self, notice: HaltNotice) -> None:
        change = self.book.on_halt(notice.symbol, notice.halted, notice.at)
        if change is not None:
            word = "halted" if notice.halted else "trades again"
            self.events.publish(
                AlertRaised(
                    key=f"halt-{notice.symbol}-{notice.at.isoformat()}",
                    message=f"{notice.symbol} {word}: {notice.reason}",
                )
            )
            self._tell(change)

    async def _on_fill(self, fill: Fill, intent: OrderIntent) -> None:
        close = self._close_of(intent.session, fill.at)
        change = self.book.on_fill(fill, intent.session, close, time.monotonic())
        if change is None:
            log.warning("%s: a sell of %d shares without a position", fill.symbol, fill.shares)
            return
        await self.prices.subscribe([fill.symbol])
        self._dirty = True
        self._tell(change)

    def _on_link(self, name: str, state: LinkState, detail: str) -> None:
        self.events.publish(LinkChanged(link=name, state=state, detail=detail))
        if state == "refused":
            self.events.publish(AlertRaised(key=f"link-{name}", message=f"{name} stream refused: {detail}"))

    async def _after_connect(self) -> None:
        await self.reconcile()

    def _tell(self, change: Change) -> None:
        """Publishes what changed and starts the exit that was asked for."""
        tsh = change.holding.tsh
        if change.phase_changed:
            self._dirty = True
            self.events.publish(
                TshChanged(symbol=tsh.symbol, state=tsh.phase.value, price=tsh.last, why_next=tsh.why_next)
            )
            if tsh.phase is Phase.CARRIED:
                self.events.publish(
                    AlertRaised(
                        key=f"carried-{tsh.symbol}-{tsh.session_close.date()}",
                        message=f"{tsh.symbol}: {tsh.shares} shares missed the close, sold at the next open",
                    )
                )
        if change.closed is not None:
            trade = change.closed
            self.events.publish(
                PositionClosed(
                    symbol=trade.symbol,
                    shares=trade.shares,
                    entry=trade.entry.quantize(Decimal("0.0001")),
                    exit=trade.exit.quantize(Decimal("0.0001")),
                    pnl=trade.pnl.quantize(Decimal("0.01")),
                    reason=trade.reason,
                )
            )
        if change.exit is not None:
            self._start_exit(tsh.symbol, change.exit.reason)

    def _start_exit(self, symbol: str, reason: ExitReason) -> None:
        if not self.flattening:  # flatten sells everything itself; two sellers would fight over the shares
            self._exits.start(symbol, reason)

    async def _heartbeat(self) -> None:
        """Turns market time into exits; must never end and never wait for anybody."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                self._beat()
            except Exception:  # one bad beat must not stop end-of-day exits
                log.exception("the execution heartbeat failed")

    def _beat(self) -> None:
        now = self.clock.now()
        for change in self.book.on_clock(now, self.clock.rate, self.session()):
            self._tell(change)
        for holding in self.book.open_holdings():
            if (
                holding.tsh.phase is Phase.EXITING
                and self.clock.is_open
                and not self._exits.running(holding.symbol)
            ):
                self._start_exit(holding.symbol, holding.tsh.reason or ExitReason.MANUAL)
        if self.allocation is not None and self.book.open_holdings() and not self._loss_gate().passed:
            self._day_loss()

    def _day_loss(self) -> None:
        if not self.latched:
            latching = self.desk.latch(f"daily loss: {self._loss_gate().numbers}")
            self._tasks.append(asyncio.create_task(latching, name="latch after a day's loss"))
        if self._entry_task is not None:
            self._entry_task.cancel()
        for holding in self.book.open_holdings():
            if not holding.tsh.leaving and holding.tsh.phase is not Phase.CARRIED:
                change = self.book.request_exit(holding.symbol, ExitReason.DAY_LOSS)
                if change is not None:
                    self._tell(change)

    async def _watch(self) -> None:
        """The slower duties: clock readings, REST prices for a silent stream, reconcile, levels to disk."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._duties()
            except OperatorError as error:
                log.warning("execution watch: %s", error)
            except Exception:  # the watch must go on; each duty is repeated anyway
                log.exception("the execution watch failed")

    async def _duties(self) -> None:
        busy = bool(self.book.open_holdings() or self._entering)
        every = FAST_CLOCK_READ_S if self.clock.rate != 1.0 and busy else CLOCK_READ_S
        if self.clock.reading_age_s > every:
            await self.clock.refresh()
            if self.session() is None or self._sessions[-1].day < self._today() + timedelta(days=3):
                await self._read_calendar()
        if self._dirty or busy:
            await self._save_levels()
        if time.monotonic() - self._rest_priced_at > REST_PRICE_S:
            await self._rest_prices()
        if time.monotonic() - self._reconciled_at > self._broker.reconcile_s or (
            not self.is_clean and time.monotonic() - self._reconciled_at > 2.0
        ):
            await self.reconcile()
        if self._flatten_view.state == "queued" and self.clock.is_open and not self.flattening:
            self._begin_flatten(self._flatten_foreign)

    async def _rest_prices(self) -> None:
        """REST trades for positions whose stream is silent in regular hours."""
        if not self.clock.is_open:
            return
        now = time.monotonic()
        silent = [
            h.symbol
            for h in self.book.open_holdings()
            if (h.priced_at is None or now - h.priced_at > self._settings.stale_after_s) or h.source == "rest"
        ]
        if not silent:
            return
        self._rest_priced_at = now
        ticks = await self._rest.latest_trades(silent)
        quotes = await self._rest.latest_quotes(silent)
        for symbol in silent:
            tick, quote = ticks.get(symbol), quotes.get(symbol)
            if quote is not None and gates.spread_gate(quote, self._settings.spread_cap_pct).passed:
                middle = Tick(symbol, (quote.bid + quote.ask) / 2, quote.at, quote.seen)
                if tick is None or middle.at > tick.at:
                    tick = middle
            if tick is not None:
                change = self.book.on_tick(tick, "rest")
                if change is not None:
                    self._tell(change)

    # --- flatten inside the engine -------------------------------------------------------------

    def _begin_flatten(self, include_foreign: bool) -> asyncio.Task[FlattenView]:
        if self._flatten_task is None or self._flatten_task.done():
            self._flatten_foreign = include_foreign
            self._flatten_task = asyncio.create_task(self._flatten(include_foreign), name="flatten")
        return self._flatten_task

    async def _flatten(self, include_foreign: bool) -> FlattenView:
        await self._exits.halt()
        for holding in self.book.open_holdings():
            change = self.book.request_exit(holding.symbol, ExitReason.FLATTEN)
            if change is not None:
                self._tell(change)

        async def look() -> flattening.Seen:
            seen = await flattening.look(
                self._rest, self._home.id8, self.clock.now(), include_foreign=include_foreign
            )
            for order in seen.orders:
                await self.desk.apply(order)
            return seen

        async def cancel(order: BrokerOrder) -> None:
            await self._rest.cancel(order.id)

        async def sell(symbol: str, shares: int) -> str:
            order = await self.desk.send(
                self._session_day(), symbol, "sell", shares, "market", None, leg=FLATTEN, why="flatten"
            )
            return order.problem

        async def market_open() -> bool:
            return (await self.clock.refresh()).is_open

        async def save(state: str, step: str) -> None:
            self.events.publish(FlattenChanged(step=state, detail=step))
            await self._journal.put(_FLATTEN, {"state": state, "include_foreign": include_foreign})

        def report(view: FlattenView) -> None:
            self._flatten_view = view

        async def pause() -> None:
            await asyncio.sleep(flattening.PAUSE_S)

        view = await Flattener(FlattenPorts(look, cancel, sell, market_open, save, report, pause)).run()
        await self.reconcile()
        return view

    # --- small things --------------------------------------------------------------------------

    def _fresh_quote(self, symbol: str) -> Quote | None:
        quote = self.prices.quotes.get(symbol)
        if quote is None or self.quote_age_s(quote) > self._settings.quote_age_s:
            return None
        return quote

    def _today(self) -> date:
        return self.clock.now().astimezone(NEW_YORK).date()

    def _session_day(self) -> date:
        """The New York date that ids and P&L carry: the session that is open, was open today, or comes next."""
        today = self._today()
        if any(s.day == today for s in self._sessions):
            return today
        upcoming = self.session()
        return today if upcoming is None else upcoming.day

    def _close_of(self, session: date, at: datetime) -> datetime:
        known = next((s.close for s in self._sessions if s.day == session), None)
        if known is not None:
            return known
        # An old session that the calendar no longer covers: it is over, the position is carried.
        return at

    async def _read_calendar(self) -> None:
        today = self._today()
        self._sessions = await self._rest.calendar(
            today - timedelta(days=CALENDAR_DAYS), today + timedelta(days=CALENDAR_DAYS)
        )

    async def _save_levels(self) -> None:
        levels = self.book.levels()
        if (text := repr(levels)) != self._levels_written:
            self._levels_written = text
            await self._journal.put(_LEVELS, levels)
        self._dirty = False


def _dollars(value: float | None) -> Decimal | None:
    if value is None or not value > 0:
        return None
    return Decimal(str(round(value, 6)))
