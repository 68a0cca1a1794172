"""Market and research types that every floor shares: frozen data, no I/O.

Units: prices in dollars, volume in shares, PP and excess in int64 micro-percent
(1 % = 1,000,000), timestamps as aware UTC datetimes, session dates as New York dates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from engine.brackets import BracketTable

NEW_YORK = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")

DAYS = 5  # training days of a week
BATCHES = 4  # batches of a training day
BATCH_TICKERS = 250
TICKERS = BATCHES * BATCH_TICKERS  # the sampled universe
LOOKBACK = 64  # bars of one window
TRAINING_ROWS = LOOKBACK + 1  # confirmation row + window
WORDS = 16  # uint64 words that hold one day's 1,000 picks
MICRO = 1_000_000  # micro-percent in one percent
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)  # last axis of every bar array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]


class Mode(StrEnum):
    """What the broker is: the embedded simulator, Alpaca's paper account, or real money."""

    SIM = "sim"
    PAPER = "paper"
    LIVE = "live"


class ExitModel(StrEnum):
    """How a daily bar is turned into PP."""

    TARGET_OR_CLOSE = "target_or_close"
    OPEN_TO_CLOSE = "open_to_close"


@dataclass(frozen=True, slots=True)
class Asset:
    """One row of the broker's asset list, as far as the universe filter needs it."""

    symbol: str
    name: str
    exchange: str
    asset_class: str
    status: str
    tradable: bool
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day of the broker's calendar; open and close are aware UTC times."""

    day: date
    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True)
class DailyBar:
    """One symbol's regular session: dollars and shares, split-adjusted."""

    symbol: str
    session: date
    open: float
    high: float
    low: float
    close: float
    volume: float

    def fault(self) -> str | None:
        """Why this bar must not be used, or None: not finite, not positive, or high/low out of order."""
        prices = (self.open, self.high, self.low, self.close)
        if not all(math.isfinite(x) for x in (*prices, self.volume)):
            return "not a finite number"
        if min(prices) <= 0 or self.volume < 0:
            return "a price is not positive or the volume is negative"
        if self.high < max(prices) or self.low > min(prices):
            return "high and low do not enclose open and close"
        return None


@dataclass(frozen=True, slots=True)
class Panel:
    """Complete daily bars of many symbols: ``bars`` float64[symbols, sessions, 5], oldest session first."""

    symbols: tuple[str, ...]
    sessions: tuple[date, ...]
    bars: Floats

    def windows(self, end: int, rows: int) -> Floats:
        """The ``rows`` bars ending at session index ``end`` inclusive, newest first: [symbols, rows, 5].

        Raises ValueError when the panel is too short.
        """
        start = end - rows + 1
        if start < 0 or end >= len(self.sessions):
            raise ValueError(f"the panel has {len(self.sessions)} sessions; rows {start}..{end} asked")
        return np.ascontiguousarray(self.bars[:, start : end + 1][:, ::-1])


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask of one symbol; ``at`` is the venue's UTC time, ``seen`` our monotonic seconds."""

    symbol: str
    bid: Decimal
    ask: Decimal
    at: datetime
    seen: float


@dataclass(frozen=True, slots=True)
class Tick:
    """One trade print; ``at`` is the venue's UTC time, ``seen`` our monotonic seconds."""

    symbol: str
    price: Decimal
    at: datetime
    seen: float


@dataclass(frozen=True, slots=True)
class NewsArticle:
    """One article of the broker's news feed; times are UTC."""

    id: int
    headline: str
    summary: str
    source: str
    symbols: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Parameter:
    """One axis of a parameter space: whole ``steps`` from ``low`` to ``high`` (inclusive), each worth ``step``."""

    name: str
    low: int
    high: int
    step: Decimal = Decimal(1)

    def value(self, steps: int) -> float:
        """The parameter's value, e.g. 7 steps of 0.1 are 0.7."""
        return float(self.step * steps)

    def text(self, steps: int) -> str:
        return f"{(self.step * steps).normalize():f}"


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """One variation: an algorithm and its parameters in whole steps, in the order of its space."""

    algorithm: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a compute engine answers: ``buys`` bool[windows, sets]; ``pp`` int64[windows] or None (execution)."""

    buys: Bools
    pp: Ints | None


def micro_percent(percent: Floats) -> Ints:
    """Percent to int64 micro-percent, half to even; the one rounding that both backends use.

    Raises ValueError for a value that is not finite: it has no integer.
    """
    if not np.all(np.isfinite(percent)):
        raise ValueError("PP is not finite: a bar without a positive open reached the engine")
    return np.rint(np.asarray(percent, dtype=np.float64) * MICRO).astype(np.int64)


def profit_percentage(bars: Floats, brackets: BracketTable, exit_model: ExitModel) -> Ints:
    """PP of entering at each bar's open, by the TSH daily model (ALGORITHMS, *PP*).

    ``bars`` float64[n, 5]; returns int64[n] micro-percent, before costs.
    """
    opened, high, close = bars[:, OPEN], bars[:, HIGH], bars[:, CLOSE]
    exit_price = close
    if exit_model is ExitModel.TARGET_OR_CLOSE:
        target = opened * (1.0 + brackets.targets(opened) / 100.0)
        exit_price = np.where(high >= target, target, close)
    return micro_percent(100.0 * (exit_price / opened - 1.0))


def excess_of(pp: Ints) -> Ints:
    """Excess = PP - round(mean PP of the same day's tickers), int64 micro-percent; ``pp`` int64[..., tickers]."""
    mean = np.rint(pp.mean(axis=-1, keepdims=True)).astype(np.int64)
    excess: Ints = pp - mean
    return excess


def pack_picks(buys: Bools) -> Words:
    """bool[..., tickers] to uint64[..., 16]: bit j of word w is ticker 64*w + j, padding zero."""
    tickers = buys.shape[-1]
    if tickers > WORDS * 64:
        raise ValueError(f"{tickers} tickers do not fit {WORDS} words")
    padded = np.zeros((*buys.shape[:-1], WORDS * 64), dtype=np.uint8)
    padded[..., :tickers] = buys
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def unpack_picks(words: Words, tickers: int = TICKERS) -> Bools:
    """The inverse of ``pack_picks``: uint64[..., 16] to bool[..., tickers]."""
    octets = np.ascontiguousarray(words).astype("<u8").view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little")[..., :tickers].astype(np.bool_)


def utc_text(at: datetime) -> str:
    """UTC ISO 8601 with microseconds, as stored. ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError("a naive datetime must not cross a border")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def mean_or_zero(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
