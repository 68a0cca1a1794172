"""What every call has: the request budget, limits, and a failure that is classified by structure.

alpaca-py has no timeout, blocks, and re-POSTs after a 504 (two orders). Its calls run here in a
small thread pool with (connect, read) limits and a last moment for the whole (``deadline``);
orders and cancels leave from the event loop (``order_lane``), with the same limits. What is
retried: reads. What is never retried: an order.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp
import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from urllib3.exceptions import MaxRetryError, NewConnectionError

from engine.broker.credentials import HOW_TO_SET
from engine.broker.deadline import BoundedAdapter, BoundedCall, CallCut
from engine.broker.endpoints import is_loopback
from engine.broker.errors import (
    AuthRefused,
    BrokerError,
    BrokerUnavailable,
    DuplicateOrderId,
    NotFound,
    OrderRefused,
    OrderUnknown,
    RateLimited,
    RequestRefused,
)
from engine.broker.order_lane import HttpRefused, never_left
from engine.broker.rate_limit import RequestBudget
from engine.broker.wire import MalformedAnswer
from engine.redaction import struck

READ_ATTEMPTS = 4
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.25, 5.0
WHOLE_CALL = 2.0  # a call may take so many times ``timeout_s``: the connect, the wait, the reading of a long list
CUT_S = 1.0  # a thread whose connection was cut comes back at once; one that looks up a name may not
FAILURES = (
    APIError, HttpRefused, requests.RequestException, aiohttp.ClientError, TimeoutError,
    ValueError, TypeError, KeyError, AttributeError, RecursionError,
)  # fmt: skip
T = TypeVar("T")
_NOT_UNIQUE = 40010001


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and its parsing.

    ``sends_order`` makes its failures ambiguous; ``is_exit`` may use the exit reserve.
    """

    what: str  # for people: "the account", "daily bars"
    run: Callable[[], Awaitable[T]]
    is_read: bool = True
    sends_order: bool = False
    is_exit: bool = False


def harden(client: RESTClient, url: str, timeout_s: float) -> None:
    """Sets the limits on an alpaca-py client before its first call."""
    client._retry = 0
    session = client._session
    session.mount("http://", BoundedAdapter(min(timeout_s, 5.0), timeout_s))
    session.mount("https://", BoundedAdapter(min(timeout_s, 5.0), timeout_s))
    if is_loopback(url):
        session.trust_env = False  # a proxy of the environment would be asked for 127.0.0.1


