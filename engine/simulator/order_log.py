"""The simulator's own log: one JSON line for each order request, fill, cancel and expiry, flushed at once.

It is the independent witness of a run: tests compare its receive times (wall, UTC with
microseconds) with the times of the intents in the engine's journal.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from engine.model import UTC, utc_text


def wall_now() -> datetime:
    return datetime.now(UTC)


class OrderLog:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")

    def write(self, kind: str, received_at: datetime, market_at: datetime, **content: Any) -> None:
        line = {"kind": kind, "received_at": utc_text(received_at), "market_at": utc_text(market_at), **content}
        self._file.write(orjson.dumps(line) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
