"""Bad input, as the operator meets it: one sentence that says what to do, the right exit code, nothing lost."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.home import Home
from engine.simulator import Simulator, start
from engine.venue import known_simulator

from .conftest import PROJECT, Tshc

pytestmark = pytest.mark.slow


def assert_told(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One sentence with the words in it, the exit code, and no traceback anywhere."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    last = [line for line in done.stderr.splitlines() if line.startswith("tshc:")]
    assert len(last) == 1, done.stderr
    for word in words:
        assert word in last[0], last[0]


def test_an_unknown_setting_is_refused_with_the_nearest_name_before_anything_starts(tshc: Tshc) -> None:
    tshc.overrides = {"training.cylces": "3"}
    assert_told(tshc.run("weekend"), 2, "training.cylces", "did you mean 'training.cycles'?")
    assert not tshc.home.journal.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--headless", "--market", "nowhere.parquet"], ["there is no file", "--market"]),
        (["demo", "--headless", "--date", "17.3.2017"], ["2017-03-17"]),
        (["--broker", "moon", "status"], ["sim, paper or live"]),
        (["flatten"], ["--yes"]),
        (["weekend", "--cycles", "many"], ["--cycles", "integer"]),
        (["weekend", "--cycls", "3"], ["--cycls", "tshc --help"]),
        (["wekend"], ["wekend", "tshc --help"]),
    ],
)
def test_a_wrong_call_is_usage(tshc: Tshc, arguments: list[str], words: list[str]) -> None:
    assert_told(tshc.run(*arguments), 2, *words)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with start(date=date(2026, 11, 20), symbols=60, folder=tmp_path_factory.mktemp("venue")) as simulator:
        yield simulator


def pointed_at(tshc: Tshc, venue: Simulator) -> None:
    tshc.overrides = {
        "broker.trading_url": venue.rest_url,
        "broker.trade_stream_url": venue.trade_stream_url,
        "broker.price_stream_url": venue.price_stream_url,
    }


def test_wrong_keys_say_how_to_set_the_right_ones_and_print_none(tshc: Tshc, venue: Simulator) -> None:
    pointed_at(tshc, venue)
    tshc.environ = {"APCA_API_KEY_ID": "WRONGKEY", "APCA_API_SECRET_KEY": "wrong-secret-value"}
    done = tshc.run("weekend")
    assert_told(done, 1, "APCA_API_KEY_ID", "keyring")
    assert "wrong-secret-value" not in done.stderr + done.stdout + tshc.log()


def test_missing_keys_say_where_they_are_looked_for(tshc: Tshc) -> None:
    tshc.overrides = {"broker.mode": "paper"}
    tshc.environ = {
        "APCA_API_KEY_ID": "",
        "APCA_API_SECRET_KEY": "",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    assert_told(tshc.run("weekend"), 1, "no Alpaca keys", "keyring set tsh-console")


def test_no_network_is_told_as_such(tshc: Tshc) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    tshc.overrides = {
        "broker.trading_url": f"http://127.0.0.1:{closed}",
        "broker.trade_stream_url": f"ws://127.0.0.1:{closed}/stream",
        "broker.price_stream_url": f"ws://127.0.0.1:{closed}/v2/iex",
        "broker.timeout_s": "2",
    }
    tshc.environ = {"APCA_API_KEY_ID": "KEYKEYKEY", "APCA_API_SECRET_KEY": "secretsecret"}
    assert_told(tshc.run("weekend"), 1, "broker cannot be reached")


def bars(path: Path, **changes: object) -> Path:
    days = pd.bdate_range("2016-10-03", "2017-03-31")
    frame = pd.DataFrame(
        [(s, d, 10.0, 11.0, 9.0, 10.5, 1e6) for s in ("AAA", "BBB") for d in days],
        columns=["symbol", "date", "open", "high", "low", "close", "volume"],
    )
    for column, value in changes.items():
        if value is None:
            frame = frame.drop(columns=column)
        else:
            frame.loc[100, column] = value
    frame.to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"high": None}, ["high"]), ({"close": np.nan}, ["NaN", "AAA on"]), ({"low": 50.0}, ["low"])],
)
def test_a_broken_market_file_is_refused_by_name(
    tshc: Tshc, tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    path = bars(tmp_path / "bars.parquet", **changes)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    tshc.overrides = {"sim.market": str(path), "sim.date": "2017-03-17"}
    assert_told(tshc.run("weekend"), 1, "bars.parquet", *words)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_a_date_without_bars_names_a_date_that_has_some(tshc: Tshc, tmp_path: Path) -> None:
    tshc.overrides = {"sim.market": str(bars(tmp_path / "bars.parquet")), "sim.date": "2019-01-02"}
    done = tshc.run("weekend")
    assert_told(done, 2, "2019-01-02", "2017-03-31")


def test_fewer_than_a_thousand_eligible_tickers_gives_the_counts_and_the_remedy(tshc: Tshc) -> None:
    tshc.overrides = {**tshc.overrides, "sim.symbols": "600"}
    assert_told(tshc.run("weekend"), 1, "1,000 are needed", "listed", "common stock", "sim.symbols")


def test_a_corrupt_database_is_named_and_left_as_it_is(tshc: Tshc) -> None:
    assert tshc.run("engine", "start").returncode == 0
    tshc.stop()
    damaged = tshc.home.stocks_data
    damaged.write_bytes(damaged.read_bytes()[:5000])
    before = hashlib.sha256(damaged.read_bytes()).hexdigest()
    assert_told(tshc.run("weekend"), 1, "stocks_data.db", "Move it away")
    assert hashlib.sha256(damaged.read_bytes()).hexdigest() == before


def test_a_second_engine_on_the_same_home_is_refused(tshc: Tshc) -> None:
    assert tshc.run("engine", "start").returncode == 0
    second = subprocess.run(
        [sys.executable, "-m", "engine.daemon", "--home", str(tshc.home.folder)],
        cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert second.returncode == 3
    said = json.loads(second.stdout.splitlines()[-1])
    assert "an engine already runs" in said["error"]
    assert "tshc engine stop" in said["error"]
    assert tshc.run("status").returncode == 0


def test_a_weekday_without_a_selected_group_says_to_run_the_weekend(tshc: Tshc) -> None:
    assert_told(tshc.run("weekday"), 3, "no group is selected", "tshc weekend")


def test_no_group_within_the_guardrails_names_the_guardrail_and_loses_nothing(tshc: Tshc) -> None:
    tshc.overrides = {**tshc.overrides, "search.min_picks": "600"}
    done = tshc.run("weekend")
    assert_told(done, 1, "no group", "min_picks")
    assert tshc.rows(tshc.home.variation_results, "SELECT COUNT(*) FROM results_adx") == [(24,)]
    assert tshc.rows(tshc.home.journal, "SELECT COUNT(*) FROM selections") == [(0,)]


def test_without_news_the_list_is_ranked_without_it_and_says_so(tshc: Tshc) -> None:
    tshc.json("weekend")
    known = known_simulator(Home(tshc.home.folder))
    assert known is not None
    order = {"kind": "answer", "method": "GET", "path": "/v1beta1/news", "status": 500, "times": 1000}
    request = urllib.request.Request(
        f"{known[0].trading_url}/sim/faults",
        json.dumps(order).encode(),
        {
            "Content-Type": "application/json",
            "APCA-API-KEY-ID": known[1].key,
            "APCA-API-SECRET-KEY": known[1].secret,
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status < 300
    shortlist = tshc.json("weekday", "--until-list")
    assert "news is unavailable" in shortlist["detail"]
    assert shortlist["rows"]
    assert all(row["news_score"] is None for row in shortlist["rows"])
    assert sum(row["chosen"] for row in shortlist["rows"]) > 0


def test_live_trading_is_refused_where_nobody_can_type_the_word(tshc: Tshc) -> None:
    tshc.overrides = {"broker.mode": "live"}
    tshc.environ = {"APCA_API_KEY_ID": "KEYKEYKEY", "APCA_API_SECRET_KEY": "secretsecret"}
    done = subprocess.run(
        tshc.command("weekend"), cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert_told(done, 3, "typed confirmation")
    direct = subprocess.run(
        [sys.executable, "-m", "engine.daemon", "--home", str(tshc.home.folder), "--set", "broker.mode=live"],
        cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert direct.returncode == 3
    assert "typed confirmation" in direct.stdout
