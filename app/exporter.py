"""Files for the operator from a running console: tables as CSV, the screen as SVG; never over another file."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.screens.base import ConsoleScreen
from app.table_export import FOLDER, csv_text, write_new
from app.widgets.box import Box
from engine.model import UTC

if TYPE_CHECKING:
    from app.console import TshConsole


def exportable(screen: object) -> list[Box]:
    """The panels of a screen that have rows, the focused one first, then as they stand."""
    if not isinstance(screen, ConsoleScreen):
        return []
    boxes = [box for box in screen.query(Box) if box.display and box.rows_to_export()]
    return sorted(boxes, key=lambda box: not box.has_focus)


def file_stem(box: Box) -> str:
    return (box.id or type(box).__name__.lower()).removesuffix("-table").removesuffix("-panel")


class Exporter:
    """Exports from one console. Files go into ``exports`` of the home; in a browser they are downloaded."""

    def __init__(self, console: TshConsole, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._console, self._now = console, now

    @property
    def folder(self) -> Path:
        return self._console.client.home.folder / FOLDER

    def tables(self, boxes: Sequence[Box]) -> None:
        """Each box as a CSV file; what is on the screen now."""
        if not boxes:
            self._console.say("there is no row to export on this screen", wrong=True)
        for box in boxes:
            rows = tuple(box.rows_to_export())
            count = f"{len(rows):,} row{'s' if len(rows) != 1 else ''}"
            self._deliver(file_stem(box), ".csv", partial(csv_text, rows), count)

    def marked_table(self) -> None:
        """The focused table; the first one where none has the focus."""
        self.tables(exportable(self._console.screen)[:1])

    def screen(self) -> None:
        """The picture of the terminal as it is now."""
        svg = self._console.export_screenshot(title=self._console.TITLE)
        self._deliver(f"screen-{self._console.current_mode}", ".svg", lambda: svg, "the screen")

    def _deliver(self, stem: str, suffix: str, make: Callable[[], str], what: str) -> None:
        if self._console.is_web:
            stamp = self._now().strftime("%Y%m%dT%H%M%SZ")
            self._console.deliver_text(io.StringIO(make(), newline=""), save_filename=f"{stem}-{stamp}{suffix}")
            return
        at = self._now()

        async def write() -> None:
            try:
                path = await asyncio.to_thread(lambda: write_new(self.folder, stem, suffix, make(), at))
            except OSError as error:
                self._console.say(f"not exported into {self.folder}: {error.strerror}", wrong=True)
            else:
                self._console.say(f"{what} in {path}")

        self._console.run_worker(write(), exit_on_error=False, name="export")
