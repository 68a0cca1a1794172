"""The simulator as a process: what it refuses before serving, how it starts, and that it dies with its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from alpaca.trading.client import TradingClient

from engine.errors import DataError, OperatorError, UsageError
from engine.simulator import Simulator, start, start_process

FRIDAY = date(2026, 11, 20)


def market_file(path: Path, **changes: list[Any]) -> Path:
    """Three sessions of March 2017 for two symbols."""
    days = [date(2017, 3, 15) + timedelta(days=i) for i in range(3)]
    columns: dict[str, list[Any]] = {"symbol": ["AAAA"] * 3 + ["BBBB"] * 3, "date": days * 2}
    columns |= {
        "open": [10.0] * 6,
        "high": [11.0] * 6,
        "low": [9.0] * 6,
        "close": [10.5] * 6,
        "volume": [10**6] * 6,
    }
    columns |= changes
    pq.write_table(pa.table({k: v for k, v in columns.items() if v}), path)
    return path


def ended(pid: int) -> bool:
    """Whether the process is gone within 60 s."""
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_child_ends_with_its_block_and_a_second_stop_is_harmless(sim: Simulator, tmp_path: Path) -> None:
    with start(date=FRIDAY, symbols=50, folder=tmp_path) as other:
        assert other.running()
        assert other.pid != sim.pid
    assert not other.running()
    other.stop()
    assert ended(other.pid)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_the_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from datetime import date; from pathlib import Path;"
        "from engine.simulator import start_process;"
        "sim = start_process(date=date(2026, 11, 20), symbols=50, folder=Path(sys.argv[1]));"
        "print(sim.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout:
            parent.stdout.close()
    assert ended(child)


def test_a_replay_serves_the_files_bars_assets_and_calendar(tmp_path: Path) -> None:
    path = market_file(tmp_path / "bars.parquet")
    with start(market=path, date=date(2017, 3, 16), folder=tmp_path / "sim") as sim:
        client = TradingClient(sim.key, sim.secret, url_override=sim.rest_url)
        assert [a.symbol for a in client.get_all_assets()] == ["AAAA", "BBBB"]
        assert client.get_clock().next_open.isoformat() == "2017-03-17T09:30:00-04:00"
        keys = {"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": sim.secret}
        query = {"symbols": "AAAA", "timeframe": "1Day", "start": "2017-03-01"}
        bars = requests.get(sim.rest_url + "/v2/stocks/bars", params=query, headers=keys, timeout=60).json()[
            "bars"
        ]
        assert [b["t"][:10] for b in bars["AAAA"]] == ["2017-03-15", "2017-03-16"]


@pytest.mark.parametrize(
    ("changes", "day", "kind", "sentence"),
    [
        ({"high": []}, date(2017, 3, 16), DataError, "lacks the column high"),
        ({"close": [10.5, float("nan")] + [10.5] * 4}, date(2017, 3, 16), DataError, "1 bar with NaN"),
        ({}, date(2017, 3, 20), UsageError, "has no session on 2017-03-20"),
    ],
)
def test_a_bad_market_file_is_refused_before_anything_is_served(
    tmp_path: Path, changes: dict[str, list[Any]], day: date, kind: type[OperatorError], sentence: str
) -> None:
    path = market_file(tmp_path / "bars.parquet", **changes)
    with pytest.raises(kind, match=sentence) as caught:
        start_process(market=path, date=day, folder=tmp_path / "sim")
    assert "Traceback" not in str(caught.value)
    assert (tmp_path / "sim" / "simulator.err").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"market": Path("no-such-file.parquet")}, "no market file"),
        ({"date": date(2026, 11, 26)}, "not a session of the exchange; choose one, for example --date 2026-11-25"),
        ({"speed": 5000.0}, "speed cannot be 5000"),
    ],
)
def test_a_wrong_choice_is_a_usage_error_with_a_remedy(
    tmp_path: Path, choice: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        start_process(**({"date": FRIDAY, "symbols": 50, "folder": tmp_path} | choice))


def test_a_taken_port_is_said_so(sim: Simulator, tmp_path: Path) -> None:
    port = int(sim.rest_url.rsplit(":", 1)[1])
    with pytest.raises(OperatorError, match=f"cannot listen on port {port}"):
        start_process(date=FRIDAY, symbols=50, folder=tmp_path, port=port)


def test_the_same_choices_give_the_same_market_and_ids(tmp_path: Path) -> None:
    def seen(name: str) -> Any:
        with start(date=FRIDAY, symbols=50, folder=tmp_path / name, seed=11) as sim:
            client = TradingClient(sim.key, sim.secret, url_override=sim.rest_url, raw_data=True)
            assets: Any = client.get_all_assets()
            names = ",".join(a["symbol"] for a in assets)
            keys = {"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": sim.secret}
            shots = requests.get(
                sim.rest_url + "/v2/stocks/snapshots", params={"symbols": names}, headers=keys, timeout=60
            ).json()
            return assets, shots, client.get_account()["id"]

    assert seen("first") == seen("second")


def test_keys_reach_the_child_by_its_stdin_and_never_by_its_command_line(sim: Simulator) -> None:
    command = " ".join(psutil.Process(sim.pid).cmdline())
    assert sim.secret not in command
    assert sim.key not in command
    assert sim.secret not in " ".join(os.environ.values())
