"""Bars as they came, checked and laid out: only whole symbols become a panel.

Pure. A bar that is not finite, out of order or of another session makes its symbol
unusable, not the run - unless it happens to so many symbols that the source itself must be
wrong (DataError). No trade means no bar: gaps are never filled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from engine.errors import DataError
from engine.model import DailyBar, Panel

NO_COVERAGE = "no bar with volume on every session"
UNUSABLE = "unusable bar"
_TOLERATED = 0.05  # share of a request's symbols that may have unusable bars
_TOLERATED_AT_LEAST = 2
_JUDGED_FROM = 10  # symbols: below this many, a missing newest session says nothing about the source


@dataclass(frozen=True, slots=True)
class CheckedBars:
    """A panel of the whole symbols and how many of the others there were, by reason."""

    panel: Panel
    dropped: dict[str, int]


def checked_panel(symbols: Sequence[str], sessions: Sequence[date], bars: Sequence[DailyBar]) -> CheckedBars:
    """The asked ``symbols`` that have a good bar with volume on each of ``sessions`` (oldest first).

    Raises DataError, naming a symbol and a session, when bars of more than 5 % of the symbols
    must not be used, or when the source does not have the newest session yet.
    """
    place = {day: i for i, day in enumerate(sessions)}
    row = {symbol: i for i, symbol in enumerate(sorted(set(symbols)))}
    values = np.full((len(row), len(place), 5), np.nan)
    unusable: dict[str, tuple[date, str]] = {}
    for bar in bars:
        i, k = row.get(bar.symbol), place.get(bar.session)
        fault = bar.fault()
        if i is None:
            raise DataError(
                f"the data service sent bars of {bar.symbol}, which was not asked for; "
                "nothing of this answer was stored, run the stage again"
            )
        if fault is None and k is None:
            fault = "not a session that was asked for"
        if fault is None and not np.isnan(values[i, k, 0]):
            fault = "sent twice"
        if fault is not None or k is None:
            unusable.setdefault(bar.symbol, (bar.session, fault or ""))
            continue
        values[i, k] = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    if len(unusable) > max(_TOLERATED_AT_LEAST, _TOLERATED * len(row)):
        symbol, (session, fault) = min(unusable.items())
        raise DataError(
            f"the bars of {len(unusable)} of {len(row)} symbols must not be used, for instance {symbol} on "
            f"{session}: {fault}. Nothing of this answer was stored; check the data feed and run the stage again"
        )
    present = ~np.isnan(values[:, :, 0])
    _refuse_unfinished_session(present, sessions)
    whole = (present & (np.nan_to_num(values[:, :, 4]) > 0)).all(axis=1)
    whole &= np.array([symbol not in unusable for symbol in row], dtype=bool)
    kept = np.flatnonzero(whole)
    names = tuple(row)
    dropped = Counter({UNUSABLE: len(unusable), NO_COVERAGE: len(row) - len(kept) - len(unusable)})
    panel = Panel(tuple(names[i] for i in kept), tuple(sessions), np.ascontiguousarray(values[kept]))
    return CheckedBars(panel, {reason: count for reason, count in dropped.items() if count})


def _refuse_unfinished_session(
    present: np.ndarray[tuple[int, int], np.dtype[np.bool_]], days: Sequence[date]
) -> None:
    """The newest session is there for most symbols that traded the session before, or not there yet."""
    if len(days) < 2:
        return
    before = int(present[:, -2].sum())
    both = int((present[:, -2] & present[:, -1]).sum())
    if before >= _JUDGED_FROM and both < before / 2:
        raise DataError(
            f"the data service has bars of {days[-1]} for only {both} of {before} symbols that traded on "
            f"{days[-2]}: that session is not complete there; nothing of this answer was stored, try again "
            "in some minutes"
        )


def bars_of(panel: Panel) -> list[DailyBar]:
    """A panel's bars, symbol by symbol, oldest session first."""
    return [
        DailyBar(symbol, day, *numbers)
        for symbol, rows in zip(panel.symbols, panel.bars.tolist(), strict=True)
        for day, numbers in zip(panel.sessions, rows, strict=True)
    ]


def joined(panels: Sequence[Panel]) -> Panel:
    """Panels of the same sessions under one another, in symbol order; an empty panel of none."""
    if not panels:
        return Panel((), (), np.zeros((0, 0, 5)))
    symbols = [symbol for panel in panels for symbol in panel.symbols]
    order = sorted(range(len(symbols)), key=symbols.__getitem__)
    bars = np.concatenate([panel.bars for panel in panels])[order]
    return Panel(tuple(symbols[i] for i in order), panels[0].sessions, bars)
