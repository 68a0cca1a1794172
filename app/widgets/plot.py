"""Curves and histograms drawn with braille dots and blocks: eight dots a cell, axes with numbers.

Pure: numbers in, lines of spans out. A curve is told from another by its place and by a label
at its end, never by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from app import formatting as f
from app.widgets.box import EMPTY, Line, Span, cells, fitted, plain

BRAILLE = 0x2800
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # [column][row] of a cell
EIGHTHS = " ▁▂▃▄▅▆▇█"
AXIS = 8  # cells that the numbers of the upright axis take
SHADE_EVERY = 5  # dots from one to the next below it in a shaded area


@dataclass(frozen=True, slots=True)
class Curve:
    """A value that holds until the next one; ``label`` stands at its end, ``ink`` colours it."""

    points: Sequence[tuple[float, float]]  # (x, y), x rising
    label: str
    ink: str = "accent"

    def over(self, first: float, last: float, columns: int) -> list[float | None]:
        """The value that holds at each of ``columns`` places from ``first`` to ``last``; None before the first."""
        values: list[float | None] = []
        held: float | None = None
        following = 0
        for column in range(columns):
            x = first + (last - first) * column / max(1, columns - 1)
            while following < len(self.points) and self.points[following][0] <= x:
                held = self.points[following][1]
                following += 1
            values.append(held)
        return values


class _Canvas:
    """Dots and their inks; later drawings colour a cell over earlier ones."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._dots = [[0] * width for _ in range(height)]
        self._inks = [["frame"] * width for _ in range(height)]

    def dot(self, x: int, y: int, ink: str) -> None:
        if 0 <= x < 2 * self.width and 0 <= y < 4 * self.height:
            self._dots[y // 4][x // 2] |= DOTS[x % 2][y % 4]
            self._inks[y // 4][x // 2] = ink

    def spans(self, row: int) -> list[Span]:
        out: list[Span] = []
        for dots, ink in zip(self._dots[row], self._inks[row], strict=True):
            glyph = chr(BRAILLE + dots) if dots else " "
            if out and out[-1][1] == ink:
                out[-1] = (out[-1][0] + glyph, ink)
            else:
                out.append((glyph, ink))
        return out


def plotted(
    curves: Sequence[Curve],
    width: int,
    height: int,
    *,
    number: Callable[[float], str],
    time: Callable[[float], str],
    shaded: tuple[int, int] | None = None,
) -> list[Line]:
    """``height`` lines with both axes: curves over their common x, labels at the right, times below.

    ``shaded`` (indexes of an upper and a lower curve): what lies between them is dotted.
    """
    known = [curve for curve in curves if curve.points]
    labels = max((cell_len(curve.label) for curve in known), default=0) + 1
    room, rows = width - AXIS - 1 - labels, height - 2
    if not known or room < 8 or rows < 2:
        return []
    values = [value for curve in known for _, value in curve.points]
    low, high = min(values), max(values)
    first, last = min(c.points[0][0] for c in known), max(c.points[-1][0] for c in known)
    span = (high - low) or 1.0

    def level(value: float) -> int:
        return round((high - value) / span * (4 * rows - 1))

    canvas = _Canvas(room, rows)
    levels = [[None if v is None else level(v) for v in curve.over(first, last, 2 * room)] for curve in curves]
    if shaded is not None:
        for x, (upper, lower) in enumerate(zip(levels[shaded[0]], levels[shaded[1]], strict=True)):
            if upper is not None and lower is not None and x % 2 == 0:
                start = upper + 1 + (-(x // 2) - upper - 1) % SHADE_EVERY
                for y in range(start, lower, SHADE_EVERY):
                    canvas.dot(x, y, "dim")
    for curve, own in zip(curves, levels, strict=True):
        before = next((y for y in own if y is not None), 0)
        for x, here in enumerate(own):
            if here is not None:
                for step in range(min(here, before), max(here, before) + 1):
                    canvas.dot(x, step, curve.ink)
                before = here
    named = _label_rows(curves, levels, rows)
    ticks = {0: number(high), rows - 1: number(low)} | (
        {rows // 2: number(high - span * (rows // 2) / (rows - 1))} if rows >= 5 else {}
    )
    lines: list[Line] = []
    for row in range(rows):
        end = "┤" if row in ticks else "│"
        label = named.get(row)
        lines.append(
            (
                (f.fit(ticks.get(row, ""), AXIS - 1, right=True) + " ", "dim"),
                (end, "frame"),
                *canvas.spans(row),
                *(((" " + label.label, label.ink),) if label is not None else EMPTY),
            )
        )
    lines.append((((" " * AXIS), "text"), ("└" + "─" * room, "frame")))
    lines.append(((" " * (AXIS + 1), "text"), *_times(first, last, room, time)))
    return lines


def _label_rows(curves: Sequence[Curve], levels: Sequence[Sequence[int | None]], rows: int) -> dict[int, Curve]:
    """A row for each curve's label, near its end; of two that meet the lower one steps down."""
    ends = [(own[-1], curve) for own, curve in zip(levels, curves, strict=True) if own and own[-1] is not None]
    ends.sort(key=lambda end: end[0] if end[0] is not None else 0)
    wanted = [min(rows - 1, (end or 0) // 4) for end, _ in ends]
    for i in range(1, len(wanted)):
        wanted[i] = max(wanted[i], wanted[i - 1] + 1)
    for i in range(len(wanted) - 1, -1, -1):
        wanted[i] = min(wanted[i], rows - len(wanted) + i)
    return {row: curve for row, (_, curve) in zip(wanted, ends, strict=True)}


def _times(first: float, last: float, room: int, time: Callable[[float], str]) -> Line:
    left, middle, right = time(first), time((first + last) / 2), time(last)
    if cell_len(left) + cell_len(middle) + cell_len(right) + 8 > room:
        middle = ""
    if cell_len(left) + cell_len(right) + 1 > room:
        left = ""
    right = f.fit(right, room).rstrip() if cell_len(right) > room else right
    gap = room - cell_len(left) - cell_len(middle) - cell_len(right)
    before = max(1, room // 2 - cell_len(left) - cell_len(middle) // 2)
    if not middle:
        return plain(left + " " * gap + right, "dim")
    return plain(left + " " * before + middle + " " * max(1, gap - before) + right, "dim")


def trend(values: Sequence[float], width: int) -> str:
    """A curve of one line, two dots a cell wide and four high (a flat one runs along the bottom)."""
    known = [v for v in values if v == v]
    if not known or width <= 0:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    dots = [0] * width
    before = 3 - round((known[0] - low) / span * 3)
    for x in range(2 * width):
        value = known[min(len(known) - 1, x * len(known) // (2 * width))]
        y = 3 - round((value - low) / span * 3)
        for step in range(min(y, before), max(y, before) + 1):
            dots[x // 2] |= DOTS[x % 2][step]
        before = y
    return "".join(chr(BRAILLE + cell) for cell in dots)


def histogram(
    values: Sequence[float], mark: float, width: int, height: int, *, number: Callable[[float], str], name: str
) -> list[Line]:
    """How ``values`` are spread, and where ``mark`` lies among them: columns of blocks, an arrow below."""
    room, rows = width - 2, height - 3
    if not values or room < 12 or rows < 1:
        return []
    low, high = min(*values, mark), max(*values, mark)
    span = (high - low) or 1.0
    bins = max(1, min(room // 2, 30))
    size = room // bins

    def place(value: float) -> int:
        return min(bins - 1, int((value - low) / span * bins))

    counts = [0] * bins
    for value in values:
        counts[place(value)] += 1
    most, marked = max(counts), place(mark)
    lines: list[Line] = []
    for row in range(rows):
        spans: list[Span] = [(" ", "text")]
        for index, count in enumerate(counts):
            eighths = max(1, round(count / most * 8 * rows)) if count else 0
            filled = max(0, min(8, eighths - 8 * (rows - 1 - row)))
            glyph = EIGHTHS[filled] * max(1, size - 1) + " " * min(1, size - 1)
            spans.append((glyph, "accent" if index >= marked else "dim"))
        lines.append(tuple(spans))
    lines.append(((" " + "─" * (bins * size), "frame"),))
    at = 1 + marked * size + max(0, (size - 1) // 2)
    words = f"{name} {number(mark)}"
    if at + 2 + cell_len(words) <= width:
        lines.append(((" " * at, "text"), ("▲ ", "strong"), (words, "strong")))
    else:
        lines.append(((" " * max(0, at - 1 - cell_len(words)), "text"), (words, "strong"), (" ▲", "strong")))
    left, right = number(low), number(high)
    lines.append(plain(" " + left + " " * max(1, bins * size - cell_len(left) - cell_len(right)) + right, "dim"))
    return [fitted(line, width) if cells(line) > width else line for line in lines]


def interval(mean: float, error: float, width: int, low: float, high: float) -> list[Span]:
    """A mean with two standard errors on either side on a line from ``low`` to ``high``, with a mark at zero."""
    if width < 5 or high <= low:
        return []

    def place(value: float) -> int:
        return max(0, min(width - 1, round((value - low) / (high - low) * (width - 1))))

    line: list[Span] = [("·", "frame")] * width
    left, right = place(mean - 2 * error), place(mean + 2 * error)
    for x in range(left, right + 1):
        line[x] = ("─", "text")
    line[left], line[right] = ("├", "text"), ("┤", "text")
    if low <= 0 <= high:
        zero = place(0.0)
        line[zero] = ("┼" if left < zero < right else "│", "strong")
    line[place(mean)] = ("●", "accent")
    return line
