"""By hand: a whole weekend on the workbook, and the same on the native kernels; their result tables must be equal.

    python tests/workbook/weekend_on_both_backends.py [--cycles 2] [--instances 2] [--folder DIR]

Two homes on two embedded markets of the same seed. About a minute and a half a cycle with
two offices on two free cores, too long for every run of the tests; prints what it measured
and ends with exit code 1 when a table differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.compute import ALGORITHMS
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


def weekend(home: Path, backend: str, cycles: int, instances: int) -> tuple[dict[str, Any], float]:
    """The report of one weekend and the wall seconds of its training stage."""
    options = ["--backend", backend, "--cycles", str(cycles), "--search-tests", "2000", "--seed", "7"]
    try:
        report, _ = tshc(home, "weekend", *options, "--set", f"workbook.instances={instances}", "--json")
    finally:
        tshc(home, "engine", "stop", "--force")
    told = json.loads(report)
    stage = next(s for s in told["stages"] if s["stage"] == "mp1_loop")
    return told, float(stage["seconds"])


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
    parser.add_argument("--folder", type=Path, help="where the two homes are kept (default: a temporary folder)")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="tsh-both-"))
    hashes = {}
    for backend in ("native", "workbook"):
        home = folder / backend
        _, seconds = weekend(home, backend, given.cycles, given.instances)
        hashes[backend] = asyncio.run(tables(home))
        each = seconds / given.cycles
        against = f" ({ORIGINAL_CYCLE_S / each:.1f} times the original's speed)" if backend == "workbook" else ""
        print(f"{backend}: training {seconds:.1f} s, {each:.1f} s a cycle{against}", flush=True)
    unlike = sorted(name for name, digest in hashes["native"].items() if hashes["workbook"].get(name) != digest)
    print(f"result tables: {len(hashes['native'])}, different: {', '.join(unlike) or 'none'}")
    return 1 if unlike or hashes["native"].keys() != hashes["workbook"].keys() else 0


if __name__ == "__main__":
    sys.exit(main())
