"""What all tests share: kernels compiled once, before the first test and before parallel workers start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Compiles (or loads) every kernel in a process of its own: workers that compile the same ones at once
    would take longer than one, and a test's own timeout would meet the compiler."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    warmed = subprocess.run(
        [sys.executable, "-m", "engine.compute.warm_kernels"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if warmed.returncode != 0:
        raise pytest.UsageError(f"the kernels cannot be compiled: {warmed.stderr.strip()[-500:]}")
