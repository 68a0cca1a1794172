"""The running venue: market, clock, exchange and subscribers, moved through time together.

``advance`` brings everything to the present moment of the market in order, so that a fill
and the print that caused it belong together whatever the clock's rate. Every request calls
it first; a 50 ms loop calls it in between. Lives on one asyncio loop; nothing here blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as day_time
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from engine.simulator.account import account_number
from engine.simulator.books import CLOCK_S, Books, KeptClock
from engine.simulator.clock import BUSY_RATE, TOP_RATE, SimulatedClock
from engine.simulator.exchange import Exchange, Update
from engine.simulator.fault_script import ScriptedFault
from engine.simulator.faults import AT_ONCE, Fault, Faults
from engine.simulator.market import Market
from engine.simulator.news import NewsDesk
from engine.simulator.order_log import OrderLog, wall_now
from engine.simulator.orders import Json
from engine.simulator.request_book import FILE as REQUESTS_FILE
from engine.simulator.request_book import RequestBook
from engine.simulator.sessions import Moment, Phase, new_york_time
from engine.simulator.tape import Tape
from engine.simulator.wire import new_york

TICK_S = 0.05  # wall seconds between two looks at the clock
SETTLE_S = 0.005  # wall seconds until an order or cancel that arrived takes effect
QUIET_S = 0.4  # wall seconds after which subscribers get a price even between two path points
START_TIME = day_time(16, 30)  # New York: the session of the starting date is complete


@dataclass(frozen=True, slots=True)
class VenueOptions:
    """How a venue is set up; limits are requests a window (a wall minute, as at Alpaca), cash is dollars."""

    day: date
    seed: int
    cash: Decimal
    speed: float
    folder: Path
    key: str
    secret: str
    account: str = "sim"  # what its account number looks like: sim, paper or live
    trading_limit: int = 200
    data_limit: int = 10_000
    limit_window_s: float = 60.0
    partial_fills: float = 0.0
    faults: tuple[ScriptedFault, ...] = ()
    resume: bool = False  # go on with the books in ``folder`` when they are of this market


class PriceListener(Protocol):
    """Who wants prices as they are made."""

    @property
    def wanted(self) -> bool: ...

    @property
    def listening(self) -> int: ...

    def prices(self, moment: Moment) -> None: ...

    def status(self, symbol: str, at: datetime, *, halted: bool) -> None: ...

    def act(self, fault: Fault) -> None: ...


class UpdateListener(Protocol):
    """Who wants order updates as they happen."""

    @property
    def listening(self) -> int: ...

    def update(self, update: Update) -> None: ...

    def act(self, fault: Fault) -> None: ...


class Venue:
    """Everything one simulator serves."""

    def __init__(self, market: Market, options: VenueOptions) -> None:
        self.market, self.options = market, options
        self.faults = Faults()
        self.tape = Tape(market, options.seed)
        self.news = NewsDesk(market.listings, options.seed)
        self.at = new_york_time(options.day, START_TIME)
        last = market.sessions.all[-1]
        self.clock = SimulatedClock(self.at, last.close, options.speed)
        self.log = OrderLog(options.folder / "simulator.log.jsonl")
        self.asked = RequestBook(options.folder / REQUESTS_FILE)
        self.exchange = Exchange(
            self.tape,
            cash=options.cash,
            seed=options.seed,
            opened_at=self.at,
            faults=self.faults,
            tell=self._heard,
            partial_fills=options.partial_fills,
            number=account_number(options.account, options.seed),
        )
        identity = {
            "name": market.name,
            "day": options.day.isoformat(),
            "seed": options.seed,
            "cash": str(options.cash),
            "listings": len(market.listings),
        }
        self.books = Books(options.folder, identity, resume=options.resume)
        self._noted_at = 0.0
        self._go_on()
        self.price_listeners: list[PriceListener] = []
        self.update_listeners: list[UpdateListener] = []
        self._told_at = 0.0
        self._settling = False
        self._skew = timedelta(0)  # of the clock that the venue shows
        self._resumes: list[tuple[datetime, str]] = []  # when which symbol trades again
        # (market time, fault) of the script, still to come
        began, days = new_york_time(options.day, START_TIME), market.sessions.days
        due = ((f.due_after(began, days), f.fault) for f in options.faults)
        self._script = sorted((pair for pair in due if pair[0] >= self.at), key=lambda pair: pair[0])

    # --- surviving a kill ------------------------------------------------------------------

    def _go_on(self) -> None:
        """Begins where the books end; what market time brings from there on was not told to anybody yet."""
        kept, clock = self.books.kept, self.books.kept_clock
        if kept is not None:
            self.exchange.go_on(kept)
            self.at = max(self.at, kept.at)
        if clock is not None:
            self.at = max(self.at, clock.at)
            # Up to here the last life may have shown the time; it never goes backwards.
            shown = self.at + timedelta(
                seconds=CLOCK_S * min(clock.rate, BUSY_RATE if kept is not None else TOP_RATE)
            )
            self.clock.go_on(
                shown if clock.hold_at is None else min(shown, clock.hold_at), clock.rate, clock.hold_at
            )
        self.clock.set_busy(self.exchange.busy)

    def note_clock(self) -> None:
        """Keeps the time for a next life."""
        self._noted_at = time.monotonic()
        self.books.note_clock(KeptClock(self.at, self.clock.asked_rate, self.clock.hold_at))

    # --- time ----------------------------------------------------------------------------

    def advance(self) -> datetime:
        """Processes market time up to now and returns it."""
        self._process(self.clock.now(), quiet=False)
        return self.at

    def jump(self, to: datetime) -> None:
        """Moves market time to ``to``; what lies between happens, unseen by price subscribers."""
        self.advance()
        self.clock.jump(to)
        self._process(self.clock.now(), quiet=True)

    def market_sleeps_until(self, to: datetime) -> bool:
        """Whether nothing trades between now and ``to``: a night may be jumped over with a position held."""
        opens = self.market.sessions.next_open(self.at)
        return self.market.sessions.in_progress(self.at) is None and (opens is None or to < opens)

    def _process(self, now: datetime, *, quiet: bool) -> None:
        while self._script and self._script[0][0] <= now:
            self._move(max(self._script[0][0], self.at), quiet=quiet)
            self.order_fault(self._script.pop(0)[1])
        self._move(now, quiet=quiet)

    def _move(self, now: datetime, *, quiet: bool) -> None:
        sessions, exchange = self.market.sessions, self.exchange
        listening = not quiet and any(listener.wanted for listener in self.price_listeners)
        steps = bool(listening or exchange.open_orders)
        told = False
        for moment in sessions.moments(self.at, now, steps=steps):
            self.at = moment.at
            exchange.step(moment)
            if moment.phase is Phase.DAWN:
                self.books.changed(None, exchange.account, exchange.ids_made, self.at)
            elif listening:
                self._tell_prices(moment)
                told = True
        self.at = max(self.at, now)
        for resumed in [pair for pair in self._resumes if pair[0] <= self.at]:
            self._resumes.remove(resumed)
            for listener in self.price_listeners:
                listener.status(resumed[1], resumed[0], halted=False)
        if steps and not told and time.monotonic() - self._told_at >= QUIET_S:
            self._between_points(Moment(self.at, Phase.BETWEEN, sessions.in_progress(self.at)), listening)
        self.clock.set_busy(exchange.busy)

    def _between_points(self, moment: Moment, listening: bool) -> None:
        """At a slow rate points are far apart in wall time: orders and subscribers get a price meanwhile."""
        self._told_at = time.monotonic()
        self.exchange.step(moment)
        if listening and moment.session is not None:
            self._tell_prices(moment)

    def _tell_prices(self, moment: Moment) -> None:
        self._told_at = time.monotonic()
        for listener in self.price_listeners:
            listener.prices(moment)

    def settle_soon(self) -> None:
        """After a request that changed orders: they take effect within milliseconds."""
        self.clock.set_busy(self.exchange.busy)
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_later(SETTLE_S, self.settle)

    def settle(self) -> None:
        self._settling = False
        now = self.advance()
        self.exchange.settle(now)
        self.clock.set_busy(self.exchange.busy)

    async def run(self) -> None:
        """The loop that moves market time on; ends when cancelled."""
        while True:
            self.settle()
            if time.monotonic() - self._noted_at >= CLOCK_S - TICK_S:
                self.note_clock()
            await asyncio.sleep(TICK_S)

    # --- what is told ----------------------------------------------------------------------

    def _heard(self, update: Update) -> None:
        order = self.exchange.orders[update.order["id"]]
        self.books.changed(order, self.exchange.account, self.exchange.ids_made, update.at)
        self.log.write(
            update.event,
            wall_now(),
            update.at,
            order_id=update.order["id"],
            client_order_id=update.order["client_order_id"],
            symbol=update.order["symbol"],
            side=update.order["side"],
            status=update.order["status"],
            price=None if update.price is None else f"{update.price:f}",
            qty=None if update.shares is None else f"{update.shares:f}",
            **({"flag": update.flag} if update.flag else {}),
        )
        for listener in self.update_listeners:
            listener.update(update)

    def order_fault(self, fault: Fault) -> None:
        """Acts at once on the sockets' faults; keeps the others for their occasion."""
        if fault.kind not in AT_ONCE:
            self.faults.order(fault)
            return
        if fault.kind == "halt":
            self._halt(fault)
            return
        if fault.kind == "early_close":
            session = self.market.sessions.in_progress(self.at)
            if session is not None:
                close = self.at + timedelta(seconds=fault.market_seconds)
                whole = close.replace(second=0, microsecond=0) + timedelta(minutes=1)  # calendars know minutes
                self.market.sessions.close_early(session, min(whole, session.close))
            return
        if fault.kind == "clock_skew":
            self._skew = timedelta(seconds=fault.market_seconds)
            return
        listeners: list[tuple[str, Callable[[Fault], None]]] = [("price", p.act) for p in self.price_listeners]
        listeners += [("trade", u.act) for u in self.update_listeners]
        for name, act in listeners:
            if fault.socket in ("", name):
                act(fault)

    def _halt(self, fault: Fault) -> None:
        session = self.market.sessions.in_progress(self.at)
        if session is None:
            return
        exchange = self.exchange
        busy = {o.request.symbol for o in exchange.open_orders} | set(exchange.account.positions)
        for symbol in sorted({fault.symbol} if fault.symbol else busy):
            end = self.tape.halt(symbol, session, self.at, fault.market_seconds, fault.gap_pct)
            if end is None:
                continue
            self._resumes.append((end, symbol))
            for listener in self.price_listeners:
                listener.status(symbol, self.at, halted=True)

    def clear_faults(self) -> None:
        """Forgets every fault still waiting and ends a silence and a skewed clock; a halt takes its time."""
        self.faults.clear()
        self._skew = timedelta(0)
        self.order_fault(Fault("mute", seconds=0.0))

    def clock_json(self) -> Json:
        """The venue's clock; ``rate``, ``asked_rate`` and ``hold_at`` are the simulator's own additions."""
        sessions, at = self.market.sessions, self.at
        return {
            "timestamp": new_york(at + self._skew),
            "is_open": sessions.in_progress(at) is not None,
            "next_open": new_york(sessions.next_open(at) or sessions.all[-1].open),
            "next_close": new_york(sessions.next_close(at) or sessions.all[-1].close),
            "rate": self.clock.rate,
            "asked_rate": self.clock.asked_rate,
            "hold_at": new_york(self.clock.hold_at),
        }

    def state_json(self) -> Json:
        """Everything at once, for tests and for ``tshc sim``."""
        at = self.advance()
        return {
            "clock": self.clock_json(),
            "market": {"name": self.market.name, "seed": self.options.seed, "listings": len(self.market.listings)},
            "account": self.exchange.account_json(at),
            "positions": self.exchange.positions_json(at),
            "orders": [o.json() for o in self.exchange.orders.values()],
            "faults": [f.json() for f in self.faults.waiting],
            "held_back": self.faults.held_back,
            "busy": self.exchange.busy,
            "streams": {
                "price": sum(p.listening for p in self.price_listeners),
                "trade": sum(u.listening for u in self.update_listeners),
            },
        }

    def close(self) -> None:
        self.log.close()
        self.books.close()
        self.asked.close()
