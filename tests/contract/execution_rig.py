"""A whole execution desk on a fresh simulator, for the contract tests of the broker border and execution."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.clock import MarketClock
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.broker.simulator_control import SimulatorControl
from engine.events import Event
from engine.execution.desk import ExecutionDesk
from engine.execution.entries import EntryReport
from engine.home import Home
from engine.journal import JournalDb
from engine.model import Session
from engine.orders_model import Approval
from engine.settings import BrokerSettings, ExecutionSettings, Settings
from engine.simulator import Simulator, start

MARKET_DATE = date(2026, 11, 20)  # a Friday; the rig trades Monday 2026-11-23
LIST_HASH = "a" * 64
E = TypeVar("E", bound=Event)


async def until(holds: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    """Waits for a condition; the limit is for a hung test, not a measurement."""
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():  # noqa: ASYNC110 - anything may be waited for
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


@dataclass
class Told:
    """An EventSink that remembers."""

    events: list[Event] = field(default_factory=list)

    def publish(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


def credentials(sim: Simulator) -> Credentials:
    return Credentials(sim.key, sim.secret)


def endpoints(sim: Simulator) -> Endpoints:
    return Endpoints.of_simulator(sim.rest_url, sim.trade_stream_url, sim.price_stream_url)


def rest_of(sim: Simulator, **settings: Any) -> AlpacaRest:
    return AlpacaRest(
        BrokerSettings(**{"requests_per_minute": 10_000, **settings}), endpoints(sim), credentials(sim)
    )


@dataclass
class Rig:
    sim: Simulator
    home: Home
    journal: JournalDb
    rest: AlpacaRest
    clock: MarketClock
    control: SimulatorControl
    settings: Settings
    told: Told
    desk: ExecutionDesk
    session: Session
    names: tuple[str, ...]  # liquid symbols between 5 and 200 dollars
    closes: dict[str, float]

    async def approve(self, *, outcome: Any = "approved") -> None:
        assert self.desk.account is not None
        approval = Approval(
            self.session.day,
            LIST_HASH,
            self.desk.account.number,
            "sim",
            outcome,
            "demo",
            self.names[:4],
            datetime.now(UTC),
        )
        await self.journal.record_approval(approval)

    async def go_to(self, at: datetime, rate: float = 20.0) -> None:
        self.clock.update(await self.control.sim_clock(jump_to=at, rate=rate))

    async def run_at(self, rate: float) -> None:
        self.clock.update(await self.control.sim_clock(rate=rate))

    async def enter(self, names: tuple[str, ...] | None = None, **changed: Any) -> EntryReport:
        """Approves and buys ``names`` (default: four) at the open, coming from seconds before it."""
        await self.approve()
        chosen = self.names[:4] if names is None else names
        if self.clock.now() < self.session.open - timedelta(seconds=10):
            await self.go_to(self.session.open - timedelta(seconds=10))
        closes = {**self.closes, **changed.get("closes", {})}
        atr = {name: closes[name] * 0.2 for name in chosen}
        picks = [(name, place) for place, name in enumerate(chosen, start=1)]
        return await self.desk.enter(self.session, LIST_HASH, picks, closes, atr)

    async def protected(self) -> None:
        """Returns when every open position has its stop at the broker."""
        await until(
            lambda: all(row.resting_stop for row in self.desk.views().rows if row.state in ("WATCH", "ARMED")),
            "a resting stop for every position",
        )

    def sent(self) -> list[dict[str, Any]]:
        """Order requests that the simulator's own log received."""
        return [line for line in self.sim.log() if line["kind"] == "request"]

    async def restarted(self) -> ExecutionDesk:
        """The desk of an engine that died and came back: nothing but the journal and the broker."""
        self.desk = ExecutionDesk(
            self.rest, credentials(self.sim), self.clock, self.journal, self.home, self.settings, self.told
        )
        await self.desk.start()
        return self.desk

    def kill_desk(self) -> None:
        """Cuts everything off in the middle, as kill -9 would: no farewell to the journal."""
        desk = self.desk
        keepers = (*desk._stops._tasks.values(), *desk._exits._tasks.values())
        for task in (*desk._duties.tasks, *keepers, desk.prices._task, desk.trades._task, desk._flatten._task):
            if task is not None:
                task.cancel()


@asynccontextmanager
async def rig(
    folder: Path, *, sim: dict[str, Any] | None = None, broker: dict[str, Any] | None = None, **execution: Any
) -> AsyncIterator[Rig]:
    """A started desk with ``execution`` settings; market time stands at 16:30 on Friday."""
    with start(
        date=MARKET_DATE,
        seed=7,
        symbols=60,
        folder=folder / "sim",
        **{"trading_limit": 100_000, **(sim or {})},
    ) as simulator:
        settings = Settings(
            broker=BrokerSettings(**{"requests_per_minute": 10_000, **(broker or {})}),
            execution=ExecutionSettings(**execution),
        )
        rest = rest_of(simulator, **(broker or {}))
        clock = MarketClock(rest.clock)
        control = SimulatorControl(simulator.rest_url, credentials(simulator))
        home = Home(folder / "home")
        home.create()
        journal = await JournalDb.open(home.journal)
        told = Told()
        desk = ExecutionDesk(rest, credentials(simulator), clock, journal, home, settings, told)
        symbols = [a.symbol for a in await rest.assets() if a.tradable]
        bars = await rest.daily_bars(symbols, MARKET_DATE, MARKET_DATE, "sip")
        bars = sorted((b for b in bars if 5 < b.close < 200), key=lambda b: -b.volume * b.close)
        sessions = await rest.calendar(MARKET_DATE + timedelta(days=1), MARKET_DATE + timedelta(days=7))
        await desk.start()
        rigged = Rig(
            simulator,
            home,
            journal,
            rest,
            clock,
            control,
            settings,
            told,
            desk,
            sessions[0],
            tuple(b.symbol for b in bars),
            {b.symbol: b.close for b in bars},
        )
        try:
            yield rigged
        finally:
            await rigged.desk.stop()
            await journal.close()
            await rest.close()
            await control.close()
