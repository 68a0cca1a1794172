"""Where this home trades: Alpaca's paper or live account, or the embedded simulator.

The simulator is the venue, so it must outlive an engine that is killed: its addresses are
kept in the home, and a new engine attaches to the one that still runs. One that was killed
itself is started again with its books, by the engine that lives or by the next one. An
orderly stop of the engine ends it, and its market.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from engine.broker.account_kind import check_addresses, check_keys
from engine.broker.broker_types import ClockReading
from engine.broker.credentials import Credentials, load_credentials
from engine.broker.endpoints import Endpoints
from engine.broker.errors import BrokerError
from engine.broker.simulator_control import SimulatorControl
from engine.errors import OperatorError
from engine.events import AlertRaised, EventSink
from engine.home import Home
from engine.model import Mode
from engine.settings import BrokerSettings, Settings, SimSettings
from engine.simulator import Simulator, start_process

SIM_REQUESTS_A_MINUTE = 3000  # market time runs up to 300x: so does the minute of the rate limit
WATCH_S = 0.5  # how often a look is taken whether it lives
AGAIN_S = 5.0  # until the next try to bring it back
LINGER_S = 600.0  # how long a simulator without an engine waits for the next one

log = logging.getLogger(__name__)


@dataclass
class Venue:
    """Addresses, keys and (simulator only) the control of its clock."""

    endpoints: Endpoints
    credentials: Credentials
    broker: BrokerSettings
    control: SimulatorControl | None = None
    simulator: Simulator | None = None  # only when this process started it
    pid: int | None = None  # of the embedded simulator

    async def watch(self, home: Home, sim: SimSettings, events: EventSink) -> None:
        """Brings the embedded simulator back with its books when it dies, as a broker comes back; until cancelled.

        Meanwhile nothing is known of the account: links are down, entries blocked, positions stay what they were.
        """
        while self.pid is not None:
            await asyncio.sleep(WATCH_S)
            if _lives(self.pid) and (self.simulator is None or self.simulator.running()):
                continue
            words = f"the simulated market (process {self.pid}) has died; it is started again with its books"
            events.publish(AlertRaised(key=f"venue-died-{self.pid}", message=words))
            starting = asyncio.create_task(asyncio.to_thread(_start_simulator, home, sim, known_simulator(home)))
            try:
                await asyncio.wait({starting})
            finally:  # an engine that is stopped meanwhile must know what it has started
                try:
                    self.simulator = await starting
                    self.pid = self.simulator.pid
                except OperatorError as error:
                    log.error("the simulator does not come back: %s", error)
            if not starting.exception():
                continue
            await asyncio.sleep(AGAIN_S)

    async def close(self, home: Home) -> None:
        """Ends the embedded simulator (never somebody else's)."""
        if self.control is not None:
            await self.control.close()
        if self.simulator is not None:
            await asyncio.to_thread(self.simulator.stop)
        elif self.pid is not None:
            await asyncio.to_thread(_end_simulator, self.pid)
        if self.pid is not None:
            _record_path(home).unlink(missing_ok=True)


async def open_venue(home: Home, settings: Settings) -> Venue:
    """Finds or starts the venue.

    Raises AuthRefused without keys, RefusedError for keys or addresses of another mode's account, DataError for
    a bad market file.
    """
    mode = settings.broker.mode
    if mode is not Mode.SIM:
        endpoints, keys = Endpoints.of_settings(settings.broker), load_credentials()
        check_addresses(mode, endpoints)
        check_keys(mode, keys.key)
        return Venue(endpoints, keys, settings.broker)
    broker = settings.broker.model_copy(update={"requests_per_minute": SIM_REQUESTS_A_MINUTE})
    if settings.broker.trading_url:  # a simulator that somebody else started ('tshc sim')
        endpoints = Endpoints.of_settings(settings.broker)
        check_addresses(mode, endpoints)
        keys = load_credentials()
        return Venue(endpoints, keys, broker, SimulatorControl(endpoints.trading_url, keys))
    sim = settings.sim
    running = await _running_simulator(home)
    if running is not None:
        endpoints, keys, pid = running
        return Venue(endpoints, keys, broker, SimulatorControl(endpoints.trading_url, keys), pid=pid)
    simulator = await asyncio.to_thread(_start_simulator, home, sim, known_simulator(home))
    endpoints = Endpoints.of_simulator(simulator.rest_url, simulator.trade_stream_url, simulator.price_stream_url)
    keys = Credentials(simulator.key, simulator.secret, "simulator")
    return Venue(endpoints, keys, broker, SimulatorControl(endpoints.trading_url, keys), simulator, simulator.pid)


def _start_simulator(home: Home, sim: SimSettings, died: tuple[Endpoints, Credentials, int] | None) -> Simulator:
    """A new market, or the one that ``died`` without an orderly end: with its books, its address and its keys."""
    simulator = start_process(
        market=sim.market,
        date=sim.date,
        seed=sim.seed,
        symbols=sim.symbols,
        cash=sim.cash,
        speed=1.0,
        folder=home.folder / "simulator",
        key=None if died is None else died[1].key,
        secret=None if died is None else died[1].secret,
        port=0 if died is None else urlsplit(died[0].trading_url).port or 0,
        trading_limit=SIM_REQUESTS_A_MINUTE,
        linger_s=LINGER_S,
        faults=sim.faults,
        resume=died is not None,
    )
    _write_record(home, simulator)
    return simulator


def known_simulator(home: Home) -> tuple[Endpoints, Credentials, int] | None:
    """The simulator that this home's record names, whether or not it still runs."""
    try:
        record: dict[str, Any] = json.loads(_record_path(home).read_text(encoding="utf-8"))
        return (
            Endpoints.of_simulator(record["rest_url"], record["trade_stream_url"], record["price_stream_url"]),
            Credentials(record["key"], record["secret"], "simulator"),
            int(record["pid"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the simulator's record cannot be read (%r); a new simulator is started", error)
        return None


async def _running_simulator(home: Home) -> tuple[Endpoints, Credentials, int] | None:
    known = known_simulator(home)
    if known is None:
        return None
    control = SimulatorControl(known[0].trading_url, known[1], timeout_s=3.0)
    try:
        reading: ClockReading = await control.sim_clock()
    except BrokerError as error:
        log.info("the last simulator has ended (%s)", error)
        return None
    finally:
        await control.close()
    log.info("attached to the running simulator, market time %s", reading.at)
    return known


def _record_path(home: Home) -> Path:
    return home.folder / "simulator.json"


def _write_record(home: Home, simulator: Simulator) -> None:
    record = {
        "pid": simulator.pid,
        "rest_url": simulator.rest_url,
        "trade_stream_url": simulator.trade_stream_url,
        "price_stream_url": simulator.price_stream_url,
        "key": simulator.key,
        "secret": simulator.secret,
    }
    path = _record_path(home)
    path.touch(mode=0o600)
    path.write_text(json.dumps(record), encoding="utf-8")


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _end_simulator(pid: int) -> None:
    """Ends the simulator that an earlier engine of this home left running."""
    try:
        process = psutil.Process(pid)
        if "engine.simulator" in " ".join(process.cmdline()):
            process.terminate()
            process.wait(5)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired) as error:
        log.info("the simulator %d: %r", pid, error)
