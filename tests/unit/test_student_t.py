"""Student's t as the tables have it, and as scipy computed it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from engine.student_t import one_sided_quantile, student_inside, student_quantile

SCIPYS = Path(__file__).with_name("student_t_quantiles.csv")


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706205), (2, 4.302653), (3, 3.182446), (4, 2.776445), (9, 2.262157), (30, 2.042272), (120, 1.979930)],
)
def test_two_sided_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(quantile, abs=1e-6)
    assert student_inside(quantile, freedom) == pytest.approx(0.95, abs=1e-7)


@pytest.mark.parametrize(
    ("freedom", "at_80", "at_95"),
    [(1, 1.376, 6.314), (2, 1.061, 2.920), (7, 0.896, 1.895), (11, 0.876, 1.796), (30, 0.854, 1.697)],
)
def test_one_sided_quantiles_are_those_of_the_tables(freedom: int, at_80: float, at_95: float) -> None:
    assert one_sided_quantile(0.80, freedom) == pytest.approx(at_80, abs=5e-4)
    assert one_sided_quantile(0.95, freedom) == pytest.approx(at_95, abs=5e-4)


def test_quantiles_equal_scipys() -> None:
    """Kept as ``scipy.stats.t.ppf`` of scipy 1.17.1 gives them: where scipy is installed every process with a
    kernel loads it (numba looks for its BLAS), a quarter of what such a process costs."""
    with SCIPYS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["degrees_of_freedom"]) for row in rows] == [*range(1, 60), 100, 333, 999]
    for row in rows:
        for level in (0.8, 0.95, 0.99):
            ours = one_sided_quantile(level, int(row["degrees_of_freedom"]))
            assert ours == pytest.approx(float(row[str(level)]), rel=1e-10)


@pytest.mark.parametrize("level", [0.5, 0.2, 1.0])
def test_a_level_that_is_no_one_sided_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="one-sided"):
        one_sided_quantile(level, 5)
