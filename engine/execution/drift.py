"""The drift alarm: what this engine believes against what the broker says, after every reconcile.

Reconcile repairs what it can and stops entries while it cannot; this says, unmistakably,
that something happened which nobody here did: shares that differ, a stranger's order in a
symbol that we hold (it may reserve the shares that an exit needs), cash that our fills do
not explain. Equity needs no comparison of its own: cash and shares fix it at any price.

One look proves nothing, because REST lags behind fills: the same difference must be seen
twice, and cash is not compared while executions arrive. The base of the cash is what the
account had before the session's first execution; when a person acknowledges the alarm, the
broker's figure becomes the new base (a deposit, a fee, a trade by hand).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from engine.broker.broker_types import Account
from engine.events import DriftEnded, DriftFound, EventSink
from engine.execution.order_ids import ENTRY
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.execution.reconcile import ReconcileReport
from engine.journal import JournalDb

SEEN = 2  # looks in a row that must show the same difference
CASH_TOLERANCE = Decimal("1.00")  # dollars: fees and rounding of a day
CASH_KEY = "drift-cash"
_BASE = "cash_base"


@dataclass(frozen=True, slots=True)
class Difference:
    """One disagreement; ``key`` names its alarm."""

    key: str
    text: str
    ours: str
    theirs: str


class DriftAlarm:
    """``busy`` tells whether shares of a symbol are on their way right now (entering or exiting)."""

    def __init__(
        self,
        journal: JournalDb,
        desk: OrderDesk,
        book: PositionsBook,
        events: EventSink,
        *,
        busy: Callable[[str], bool],
        keep: Callable[[str, Awaitable[object]], Awaitable[None]],
    ) -> None:
        self._journal, self._desk, self._book, self._events = journal, desk, book, events
        self._busy, self._keep = busy, keep
        self._seen: dict[str, tuple[str, int]] = {}  # difference and how often in a row
        self._raised: dict[str, Difference] = {}
        self._base: tuple[date, Decimal] | None = None  # session and its cash before the first execution
        self._cash: tuple[date, Decimal] | None = None  # the broker's last figure, without the executions

    @property
    def texts(self) -> tuple[str, ...]:
        """Every difference that holds now, in plain words."""
        return tuple(found.text for found in self._raised.values())

    @property
    def suspects(self) -> bool:
        """A difference was seen that is not confirmed yet: look again soon."""
        return any(key not in self._raised for key in self._seen)

    async def restore(self) -> None:
        """The base of the session's cash survives a restart of the engine."""
        kept = await self._journal.get(_BASE)
        if kept is not None:
            self._base = (date.fromisoformat(kept["session"]), Decimal(kept["cash"]))

    def traded(self, session: date) -> Decimal:
        """Dollars that the executions of ``session`` have brought (negative: spent)."""
        total = Decimal(0)
        for order in self._desk.of_session(session):
            total += order.cost if order.intent.side == "sell" else -order.cost
        return total

    async def look(
        self, report: ReconcileReport, account: Account | None, session: date, traded_before: Decimal
    ) -> None:
        """Compares once; ``traded_before`` is what ``traded`` said before the account was read."""
        if not report.asked:
            return
        found = [*self._shares(report), *self._strangers()]
        quiet = traded_before == self.traded(session) and not self._entering_orders()
        if account is not None and quiet:
            self._cash = (session, account.cash - traded_before)
            found += await self._money(account, session)
        elif CASH_KEY in self._raised:
            found.append(self._raised[CASH_KEY])  # not comparable now: what was found still stands
        self._tell(found)

    async def accept(self, key: str) -> None:
        """A person has seen and explained the alarm: for cash the broker's figure is the new base."""
        if key == CASH_KEY and self._cash is not None:
            await self._rebase(*self._cash)
            self._tell([found for found in self._raised.values() if found.key != CASH_KEY])

    # --- what is compared ----------------------------------------------------------------------

    def _shares(self, report: ReconcileReport) -> Iterable[Difference]:
        there = {p.symbol: p.shares for p in report.values}
        for holding in self._book.open_holdings():
            symbol, ours = holding.symbol, holding.tsh.shares
            theirs = there.get(symbol, Decimal(0))
            if theirs != ours and not self._busy(symbol):
                words = f"{symbol}: {ours:,} shares in our book, {theirs.normalize():f} at the broker"
                yield Difference(f"drift-shares-{symbol}", words, str(ours), f"{theirs.normalize():f}")

    def _strangers(self) -> Iterable[Difference]:
        held = {holding.symbol for holding in self._book.open_holdings()}
        for order in self._desk.foreign.values():
            if order.symbol in held:
                words = (
                    f"{order.symbol}: an order that is not ours is open ({order.side} "
                    f"{order.shares.normalize():f}); it can hold the shares of an exit"
                )
                what = f"{order.side} {order.shares.normalize():f}"
                yield Difference(f"drift-order-{order.id}", words, "no such order", what)

    async def _money(self, account: Account, session: date) -> list[Difference]:
        if self._base is None or self._base[0] != session:
            await self._rebase(session, account.cash - self.traded(session))
            return []
        expected = self._base[1] + self.traded(session)
        gap = account.cash - expected
        if abs(gap) <= CASH_TOLERANCE:
            return []
        words = (
            f"cash {account.cash:,.2f} $ at the broker, {expected:,.2f} $ by our fills: {gap:+,.2f} $ unexplained"
        )
        return [Difference(CASH_KEY, words, f"{expected:.2f}", f"{account.cash:.2f}")]

    def _entering_orders(self) -> bool:
        """Entry orders at work fill at any moment: cash is compared when they have ended."""
        return any(order.intent.leg == ENTRY for order in self._desk.open_orders())

    async def _rebase(self, session: date, cash: Decimal) -> None:
        self._base = (session, cash)
        kept = {"session": session.isoformat(), "cash": str(cash)}
        await self._keep("the base of the cash", self._journal.put(_BASE, kept))

    # --- what is told --------------------------------------------------------------------------

    def _tell(self, found: Iterable[Difference]) -> None:
        """Raises what was seen often enough, ends what is gone."""
        now = {difference.key: difference for difference in found}
        for key in [key for key in self._seen if key not in now]:
            del self._seen[key]
        for key in [key for key in self._raised if key not in now]:
            self._events.publish(DriftEnded(key=key, message=self._raised.pop(key).text))
        for key, difference in now.items():
            before, times = self._seen.get(key, ("", 0))
            times = times + 1 if before == difference.theirs else 1
            self._seen[key] = (difference.theirs, times)
            known = self._raised.get(key)
            if times < SEEN or (known is not None and known.theirs == difference.theirs):
                if known is not None:
                    self._raised[key] = difference
                continue
            self._raised[key] = difference
            self._events.publish(
                DriftFound(
                    key=key,
                    message=f"DRIFT {difference.text}",
                    severity="warning" if key == CASH_KEY else "critical",
                    topic="reconcile",
                    holds=True,
                    ours=difference.ours,
                    theirs=difference.theirs,
                )
            )
