"""Kills the engine and its workers with SIGKILL at seeded moments of a weekend, and resumes it.

By hand: ``python -m tests.week.kill_trials 20`` prints where each kill hit and whether the
resumed week has the tables of an untouched one. Exit code 1 when any differs.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.engine_process import wait_until_stopped
from engine.home import Home

from .conftest import Tshc

# Where a kill is aimed, and the wall seconds after the stage began among which it is drawn.
AIMS = {
    "weekly_5d_data": 2.5,
    "wipe_weekly_results": 0.02,
    "mp1_loop": 3.0,
    "mp1_p3_pruner": 0.1,
    "mp2_p2_group_discovery": 3.0,
}
COMPARED = (
    "dict_",
    "ds_",
    "history",
    "results_",
    "pruned_",
    "final_groups",
    "shortlist",
    "trade_list",
    "dictionary",
)


@dataclass
class Trial:
    """What one killed week came to."""

    kills: int = 0
    hit: Counter[str] = field(default_factory=Counter)  # the stage that was running
    hashes: dict[str, str] = field(default_factory=dict)


def table_hashes(tshc: Tshc) -> dict[str, str]:
    """The program's own table hashes of both research databases."""
    import asyncio

    from engine.storage.stocks_data_db import StocksDataDb
    from engine.storage.variation_results_db import VariationResultsDb

    async def read() -> dict[str, str]:
        stocks = await StocksDataDb.open(tshc.home.stocks_data, read_only=True)
        results = await VariationResultsDb.open(tshc.home.variation_results, read_only=True)
        try:
            found = {**await stocks.table_hashes(), **await results.table_hashes()}
        finally:
            await stocks.close()
            await results.close()
        return {name: value for name, value in found.items() if name.startswith(COMPARED)}

    return asyncio.run(read())


def killed_week(folder: Path, *, seed: int, kills: int) -> Trial:
    """Runs a weekend and a trade list, killing everything ``kills`` times on the way."""
    moments = random.Random(seed)
    tshc, trial = Tshc(Home(folder)), Trial()
    try:
        # In the order of the stages: a resumed week does not come back to an earlier one.
        for stage in sorted(moments.sample(list(AIMS), kills), key=list(AIMS).index):
            weekend = tshc.start("weekend")
            _wait_for(tshc, stage, weekend)
            time.sleep(moments.random() * AIMS[stage])
            where = _running_stage(tshc)
            if kill_engine(tshc):
                trial.kills += 1
                trial.hit[where] += 1
            weekend.kill()
            weekend.wait(10)
            wait_until_stopped(tshc.home, 10)
        _finish_weekend(tshc)
        tshc.json("weekday", "--until-list")
        trial.hashes = table_hashes(tshc)
    finally:
        tshc.stop()
    return trial


def _wait_for(tshc: Tshc, stage: str, weekend: subprocess.Popen[str]) -> None:
    """Returns when the stage runs, or has been passed, or the command has ended."""
    later = list(AIMS)[list(AIMS).index(stage) :]
    while weekend.poll() is None and not tshc.home.journal.exists():
        time.sleep(0.02)
    if weekend.poll() is None:
        with closing(_journal_of(tshc)) as journal:  # once: opening it costs ten times what a look costs
            while weekend.poll() is None and _stage_in(journal) not in later:
                time.sleep(0.005)


def _finish_weekend(tshc: Tshc) -> None:
    """Resumes; a weekend that a late kill had already let finish refuses to run again, which is right."""
    done = tshc.run("weekend")
    if done.returncode == 3 and "--replace" in done.stderr:
        return
    assert done.returncode == 0, done.stderr + tshc.log()


def kill_engine(tshc: Tshc) -> int:
    """SIGKILL to the engine and, half of the time before it, to its workers; 1 when an engine was there."""
    pid = tshc.engine_pid()
    if pid is None:
        return 0
    try:
        engine = psutil.Process(pid)
        family = [p for p in engine.children(recursive=True) if "engine.simulator" not in " ".join(p.cmdline())]
        engine.kill()
        for process in family:
            process.kill()
    except psutil.NoSuchProcess:
        return 0
    return 1


def _journal_of(tshc: Tshc) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{tshc.home.journal}?mode=ro", uri=True)


def _running_stage(tshc: Tshc) -> str:
    if not tshc.home.journal.exists():
        return "starting"
    with closing(_journal_of(tshc)) as journal:
        return _stage_in(journal)


def _stage_in(journal: sqlite3.Connection) -> str:
    try:
        rows = journal.execute("SELECT stage FROM stage_runs WHERE state = 'running'").fetchall()
    except sqlite3.Error:
        return "starting"
    return str(rows[0][0]) if rows else "between stages"


def main(count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        calm = Tshc(Home(Path(folder) / "untouched"))
        calm.json("weekend")
        calm.json("weekday", "--until-list")
        wanted = table_hashes(calm)
        calm.stop()
        hit: Counter[str] = Counter()
        kills = wrong = 0
        seed = 0
        while kills < count:
            seed += 1
            trial = killed_week(Path(folder) / f"trial-{seed}", seed=seed, kills=4)
            kills += trial.kills
            hit += trial.hit
            different = sorted(name for name in wanted if trial.hashes.get(name) != wanted[name])
            wrong += bool(different)
            print(
                f"trial {seed}: {trial.kills} kills in {dict(trial.hit)}: {different or 'identical tables'}",
                flush=True,
            )
        print(f"{kills} kills over {dict(hit)}: {wrong} of {seed} resumed weeks differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
