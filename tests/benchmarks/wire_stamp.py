"""When bytes really left: the kernel's time stamp of a send, instead of what Python's clock says after it.

After ``send`` a thread of Python waits for the interpreter, and a woken reader may take the processor
first: neither is on the way of the bytes. Linux; elsewhere ``at`` stays None.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Self

_OPTION = 37  # SO_TIMESTAMPING
_OF_SOFTWARE_SENDS = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 11  # TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY
_STAMP = struct.Struct("qq")


class WireStamp:
    """Around one send on the socket ``descriptor``: afterwards ``at`` is its moment, monotonic seconds."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self.at: float | None = None

    def __enter__(self) -> Self:
        switch(self._socket, on=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.at = newest(self._socket)  # before: a socket that is switched off gives none
        switch(self._socket, on=False)
        self._socket.close()


def switch(stamped: socket.socket, *, on: bool) -> None:
    """A socket that stays switched on needs ``newest`` after each send: a waiting stamp wakes who polls it."""
    if sys.platform == "linux":
        with suppress(OSError):
            stamped.setsockopt(socket.SOL_SOCKET, _OPTION, _OF_SOFTWARE_SENDS if on else 0)


def newest(stamped: socket.socket) -> float | None:
    """Takes every waiting stamp; the last one's moment, monotonic seconds."""
    at = None
    if sys.platform == "linux":
        with suppress(OSError):
            while True:  # until the queue of stamps is empty
                _, found, _, _ = stamped.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
                for _, kind, content in found:
                    if kind == _OPTION:
                        seconds, nanoseconds = _STAMP.unpack(content[: _STAMP.size])
                        ahead = time.time_ns() - time.monotonic_ns()
                        at = (seconds * 10**9 + nanoseconds - ahead) / 1e9
    return at
