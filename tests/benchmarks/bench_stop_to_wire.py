"""How fast an exit leaves the machine: from a price to the stop's cancel, from its end to the sell order.

Run by hand: ``python tests/benchmarks/bench_stop_to_wire.py`` (about 2.5 minutes; ``--help``). This process
is the engine, whole (``engine.daemon.Engine``: journal, streams, views, control channel), at normal
priority. Its venue is a child that speaks the simulator's wire and floods 5,000 trade prints a second
over 8 symbols, one frame each (``flood_venue``). Measured first alone, then with a training worker and a
search worker (real ones, niced as the engine starts them) that keep every core busy.

Eight positions at a time; each is bought, gets its stop, is exited by one print at its target, and so on:

    A  the print lies in our socket's buffer  ->  the DELETE of the resting stop has been written
    B  the update "canceled" lies in our socket's buffer  ->  the POST of the sell order has been written

Both moments are the kernel's own time stamps of the two sends (``wire_stamp``; a loopback write puts the
bytes into the reader's buffer): everything of ours is in between, also the time in which the engine did
not get a core.
In B the intent is committed to the journal (synchronous FULL); what that costs depends on the disk and
is shown by itself. Targets: p99 of A, and of B without that commit, at most 5 ms under load; the age of
prints does not grow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any
from weakref import WeakSet

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.append(str(Path(__file__).parents[1] / "unit"))
from discovery_week import SPACES, store
from wire_stamp import newest, switch

from engine.brackets import Bracket
from engine.config import load_settings
from engine.daemon import Engine
from engine.decision import search_request
from engine.decision.search_request import SearchProgress, SearchRequest
from engine.execution.desk import ExecutionDesk
from engine.home import Home
from engine.model import ExitModel
from engine.reactions import stay_quick
from engine.settings import Settings
from engine.storage.stocks_data_db import StocksDataDb
from engine.training.launch import TrainingProcess, TrainingRequest
from engine.view_board import ViewBoard
from engine.views import TrainingView
from engine.worker_pipe import WorkerClient
from engine.worker_priority import WorkerPriority

ROOT = Path(__file__).parents[2]
MARKET_DATE = date(2026, 11, 20)
SYMBOLS, RATE = 8, 5000
TARGET_MS = 5.0
NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)  # only the benchmark's own prints reach these levels
SHARES = 10
AGE_EVERY = 25  # of so many prints one is asked for its age
HELD_S = 2.0  # on average: three exits a second in all, or those under way would measure each other
WORKERS = ("training.worker", "search_worker")
KEYS = ("SIMBENCH", "bench-secret")

Laps = dict[str, float]


class FloodVenue:
    """The child: addresses, commands, and what it says."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.flood_venue"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        request = {
            "market": "synthetic", "date": MARKET_DATE.isoformat(), "seed": 7, "symbols": 60, "cash": "1000000",
            "speed": 1.0, "folder": str(folder), "key": KEYS[0], "secret": KEYS[1], "port": 0,
            "trading_limit": 1_000_000, "data_limit": 1_000_000, "partial_fills": 0.0, "linger_s": 0.0,
        }  # fmt: skip
        folder.mkdir(parents=True)
        self.tell(request)
        self.about = self._line()
        self.pid = self._process.pid
        self.heard: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the venue ended ({self._process.wait()})")
        content: dict[str, Any] = json.loads(line)
        return content

    def _read(self) -> None:
        with suppress(RuntimeError):
            while True:
                self.heard.append(self._line())

    async def report(self) -> dict[str, float]:
        """What the flood has sent so far, and how it went."""
        known = len(self._reports())
        self.tell({"report": 1})
        await _until(lambda: len(self._reports()) > known)
        return self._reports()[-1]

    def _reports(self) -> list[dict[str, float]]:
        return [line["report"] for line in self.heard if "report" in line]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


