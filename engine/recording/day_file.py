"""One file a market day: what it holds, which days there are, and how many are kept.

A frame is one moment of the screens: wall and market time, the number of the newest journal
event, and what changed in the views since the frame before. Every so many frames one is
whole (a key frame), so that a replay can begin anywhere. The events themselves stay in the
journal. The file is not a record of trading: it may be deleted at any time, and what it
costs to lose its last second (a kill, a power cut) is that second.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from engine.database import Schema, connect, file_bytes, file_parts
from engine.errors import OperatorError, StorageError
from engine.model import UTC

_VERSION_1 = (
    # One row for each time that an engine recorded this day. The anchor is the newest event at its start:
    # by it a replay knows that it reads the same journal.
    """CREATE TABLE runs (
        run INTEGER PRIMARY KEY, pid INTEGER NOT NULL, mode TEXT NOT NULL, account TEXT NOT NULL,
        first_seq INTEGER NOT NULL, anchor TEXT NOT NULL, last_seq INTEGER NOT NULL, frames INTEGER NOT NULL,
        first_market_us INTEGER NOT NULL, last_market_us INTEGER NOT NULL,
        first_wall_us INTEGER NOT NULL, last_wall_us INTEGER NOT NULL, day_pnl TEXT)""",
    """CREATE TABLE frames (
        frame INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, wall_us INTEGER NOT NULL,
        market_us INTEGER NOT NULL, seq INTEGER NOT NULL, is_key INTEGER NOT NULL, body BLOB NOT NULL)""",
)

SCHEMA = Schema(
    title="recording",
    application_id=0x54534852,  # "TSHR"
    migrations=(_VERSION_1,),
    synchronous="NORMAL",
    remedy="choose another day: 'tshc replay' lists them",
)

_NAME = re.compile(r"\d{4}-\d{2}-\d{2}\.db")

log = logging.getLogger(__name__)


def day_path(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}.db"


def micros(at: datetime) -> int:
    """Microseconds since 1970 UTC, exactly."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_micros(value: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)


@dataclass(frozen=True, slots=True)
class RecordedDay:
    """One line of the list of days. Times are aware UTC; ``events`` counts those journalled while it recorded."""

    day: date
    path: Path
    bytes: int
    runs: int
    frames: int
    events: int
    first: datetime  # market time
    last: datetime
    wall_s: float  # recorded wall seconds
    mode: str
    day_pnl: str | None  # dollars, the last one shown
    damage: str = ""  # why it cannot be replayed


def day_files(folder: Path) -> list[Path]:
    """The recordings, oldest market day first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def delete(path: Path) -> None:
    """A recording with its companion files, as far as they are there."""
    for part in file_parts(path):
        part.unlink(missing_ok=True)


def recorded_days(folder: Path) -> list[RecordedDay]:
    """Every recorded day, oldest first; one that cannot be read is listed with the reason."""
    days = []
    for path in day_files(folder):
        try:
            days.append(_described(path))
        except OperatorError as error:
            days.append(_unreadable(path, str(error)))
    return days


def _described(path: Path) -> RecordedDay:
    try:
        with closing(connect(path, SCHEMA, read_only=True)) as connection:
            row = connection.execute(
                "SELECT COUNT(*), SUM(frames), SUM(last_seq - first_seq), MIN(first_market_us), "
                "MAX(last_market_us), SUM(last_wall_us - first_wall_us) FROM runs WHERE frames > 0"
            ).fetchone()
            last = connection.execute(
                "SELECT mode, day_pnl FROM runs WHERE frames > 0 ORDER BY run DESC LIMIT 1"
            ).fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"{path} cannot be read: {error}; {SCHEMA.remedy}") from error
    if not row[0]:
        raise StorageError(f"{path} holds no frame; {SCHEMA.remedy}")
    runs, frames, events, first, end, wall = row
    return RecordedDay(
        day=date.fromisoformat(path.stem),
        path=path,
        bytes=file_bytes(path),
        runs=runs,
        frames=frames,
        events=events,
        first=from_micros(first),
        last=from_micros(end),
        wall_s=wall / 1e6,
        mode=str(last[0]),
        day_pnl=last[1],
    )


def _unreadable(path: Path, why: str) -> RecordedDay:
    never = from_micros(0)
    return RecordedDay(
        date.fromisoformat(path.stem), path, file_bytes(path), 0, 0, 0, never, never, 0.0, "", None, damage=why
    )


def prune(folder: Path, *, keep_days: int, max_bytes: int, spare: Path, now_s: float) -> list[Path]:
    """Deletes recordings last written more than ``keep_days`` ago, then the oldest until all fit ``max_bytes``.

    Age is that of the file (``now_s``: seconds since 1970), because a simulated market day may lie anywhere.
    Never touches ``spare`` (the one being written) nor a file that is not a recording. Returns what it deleted.
    """
    known = []
    for path in day_files(folder):
        with contextlib.suppress(FileNotFoundError):  # somebody deletes them by hand, too
            known.append((path.stat().st_mtime, path))
    known = sorted(found for found in known if found[1] != spare)
    sizes = {path: file_bytes(path) for _, path in known}
    total = sum(sizes.values()) + file_bytes(spare)
    deleted = []
    for written, path in known:
        if now_s - written > keep_days * 86_400 or total > max_bytes:
            try:
                delete(path)
            except OSError as error:  # Windows: a replay has it open
                log.info("%s stays for now: %s", path, error)
                continue
            total -= sizes[path]
            deleted.append(path)
    return deleted
