"""``tshc demo``: the whole week on the embedded market, in the console or unattended.

The unattended demo is an operator without hands: it sends the console's own commands,
approves the list visibly as ``demo``, lets the first day run to its natural exits, and
flattens the second one shortly after the open, because the flatten must be seen to work.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import time
import tomllib
from pathlib import Path
from typing import Any

from app.cli_console import open_console
from app.client import EngineClient
from app.engine_process import engine_runs, wait_until_stopped
from app.headless import Follower, attached, command
from app.options import Options, print_json
from app.reporting import print_report
from app.shell_words import demo_home
from engine.config import load_settings
from engine.errors import EXIT_DONE, OperatorError, UsageError
from engine.home import Home
from engine.views import FlattenView

PREVIOUS = "demo.previous"
FLATTEN_TIMEOUT_S = 60.0
DRILL_AFTER_S = 3.0  # wall seconds between the first fill of the second day and its flatten


def demo_options(
    options: Options,
    *,
    home_given: bool,
    market: str,
    day: str | None,
    cycles: int,
    search_budget: str,
    search_tests: int | None,
    seed: int | None,
    speed: float,
) -> Options:
    """The options of a demo: its own home, and a tsh.toml there, so that the home stays in its market."""
    if options.broker not in (None, "sim"):
        raise UsageError("the demo runs on the embedded market: leave --broker away")
    options.overrides.setdefault("broker.mode", "sim")
    values: dict[str, Any] = {"market": _market_path(market), "speed": speed}
    if day is not None:
        values["date"] = _checked_day(day)
    if seed is not None:
        values["seed"] = seed
    search: dict[str, Any] = {"budget_s": search_budget}
    if search_tests is not None:
        search["tests"] = search_tests
    wanted = {"sim": values, "training": {"cycles": cycles}, "search": search}
    home = options.home if home_given else demo_home()
    _refuse_wrong(home, wanted, options)
    options.home = home if home_given else _own_home(home)
    _write_settings(options.home, wanted, options)
    options.settings()  # what is wrong in a home's own file is refused before anything starts
    return options


def _refuse_wrong(home: Home, wanted: dict[str, dict[str, Any]], options: Options) -> None:
    """UsageError for a wrong option, as one of the command line, before a home is made or an old one moved."""
    given = {f"{section}.{key}": value for section, values in wanted.items() for key, value in values.items()}
    empty = Home(home.folder / "without a file")  # only this call counts here
    load_settings(empty, {**given, **options.all_overrides()})


def _own_home(home: Home) -> Home:
    """A fresh home for a demo that was not given one; the last demo's is kept once as demo.previous."""
    folder = home.folder
    if folder.exists() and not engine_runs(home):
        previous = folder.with_name(PREVIOUS)
        if previous.exists():
            shutil.rmtree(previous)
        folder.rename(previous)
    return home


def _market_path(market: str) -> str:
    if market == "synthetic":
        return market
    path = Path(market).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"--market: there is no file {path}; give a daily-bar parquet file or 'synthetic'")
    return str(path)


def _checked_day(day: str) -> str:
    try:
        return dt.date.fromisoformat(day).isoformat()
    except ValueError as error:
        raise UsageError(f"--date: '{day}' is not a date; write it as 2017-03-17") from error


def _write_settings(home: Home, wanted: dict[str, dict[str, Any]], options: Options) -> None:
    """Writes tsh.toml into a new home; in an existing one the options of this call go on top of its file."""
    home.create()
    if home.settings.exists():
        known = tomllib.loads(home.settings.read_text(encoding="utf-8"))
        for section, values in wanted.items():
            for key, value in values.items():
                if known.get(section, {}).get(key) != value:
                    options.overrides.setdefault(f"{section}.{key}", str(value))
        return
    lines = ["# Written by 'tshc demo'; every key may be changed."]
    for section, values in wanted.items():
        lines += ["", f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    home.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def demo_console(options: Options) -> int:
    """The console on the embedded market."""
    return open_console(options)


async def demo_headless(options: Options) -> int:
    """The week unattended; prints a report of every stage. Returns the exit code."""
    began = time.monotonic()
    try:
        async with attached(options, "demo") as client:
            result = await _week(client, options)
            result["seconds"] = round(time.monotonic() - began, 1)
            await command(client, "shutdown", {"force": True})
    finally:
        await asyncio.to_thread(wait_until_stopped, options.home)
    if options.as_json:
        print_json(result)
        return EXIT_DONE
    for report in (result["weekend"], *result["days"]):
        print_report(report)
        print()
    print(f"flatten drill: {result['flatten']}")
    first, second = result["pnl_of_days"]
    print(f"P&L {first} $ on the first day, {second} $ on the second; equity {result['equity']} $")
    print(f"the week took {result['seconds']:.0f} s; home {options.home.folder}")
    return EXIT_DONE


async def _week(client: EngineClient, options: Options) -> dict[str, Any]:
    days = []
    answer = await command(client, "weekend")
    await _followed(client, options, answer.data["run"])
    weekend = (await command(client, "report")).data["weekend"]
    for drill in (False, True):
        answer = await command(client, "weekday")
        operator = asyncio.create_task(_operator(client, drill=drill))
        try:
            await _followed(client, options, answer.data["run"])
        finally:
            operator.cancel()
        days.append((await command(client, "report")).data["weekday"])
    flatten = await _flattened(client)
    return {
        "weekend": weekend,
        "days": days,
        "flatten": f"{flatten.state}: {flatten.step}",
        "pnl_of_days": [_pnl(day) for day in days],
        "equity": (await command(client, "report")).data["account"]["equity"],
        "home": str(options.home.folder),
    }


def _pnl(report: dict[str, Any]) -> str:
    managed = [s for s in report["stages"] if s["stage"] == "tsh_trade_management"]
    return str(managed[0]["counts"]["pnl"]) if managed and managed[0]["counts"] else "0.00"


async def _followed(client: EngineClient, options: Options, run: str) -> None:
    ended = await Follower(client, as_json=options.as_json).until(run)
    if ended["outcome"] == "failed":
        raise OperatorError(str(ended["summary"]))


async def _flattened(client: EngineClient) -> FlattenView:
    """The end of the drill: the positions are gone before the broker has said "flat" twice."""
    async with asyncio.timeout(FLATTEN_TIMEOUT_S):
        async for _ in client.updates():
            if client.state.flatten.state != "running":
                break
    return client.state.flatten


async def _operator(client: EngineClient, *, drill: bool) -> None:
    """Approves what waits; on the drill day flattens once the entries have settled."""
    approved = False
    first_fill: float | None = None
    while True:
        await asyncio.sleep(0.2)
        shortlist = client.state.shortlist
        if not approved and shortlist.state == "pending":
            await command(client, "approve", {"session": str(shortlist.session), "list_hash": shortlist.list_hash})
            approved = True
        if not drill or not approved:
            continue
        rows = client.state.positions.rows
        if first_fill is None and any(row.state in ("WATCH", "ARMED") for row in rows):
            first_fill = time.monotonic()
        entering = any(row.state == "ENTERING" for row in rows)
        if first_fill is not None and not entering and time.monotonic() - first_fill > DRILL_AFTER_S:
            await command(client, "flatten")
            return
