"""How the search's best and its bound moved: a curve of few points that spans the whole search.

Points come as often as they are offered until there are too many; then every other one goes
and the next ones come at the distance that is left. So a search of half a second and one of a day both
have their curve, from the first moment to the last.
"""

from __future__ import annotations

from engine.views import GapPoint

MOST_POINTS = 160
FIRST_STEP_S = 0.005  # search seconds between two points at first


class GapCurve:
    """Takes moments in time order; ``points`` are those kept, the latest one always among them."""

    def __init__(self) -> None:
        self._kept: list[GapPoint] = []
        self._step_s = FIRST_STEP_S
        self._last: GapPoint | None = None

    def add(self, point: GapPoint) -> None:
        self._last = point
        if self._kept and point.at_s < self._kept[-1].at_s + self._step_s:
            return
        self._kept.append(point)
        if len(self._kept) > MOST_POINTS:
            del self._kept[1::2]
            span_s = self._kept[-1].at_s - self._kept[0].at_s
            self._step_s = max(self._step_s, span_s / (len(self._kept) - 1))

    @property
    def points(self) -> tuple[GapPoint, ...]:
        if self._last is None or self._kept[-1] == self._last:
            return tuple(self._kept)
        return (*self._kept, self._last)