class Stopwatch:
    """Moments on the way of each exit, written by small wrappers around the engine's own functions."""

    def __init__(self, desk: ExecutionDesk) -> None:
        self.laps: dict[str, Laps] = {}  # of the exit under way, by symbol
        self.ages: list[tuple[float, float]] = []  # (when, seconds that a print had waited)
        self.queued = 0  # frames read from the socket and not yet handled
        self._desk, self._symbol_of = desk, {}  # type: ExecutionDesk, dict[str, str]
        self._prints = 0
        self._wrap()

    def mark(self, symbol: str, what: str) -> None:
        laps = self.laps.get(symbol)
        if laps is not None:
            laps.setdefault(what, time.monotonic())

    def _wrap(self) -> None:
        desk, watch = self._desk, self
        rest, journal, lane = desk._rest, desk.desk._journal, desk._rest._lane
        receive, start_exit, on_update = desk.prices._receive, desk._watch.start_exit, desk.trades._on_update
        cancel, record, submit = rest.cancel, journal.record_intent, rest.submit
        switched: WeakSet[socket.socket] = WeakSet()  # those whose sends the kernel stamps
        lane_send, send, sendmsg = lane.send, socket.socket.send, socket.socket.sendmsg

        async def received(message: Any) -> None:
            watch._prints += 1
            if watch._prints % AGE_EVERY == 0:
                watch._look(message)
            await receive(message)

        def exit_started(symbol: str, reason: Any) -> None:
            watch.mark(symbol, "decided")
            start_exit(symbol, reason)

        async def updated(update: Any) -> None:
            if update.event == "canceled":
                watch.mark(update.order.symbol, "end heard")
            await on_update(update)

        async def cancelled(order_id: str) -> bool:
            symbol = next((o.intent.symbol for o in desk.desk._alive.values()
                           if o.state is not None and o.state.order_id == order_id), "")  # fmt: skip
            watch._symbol_of[order_id] = symbol
            watch.mark(symbol, "cancel asked")
            return await cancel(order_id)

        async def recorded(intent: Any) -> None:
            sells = intent.leg == "exit"
            if sells:
                watch.mark(intent.symbol, "intent asked")
            await record(intent)
            if sells:
                watch.mark(intent.symbol, "intent kept")

        async def submitted(order: Any, **more: Any) -> Any:
            return await submit(order, **more)

        async def sending(method: str, path: str, body: Any = None, *more: Any) -> Any:
            if method == "DELETE":
                watch.mark(watch._symbol_of.get(path.removeprefix("/orders/"), ""), "cancel in the lane")
            elif isinstance(body, dict) and "-exit-" in str(body.get("client_order_id")):
                watch.mark(body["symbol"], "sell in the lane")
            return await lane_send(method, path, body, *more)

        def stamped(self: socket.socket, data: bytes, write: Callable[[], int]) -> int:
            cancels = data.startswith(b"DELETE /v2/orders/")
            if not cancels and b"-exit-" not in data:
                count = write()
                if self in switched:
                    newest(self)
                return count
            if self not in switched:
                # Once and for good: each call of the system gives the interpreter away, before the send too.
                switched.add(self)
                switch(self, on=True)
            count = write()
            at = newest(self) or time.monotonic()
            if cancels:
                symbol, what = watch._symbol_of.get(data[18:54].decode(), ""), "cancel on the wire"
            else:
                found = re.search(rb"tsh-\w+-\d+-([A-Z.]+)-exit-", data)
                symbol, what = found[1].decode() if found else "", "sell on the wire"
            if symbol in watch.laps:
                watch.laps[symbol].setdefault(what, at)
            return count

        def sent(self: socket.socket, data: Any, *flags: int) -> int:
            return stamped(self, bytes(data), lambda: send(self, data, *flags))

        def sent_parts(self: socket.socket, parts: Any, *more: Any) -> int:
            parts = list(parts)
            return stamped(self, b"".join(parts), lambda: sendmsg(self, parts, *more))

        vars(desk.prices)["_receive"], vars(desk._watch)["start_exit"] = received, exit_started
        vars(desk.trades)["_on_update"] = updated
        vars(rest).update(cancel=cancelled, submit=submitted)
        vars(journal)["record_intent"] = recorded
        vars(lane)["send"] = sending
        socket.socket.send = sent  # type: ignore[method-assign, assignment]
        socket.socket.sendmsg = sent_parts  # type: ignore[method-assign, assignment]

    def _look(self, message: Any) -> None:
        found = re.search(r'"i":(\d+)', message if isinstance(message, str) else message.decode())
        now = time.monotonic()
        if found is not None:
            self.ages.append((now, now - int(found[1]) / 1e9))
        link = self._desk.prices._socket
        if link is not None:
            self.queued = max(self.queued, len(link.recv_messages.frames))


