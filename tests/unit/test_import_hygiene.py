"""The architecture as tests: floors by import-linter, and what a running engine really loads.

The static contracts cannot see a lazy import inside a function or one that a library makes;
the subprocess looks at sys.modules after everything of the engine has been imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]

LOAD_ENGINE = """
import importlib, json, pkgutil, sys
import engine
for module in pkgutil.walk_packages(engine.__path__, "engine."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_a_fully_loaded_engine_has_neither_console_nor_terminal_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ENGINE], cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "engine" in loaded
    assert not loaded & {"app", "textual", "rich"}


def test_a_console_starts_without_the_brokers_library_and_the_kernels_compiler() -> None:
    """They cost as much as all the rest of a start; a console draws views and computes nothing."""
    load = "import json, sys, app.cli, app.console; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", load], cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "textual" in loaded
    assert not loaded & {"alpaca", "pandas", "numba", "openai", "engine.daemon"}


def test_the_floors_of_the_architecture_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(command), "--no-cache"], cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_line_starts_without_the_kernels_and_the_brokers_library() -> None:
    """Every command pays for what ``app.cli`` loads."""
    done = subprocess.run(
        [sys.executable, "-c", "import json, sys, app.cli; print(json.dumps(list(sys.modules)))"],
        cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "typer" in loaded
    assert not loaded & {"alpaca", "numba", "pandas", "scipy", "textual"}
