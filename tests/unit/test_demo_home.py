"""The demo lives in the home that the call names, wherever in the call that stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    refused = ["--set", "training.cycels=3"]  # after the home was made, before anything starts
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments, *refused],
        cwd=PROJECT, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "training.cycles" in done.stderr
    assert (home / "tsh.toml").is_file()
    assert not (tmp_path / "data").exists()
