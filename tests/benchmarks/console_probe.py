"""The real console with a stop-watch in it, for ``bench_console.py``; runs in its pseudo-terminal.

    python tests/benchmarks/console_probe.py HOME OUT

Writes one JSON line to OUT for every key that reached its handler and for its picture on the
terminal (CLOCK_MONOTONIC nanoseconds, the same clock as the benchmark's), and every second
what each panel's refreshes have cost this thread (drawing and turning into strips).
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from textual.geometry import Region
from textual.strip import Strip

from app.client import EngineClient
from app.console import TshConsole
from app.widgets.box import Box
from app.widgets.table import Table
from engine.home import Home
from engine.reactions import stay_quick

OUT = Path(sys.argv[2]).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 - open for the whole life


def tell(what: str, **facts: Any) -> None:
    OUT.write(json.dumps({"what": what, "at": time.monotonic_ns(), **facts}) + "\n")


class PanelCosts:
    """Thread time of each panel's ``repaint`` and ``render_lines``; a refresh is one repaint."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.refreshes: dict[str, int] = defaultdict(int)
        self.worst: dict[str, float] = defaultdict(float)
        self._present: dict[str, float] = defaultdict(float)
        repaint, render = Box.repaint, Box.render_lines

        def timed_repaint(box: Box) -> None:
            if not box.is_attached or box.size.width == 0:
                repaint(box)
                return
            name = type(box).__name__
            self.worst[name] = max(self.worst[name], self._present.pop(name, 0.0))
            start = time.thread_time()
            repaint(box)
            self._add(name, time.thread_time() - start)
            self.refreshes[name] += 1

        def timed_render(box: Box, crop: Region) -> list[Strip]:
            start = time.thread_time()
            strips = render(box, crop)
            self._add(type(box).__name__, time.thread_time() - start)
            return strips

        Box.repaint = timed_repaint  # type: ignore[method-assign]
        Box.render_lines = timed_render  # type: ignore[method-assign]

    def _add(self, name: str, seconds: float) -> None:
        self.spent[name] += seconds
        self._present[name] += seconds

    def told(self) -> dict[str, Any]:
        """Sums since the start, in ms, and the dearest refresh since the last time this was asked."""
        worst, self.worst = self.worst, defaultdict(float)
        return {
            name: {"ms": 1e3 * self.spent[name], "worst_ms": 1e3 * worst[name], "refreshes": count}
            for name, count in self.refreshes.items()
        }


class ProbedConsole(TshConsole):
    """Every key it is sent by the benchmark ends in one of these handlers."""

    def on_mount(self) -> None:
        super().on_mount()
        self.costs = PanelCosts()
        self.set_interval(1.0, lambda: tell("panels", panels=self.costs.told()))

    def action_go(self, mode: str) -> None:
        tell("handled", key=mode)
        super().action_go(mode)
        self.call_after_refresh(tell, "painted", key=mode)


def move_and_tell(table: Table[Any], step: int) -> None:
    tell("handled", key="down" if step > 0 else "up")
    plain_move(table, step)
    table.call_after_refresh(tell, "painted", key="move")


plain_move = Table.action_move
Table.action_move = move_and_tell  # type: ignore[method-assign]

if __name__ == "__main__":
    console = ProbedConsole(EngineClient(Home(Path(sys.argv[1]))))
    stay_quick()  # as the command does
    console.run()
