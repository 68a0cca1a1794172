"""Commands about the engine itself: the console, start, stop, logs, the simulator, the doctor."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
import time
from collections import deque
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.cli_alerts import alert_checks
from app.engine_process import engine_record, engine_runs, start_engine, stop_engine_by_force, wait_until_stopped
from app.headless import attached, command
from app.options import Options, print_json, say
from app.shell_words import settings_not_applied
from engine.broker.account_kind import check_addresses, check_keys
from engine.broker.credentials import load_credentials
from engine.broker.endpoints import Endpoints
from engine.errors import EXIT_DONE, EXIT_FAILED, OperatorError
from engine.home import Home
from engine.journal import JournalDb
from engine.kernel_cache import prepare_kernel_cache
from engine.model import Mode
from engine.qual.likeness import read_sectors
from engine.qual.model_access import model_access
from engine.qual.prompt_files import load_prompts
from engine.settings import BrokerSettings, QualSettings
from engine.simulator import start_process
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb

SHOWN_PACKAGES = ("alpaca-py", "numba", "numpy", "pandas", "textual", "websockets")


def start(options: Options) -> int:
    settings = options.settings().settings
    kept = settings_not_applied(options)
    if kept:
        say(f"tshc: {kept}")
    start_engine(options.home, settings, options.engine_arguments(), lambda step: say(f"engine: {step}"))
    record = engine_record(options.home)
    print(f"engine runs: pid {record['pid'] if record else '?'}, home {options.home.folder}")
    return EXIT_DONE


async def stop(options: Options, *, force: bool) -> int:
    """Asks the engine to stop; with ``force`` a hung one is ended by its pid."""
    if not engine_runs(options.home):
        print(f"no engine runs on {options.home.folder}")
        return EXIT_DONE
    try:
        async with attached(options, start=False) as client:
            await command(client, "shutdown", {"force": force})
    except OperatorError:
        if not force:
            raise
    if await asyncio.to_thread(wait_until_stopped, options.home):
        print("engine stopped")
        return EXIT_DONE
    if force and await asyncio.to_thread(stop_engine_by_force, options.home):
        print("engine ended by force")
        return EXIT_DONE
    say("tshc: the engine has not stopped yet; 'tshc engine stop --force' ends it by its pid")
    return EXIT_FAILED


def logs(options: Options, lines: int) -> int:
    path = options.home.logs / "engine.log"
    if not path.exists():
        raise OperatorError(f"there is no log yet at {path}; 'tshc engine start' writes one")
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=max(1, lines)):
            print(line, end="")
    return EXIT_DONE


def run_simulator(options: Options, speed: float) -> int:
    """Serves the embedded market until interrupted."""
    wanted = options.settings().settings.sim
    simulator = start_process(
        market=wanted.market,
        date=wanted.date,
        seed=wanted.seed,
        symbols=wanted.symbols,
        cash=wanted.cash,
        speed=speed,
        folder=options.home.folder / "simulator",
        faults=wanted.faults,
    )
    try:
        facts = {
            "trading_url": simulator.rest_url,
            "trade_stream_url": simulator.trade_stream_url,
            "price_stream_url": simulator.price_stream_url,
            "APCA_API_KEY_ID": simulator.key,
            "APCA_API_SECRET_KEY": simulator.secret,
            "log": str(simulator.log_path),
        }
        if options.as_json:
            print_json(facts)
        else:
            for name, value in facts.items():
                print(f"{name:20} {value}")
            say("the simulator runs until Ctrl-C")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while simulator.running():
            time.sleep(0.5)
        raise OperatorError(f"the simulator ended by itself; see {simulator.log_path.parent}")
    except KeyboardInterrupt:
        return EXIT_DONE
    finally:
        simulator.stop()


async def doctor(options: Options) -> int:
    """Every check with its result and remedy, then every setting with its origin. 1 when a check failed."""
    effective = options.settings()
    checks: list[tuple[str, bool, str]] = [
        ("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.system()}"),
        *((name, True, metadata.version(name)) for name in SHOWN_PACKAGES),
        ("settings file", True, _settings_file(options.home)),
        _checked("home", lambda: _looked_at(options.home) if options.read_only else _writable(options.home)),
        _checked("kernel cache", lambda: _cache_text(prepare_kernel_cache())),
    ]
    checks += [await _database(name, kind, path) for name, kind, path in _databases(options)]
    checks.append(("native engine", True, "numba kernels, always here"))
    checks.append(("workbook engine", True, _office_text(effective.settings.workbook.office)))
    running = engine_record(options.home)
    checks.append(("engine", True, f"pid {running['pid']}" if running else "not running"))
    if effective.settings.broker.mode is not Mode.SIM:
        checks.append(_checked("alpaca keys", lambda: _keys_text(effective.settings.broker)))
    checks += _news_checks(effective.settings.qual)
    checks += alert_checks(effective.settings)
    rows = list(effective.rows())
    if options.as_json:
        print_json(
            {
                "checks": [{"check": n, "ok": ok, "detail": text} for n, ok, text in checks],
                "settings": [{"key": k, "value": v, "origin": o} for k, v, o in rows],
            }
        )
    else:
        _print_doctor(checks, rows)
    return EXIT_DONE if all(ok for _, ok, _ in checks) else EXIT_FAILED


def _news_checks(settings: QualSettings) -> list[tuple[str, bool, str]]:
    """Only with a model: its address and key, its prompts."""
    if settings.provider == "lexicon":
        return [("news scores", True, "LEXICON (qual.provider = openai asks a model)")]

    def access() -> str:
        found = model_access(settings)
        return f"{settings.model} at {found.host}, key {found.masked_key}"

    return [
        _checked("news model", access),
        _checked("news prompts", lambda: ", ".join(p.version for p in load_prompts(settings.prompts))),
        _checked("news sectors", lambda: f"{len(read_sectors(settings.sectors)):,} tickers"),
    ]


def _keys_text(settings: BrokerSettings) -> str:
    keys = load_credentials()
    check_keys(settings.mode, keys.key)
    check_addresses(settings.mode, Endpoints.of_settings(settings))
    return keys.masked


def _databases(options: Options) -> list[tuple[str, Any, Path]]:
    home = options.home
    return [
        ("journal", JournalDb, home.journal),
        ("stocks_data", StocksDataDb, home.stocks_data),
        ("variation_results", VariationResultsDb, home.variation_results),
    ]


async def _database(name: str, kind: Any, path: Path) -> tuple[str, bool, str]:
    if not path.exists():
        return name, True, "not there yet"
    try:
        database = await kind.open(path, read_only=True)
        await database.close()
    except OperatorError as error:
        return name, False, str(error)
    return name, True, f"sound, {path.stat().st_size / 1e6:,.1f} MB"


def _checked(name: str, check: Any) -> tuple[str, bool, str]:
    try:
        return name, True, str(check())
    except OperatorError as error:
        return name, False, str(error)


def _office_text(override: str) -> str:
    """Which office the workbook backend would use. None is not a fault: the native backend needs none."""
    from engine.compute.workbook.offices import find_office  # xlwings loads only where it is wanted

    try:
        office = find_office(override)
    except OperatorError as error:
        return f"not on this machine: {error}"
    return office.name if office.installation is None else office.installation.text


def _writable(home: Home) -> str:
    home.create()
    return str(home.folder)


def _settings_file(home: Home) -> str:
    """Where a person writes settings, and whether one is there."""
    return str(home.settings) if home.settings.exists() else f"{home.settings}: not there, defaults count"


def _looked_at(home: Home) -> str:
    """Of a home that must not be touched: --read-only makes none and tries no file in it."""
    if not home.folder.is_dir():
        return f"{home.folder}: not there yet"
    if not os.access(home.folder, os.W_OK):
        raise OperatorError(f"cannot write the home folder {home.folder}: choose another with --home or TSH_HOME")
    return str(home.folder)


def _cache_text(folder: Path) -> str:
    compiled = sum(1 for _ in folder.rglob("*.nbc"))
    return f"{folder} ({compiled} compiled)" if compiled else f"{folder} (empty: first use compiles)"


def _print_doctor(checks: list[tuple[str, bool, str]], rows: list[tuple[str, str, str]]) -> None:
    console = Console()
    table = Table(box=None, show_header=False)
    for name, ok, text in checks:
        table.add_row("✓" if ok else "✗", name, text)
    console.print(table, highlight=False, markup=False)
    settings = Table(box=None, title="settings in force", title_justify="left")
    for column in ("key", "value", "origin"):
        settings.add_column(column, overflow="fold")
    for row in rows:
        settings.add_row(*row)
    console.print(settings, highlight=False, markup=False)
