"""The demo lives in the home that the call names, wherever in the call that stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import run
from engine.errors import EXIT_USAGE
from engine.home import Home

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("order", ["tshc --home H demo", "tshc demo --home H", "TSH_HOME=H tshc demo"])
def test_a_home_that_is_named_is_the_demos(tmp_path: Path, order: str) -> None:
    home = tmp_path / "named"
    given = ["--home", str(home)]
    arguments = {"tshc --home H demo": [*given, "demo"], "tshc demo --home H": ["demo", *given]}.get(
        order, ["demo"]
    )
    env = os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": str(PROJECT)}
    env.pop("TSH_HOME", None)
    if order.startswith("TSH_HOME"):
        env["TSH_HOME"] = str(home)
    refused = ["--set", f"sim.market={tmp_path / 'none.parquet'}"]  # by the engine, after the home was made
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments, *refused],
        cwd=PROJECT, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode not in (0, None)
    assert "none.parquet" in done.stderr
    assert (home / "tsh.toml").is_file()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--speed", "5000"], "'--speed'"),
        (["--cycles", "0"], "setting 'training.cycles' from command line (it is 0)"),
        (["--set", "training.cycels=3"], "did you mean 'training.cycles'"),
        (["--search-budget", "5x"], "'5x' is not a duration"),
        (["--market", "none.parquet"], "--market: there is no file"),
    ],
)
def test_a_wrong_option_is_named_as_such_and_moves_no_demo_away(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
    said: str,
) -> None:
    monkeypatch.delenv("TSH_HOME", raising=False)
    monkeypatch.setattr(Home, "default_folder", classmethod(lambda cls: tmp_path / "data"))
    last = tmp_path / "data" / "demo" / "journal.db"
    last.parent.mkdir(parents=True)
    last.touch()
    assert run(["demo", *option]) == EXIT_USAGE
    assert said in capsys.readouterr().err
    assert last.exists()
