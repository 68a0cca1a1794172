"""Records what the screens show, in a thread of its own, and never in anybody's way.

The thread looks at the view board a few times a second: nothing of trading calls it, waits
for it or fails because of it. When it cannot write (disk full, file damaged) it says so
once, as a warning in the journal, and ends; trading goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from engine.database import connect, file_bytes
from engine.errors import OperatorError
from engine.events import EventSink, RecordingStopped
from engine.model import NEW_YORK, UTC
from engine.recording import day_file
from engine.recording.frame_codec import FrameCodec
from engine.recording.view_deltas import difference
from engine.settings import RecordingSettings
from engine.view_board import ViewBoard
from engine.views import StatusView, View

# Views that change all the time without anything happening (a clock, a counter) do not make a frame
# of their own more often than this; every other change does, at the pace of ``recording.rate_hz``.
CALM_S = {"status": 1.0, "training": 1.0, "groups": 1.0}
KEY_FRAMES = 240  # frames from one whole one to the next: what a seek reads at most
COMMIT_S = 1.0  # what a kill may cost
CHECK_S = 60.0  # how often the size is looked at
STOP_S = 10.0

log = logging.getLogger(__name__)


class DayWriter:
    """Writes the frames of one run into the file of one market day."""

    def __init__(self, path: Path, *, pid: int, first_seq: int, anchor: str) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self.path = path
        self._connection = connect(path, day_file.SCHEMA)
        self._first_seq, self._anchor, self._pid = first_seq, anchor, pid
        self._run = 0  # its row is made with the first frame
        self._views: dict[str, View] = {}  # of the frame before, and what they were written as
        self._tree: dict[str, Any] = {}
        self._codec = FrameCodec()
        self._since_key = 0
        self.frames = 0

    def write(self, views: dict[str, View], seq: int, wall_us: int, market_us: int) -> None:
        """One frame; views that are the same object as before cost nothing."""
        tree = {name: self._written(name, view) for name, view in views.items()}
        is_key = self._since_key == 0
        patch = difference({} if is_key else self._tree, tree)
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")
        if not self._run:
            self._begin(tree, wall_us, market_us)
        self._connection.execute(
            "INSERT INTO frames (run, wall_us, market_us, seq, is_key, body) VALUES (?, ?, ?, ?, ?, ?)",
            (self._run, wall_us, market_us, seq, is_key, self._codec.pack(patch, whole=is_key)),
        )
        self._views, self._tree = views, tree
        self.frames += 1
        self._since_key = (self._since_key + 1) % KEY_FRAMES
        pnl = tree["status"]["day_pnl"]
        self._connection.execute(
            "UPDATE runs SET frames = frames + 1, last_seq = ?, last_market_us = ?, last_wall_us = ?, "
            "day_pnl = COALESCE(?, day_pnl) WHERE run = ?",
            (seq, market_us, wall_us, pnl, self._run),
        )

    def _written(self, name: str, view: View) -> Any:
        if self._views.get(name) is view:
            return self._tree[name]
        return view.model_dump(mode="json")

    def _begin(self, tree: dict[str, Any], wall_us: int, market_us: int) -> None:
        cursor = self._connection.execute(
            "INSERT INTO runs (pid, mode, account, first_seq, anchor, last_seq, frames, first_market_us, "
            "last_market_us, first_wall_us, last_wall_us) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
            (
                self._pid,
                tree["status"]["mode"],
                tree["status"]["account"],
                self._first_seq,
                self._anchor,
                self._first_seq,
                market_us,
                market_us,
                wall_us,
                wall_us,
            ),
        )
        self._run = int(cursor.lastrowid or 0)

    def commit(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Commits and folds the companion files into the one."""
        self.commit()
        self._connection.close()


