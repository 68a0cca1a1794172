"""Book and account, compared at the start, after each reconnect, and again and again: what the desk knows of both.

A pass reconciles, reads the account, and lets the drift alarm look. Passes never overlap; how soon the next one
comes depends on how sure the last one was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import Account
from engine.broker.errors import BrokerError
from engine.execution.drift import DriftAlarm
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.execution.reconcile import Reconciler, ReconcileReport

UNCLEAN_S = 2.0  # wall seconds between two passes while something is not sure


class AccountWatch:
    """``every_s``: wall seconds between two passes while all is well; ``session`` names the session of now."""

    def __init__(
        self,
        rest: AlpacaRest,
        desk: OrderDesk,
        book: PositionsBook,
        reconciler: Reconciler,
        drift: DriftAlarm,
        *,
        session: Callable[[], date],
        every_s: float,
    ) -> None:
        self.account: Account | None = None  # None before it was read for the first time
        self.report: ReconcileReport | None = None  # of the last pass
        self._rest, self._desk, self._book = rest, desk, book
        self._reconciler, self._drift, self._session, self._every_s = reconciler, drift, session, every_s
        self._passing = asyncio.Lock()
        self._began = 0.0  # the last pass, monotonic
        self._held_then: frozenset[str] = frozenset()  # when it began

    @property
    def is_clean(self) -> bool:
        """Whether the last pass found book and broker in agreement."""
        return self.report is not None and self.report.clean

    @property
    def age_s(self) -> float | None:
        """Wall seconds since the last pass, None before the first one."""
        return time.monotonic() - self._began if self.report is not None else None

    @property
    def held(self) -> frozenset[str]:
        """Every symbol that the account held when it was last asked."""
        return self.report.held if self.report is not None else frozenset()

    @property
    def foreign(self) -> tuple[str, ...]:
        """What is on the account and not ours, in words."""
        return self.report.foreign if self.report is not None else ()

    async def read_account(self) -> Account:
        """Raises a BrokerError."""
        self.account = await self._rest.account()
        return self.account

    async def compare(self) -> ReconcileReport:
        """One pass now."""
        async with self._passing:
            self._began = time.monotonic()
            self._held_then = self._held_symbols()
            report = await self._reconciler.run()
            session = self._session()
            traded = self._drift.traded(session)
            account = None
            with suppress(BrokerError):
                account = self.account = await self._rest.account(is_exit=True)  # exits may wait for this pass
            self.report = report
            await self._desk.records.written()  # who is told "clean" finds it in the journal too
            await self._drift.look(report, account, session, traded)
            return report

    async def when_due(self) -> None:
        """A pass, when the last one is old enough."""
        sure = self.is_clean and not self._drift.suspects
        # What the account holds and what it is worth must be true of now, not of before the last sale.
        settled = self._held_symbols() == self._held_then or bool(self._desk.open_orders())
        if time.monotonic() - self._began > (self._every_s if sure and settled else UNCLEAN_S):
            await self.compare()

    def _held_symbols(self) -> frozenset[str]:
        return frozenset(holding.symbol for holding in self._book.open_holdings())
