"""The README's pictures, taken from a real drill: ``python tests/console/take_pictures.py``.

An engine of its own runs a small week on the embedded market; the console is attached to it
and worked with keys alone, as in the README. Every picture is what stood on the screen then.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from console_harness import text_of, until
from textual.pilot import Pilot

from app.client import EngineClient
from app.console import TshConsole
from engine.home import Home

PROJECT = Path(__file__).parents[2]
PICTURES = PROJECT / "app" / "pictures"
SIZE = (120, 36)
MARKET = {"sim.date": "2026-11-20", "sim.speed": "20", "search.budget_s": "20s", "training.cycles": "60"}


class Drill:
    """The console at work, and the folder its pictures go to."""

    def __init__(self, app: TshConsole, pilot: Pilot[None], folder: Path) -> None:
        self.app, self.pilot, self.folder = app, pilot, folder

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, what: str | Callable[[], object], seconds: float = 180) -> None:
        """Waits for words on the screen (a regular expression), or for a condition of the views."""
        shown = what if callable(what) else lambda: re.search(what, text_of(self.app))
        await until(shown, seconds)

    async def picture(self, name: str) -> None:
        await asyncio.sleep(0.6)  # the 4 Hz paint has seen the newest views
        svg = self.app.export_screenshot(title=f"TSH Console: {name}")
        (self.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(f"{name}.svg", flush=True)


async def week(drill: Drill) -> None:
    state = drill.app.client.state
    await drill.until("FLATTEN")
    await drill.press("w")
    await drill.until("training cycles")
    await drill.press("enter", "enter", "y")
    await drill.press("2")
    await drill.until(lambda: state.training.cycle >= 30)
    await drill.picture("training")
    await drill.press("3")
    await drill.until(lambda: state.groups.state == "done" and any(g.selected for g in state.groups.groups))
    await drill.picture("groups")
    await asyncio.sleep(2)  # the run behind it has ended too
    await drill.press("d", "4")
    await drill.until(lambda: state.shortlist.state == "pending")
    await drill.picture("shortlist")
    await drill.press("a")
    await drill.until("Approve this trade list")
    await drill.picture("approval")
    await drill.press("y", "5")
    await drill.until(lambda: sum(row.state in ("WATCH", "ARMED") for row in state.positions.rows) >= 2)
    await drill.until(lambda: any(row.state == "ARMED" or row.high != row.entry for row in state.positions.rows))
    await asyncio.sleep(8)
    await drill.picture("positions")
    await drill.press("1")
    await drill.picture("overview")
    await drill.press("f12")
    await drill.until("type FLATTEN")
    await drill.picture("flatten")
    for letter in "FLATTEN":
        await drill.press(letter)
    await drill.press("enter")
    await drill.until(lambda: state.flatten.state == "flat")


def tshc(home: Path, *arguments: str) -> None:
    pairs = [part for key, value in MARKET.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "app.cli", "--home", str(home), *pairs, *arguments]
    subprocess.run(command, cwd=PROJECT, check=True)


async def take(folder: Path, theme: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tsh-pictures-") as home:
        tshc(Path(home), "engine", "start")
        try:
            app = TshConsole(EngineClient(Home(Path(home))))
            async with app.run_test(size=SIZE) as pilot:
                app.theme = theme
                await week(Drill(app, pilot, folder))
        finally:
            tshc(Path(home), "engine", "stop", "--force")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=PICTURES)
    parser.add_argument("--theme", default="tsh-dark")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(arguments.folder, arguments.theme))
