"""How long an attach takes: a real engine with a full day's journal and a search at work behind it.

The engine is the demo's own (embedded market, synthetic week): it loads a journal of more
than 500 events at its start and sends the newest 500 with the snapshot, then it trains a
little and searches with a floor of picks that no machine proves in minutes. Two moments are
taken on the outside of the console's pseudo-terminal, where a person looks:

- *attach*: from the moment the console takes the terminal over (the process is up, nothing is
  connected or drawn yet) to the first whole screen with the snapshot's numbers on it;
- *start*: from the start of the process ``tshc`` to the same screen.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from app.client import EngineClient
from app.demo import demo_options
from app.engine_process import engine_runs, start_engine, stop_engine_by_force, wait_until_stopped
from app.options import Options
from engine.events import OrderSent
from engine.home import Home
from engine.journal import JournalDb

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SETTINGS = {"training.cycles": "40", "search.budget_s": "30m", "search.min_picks": "2", "search.permutations": "0"}
FULL_DAY = 600  # events; an engine sends the newest 500
TAKEN_OVER = b"\x1b[?1049h"  # the alternate screen: the first thing that textual writes
SHOWN = b"free of"  # the disk in the health panel: nothing but a snapshot brings it
GIVEN_UP_S = 30.0


@contextmanager
def searching_engine(folder: Path) -> Iterator[Home]:
    """The home of an engine whose journal is full and whose search is at work."""
    options = demo_options(
        Options(Home(folder), as_json=True, overrides=dict(SETTINGS)), home_given=True, market="synthetic",
        day=None, cycles=40, search_budget="30m", search_tests=None, seed=None, speed=300.0,
    )  # fmt: skip
    home = options.home
    asyncio.run(_fill_journal(home))
    start_engine(home, options.settings().settings, options.engine_arguments(), lambda step: None)
    try:
        asyncio.run(_until_it_searches(home))
        yield home
    finally:
        if engine_runs(home):
            asyncio.run(_shut_down(home))
            if not wait_until_stopped(home):
                stop_engine_by_force(home)


async def _fill_journal(home: Home) -> None:
    journal = await JournalDb.open(home.journal)
    try:
        await journal.append_all([_an_event(i) for i in range(FULL_DAY)], None)
    finally:
        await journal.close()


def _an_event(number: int) -> OrderSent:
    return OrderSent(
        symbol=f"SYM{number % 40}", side="buy", shares=100 + number, kind_of_order="limit",
        limit_price=Decimal(20 + number % 50), client_order_id=f"tsh-bench-{number}", why="a full day's journal",
    )  # fmt: skip


async def _until_it_searches(home: Home) -> None:
    async with EngineClient(home, name="benchmark") as client:
        await client.attached()
        answer = await client.command("weekend")
        if not answer.accepted:
            raise SystemExit(f"the weekend was refused: {answer.reason}")
        async with asyncio.timeout(600):
            async for _ in client.updates():
                if client.state.groups.state == "running" and client.state.groups.visited:
                    break
        events, groups = len(client.state.events), client.state.groups
        size = len(json.dumps(client.state.groups.model_dump(mode="json")))
    print(
        f"  engine: {events} events known, search at work on {groups.anchors:,} anchors ({size / 1e3:.0f} kB view)"
    )


async def _shut_down(home: Home) -> None:
    async with EngineClient(home, name="benchmark") as client:
        await client.attached()
        await client.command("shutdown", {"force": True})


def one_start(home: Home, columns: int = 120, lines: int = 40) -> tuple[float, float]:
    """Seconds of the attach alone, and of the whole start; SystemExit when no screen comes."""
    began = time.monotonic()
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(PROJECT)
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(PROJECT)}
        os.environ.pop("NO_COLOR", None)
        os.execv(sys.executable, [sys.executable, "-m", "app.cli", "--home", str(home.folder), "console"])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    printed, up, shown = b"", None, None
    while shown is None and time.monotonic() - began < GIVEN_UP_S:
        if select.select([master], [], [], 0.5)[0]:
            printed += os.read(master, 1 << 16)
            now = time.monotonic()
            if up is None and TAKEN_OVER in printed:
                up = now
            if SHOWN in printed:
                shown = now
    os.write(master, b"q")
    try:
        while os.read(master, 1 << 16):
            pass
    except OSError:  # the console ended, and its terminal with it
        pass
    os.waitpid(pid, 0)
    if shown is None:
        raise SystemExit("the console showed no snapshot")
    return shown - (up or began), shown - began


def report_attach(folder: Path, count: int) -> None:
    """Prints both times; the first start, which reads the program from the disk, stands alone."""
    print("attach (target < 1 s): 120 x 40, a full day's journal, a search at work")
    with searching_engine(folder) as home:
        times = [one_start(home) for _ in range(count + 1)]
    print(f"  first start              {times[0][1]:6.2f} s, of it the attach {times[0][0]:6.2f} s")
    for name, values in zip(("attach", "whole start of tshc"), zip(*times[1:], strict=True), strict=True):
        print(
            f"  {name:24} p50 {statistics.median(values):6.2f}  max {max(values):6.2f} s   ({len(values)} starts)"
        )
