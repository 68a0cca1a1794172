"""Orders as the journal keeps them: the intent before it is sent, the broker's state, the fills, the approval.

Money is Decimal dollars, quantities are whole shares, times are aware UTC. An intent is
written once and never changed; an order's state only moves forward (``OrderState.supersedes``),
because REST answers may run behind the stream and the stream behind REST.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Side = Literal["buy", "sell"]
OrderKind = Literal["limit", "market", "stop"]

# Statuses after which the venue changes nothing any more. "replaced" ends this id, not the trade.
TERMINAL_STATUSES = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})

ID_PREFIX = "tsh-"  # of every client order id that any home of TSH makes


def client_order_id(home8: str, session: date, symbol: str, leg: str, attempt: int) -> str:
    """``tsh-<home8>-<yyyymmdd>-<symbol>-<leg>-<attempt>``: the same intent always has the same id."""
    return f"{ID_PREFIX}{home8}-{session:%Y%m%d}-{symbol}-{leg}-{attempt}"


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """What we decided to send, complete enough to send it again or to find it at the broker."""

    client_order_id: str
    session: date
    symbol: str
    side: Side
    shares: int
    kind: OrderKind
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str
    leg: str  # "entry", "exit", "stop", "flatten"
    attempt: int
    why: str
    at: datetime

    def __post_init__(self) -> None:
        if self.shares < 1:
            raise ValueError(f"{self.symbol}: an order of {self.shares} shares is no order")
        if self.side not in ("buy", "sell"):
            raise ValueError(f"{self.symbol}: side '{self.side}' is neither buy nor sell")
        for price in (self.limit_price, self.stop_price):
            if price is not None and not (price.is_finite() and price > 0):
                raise ValueError(f"{self.symbol}: {price} is not a price")


@dataclass(frozen=True, slots=True)
class OrderState:
    """One order as the broker last described it."""

    order_id: str
    client_order_id: str
    symbol: str
    side: str
    kind: str
    shares: int
    filled_shares: int
    average_price: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    submitted_at: datetime
    updated_at: datetime

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL_STATUSES

    def supersedes(self, known: OrderState) -> bool:
        """Whether this description is later than ``known`` of the same order.

        More shares filled is always later, and so is a terminal status; at equal fills the
        venue's own update time decides. A terminal order never comes back to life.
        """
        if self.filled_shares != known.filled_shares:
            return self.filled_shares > known.filled_shares
        if self.terminal != known.terminal:
            return self.terminal
        return self.updated_at >= known.updated_at


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; (order_id, execution_id) names it for ever."""

    order_id: str
    execution_id: str
    client_order_id: str
    symbol: str
    side: str
    shares: int
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """What became of one trade list: a person's (or the headless demo's) yes or no, or the clock's no."""

    session: date
    list_hash: str
    account: str
    mode: str
    outcome: Literal["approved", "rejected", "voided", "expired"]
    by: str
    symbols: tuple[str, ...]
    at: datetime
    # The evidence at that moment (engine.decision.grade); "" where nobody asked for it.
    grade: str = ""
    advice: str = ""  # in words
    size: float = 1.0  # what the advice makes of the allocation: 1, or one half
    against_advice: bool = False  # trades all the same, by an acknowledgement of its own
