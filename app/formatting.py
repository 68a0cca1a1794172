"""Numbers, times and small pictures as an operator reads them. Pure: no textual, no state.

A number that is not known is a dot, never a zero. Signs are always written where a sign has
a meaning, so that colour is never needed to read one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from rich.cells import cell_len, set_cell_size

from engine.model import NEW_YORK

UNKNOWN = "·"
BLOCKS = "▁▂▃▄▅▆▇"  # not the full block: rows of a table would grow together

Number = float | int | Decimal


def money(value: Number | None, *, signed: bool = False) -> str:
    """Dollars with cents: ``75,193.16``, signed ``+182.40``."""
    if value is None:
        return UNKNOWN
    return _signed(f"{value:+,.2f}") if signed else f"{value:,.2f}"


def price(value: Number | None) -> str:
    """A price per share; four decimals below one dollar, as exchanges quote it."""
    if value is None:
        return UNKNOWN
    return f"{value:,.2f}" if abs(float(value)) >= 1 else f"{value:.4f}"


def signed(value: Number | None, decimals: int = 2) -> str:
    """``+0.41``; what rounds to zero has no sign."""
    return UNKNOWN if value is None else _signed(f"{value:+.{decimals}f}")


def percent(value: Number | None, decimals: int = 2) -> str:
    """``+0.18 %`` of a value already in percent."""
    return UNKNOWN if value is None else _signed(f"{value:+.{decimals}f}") + " %"


def _signed(text: str) -> str:
    """``text`` without its sign when all its digits are 0: -0.001 is not shown as a loss."""
    return text if any(digit in "123456789" for digit in text) else text[1:]


def count(value: int | None) -> str:
    """``10,960``"""
    return UNKNOWN if value is None else f"{value:,}"


def metric(value: Number | None) -> str:
    """Large counts in three digits: ``41.2 G``, ``71 M``, ``956``."""
    if value is None:
        return UNKNOWN
    size = float(value)
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(size) >= factor * 0.9995:
            scaled = size / factor
            return f"{scaled:.0f} {unit}" if scaled >= 99.95 else f"{scaled:.1f} {unit}"
    return f"{size:.0f}"


def duration(seconds: float | None) -> str:
    """A length of time for people: ``4 s``, ``41 m 12 s``, ``5 h 17 m``, ``2 d 3 h``."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def stopwatch(seconds: float | None) -> str:
    """A length of time for columns: ``06:12:44``; hours are not cut at a day."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, round(seconds))
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def thread_time(seconds: float, budget: float) -> str:
    """A share of a budget: tenths of a second while the whole budget is short, else ``06:12:44``."""
    return f"{seconds:.1f} s" if budget <= 600 else stopwatch(seconds)


def amount(seconds: float | None) -> str:
    """A share of a thread's time in three digits: ``3.2 ms``, ``250 ms``, ``1.25 s``, ``36.1 s``, ``06:12:44``."""
    if seconds is None:
        return UNKNOWN
    if seconds >= 600:
        return stopwatch(seconds)
    if seconds >= 0.9995:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    if seconds >= 0.00995:
        return f"{seconds * 1000:.0f} ms"
    if seconds <= 0:
        return "0 s"
    return f"{seconds * 1000:.1f} ms" if seconds >= 0.00005 else "<0.1 ms"


def age(seconds: float | None, *, stale: bool = False) -> str:
    """How old a price is, in at most five cells: ``0.2s``, ``6.1s!`` when too old to trust, ``45s!``, ``12m!``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 9.95:
        text = f"{seconds:.1f}s"
    else:
        text = f"{seconds:.0f}s" if seconds < 99.5 else f"{seconds / 60:.0f}m" if seconds < 6000 else "old"
    return text + ("!" if stale else "")


def eastern(at: datetime | None, pattern: str = "%H:%M:%S") -> str:
    """An aware time on New York's clock."""
    return UNKNOWN if at is None else at.astimezone(NEW_YORK).strftime(pattern)


def until(later: datetime | None, now: datetime | None) -> float | None:
    """Seconds from ``now`` to ``later``; None when either is not known."""
    if later is None or now is None:
        return None
    return (later - now) / timedelta(seconds=1)


def sparkline(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as blocks between their own low and high (a flat line is low)."""
    recent = [v for v in values if v == v][-width:] if width > 0 else []
    if not recent:
        return ""
    low, high = min(recent), max(recent)
    span = high - low
    if span <= 0:
        return BLOCKS[0] * len(recent)
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int((v - low) / span * len(BLOCKS)))] for v in recent)


def resampled(values: Sequence[float], width: int) -> list[float]:
    """A whole history squeezed into ``width`` points (the last of each stretch)."""
    if width <= 0 or not values:
        return []
    if len(values) <= width:
        return list(values)
    return [values[max(0, (i + 1) * len(values) // width - 1)] for i in range(width)]


def bar(fraction: float | None, width: int) -> tuple[str, str]:
    """A bar of ``width`` cells as (full, empty), exact to half a cell."""
    if width <= 0:
        return "", ""
    share = 0.0 if fraction is None or fraction != fraction else min(1.0, max(0.0, fraction))
    halves = round(share * width * 2)
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    return full, "─" * (width - len(full))


def ribbon(width: int, low: float, high: float, marks: Sequence[tuple[float, str]]) -> list[tuple[str, str]]:
    """A line from ``low`` to ``high`` with one-cell ``marks`` (value, glyph); later marks cover earlier ones.

    Returns (glyph, kind) per cell; kind is ``line`` or the mark's own glyph. The last mark is
    the price: outside the line it sits on the end as an arrow, so that a price beyond its stop
    is seen as such. Other marks outside are left out.
    """
    if width < 3:
        return []
    cells: list[tuple[str, str]] = [("─", "line")] * width
    cells[0], cells[-1] = ("├", "line"), ("┤", "line")
    span = high - low
    for index, (value, glyph) in enumerate(marks):
        share = (value - low) / span if span > 0 else 0.5
        if 0 <= share <= 1:
            cells[round(share * (width - 1))] = (glyph, glyph)
        elif index == len(marks) - 1:
            cells[0 if share < 0 else -1] = ("◀" if share < 0 else "▶", glyph)
    return cells


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Exactly ``width`` cells: padded, or cut with an ellipsis. ``right`` aligns to the right."""
    if width <= 0:
        return ""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else "…"
    return " " * (width - size) + text if right else text + " " * (width - size)


def wrapped(text: str, width: int, most: int = 99) -> list[str]:
    """Words on lines of ``width`` cells; what does not fit ``most`` lines ends in an ellipsis."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if line and cell_len(joined) > width:
            lines.append(line)
            line = word
        else:
            line = joined
    if line:
        lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])] if most > 0 else []
    return [fit(piece, width).rstrip() for piece in lines]
