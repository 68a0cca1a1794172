"""The latest view of every screen, in one place: the engine writes, consoles read.

A view is replaced whole. Consoles are told the newest one at most four times a second, so
a thousand ticks cost one message and a slow console can only miss what is already old.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from engine.views import (
    BoardView,
    EventView,
    FlattenView,
    GroupsView,
    OverviewView,
    PositionsView,
    ShortlistView,
    Snapshot,
    StatusView,
    TrainingView,
    View,
)

EVENTS_ON_ATTACH = 500


class ViewBoard:
    """Holds each screen's view and the most recent events."""

    def __init__(self) -> None:
        self.status = StatusView()
        self.overview = OverviewView()
        self.training = TrainingView()
        self.groups = GroupsView()
        self.shortlist = ShortlistView()
        self.positions = PositionsView()
        self.flatten = FlattenView()
        self.board = BoardView()
        self.events: deque[EventView] = deque(maxlen=EVENTS_ON_ATTACH)
        self.seq = 0
        self.refresh_stages: Callable[[], None] | None = None  # of the run under way: its seconds go on

    def add_event(self, event: EventView) -> None:
        self.events.append(event)
        self.seq = event.seq

    def views(self) -> dict[str, View]:
        """The views by the name that the control channel gives them."""
        return {
            "status": self.status,
            "overview": self.overview,
            "training": self.training,
            "groups": self.groups,
            "shortlist": self.shortlist,
            "positions": self.positions,
            "flatten": self.flatten,
            "board": self.board,
        }

    def snapshot(self) -> Snapshot:
        return Snapshot(
            seq=self.seq,
            status=self.status,
            overview=self.overview,
            training=self.training,
            groups=self.groups,
            shortlist=self.shortlist,
            positions=self.positions,
            flatten=self.flatten,
            board=self.board,
            events=tuple(self.events),
        )
