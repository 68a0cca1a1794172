"""The replay market: real daily bars from a parquet file, checked before anything is served.

Columns: symbol, date, open, high, low, close (dollars, float32: rounded to 4 decimals),
volume (shares). A row without volume is no bar. Symbols are those that traded on the
starting date; company names come from ``symbols.csv`` beside the file when it exists.
"""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.errors import DataError, UsageError
from engine.model import Floats, Ints
from engine.simulator.market import Bar, DayBar, Listing
from engine.simulator.sessions import file_sessions

_PRICES = ("open", "high", "low", "close")
_COLUMNS = ("symbol", "date", *_PRICES, "volume")
_MARGIN = timedelta(days=400)  # calendar beyond the file, without bars


class ReplayMarket:
    """The bars of ``path`` around ``day``. DataError or UsageError when the file cannot be a market."""

    name = "replay"

    def __init__(self, path: Path, day: date) -> None:
        table = _read(path)
        symbols, days, columns, rows, prices, volumes = _columns(path, table)
        _check(path, symbols, days, rows, columns, prices, volumes)
        if day not in days:
            near = min(days, key=lambda d: abs(d - day))
            raise UsageError(
                f"{path.name} has no session on {day}: it holds {len(days)} from {days[0]} to {days[-1]}; "
                f"choose one of them, for example --date {near}"
            )
        self.sessions = file_sessions(days, margin=_MARGIN)
        self._days = days
        self._ordinals: Ints = np.array([d.toordinal() for d in days], dtype=np.int64)
        self._column = {d: i for i, d in enumerate(days)}
        self._row = {s: i for i, s in enumerate(symbols)}
        self._bars: Floats = np.zeros((len(symbols), len(days), 5))
        self._bars[rows, columns, :4] = prices
        self._bars[rows, columns, 4] = volumes
        names = _names(path.with_name("symbols.csv"))
        trading = np.flatnonzero(self._bars[:, self._column[day], 4] > 0)
        listed = sorted(symbols[i] for i in trading)
        self.listings = tuple(Listing(s, names.get(s, s), "NASDAQ", kind="replay") for s in listed)

    def bar(self, symbol: str, day: date) -> Bar | None:
        row, column = self._row.get(symbol), self._column.get(day)
        if row is None or column is None:
            return None
        opened, high, low, close, volume = self._bars[row, column].tolist()
        return Bar(opened, high, low, close, int(volume)) if volume > 0 else None

    def bars(self, symbol: str, first: date, last: date) -> list[DayBar]:
        row = self._row.get(symbol)
        if row is None:
            return []
        start, stop = np.searchsorted(self._ordinals, [first.toordinal(), last.toordinal() + 1])
        block = self._bars[row, start:stop].tolist()
        return [
            DayBar(self._days[start + i], Bar(o, h, lo, c, int(v)))
            for i, (o, h, lo, c, v) in enumerate(block)
            if v > 0
        ]

    def gone_after(self, symbol: str, day: date) -> bool:
        row = self._row.get(symbol)
        if row is None or not self._days[0] <= day <= self._days[-1]:
            return False
        start = int(np.searchsorted(self._ordinals, day.toordinal()))
        return not bool((self._bars[row, start:, 4] > 0).any())


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(
            f"no market file at {path}: give the path of a parquet file of daily bars, or 'synthetic'"
        )
    try:
        present = set(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path.name} is not a readable parquet file: {error}; export the daily bars again"
        ) from error
    missing = [c for c in _COLUMNS if c not in present]
    if missing:
        raise DataError(
            f"{path.name} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} "
            f"(it has {', '.join(sorted(present))}); a market file needs {', '.join(_COLUMNS)}"
        )
    return pq.read_table(path, columns=list(_COLUMNS))


def _columns(path: Path, table: Any) -> tuple[list[str], list[date], Ints, Ints, Floats, Floats]:
    """(symbols, days, column of each row, row of each row, prices [rows, 4], volumes [rows])."""
    try:
        coded = pc.dictionary_encode(table["symbol"].combine_chunks().cast(pa.string()))
        stamps = table["date"].combine_chunks()
        moments = stamps if pa.types.is_date(stamps.type) else stamps.cast(pa.timestamp("s"))
        ordinals = moments.cast(pa.date32()).cast(pa.int32())
        numbers = [
            table[c].combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False)
            for c in (*_PRICES, "volume")
        ]
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{path.name} has a column of the wrong type: {error}; export the daily bars again"
        ) from error
    if table["symbol"].null_count or table["date"].null_count or len(table) == 0:
        raise DataError(f"{path.name} has no rows, or rows without symbol or date; export the daily bars again")
    combined = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    days, columns = np.unique(ordinals.to_numpy(zero_copy_only=False), return_inverse=True)
    epoch = date(1970, 1, 1).toordinal()
    return (
        combined.dictionary.to_pylist(),
        [date.fromordinal(epoch + int(d)) for d in days],
        columns.astype(np.int64),
        combined.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        np.round(np.stack(numbers[:4], axis=1), 4),
        numbers[4],
    )


def _check(
    path: Path, symbols: list[str], days: list[date], rows: Ints, columns: Ints, prices: Floats, volumes: Floats
) -> None:
    """DataError naming the first row that must not be traded on, and how many there are."""

    def refuse(bad: np.ndarray[Any, np.dtype[np.bool_]], what: str) -> None:
        count = int(bad.sum())
        if count:
            first = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{path.name}: {count} bar{'s' if count > 1 else ''} with {what}, the first is "
                f"{symbols[rows[first]]} on {days[columns[first]]}; remove or correct these rows"
            )

    refuse(~np.isfinite(prices).all(axis=1) | ~np.isfinite(volumes), "NaN or infinite values")
    refuse(volumes < 0, "a negative volume")
    traded = volumes > 0
    refuse(traded & (prices <= 0).any(axis=1), "a price that is not positive")
    enclosed = (prices[:, 1] >= prices.max(axis=1)) & (prices[:, 2] <= prices.min(axis=1))
    refuse(traded & ~enclosed, "high and low that do not enclose open and close")
    keys = rows * len(days) + columns
    _, first_seen = np.unique(keys, return_index=True)
    repeated = np.ones(len(keys), dtype=np.bool_)
    repeated[first_seen] = False
    refuse(repeated, "a symbol and date that occurred before")


def _names(path: Path) -> dict[str, str]:
    """Company names by symbol; none when there is no such file."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["symbol"]: row["name"] for row in csv.DictReader(file) if row.get("symbol") and row.get("name")
        }
