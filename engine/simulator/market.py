"""What a market must answer: its sessions, its listings, and daily bars that do not change with the question.

Two markets exist: ``synthetic`` (a pure function of a seed) and ``replay`` (a file of real
daily bars). A day without trading in a symbol is no bar, never a flat one. Nothing here
knows the present: keeping the future from being seen is the server's duty.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol

from engine.simulator.sessions import Sessions

_NAMESPACE = uuid.UUID("6d1f2a5e-3b0c-5f7e-9f57-7c9f5b1f0a11")


class Bar(NamedTuple):
    """One session of one symbol: dollars, whole shares (more than zero)."""

    open: float
    high: float
    low: float
    close: float
    volume: int


class DayBar(NamedTuple):
    day: date
    bar: Bar


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of the venue's asset list. ``kind`` is what the thing really is; the wire never shows it."""

    symbol: str
    name: str
    exchange: str
    status: str = "active"
    tradable: bool = True
    fractionable: bool = True
    attributes: tuple[str, ...] = ()
    kind: str = "common"

    @property
    def id(self) -> str:
        return str(uuid.uuid5(_NAMESPACE, self.symbol))


class Market(Protocol):
    """Daily bars of many symbols over the sessions of one calendar."""

    @property
    def name(self) -> str: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def listings(self) -> tuple[Listing, ...]: ...

    def bar(self, symbol: str, day: date) -> Bar | None:
        """The bar of that session; None when the symbol did not trade or is unknown."""

    def bars(self, symbol: str, first: date, last: date) -> list[DayBar]:
        """The bars of the sessions from ``first`` to ``last`` inclusive, oldest first."""

    def gone_after(self, symbol: str, day: date) -> bool:
        """True when the record ends for this symbol: no bar on ``day`` nor on any later covered session."""


def on_grid(price: float) -> float:
    """The nearest price the exchange quotes in: whole cents from a dollar up, else a hundredth of a cent."""
    return round(price, 2) if price >= 1 else round(price, 4)