class Recorder:
    """``start`` in the engine's loop, ``stop`` before its loop ends."""

    def __init__(self, folder: Path, settings: RecordingSettings, board: ViewBoard, events: EventSink) -> None:
        self._folder, self._settings, self._board, self._events = folder, settings, board, events
        self._period_s = 1.0 / settings.rate_hz
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._writer: DayWriter | None = None
        self._day: date | None = None
        self._seen: dict[str, View] = {}
        self._written_at: dict[str, float] = {}  # monotonic seconds, by view
        self._committed = self._checked = 0.0

    def start(self) -> None:
        """Begins, unless the settings say not to."""
        if self._settings.enabled:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, args=(loop,), name="recording", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """Writes the last moment and closes the file."""
        self._ending.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_S)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._ending.wait(self._period_s):
                self.look(time.monotonic())
            self.look(time.monotonic(), last=True)
            self._close()
        except Exception as error:  # whatever it is, it ends the recording and nothing else
            log.exception("the recording ends")
            reason = str(error) if isinstance(error, OperatorError | sqlite3.Error | OSError) else repr(error)
            with suppress(RuntimeError):  # the loop has ended already: the log has it
                loop.call_soon_threadsafe(self._events.publish, RecordingStopped(reason=reason))
            with suppress(sqlite3.Error, OSError):
                self._close()

    def look(self, now: float, *, last: bool = False) -> None:
        """Writes a frame when one is due. ``now``: monotonic seconds. Called by the thread (and by tests)."""
        shown = self._board.status.market_time
        if shown is None:  # the engine is still starting: nothing has been shown
            return
        day = shown.astimezone(NEW_YORK).date()
        if self._writer is None or day != self._day:
            self._open(day)  # takes a moment: the views are read afterwards
        seq, views = self._board.seq, self._board.views()
        changed = [
            name
            for name, view in views.items()
            if view is not self._seen.get(name) and (name not in self._seen or view != self._seen[name])
        ]
        if any(last or now - self._written_at.get(name, -1e9) >= CALM_S.get(name, 0.0) for name in changed):
            self._write(views, changed, seq, now)
        assert self._writer is not None
        if now - self._committed >= COMMIT_S:
            self._writer.commit()
            self._committed = now
        if now - self._checked >= CHECK_S:
            self._keep_within_bounds(now)

    def _write(self, views: dict[str, View], changed: list[str], seq: int, now: float) -> None:
        assert self._writer is not None
        status = views["status"]
        assert isinstance(status, StatusView)
        assert status.market_time is not None
        # An unchanged view keeps its object, so that the writer sees that it is the same.
        self._seen |= {name: views[name] for name in changed}
        self._written_at |= dict.fromkeys(changed, now)
        wall_us = day_file.micros(datetime.now(UTC))
        self._writer.write(dict(self._seen), seq, wall_us, day_file.micros(status.market_time))

    def _open(self, day: date) -> None:
        self._close()
        newest = self._board.events
        anchor = newest[-1] if newest else None
        self._writer = DayWriter(
            day_file.day_path(self._folder, day),
            pid=os.getpid(),
            first_seq=anchor.seq if anchor else 0,
            anchor=f"{anchor.kind}: {anchor.text}" if anchor else "",
        )
        self._day = day
        self._seen, self._written_at = {}, {}
        self._checked = -1e9

    def _keep_within_bounds(self, now: float) -> None:
        assert self._writer is not None
        self._checked = now
        if not self._writer.path.exists():  # deleted by hand: the next look begins another
            path = self._writer.path
            self._close()
            day_file.delete(path)  # what is left of it would keep the next one from being made
            return
        most = self._settings.max_mb * 1_000_000
        gone = day_file.prune(
            self._folder,
            keep_days=self._settings.keep_days,
            max_bytes=most,
            spare=self._writer.path,
            now_s=time.time(),
        )
        if gone:
            log.info("old recordings deleted: %s", ", ".join(path.name for path in gone))
        if file_bytes(self._writer.path) > most:
            raise OperatorError(
                f"{self._writer.path.name} alone has reached recording.max_mb ({self._settings.max_mb} MB)"
            )

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            log.info(
                "recording %s closed: %d frames of this run; %.1f s of processor so far",
                writer.path.name,
                writer.frames,
                time.thread_time(),
            )
