"""Orders and cancels leave from the event loop: the requests of alpaca-py, the failures of every other call."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import certifi
import pytest
from alpaca.trading.client import TradingClient
from execution_rig import until

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.broker.errors import BrokerUnavailable, DuplicateOrderId, OrderRefused, OrderUnknown, RateLimited
from engine.errors import UsageError
from engine.orders_model import OrderIntent
from engine.settings import BrokerSettings

SELL = OrderIntent(
    "tsh-0000abcd-20261120-AAA-exit-1", date(2026, 11, 20), "AAA", "sell", 3, "limit", Decimal("10.50"), None,
    "day", "exit", 1, "a test", datetime(2026, 11, 20, 15, tzinfo=UTC),
)  # fmt: skip
ORDER = {
    "id": "1", "client_order_id": SELL.client_order_id, "symbol": "AAA", "side": "sell", "type": "limit",
    "qty": "3", "filled_qty": "0", "status": "new", "time_in_force": "day", "submitted_at": "2026-11-20T15:00:00Z",
}  # fmt: skip
OWN = {"host", "content-length", "connection", "accept-encoding"}  # of the connection, not of what is said


class Venue(ThreadingHTTPServer):
    """Keeps what it was sent, counts connections, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.accepted: list[socket.socket] = []
        self.status, self.headers, self.body = 200, {"X-RateLimit-Remaining": "199"}, json.dumps(ORDER)
        self.drips = False  # each byte of a body late, none too late for itself
        self.hangs_up = 0  # so many requests are read and then their connection is closed
        self.release = threading.Event()
        self.release.set()
        self.at_work, self.most_at_work = 0, 0

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        self.accepted.append(connection)
        return connection, address

    @property
    def connections(self) -> int:
        return len(self.accepted)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def said(self) -> list[tuple[str, str, dict[str, str], Any]]:
        """(method, path, headers that say something, parsed body) of each request."""
        return [
            (method, path, {k: v for k, v in headers.items() if k not in OWN}, json.loads(body) if body else None)
            for method, path, headers, body in self.seen
        ]


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Venue

    def _answer(self) -> None:
        venue = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        venue.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if venue.hangs_up:
            venue.hangs_up -= 1
            self.close_connection = True
            return
        venue.at_work += 1
        venue.most_at_work = max(venue.most_at_work, venue.at_work)
        venue.release.wait(20)
        venue.at_work -= 1
        content = b"" if self.command == "DELETE" else venue.body.encode(errors="surrogateescape")
        self.send_response(venue.status)
        for name, value in {**venue.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for byte in range(len(content) if venue.drips else 0):
                self.wfile.write(content[byte : byte + 1])
                time.sleep(0.05)
            self.wfile.write(b"" if venue.drips else content)
        except ConnectionError:  # nobody waits any more
            self.close_connection = True

    do_POST = do_DELETE = do_GET = do_CONNECT = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def venue() -> Iterator[Venue]:
    server = Venue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


def rest_at(url: str, timeout_s: float = 10.0) -> AlpacaRest:
    endpoints = Endpoints.of_simulator(url, "ws://x", "ws://x")
    return AlpacaRest(BrokerSettings(timeout_s=timeout_s), endpoints, Credentials("KEY", "SECRET"))


async def test_an_order_and_a_cancel_say_what_alpaca_py_says(venue: Venue) -> None:
    theirs = TradingClient("KEY", "SECRET", raw_data=True, url_override=venue.url)
    rest = rest_at(venue.url)
    await rest.submit(SELL)
    await rest.cancel("a b/c")
    ours, venue.seen = venue.said(), []
    await asyncio.to_thread(theirs.post, "/orders", ours[0][3])
    await asyncio.to_thread(theirs.delete, "/orders/a%20b%2Fc")
    assert ours == venue.said()
    assert ours[0][3] == {
        "symbol": "AAA", "qty": "3", "side": "sell", "type": "limit", "limit_price": "10.50",
        "time_in_force": "day", "client_order_id": SELL.client_order_id, "position_intent": "sell_to_close",
    }  # fmt: skip
    await rest.close()


async def test_no_cookie_is_kept_and_no_redirect_followed(venue: Venue) -> None:
    rest = rest_at(venue.url)
    venue.headers = {"Set-Cookie": "who=me", "Location": f"{venue.url}/v2/orders"}
    await rest.cancel("1")
    venue.status = 307
    with pytest.raises(OrderUnknown, match="answered 307 to the order"):
        await rest.submit(SELL)
    assert [(method, "cookie" in headers) for method, _, headers, _ in venue.seen] == [
        ("DELETE", False),
        ("POST", False),
    ]
    await rest.close()


async def test_the_brokers_own_count_of_requests_is_heard(venue: Venue) -> None:
    rest = rest_at(venue.url)
    venue.headers = {"X-RateLimit-Remaining": "17"}
    await rest.submit(SELL)
    assert 17 <= rest.trading.budget.available < 25
    venue.status = 429
    with pytest.raises(RateLimited):
        await rest.cancel("1")
    assert [line[0] for line in venue.seen] == ["POST", "DELETE"]
    await rest.close()


async def test_a_refusal_is_told_by_its_code(venue: Venue) -> None:
    rest = rest_at(venue.url)
    venue.status, venue.body = 422, '{"code": 40010001, "message": "client_order_id must be unique"}'
    with pytest.raises(DuplicateOrderId, match="must be unique"):
        await rest.submit(SELL)
    assert await rest.cancel("1") is False
    await rest.close()


NO_ORDERS = {
    "nothing": "",
    "a page": "<html>",
    "a list": "[]",
    "a part": '{"id": "1"}',
    "cut": '{"id": NaN',
    "another order": json.dumps({**ORDER, "client_order_id": "another"}),
    "nested without end": "[" * 99_999,
}


@pytest.mark.parametrize("body", NO_ORDERS.values(), ids=NO_ORDERS.keys())
async def test_an_answer_that_is_no_order_leaves_the_order_in_doubt(venue: Venue, body: str) -> None:
    rest = rest_at(venue.url)
    venue.body = body
    with pytest.raises(OrderUnknown, match="did not confirm"):
        await rest.submit(SELL)
    assert len(venue.seen) == 1
    await rest.close()


async def test_a_refusal_stays_one_whatever_its_text_and_its_charset(venue: Venue) -> None:
    rest = rest_at(venue.url)
    venue.status = 422
    for content_type, body in (
        ("text/plain; charset=hex", '{"code": 40310000}'),
        ("text/plain; charset=utf-16", '{"code": 40310000}'),
        ("text/html", "\udcff"),  # not UTF-8
        ("application/json", "[" * 99_999),
    ):
        venue.headers, venue.body = {"Content-Type": content_type}, body
        with pytest.raises(OrderRefused, match="422"):
            await rest.submit(SELL)
    venue.status, venue.body = 200, json.dumps(ORDER)
    venue.headers = {"Content-Type": "application/json; charset=hex"}
    assert (await rest.submit(SELL)).id == "1"
    await rest.close()


async def test_an_order_whose_connection_ends_is_in_doubt_and_not_sent_again(venue: Venue) -> None:
    rest = rest_at(venue.url)
    await rest.cancel("1")  # so that the order uses a connection again
    venue.hangs_up = 2
    with pytest.raises(OrderUnknown):
        await rest.submit(SELL)
    with pytest.raises(OrderUnknown):
        await rest.submit(SELL)  # and on a new one
    assert [line[0] for line in venue.seen] == ["DELETE", "POST", "POST"]
    await rest.close()


async def test_an_answer_that_does_not_come_ends_after_the_limit(venue: Venue) -> None:
    rest = rest_at(venue.url, timeout_s=0.3)
    venue.release.clear()
    with pytest.raises(OrderUnknown):
        await rest.submit(SELL)
    with pytest.raises(BrokerUnavailable, match="did not answer in time"):
        await rest.cancel("1")
    assert len(venue.seen) == 2
    await rest.close()


async def test_an_answer_that_drips_ends_after_the_limit_of_the_whole(venue: Venue) -> None:
    rest = rest_at(venue.url, timeout_s=0.5)
    venue.drips = True
    with pytest.raises(OrderUnknown):
        await rest.submit(SELL)
    assert len(venue.seen) == 1
    await rest.close()


async def test_who_is_cancelled_while_he_waits_has_sent_once_and_uses_that_connection_no_more(
    venue: Venue,
) -> None:
    rest = rest_at(venue.url)
    venue.release.clear()
    waiting = asyncio.create_task(rest.submit(SELL))
    await until(lambda: venue.seen, "the order arrived")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    venue.release.set()
    assert await rest.cancel("1") is True  # not the late answer to the order
    assert ([line[0] for line in venue.seen], venue.connections) == (["POST", "DELETE"], 2)
    await rest.close()


@pytest.mark.parametrize("status", [200, 404, 429])
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_that_of_the_next_order(
    venue: Venue, status: int
) -> None:
    rest = rest_at(venue.url)
    await rest.cancel("1")
    stray = json.dumps({**ORDER, "client_order_id": "another"}).encode()
    venue.accepted[0].sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(stray), stray))
    await asyncio.sleep(0.1)  # the loop reads it
    assert (await rest.submit(SELL)).client_order_id == SELL.client_order_id
    assert ([line[0] for line in venue.seen], venue.connections) == (["DELETE", "POST"], 2)
    await rest.close()


