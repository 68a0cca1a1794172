"""Killed (-9) anywhere and resumed, a weekend ends with the tables of one that was never touched.

The suite kills at a few seeded moments; ``python -m tests.week.kill_trials 20`` does it by
hand at as many as asked.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.home import Home

from .conftest import Tshc
from .kill_trials import killed_week, table_hashes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tshc = Tshc(Home(tmp_path_factory.mktemp("untouched") / "home"))
    try:
        tshc.json("weekend")
        tshc.json("weekday", "--until-list")
        return table_hashes(tshc)
    finally:
        tshc.stop()


def test_the_same_seed_gives_the_same_tables_and_the_same_trade_list(
    untouched: dict[str, str], tmp_path: Path
) -> None:
    again = Tshc(Home(tmp_path / "home"))
    try:
        again.json("weekend")
        again.json("weekday", "--until-list")
        assert table_hashes(again) == untouched
    finally:
        again.stop()
    assert len(untouched) > 20


@pytest.mark.parametrize("seed", [2])
def test_a_week_killed_at_seeded_moments_ends_with_the_same_tables(
    untouched: dict[str, str], tmp_path: Path, seed: int
) -> None:
    trial = killed_week(tmp_path / "home", seed=seed, kills=3)
    assert trial.kills > 0
    assert trial.hashes == untouched
