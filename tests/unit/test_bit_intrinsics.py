"""The group kernel's bit operations against the plainest way to do the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision.bit_intrinsics import LANES, masked_sum, take_lowest
from engine.decision.kernel_arrays import kernel
from engine.model import Words

WORD = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1, 2**32, 2**64 - 2]))


@kernel
def _take(left: Words, right: Words, words: int, needs: Words, low: Words, rest: Words, marks: Words) -> None:
    take_lowest(left, 0, right, LANES, words, needs, low, rest, 2 * LANES, marks, LANES)


@kernel
def _sum(values: Words, mask: int) -> int:
    total: int = masked_sum(values, 3, mask)
    return total


def bits_of(words: list[int]) -> list[int]:
    return [64 * row + bit for row, word in enumerate(words) for bit in range(64) if word >> bit & 1]


@settings(max_examples=150)
@given(st.data(), st.integers(1, 5))
def test_the_lowest_shared_bits_of_every_lane_are_parted_from_the_others(data: st.DataObject, words: int) -> None:
    left = [[data.draw(WORD) for _ in range(LANES)] for _ in range(words)]
    right = [[data.draw(WORD) for _ in range(LANES)] for _ in range(words)]
    shared = [bits_of([left[row][lane] & right[row][lane] for row in range(words)]) for lane in range(LANES)]
    needs = [data.draw(st.integers(min(1, len(bits)), len(bits))) for bits in shared]
    low, rest = np.zeros((words + 2, LANES), np.uint64), np.zeros((words + 2, LANES), np.uint64)
    marks = np.zeros((4, LANES), np.uint64)
    _take(
        np.array(left, np.uint64).ravel(),
        np.array([[0] * LANES, *right], np.uint64).ravel(),
        words,
        np.array(needs, np.uint64),
        low.reshape(-1),
        rest.reshape(-1),
        marks.reshape(-1),
    )
    for lane, (bits, need) in enumerate(zip(shared, needs, strict=True)):
        assert bits_of([int(word) for word in low[2:, lane]]) == bits[:need]
        assert bits_of([int(word) for word in rest[2:, lane]]) == bits[need:]
        count, row, place = (int(value) for value in marks[1:, lane])
        assert count == len(bits)
        if need:
            assert 64 * row + place == bits[need - 1]


@given(WORD, st.lists(st.integers(-(2**40), 2**40), min_size=67, max_size=67))
def test_a_masked_sum_adds_the_values_of_the_set_bits(mask: int, values: list[int]) -> None:
    expected = sum(values[3 + bit] for bit in range(64) if mask >> bit & 1)
    assert _sum(np.array(values, np.int64), np.uint64(mask)) == expected
