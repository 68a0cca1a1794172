"""What happens to positions, turned into exits and events: prints, halts, the clock, and requests to leave.

The book decides (pure); this is where its decisions start a seller and are told to the
journal and the screens. While flatten sells, nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine.broker.clock import MarketClock
from engine.broker.price_stream import HaltNotice
from engine.events import AlertRaised, AlertRecovered, EventSink, PositionClosed, TshChanged
from engine.execution.exits import ExitRunner
from engine.execution.levels_keeper import LevelsKeeper
from engine.execution.live_prices import LivePrices
from engine.execution.positions_book import Change, PositionsBook
from engine.execution.tsh_trade_management import ExitReason, Phase
from engine.model import Session, Tick


class PositionWatch:
    """One for all positions of a desk; nothing here waits, except for prices from REST."""

    def __init__(
        self,
        book: PositionsBook,
        exits: ExitRunner,
        clock: MarketClock,
        live: LivePrices,
        levels: LevelsKeeper,
        events: EventSink,
        *,
        flattening: Callable[[], bool],
    ) -> None:
        self._book, self._exits, self._clock, self._live = book, exits, clock, live
        self._levels, self._events, self._flattening = levels, events, flattening

    # --- what comes in -------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        change = self._book.on_tick(tick)
        if change is not None:
            self.tell(change)

    def on_halt(self, notice: HaltNotice) -> None:
        change = self._book.on_halt(notice.symbol, notice.halted, notice.at)
        if change is not None:
            key = f"halt-{notice.symbol}"
            if notice.halted:
                self._events.publish(AlertRaised(key=key, message=f"{notice.symbol} halted: {notice.reason}"))
            else:
                words = f"{notice.symbol} trades again: {notice.reason}"
                self._events.publish(AlertRecovered(key=key, message=words))
            self.tell(change)

    def on_clock(self, session: Session | None) -> None:
        """Market time went on: end-of-day exits, missed closes, exits of carried positions."""
        for change in self._book.on_clock(self._clock.now(), self._clock.rate, session):
            self.tell(change)

    async def stand_in(self) -> None:
        """REST prices for positions whose stream is silent in regular hours."""
        silent = self._live.silent(self._book.open_holdings()) if self._clock.is_open else []
        if not silent:
            return
        for tick in await self._live.from_rest(silent):
            change = self._book.on_tick(tick, "rest")
            if change is not None:
                self.tell(change)

    # --- what goes out -------------------------------------------------------------------------

    def leave(self, symbol: str, reason: ExitReason) -> bool:
        """Asks a position to leave; False when there is none."""
        change = self._book.request_exit(symbol, reason)
        if change is None:
            return False
        self.tell(change)
        return True

    def sell_on(self) -> None:
        """A position that is leaving has a seller, whatever ended the last one."""
        for holding in self._book.open_holdings():
            if holding.tsh.phase is Phase.EXITING and not self._exits.running(holding.symbol):
                self.start_exit(holding.symbol, holding.tsh.reason or ExitReason.MANUAL)

    def tell(self, change: Change) -> None:
        """Publishes what changed and starts the exit that was asked for."""
        tsh, trade = change.holding.tsh, change.closed
        if change.exit is not None:
            self.start_exit(tsh.symbol, change.exit.reason)
        if change.phase_changed:
            self._levels.phase_changed()
            self._events.publish(
                TshChanged(symbol=tsh.symbol, state=tsh.phase.value, price=tsh.last, why_next=tsh.why_next)
            )
        if change.phase_changed and tsh.phase is Phase.CARRIED:
            key = f"carried-{tsh.symbol}-{tsh.session_close.date()}"
            words = f"{tsh.symbol}: {tsh.shares} shares missed the close, sold at the next open"
            self._events.publish(AlertRaised(key=key, message=words))
        if trade is not None:
            self._events.publish(
                PositionClosed(
                    symbol=trade.symbol,
                    shares=trade.shares,
                    entry=trade.entry.quantize(Decimal("0.0001")),
                    exit=trade.exit.quantize(Decimal("0.0001")),
                    pnl=trade.pnl.quantize(Decimal("0.01")),
                    reason=trade.reason,
                )
            )

    def start_exit(self, symbol: str, reason: ExitReason) -> None:
        if not self._flattening():  # flatten sells everything itself; two sellers would fight over the shares
            self._exits.start(symbol, reason)

    def unprotected(self, symbol: str, why: str) -> None:
        """No protective stop can rest at the broker: the position is sold now, while it can be."""
        words = f"{symbol}: no protective stop at the broker ({why}); the position is sold now"
        self._events.publish(AlertRaised(key=f"unprotected-{symbol}", message=words))
        self.leave(symbol, ExitReason.UNPROTECTED)
