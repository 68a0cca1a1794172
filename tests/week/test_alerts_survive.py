"""Alerts of a real engine: they leave without a console, and what was acknowledged stays so over kill -9."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.engine_process import wait_until_stopped

from .conftest import Tshc

FULL = "100000000"  # megabytes that no disk here has free: the disk is "low" from the start


@pytest.fixture
def posts() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook in this process: its address and what it got."""
    got: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", got
    server.shutdown()
    server.server_close()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.05)


@pytest.mark.slow
def test_alerts_leave_without_a_console_and_an_acknowledgement_survives_a_kill(
    tshc: Tshc, posts: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = posts
    settings = {"webhook_url": url, "disk_free_mb": FULL, "critical_repeat_s": "1s", "repeat_limit": "10000"}
    tshc.overrides = {"sim.symbols": "100", **{f"alerts.{key}": value for key, value in settings.items()}}
    said = tshc.json("alerts", "test")
    assert said["engine"] is False
    assert {o["sink"]: o["state"] for o in said["outcomes"]}["webhook"] == "sent"

    assert tshc.run("engine", "start").returncode == 0
    until(lambda: [p["alert"]["state"] for p in got if p["alert"]["key"] == "disk"][:2] == ["raised", "repeated"],
          "the disk's alert, and again because nobody acknowledged it")  # fmt: skip
    assert tshc.run("alerts", "ack", "disk").returncode == 0
    pid = tshc.engine_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until_stopped(tshc.home, 60)
    before = len(got)

    assert tshc.run("engine", "start").returncode == 0
    (disk,) = [alert for alert in tshc.json("alerts", "list") if alert["key"] == "disk"]  # type: ignore[index]
    assert disk["acknowledged"]
    said = tshc.json("alerts", "test")
    assert said["engine"] is True
    assert [post["alert"]["key"] for post in got[before:]] == ["alert-test"]  # and not the disk again
    assert tshc.run("alerts", "ack", "disk").returncode == 3  # nothing waits
    kinds = [row[0] for row in tshc.rows(tshc.home.journal, "SELECT kind FROM events")]
    assert kinds.count("alert_raised") == 1
    assert kinds.count("alert_acknowledged") == 1
