"""Keys never reach a log, an exception, the journal, an export or a view.

One whole week is driven with keys that cannot be mistaken, against a broker and a model
that now and then repeat the keys in their errors; then everything that was written or said
is searched for them: whole, encoded, and their first and last eight characters.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from aiohttp import web
from websockets.asyncio.client import unix_connect
from websockets.exceptions import WebSocketException

from engine.control import PROTOCOL_VERSION
from engine.home import Home
from engine.redaction import forms_of
from engine.simulator import Simulator, start
from engine.venue import known_simulator
from tests.unit.chat_server import Body, chat_server, completion, good

from .conftest import PROJECT, Tshc

pytestmark = pytest.mark.slow

KEY = "PKQZ7X0DISTINCTIVE31"
SECRET = "zQ9+wV/Tn3=sEcReT~of_the-drill8"
MODEL_KEY = "sk-proj-uN1qu3+M0del/Key=ofTheDrill"
SECRETS = (KEY, SECRET, MODEL_KEY)
WORKERS = ("engine.training.worker", "engine.decision.search_worker")


@dataclass
class Said:
    """Everything that left the program, by where it was found."""

    texts: dict[str, bytes] = field(default_factory=dict)

    def note(self, where: str, done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
        number = len(self.texts)
        self.texts[f"{number} {where}: standard output"] = done.stdout.encode()
        self.texts[f"{number} {where}: standard error"] = done.stderr.encode()
        return done

    def read(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_socket():
                self.texts[str(path.relative_to(folder.parent))] = path.read_bytes()

    def leaks(self, *secrets: str) -> list[str]:
        return [
            f"{where}: {form[:3]}... ({len(form)} characters)"
            for secret in secrets
            for form in forms_of(secret)
            for where, text in self.texts.items()
            if form.encode() in text
        ]


class CarelessModel:
    """Answers well, but first repeats the key it was sent: in an error, in a malformed body, in an answer."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, body: Body) -> web.Response:
        self.asked += 1
        match self.asked:
            case 1:
                return web.json_response({"error": {"message": f"wrong key {MODEL_KEY}"}}, status=401)
            case 2:
                return web.Response(text=f"<html>{MODEL_KEY}</html>", content_type="application/json")
            case 3:
                return web.json_response(completion(f"your key is {MODEL_KEY}"))
            case 4:
                return web.json_response(completion(None, refusal=f"not with {MODEL_KEY}"))
        return good(body)


@contextlib.contextmanager
def model_server() -> Iterator[str]:
    """The address of a careless model, served by a thread of its own."""
    loop, ready, address = asyncio.new_event_loop(), threading.Event(), []
    over = asyncio.Event()

    async def serve() -> None:
        async with chat_server(CarelessModel()) as server:
            address.append(server.url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield address[0]
    loop.call_soon_threadsafe(over.set)
    thread.join(60)


class Recorder(threading.Thread):
    """A console that keeps every frame the engine of ``home`` sends, over restarts."""

    def __init__(self, home: Home) -> None:
        super().__init__(daemon=True)
        self.frames: list[bytes] = []
        self.over = False
        self._home = home

    def run(self) -> None:
        asyncio.run(self._record())

    async def _record(self) -> None:
        hello = json.dumps({"hello": {"version": PROTOCOL_VERSION, "read_only": True, "client": "recorder"}})
        while not self.over:
            with contextlib.suppress(OSError, WebSocketException):
                async with unix_connect(str(self._home.socket_path()), max_size=64 << 20) as engine:
                    await engine.send(hello)
                    while not self.over:
                        with contextlib.suppress(TimeoutError):
                            frame = await asyncio.wait_for(engine.recv(), 0.5)
                            self.frames.append(frame.encode() if isinstance(frame, str) else frame)
            await asyncio.sleep(0.1)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def addresses(sim: Simulator) -> dict[str, str]:
    return {
        "broker.trading_url": sim.rest_url,
        "broker.trade_stream_url": sim.trade_stream_url,
        "broker.price_stream_url": sim.price_stream_url,
    }


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, Tshc]:
    folder = tmp_path_factory.mktemp("keys")
    said, home = Said(), Home(folder / "home")
    with (
        start(
            date=date(2026, 11, 25), symbols=2400, key=KEY, secret=SECRET, folder=folder / "venue",
            trading_limit=3000,
        ) as sim,
        model_server() as model,
    ):  # fmt: skip
        tshc = Tshc(
            home,
            overrides={
                **addresses(sim),
                "search.permutations": "0",
                "qual.provider": "openai",
                "qual.model": "drill",
                "qual.base_url": model,
                "qual.concurrency": "1",
            },
            environ={"APCA_API_KEY_ID": KEY, "APCA_API_SECRET_KEY": SECRET, "OPENAI_API_KEY": MODEL_KEY},
        )
        recorder = Recorder(home)
        recorder.start()
        try:
            _failures(tshc, sim, said)
            _week(tshc, sim, said)
            _afterwards(tshc, sim, said)
        finally:
            tshc.stop()
            recorder.over = True
            recorder.join(60)
    said.texts["frames of the control channel"] = b"\n".join(recorder.frames)
    said.read(home.folder)
    said.read(folder / "venue")
    return said, tshc