async def test_a_connection_whose_end_the_loop_has_not_read_yet_is_not_used(venue: Venue) -> None:
    rest = rest_at(venue.url)
    await rest.cancel("1")
    venue.accepted[0].shutdown(socket.SHUT_WR)
    time.sleep(0.05)  # noqa: ASYNC251 - something computes while it comes
    assert (await rest.submit(SELL)).client_order_id == SELL.client_order_id
    assert ([line[0] for line in venue.seen], venue.connections) == (["DELETE", "POST"], 2)
    await rest.close()


async def test_nothing_leaves_once_the_connection_is_closed(venue: Venue) -> None:
    rest = rest_at(venue.url)
    await rest.cancel("1")
    venue.release.clear()
    under_way = [asyncio.create_task(rest.submit(SELL)), asyncio.create_task(rest.cancel("2"))]
    await until(lambda: venue.at_work == 2, "both arrived")
    await rest.close()
    ended = await asyncio.gather(*under_way, return_exceptions=True)
    assert [type(end) for end in ended] == [OrderUnknown, BrokerUnavailable]
    venue.release.set()
    with pytest.raises(BrokerUnavailable, match="nothing was sent"):
        await rest.submit(SELL)
    assert len(venue.seen) == 3


async def test_the_last_look_may_keep_an_order_back(venue: Venue) -> None:
    def refuse() -> None:
        raise BrokerUnavailable("not now")

    rest = rest_at(venue.url)
    for _ in range(2):  # with a new connection and with one that is there
        with pytest.raises(BrokerUnavailable, match="not now"):
            await rest.submit(SELL, last_look=refuse)
    assert venue.seen == []
    assert await rest.cancel("1") is True  # the look was that order's alone
    assert venue.connections == 1
    await rest.close()