async def exits(desk: ExecutionDesk, venue: FloodVenue, watch: Stopwatch, symbol: str, price: float, end: float,
                done: list[Laps]) -> None:  # fmt: skip
    """Buys, waits for the stop, lets one print reach the target, waits until sold; again until ``end``."""
    dice = random.Random(symbol)
    session = desk.session()
    assert session is not None
    while time.monotonic() < end:
        await desk.desk.send(session.day, symbol, "buy", SHARES, "market", None, leg="entry", why="benchmark")
        await _until(lambda: desk._stops.resting(symbol) is not None)
        await asyncio.sleep(dice.uniform(0.5, 1.5) * HELD_S)
        laps = watch.laps[symbol] = {}
        already = len(venue.heard)
        venue.tell({"trigger": symbol, "price": f"{price * 1.7:.2f}"})
        await _until(lambda: desk.book.shares(symbol) == 0 and not desk._exits.running(symbol))
        del watch.laps[symbol]
        for line in venue.heard[already:]:
            if line.get("triggered") == symbol:
                laps["print sent"] = line["at"]
            elif "canceled" in line and line["symbol"] == symbol:
                laps["end sent"] = line["at"]
        done.append(laps)
        await asyncio.sleep(dice.uniform(0.1, 0.5))


async def _until(holds: Any) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - anything may be waited for
            await asyncio.sleep(0.005)


WAYS = (
    ("A  print -> cancel on the wire", "print sent", "cancel on the wire"),
    ("     read, parsed, decided", "print sent", "decided"),
    ("     exit task asks for the cancel", "decided", "cancel asked"),
    ("     counted, in the order lane", "cancel asked", "cancel in the lane"),
    ("     HTTP, written", "cancel in the lane", "cancel on the wire"),
    ("B  end of the stop -> sell on the wire", "end sent", "sell on the wire"),
    ("     read, parsed", "end sent", "end heard"),
    ("     booked, exit task writes its intent", "end heard", "intent asked"),
    ("     journal (synchronous FULL)", "intent asked", "intent kept"),
    ("     last look, in the order lane", "intent kept", "sell in the lane"),
    ("     HTTP, written", "sell in the lane", "sell on the wire"),
)