def _failures(tshc: Tshc, sim: Simulator, said: Said) -> None:
    """Starts that fail: a gateway that repeats the keys, nobody there; workers that are given nonsense."""
    sim.fault("echo", path="/v2/account", status=422)
    done = said.note("engine start at an echo", tshc.run("engine", "start"))
    assert done.returncode == 1, done.stderr
    assert "you sent" in done.stderr
    assert "Traceback" not in done.stderr
    nowhere = Tshc(tshc.home, {**tshc.overrides, "broker.trading_url": f"http://127.0.0.1:{closed_port()}"})
    nowhere.environ = tshc.environ
    assert said.note("nobody there", nowhere.run("weekend", "--json")).returncode == 1
    for module in WORKERS:
        done = subprocess.run(
            [sys.executable, "-m", module], input='{"nonsense": true}\n', cwd=PROJECT, capture_output=True,
            text=True, env={**os.environ, **tshc.environ}, timeout=240, check=False,
        )  # fmt: skip
        assert said.note(f"{module} given nonsense", done).returncode != 0


def _week(tshc: Tshc, sim: Simulator, said: Said) -> None:
    """The demo's week: weekend, a day to its exits, a day that is flattened; orders refused by an echo."""
    sim.fault("echo", method="POST", path="/v2/orders", status=422, times=2)
    sim.fault("echo", method="GET", path="/v2/positions", status=200, times=2)
    sim.fault("echo", method="GET", path="/v2/orders:by_client_order_id", status=401)
    done = tshc.run(
        "demo", "--headless", "--json", "--cycles", "1", "--search-tests", "5000", "--search-budget", "20s",
        "--home", str(tshc.home.folder), timeout_s=400,
    )  # fmt: skip
    assert said.note("demo", done).returncode == 0, done.stderr + tshc.log()


def _afterwards(tshc: Tshc, sim: Simulator, said: Said) -> None:
    for arguments in (
        ["doctor", "--json"], ["engine", "logs", "-n", "100000"], ["export", "events"],
    ):  # fmt: skip
        said.note(" ".join(arguments), tshc.run(*arguments))
    symbols = tshc.rows(tshc.home.journal, "SELECT symbol FROM intents LIMIT 1")
    said.note("explain", tshc.run("explain", str(symbols[0][0]), "--json"))
    sim.fault("echo", path="/v2/positions", status=422, times=2)
    said.note("flatten without an engine", tshc.run("flatten", "--yes"))


def test_no_key_is_in_anything_that_a_week_with_failures_wrote(drill: tuple[Said, Tshc]) -> None:
    said, _ = drill
    assert said.leaks(*SECRETS) == []


def test_the_search_looked_everywhere_and_would_have_found_one(drill: tuple[Said, Tshc]) -> None:
    said, tshc = drill
    places = " ".join(said.texts)
    for place in ("journal.db", "stocks_data.db", "engine.log", "engine.err", "simulator.log", "export events"):
        assert place in places
    assert len(said.texts["frames of the control channel"]) > 100_000
    assert b"you sent" in b"".join(said.texts.values())  # the echo was journalled, without what it repeated
    assert tshc.rows(tshc.home.journal, "SELECT count(*) FROM qual_decisions")[0][0] > 0
    said.texts["planted"] = SECRET.encode()
    assert said.leaks(SECRET) != []
    del said.texts["planted"]


def test_the_embedded_markets_own_keys_stand_in_its_record_alone(tmp_path: Path) -> None:
    """They open nothing but a market on this machine; the record is what a restarted engine needs."""
    tshc = Tshc(Home(tmp_path / "home"), overrides={"sim.symbols": "60", "sim.date": "2026-11-25"})
    said = Said()
    try:
        assert said.note("engine start", tshc.run("engine", "start")).returncode == 0
        known = known_simulator(tshc.home)
        assert known is not None
        said.note("weekend", tshc.run("weekend", "--json"))
        said.read(tshc.home.folder)
    finally:
        tshc.stop()
    record = "home/simulator.json"
    assert (tshc.home.folder / "simulator.json").exists() or record in said.texts
    where = {leak.split(":")[0] for leak in said.leaks(known[1].key, known[1].secret)}
    assert where == {record}
