"""Student's t with a whole number of degrees of freedom, without a statistics library.

The finite series in cosine and sine is exact for whole degrees; the quantile is its bisection.
The tests compare both with published tables and with what scipy computed.
"""

from __future__ import annotations

import math
from functools import lru_cache


def student_inside(t: float, freedom: int) -> float:
    """P(|T| <= t)."""
    if freedom < 1 or t < 0:
        raise ValueError("degrees of freedom from 1, t from 0")
    theta = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(theta), math.sin(theta)
    term = total = cosine if freedom % 2 else 1.0
    if freedom == 1:
        return 2.0 * theta / math.pi
    for k in range(3 if freedom % 2 else 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if freedom % 2:
        return 2.0 / math.pi * (theta + sine * total)
    return sine * total


@lru_cache(maxsize=4096)
def student_quantile(level: float, freedom: int) -> float:
    """The t whose two-sided interval holds ``level`` of the distribution."""
    low, high = 0.0, 1.0
    while student_inside(high, freedom) < level:
        high *= 2.0
    for _ in range(100):
        middle = (low + high) / 2.0
        low, high = (middle, high) if student_inside(middle, freedom) < level else (low, middle)
    return high


def one_sided_quantile(level: float, freedom: int) -> float:
    """The t that ``level`` (above one half) of the distribution lies below."""
    if not 0.5 < level < 1:
        raise ValueError(f"a one-sided level lies between one half and one, not at {level}")
    return student_quantile(2.0 * level - 1.0, freedom)
