"""Reading client order ids: whose order is it, and what was it for?

``tsh-<home8>-<yyyymmdd>-<symbol>-<leg>-<attempt>`` (written by ``orders_model.client_order_id``).
Any other prefix is foreign: an order of a person, of another program or of another home.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_PATTERN = re.compile(r"tsh-([0-9a-f]{8})-(\d{8})-([A-Z0-9./]+)-([a-z]+)-(\d+)")
ENTRY, EXIT, STOP, FLATTEN = "entry", "exit", "stop", "flatten"  # legs
OUTSIDE = "outside"  # the leg of a sale that somebody else made: journalled, never sent


@dataclass(frozen=True, slots=True)
class OrderId:
    """The parts of a TSH client order id."""

    home: str
    session: date
    symbol: str
    leg: str
    attempt: int


def parse(client_order_id: str) -> OrderId | None:
    """The parts, or None for an id that TSH did not make."""
    match = _PATTERN.fullmatch(client_order_id)
    if match is None:
        return None
    home, day, symbol, leg, attempt = match.groups()
    try:
        session = date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return None
    return OrderId(home, session, symbol, leg, int(attempt))


def is_foreign(client_order_id: str, home8: str) -> bool:
    """Whether an order belongs to somebody other than this home."""
    parts = parse(client_order_id)
    return parts is None or parts.home != home8


def outside_id(session: date, symbol: str, number: int) -> str:
    """The id under which a sale of our shares by somebody else is journalled; no order at the broker has it."""
    return f"{OUTSIDE}-{session:%Y%m%d}-{symbol}-{number}"


def is_outside(client_order_id: str) -> bool:
    """Whether an id of the journal stands for a sale that somebody else made."""
    return client_order_id.startswith(f"{OUTSIDE}-")
