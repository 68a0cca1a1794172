"""A recorded day in place of an engine: the same views and events, at any moment, commanding nothing.

``ReplayClient`` moves through a ``Tape``. Its screens cannot tell it from an engine, so it
says itself what it is: in ``time_shift`` (badge and line of every screen) and in the answer
to every command.
"""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from app import formatting as f
from app.client import ANSWER_TIMEOUT_S, EVENTS_KEPT, VIEWS, EngineState, Link
from app.time_shift import TimeShift
from engine.control import Answer
from engine.errors import OperatorError, UsageError
from engine.home import Home
from engine.journal import JournalDb
from engine.model import NEW_YORK
from engine.recording.day_file import day_files, day_path
from engine.recording.tape import GAP_S, Tape
from engine.recording.view_deltas import Tree
from engine.views import EventView, View

SPEEDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
TICK_S = 0.2
GROWS_S = 1.0  # how often the end of a day that is still being recorded is looked at
EVENTS_BEFORE = 500  # of the days before, as an attached console has them
_CLOCK = re.compile(r"(\d{1,2}):?(\d{2})(?::?(\d{2}))?")


@dataclass
class RecordedDayData:
    """A tape and the journal's events that belong to it; ``note`` says why some are missing."""

    day: date
    tape: Tape
    events: list[EventView] = field(default_factory=list)
    note: str = ""


async def load_day(home: Home, day: date) -> RecordedDayData:
    """Opens a recorded day of ``home``; UsageError when there is none, StorageError when it cannot be read."""
    path = day_path(home.recordings, day)
    if not path.exists():
        known = [found.stem for found in day_files(home.recordings)]
        there = f"recorded are {', '.join(known[-5:])}" if known else "nothing is recorded in this home yet"
        raise UsageError(f"{day} is not recorded in {home.recordings}: {there}; 'tshc replay' lists the days")
    data = RecordedDayData(day, Tape.open(path))
    try:
        first = min(seq for seq, _ in data.tape.anchors())
        await _add_events(home, data, max(0, first - EVENTS_BEFORE))
    except OperatorError as error:
        data.events, data.note = [], f"without events: {error}"
    return data


async def _add_events(home: Home, data: RecordedDayData, after: int) -> None:
    """Events from ``after`` to the end of the tape; OperatorError when the journal is another one."""
    last = data.tape.seq(len(data.tape) - 1)
    journal = await JournalDb.open(home.journal, read_only=True)
    try:
        while after < last:
            some = await journal.events_since(after)
            data.events.extend(event for event in some if event.seq <= last)
            if not some:
                break
            after = some[-1].seq
    finally:
        await journal.close()
    said = {event.seq: f"{event.kind}: {event.text}" for event in data.events}
    for seq, anchor in data.tape.anchors():
        if seq and said.get(seq) != anchor:
            raise OperatorError(f"the journal of this home is not the one that {data.day} was recorded with")


