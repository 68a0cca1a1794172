"""``kill -9`` at seeded random moments, as many as asked: of the engine, its trading part, consoles, the venue.

By hand, from the project folder::

    python -m tests.faults.kill_trials 200 --target engine     # the whole daemon
    python -m tests.faults.kill_trials 200 --target console    # tshc in a terminal, beside a live engine
    python -m tests.faults.kill_trials 200 --target simulator  # the exchange, under a live engine
    python -m tests.faults.kill_trials 200 --target trading    # the execution desk alone
    python -m tests.faults.kill_trials 200                     # all of them, a quarter each

After every kill the journal and the venue's books are compared: no order twice, no position
without a manager, no fill lost, the same cents, every order's record complete. Exit code 1
when anything differs; ``--keep DIR`` keeps the folders of those days.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from .daemon_trials import console_day, engine_day
from .trading_trials import Day, day, simulator_day

TARGETS: dict[str, Callable[[Path, int], Day]] = {
    "engine": engine_day,
    "console": console_day,
    "simulator": simulator_day,
    "trading": day,
}


def one_day(target: str, seed: int, keep: Path | None) -> Day:
    """One day of one target in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix=f"tsh-{target}-{seed}-"))
    try:
        result = TARGETS[target](folder, seed)
    except Exception as error:  # noqa: BLE001 - a day that breaks is a result
        result = Day(wrong=[f"seed {seed} broke: {error!r}"])
    if result.wrong and keep is not None:
        shutil.copytree(folder, keep / folder.name, ignore=shutil.ignore_patterns("*.sock"))
    shutil.rmtree(folder, ignore_errors=True)
    return result


def trials(target: str, count: int, seed: int, jobs: int, keep: Path | None) -> list[str]:
    """Days of ``target`` until ``count`` kills are done, ``jobs`` at once; what was found wrong."""
    kills: Counter[str] = Counter()
    wrong: list[str] = []
    began = time.monotonic()
    running: dict[Future[Day], int] = {}
    broken = 0
    with ThreadPoolExecutor(jobs) as pool:
        while running or (kills.total() < count and broken < 3):
            while len(running) < jobs and kills.total() < count and broken < 3:
                running[pool.submit(one_day, target, seed, keep)] = seed
                seed += 1
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                number, result = running.pop(future), future.result()
                kills += result.kills
                wrong += result.wrong
                broken += not result.kills
                print(f"{target} day {number}: {dict(result.kills)} {result.wrong or 'holds'}", flush=True)
    seconds = time.monotonic() - began
    print(f"{target}: {kills.total()} kills {dict(kills)} in {seconds:.0f} s: {len(wrong)} findings", flush=True)
    return wrong


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("count", type=int, nargs="?", default=12, help="kills in all")
    options.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    options.add_argument("--seed", type=int, default=1, help="of the first day")
    options.add_argument("--jobs", type=int, default=2, help="days at once")
    options.add_argument("--keep", type=Path, help="where the folders of days with findings are kept")
    given = options.parse_args()
    targets = list(TARGETS) if given.target == "all" else [given.target]
    each = -(-given.count // len(targets))
    wrong = [w for target in targets for w in trials(target, each, given.seed, given.jobs, given.keep)]
    for words in wrong:
        print("  " + words)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
