"""The best K with distinct picks do not depend on the order of the offers."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from engine.decision.top_groups import FoundGroup, TopGroups

PICKS = 6


def found(score: int, members: tuple[int, ...], picks: int) -> FoundGroup:
    return FoundGroup(members, float(score), (0,) * 5, (8,) * 5, bytes([picks]) * 640)


@st.composite
def offers(draw: st.DrawFn) -> list[FoundGroup]:
    """Groups with the same picks have the same score, as in a search."""
    scores = draw(st.lists(st.integers(0, 3), min_size=PICKS, max_size=PICKS))
    members = draw(st.sets(st.frozensets(st.integers(0, 5), min_size=2, max_size=4), max_size=25))
    picks = st.integers(0, PICKS - 1)
    return [found(scores[p := draw(picks)], tuple(sorted(m)), p) for m in sorted(members, key=sorted)]


def by_definition(groups: list[FoundGroup], limit: int) -> tuple[FoundGroup, ...]:
    simplest: dict[bytes, FoundGroup] = {}
    for group in sorted(groups, key=lambda g: (g.size, g.members)):
        simplest.setdefault(group.stored_picks, group)
    return tuple(sorted(simplest.values(), key=lambda g: (-g.score, g.size, g.members))[:limit])


@given(groups=offers(), limit=st.integers(1, 8), seed=st.integers(0, 99), batch=st.integers(1, 9))
def test_the_best_groups_do_not_depend_on_the_order_or_the_batches_of_the_offers(
    groups: list[FoundGroup], limit: int, seed: int, batch: int
) -> None:
    random.Random(seed).shuffle(groups)
    top = TopGroups(limit)
    for start in range(0, len(groups), batch):
        top.offer(groups[start : start + batch])
    assert top.best() == by_definition(groups, limit)


@given(groups=offers(), limit=st.integers(1, 8))
def test_the_threshold_never_falls_and_is_the_last_kept_score(groups: list[FoundGroup], limit: int) -> None:
    top = TopGroups(limit)
    thresholds = []
    for group in groups:
        top.offer([group])
        thresholds.append(top.threshold)
    assert thresholds == sorted(thresholds)
    if len(top.best()) == limit:
        assert top.threshold == top.best()[-1].score


def test_a_group_below_a_known_threshold_is_not_kept() -> None:
    top = TopGroups(3, threshold=2.0)
    assert not top.offer([found(1, (0, 1), 0)])
    assert top.offer([found(2, (0, 1), 0)])
    assert top.threshold == 2.0
