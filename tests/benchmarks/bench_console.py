"""The console in a real pseudo-terminal: keys, panels, processor time, memory.

    python tests/benchmarks/bench_console.py [--keys N] [--minutes M] [--no-load]
    python tests/benchmarks/bench_console.py --attach [STARTS]    # this part alone, see attach_times.py

A 160 x 48 terminal, attached to the real control server with eight positions at 5,000
ticks/s (``console_feed.py``), training and search at full load beside it as niced processes
(``full_load.py``). Targets: from a key on the terminal to its handler p95 < 30 ms; a panel's
refresh < 4 ms; console < 15 % of a core; memory flat (``--minutes 10`` for the whole week);
an attach to a real engine at work < 1 s.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import random
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from attach_times import report_attach

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SCREENS = ("overview", "training", "groups", "shortlist", "positions", "evidence", "journal")
DOWN = b"\x1b[B"


@contextmanager
def helper(script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that says 'ready' and ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / script), *arguments],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != b"ready":
            raise SystemExit(f"{script} did not start")
        yield process
    finally:
        process.stdin.close()
        process.wait(10)


class Terminal:
    """The console in a pseudo-terminal of its own; what it prints is read and counted at once."""

    def __init__(self, home: Path, out: Path, columns: int = 160, lines: int = 48) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(PROJECT)
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(PROJECT)}
            os.environ.pop("NO_COLOR", None)
            os.execv(sys.executable, [sys.executable, str(HERE / "console_probe.py"), str(home), str(out)])
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = psutil.Process(self.pid)
        self.printed = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            select.select([self._master], [], [])
            try:
                self.printed += len(os.read(self._master, 1 << 16))
            except OSError:  # the console ended
                return

    def type(self, keys: bytes) -> int:
        """Sends the keys of one press; the moment of it in CLOCK_MONOTONIC nanoseconds."""
        at = time.monotonic_ns()
        os.write(self._master, keys)
        return at

    def processor_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def megabytes(self) -> float:
        return self.process.memory_info().rss / 1e6

    def quit(self) -> None:
        self.type(b"q")
        os.waitpid(self.pid, 0)


def told(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def key_times(terminal: Terminal, out: Path, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds from each key to its handler, and to its picture having been drawn."""
    rng = random.Random(5)
    before = len([t for t in told(out) if t["what"] in ("handled", "painted")])
    pressed: list[int] = []
    for i in range(count):
        # a walk as a person's: a screen, then two steps in its table; the training screen has no cursor
        key = (str(rng.choice((3, 4, 5, 7))).encode(), DOWN, DOWN)[i % 3]
        pressed.append(terminal.type(key))
        time.sleep(rng.uniform(0.12, 0.3))
    time.sleep(1.0)
    facts = [t for t in told(out) if t["what"] in ("handled", "painted")][before:]
    handled = [t["at"] for t in facts if t["what"] == "handled"]
    painted = [t["at"] for t in facts if t["what"] == "painted"]
    if len(handled) != count:
        raise SystemExit(f"{count} keys were pressed, {len(handled)} reached a handler")
    drawn = [next((p for p in painted if p >= h), h) for h in handled]
    return (
        [(h - p) / 1e6 for h, p in zip(handled, pressed, strict=True)],
        [(d - p) / 1e6 for d, p in zip(drawn, pressed, strict=True)],
    )


def report_keys(name: str, times: tuple[list[float], list[float]]) -> None:
    for what, values in zip(("handler", "drawn"), times, strict=True):
        print(
            f"{name:28} key to {what:8} p50 {statistics.median(values):5.1f}  p95 {quantile(values, 0.95):5.1f}"
            f"  p99 {quantile(values, 0.99):5.1f}  max {max(values):6.1f} ms"
        )


