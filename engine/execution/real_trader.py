"""real_trader: the approved names bought at the open, in quarters, or refused with the numbers.

Marketable limit orders: the first at the first ask, at most three re-prices, never more
than 0.3 % above that first ask, nothing after 09:35. What passes in a moment (a wide
spread in the first second, an old quote, a halt) is waited for inside the window; what
does not (gap, approval, latch, daily loss) refuses at once. Every refusal that ends a name
is an event, also after a part of it has been bought.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from engine.broker.broker_types import Account
from engine.broker.clock import MarketClock
from engine.broker.errors import BrokerError
from engine.errors import OperatorError, RefusedError
from engine.events import EntryRefused, EventSink
from engine.execution import gates
from engine.execution.allocation import entry_limit, shares_for
from engine.execution.desk_order import DeskOrder
from engine.execution.gates import GateReport
from engine.execution.order_ids import ENTRY
from engine.execution.orders import OrderDesk
from engine.model import Quote, Session
from engine.settings import ExecutionSettings

log = logging.getLogger(__name__)

PASSING = frozenset({"quote_age", "spread", "halt"})  # gates that a moment may open
LOOK_S = 0.25
CANCEL_S = 10.0


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """One approved name: what the gates need to know of yesterday. Dollars."""

    symbol: str
    position: int
    last_close: Decimal
    atr: Decimal | None  # ATR(20)


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    symbol: str
    shares: int  # bought
    average: Decimal | None
    refused: GateReport | None = None  # why it is not the whole quarter


class EntryFeed(Protocol):
    """Fresh numbers for the gates."""

    async def quote(self, symbol: str) -> Quote | None: ...
    def quote_age_s(self, quote: Quote) -> float: ...
    def halted(self, symbol: str) -> str | None: ...


class EntryProtection(Protocol):
    """The protective stops, as far as entries meet them: the venue takes no buy beside a resting stop."""

    async def make_way(self, symbol: str) -> bool: ...
    def entry_ended(self, symbol: str) -> None: ...


@dataclass(frozen=True, slots=True)
class EntryDay:
    """What is the same for all names of one open."""

    session: Session
    window_end: datetime
    allocation: Decimal


class RealTrader:
    """Buys plans.

    ``account_gates(symbol, first)`` are asked anew before every order: approval, market, latch,
    loss, counts; ``first`` is False once an order for the symbol has been sent from here.
    """

    def __init__(
        self,
        desk: OrderDesk,
        clock: MarketClock,
        feed: EntryFeed,
        events: EventSink,
        settings: ExecutionSettings,
        account_gates: Callable[[str, bool], Sequence[GateReport]],
        stops: EntryProtection,
    ) -> None:
        self._desk, self._clock, self._feed, self._events = desk, clock, feed, events
        self._stops = stops
        self._settings, self._account_gates = settings, account_gates

    async def enter(self, day: EntryDay, plans: Sequence[EntryPlan]) -> list[EntryOutcome]:
        """Buys every plan at once; outcomes in the order of the plans. Cancelling it cancels the entries."""
        return list(await asyncio.gather(*(self._enter(day, plan) for plan in plans)))

    async def _enter(self, day: EntryDay, plan: EntryPlan) -> EntryOutcome:
        orders: list[DeskOrder] = []  # what they bought is bought, whatever ends the name
        try:
            refused = await self._buy(day, plan, orders)
        except (OperatorError, OSError) as error:
            gate = "latch" if isinstance(error, RefusedError) else "engine"
            refused = GateReport(gate, False, str(error))
        finally:
            self._stops.entry_ended(plan.symbol)
        shares, cost = _bought(orders)
        if refused is not None:
            self._events.publish(
                EntryRefused(symbol=plan.symbol, gate=refused.gate, reason=refused.text, shares=shares)
            )
        return EntryOutcome(plan.symbol, shares, cost / shares if shares else None, refused)

    async def _buy(self, day: EntryDay, plan: EntryPlan, orders: list[DeskOrder]) -> GateReport | None:
        """Why it is not the whole quarter, or None; every order sent is added to ``orders``."""
        rules = self._settings
        quarter = day.allocation / rules.names
        wanted: int | None = None
        first_ask: Decimal | None = None
        prices_tried = 0
        refusal: GateReport | None = None
        while prices_tried <= rules.reprices:
            window = gates.window_gate(self._clock.now(), day.session.open, day.window_end)
            if not window.passed:
                refusal = refusal or window
                break
            quote, refusal = await self._passed(day, plan, first=prices_tried == 0)
            if quote is None:
                if refusal is not None and refusal.gate in PASSING:
                    await self._pause(day)
                    continue
                break
            first_ask = first_ask or quote.ask
            limit = entry_limit(quote.ask, first_ask, rules.over_first_ask_pct)
            if wanted is None:
                wanted = shares_for(day.allocation, rules.names, limit)
                if wanted == 0:
                    refusal = GateReport(
                        "size", False, f"{quarter:.2f} $ buys no share at {limit}", "more capital"
                    )
                    break
            bought, cost = _bought(orders)
            wanted = min(wanted, bought + shares_for(quarter - cost, 1, limit))  # a higher price buys fewer
            if wanted <= bought:
                rest = f"{quarter - cost:.2f} $ of the quarter buy no further share at {limit}"
                refusal = GateReport("size", False, rest, "more capital")
                break
            if not await self._stops.make_way(plan.symbol):
                refusal = GateReport(
                    "broker", False, "the protective stop does not make way for a re-price", "wait"
                )
                break
            # Asked again with nothing awaited until the order counts: names that enter at once share the caps.
            refusal = gates.first_refusal(self._account_gates(plan.symbol, prices_tried == 0))
            if refusal is not None:
                break
            prices_tried += 1
            order = await self._desk.send(
                day.session.day,
                plan.symbol,
                "buy",
                wanted - bought,
                "limit",
                limit,
                leg=ENTRY,
                why=f"pick {plan.position} of the approved list, price {prices_tried}",
            )
            orders.append(order)
            if order.problem.startswith("refused"):
                refusal = GateReport("broker", False, order.problem.removeprefix("refused: "))
                break
            if order.unresolved:
                refusal = GateReport("broker", False, "the order is in doubt; reconcile will tell", "wait")
                break
            if order.doubted and order.problem == "absent":
                # Its request may still arrive: a second one could buy the name twice.
                refusal = GateReport("broker", False, "the order got no answer and is not at the broker", "wait")
                break
            if order.problem != "absent":
                wait_s = min(rules.reprice_wait_s, self._clock.seconds_until(day.window_end))
                if not await self._desk.settle(order, wait_s) and not await self._desk.cancel(order, CANCEL_S):
                    refusal = GateReport(
                        "broker", False, "the cancel was not confirmed; reconcile will tell", "wait"
                    )
                    break
            if _bought(orders)[0] >= wanted:
                return None
            self._stops.entry_ended(plan.symbol)
            refusal = GateReport(
                "fill", False, f"not filled at {limit} ({prices_tried} prices)", "the ask has moved away"
            )
        return refusal

    async def _passed(
        self, day: EntryDay, plan: EntryPlan, *, first: bool
    ) -> tuple[Quote | None, GateReport | None]:
        """A quote that passes every gate, or the first refusal."""
        rules = self._settings
        refusal = gates.first_refusal(self._account_gates(plan.symbol, first))
        if refusal is not None:
            return None, refusal
        halt = self._feed.halted(plan.symbol)
        if halt is not None:
            return None, gates.halt_gate(True, halt)
        try:
            quote = await self._feed.quote(plan.symbol)
        except BrokerError as error:
            return None, GateReport("quote_age", False, f"no quote: {error}")
        if quote is None or quote.at < day.session.open:
            return None, gates.quote_age_gate(None, rules.quote_age_s)
        refusal = gates.first_refusal(
            (
                gates.quote_age_gate(self._feed.quote_age_s(quote), rules.quote_age_s),
                gates.spread_gate(quote, rules.spread_cap_pct),
                gates.gap_gate(
                    (quote.bid + quote.ask) / 2,
                    plan.last_close,
                    plan.atr,
                    cap_pct=rules.gap_cap_pct,
                    cap_atr=rules.gap_cap_atr,
                ),
            )
        )
        return (None, refusal) if refusal is not None else (quote, None)

    async def _pause(self, day: EntryDay) -> None:
        await asyncio.sleep(max(0.02, min(LOOK_S, self._clock.seconds_until(day.window_end))))


def _bought(orders: Sequence[DeskOrder]) -> tuple[int, Decimal]:
    """Shares and dollars."""
    return sum(order.filled for order in orders), sum((order.cost for order in orders), Decimal(0))


def account_board(account: Account) -> GateReport:
    """The broker lets this account trade at all."""
    blocked = account.trading_blocked or account.status.upper() != "ACTIVE"
    return GateReport(
        "account",
        not blocked,
        f"account {account.number}: {account.status}{', trading blocked' if account.trading_blocked else ''}",
        "ask the broker" if blocked else "",
    )
