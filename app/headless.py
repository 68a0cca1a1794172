"""The week without a screen: command the engine, follow a run to its end, say what happens.

The same engine, commands and events as the console's; only the drawing is missing. On a
terminal the present stage is a progress bar, elsewhere each event is one plain line; with --json
it is one JSON line on standard error, all its numbers included (a search tells the solver
log's columns), and standard output holds the result alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from app.client import EngineClient, Link
from app.engine_process import engine_runs, start_engine
from app.options import Options, say
from app.shell_words import runs_elsewhere, settings_not_applied
from engine.control import Answer
from engine.errors import OperatorError, RefusedError
from engine.model import NEW_YORK
from engine.views import EventView, StageView

ENGINE_GONE_S = 20.0
FIRST_VIEWS_S = 2.0  # an engine that has just started fills its views within moments
QUIET_KINDS = frozenset(
    {"command_received", "link_changed", "reconciled", "order_sent", "order_changed", "alert_told"}
)


@asynccontextmanager
async def attached(options: Options, name: str = "tshc", *, start: bool = True) -> AsyncIterator[EngineClient]:
    """A client of the home's engine, started when none runs (unless ``start`` is False)."""
    if start:
        kept = settings_not_applied(options)
        if kept and not options.as_json:
            say(f"tshc: {kept}")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            None,
            start_engine,
            options.home,
            options.settings().settings,
            options.engine_arguments(),
            lambda step: say(f"engine: {step}") if not options.as_json else None,
        )
    elif not engine_runs(options.home) and not options.home.engine_record.exists():
        raise OperatorError(
            f"no engine runs on {options.home.folder}: start it with 'tshc engine start', 'tshc engine logs' says "
            "why it stopped" + runs_elsewhere(options.home)
        )
    client = EngineClient(options.home, read_only=options.read_only, name=name)
    async with client:
        await client.attached()
        yield client


async def told(client: EngineClient) -> bool:
    """Waits for views that the engine has filled; False when it has told nothing but defaults in that time."""
    deadline = time.monotonic() + FIRST_VIEWS_S
    while not client.state.status.known and time.monotonic() < deadline:  # noqa: ASYNC110 - a view is a state
        await asyncio.sleep(0.05)
    return client.state.status.known


async def command(client: EngineClient, name: str, arguments: dict[str, Any] | None = None) -> Answer:
    """Sends a command; RefusedError with the engine's reason when it says no."""
    answer = await client.command(name, arguments)
    if not answer.accepted:
        raise RefusedError(answer.reason)
    return answer


class Follower:
    """Prints what a run does and returns how it ended."""

    def __init__(self, client: EngineClient, *, as_json: bool) -> None:
        self._client, self._as_json = client, as_json
        self._bar = _StageBar() if sys.stderr.isatty() and not as_json else None

    async def until(self, run: str, on_view: Callable[[str], None] | None = None) -> dict[str, Any]:
        """Follows run ``run`` to its RunFinished event; its data. OperatorError when the engine is lost."""
        finished: dict[str, Any] | None = None
        with self._bar or _Nothing():
            async for news in _with_deadline(self._client):
                if isinstance(news, EventView):
                    self._show(news)
                    if news.kind == "run_finished" and news.data.get("run") == run:
                        finished = dict(news.data)
                        break
                else:
                    if self._bar is not None:
                        self._bar.show(self._client.state.overview.stages, self._client.state.status.kernels)
                    if on_view is not None:
                        on_view(news)
        if finished is None:
            raise OperatorError(
                f"the engine was lost during run {run}; run the same command again: it resumes "
                "('tshc engine logs' says why it ended)"
            )
        return finished

    def _show(self, event: EventView) -> None:
        if event.kind in QUIET_KINDS:
            return
        if self._as_json:
            say(event_line(event))
            return
        if event.level == "debug":
            return
        at = (event.market_at or event.at).astimezone(NEW_YORK)
        line = f"{at:%a %H:%M:%S} ET  {event.text}"
        if self._bar is not None:
            self._bar.line(line)
        else:
            say(line)


def event_line(event: EventView) -> str:
    """An event as one line of JSON: when, what, in words, and its numbers."""
    return json.dumps(event.model_dump(mode="json"), ensure_ascii=False)


async def _with_deadline(client: EngineClient) -> AsyncIterator[EventView | str]:
    """The client's updates, ended when the engine has been gone for ENGINE_GONE_S wall seconds."""
    updates = client.updates().__aiter__()
    pending: asyncio.Task[EventView | str] | None = None
    lost_at: float | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(updates))
            done, _ = await asyncio.wait({pending}, timeout=1.0)
            if done:
                news, pending = pending.result(), None
                yield news
            lost_at = None if client.link is Link.LIVE else (lost_at or time.monotonic())
            if lost_at is not None and time.monotonic() - lost_at > ENGINE_GONE_S:
                return
    finally:
        if pending is not None:
            pending.cancel()


async def _next(updates: AsyncIterator[EventView | str]) -> EventView | str:
    return await updates.__anext__()


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class _StageBar:
    """The running stage of the present run, on a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def show(self, stages: tuple[StageView, ...], kernels: str) -> None:
        running = next((s for s in stages if s.state in ("running", "paused")), None)
        if running is None and kernels:
            running = StageView(stage="kernels", state="running", detail=kernels)
        if running is None:
            return
        if self._task is None or running.stage != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage = running.stage
            self._task = self._progress.add_task(running.stage, total=1.0, detail="")
        self._progress.update(
            self._task,
            completed=running.progress or 0.0,
            total=None if running.progress is None else 1.0,
            detail=running.detail,
        )
