"""The search's running commentary: one set of columns for the console, the events and the log file.

The console draws them from ``GroupsView``; here the same view becomes a JSON line in the home's
``logs/search.jsonl`` every few seconds and, less often, an event in the journal, which ``--json``
commands tell on standard error.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.events import EventSink, SearchProgressed
from engine.model import utc_text
from engine.views import GroupsView

LINE_EVERY_S = 2.0  # wall seconds
EVENT_EVERY_S = 30.0


def columns(view: GroupsView) -> dict[str, Any]:
    """What a solver's log says: scores in percentage points, times in (thread-)seconds."""
    return {
        "state": view.state,
        "elapsed_s": round(view.elapsed_s, 3),
        "incumbent": view.incumbent,
        "bound": view.bound,
        "gap": view.gap,
        "proven": view.proven,
        "anchors_open": view.anchors - view.anchors_closed,
        "anchors": view.anchors,
        "groups_visited": view.visited,
        "tests": view.tests,
        "tests_per_s": round(view.tests_per_s),
        "shuffles_done": view.shuffles_done,
        "shuffles": view.shuffles,
        "lanes": [
            {
                "lane": lane.thread,
                "state": lane.state,
                "anchor": lane.anchor,
                "depth": lane.depth,
                "max_depth": lane.max_depth,
                "tests_per_s": round(lane.tests_per_s),
                "granted_s": round(lane.granted, 3),
                "used_s": round(lane.used, 3),
                "donated_s": round(lane.donated, 3),
                "received_s": round(lane.received, 3),
                "stall_s": round(lane.stall_s, 1),
            }
            for lane in view.lanes
        ],
        "used_s": round(view.ledger.used, 3),
        "open_grants_s": round(view.ledger.open_grants, 3),
        "pool_s": round(view.ledger.pool, 3),
        "capacity_s": round(view.ledger.capacity, 3),
        "flows": [
            {
                "from": flow.giver,
                "to": flow.taker,
                "seconds": round(flow.seconds, 4),
                "times": flow.times,
                "at_s": round(flow.at_s, 3),
            }
            for flow in view.flow_totals
        ],
        "evidence_s": round(view.ledger.evidence, 3),
        "saved_s": round(view.ledger.saved, 3),
    }


class SolverLog:
    """Takes every view, tells some: the first, one every few seconds, and each change of state.

    An event is always a line of the file too.
    """

    def __init__(self, path: Path | None, events: EventSink | None) -> None:
        """``path``: a file that lines are appended to; its folder is made. OSError when it cannot be."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._events = path, events
        self._state = ""
        self._line_at = self._event_at = -float("inf")  # monotonic

    def tell(self, view: GroupsView) -> None:
        if not view.anchors:
            return  # still preparing: there is nothing to say yet
        now, changed = time.monotonic(), view.state != self._state
        self._state = view.state
        said = columns(view)
        tells_event = changed or now - self._event_at >= EVENT_EVERY_S
        if self._path is not None and (tells_event or now - self._line_at >= LINE_EVERY_S):
            self._line_at = now
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at": utc_text(datetime.now(UTC)), **said}) + "\n")
        if tells_event:
            self._event_at = now
        if self._events is not None and tells_event:
            self._events.publish(SearchProgressed(columns=said))
