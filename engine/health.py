"""The health of everything, as measured numbers: event loop, broker, streams, journal, disk, clock, workers.

Nothing here is assumed: a part that was not measured has no row, and each row says what was
measured. ``good`` / ``watch`` / ``bad`` follow from the limits below.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal

import psutil

from engine.database import file_bytes
from engine.model import Mode
from engine.pipeline.broker_watch import LastAnswer
from engine.pipeline.engine_room import EngineRoom
from engine.views import HealthRow, LinkView

LOOK_S = 0.25  # how often the event loop is asked for its delay
WINDOW_S = 60.0  # "worst" means in the last minute
LAG_WATCH_MS, LAG_BAD_MS = 250.0, 1000.0
LATENCY_WATCH_MS, LATENCY_BAD_MS = 500.0, 2000.0
COMMIT_WATCH_MS, COMMIT_BAD_MS = 100.0, 1000.0
DISK_WATCH, DISK_BAD = 2e9, 2e8  # bytes free
SKEW_WATCH_S, SKEW_BAD_S = 0.5, 2.0

State = Literal["good", "watch", "bad", "off"]
STREAM_STATES: dict[str, State] = {"live": "good", "connecting": "watch", "stale": "watch", "off": "off"}
Workers = Callable[[], Iterable[tuple[str, int]]]  # (name, pid) of those that run


class Recent:
    """Values of the last minute, wall time."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque()

    def add(self, value: float) -> None:
        now = time.monotonic()
        self._values.append((now, value))
        while self._values and now - self._values[0][0] > WINDOW_S:
            self._values.popleft()

    @property
    def last(self) -> float | None:
        return self._values[-1][1] if self._values else None

    @property
    def worst(self) -> float | None:
        return max((value for _, value in self._values), default=None)


def graded(value: float, watch: float, bad: float) -> State:
    """Larger is worse."""
    return "bad" if value >= bad else "watch" if value >= watch else "good"