async def test_the_last_look_waits_until_the_connection_is_there(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_proxy(venue.url, monkeypatch)
    rest, looks = rest_at("https://broker.invalid"), []
    venue.release.clear()
    sending = asyncio.create_task(rest.submit(SELL, last_look=lambda: looks.append("looked")))
    await until(lambda: venue.seen, "the proxy was asked for a connection")
    assert looks == []
    venue.status = 502
    venue.release.set()
    with pytest.raises(BrokerUnavailable, match="no connection"):
        await sending
    assert ([line[0] for line in venue.seen], looks) == (["CONNECT"], [])
    await rest.close()


async def test_exits_at_once_find_their_connections_open(venue: Venue) -> None:
    rest = rest_at(venue.url)
    venue.release.clear()
    warming = asyncio.create_task(rest.keep_warm(9))
    await until(lambda: venue.at_work == 4, "four requests at once")
    venue.release.set()
    await warming
    assert (venue.connections, venue.most_at_work) == (4, 4)
    venue.release.clear()
    cancels = [asyncio.create_task(rest.cancel(str(number))) for number in range(4)]
    await until(lambda: venue.at_work == 4, "four cancels at once")
    venue.release.set()
    assert await asyncio.gather(*cancels) == [True] * 4
    assert venue.connections == 4
    await rest.close()


async def test_warming_a_broker_that_does_not_answer_is_no_failure(venue: Venue) -> None:
    rest = rest_at(venue.url)
    venue.status = 500
    await rest.keep_warm(1)
    venue.hangs_up = 9
    await rest.keep_warm(1)
    await rest.close()


def use_proxy(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize(
    ("before", "authorization"),
    [("http://", None), ("", None), ("http://us%40er:p%3Aw@", "us@er:p:w")],
)
async def test_the_environments_proxy_is_used_for_a_host_elsewhere(
    venue: Venue, monkeypatch: pytest.MonkeyPatch, before: str, authorization: str | None
) -> None:
    use_proxy(before + venue.url.removeprefix("http://"), monkeypatch)
    elsewhere = rest_at("http://broker.invalid")
    await elsewhere.cancel("1")
    _, path, headers, _ = venue.seen[-1]
    assert path == "http://broker.invalid/v2/orders/1"
    said = headers.get("proxy-authorization", "").removeprefix("Basic ")
    assert (base64.b64decode(said).decode() or None) == authorization
    await elsewhere.close()


@pytest.mark.parametrize("proxy", ["socks5h://user:hidden@127.0.0.1:1", "http://", "nonsense://hidden"])
def test_a_proxy_that_orders_cannot_pass_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    use_proxy(proxy, monkeypatch)
    with pytest.raises(UsageError, match="no HTTP proxy") as told:
        rest_at("http://broker.invalid")
    assert "hidden" not in str(told.value)


def test_only_the_certificates_that_reads_trust_are_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end = "-----END CERTIFICATE-----\n"
    several = Path(certifi.where()).read_text(encoding="utf-8").split(end)
    one, another = tmp_path / "one.pem", tmp_path / "another.pem"
    one.write_text(several[0] + end, encoding="utf-8")
    another.write_text(several[1] + end, encoding="utf-8")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(one))
    monkeypatch.setenv("SSL_CERT_FILE", str(another))  # the system's, for Python's own
    trust = rest_at("https://broker.invalid")._lane._trust
    assert isinstance(trust, ssl.SSLContext)
    assert trust.get_ca_certs() == ssl.create_default_context(cafile=str(one)).get_ca_certs()
    assert (trust.verify_mode, trust.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_certificates_that_cannot_be_read_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(UsageError, match=r"/nowhere/bundle\.pem, cannot be read.*unset it"):
        rest_at("https://broker.invalid")
