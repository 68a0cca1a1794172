"""donch: a close above the Donchian channel, on volume.

Buy when C > max(H) of the n bars before t, and V > v * mean(V) of the m bars before t.
The signal bar itself is in neither range.
"""

from __future__ import annotations

from decimal import Decimal

from engine.compute.algorithms.rule import SIGNAL, Flags, Rule, kernel
from engine.model import CLOSE, HIGH, VOLUME, Floats, Parameter
from engine.spaces import ParameterSpace

SPACE = ParameterSpace(
    "donch", (Parameter("n", 5, 50), Parameter("m", 5, 40), Parameter("v", 3, 23, Decimal("0.1")))
)


@kernel
def buys(bars: Floats, values: Floats, scratch: Floats, flags: Flags) -> None:
    high, volume = bars[HIGH], bars[VOLUME]
    lanes = high.shape[1]
    top, total = scratch[0], scratch[1]
    c, traded = bars[CLOSE][SIGNAL], volume[SIGNAL]
    for row in range(values.shape[0]):
        n, m, factor = int(values[row, 0]), int(values[row, 1]), values[row, 2]
        top[:] = high[SIGNAL - 1]
        total[:] = 0.0
        for t in range(SIGNAL - n, SIGNAL - 1):
            x = high[t]
            for j in range(lanes):
                top[j] = max(top[j], x[j])
        for t in range(SIGNAL - m, SIGNAL):
            x = volume[t]
            for j in range(lanes):
                total[j] += x[j]
        buy = flags[row]
        for j in range(lanes):
            buy[j] = (c[j] > top[j]) & (traded[j] > factor * (total[j] / m))


RULE = Rule(9, SPACE, buys, scratch_rows=2)