class ReplayClient:
    """Plays one recorded day. Everything is refused; ``tick`` moves it on.

    ``clock`` is a monotonic clock in seconds. Opens paused: ``playing`` is set by whoever shows it.
    """

    silent_s = 0.0

    def __init__(
        self,
        home: Home,
        data: RecordedDayData,
        *,
        speed: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.home, self.data, self.speed = home, data, speed
        self.read_only, self.name = True, "replay"
        self.link = Link.LIVE
        self.trouble = ""  # why it stopped playing by itself
        self.state = EngineState()
        self.playing = False
        self.position = 0.0  # seconds on the tape
        self._clock = clock
        self._index = -1
        self._trees: dict[str, Tree] = {}
        self._seqs = [event.seq for event in data.events]
        self._looked = clock()
        self._player: asyncio.Task[None] | None = None
        self.seek(0.0)

    # --- as a client --------------------------------------------------------------------------

    def start(self) -> None:
        if self._player is None:
            self._player = asyncio.create_task(self._play(), name="replay")

    async def close(self) -> None:
        self.link = Link.CLOSED
        if self._player is not None:
            self._player.cancel()
            with suppress(asyncio.CancelledError):
                await self._player
        self.data.tape.close()

    @property
    def refusal(self) -> str:
        return (
            f"this is a replay of {self.data.day}: it shows what was and commands nothing; "
            "'tshc' opens the live console"
        )

    async def command(
        self, name: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Answer:
        return Answer(False, self.refusal)

    # --- moving ---------------------------------------------------------------------------------

    async def _play(self) -> None:
        before = self._clock()
        while True:
            await asyncio.sleep(TICK_S)
            now = self._clock()
            try:
                await self.tick(now - before)
            except OperatorError as error:
                self.playing, self.trouble = False, str(error)
            before = now

    async def tick(self, elapsed_s: float) -> None:
        """``elapsed_s`` wall seconds have passed. At the end it waits for more while the engine still records."""
        if not self.playing:
            return
        if self.at_the_end and not await self._grown():
            if not self.still_recorded:
                self.playing = False
            return
        self.seek(self.position + elapsed_s * self.speed)

    @property
    def at_the_end(self) -> bool:
        return self.position >= self.data.tape.length_s

    @property
    def still_recorded(self) -> bool:
        tape = self.data.tape
        return datetime.now(UTC) - tape.wall_at(len(tape) - 1) < timedelta(seconds=GAP_S)

    async def _grown(self) -> bool:
        if self._clock() - self._looked < GROWS_S:
            return False
        self._looked = self._clock()
        tape = self.data.tape
        before = tape.seq(len(tape) - 1)
        if not tape.extend():
            return False
        if tape.seq(len(tape) - 1) > before and not self.data.note:
            await _add_events(self.home, self.data, before)
            self._seqs = [event.seq for event in self.data.events]
        return True

    def seek(self, position: float) -> None:
        """To a position on the tape, in seconds; beyond an end it is that end."""
        tape = self.data.tape
        self.position = min(max(0.0, position), tape.length_s)
        index = tape.index_at(self.position)
        if index != self._index:
            self._show(index)

    def step(self, seconds: float) -> None:
        """Back (negative) or forth; at least to another frame."""
        tape, before = self.data.tape, self._index
        self.seek(self.position + seconds)
        if self._index == before:
            self.seek(tape.position(min(max(0, before + (1 if seconds > 0 else -1)), len(tape) - 1)))

    def step_event(self, direction: int) -> EventView | None:
        """To the frame of the next event (1) or of the one before (-1); that event, or None when there is none."""
        tape = self.data.tape
        here = bisect_right(self._seqs, tape.seq(self._index))
        events = self.data.events[here:] if direction > 0 else reversed(self.data.events[:here])
        for event in events:
            index = tape.index_of_seq(event.seq)
            if index is None or (direction < 0 and index == 0):
                return None  # of the time before the recording
            if event.level != "debug" and (index - self._index) * direction > 0:
                self.seek(tape.position(index))
                return event
        return None

    def jump(self, text: str) -> None:
        """To a time of New York's clock: ``9:31``, ``0931``, ``09:31:05``. UsageError when it was not recorded."""
        found = _CLOCK.fullmatch(text.strip())
        try:
            if found is None:
                raise ValueError
            hour, minute, second = (int(part or 0) for part in found.groups())
            at = datetime(
                self.data.day.year, self.data.day.month, self.data.day.day, hour, minute, second, tzinfo=NEW_YORK
            )
        except ValueError:
            raise UsageError(f"'{text}' is not a time: write 9:31 or 09:31:05, New York's clock") from None
        tape = self.data.tape
        index = tape.index_of_market(at, self._index)
        if index is None:
            first, last = f.eastern(tape.market_at(0)), f.eastern(tape.market_at(len(tape) - 1))
            raise UsageError(f"{at:%H:%M:%S} was not recorded: this day goes from {first} to {last}")
        self.seek(tape.position(index))

    def faster(self, steps: int) -> None:
        """Up (1) or down (-1) in ``SPEEDS``."""
        higher = [speed for speed in SPEEDS if speed > self.speed]
        lower = [speed for speed in SPEEDS if speed < self.speed]
        self.speed = (higher[:1] or [SPEEDS[-1]])[0] if steps > 0 else (lower[-1:] or [SPEEDS[0]])[0]

    # --- showing --------------------------------------------------------------------------------

    def _show(self, index: int) -> None:
        trees, state = self.data.tape.trees(index), self.state
        for name, kind in VIEWS.items():
            if name in trees and trees[name] is not self._trees.get(name):
                setattr(state, name, view_of(kind, trees[name]))
        seq = self.data.tape.seq(index)
        known = bisect_right(self._seqs, seq)
        if seq < state.seq:
            state.events = deque(self.data.events[:known], maxlen=EVENTS_KEPT)
        else:
            state.events.extend(self.data.events[bisect_right(self._seqs, state.seq) : known])
        state.seq = seq
        state.revision += 1
        self._trees, self._index = dict(trees), index
        self.trouble = ""

    def time_shift(self) -> TimeShift:
        """What every screen says of this replay."""
        tape = self.data.tape
        gap = tape.gap_after(self._index)
        facts = [f"of {f.duration(tape.length_s)}"]
        if gap:
            facts.insert(0, f"then {f.duration(gap)} not recorded")
        elif self._index == len(tape) - 1:
            facts.insert(0, "newest, still recording" if self.still_recorded else "end of the recording")
        if self.data.note:
            facts.append("without events")
        if self.trouble:
            facts.insert(0, "cannot be read from here on")
        return TimeShift(
            badge=f"REPLAY {self.speed:g}×" if self.playing else "REPLAY ‖",
            past=True,
            runs=self.playing,
            at=tape.market_at(self._index),
            facts=tuple(facts),
            share=self.position / tape.length_s if tape.length_s else 1.0,
            keys=(
                ("space", "pause" if self.playing else "play"),
                ("← →", "10 s"),
                ("[ ]", "event"),
                ("+ -", "speed"),
                ("t", "time"),
                ("?", "more"),
            ),
        )


def view_of(kind: type[View], tree: Tree) -> View:
    """A recorded view, without fields that this version does not know; OperatorError when that is not enough."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        unknown = [found["loc"] for found in error.errors() if found["type"] == "extra_forbidden"]
    try:
        for place in unknown:
            tree = _without(tree, place)
        return kind.model_validate(tree)
    except ValidationError as error:
        raise OperatorError(
            f"this day was recorded by another version of TSH Console, whose {kind.__name__} cannot be shown "
            f"({error.error_count()} fields differ); replay it with that version"
        ) from error


def _without(tree: Tree, place: tuple[int | str, ...]) -> Tree:
    """A copy of ``tree`` without the field at ``place``."""
    head, *rest = place
    copy: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    if rest:
        copy[head] = _without(copy[head], tuple(rest))
    else:
        del copy[head]
    return copy
