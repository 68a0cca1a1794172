"""Orders and cancels over connections of the event loop itself, without a thread between.

alpaca-py blocks, so its calls run in threads. A thread that is woken waits for a processor behind
whatever computes, and then for the interpreter: under load that is most of the time between a stop
and its cancel. What must leave at once is therefore written to the socket by the loop, in the very
step that decided it (an order, which has a body, in the next). The requests are those of alpaca-py,
header by header; everything that is read still goes through it.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from alpaca.trading.client import TradingClient
from requests import Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.util.wait import wait_for_read

from engine.broker.endpoints import is_loopback
from engine.broker.errors import BrokerUnavailable
from engine.errors import UsageError

_last_look: ContextVar[Callable[[], None]] = ContextVar("last_look")  # of the request that this task sends
KEPT_S = 45.0  # an idle connection is kept so long: less than the minute or so after which hosts close it


@dataclass(frozen=True, slots=True)
class LaneAnswer:
    """One answer as it came."""

    method: str
    url: str
    sent: bytes | None
    status: int
    headers: Mapping[str, str]
    body: str


class HttpRefused(Exception):  # noqa: N818 - it names what came, like its siblings in errors
    """Any status but 2xx."""

    def __init__(self, answer: LaneAnswer) -> None:
        super().__init__(f"{answer.method} was answered with {answer.status}")
        self.answer = answer


class OrderLane:
    """One host. ``hear`` is given every answer; connections are opened at need and used again.

    ``timeout_s`` limits the wait for an answer, ``whole_s`` everything from the connect to the answer's last byte.
    """

    def __init__(
        self,
        client: TradingClient,
        url: str,
        timeout_s: float,
        whole_s: float,
        hear: Callable[[LaneAnswer], None],
    ) -> None:
        self.listeners = [hear]
        self._base = f"{url}/v2"
        self._headers = client._get_default_headers()
        self._limits = aiohttp.ClientTimeout(total=whole_s, sock_connect=min(timeout_s, 5.0), sock_read=timeout_s)
        self._proxy, self._trust = _surroundings(url)
        self._session: aiohttp.ClientSession | None = None  # belongs to the loop that uses it first
        self._closed = False

    async def close(self) -> None:
        """For good; who waits for an answer gets none."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        last_look: Callable[[], None] = lambda: None,
    ) -> Any:
        """The parsed JSON of a 2xx answer, None when it has no body.

        ``last_look`` runs when the connection is there, and may raise: then nothing is sent.
        Sent once; only what is no POST is sent again, once, when the host ends the connection without an answer.
        Who is cancelled while he waits closes the connection: what was written stays written.

        Raises HttpRefused, aiohttp.ClientError or TimeoutError for the way there, ValueError or RecursionError for
        what is not JSON, BrokerUnavailable after ``close``.
        """
        sent = None if body is None else json.dumps(body, allow_nan=False).encode()
        headers = self._headers if sent is None else {**self._headers, "Content-Type": "application/json"}
        url = self._base + path
        _last_look.set(last_look)
        async with self._opened().request(
            method, url, data=sent, headers=headers, allow_redirects=False, proxy=self._proxy
        ) as response:
            content = await response.read()
            # Told as well as it can be read; believed (below) only as JSON must be, whatever charset is named.
            body_text = content.decode(errors="replace")
            answer = LaneAnswer(method, url, sent, response.status, response.headers, body_text)
        for listener in self.listeners:
            listener(answer)
        if not 200 <= answer.status < 300:
            raise HttpRefused(answer)
        return json.loads(content.decode()) if content else None

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise BrokerUnavailable("the connection to the broker is closed; nothing was sent")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit: an order must not wait until another one's answer has come.
                connector=_Connections(limit=0, keepalive_timeout=KEPT_S, ssl=self._trust),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._limits,
            )
        return self._session


class _Connections(aiohttp.TCPConnector):
    """Asks for the last look before it gives out a connection: to open one may take seconds.

    Never gives out one over which something came while nobody waited for an answer. That would be read as the
    answer to the next order: a 404 or a 429 nobody asked for would say that an order does not exist which has
    just left.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._given_out: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            fresh = protocol is not None and protocol not in self._given_out
            if fresh or not _something_came(connection):
                break
            connection.close()
        if protocol is not None:
            self._given_out.add(protocol)
        try:
            _last_look.get()()
        except BaseException:
            connection.release()
            raise
        return connection


def _something_came(connection: Connection) -> bool:
    """Whether an idle connection has an answer, an end or an error, read already or still in the kernel."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or protocol.should_close:
        return True
    return wait_for_read(transport.get_extra_info("socket"), 0.0)


def never_left(error: BaseException) -> bool:
    """Whether the request certainly did not leave this machine: no connection came to be."""
    return isinstance(
        error,
        aiohttp.ClientConnectorError
        | aiohttp.ConnectionTimeoutError
        | aiohttp.ClientHttpProxyError
        | aiohttp.InvalidURL,
    )


def _surroundings(url: str) -> tuple[str | None, ssl.SSLContext | bool]:
    """Proxy and trusted certificates, as requests takes them from the environment for the reads; asked once."""
    with Session() as session:
        session.trust_env = not is_loopback(url)  # a proxy of the environment would be asked for 127.0.0.1
        found = session.merge_environment_settings(url, {}, None, None, None)
    bundle = found["verify"] if isinstance(found["verify"], str) else DEFAULT_CA_BUNDLE_PATH
    trust: ssl.SSLContext | bool = True
    if url.startswith("https:"):
        try:
            # Given a place, this trusts what is there and nothing of the system besides.
            folder = Path(bundle).is_dir()
            trust = ssl.create_default_context(
                cafile=None if folder else bundle, capath=bundle if folder else None
            )
        except OSError as error:
            raise UsageError(
                f"the certificates to trust, {bundle}, cannot be read ({error}); correct REQUESTS_CA_BUNDLE or "
                "CURL_CA_BUNDLE, or unset it"
            ) from error
    return _proxy(url, found["proxies"]), trust


def _proxy(url: str, proxies: Mapping[str, str]) -> str | None:
    """Its whole address, None without one; UsageError for what takes no HTTP. May hold a password."""
    proxy = select_proxy(url, dict(proxies))
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"  # requests takes "host:port" for this, aiohttp for a scheme
    if urlsplit(proxy).scheme not in ("http", "https") or not urlsplit(proxy).hostname:
        raise UsageError(
            f"the proxy that the environment names for {url} is no HTTP proxy, and orders cannot pass it; "
            "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the host in NO_PROXY"
        )
    return proxy