def percentile(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def row(name: str, values: list[float], target_ms: float | None = None) -> bool:
    """Prints the percentiles of ``values`` (milliseconds); whether the p99 keeps the target."""
    values.sort()
    if not values:
        print(f"{name:44} never measured")
        return False
    shares = "  ".join(f"{percentile(values, share):6.2f}" for share in (0.5, 0.9, 0.99))
    kept = target_ms is None or percentile(values, 0.99) <= target_ms
    verdict = "" if target_ms is None else f"   p99 <= {target_ms:g}: {'kept' if kept else 'MISSED'}"
    print(f"{name:44}{shares}  {values[-1]:7.2f}{verdict}")
    return kept


def show(title: str, done: list[Laps]) -> bool:
    print(f"\n{title}, {len(done)} exits: ms".ljust(46) + "   p50     p90     p99      max")
    kept = True
    for name, first, last in WAYS:
        values = [(d[last] - d[first]) * 1000 for d in done if first in d and last in d]
        kept &= row(name, values, TARGET_MS if name.startswith("A") else None)
    without = [
        (d["sell on the wire"] - d["end sent"] - d["intent kept"] + d["intent asked"]) * 1000
        for d in done
        if {"sell on the wire", "end sent", "intent kept", "intent asked"} <= set(d)
    ]
    return kept & row("B  without the journal", without, TARGET_MS)


def show_prints(watch: Stopwatch, report: dict[str, float], began: float, rate: int) -> None:
    """Does a queue grow? How old prints were when they were handled, by thirds of the measurement."""
    length = time.monotonic() - began
    thirds: dict[int, list[float]] = defaultdict(list)
    for when, age in watch.ages:
        thirds[min(2, max(0, int(3 * (when - began) / length)))].append(age * 1000)
    ages = [sorted(thirds[k]) for k in sorted(thirds)]
    by_thirds = ", then ".join(f"{percentile(a, 0.5):.2f} / {percentile(a, 0.99):.2f} / {a[-1]:.1f}" for a in ages)
    print(
        f"prints {report['sent'] / length:,.0f} /s of {rate:,}; age when handled, p50 / p99 / max ms: {by_thirds}"
    )
    print(
        f"most frames queued in the engine {watch.queued:,}; most bytes that the venue could not hand over "
        f"{report['backlog_bytes']:,.0f}; the venue itself was late by {report['behind_s'] * 1000:.0f} ms at most"
    )


class Load:
    """Training and search on every core, as the engine starts them, until stopped."""

    def __init__(self, home: Home, settings: Settings, board: ViewBoard) -> None:
        self._home, self._settings, self._board = home, settings, board
        self._tasks: list[asyncio.Task[None]] = []
        self._training = TrainingProcess()
        self._searching: WorkerClient | None = None
        # As the engine has it beside positions; its own knows no workers here.
        self._priority = WorkerPriority(self._workers, lambda: True)
        self.told = {"training": 0, "search": 0}

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._train()), asyncio.create_task(self._search())]
        async with asyncio.timeout(180):
            while min(self.told.values()) < 4:  # both have compiled and compute
                await asyncio.sleep(0.2)
                for task in self._tasks:
                    if task.done():
                        task.result()
        self._priority.look()
        self._priority.start()

    def _workers(self) -> list[tuple[str, int]]:
        pids = (("training", self._training.pid), ("search", self._searching.pid if self._searching else None))
        return [(name, pid) for name, pid in pids if pid is not None]

    async def _train(self) -> None:
        request = TrainingRequest.of(self._home, self._settings).model_copy(update={"cycles": 1_000_000})

        def told(view: TrainingView) -> None:
            self._board.training = view
            self.told["training"] += view.cycle > 0

        await self._training.run(request, told)

    async def _search(self) -> None:
        stocks = await StocksDataDb.open(self._home.stocks_data, read_only=True)
        week = (await stocks.sessions())[-1]
        await stocks.close()
        chosen = self._settings.search.model_copy(
            update={"budget_s": 3600.0, "min_picks": 4, "max_size": 10, "threads": max(2, os.cpu_count() or 2)}
        )
        brackets = self._settings.execution.bracket_table()
        request = SearchRequest.of(
            self._home.stocks_data, week, SPACES, chosen, brackets, ExitModel.TARGET_OR_CLOSE, None
        )

        def told(message: dict[str, Any]) -> None:
            self._board.groups = SearchProgress.model_validate(message).view
            self.told["search"] += 1

        while True:  # a search that is proven begins again
            self._searching = WorkerClient(search_request.MODULE, name="search", remedy="")
            await self._searching.run(request.line(), told)

    async def stop(self) -> None:
        await self._priority.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def commit_ms(folder: Path, count: int = 200) -> str:
    """What one synchronous commit costs here: the floor under the journal's part."""
    import sqlite3

    connection = sqlite3.connect(folder / "probe.db", isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)")
    took = []
    for _ in range(count):
        began = time.perf_counter()
        connection.execute("INSERT INTO t VALUES (?)", ("x" * 200,))
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    took.sort()
    return f"{took[count // 2]:.2f} / {percentile(took, 0.99):.2f} / {took[-1]:.2f} ms (p50 / p99 / max)"


