"""Where this home trades: Alpaca's paper or live account, or the embedded simulator.

The simulator is the venue, so it must outlive an engine that is killed: its addresses are
kept in the home, and a new engine attaches to the one that still runs. An orderly stop of
the engine ends it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.broker.account_kind import check_addresses, check_keys
from engine.broker.broker_types import ClockReading
from engine.broker.credentials import Credentials, load_credentials
from engine.broker.endpoints import Endpoints
from engine.broker.errors import BrokerError
from engine.broker.simulator_control import SimulatorControl
from engine.config import BrokerSettings, Settings
from engine.home import Home
from engine.model import Mode
from engine.simulator import Simulator, start_process

SIM_REQUESTS_A_MINUTE = 3000  # market time runs up to 300x: so does the minute of the rate limit
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
    running = await _running_simulator(home)
    if running is not None:
        endpoints, keys, pid = running
        return Venue(endpoints, keys, broker, SimulatorControl(endpoints.trading_url, keys), pid=pid)
    sim = settings.sim
    simulator = await asyncio.to_thread(
        start_process,
        market=sim.market,
        date=sim.date,
        seed=sim.seed,
        symbols=sim.symbols,
        cash=sim.cash,
        speed=1.0,
        folder=home.folder / "simulator",
        trading_limit=SIM_REQUESTS_A_MINUTE,
        linger_s=LINGER_S,
        faults=sim.faults,
    )
    endpoints = Endpoints.of_simulator(simulator.rest_url, simulator.trade_stream_url, simulator.price_stream_url)
    keys = Credentials(simulator.key, simulator.secret, "simulator")
    _write_record(home, simulator)
    return Venue(endpoints, keys, broker, SimulatorControl(endpoints.trading_url, keys), simulator, simulator.pid)


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


def _end_simulator(pid: int) -> None:
    """Ends the simulator that an earlier engine of this home left running."""
    try:
        process = psutil.Process(pid)
        if "engine.simulator" in " ".join(process.cmdline()):
            process.terminate()
            process.wait(5)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired) as error:
        log.info("the simulator %d: %r", pid, error)
