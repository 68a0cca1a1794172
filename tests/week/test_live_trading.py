"""Real money needs the setting, the typed word, and keys and an account that are live: without one of them, no.

The venue is the simulator, with the account numbers of a paper and of a live account.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from app.engine_process import engine_runs
from engine.simulator import Simulator, start

from .conftest import PROJECT, Tshc
from .test_bad_input import assert_told

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="the typed word needs a pseudo-terminal"),
]

SECRET = "a-secret-of-the-live-tests"
LIVE_KEY, PAPER_KEY, OTHER_KEY = "AKLIVEKEY000000001", "PKPAPERKEY00000001", "CKNEITHER000000001"


def venue(folder: Path, account: str, key: str) -> Iterator[Simulator]:
    with start(
        date=date(2026, 11, 20), symbols=60, folder=folder, account=account, key=key, secret=SECRET
    ) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from venue(tmp_path_factory.mktemp("live"), "live", LIVE_KEY)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from venue(tmp_path_factory.mktemp("paper"), "paper", OTHER_KEY)


def settings(tshc: Tshc, sim: Simulator, mode: str, key: str) -> None:
    tshc.overrides = {
        "broker.mode": mode,
        "broker.trading_url": sim.rest_url,
        "broker.data_url": sim.rest_url,
        "broker.trade_stream_url": sim.trade_stream_url,
        "broker.price_stream_url": sim.price_stream_url,
    }
    tshc.environ = {"APCA_API_KEY_ID": key, "APCA_API_SECRET_KEY": SECRET}


def typed(tshc: Tshc, word: str, *arguments: str, timeout_s: float = 120) -> tuple[int, str]:
    """(exit code, everything shown) of a command at a terminal where ``word`` is typed when it asks."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        tshc.command(*arguments), cwd=PROJECT, env={**os.environ, **tshc.environ}, stdin=slave, stdout=slave,
        stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown, said, deadline = b"", False, time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            part = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
        if not said and b"type LIVE to go:" in shown:
            os.write(master, f"{word}\n".encode())
            said = True
    os.close(master)
    return process.wait(60), shown.decode(errors="replace")


def daemon(tshc: Tshc, *flags: str) -> subprocess.CompletedProcess[str]:
    """The engine itself, as if the word had been typed."""
    pairs = [part for key, value in tshc.overrides.items() for part in ("--set", f"{key}={value}")]
    return subprocess.run(
        [sys.executable, "-m", "engine.daemon", "--home", str(tshc.home.folder), *pairs, *flags], cwd=PROJECT,
        env={**os.environ, **tshc.environ}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def orders(sim: Simulator) -> list[object]:
    return list(sim.state()["orders"])


def test_the_setting_and_the_typed_word_start_a_live_engine(tshc: Tshc, live: Simulator) -> None:
    settings(tshc, live, "live", LIVE_KEY)
    code, shown = typed(tshc, "LIVE", "engine", "start")
    assert (code, "REAL MONEY" in shown) == (0, True), shown
    status = tshc.json("status")
    assert status["mode"] == "live"
    assert LIVE_KEY[2:] not in shown


@pytest.mark.parametrize("word", ["live", "yes", ""])
def test_another_word_starts_nothing(tshc: Tshc, live: Simulator, word: str) -> None:
    settings(tshc, live, "live", LIVE_KEY)
    code, shown = typed(tshc, word, "engine", "start")
    assert (code, "not confirmed" in shown) == (3, True), shown
    assert not engine_runs(tshc.home)


def test_the_word_alone_without_the_setting_is_never_asked_for(tshc: Tshc, paper: Simulator) -> None:
    settings(tshc, paper, "paper", OTHER_KEY)
    code, shown = typed(tshc, "LIVE", "engine", "start")
    assert code == 0, shown
    assert "type LIVE" not in shown
    assert tshc.json("status")["mode"] == "paper"


def test_a_paper_key_with_the_live_setting_is_refused_before_anything_is_sent(tshc: Tshc, live: Simulator) -> None:
    settings(tshc, live, "live", PAPER_KEY)
    asked = sum(line["count"] for line in live.request("GET", "/sim/requests"))
    code, shown = typed(tshc, "LIVE", "engine", "start")
    assert code == 3, shown
    assert "the key is one of the paper account" in shown
    assert "nothing was sent" in shown
    assert sum(line["count"] for line in live.request("GET", "/sim/requests")) == asked


def test_a_live_key_with_the_paper_setting_is_refused_before_anything_is_sent(
    tshc: Tshc, paper: Simulator
) -> None:
    settings(tshc, paper, "paper", LIVE_KEY)
    assert_told(tshc.run("weekend"), 3, "broker.mode is paper", "the key is one of the live account")


def test_a_paper_account_behind_the_live_setting_is_refused_by_its_number(tshc: Tshc, paper: Simulator) -> None:
    settings(tshc, paper, "live", OTHER_KEY)  # a key whose letters say nothing
    done = daemon(tshc, "--live-confirmed")
    assert done.returncode == 3
    assert "is a paper account: no order was sent" in done.stdout


def test_a_live_account_behind_the_paper_setting_is_refused_by_its_number(tshc: Tshc, live: Simulator) -> None:
    settings(tshc, live, "sim", LIVE_KEY)
    assert_told(tshc.run("weekend"), 3, "broker.mode is sim", "is a real-money account: no order was sent")
    assert orders(live) == []


def test_live_keys_that_the_live_account_does_not_know_are_told_with_the_mode(tshc: Tshc, live: Simulator) -> None:
    settings(tshc, live, "live", OTHER_KEY)
    done = daemon(tshc, "--live-confirmed")
    assert done.returncode == 1
    assert "keys of a paper account do not open it" in done.stdout


def test_the_doctor_says_whose_keys_these_are(tshc: Tshc, live: Simulator) -> None:
    settings(tshc, live, "live", PAPER_KEY)
    done = tshc.run("doctor")
    assert done.returncode == 1
    assert "the key is one of the paper account" in " ".join(done.stdout.split())


def test_flatten_goes_on_with_doubtful_keys_but_takes_nothing_foreign(tshc: Tshc, live: Simulator) -> None:
    settings(tshc, live, "live", PAPER_KEY)
    assert_told(tshc.run("flatten", "--yes", "--all"), 3, "the key is one of the paper account")
    done = tshc.run("flatten", "--yes")
    assert "going on all the same" in done.stderr
    assert "refused the keys (401)" in done.stderr