def processor_share(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """Percent of a core, and kilobytes printed a second."""
    cpu, printed, start = terminal.processor_s(), terminal.printed, time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - start
    return 100 * (terminal.processor_s() - cpu) / elapsed, (terminal.printed - printed) / elapsed / 1e3


def panel_sums(out: Path) -> dict[str, dict[str, float]]:
    return next(t["panels"] for t in reversed(told(out)) if t["what"] == "panels")


def steady_panels(
    out: Path, before: dict[str, dict[str, float]], since: int
) -> dict[str, tuple[float, float, int]]:
    """Of each panel that was repainted meanwhile: mean ms a refresh, the dearest one, how many."""
    lines = [t["panels"] for t in told(out)[since:] if t["what"] == "panels"]
    steady = {}
    for name, cost in lines[-1].items():
        known = before.get(name, {"ms": 0.0, "refreshes": 0})
        count = int(cost["refreshes"] - known["refreshes"])
        if count:
            worst = max(line.get(name, {"worst_ms": 0.0})["worst_ms"] for line in lines)
            steady[name] = ((cost["ms"] - known["ms"]) / count, worst, count)
    return steady


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=8.0, help="on each screen, for the processor share")
    parser.add_argument("--minutes", type=float, default=1.0, help="of watching the memory")
    parser.add_argument("--ticks", type=int, default=5000, help="a second")
    parser.add_argument("--no-load", action="store_true", help="without training and search beside it")
    parser.add_argument(
        "--attach", type=int, nargs="?", const=10, metavar="STARTS", help="only how long an attach takes"
    )
    arguments = parser.parse_args()
    if arguments.attach:
        with tempfile.TemporaryDirectory() as folder:
            report_attach(Path(folder) / "home", arguments.attach)
        return

    with tempfile.TemporaryDirectory() as folder:
        home, out = Path(folder) / "home", Path(folder) / "probe.jsonl"
        with helper("console_feed.py", str(home), str(arguments.ticks)):
            out.touch()
            terminal = Terminal(home, out)
            while not any(t["what"] == "panels" for t in told(out)):
                time.sleep(0.2)
            time.sleep(3.0)

            report_keys("machine otherwise idle", key_times(terminal, out, arguments.keys // 3))
            print(f"\nprocessor at {arguments.ticks:,} ticks/s (target < 15 % of a core)")
            costs: dict[str, tuple[float, float, int]] = {}
            for number, screen in enumerate(SCREENS, start=1):
                terminal.type(str(number).encode())
                time.sleep(2.5)  # its first picture is not a refresh
                before, since = panel_sums(out), len(told(out))
                share, printed = processor_share(terminal, arguments.seconds)
                costs |= steady_panels(out, before, since)
                print(f"  {screen:12} {share:5.1f} %   {printed:6.1f} kB/s to the terminal")
            print("\npanels (target < 4 ms processor a refresh)")
            for name, (mean, worst, count) in sorted(costs.items(), key=lambda item: -item[1][0]):
                print(f"  {name:20} {mean:6.2f} ms, dearest {worst:6.2f}   ({count} refreshes)")
            if not arguments.no_load:
                with helper("full_load.py", "training"), helper("full_load.py", "search"):
                    time.sleep(2.0)
                    print("\ntraining and search at full load (target p95 to handler < 30 ms)")
                    report_keys("full load", key_times(terminal, out, arguments.keys))

            print(f"\nmemory over {arguments.minutes:g} min, walking through the screens")
            samples: list[tuple[float, float]] = []
            start = time.monotonic()
            while time.monotonic() - start < 60 * arguments.minutes:
                terminal.type(random.Random(len(samples)).choice("1234567").encode())
                time.sleep(1.0)
                samples.append(((time.monotonic() - start) / 60, terminal.megabytes()))
            half = samples[len(samples) // 2 :]
            slope = statistics.linear_regression(*zip(*half, strict=True)).slope
            print(
                f"  start {samples[0][1]:.1f} MB, middle {half[0][1]:.1f} MB, end {half[-1][1]:.1f} MB; "
                f"second half {slope:+.3f} MB a minute"
            )
            terminal.quit()


if __name__ == "__main__":
    main()
