"""The exchange without sockets or wall time: one account on one tape, stepped through market time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from engine.simulator.complex_orders import parse_legs
from engine.simulator.exchange import Exchange, Update
from engine.simulator.faults import Faults
from engine.simulator.market import Bar, DayBar, Listing
from engine.simulator.orders import Order, OrderRequest, Status, VenueError
from engine.simulator.sessions import Sessions, new_york_time, nyse_sessions
from engine.simulator.tape import Tape

FRIDAY, MONDAY, HALF_DAY = date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 27)
CALENDAR = Sessions(nyse_sessions(date(2026, 10, 1), date(2026, 12, 18)))


class TinyMarket:
    """Three symbols with the same bar every day: open 10, high 11, low 9, close 10.50."""

    name = "tiny"
    sessions = CALENDAR
    listings = (
        Listing("AAAA", "Alder", "NYSE"),
        Listing("BBBB", "Birch", "NYSE"),
        Listing("CCCC", "Cedar", "NASDAQ"),
        Listing("DEAD", "Gone", "NYSE", status="inactive", tradable=False),
        Listing("PTPX", "Partners", "NYSE", attributes=("ptp_no_exception",)),
        Listing("STUB", "Stub Units", "NYSE", tradable=False),
    )

    def __init__(self, ends: dict[str, date] | None = None) -> None:
        self.ends = ends or {}

    def bar(self, symbol: str, day: date) -> Bar | None:
        known = symbol in ("AAAA", "BBBB", "CCCC") and self.sessions.on(day) is not None
        return Bar(10.0, 11.0, 9.0, 10.5, 4_000_000) if known and day < self.ends.get(symbol, date.max) else None

    def bars(self, symbol: str, first: date, last: date) -> list[DayBar]:
        days = self.sessions.between(first, last)
        return [DayBar(s.day, bar) for s in days if (bar := self.bar(symbol, s.day))]

    def gone_after(self, symbol: str, day: date) -> bool:
        return day >= self.ends.get(symbol, date.max)


@dataclass
class Floor:
    """An exchange and the time it stands at."""

    exchange: Exchange
    faults: Faults
    at: datetime
    updates: list[Update] = field(default_factory=list)
    count: int = 0

    def order(self, side: str, shares: int, symbol: str = "AAAA", kind: str = "market", **more: Any) -> Order:
        self.count += 1
        body = {"symbol": symbol, "side": side, "qty": shares, "type": kind, "time_in_force": "day"}
        body |= {"client_order_id": f"test-{self.count}", **more}
        wanted = OrderRequest.parse(body)
        return self.exchange.submit(wanted, self.at, parse_legs(body, wanted))

    def filled(self, side: str, shares: int, symbol: str = "AAAA", **more: Any) -> Order:
        order = self.order(side, shares, symbol, **more)
        self.exchange.settle(self.at)
        assert order.status is Status.FILLED
        return order

    def until(self, day: date, hour: int, minute: int, second: int = 0) -> None:
        target = new_york_time(day, time(hour, minute, second))
        for moment in CALENDAR.moments(self.at, target, steps=True):
            self.exchange.step(moment)
        self.at = target

    def events(self, order: Order) -> list[str]:
        return [u.event for u in self.updates if u.order["id"] == order.id]


def floor(cash: int = 100_000, partial_fills: float = 0.0, market: TinyMarket | None = None) -> Floor:
    tape, faults, at = Tape(market or TinyMarket(), 7), Faults(), new_york_time(FRIDAY, time(16, 30))
    updates: list[Update] = []
    exchange = Exchange(
        tape,
        cash=Decimal(cash),
        seed=7,
        opened_at=at,
        faults=faults,
        tell=updates.append,
        partial_fills=partial_fills,
    )
    return Floor(exchange, faults, at, updates)


def refusal(place: Floor, *order: Any, **more: Any) -> VenueError:
    with pytest.raises(VenueError) as caught:
        place.order(*order, **more)
    return caught.value
