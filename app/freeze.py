"""Freezing the screens of a live console: the body stands still while everything else goes on.

Strip, notices, dialogs and F12 never freeze: they draw from the client, the body alone from
``Freeze.state``. The last minutes are kept in memory, compressed and bounded, so that one
can look back at what the screens showed a moment ago.
"""

from __future__ import annotations

import itertools
import time
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app import formatting as f
from app.client import EVENTS_KEPT, VIEWS, Client, EngineState
from app.time_shift import TimeShift
from engine.views import EventView, View

KEPT_S = 600.0
PERIOD_S = 0.5
KEPT_BYTES = 32_000_000
LOUD = ("warning", "alert")

# Frozen states count their revisions below zero, so that none is taken for a live one.
_revisions = itertools.count(-2, -1)


@dataclass(frozen=True, slots=True)
class Moment:
    """What the screens showed at one time; a view that did not change shares its bytes with the moment before."""

    at_s: float  # monotonic
    seq: int
    revision: int
    bodies: Mapping[str, bytes]


class ViewRing:
    """The last ``KEPT_S`` seconds, at most ``KEPT_BYTES``; the oldest moments go first."""

    def __init__(
        self, *, kept_s: float = KEPT_S, period_s: float = PERIOD_S, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._kept_s, self._period_s, self._kept_bytes = kept_s, period_s, kept_bytes
        self._moments: deque[Moment] = deque()
        self._views: dict[str, View] = {}  # that the newest moment was made of
        self.bytes = 0

    @property
    def moments(self) -> tuple[Moment, ...]:
        """Oldest first."""
        return tuple(self._moments)

    def take(self, state: EngineState, now: float, *, must: bool = False) -> None:
        """Keeps the present state when the period is over and it differs; ``must``: in any case."""
        newest = self._moments[-1] if self._moments else None
        known = newest is not None and newest.revision == state.revision
        early = newest is not None and now - newest.at_s < self._period_s
        if (known or early) and not must:
            return
        bodies = {name: self._body(newest, name, getattr(state, name)) for name in VIEWS}
        self._moments.append(Moment(now, state.seq, state.revision, bodies))
        self._views = {name: getattr(state, name) for name in VIEWS}
        while len(self._moments) > 1 and (
            now - self._moments[0].at_s > self._kept_s or self.bytes > self._kept_bytes
        ):
            self._drop_oldest()

    def _body(self, newest: Moment | None, name: str, view: View) -> bytes:
        if newest is not None and self._views.get(name) is view:
            return newest.bodies[name]
        body = zlib.compress(view.model_dump_json().encode(), 1)
        self.bytes += len(body)
        return body

    def _drop_oldest(self) -> None:
        gone = self._moments.popleft()
        following = self._moments[0].bodies
        self.bytes -= sum(len(body) for name, body in gone.bodies.items() if following[name] is not body)


class Freeze:
    """The state that the screens' bodies show: the newest, or that of one moment."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self.ring = ViewRing()
        self._moment: Moment | None = None
        self._state: EngineState | None = None
        self._began = 0.0
        self._told = 0  # seq of the newest event that was looked at for alarms

    @property
    def frozen(self) -> bool:
        return self._state is not None

    @property
    def state(self) -> EngineState:
        return self._client.state if self._state is None else self._state

    def watch(self) -> None:
        """Called at every paint: the data go on also while the screens stand still."""
        self.ring.take(self._client.state, self._clock())

    def begin(self) -> None:
        """The present moment stays on the screens."""
        live = self._client.state
        self.ring.take(live, self._clock(), must=True)
        self._moment = self.ring.moments[-1]
        self._state = _state_of({name: getattr(live, name) for name in VIEWS}, live, self._moment.seq)
        self._began, self._told = self._clock(), live.seq

    def end(self) -> None:
        """Back to now."""
        self._moment = self._state = None

    def step(self, seconds: float) -> None:
        """Back (negative) or forth in what is kept; at least one moment, as far as there are any."""
        if self._moment is None:
            return
        moments = self.ring.moments
        here = bisect_right([m.at_s for m in moments], self._moment.at_s) - 1
        goal = bisect_right([m.at_s for m in moments], self._moment.at_s + seconds) - 1
        goal = min(goal, here - 1) if seconds < 0 else max(goal, here + 1)
        self._show(moments[min(max(goal, 0), len(moments) - 1)])

    def step_event(self, direction: int) -> EventView | None:
        """To the moment of the next event (1) or of the one before (-1); that event, or None when none is kept."""
        if self._moment is None:
            return None
        moments, here = self.ring.moments, self._moment.at_s
        events = [e for e in self._client.state.events if moments[0].seq < e.seq <= moments[-1].seq]
        for event in events if direction > 0 else reversed(events):
            moment = next(m for m in moments if m.seq >= event.seq)
            if event.level != "debug" and (moment.at_s - here) * direction > 0:
                self._show(moment)
                return event
        return None

    def _show(self, moment: Moment) -> None:
        assert self._moment is not None
        assert self._state is not None
        views: dict[str, View] = {}
        for name, body in moment.bodies.items():
            if body is self._moment.bodies[name]:
                views[name] = getattr(self._state, name)
            else:
                views[name] = VIEWS[name].model_validate_json(zlib.decompress(body))
        self._moment = moment
        self._state = _state_of(views, self._client.state, moment.seq)

    def alarms(self) -> list[EventView]:
        """Warnings and alerts that came while frozen; each is given once."""
        if self._state is None:
            return []
        fresh = [e for e in self._client.state.events if e.seq > self._told and e.level in LOUD]
        self._told = self._client.state.seq
        return fresh

    def time_shift(self) -> TimeShift | None:
        """What the console says of it; None while live."""
        if self._state is None or self._moment is None:
            return None
        live, now = self._client.state, self._clock()
        events = max(0, live.seq - self._moment.seq)  # a journal that began anew has smaller numbers
        changes = live.revision - self._moment.revision
        oldest = self.ring.moments[0].at_s
        span = now - oldest
        return TimeShift(
            badge=f"FROZEN {f.duration(now - self._began)} +{events}",
            past=False,
            runs=False,
            at=self._state.status.market_time,
            facts=(
                f"{f.duration(now - self._moment.at_s)} ago",
                f"{events:,} events and {changes:,} changes since",
            ),
            share=(self._moment.at_s - oldest) / span if span > 0 else 1.0,
            keys=(("z", "live"), ("← →", "1 s"), ("[ ]", "event"), ("shift ← →", "10 s")),
        )


def _state_of(views: Mapping[str, View], live: EngineState, seq: int) -> EngineState:
    state = EngineState()
    for name, view in views.items():
        setattr(state, name, view)
    state.events = deque((e for e in live.events if e.seq <= seq), maxlen=EVENTS_KEPT)
    state.seq = seq
    state.revision = next(_revisions)
    return state
