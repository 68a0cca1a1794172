"""Our books against the venue's: each sentence of ``differences`` is a lost fill, share, cent or record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from engine.journal import JournalDb
from engine.orders_model import TERMINAL_STATUSES

CENT = Decimal("0.01")
CASH = Decimal(100_000)


async def differences(
    journal: JournalDb,
    first: date,
    venue: Mapping[str, Any],
    log: Sequence[Mapping[str, Any]],
    *,
    managed: Mapping[str, int],
    home8: str,
) -> list[str]:
    """What the journal (sessions from ``first`` on) and the venue's own state and log disagree about.

    ``managed``: shares by symbol that a living engine watches. Only for accounts without foreign orders.
    """
    found: list[str] = []
    intents = {i.client_order_id: i for i in await journal.intents_since(first)}
    states = {s.client_order_id: s for s in await journal.orders()}
    booked: dict[str, int] = defaultdict(int)
    cash = CASH
    for fill in await journal.fills_since(first):
        booked[fill.client_order_id] += fill.shares
        cash += fill.price * fill.shares * (1 if fill.side == "sell" else -1)
    held: dict[str, int] = defaultdict(int)
    bought: dict[str, int] = defaultdict(int)
    for order in venue["orders"]:
        name, filled = order["client_order_id"], int(order["filled_qty"])
        if not name.startswith(f"tsh-{home8}-"):
            found.append(f"{name} is not ours")
            continue
        held[order["symbol"]] += filled if order["side"] == "buy" else -filled
        if order["side"] == "buy":
            bought[name.rpartition("-")[0]] += filled  # the id without its attempt: one entry of one session
        if name not in intents:
            found.append(f"{name} was sent without an intent in the journal")
        if booked[name] != filled:
            found.append(f"{name}: {filled} shares filled, {booked[name]} booked")
        known = states.get(name)
        if known is None or known.status != order["status"]:
            status = None if known is None else known.status
            if order["status"] in TERMINAL_STATUSES or known is None:
                found.append(f"{name} is {order['status']}, the journal says {status}")
    for entry, shares in bought.items():
        # Re-prices ask for what is missing: the first entry says how much was wanted in all.
        first_order = intents.get(f"{entry}-1")
        wanted = first_order.shares if first_order is not None else 0
        if shares > wanted:
            found.append(f"{entry}: {shares} bought, {wanted} wanted")
    positions = {p["symbol"]: int(p["qty"]) for p in venue["positions"]}
    if positions != {s: n for s, n in held.items() if n}:
        found.append(f"positions {positions} are not the sum of our orders {dict(held)}")
    if positions != {s: n for s, n in managed.items() if n}:
        found.append(f"positions {positions}, but managed are {dict(managed)}")
    if cash.quantize(CENT) != Decimal(venue["account"]["cash"]):
        found.append(f"cash {venue['account']['cash']} at the venue, {cash:.2f} by our fills")
    for line in log:
        if line["kind"] == "request" and "sold short" in str(line.get("result")):
            found.append(f"{line['body']['client_order_id']} tried to sell what was sold already")
    return found