async def phase(title: str, desk: ExecutionDesk, venue: FloodVenue, watch: Stopwatch, prices: dict[str, float],
                rate: int, seconds: float) -> bool:  # fmt: skip
    flood = {"flood": {symbol: f"{price:.2f}" for symbol, price in prices.items()}, "rate": rate}
    await desk.prices.subscribe(list(prices))
    venue.tell(flood)
    await asyncio.sleep(2.0)
    watch.ages.clear()
    watch.queued = 0
    before = (await venue.report())["sent"]
    began, cpu = time.monotonic(), _processors()
    done: list[Laps] = []
    end = began + seconds
    await asyncio.gather(*(exits(desk, venue, watch, s, p, end, done) for s, p in prices.items()))
    report = await venue.report()
    report["sent"] -= before
    length = time.monotonic() - began
    good = show(title, done)
    show_prints(watch, report, began, rate)
    used = {name: (after - cpu.get(name, 0.0)) / length for name, after in _processors().items()}
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(used.items()) if share >= 0.01)
    print(f"processor: {shares}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    venue.tell({**flood, "rate": 0})
    return good


def _processors() -> dict[str, float]:
    """Processor seconds of this process and of its children, by what they are."""
    me = psutil.Process()
    used = {"engine": sum(me.cpu_times()[:2])}
    for child in me.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            name = _part(child)
            used[name] = used.get(name, 0.0) + sum(child.cpu_times()[:2])
    return used


def _part(child: psutil.Process) -> str:
    words = " ".join(child.cmdline())
    return next((n for n in ("flood_venue", *WORKERS) if n in words), "others")


async def measure(options: argparse.Namespace, folder: Path) -> bool:
    home = Home(folder / "home")
    home.create()
    print("preparing a week for training and search ...", flush=True)
    if not options.no_load:
        await store(home.stocks_data, each=options.variations)
    venue = await asyncio.to_thread(FloodVenue, folder / "venue")
    origin = venue.about["origin"]
    os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"] = KEYS
    bracket = ", ".join(f"{name} = {value}" for name, value in asdict(NEVER).items())
    home.settings.write_text(
        f'[broker]\nmode = "sim"\ntrading_url = "http://{origin}"\ntrade_stream_url = "ws://{origin}/stream"\n'
        f'price_stream_url = "ws://{origin}/v2/iex"\n[execution]\nbrackets = [{{{bracket}}}]\n',
        encoding="utf-8",
    )
    effective = load_settings(home, {})
    engine = Engine(home, effective)
    await engine.start(lambda step: None)
    stay_quick()  # as the daemon does once it is ready
    load = Load(home, effective.settings, engine.board)
    good = True
    try:
        desk = engine.desk
        watch = Stopwatch(desk)
        prices = await _names(desk)
        print(f"a commit of this disk, synchronous FULL: {commit_ms(folder)}")
        await phase(
            f"{RATE:,} prints a second, nothing else", desk, venue, watch, prices, options.rate, options.alone
        )
        if not options.no_load:
            await load.start()
            title = "the same beside training and search"
            good = await phase(title, desk, venue, watch, prices, options.rate, options.seconds)
    finally:
        await load.stop()
        await engine.stop()
        venue.close()
    return good


async def _names(desk: ExecutionDesk) -> dict[str, float]:
    symbols = [a.symbol for a in await desk._rest.assets() if a.tradable]
    ticks = await desk._rest.latest_trades(symbols)
    rows = await desk._rest.daily_bars(symbols, MARKET_DATE, MARKET_DATE, "sip")
    liquid = sorted(
        (b for b in rows if 5 < b.close < 200 and b.symbol in ticks), key=lambda b: -b.volume * b.close
    )
    return {b.symbol: float(ticks[b.symbol].price) for b in liquid[:SYMBOLS]}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=75.0, help="of the loaded measurement")
    options.add_argument("--alone", type=float, default=20.0, help="seconds of the measurement without load")
    options.add_argument("--rate", type=int, default=RATE, help="prints a second")
    options.add_argument("--variations", type=int, default=200, help="of each algorithm in the search")
    options.add_argument("--no-load", action="store_true", help="without training and search")
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        return 0 if asyncio.run(measure(options.parse_args(), Path(folder))) else 1


if __name__ == "__main__":
    raise SystemExit(main())
