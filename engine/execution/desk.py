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
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import Account
from engine.broker.clock import MarketClock
from engine.broker.credentials import Credentials
from engine.broker.price_stream import PriceStream
from engine.broker.stream_link import LinkState, StreamLink
from engine.broker.trade_stream import TradeStream
from engine.errors import RefusedError
from engine.events import AlertRaised, EventSink, LinkChanged
from engine.execution import gates
from engine.execution.account_watch import AccountWatch
from engine.execution.drift import DriftAlarm
from engine.execution.duties import Duties
from engine.execution.engine_flatten import EngineFlatten
from engine.execution.entries import Entries, EntryReport
from engine.execution.entry_latch import UNWRITABLE
from engine.execution.exits import ExitRunner
from engine.execution.gates import GateReport
from engine.execution.levels_keeper import LevelsKeeper
from engine.execution.live_prices import LivePrices
from engine.execution.loss_latch import LossLatch
from engine.execution.order_ids import EXIT, FLATTEN, OUTSIDE, STOP
from engine.execution.orders import OrderDesk
from engine.execution.outside_sales import OutsideSales
from engine.execution.position_watch import PositionWatch
from engine.execution.positions_book import ClosedTrade, PositionsBook, trades_of
from engine.execution.positions_view import flatten_preview, positions_view
from engine.execution.protective_stops import ProtectiveStops
from engine.execution.real_trader import account_board
from engine.execution.reconcile import Reconciler, ReconcileReport
from engine.execution.trading_calendar import TradingCalendar
from engine.execution.tsh_record import TshRecorder
from engine.execution.tsh_trade_management import ExitReason, Phase, TshRules
from engine.home import Home
from engine.journal import JournalDb
from engine.model import NEW_YORK, Session
from engine.orders_model import Approval, Fill, OrderIntent
from engine.settings import Settings
from engine.views import FlattenView, LinkView, PositionsView

log = logging.getLogger(__name__)

BEAT_S = 0.1  # the heartbeat, wall seconds
FAST_CLOCK_READ_S = 1.0  # how often the broker's clock is read while market time runs fast
CLOCK_READ_S = 30.0
DECISIONS_S = 0.25  # how often new highs and decisions are stored; intents do not wait for it
REST_PRICE_S = 1.0  # how often REST stands in for a silent stream
MOST_ORDERS_SHOWN = 100  # and all that may still trade: the screen is made four times a second
MAY_SELL_SHORT = (
    "the account may sell short: set no_shorting in its configuration, so that the broker refuses every sale of "
    "shares that are not there"
)
WARM_S = 20.0  # how often connections are used so that they stay open; hosts close them after a minute or so


