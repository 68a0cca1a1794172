"""The line below the strip while the screens do not show the present: which moment, and how to move.

There is no such line on a live screen.
"""

from __future__ import annotations

from collections.abc import Sequence

from app import formatting as f
from app.time_shift import TimeShift
from app.widgets.box import Box, Line, cells, fitted, joined, plain

SHORTEST_BAR, LONGEST_BAR = 8, 60
GAP = "   "


class TransportLine(Box):
    FRAMED = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shift: TimeShift | None = None
        self.display = False

    def show(self, shift: TimeShift | None) -> None:
        self._shift = shift
        self.display = shift is not None
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        return [] if self._shift is None else [transport_line(self._shift, width)]


def transport_line(shift: TimeShift, width: int) -> Line:
    """One line of ``width`` cells. Keys go first when it is narrow, then facts; the moment is always said."""
    facts, keys = list(shift.facts), list(shift.keys)
    while True:
        left, right = _left(shift, facts), _right(keys)
        room = width - cells(left) - cells(right) - 2 * len(GAP)
        if room >= SHORTEST_BAR or not (facts or keys):
            break
        if len(keys) > 2 or not facts:
            keys.pop()
        else:
            facts.pop()
    if room < SHORTEST_BAR:
        return fitted(left, width)
    full, rest = f.bar(shift.share, min(room, LONGEST_BAR))
    line = joined([left, ((full, "accent"), (rest, "frame"))], GAP)
    gap = width - cells(line) - cells(right)
    return (*line, (" " * gap, "text"), *right)


def _left(shift: TimeShift, facts: Sequence[str]) -> Line:
    pattern = "%a %d %b %Y %H:%M:%S ET" if shift.past else "%H:%M:%S ET"
    return joined(
        [
            ((" ▶ " if shift.runs else " ‖ ", "warn"), (f.eastern(shift.at, pattern), "strong")),
            *(plain(fact) for fact in facts),
        ],
        GAP,
    )


def _right(keys: Sequence[tuple[str, str]]) -> Line:
    line = joined([((key, "accent"), (f" {does}", "dim")) for key, does in keys])
    return (*line, (" ", "text")) if line else line
