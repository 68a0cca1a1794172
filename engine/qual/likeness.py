"""Which candidates are of one kind: of one known sector, or with closes that move together.

Four names that fall on the same headline are one bet. A sector is used only where it is
known; the correlation of the last 21 closes' returns speaks for every pair whose closes
vary. What cannot be told is not "alike". Pure but for ``read_sectors``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import UsageError
from engine.model import Floats
from engine.records import Candidate

LEAST_RETURNS = 15  # of the twenty: fewer common returns say nothing


def returns_of(closes: Sequence[float]) -> Floats | None:
    """Returns from close to close, oldest first; None for too few closes, one that is no price, or no movement."""
    prices = np.asarray(closes, dtype=np.float64)
    if len(prices) < LEAST_RETURNS + 1 or not np.all(np.isfinite(prices)) or np.any(prices <= 0):
        return None
    returns = np.diff(prices) / prices[:-1]
    # A share that does not move has no correlation; dividing by its deviation would only blow up rounding.
    return returns if float(returns.std()) > 1e-9 else None


def correlation(one: Floats | None, other: Floats | None) -> float | None:
    """Pearson's, over the last returns that both have; None where it is not defined."""
    if one is None or other is None:
        return None
    n = min(len(one), len(other))
    a, b = one[-n:] - one[-n:].mean(), other[-n:] - other[-n:].mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return None if size < 1e-15 else float(np.clip((a @ b) / size, -1.0, 1.0))


@dataclass(frozen=True)
class Likeness:
    """What is known of the candidates' kinds."""

    returns: Mapping[str, Floats | None]
    sectors: Mapping[str, str]
    threshold: float

    @classmethod
    def of(cls, candidates: Sequence[Candidate], sectors: Mapping[str, str], threshold: float) -> Likeness:
        return cls({c.symbol: returns_of(c.closes) for c in candidates}, sectors, threshold)

    def why(self, one: str, other: str) -> str:
        """Why two tickers are of one kind, in words; "" when they are not or nobody knows."""
        sector = self.sectors.get(one, "")
        if sector and sector == self.sectors.get(other, ""):
            return sector
        together = correlation(self.returns.get(one), self.returns.get(other))
        if together is not None and together >= self.threshold:
            return f"correlation {together:.2f}"
        return ""


def read_sectors(path: str) -> dict[str, str]:
    """symbol -> sector of a CSV file with the columns symbol and sector; {} without a file name."""
    if not path:
        return {}
    try:
        with Path(path).expanduser().open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if not {"symbol", "sector"} <= set(rows.fieldnames or ()):
                raise UsageError(f"qual.sectors: {path} needs the columns symbol and sector in its first line")
            pairs = [((row["symbol"] or "").strip().upper(), (row["sector"] or "").strip()[:40]) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"qual.sectors: {path} cannot be read ({error})") from error
    return {symbol: sector for symbol, sector in pairs if symbol and sector}
