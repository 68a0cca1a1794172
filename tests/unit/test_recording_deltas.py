"""Patches between states of the screens: exact, and small where little changed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recording.frame_codec import FrameCodec
from engine.recording.view_deltas import difference, patched

numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=6))
# Few keys and small values, so that two trees often have something in common.
few = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from([0.0, -0.0, 1.0]), st.just("a"))


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abcd"), inner)),
        max_leaves=12,
    )


def exact(tree: Any) -> Any:
    """Distinguishes what == does not: 1, 1.0 and True; 0.0 and -0.0."""
    if isinstance(tree, dict):
        return {key: exact(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [exact(value) for value in tree]
    return repr(tree)


@given(old=trees(few), new=trees(few))
def test_a_patch_makes_the_new_tree_of_the_old_one_to_the_last_type(old: Any, new: Any) -> None:
    before = exact(old)
    assert exact(patched(old, difference(old, new))) == exact(new)
    assert exact(old) == before


@given(old=trees(scalars), new=trees(scalars))
def test_any_tree_can_follow_any_other(old: Any, new: Any) -> None:
    assert exact(patched(old, difference(old, new))) == exact(new)


@given(tree=trees(scalars))
def test_a_tree_differs_in_nothing_from_itself(tree: Any) -> None:
    assert difference(tree, patched(None, difference(None, tree))) is None


@given(st.lists(st.tuples(trees(few), st.booleans()), min_size=1, max_size=12))
def test_frames_read_in_turn_from_any_whole_one_are_the_frames_that_were_written(
    frames: list[tuple[Any, bool]],
) -> None:
    writer, written = FrameCodec(), []
    for index, (tree, whole) in enumerate(frames):
        written.append((writer.pack(tree, whole=whole or index == 0), whole or index == 0))
    for start in (index for index, (_, whole) in enumerate(written) if whole):
        reader = FrameCodec()
        for (body, whole), (tree, _) in zip(written[start:], frames[start:], strict=True):
            assert exact(reader.unpack(body, whole=whole)) == exact(tree)


def test_a_number_that_is_none_is_kept_as_it_is() -> None:
    body = FrameCodec().pack([math.nan, math.inf], whole=True)
    read = FrameCodec().unpack(body, whole=True)
    assert math.isnan(read[0])
    assert read[1] == math.inf


def test_what_did_not_change_stays_the_same_object() -> None:
    old = {"rows": [{"symbol": "ABCD", "last": 1.0}, {"symbol": "KLMN", "last": 2.0}], "state": "pending"}
    new = {"rows": [{"symbol": "ABCD", "last": 1.5}, {"symbol": "KLMN", "last": 2.0}], "state": "pending"}
    patch = difference(old, new)
    assert patch == [1, {"rows": [2, 2, 0, [1, {"last": [0, 1.5]}]]}]
    assert patched(old, patch)["rows"][1] is old["rows"][1]


@pytest.mark.parametrize("patch", [[], [9], [1], [1, {"a": [0]}], [2, 1, 0], [2, 2, 5, [0, 1]], "text", [1, {}]])
def test_what_is_no_patch_for_a_list_is_refused(patch: Any) -> None:
    with pytest.raises(ValueError, match="patch"):
        patched([1], patch)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-2], lambda b: b + b"x", lambda b: b"\xff" + b[1:], lambda b: b""]
)
def test_a_damaged_frame_is_refused(damage: Any) -> None:
    body = FrameCodec().pack({"rows": list(range(50))}, whole=True)
    with pytest.raises(ValueError, match="cannot be read"):
        FrameCodec().unpack(damage(body), whole=True)
