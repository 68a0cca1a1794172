"""A small log-log plot as SVG: how the cost of the search grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 460, 320  # of one panel, pixels
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 40, 48  # margins
INK, PALE, LINE = "#1f2933", "#d7dde4", "#1769aa"


@dataclass(frozen=True, slots=True)
class Point:
    """``note`` is written beside it; an ``open`` point is not finished: the true value lies above."""

    x: float
    y: float
    note: str = ""
    open: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    x_label: str
    y_label: str
    points: tuple[Point, ...]
    falling: bool = False  # the x axis runs from large to small


def _decades(values: Sequence[float]) -> tuple[int, int]:
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def _text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "middle", turn: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{INK}"{turn}>'
        f"{escape(words)}</text>"
    )


def _panel(panel: Panel, offset: float) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    low, high = _decades([p.y for p in panel.points])
    high = max(high, low + 1)
    first, last = math.log10(min(p.x for p in panel.points)), math.log10(max(p.x for p in panel.points))

    def at_x(value: float) -> float:
        share = (math.log10(value) - first) / (last - first)
        share = 1 - share if panel.falling else share
        return LEFT + 16 + share * (right - LEFT - 32)

    def at_y(value: float) -> float:
        return bottom - (math.log10(value) - low) / (high - low) * (bottom - TOP)

    drawn = [f'<g transform="translate({offset:.0f} 0)">', _text(WIDTH / 2, 22, panel.title, size=14)]
    for decade in range(low, high + 1):
        y = at_y(10.0**decade)
        drawn.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{PALE}"/>')
        drawn.append(_text(LEFT - 6, y + 4, f"{10.0**decade:g}", anchor="end"))
    for point in panel.points:
        drawn.append(_text(at_x(point.x), bottom + 17, f"{point.x:g}"))
    path = " ".join(f"{at_x(p.x):.1f},{at_y(p.y):.1f}" for p in panel.points)
    drawn.append(f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    for number, point in enumerate(panel.points):
        x, y = at_x(point.x), at_y(point.y)
        fill = "#ffffff" if point.open else LINE
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{LINE}" stroke-width="2"/>')
        below = number % 2 == 1 and y < bottom - 24  # neighbours' notes must not touch
        drawn.append(_text(x, y + 20 if below else y - 10, point.note, size=11))
    drawn.append(_text((LEFT + right) / 2, HEIGHT - 12, panel.x_label))
    middle = (TOP + bottom) / 2
    drawn.append(_text(16, middle, panel.y_label, turn=f' transform="rotate(-90 16 {middle:.1f})"'))
    return [*drawn, "</g>"]


def write_plot(path: Path, panels: Sequence[Panel], note: str) -> None:
    """Panels side by side, ``note`` below. The same panels give the same file."""
    width, height = WIDTH * len(panels), HEIGHT + 26
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        lines += _panel(panel, number * WIDTH)
    lines += [_text(width / 2, height - 10, note, size=11), "</svg>"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
