"""The life of a run: its stages in the journal, on the screen, and where a killed one goes on.

A stage is entered with the digest of its inputs. When an earlier life of the same run has
finished it with the same inputs it is skipped; otherwise it starts with whatever progress
was saved. A stage that fails leaves its run unfinished, to be resumed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.errors import OperatorError
from engine.events import (
    Event,
    EventSink,
    Progress,
    RunFinished,
    RunStarted,
    StageFailed,
    StageFinished,
    StageStarted,
)
from engine.pipeline.engine_room import EngineRoom
from engine.run_log import Run
from engine.views import StageView


def digest_of(value: Any) -> str:
    """A short digest of JSON-able inputs."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class StopRequestedError(OperatorError):
    """The operator stopped the run between two units of work; it can be resumed."""


@dataclass
class Stage:
    """One stage while it runs."""

    name: str
    skipped: bool  # an earlier life of this run has done it
    progress: dict[str, Any]
    summary: str = ""
    counts: dict[str, Any] = field(default_factory=dict)


class RunBook:
    """Keeps one run in the journal and on the overview."""

    def __init__(self, room: EngineRoom, run: Run, names: Sequence[str], *, resumed: bool) -> None:
        self.run, self.resumed = run.run, resumed
        self._room, self._kind = room, run.kind
        self._views = {name: StageView(stage=name) for name in names}
        self._began = time.monotonic()
        self._running_since: dict[str, float] = {}  # stage: monotonic start, less what an earlier life spent
        self._room.board.refresh_stages = self._show
        self._show()

    def start(self) -> None:
        self._room.bus.publish(RunStarted(run=self.run, run_kind=self._kind, resumed=self.resumed))

    @asynccontextmanager
    async def stage(self, name: str, digest: str = "") -> AsyncIterator[Stage]:
        """Runs one stage; publishes its start and end; a failure is journalled and raised on."""
        journal, bus = self._room.journal, self._room.bus
        earlier = await journal.stage_state(self.run, name)
        if earlier is not None and earlier.state == "done" and earlier.digest == digest:
            self._set(name, state="done", seconds=float(earlier.progress.get("seconds", 0.0)), detail=earlier.note)
            yield Stage(name, True, dict(earlier.progress), earlier.note)
            return
        begun = await journal.begin_stage(self.run, name, digest)
        stage = Stage(name, False, dict(begun.progress))
        spent = float(stage.progress.get("seconds", 0.0))
        started = time.monotonic()
        self._running_since[name] = started - spent
        self._set(name, state="running", detail="")
        bus.publish(StageStarted(run=self.run, stage=name, resumed=begun.attempts > 1))
        try:
            yield stage
        except OperatorError as error:
            await self._fail(stage, str(error), spent + time.monotonic() - started)
            raise
        except Exception as error:
            # Told and journalled here, logged with its trace where the run ends.
            await self._fail(stage, f"internal error: {error!r}", spent + time.monotonic() - started)
            raise
        seconds = spent + time.monotonic() - started
        stage.progress |= {"seconds": round(seconds, 3), "counts": stage.counts}
        await journal.set_stage_progress(self.run, name, stage.progress)
        await journal.finish_stage(self.run, name, stage.summary)
        self._set(name, state="done", seconds=seconds, progress=1.0, detail=stage.summary)
        bus.publish(
            StageFinished(
                run=self.run, stage=name, seconds=round(seconds, 3), summary=stage.summary, counts=stage.counts
            )
        )

    async def save(self, stage: Stage, **progress: Any) -> None:
        """Adds to what the stage needs to go on after a kill; on disk when it returns."""
        stage.progress |= progress
        await self._room.journal.set_stage_progress(self.run, stage.name, stage.progress)

    def sink(self, stage: Stage) -> EventSink:
        """Where the stage publishes: its Progress goes to the screens, all else to the journal too."""
        return _StageSink(self, stage, self._room.bus)

    def show(self, stage: Stage, fraction: float | None, detail: str) -> None:
        """The stage's progress on the screens; ``fraction`` 0..1 or None when it cannot be known."""
        self._set(stage.name, progress=fraction, detail=detail)

    async def finish(self, outcome: str, summary: str) -> None:
        """Ends the run: ``done`` and ``refused`` (a person said no) close it, others leave it to be resumed."""
        self._room.board.refresh_stages = None
        if outcome in ("done", "refused"):
            await self._room.journal.finish_run(self.run, "done", summary)
        self._room.bus.publish(
            RunFinished(
                run=self.run,
                run_kind=self._kind,
                outcome=outcome,
                seconds=round(time.monotonic() - self._began, 3),
                summary=summary,
            )
        )

    async def _fail(self, stage: Stage, reason: str, seconds: float) -> None:
        journal = self._room.journal
        await journal.set_stage_progress(self.run, stage.name, {**stage.progress, "seconds": round(seconds, 3)})
        await journal.fail_stage(self.run, stage.name, reason)
        self._set(stage.name, state="failed", detail=reason)
        self._room.bus.publish(StageFailed(run=self.run, stage=stage.name, reason=reason))

    def _set(self, name: str, **changes: Any) -> None:
        self._views[name] = self._views[name].model_copy(update=changes)
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        for name, since in self._running_since.items():
            if self._views[name].state in ("running", "paused"):
                self._views[name] = self._views[name].model_copy(update={"seconds": now - since})
        overview = self._room.board.overview
        self._room.board.overview = overview.model_copy(update={"stages": tuple(self._views.values())})


@dataclass(frozen=True)
class _StageSink:
    book: RunBook
    stage: Stage
    bus: EventSink

    def publish(self, event: Event) -> None:
        if isinstance(event, Progress):
            fraction = event.done / event.total if event.total else None
            self.book.show(self.stage, fraction, f"{event.done:g} of {event.total:g} {event.detail}".rstrip())
        else:
            self.bus.publish(event)


async def open_run(room: EngineRoom, kind: str, payload: Mapping[str, Any], *, replace: bool) -> tuple[Run, bool]:
    """The unfinished run of this kind with the same payload, or a new one: (run, resumed).

    An unfinished run with another payload is abandoned when it had failed or ``replace`` is
    given, and refused otherwise: it may be hours of work.
    """
    unfinished = await room.journal.unfinished_run(kind)
    if unfinished is not None:
        if unfinished.payload == dict(payload) and not replace:
            return unfinished, True
        stages = await room.journal.stages(unfinished.run)
        failed = bool(stages) and stages[-1].state == "failed"
        if not failed and not replace:
            where = f" in {stages[-1].stage}" if stages else ""
            different = [k for k, v in payload.items() if unfinished.payload.get(k) != v]
            raise OperatorError(
                f"the {kind} run {unfinished.run} stopped{where} and was started with another "
                f"{', '.join(different) or 'setup'}: give the same options to resume it, "
                "or --replace to abandon it"
            )
        await room.journal.finish_run(unfinished.run, "abandoned", "replaced by a new run")
    return await room.journal.begin_run(kind, payload), False
