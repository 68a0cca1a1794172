"""Runs the program as the operator does: ``tshc`` in a process of its own, on a small embedded market."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.engine_process import engine_record, engine_runs, stop_engine_by_force, wait_until_stopped
from engine.home import Home

PROJECT = Path(__file__).parents[2]
# Half of the listings are eligible: 2,400 give some 1,200, the least that a week needs is 1,000.
SMALL_MARKET = {
    "sim.symbols": "2400",
    "sim.date": "2026-11-25",
    "training.cycles": "3",
    "search.tests": "20000",
    "search.permutations": "20",  # how much of the winner is luck is asked elsewhere
}


@dataclass
class Tshc:
    """One home folder and the commands that are run on it."""

    home: Home
    overrides: Mapping[str, str] = field(default_factory=lambda: dict(SMALL_MARKET))
    environ: Mapping[str, str] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)  # the events of the last ``json`` command

    def run(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=PROJECT,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=PROJECT,
            env={**os.environ, **self.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def json(self, *arguments: str, timeout_s: float = 300) -> dict[str, Any]:
        done = self.run(*arguments, "--json", timeout_s=timeout_s)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.log()}"
        self.told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def command(self, *arguments: str) -> list[str]:
        pairs = [part for key, value in self.overrides.items() for part in ("--set", f"{key}={value}")]
        return [sys.executable, "-m", "app.cli", "--home", str(self.home.folder), *pairs, *arguments]

    def log(self) -> str:
        path = self.home.logs / "engine.log"
        return path.read_text(encoding="utf-8")[-4000:] if path.exists() else ""

    def engine_pid(self) -> int | None:
        record = engine_record(self.home)
        return None if record is None else int(record["pid"])

    def rows(self, database: Path, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def stop(self) -> None:
        if engine_runs(self.home):
            self.run("engine", "stop", "--force", timeout_s=60)
            if not wait_until_stopped(self.home, 10):
                stop_engine_by_force(self.home)


@pytest.fixture
def tshc(tmp_path: Path) -> Iterator[Tshc]:
    week = Tshc(Home(tmp_path / "home"))
    yield week
    week.stop()