class Health:
    """``latency`` and ``skew`` are told by who polls the broker's clock; the rest is measured here."""

    def __init__(self, room: EngineRoom, workers: Workers) -> None:
        self._room, self._workers = room, workers
        self._began = time.monotonic()
        self._lag, self._latency = Recent(), Recent()
        self._skew_s: float | None = None
        self._self = psutil.Process()
        self._self.cpu_percent()
        self._known: dict[int, psutil.Process] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch_loop(), name="event-loop delay")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch_loop(self) -> None:
        """How much later than asked the loop wakes a sleeper: what every exit would wait, too."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(LOOK_S)
            self._lag.add(max(0.0, time.monotonic() - began - LOOK_S) * 1000)

    def answered(self, latency_ms: float, skew_s: float | None) -> None:
        """The broker's clock answered; ``skew_s`` is its time minus ours at the middle of the request."""
        self._latency.add(latency_ms)
        self._skew_s = skew_s

    # --- rows ----------------------------------------------------------------------------------

    def rows(self, broker: LinkView, account: LastAnswer) -> tuple[HealthRow, ...]:
        """Measures what is not measured yet, and says everything."""
        desk = self._room.desk
        prices, orders = desk.link_views()
        found = [
            self._engine(),
            self._broker(broker),
            account_row(account),
            _stream("prices", prices, desk.prices.connections),
            _stream("orders", orders, desk.trades.connections),
            self._books(),
            self._journal(),
            self._disk(),
            self._clock(),
            *self._work(),
        ]
        return tuple(row for row in found if row is not None)

    def _engine(self) -> HealthRow | None:
        lag, worst = self._lag.last, self._lag.worst
        if lag is None or worst is None:
            return None
        memory = self._self.memory_info().rss / 1e6
        return HealthRow(
            name="engine",
            state=graded(worst, LAG_WATCH_MS, LAG_BAD_MS),
            value=f"{lag:.0f} ms late",
            detail=(
                f"worst {worst:.0f} · CPU {self._self.cpu_percent():.0f} % · {memory:.0f} MB · "
                f"up {_span(time.monotonic() - self._began)}"
            ),
        )

    def _broker(self, broker: LinkView) -> HealthRow | None:
        budget = self._room.rest.trading.budget
        left = f"{budget.available:.0f} of {budget.per_minute} requests"
        worst = self._latency.worst
        if broker.state != "live" or broker.latency_ms is None or worst is None:
            state: State = "watch" if broker.state == "connecting" else "bad"
            age = "" if broker.age_s is None else f" {_age(broker.age_s)}"
            return HealthRow(name="broker", state=state, value=broker.state + age, detail=broker.detail or left)
        return HealthRow(
            name="broker",
            state=graded(broker.latency_ms, LATENCY_WATCH_MS, LATENCY_BAD_MS),
            value=f"{broker.latency_ms:.0f} ms",
            detail=f"worst {worst:.0f} · {left}",
        )

    def _books(self) -> HealthRow | None:
        desk = self._room.desk
        age = desk.reconciled_age_s
        if age is None:
            return None
        drift = desk.drift.texts
        if drift:
            return HealthRow(name="books", state="bad", value="DRIFT", detail=drift[0])
        clean = desk.is_clean
        return HealthRow(
            name="books",
            state="good" if clean else "bad",
            value="agree" if clean else "NOT clean",
            detail=f"with the broker, {age:.0f} s ago",
        )

    def _journal(self) -> HealthRow | None:
        bus = self._room.bus
        if bus.failed:
            return HealthRow(name="journal", state="bad", value="FAILED", detail=bus.failed)
        if bus.commit_ms is None:
            return None
        size = file_bytes(self._room.home.journal)
        return HealthRow(
            name="journal",
            state=graded(bus.commit_ms, COMMIT_WATCH_MS, COMMIT_BAD_MS),
            value=f"{bus.commit_ms:.1f} ms",
            detail=f"last commit · {bus.waiting} waiting · {size / 1e6:.1f} MB",
        )

    def _disk(self) -> HealthRow:
        usage = shutil.disk_usage(self._room.home.folder)
        state: State = "bad" if usage.free < DISK_BAD else "watch" if usage.free < DISK_WATCH else "good"
        return HealthRow(
            name="disk",
            state=state,
            value=f"{usage.free / 1e9:.1f} GB",
            detail=f"free of {usage.total / 1e9:.0f} GB",
        )

    def _clock(self) -> HealthRow:
        clock = self._room.clock
        if self._room.settings.broker.mode is Mode.SIM or self._skew_s is None:
            age = f"read {clock.reading_age_s:.1f} s ago"
            return HealthRow(name="clock", value=f"×{clock.rate:g}", detail=f"simulated time · {age}")
        return HealthRow(
            name="clock",
            state=graded(abs(self._skew_s), SKEW_WATCH_S, SKEW_BAD_S),
            value=f"{self._skew_s * 1000:+.0f} ms",
            detail="the broker's against ours",
        )

    def _work(self) -> list[HealthRow]:
        """Processor and memory of the worker processes that run; one processor is 100 %."""
        rows, seen = [], set()
        for name, pid in self._workers():
            seen.add(pid)
            with suppress(psutil.Error):
                process = self._known.get(pid) or psutil.Process(pid)
                if pid not in self._known:
                    self._known[pid] = process
                    process.cpu_percent()
                    continue
                with process.oneshot():
                    memory, cpu = process.memory_info().rss / 1e6, process.cpu_percent()
                rows.append(HealthRow(name=name, value=f"{cpu:.0f} % CPU", detail=f"{memory:.0f} MB · pid {pid}"))
        for gone in self._known.keys() - seen:
            del self._known[gone]
        return rows


def account_row(answer: LastAnswer) -> HealthRow | None:
    """Equity, cash and the day's P&L: a row only while they are older than they should be."""
    if not answer.stale:
        return None
    detail = answer.problem or "the request under way has no answer yet"
    return HealthRow(name="account", state="bad", value=f"{_age(answer.age_s or 0.0)} old", detail=detail)


def _stream(name: str, link: LinkView, connections: int) -> HealthRow:
    state = STREAM_STATES.get(link.state, "bad")
    age = "no message yet" if link.age_s is None else f"heard {link.age_s:.1f} s ago"
    again = f" · {connections - 1} reconnects" if connections > 1 else ""
    return HealthRow(name=name, state=state, value=link.state, detail=f"{link.detail or age}{again}")


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else _span(seconds)


def _span(seconds: float) -> str:
    minutes = int(seconds) // 60
    return f"{minutes} m" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"
