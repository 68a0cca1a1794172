"""The curve of a search is short, spans all of it, and never goes back in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.decision.gap_curve import MOST_POINTS, GapCurve
from engine.views import GapPoint


@given(steps=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=2_000))
def test_a_curve_of_any_length_keeps_its_ends_and_few_points(steps: list[float]) -> None:
    curve, at, offered = GapCurve(), 0.0, []
    for step in steps:
        at += step
        offered.append(GapPoint(at_s=at, incumbent=at))
        curve.add(offered[-1])
    points = curve.points
    assert len(points) <= MOST_POINTS + 1
    assert points[0] == offered[0]
    assert points[-1] == offered[-1]
    assert [p.at_s for p in points] == sorted(p.at_s for p in points)


def test_a_search_of_a_second_keeps_many_points_and_a_day_keeps_them_evenly() -> None:
    second, day = GapCurve(), GapCurve()
    for i in range(50):
        second.add(GapPoint(at_s=0.02 * i))
    for i in range(8 * 3600):
        day.add(GapPoint(at_s=3.0 * i))
    assert len(second.points) == 50
    gaps = [b.at_s - a.at_s for a, b in zip(day.points[:-2], day.points[1:-1], strict=True)]
    assert len(day.points) > MOST_POINTS // 2
    assert max(gaps) <= 2 * min(gaps)


def test_a_curve_without_points_is_empty() -> None:
    assert GapCurve().points == ()
