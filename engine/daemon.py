"""The engine process of one home folder: ``python -m engine.daemon --home DIR [--set key=value ...]``.

It owns the pipeline, the journal, the broker's connections and the positions; consoles
come and go. While it starts it says so on standard output, one JSON line a step, and ends
with {"ready": ...} or {"error": ..., "exit_code": ...}; after that it speaks only through
the control channel and its log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import logging.handlers
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.alerts.desk import AlertDesk
from engine.alerts.in_force import open_sinks
from engine.alerts.sink import Scrubber, secrets_of
from engine.broker.account_kind import check_account
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import Account
from engine.broker.clock import MarketClock
from engine.broker.errors import AuthRefused, BrokerError
from engine.commands import CommandTable
from engine.compute import open_engine
from engine.compute.protocol import ComputeEngine
from engine.config import EffectiveSettings, load_settings
from engine.control import ControlServer
from engine.errors import EXIT_DONE, OperatorError, RefusedError, UsageError
from engine.event_bus import EventBus
from engine.events import AlertRaised, EngineStarted, EngineStopped, Event
from engine.execution.desk import ExecutionDesk
from engine.home import FileLock, Home
from engine.journal import JournalDb
from engine.kernel_warmup import KernelWarmup
from engine.model import Mode
from engine.pipeline.engine_room import EngineRoom
from engine.pipeline.market_pace import MarketPace, RealPace, SimulatedPace
from engine.reactions import stay_quick
from engine.recording.recorder import Recorder
from engine.redaction import StrikingFormatter, strike_tracebacks
from engine.status_views import StatusViews
from engine.storage.stocks_data_db import StocksDataDb
from engine.venue import Venue, open_venue
from engine.view_board import ViewBoard
from engine.views import EventView
from engine.worker_priority import WorkerPriority

LOG_BYTES, LOG_FILES = 10_000_000, 5

log = logging.getLogger(__name__)


class Engine:
    """Everything one home needs while it runs. ``start``, then ``serve`` until told to stop, then ``stop``."""

    def __init__(self, home: Home, effective: EffectiveSettings) -> None:
        self.home, self.settings = home, effective.settings
        self._lock = FileLock(home.engine_lock)
        self._stopping = asyncio.Event()
        self._stop_reason = ""
        self._cleanup = contextlib.AsyncExitStack()

    async def start(self, announce: Any) -> None:
        """Opens everything in the order in which the parts need each other; OperatorError when one cannot."""
        if not self._lock.acquire():
            raise RefusedError(
                f"an engine already runs on {self.home.folder}: attach with 'tshc', "
                "or end it with 'tshc engine stop'"
            )
        self._cleanup.callback(self._lock.release)
        announce("databases")
        journal = await JournalDb.open(self.home.journal)
        self._cleanup.push_async_callback(journal.close)
        stocks = await StocksDataDb.open(self.home.stocks_data)
        self._cleanup.push_async_callback(stocks.close)
        announce("simulated market" if self.settings.broker.mode is Mode.SIM else "broker")
        venue = await open_venue(self.home, self.settings)
        self._cleanup.push_async_callback(venue.close, self.home)
        rest = AlpacaRest(venue.broker, venue.endpoints, venue.credentials)
        self._cleanup.push_async_callback(rest.close)
        clock = MarketClock(rest.clock)
        account = await self._first_contact(rest, clock)
        await self._assemble(journal, stocks, venue, rest, clock, account)

    async def _first_contact(self, rest: AlpacaRest, clock: MarketClock) -> Account:
        """The account and the clock. Wrong keys, an account of another mode and a silent broker end the start."""
        mode = self.settings.broker.mode
        try:
            account = await rest.account()
            await clock.refresh()
        except AuthRefused as error:
            if mode is Mode.SIM:
                raise
            other = Mode.PAPER if mode is Mode.LIVE else Mode.LIVE
            raise AuthRefused(
                f"{error}; broker.mode is {mode}: keys of a {other} account do not open it"
            ) from error
        except BrokerError as error:
            raise OperatorError(f"the broker cannot be reached: {error}") from error
        check_account(mode, account.number)
        return account

    async def _assemble(
        self,
        journal: JournalDb,
        stocks: StocksDataDb,
        venue: Venue,
        rest: AlpacaRest,
        clock: MarketClock,
        account: Account,
    ) -> None:
        board = ViewBoard()
        for event in await journal.last_events(500):
            board.add_event(event)
        bus = EventBus(journal, lambda: clock.now() if clock.known else None)
        alerts = AlertDesk(
            self.settings.alerts,
            journal,
            bus,
            board,
            self.home,
            open_sinks(self.settings, consoles=lambda: control.consoles),
            mode=self.settings.broker.mode.value,
            scrub=Scrubber((venue.credentials.key, venue.credentials.secret, *secrets_of(os.environ))),
            journal_problem=lambda: bus.failed or desk.desk.journal_problem,
        )
        await alerts.restore()
        bus.on_alarm(alerts.take)
        bus.start()
        self._cleanup.push_async_callback(bus.stop)
        keeper = asyncio.create_task(venue.watch(self.home, self.settings.sim, bus), name="venue")
        self._cleanup.push_async_callback(_ended, keeper)
        desk = ExecutionDesk(rest, venue.credentials, clock, journal, self.home, self.settings, bus)
        bus.on_failure(desk.latch)  # what cannot be journalled must not be begun
        recorder = Recorder(self.home.recordings, self.settings.recording, board, bus)
        self._cleanup.push_async_callback(recorder.stop)
        recorder.start()
        warmup = KernelWarmup()
        room = EngineRoom(
            home=self.home,
            settings=self.settings,
            account=account.number,
            journal=journal,
            stocks=stocks,
            rest=rest,
            clock=clock,
            pace=self._pace(venue, clock),
            bus=bus,
            board=board,
            desk=desk,
            compute=lambda: self._compute("native"),
            executor_compute=lambda: self._compute(self.settings.training.backend),
            kernels_ready=warmup.ready,
            attended=lambda: control.people > 0,
        )
        commands = CommandTable(room, alerts, warmup.not_ready, self.request_stop)
        control = ControlServer(self.home, board, commands.execute)
        status = StatusViews(room, warmup, commands)

        def shown(event: Event, view: EventView) -> None:
            board.add_event(view)
            control.publish(view)
            status.on_event(event, view)

        bus.listen(shown)
        await control.start()
        self._cleanup.push_async_callback(control.stop)
        alerts.start()  # before the desk: what its start meets must be told
        self._cleanup.push_async_callback(alerts.stop)
        await desk.start()
        self._cleanup.push_async_callback(desk.stop)
        self._cleanup.push_async_callback(commands.close)
        warmup.start()
        self._cleanup.push_async_callback(warmup.stop)
        await status.start()
        self._cleanup.push_async_callback(status.stop)
        priority = WorkerPriority(commands.weekend.workers, lambda: bool(desk.book.open_holdings()))
        priority.start()
        self._cleanup.push_async_callback(priority.stop)
        bus.publish(EngineStarted(mode=self.settings.broker.mode.value, account=account.number, pid=os.getpid()))
        self._bus, self.desk, self.board = bus, desk, board
        if await journal.unfinished_run("weekday") is not None:
            commands.resume_weekday()
        interrupted = await journal.unfinished_run("weekend")
        if interrupted is not None:
            stages = await journal.stages(interrupted.run)
            where = f" in {stages[-1].stage}" if stages else ""
            bus.publish(
                AlertRaised(
                    key="weekend-unfinished",
                    message=f"the weekend run {interrupted.run} stopped{where}: w (or 'tshc weekend') resumes it",
                )
            )

    def _pace(self, venue: Venue, clock: MarketClock) -> MarketPace:
        if venue.control is None:
            return RealPace(clock)
        sim = self.settings.sim
        return SimulatedPace(clock, venue.control, speed=sim.speed, entry_speed=sim.entry_speed)

    def _compute(self, backend: str) -> ComputeEngine:
        settings = self.settings
        return open_engine(
            backend,
            brackets=settings.execution.bracket_table(),
            exit_model=settings.training.exit_model,
            workbook=settings.workbook,
        )

    def request_stop(self, reason: str) -> None:
        self._stop_reason = reason
        self._stopping.set()

    async def serve(self) -> None:
        """Returns when a stop was asked for."""
        await self._stopping.wait()
        self._bus.publish(EngineStopped(reason=self._stop_reason))

    async def stop(self) -> None:
        """Closes everything in reverse order; safe after a failed start."""
        await self._cleanup.aclose()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.daemon", description="The engine of one home folder.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--live-confirmed", action="store_true", help="a person has typed the word")
    given = parser.parse_args(arguments)
    try:
        home = Home(given.home)
        home.create()
        effective = load_settings(home, _overrides(given.set))
        if effective.settings.broker.mode is Mode.LIVE and not given.live_confirmed:
            raise RefusedError(
                "live trading needs a typed confirmation: start the engine with 'tshc engine start'"
            )
        _log_to(home)
        strike_tracebacks()
        return asyncio.run(_run(home, effective))
    except OperatorError as error:
        _say({"error": str(error), "exit_code": error.exit_code})
        return error.exit_code


async def _run(home: Home, effective: EffectiveSettings) -> int:
    engine = Engine(home, effective)
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.request_stop, f"signal {signal.Signals(number).name}")
    try:
        await engine.start(lambda step: _say({"starting": step}))
        _say({"ready": True, "pid": os.getpid()})
        _let_go_of_the_terminal()
        stay_quick()
        await engine.serve()
    finally:
        await engine.stop()
    return EXIT_DONE


def _overrides(pairs: Sequence[str]) -> dict[str, str]:
    result = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set takes section.key=value, not '{pair}'")
        result[key] = value
    return result


def _say(message: dict[str, Any]) -> None:
    # The launcher may have gone; the engine goes on without it.
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(message), flush=True)


def _let_go_of_the_terminal() -> None:
    """After the start nobody reads standard output: it must not block or kill the engine."""
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _log_to(home: Home) -> None:
    home.logs.mkdir(exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        home.logs / "engine.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
    )
    handler.setFormatter(StrikingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    for chatty in ("websockets", "numba", "urllib3", "aiosqlite"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
