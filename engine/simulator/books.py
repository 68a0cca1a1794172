"""The exchange's books on disk: a simulator that was killed comes back as a broker does, with every order.

``books.jsonl`` gets a line for every change of an order *before* anybody is told of it: the
order whole, the cash, the positions. ``clock.json`` says what time it was, a few times a
second. Both survive the death of the process (they are not synced: a power cut takes the
simulated money along). Orders given to a faults' list, halts and an early close do not come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from engine.simulator.account import Account, Position
from engine.simulator.orders import Json, Order, OrderRequest, Status

CLOCK_S = 0.25  # wall seconds between two notes of the time
_REQUEST_DECIMALS = frozenset({"qty", "limit_price", "stop_price", "trail_price", "trail_percent"})
_ORDER_DECIMALS = frozenset({"reserve_price", "filled", "cost"})


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier life of the exchange left: orders in the order of their arrival."""

    orders: tuple[Order, ...]
    cash: Decimal
    last_equity: Decimal
    positions: tuple[Position, ...]
    made: int  # ids given so far
    at: datetime  # market time up to which everything is in here


@dataclass(frozen=True, slots=True)
class KeptClock:
    at: datetime
    rate: float  # asked for
    hold_at: datetime | None


class Books:
    """Written by one venue; ``kept`` and ``kept_clock`` are what it begins with, None for a new account.

    ``market`` names what the books belong to: the books of another market are not gone on with.
    """

    def __init__(self, folder: Path, market: Mapping[str, Any], *, resume: bool) -> None:
        self._path, self._clock_path = folder / "books.jsonl", folder / "clock.json"
        self.kept, self.kept_clock = self._read(dict(market)) if resume else (None, None)
        if self.kept_clock is None:
            self._clock_path.unlink(missing_ok=True)
        self._file = self._path.open("ab" if self.kept_clock is not None else "wb", buffering=0)
        if self.kept_clock is None:
            self._line({"market": dict(market)})
        else:
            self._file.write(b"\n")  # ends a line that the kill had cut; empty lines mean nothing

    def changed(self, order: Order | None, account: Account, made: int, at: datetime) -> None:
        """Keeps the account, and the order that has just changed."""
        positions = [
            [p.symbol, str(p.shares), str(p.average), str(p.bought_today)] for p in account.positions.values()
        ]
        line: Json = {
            "at": at.isoformat(),
            "made": made,
            "cash": str(account.cash),
            "last_equity": str(account.last_equity),
            "positions": positions,
        }
        self._line(line if order is None else line | {"order": _order_json(order)})

    def note_clock(self, clock: KeptClock) -> None:
        hold = None if clock.hold_at is None else clock.hold_at.isoformat()
        fresh = self._clock_path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps({"at": clock.at.isoformat(), "rate": clock.rate, "hold_at": hold}))
        fresh.replace(self._clock_path)

    def close(self) -> None:
        self._file.close()

    def _line(self, content: Json) -> None:
        self._file.write(orjson.dumps(content) + b"\n")

    def _read(self, market: Json) -> tuple[Kept | None, KeptClock | None]:
        try:
            lines = self._path.read_bytes().splitlines()
            clock = orjson.loads(self._clock_path.read_bytes())
            if not lines or orjson.loads(lines[0]) != {"market": market}:
                return None, None
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None, None
        hold = clock["hold_at"]
        at = datetime.fromisoformat(clock["at"])
        kept_clock = KeptClock(at, float(clock["rate"]), None if hold is None else datetime.fromisoformat(hold))
        orders: dict[str, Json] = {}
        last: Json | None = None
        for text in lines[1:]:
            try:
                line = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue  # cut by a kill: nobody was told of it
            last = line
            if "order" in line:
                orders[line["order"]["id"]] = line["order"]
        if last is None:
            return None, kept_clock
        kept = Kept(
            orders=tuple(_order(row) for row in orders.values()),
            cash=Decimal(last["cash"]),
            last_equity=Decimal(last["last_equity"]),
            positions=tuple(Position(s, Decimal(n), Decimal(a), Decimal(t)) for s, n, a, t in last["positions"]),
            made=int(last["made"]),
            at=datetime.fromisoformat(last["at"]),
        )
        return kept, kept_clock


def _order_json(order: Order) -> Json:
    row = {f.name: _plain(getattr(order, f.name)) for f in fields(Order) if f.name != "request"}
    row["request"] = {f.name: _plain(getattr(order.request, f.name)) for f in fields(OrderRequest)}
    return row


def _order(row: Json) -> Order:
    request: dict[str, Any] = {n: _decimal(v) if n in _REQUEST_DECIMALS else v for n, v in row["request"].items()}
    given: dict[str, Any] = {}
    for name, value in row.items():
        if name in _ORDER_DECIMALS:
            given[name] = Decimal(value)
        elif name == "hwm":
            given[name] = _decimal(value)
        elif name == "legs":
            given[name] = tuple(value)
        elif name.endswith("_at") and value is not None:
            given[name] = datetime.fromisoformat(value)
        else:
            given[name] = value
    return Order(**{**given, "request": OrderRequest(**request), "status": Status(row["status"])})


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
