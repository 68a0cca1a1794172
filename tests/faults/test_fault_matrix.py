"""A sample of the fault matrix: whatever goes wrong, shares, cents and records agree with the venue afterwards.

All cells: ``python -m tests.faults.matrix``.
"""

from __future__ import annotations

import asyncio

import pytest

from .matrix import FAULTS, SAMPLE, SITUATIONS, run

pytestmark = pytest.mark.slow

AT_ONCE = 3


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, str], list[str]]:
    """Every sampled cell on a simulator of its own; they wait more than they work, so some run at once."""
    return asyncio.run(run(list(SAMPLE), AT_ONCE))


@pytest.mark.parametrize("cell", SAMPLE, ids=lambda cell: " while ".join(cell))
def test_nothing_is_lost_or_done_twice(results: dict[tuple[str, str], list[str]], cell: tuple[str, str]) -> None:
    assert results[cell] == []


def test_the_sample_meets_every_situation_and_names_real_faults() -> None:
    assert {situation for _, situation in SAMPLE} == set(SITUATIONS)
    assert all(fault in FAULTS for fault, _ in SAMPLE)
