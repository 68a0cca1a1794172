"""A last moment for a whole call: requests limits only the connect and each single read.

An answer that drips, byte by byte, passes every read limit for ever, and with it a thread that
orders need. Here a call notes the connection that it uses, and who waits for it may cut that
connection: the thread comes back with an ordinary connection error, and a call that was cut
before it had a connection sends nothing any more.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

T = TypeVar("T")
_here = threading.local()  # ``call``: what this thread works on


class CallCut(requests.Timeout):
    """The call was over its time before its request could leave."""


class BoundedCall(Generic[T]):
    """``run`` in a worker thread; ``cut`` from any other."""

    def __init__(self, run: Callable[[], T], limit_s: float) -> None:
        self._run, self._limit_s = run, limit_s
        self._began: float | None = None  # monotonic; waiting for a thread is no fault of the broker
        self._cut = False
        self._connection: _Connection | None = None
        self._socket: socket.socket | None = None

    def run(self) -> T:
        self._began, _here.call = time.monotonic(), self
        try:
            return self._run()
        finally:
            _here.call = None

    def left_s(self) -> float:
        """Wall seconds until the last moment; all of them while no thread has begun."""
        return self._limit_s if self._began is None else self._began + self._limit_s - time.monotonic()

    def cut(self) -> None:
        """Ends the call's connection, wherever its thread waits."""
        self._cut = True
        connection = self._connection
        if connection is None or connection.call is not self:
            return  # not taken yet, or given back and in use by another call
        used = self._socket or connection.sock
        if used is not None:
            with suppress(OSError):  # it has ended by itself
                # The plain one: that of TLS would turn a connection in use into an unencrypted one.
                socket.socket.shutdown(used, socket.SHUT_RDWR)

    def uses(self, connection: _Connection) -> None:
        """Called by the connection whenever it is taken into use. Raises CallCut when it is too late."""
        self._connection, self._socket, connection.call = connection, connection.sock, self
        if self._cut:
            connection.close()
            raise CallCut("the call took too long")


def _noted(connection: _Connection) -> None:
    call: BoundedCall[Any] | None = getattr(_here, "call", None)
    if call is not None:
        call.uses(connection)


class _Connection(HTTPConnection):
    call: BoundedCall[Any] | None = None  # the last that took it

    def connect(self) -> None:
        _noted(self)
        super().connect()
        _noted(self)

    def putrequest(self, *args: Any, **options: Any) -> None:
        _noted(self)
        super().putrequest(*args, **options)


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class BoundedAdapter(HTTPAdapter):
    """Connections that can be cut, with limits for the connect and for each read, in seconds."""

    def __init__(self, connect_s: float, read_s: float) -> None:
        self._limits = (connect_s, read_s)
        super().__init__(pool_maxsize=8, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if options.get("timeout") is None:
            options["timeout"] = self._limits
        return super().send(request, *args, **options)
