"""How much a name gets: always a quarter of the allocation, whole shares, on the price grid.

Allocation = 0.9 x min(equity, buying power) x advised size; shares = floor(allocation / 4 /
limit price). Fewer than four names leave cash (CONTRACTS, *Execution defaults*).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from engine.broker.capability import price_grid

CENT = Decimal("0.01")


def up_to_grid(price: Decimal) -> Decimal:
    return price.quantize(price_grid(price), ROUND_CEILING)


def down_to_grid(price: Decimal) -> Decimal:
    return price.quantize(price_grid(price), ROUND_FLOOR)


def allocation(equity: Decimal, buying_power: Decimal, *, share: float, advised_size: float) -> Decimal:
    """Dollars for the whole day; never negative."""
    base = max(Decimal(0), min(equity, buying_power))
    return (base * Decimal(str(share)) * Decimal(str(advised_size))).quantize(CENT, ROUND_DOWN)


def shares_for(allocated: Decimal, names: int, limit_price: Decimal) -> int:
    """Whole shares of one name; ``names`` is the divisor (four), not how many are traded.

    Raises ValueError for a price that is not positive.
    """
    if limit_price <= 0 or names < 1:
        raise ValueError(f"cannot size at {limit_price} in {names} parts")
    return int(max(Decimal(0), allocated) / names // limit_price)


def entry_limit(ask: Decimal, first_ask: Decimal, over_first_ask_pct: float) -> Decimal:
    """A marketable entry limit: the present ask, at most ``over_first_ask_pct`` above the first one."""
    cap = first_ask * (1 + Decimal(str(over_first_ask_pct)) / 100)
    return up_to_grid(ask) if up_to_grid(ask) <= cap else max(down_to_grid(cap), up_to_grid(first_ask))
