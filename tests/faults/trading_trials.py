"""Kills of the process that trades, and of the exchange under it, at seeded moments of a trading day.

A day enters four names, sells some by hand and flattens. Each kill falls at a random moment
of one of these (or of the start after the kill before), and is one trial: the engine that
comes back, or that has lived through the outage, must agree with the venue to the share and
the cent. Run by ``kill_trials``.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.home import Home
from engine.journal import JournalDb
from engine.orders_model import Approval
from engine.simulator import Simulator, start, start_process

from .audit import differences

MARKET_DATE, SESSION = date(2026, 11, 20), date(2026, 11, 23)
LIST_HASH = "a" * 64
KILLS_A_DAY = 6
WITHIN_S = 2.5  # wall seconds after a command in which the kill falls
OUTAGE_S = 1.5  # wall seconds that the exchange stays away, at most (and the seconds of its start)
RECOVERED_S = 60.0
ROOT = Path(__file__).parents[2]


@dataclass
class Day:
    """What one day of trials came to."""

    kills: Counter[str] = field(default_factory=Counter)  # by what was under way
    wrong: list[str] = field(default_factory=list)


class Engine:
    """One life of the trading engine."""

    def __init__(self, home: Home, asked: dict[str, Any], log: Path) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.trading_engine", str(home.folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT, text=True,
            )  # fmt: skip
        self.say(asked)

    def say(self, content: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the engine died by itself ({self._process.wait(60)})")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        self.say({"do": what, **more})
        return self.answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def pid(self) -> int:
        return self._process.pid


def names_of(sim: Simulator) -> tuple[list[str], dict[str, float]]:
    """Four liquid names and all last closes."""
    symbols = ",".join(a["symbol"] for a in sim.request("GET", "/v2/assets?status=active") if a["tradable"])
    query = f"symbols={symbols}&timeframe=1Day&start={MARKET_DATE}&end={MARKET_DATE}&limit=10000"
    bars = sim.request("GET", f"/v2/stocks/bars?{query}")["bars"]
    found = sorted(
        ((-row["v"] * row["c"], symbol, row["c"]) for symbol, (row, *_) in bars.items() if 5 < row["c"] < 200)
    )
    return [symbol for _, symbol, _ in found[:4]], {symbol: close for _, symbol, close in found}


async def approve(home: Home, account: str, names: list[str]) -> None:
    journal = await JournalDb.open(home.journal)
    approval = Approval(SESSION, LIST_HASH, account, "sim", "approved", "trial", tuple(names), datetime.now(UTC))
    await journal.record_approval(approval)
    await journal.close()


async def audit(home: Home, sim: Simulator, held: dict[str, int]) -> list[str]:
    journal = await JournalDb.open(home.journal)
    try:
        return await differences(journal, SESSION, sim.state(), sim.log(), managed=held, home8=home.id8)
    finally:
        await journal.close()


def begin(home: Home, sim: Simulator) -> dict[str, Any]:
    """The market ten seconds before the open, the approval written; what an engine is told at its start."""
    home.create()
    names, closes = names_of(sim)
    (session,) = sim.request("GET", f"/v2/calendar?start={SESSION}&end={SESSION}")
    opens, closes_at = (datetime.fromisoformat(f"{SESSION}T{session[k]}:00-05:00") for k in ("open", "close"))
    asyncio.run(approve(home, sim.request("GET", "/v2/account")["account_number"], names))
    sim.clock(jump_to=opens - timedelta(seconds=5), rate=5)
    return {
        "rest_url": sim.rest_url, "trade_stream_url": sim.trade_stream_url,
        "price_stream_url": sim.price_stream_url, "key": sim.key, "secret": sim.secret,
        "open": opens.isoformat(), "close": closes_at.isoformat(), "names": names,
        "closes": closes, "list_hash": LIST_HASH,
    }  # fmt: skip


def recovered(engine: Engine, home: Home, sim: Simulator) -> list[str]:
    """Waits until the living engine agrees with the venue in everything; what never agreed."""
    deadline, found = time.monotonic() + RECOVERED_S, ["never asked"]
    while time.monotonic() < deadline:
        status = engine.ask("status")
        found = [f"{name}: {status[name]}" for name in ("bare", "leaving", "doubts") if status[name]]
        found += [] if status["clean"] and not status["busy"] else ["not clean, or busy"]
        found += [] if found else asyncio.run(audit(home, sim, status["held"]))
        if not found:
            return []
        time.sleep(0.2)
    return found


def day(folder: Path, seed: int, kills: int = KILLS_A_DAY) -> Day:
    """One day with ``kills`` kills of the engine; every third day the simulator dies for good at the end."""
    dice, result = random.Random(seed), Day()
    home = Home(folder / "home")
    with start(date=MARKET_DATE, seed=7, symbols=60, folder=folder / "sim", trading_limit=100_000,
               partial_fills=0.3) as sim:  # fmt: skip
        asked = begin(home, sim)
        engine = Engine(home, asked, folder / "engine.log")
        try:
            for number in range(kills):
                doing = _next(dice, number, kills, sim)
                # The first lives are killed within the entries; one in four during the start itself.
                if dice.random() < 0.25 and number:
                    time.sleep(dice.random() * WITHIN_S)
                    doing = "starting"
                else:
                    engine.answer()
                    symbols = sorted(engine.ask("status")["held"])
                    if doing == "exit" and symbols:
                        engine.ask("exit", symbol=dice.choice(symbols))
                    else:
                        doing = "enter" if doing == "exit" else doing
                        engine.ask(doing)
                    time.sleep(moment(dice, doing))
                engine.kill()
                result.kills[doing] += 1
                engine = Engine(home, asked, folder / "engine.log")
                if dice.random() < 0.7:  # else the next kill may fall into this recovery
                    engine.answer()
                    result.wrong += [
                        f"seed {seed}, kill {number + 1} ({doing}): {w}" for w in recovered(engine, home, sim)
                    ]
                    engine.kill()
                    engine = Engine(home, asked, folder / "engine.log")
            engine.answer()
            if seed % 3 == 0:
                result.wrong += _venue_dies(engine, sim, dice, seed)
                result.kills["the venue, for good"] += 1
            else:
                engine.ask("flatten")
                last = recovered(engine, home, sim)
                state = engine.ask("status")
                if state["flatten"] != "flat" or sim.state()["positions"] or sim.state()["busy"]:
                    last.append(f"the day did not end flat: {state}")
                result.wrong += [f"seed {seed}, end: {w}" for w in last]
        finally:
            engine.kill()
    return result


def moment(dice: random.Random, doing: str) -> float:
    """Wall seconds after a command at which the kill falls: sales are over in a tenth, so they are hit early."""
    return WITHIN_S * (dice.random() ** 3 if doing in ("exit", "flatten") else dice.random())


def _next(dice: random.Random, number: int, kills: int, sim: Simulator) -> str:
    if number < kills // 2:
        return "enter"
    return "flatten" if number == kills - 1 else dice.choice(["exit", "exit", "enter"])


def _venue_dies(engine: Engine, sim: Simulator, dice: random.Random, seed: int) -> list[str]:
    """The exchange is gone for good in the middle of a flatten: the engine lives and calls nothing flat."""
    held = engine.ask("status")["held"]
    engine.ask("flatten")
    time.sleep(dice.random() * 0.2)
    before = sim.state()
    sim._process.kill()
    time.sleep(4.0)
    state = engine.ask("status")
    was_flat = not before["positions"] and not before["busy"]
    if state["flatten"] == "flat" and held and not was_flat:
        return [f"seed {seed}: called flat after the exchange was gone: {state}"]
    if not state["latched"]:
        return [f"seed {seed}: entries are not latched after a flatten: {state}"]
    return []


def simulator_day(folder: Path, seed: int, kills: int = KILLS_A_DAY) -> Day:
    """One day with ``kills`` kills of the exchange: it comes back with its books, to the same engine."""
    dice, result = random.Random(seed), Day()
    home = Home(folder / "home")
    choices: dict[str, Any] = {
        "date": MARKET_DATE, "seed": 7, "symbols": 60, "folder": folder / "sim", "trading_limit": 100_000,
        "partial_fills": 0.3,
    }  # fmt: skip
    sim = start_process(**choices)
    engine: Engine | None = None
    try:
        asked = begin(home, sim)
        engine = Engine(home, asked, folder / "engine.log")
        engine.answer()
        choices |= {"key": sim.key, "secret": sim.secret, "port": int(sim.rest_url.rpartition(":")[2])}
        for number in range(kills):
            doing = _next(dice, number, kills, sim)
            symbols = sorted(engine.ask("status")["held"])
            if doing == "exit" and symbols:
                engine.ask("exit", symbol=dice.choice(symbols))
            else:
                doing = "enter" if doing == "exit" else doing
                engine.ask(doing)
            time.sleep(moment(dice, doing))
            before = engine.ask("status")
            sim._process.kill()
            sim._process.wait(60)
            result.kills[doing] += 1
            time.sleep(dice.random() * OUTAGE_S)
            away = engine.ask("status")
            sim = start_process(**choices, resume=True)
            books = {p["symbol"] for p in sim.state()["positions"]}
            result.wrong += [f"seed {seed}, kill {number + 1}, away: {w}" for w in _away(before, away, books)]
            result.wrong += [
                f"seed {seed}, kill {number + 1} ({doing}): {w}" for w in recovered(engine, home, sim)
            ]
        engine.ask("flatten")
        last = recovered(engine, home, sim)
        state = engine.ask("status")
        if state["flatten"] != "flat" or sim.state()["positions"] or sim.state()["busy"]:
            last.append(f"the day did not end flat: {state}")
        result.wrong += [f"seed {seed}, end: {w}" for w in last]
    finally:
        if engine is not None:
            engine.kill()
        sim.stop()
    return result


def _away(before: dict[str, Any], now: dict[str, Any], books: set[str]) -> list[str]:
    """While the exchange is away nothing may be called sold or flat that is not.

    ``books``: what the exchange holds when it is back; it may have sold between our look and its death.
    """
    found = []
    forgotten = {symbol for symbol in before["held"] if symbol not in now["held"]} & books
    if forgotten and before["flatten"] != "flat":
        found.append(f"positions forgotten: {sorted(forgotten)} of {before['held']}")
    if now["flatten"] == "flat" != before["flatten"] and before["held"] and books:
        found.append(f"called flat: {now}")
    return found
