"""What it costs to trade a name: half the spread plus slippage, by dollar volume and price.

An assumption, not a measurement: it stands where a result is judged from bars. Real trades
carry their own costs in their fills.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CostModel:
    """Percent of the price for each side of a trade.

    ``by_volume``: (from this median dollar volume a day, percent), largest first, the last from 0.
    ``by_price``: (below this price in dollars, percent added), smallest first; only the first that
    holds is added. ValueError for steps out of order.
    """

    by_volume: tuple[tuple[float, float], ...] = ((20e6, 0.05), (5e6, 0.10), (0.0, 0.20))
    by_price: tuple[tuple[float, float], ...] = ((5.0, 0.10), (10.0, 0.05))

    def __post_init__(self) -> None:
        floors = [floor for floor, _ in self.by_volume]
        edges = [edge for edge, _ in self.by_price]
        if floors != sorted(set(floors), reverse=True) or not floors or floors[-1] != 0.0:
            raise ValueError("costs by dollar volume need distinct floors, largest first, the last 0")
        if edges != sorted(set(edges)):
            raise ValueError("costs by price need distinct prices, smallest first")
        if min(cost for _, cost in (*self.by_volume, *self.by_price)) < 0:
            raise ValueError("a cost is not negative")

    def side_pct(self, price: float, dollar_volume: float) -> float:
        """Percent of the price for one side; dollars, and median dollars a day."""
        volume = next(cost for floor, cost in self.by_volume if dollar_volume >= floor)
        return volume + next((cost for edge, cost in self.by_price if price < edge), 0.0)

    def round_trips_pct(self, prices: Iterable[float], dollar_volumes: Iterable[float]) -> list[float]:
        """Percent for entry and exit together, both by the entry's price."""
        return [2.0 * self.side_pct(p, volume) for p, volume in zip(prices, dollar_volumes, strict=True)]
