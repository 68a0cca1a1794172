"""By hand: a whole weekend on the workbook, and the same on the native kernels; their result tables must be equal.

    python tests/workbook/weekend_on_both_backends.py [--cycles 2] [--instances 2] [--harm] [--folder DIR]

``--harm`` kills an office, freezes another and kills the training worker on the way, then
resumes the run: the tables must be equal all the same and nothing may be left behind.

Two homes on two embedded markets of the same seed. About a minute and a half a cycle with
two offices on two free cores, too long for every run of the tests; prints what it measured
and ends with exit code 1 when a table differs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from engine.compute import ALGORITHMS
from engine.compute.workbook.private_folder import instances_root
from engine.home import Home
from engine.storage.variation_results_db import VariationResultsDb

ROOT = Path(__file__).parents[2]
ORIGINAL_CYCLE_S = 288.0  # a cycle of the original's workbook engine


def tshc(home: Path, *arguments: str) -> tuple[str, float]:
    """Output and wall seconds of one command; CalledProcessError when it fails."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments, "--home", str(home)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout, time.monotonic() - started


def weekend(home: Path, backend: str, cycles: int, instances: int, *, harm: bool) -> tuple[dict[str, Any], float]:
    """The report of one weekend and the wall seconds of its training stage."""
    options = ["--backend", backend, "--cycles", str(cycles), "--search-tests", "2000", "--seed", "7"]
    settings = ["--set", f"workbook.instances={instances}", "--set", "workbook.deadline_s=20"]
    try:
        if harm:
            threading.Thread(target=do_harm, args=(home,), daemon=True).start()
            with contextlib.suppress(subprocess.CalledProcessError):
                tshc(home, "weekend", *options, *settings, "--json")
                print("the harmed run went through before it was harmed", flush=True)
        report, _ = tshc(home, "weekend", *options, *settings, "--json")
    finally:
        tshc(home, "engine", "stop", "--force")
    told = json.loads(report)
    stage = next(s for s in told["stages"] if s["stage"] == "mp1_loop")
    return told, float(stage["seconds"])


def do_harm(home: Path) -> None:
    """kill -9 on an office, SIGSTOP on the other, kill -9 on the training worker, 40 s apart."""

    def worker_and_offices() -> tuple[psutil.Process | None, list[psutil.Process]]:
        engine = json.loads((home / "engine.json").read_text())["pid"] if (home / "engine.json").exists() else 0
        if not engine or not psutil.pid_exists(engine):
            return None, []
        children = psutil.Process(engine).children(recursive=True)
        worker = next((c for c in children if "engine.training.worker" in c.cmdline()), None)
        return worker, [c for c in children if c.name().startswith("soffice")]

    for what in ("kill an office", "freeze an office", "kill the worker"):
        while len(worker_and_offices()[1]) < 2:
            time.sleep(0.5)
        time.sleep(40)
        worker, offices = worker_and_offices()
        assert worker is not None, "the run ended before it was harmed"
        if what == "kill the worker":
            worker.kill()
        else:
            offices[0].send_signal(signal.SIGKILL if what == "kill an office" else signal.SIGSTOP)
        print(f"  {what}", flush=True)


async def tables(home: Path) -> dict[str, str]:
    results = await VariationResultsDb.open(
        Home(home).variation_results, spaces=list(ALGORITHMS.values()), read_only=True
    )
    try:
        return await results.table_hashes()
    finally:
        await results.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--harm", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the two homes are kept (default: a temporary folder)")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="tsh-both-"))
    hashes = {}
    for backend in ("native", "workbook"):
        home = folder / backend
        harm = given.harm and backend == "workbook"
        _, seconds = weekend(home, backend, given.cycles, given.instances, harm=harm)
        hashes[backend] = asyncio.run(tables(home))
        each = seconds / given.cycles
        against = f" ({ORIGINAL_CYCLE_S / each:.1f} times the original's speed)" if backend == "workbook" else ""
        print(f"{backend}: training {seconds:.1f} s, {each:.1f} s a cycle{against}", flush=True)
    unlike = sorted(name for name, digest in hashes["native"].items() if hashes["workbook"].get(name) != digest)
    print(f"result tables: {len(hashes['native'])}, different: {', '.join(unlike) or 'none'}")
    left = sorted(instances_root().glob("*")) if instances_root().is_dir() else []
    print(f"instance folders left behind: {', '.join(map(str, left)) or 'none'}")
    return 1 if left or unlike or hashes["native"].keys() != hashes["workbook"].keys() else 0


if __name__ == "__main__":
    sys.exit(main())
