"""What clients asked of the venue: every method, route and status, with its count.

The witness of which part of the wire contract a run has used. Each combination is written
to ``simulator.requests.jsonl`` when it is first met, so that a run that ends in any way
leaves its list behind; the counts are served at ``GET /sim/requests``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson

from engine.simulator.orders import Json

FILE = "simulator.requests.jsonl"
SWITCHED = 101  # the status under which a websocket is noted


class RequestBook:
    """Counts by (method, route, status); a route is a path with ``{}`` for what varies."""

    def __init__(self, path: Path) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._file = path.open("ab")

    def note(self, method: str, route: str, status: int) -> None:
        key = (method, route, status)
        self._counts[key] += 1
        if self._counts[key] == 1:
            self._file.write(orjson.dumps({"method": method, "route": route, "status": status}) + b"\n")
            self._file.flush()

    def json(self) -> list[Json]:
        return [
            {"method": method, "route": route, "status": status, "count": count}
            for (method, route, status), count in sorted(self._counts.items())
        ]

    def close(self) -> None:
        self._file.close()
