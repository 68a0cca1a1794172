"""The ten rules written with TA-Lib, one ticker's window at a time: what the kernels must equal.

A rule is a list of comparisons that must all hold. They keep both sides, so that a test can
tell a difference of opinion from a tie that rounding decides.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import talib

from engine.compute.algorithms import ALGORITHMS
from engine.model import Floats

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
TIE = 1e-9  # relative distance below which a comparison counts as a tie


@dataclass(frozen=True)
class Comparison:
    left: float
    sign: str
    right: float

    def holds(self) -> bool:
        return OPERATORS[self.sign](self.left, self.right)

    def tied(self) -> bool:
        return abs(self.left - self.right) <= TIE * max(1.0, abs(self.left), abs(self.right))


def chronological(window: Floats) -> tuple[Floats, ...]:
    """open, high, low, close, volume of a [64, 5] window (newest first), oldest first."""
    return tuple(np.ascontiguousarray(window[::-1, column]) for column in range(5))


def comparisons(algorithm: str, values: tuple[int, ...], columns: tuple[Floats, ...]) -> list[Comparison]:
    """What ``algorithm`` with ``values`` (steps) compares at the signal bar, the last of ``columns``."""
    _, high, low, close, volume = columns
    reals = ALGORITHMS[algorithm].reals(values)
    whole = [round(x) for x in reals]
    return RULES[algorithm](reals, whole, high, low, close, volume)


def buys(algorithm: str, values: tuple[int, ...], columns: tuple[Floats, ...]) -> bool:
    return all(c.holds() for c in comparisons(algorithm, values, columns))


def _adx(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, _, k = i
    plus, minus = talib.PLUS_DI(h, w, c, n), talib.MINUS_DI(h, w, c, n)
    return [
        Comparison(talib.ADX(h, w, c, n)[-1], ">", p[1]),
        Comparison(plus[-1], ">", minus[-1]),
        Comparison(plus[-1 - k], "<=", minus[-1 - k]),
    ]


def _ema(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    f, s, k = i
    fast, slow = talib.EMA(c, f), talib.EMA(c, s)
    return [Comparison(fast[-1], ">", slow[-1]), Comparison(fast[-1 - k], "<=", slow[-1 - k])]


def _macd(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    f, s, g, z = i
    line, signal, _ = talib.MACD(c, f, s, g)
    found = [Comparison(line[-1], ">", signal[-1]), Comparison(line[-2], "<=", signal[-2])]
    return [*found, Comparison(line[-1], "<", 0.0)] if z else found


def _rsi(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, _, back = i
    rsi = talib.RSI(c, n)
    return [Comparison(rsi[-1], ">=", p[1]), Comparison(rsi[-1 - back], "<", p[1])]


def _bb(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, _, m = i
    lower = talib.BBANDS(c, n, p[1], p[1], 0)[2]
    return [Comparison(c[-1], "<", lower[-1]), Comparison(c[-1], ">", c[-1 - m])]


def _stoch(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, d, _ = i
    slow_k, slow_d = talib.STOCH(h, w, c, n, d, 0, d, 0)
    return [
        Comparison(slow_k[-1], ">", slow_d[-1]),
        Comparison(slow_k[-2], "<=", slow_d[-2]),
        Comparison(slow_d[-1], "<", p[2]),
    ]


def _cci(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, _, back = i
    cci = talib.CCI(h, w, c, n)
    return [Comparison(cci[-1], ">=", -p[1]), Comparison(cci[-1 - back], "<", -p[1])]


def _mfi(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, _, back = i
    return [Comparison(talib.MFI(h, w, c, v, n)[-1], "<", p[1]), Comparison(c[-1], ">", c[-1 - back])]


def _donch(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, m, _ = i
    return [
        Comparison(c[-1], ">", talib.MAX(h, n)[-2]),
        Comparison(v[-1], ">", p[2] * talib.SMA(v, m)[-2]),
    ]


def _kelt(p, i, h, w, c, v):  # type: ignore[no-untyped-def]
    n, m, _ = i
    upper = talib.EMA(c, n) + p[2] * talib.ATR(h, w, c, m)
    return [Comparison(c[-1], ">", upper[-1]), Comparison(c[-2], "<=", upper[-2])]


RULES: dict[str, Callable[..., list[Comparison]]] = {
    "adx": _adx, "ema": _ema, "macd": _macd, "rsi": _rsi, "bb": _bb,
    "stoch": _stoch, "cci": _cci, "mfi": _mfi, "donch": _donch, "kelt": _kelt,
}  # fmt: skip