@dataclass(frozen=True, slots=True)
class DayReport:
    """What became of a trading day. Dollars."""

    session: date
    trades: tuple[ClosedTrade, ...]
    pnl: Decimal  # realised
    carried: tuple[str, ...]


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
        rules, broker = settings.execution, settings.broker
        self.clock, self.events = clock, events
        self._record = TshRecorder()
        self.book = PositionsBook(
            TshRules(rules.bracket_table(), rules.target == "ride", rules.exit_minutes, rules.exit_wall_s),
            self._record,
        )
        self.desk = OrderDesk(rest, journal, home, events, self._on_fill)
        self.prices = PriceStream(
            rest.endpoints.price_stream_url,
            credentials,
            on_state=self._on_link,
            on_tick=lambda tick: self._watch.on_tick(tick),
            on_halt=lambda notice: self._watch.on_halt(notice),
            expects_data=lambda: clock.known and clock.is_open,
            stale_after_s=rules.stale_after_s,
        )
        self.trades = TradeStream(
            rest.endpoints.trade_stream_url,
            credentials,
            on_update=self.desk.on_update,
            on_state=self._on_link,
            on_connected=self._after_connect,
        )
        self._rest, self._rules, self._broker, self._journal = rest, rules, broker, journal
        self._calendar = TradingCalendar(rest, clock)
        self._live = LivePrices(rest, self.prices, clock, broker, rules)
        self._stops = ProtectiveStops(
            self.desk,
            self.book,
            clock,
            self._calendar.session_day,
            paused=lambda: self._flatten.sells,
            give_up=lambda symbol, why: self._watch.unprotected(symbol, why),
            caught_up=self._caught_up,
        )
        self._entries = Entries(
            rest,
            self.desk,
            self.book,
            clock,
            self.prices,
            self._live,
            journal,
            settings,
            events,
            reconciled=lambda: self._account.report,
            day_pnl=self.day_pnl,
            stops=self._stops,
        )
        self._exits = ExitRunner(
            rest, self.desk, self.book, clock, self._live.fresh_quote, self._calendar.session_day, self.reconcile
        )
        self._flatten = EngineFlatten(
            rest, self.desk, clock, self._calendar, journal, home, events, self._silence_sellers
        )
        reconciler = Reconciler(
            rest,
            self.desk,
            self.book,
            events,
            entering=lambda symbol: symbol in self._entries.entering,
            exiting=self._exits.running,
            now=clock.now,
            on_lost=OutsideSales(self.desk, self.book, clock.now, self._calendar.session_day).book,
        )
        self.drift = DriftAlarm(
            journal,
            self.desk,
            self.book,
            events,
            busy=lambda symbol: symbol in self._entries.entering or self._exits.running(symbol),
            keep=self.desk.keep,
        )
        self._account = AccountWatch(
            rest,
            self.desk,
            self.book,
            reconciler,
            self.drift,
            session=self._calendar.session_day,
            every_s=broker.reconcile_s,
        )
        self._levels = LevelsKeeper(journal, self.desk, self.book)
        self._loss_latch = LossLatch(journal, self.latch, self.desk.keep)
        self._duties = Duties()
        self._watch = PositionWatch(
            self.book, self._exits, clock, self._live, self._levels, events, flattening=lambda: self._flatten.sells
        )
        self._started = False

    # --- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Restores the book from the journal, reconciles, opens both streams, resumes what was under way.

        Raises a BrokerError when the broker does not answer at all: nothing was sent.
        """
        await self.clock.refresh()
        if (await self._account.read_account()).shorting_enabled:
            self.events.publish(AlertRaised(key="short-sales", message=MAY_SELL_SHORT))
        await self._calendar.read()
        today = self._calendar.session_day()
        for fill, intent in await self.desk.restore(today):
            close = self._calendar.close_of(intent.session, fill.at)
            self.book.on_fill(fill, intent.session, close, reason=_meant_by(intent))
        leaving = self.book.restore_levels(await self._levels.read())
        for session in self._calendar.sessions:
            self.book.close_moved(session)
        self._record.begin([(h.session, h.tsh) for h in self.book.open_holdings()])
        await self._entries.restore(today)
        await self._loss_latch.restore()
        await self.drift.restore()
        self._started = True
        self.trades.start()
        self.prices.start()
        await self.prices.subscribe([h.symbol for h in self.book.open_holdings()])
        await self.trades.wait_live(self._broker.timeout_s)
        await self.reconcile()
        for symbol in leaving:
            self._watch.start_exit(symbol, self.book.holdings[symbol].tsh.reason or ExitReason.MANUAL)
        self._duties.repeat("heartbeat", self._beat, BEAT_S)
        self._duties.repeat("clock", self._watch_clock, BEAT_S)
        self._duties.repeat("levels", self._levels.watch, BEAT_S)
        self._duties.repeat("decisions", self._keep_decisions, DECISIONS_S)
        self._duties.repeat("prices from REST", self._watch.stand_in, REST_PRICE_S)
        self._duties.repeat("warm connections", self._keep_warm, WARM_S)
        self._duties.repeat("reconcile", self._account.when_due, BEAT_S)
        await self._flatten.resume()

    async def stop(self) -> None:
        """Ends streams and tasks; positions and sent orders stay as they are at the broker."""
        self._entries.stop()
        await self._duties.stop()
        await self._flatten.stop()
        await self._stops.halt()
        await self._exits.halt()
        if self._started:
            await self._levels.save()
            await self._keep_decisions()
        await self.prices.stop()
        await self.trades.stop()
        await self.desk.lanes.drained()
        await self.desk.records.written()

    # --- what the daemon asks ------------------------------------------------------------------

    @property
    def account(self) -> Account | None:
        """As it was last read, None before the first time."""
        return self._account.account

    @property
    def is_clean(self) -> bool:
        """Whether the last reconcile found book and broker in agreement."""
        return self._account.is_clean

    @property
    def latched(self) -> str:
        """Why no entry may leave, or empty."""
        return self.desk.latched

    @property
    def flattening(self) -> bool:
        return self._flatten.running

    @property
    def is_flat(self) -> bool:
        return not self.book.open_holdings() and not self.desk.open_orders()

    @property
    def allocation(self) -> Decimal | None:
        """Dollars of the day, once the entries have begun."""
        return self._entries.allocation

    def session(self) -> Session | None:
        """The session that is open or comes next, by the broker's calendar."""
        return self._calendar.session()

    def day_pnl(self) -> Decimal:
        """Realised and open dollars of TSH positions today."""
        return self.book.realised(self._calendar.session_day()) + self.book.unrealised()

    def exposure(self) -> Decimal:
        """Dollars of TSH positions at their last prices."""
        return sum((h.tsh.last * h.tsh.shares for h in self.book.open_holdings()), Decimal(0))

    async def reconcile(self) -> ReconcileReport:
        """One pass now (also done after each reconnect and every ``broker.reconcile_s``)."""
        return await self._account.compare()

    async def _caught_up(self) -> bool:
        return (await self.reconcile()).clean

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
        Raises RefusedError without a valid approval of exactly this list, or when flatten or the day's loss
        stops the entries; BrokerError when the broker is away.
        """
        # Market time may have jumped a night since the last pass: what was held then says nothing of now.
        await self.reconcile()
        return await self._entries.enter(session, list_hash, picks, last_closes, atr)

    async def run_until_flat(self) -> DayReport:
        """Returns when no TSH position is open, or the session is over and what is left is CARRIED."""
        session = self._calendar.session_day()
        while True:
            left = self.book.open_holdings()
            if not left or all(h.tsh.phase is Phase.CARRIED for h in left):
                break
            await asyncio.sleep(BEAT_S)
        await self._levels.save()
        await self.prices.unsubscribe(self.prices.symbols - {h.symbol for h in left})
        trades = tuple(trades_of(self.book.closed, session))
        pnl = sum((t.pnl for t in trades), Decimal(0))
        return DayReport(session, trades, pnl, tuple(h.symbol for h in left))

    async def exit_one(self, symbol: str, by: str) -> None:
        """Sells one TSH position now. RefusedError when there is none."""
        if not self._watch.leave(symbol, ExitReason.MANUAL):
            raise RefusedError(f"no open TSH position in {symbol}; the positions screen lists what there is")
        log.info("%s: exit asked by %s", symbol, by)

    async def latch(self, reason: str) -> None:
        """No entries from now on, over restarts, until a person lifts it."""
        try:
            await self.desk.latch.set(reason)
        except UNWRITABLE as error:
            # The latch holds in this process; neither exits nor flatten may fail over it.
            words = f"entries are latched, but it cannot be written down ({error}); free the disk before a restart"
            self.events.publish(AlertRaised(key="latch", message=words))

    async def unlatch(self, by: str) -> None:
        """Entries may leave again. RefusedError while flatten is at work."""
        if self.flattening:
            raise RefusedError("flatten is at work: entries stay latched until it has ended")
        await self.desk.latch.lift(by)
        self._flatten.forget()

    async def flatten(self, by: str, include_foreign: bool = False) -> FlattenView:
        """Latches entries and flattens; the final view (flat, queued or failed). A second call joins the first.

        ``include_foreign`` adds orders and positions that are not TSH's. Never refused.
        """
        await self.latch(f"flatten by {by}")
        self._entries.stop()
        view = await self._flatten.run(include_foreign)
        await self.reconcile()
        return view

    def flatten_answered_since(self, include_foreign: bool) -> datetime:
        """A flatten asked for now is answered by an end whose ``FlattenView.begun_at`` is not before this."""
        return self._flatten.answered_since(include_foreign)

    def entries_over(self, session: date) -> bool:
        """Whether names of ``session`` were bought and nobody is entering any more."""
        return bool(self.bought_in(session)) and not self._entries.entering

    def bought_in(self, session: date) -> tuple[str, ...]:
        """The names that ``session`` has bought, held or sold since; of a name its latest position counts."""
        return tuple(h.symbol for h in self.book.holdings.values() if h.session == session)

    @property
    def reconciled_age_s(self) -> float | None:
        """Wall seconds since book and broker were last compared, None before the first time."""
        return self._account.age_s

    @property
    def held(self) -> frozenset[str]:
        """Every symbol that the account held when it was last asked."""
        return self._account.held

    def would_allocate(self, size: float = 1.0) -> Decimal | None:
        """Dollars that a day begun now would get at the advice's ``size``; None before the account is known."""
        return self._entries.would_allocate(self.account, size) if self.account is not None else None

    def go_board(
        self, approval: Approval | None, session: Session, list_hash: str, size: float = 1.0
    ) -> tuple[GateReport, ...]:
        """The GO / NO-GO board before the open: every gate that can be asked without a quote."""
        wanted = self._entries.wanted(session, list_hash, self.account)
        board = [
            *self._entries.board(approval, wanted, session, self.would_allocate(size)),
            self._entries.position_gate(),
            gates.link_gate("prices", self.prices.state, self.prices.detail),
            gates.link_gate("orders", self.trades.state, self.trades.detail),
        ]
        if self.account is not None:
            board.append(account_board(self.account))
        return tuple(board)

    # --- views ---------------------------------------------------------------------------------

    def views(self) -> PositionsView:
        """The positions screen, now."""
        session = self._calendar.session_day()
        orders, older = self.desk.newest_of_session(session, MOST_ORDERS_SHOWN)
        return positions_view(
            self.book,
            orders,
            self.desk.foreign.values(),
            self._account.foreign,
            session=session,
            entering=self._entries.entering,
            refused=self._entries.refused_on(session),
            allocation=self.allocation,
            now_s=time.monotonic(),
            stale_after_s=self._rules.stale_after_s,
            market_open=self.clock.is_open,
            resting_stop=self._stops.resting,
            rate=self.clock.rate,
            older_orders=older,
        )

    def flatten_view(self) -> FlattenView:
        """What flatten does or did last; before one, what it would close and what crossing the spread may cost."""
        if self._flatten.view.state != "idle":
            return self._flatten.view
        return flatten_preview(
            self.book.open_holdings(),
            self.prices.quotes,
            orders=len(self.desk.open_orders()),
            market_open=self.clock.is_open,
            foreign=self._account.foreign,
        )

    def link_views(self) -> tuple[LinkView, LinkView]:
        """(prices, orders) for the status strip. While no name is subscribed the prices have no age to tell."""
        prices = _link_view(self.prices)
        if prices.state == "live" and not self.prices.symbols:
            prices = prices.model_copy(update={"age_s": None, "detail": "no name is subscribed"})
        return prices, _link_view(self.trades)

    # --- what the streams tell -----------------------------------------------------------------

    async def _on_fill(self, fill: Fill, intent: OrderIntent) -> None:
        close = self._calendar.close_of(intent.session, fill.at)
        change = self.book.on_fill(fill, intent.session, close, time.monotonic(), _told_by(intent))
        if change is None:
            log.warning("%s: a sell of %d shares without a position", fill.symbol, fill.shares)
            return
        self._levels.phase_changed()
        self._watch.tell(change)
        self._stops.review()
        await self.prices.subscribe([fill.symbol])

    def _on_link(self, name: str, state: LinkState, detail: str) -> None:
        self.events.publish(LinkChanged(link=name, state=state, detail=detail))
        if state == "refused":
            self.events.publish(AlertRaised(key=f"link-{name}", message=f"{name} stream refused: {detail}"))

    async def _after_connect(self) -> None:
        await self.reconcile()

    async def _silence_sellers(self) -> None:
        """Flatten takes over: nobody else sells, and every position knows that it is leaving."""
        await self._stops.halt()
        await self._exits.halt()
        for holding in self.book.open_holdings():
            self._watch.leave(holding.symbol, ExitReason.FLATTEN)

    # --- what time brings ----------------------------------------------------------------------

    async def _beat(self) -> None:
        """Turns market time into exits; waits for nobody."""
        self._watch.on_clock(self.session())
        self._stops.review()
        loss = self._entries.loss_gate()
        # Also when the last position is gone (its own exit may be the loss) or its fill came after the close.
        if not loss.passed and self.day_pnl() < 0 and self._calendar.opened_today():
            self._day_loss(loss)
        if not self.clock.is_open:
            return
        self._watch.sell_on()
        self._flatten.market_opened()

    async def _keep_decisions(self) -> None:
        """Stores what TSH has decided since the last time, if anything: never a row a print.

        The levels go first: after a kill no position may come back with a lower stop than its record tells of.
        """
        rows = self._record.take()
        if rows:
            await self._levels.save()
            await self.desk.keep("TSH decisions", self._journal.append_tsh(rows))

    def _day_loss(self, loss: GateReport) -> None:
        session = self._calendar.session_day()
        if self._loss_latch.due(session) and not self.desk.latch.reason:
            self._duties.once(self._loss_latch.set(session, loss.numbers), "latch after a loss")
        self._entries.stop()
        for holding in self.book.open_holdings():
            if not holding.tsh.leaving and holding.tsh.phase is not Phase.CARRIED:
                self._watch.leave(holding.symbol, ExitReason.DAY_LOSS)

    async def _watch_clock(self) -> None:
        busy = bool(self.book.open_holdings() or self._entries.entering)
        every = FAST_CLOCK_READ_S if self.clock.rate != 1.0 and busy else CLOCK_READ_S
        if self.clock.reading_age_s > every:
            await self.clock.refresh()
            await self._calendar.keep()
        if self._calendar.outdated():
            await self._calendar.read()
            self._follow_closes()

    def _follow_closes(self) -> None:
        """The calendar is the broker's: an early close moves the end-of-day exits with it."""
        for session in self._calendar.moved:
            self.book.close_moved(session)
            words = (
                f"the session of {session.day} now closes at {session.close.astimezone(NEW_YORK):%H:%M} New York"
            )
            self.events.publish(AlertRaised(key=f"close-{session.close.isoformat()}", message=words))

    async def _keep_warm(self) -> None:
        held = len(self.book.open_holdings())
        if held and self.clock.is_open:
            await self._rest.keep_warm(held)


def _told_by(intent: OrderIntent) -> ExitReason | None:
    """Why a fill sold that the machine itself has not asked for: the stop at the broker or somebody else did."""
    return {STOP: ExitReason.PROTECTIVE, OUTSIDE: ExitReason.OUTSIDE}.get(intent.leg)


def _meant_by(intent: OrderIntent) -> ExitReason | None:
    """Why an order of an earlier life of the engine sold: its intent says so."""
    if intent.leg == FLATTEN:
        return ExitReason.FLATTEN
    if intent.leg == EXIT and intent.why in {reason.value for reason in ExitReason}:
        return ExitReason(intent.why)
    return _told_by(intent)


def _link_view(link: StreamLink) -> LinkView:
    return LinkView(state=link.state, age_s=link.age_s, latency_ms=link.latency_ms, detail=link.detail)
