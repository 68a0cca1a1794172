"""Orders by the short way are the same requests, with the same failures, as by the long one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient

from engine.broker.quick_session import QuickSession
from engine.broker.transport import harden

ORDER = {"symbol": "AAA", "qty": "3", "side": "sell", "client_order_id": "tsh-0000abcd-20261120-AAA-exit-1"}
OWN = {"host", "content-length", "connection"}  # of the connection, not of what is said


class Echo(BaseHTTPRequestHandler):
    """Keeps what it was sent; the path says what it answers."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str], bytes]]
    release = threading.Event()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        type(self).seen.append((self.command, self.path, headers, body))
        if "slow" in self.path:
            self.release.wait(10)
        status = 422 if "refused" in self.path else 200
        answer = b'{"code": 40010001, "message": "no"}' if status == 422 else b'{"id": "1"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("X-RateLimit-Remaining", "199")
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_DELETE = do_GET = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    Echo.seen = []
    Echo.release = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Echo.release.set()
    server.shutdown()
    server.server_close()


def client(url: str, *, quick: bool, timeout_s: float = 5.0) -> TradingClient:
    made = TradingClient("KEY", "SECRET", raw_data=True, url_override=url)
    if quick:
        harden(made, url, timeout_s)
        assert isinstance(made._session, QuickSession)
    return made


def test_an_order_and_a_cancel_say_the_same_by_both_ways(echo: str) -> None:
    for quick in (False, True):
        trading = client(echo, quick=quick)
        assert trading.post("/orders", ORDER) == {"id": "1"}
        trading.delete("/orders/1")
        trading.get("/orders", {"status": "open", "limit": 5})
    half = len(Echo.seen) // 2
    for plain, quick_one in zip(Echo.seen[:half], Echo.seen[half:], strict=True):
        assert quick_one[:2] == plain[:2]
        assert {k: v for k, v in quick_one[2].items() if k not in OWN} == {
            k: v for k, v in plain[2].items() if k not in OWN
        }
        assert (json.loads(quick_one[3]) if quick_one[3] else None) == (json.loads(plain[3]) if plain[3] else None)


def test_a_refusal_is_the_same_error_and_the_hooks_hear_the_headers(echo: str) -> None:
    trading = client(echo, quick=True)
    heard: list[str] = []
    trading._session.hooks["response"].append(
        lambda response, **_: heard.append(response.headers["X-RateLimit-Remaining"])
    )
    with pytest.raises(APIError) as refused:
        trading.post("/refused", ORDER)
    assert refused.value.status_code == 422
    assert refused.value.code == 40010001
    trading.delete("/orders/1")
    assert heard == ["199", "199"]


def test_an_answer_that_does_not_come_ends_after_the_limit(echo: str) -> None:
    with pytest.raises(requests.ReadTimeout):
        client(echo, quick=True, timeout_s=0.2).post("/slow", ORDER)


def test_a_host_that_is_not_there_is_a_connection_error() -> None:
    with pytest.raises(requests.ConnectionError):
        client("http://127.0.0.1:9", quick=True).delete("/orders/1")


def test_the_environments_proxy_is_used_where_the_environment_counts(
    echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", echo)
    monkeypatch.setenv("http_proxy", echo)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    client("http://broker.invalid", quick=True).delete("/orders/1")
    assert Echo.seen[-1][1] == "http://broker.invalid/v2/orders/1"