class Transport:
    """Runs calls of one host: its budget, its threads (what closes positions has its own)."""

    def __init__(self, host: str, budget: RequestBudget, timeout_s: float) -> None:
        self.host = host
        self.whole_s = WHOLE_CALL * timeout_s
        self.budget = budget
        self.requests = 0  # sent so far
        self.last_error = ""
        self._reads = ThreadPoolExecutor(4, thread_name_prefix="broker-read")
        self._closing = ThreadPoolExecutor(4, thread_name_prefix="broker-close")
        self._random = random.Random(0)

    def close(self) -> None:
        self._reads.shutdown(wait=False, cancel_futures=True)
        self._closing.shutdown(wait=False, cancel_futures=True)

    def hear(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Response hook of requests, in a worker thread."""
        self.heard(response.status_code, response.headers)

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """Takes over the broker's own count of our requests; what a 429 says of it is for who is refused."""
        if status != 429:
            self.budget.learn(headers)

    async def call(self, call: Call[T]) -> T:
        """The parsed answer of one request; reads are tried again with backoff, orders never.

        Raises a BrokerError: AuthRefused, RequestRefused, RateLimited, BrokerUnavailable, and
        for an order OrderRefused or OrderUnknown.
        """
        attempts = READ_ATTEMPTS if call.is_read else 1
        for attempt in range(1, attempts + 1):
            await self.budget.acquire(is_exit=call.is_exit)
            self.requests += 1
            try:
                answer = await call.run()
            except FAILURES as error:
                failure = self._classify(call, error)
            else:
                self.last_error = ""
                return answer
            self.last_error = str(failure)
            passing = isinstance(failure, BrokerUnavailable | RateLimited)
            if attempt == attempts or not passing:
                raise failure
            pause = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1))
            if isinstance(failure, RateLimited):
                pause = failure.retry_after_s
            await asyncio.sleep(pause * (1 + 0.25 * self._random.random()))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def in_thread(self, run: Callable[[], T], *, closes: bool = False) -> T:
        """Runs a call of alpaca-py in a thread, for ``WHOLE_CALL`` timeouts at most.

        Reads never hold up what closes positions.
        """
        bounded = BoundedCall(run, self.whole_s)
        pool = self._closing if closes else self._reads
        answer = asyncio.get_running_loop().run_in_executor(pool, bounded.run)
        try:
            while not answer.done() and (left_s := bounded.left_s()) > 0:
                await asyncio.wait({answer}, timeout=left_s)
            if not answer.done():
                bounded.cut()
                await asyncio.wait({answer}, timeout=CUT_S)
            if not answer.done():
                answer.add_done_callback(_forgotten)
                raise CallCut("the answer did not end in time")
        except asyncio.CancelledError:
            answer.cancel()  # it does not begin any more; if it has begun, it goes on to its end
            raise
        return answer.result()

    def _classify(self, call: Call[Any], error: Exception) -> BrokerError:
        """By structure: the kind of exception, the HTTP status, a numeric code. Never by the text."""
        if isinstance(error, APIError):
            response = error.response
            headers = {} if response is None else response.headers
            return self._classify_status(call, int(error.status_code or 0), headers, str(error))
        if isinstance(error, HttpRefused):
            return self._classify_status(call, error.answer.status, error.answer.headers, error.answer.body)
        if isinstance(error, requests.ConnectTimeout) or _never_connected(error) or never_left(error):
            return BrokerUnavailable(
                f"cannot reach {self.host} for {call.what}: no connection; check the network, then try again"
            )
        if call.sends_order:
            return OrderUnknown(
                f"{self.host} did not confirm the order ({type(error).__name__}); it is looked up by its client id"
            )
        if isinstance(error, requests.Timeout | TimeoutError):
            return BrokerUnavailable(f"{self.host} did not answer in time for {call.what}; try again")
        if isinstance(
            error, requests.JSONDecodeError | json.JSONDecodeError | MalformedAnswer | UnicodeDecodeError
        ):
            return BrokerUnavailable(f"{self.host} sent something that is not the expected JSON for {call.what}")
        return BrokerUnavailable(
            f"the connection to {self.host} broke during {call.what} ({type(error).__name__}); try again"
        )

    def _classify_status(self, call: Call[Any], status: int, headers: Mapping[str, str], body: str) -> BrokerError:
        code, reason = _body(body)
        if status == 429:
            wait = self.budget.refused(headers)
            return RateLimited(f"{self.host} allows no more requests for {wait:.0f} s (429)", wait)
        if status == 401 or (status == 403 and code is None and not call.what.startswith("market data")):
            return AuthRefused(f"{self.host} refused the keys ({status}) for {call.what}; {HOW_TO_SET}")
        if status >= 500 or status < 400:
            if call.sends_order:
                return OrderUnknown(
                    f"{self.host} answered {status} to the order; it may exist and is looked up by its client id"
                )
            return BrokerUnavailable(f"{self.host} answered {status} for {call.what}; try again")
        if call.sends_order:
            kind = DuplicateOrderId if code == _NOT_UNIQUE else OrderRefused
            return kind(status, code, reason)
        return (NotFound if status == 404 else RequestRefused)(status, code, reason)


def _forgotten(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more; its failure has been told."""
    if not answer.cancelled():
        answer.exception()


def _never_connected(error: BaseException) -> bool:
    """Whether the request certainly did not leave this machine (refused, no route, no name)."""
    inner = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError)


def _body(body: str) -> tuple[int | None, str]:
    """(numeric code or None, message) of an error body; an HTML body gives (None, a short word)."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None, "no readable reason"
    if not isinstance(parsed, dict):
        return None, "no readable reason"
    code = parsed.get("code")
    numeric = code if isinstance(code, int) and not isinstance(code, bool) else None
    return numeric, struck(str(parsed.get("message", "no reason given")))[:300]
