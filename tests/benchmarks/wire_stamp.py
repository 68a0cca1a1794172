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
        if sys.platform == "linux":
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _OPTION, _OF_SOFTWARE_SENDS)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if sys.platform == "linux":
                with suppress(OSError):
                    self._socket.setsockopt(socket.SOL_SOCKET, _OPTION, 0)
                    while True:  # until the queue of stamps is empty
                        _, found, _, _ = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
                        for _, kind, content in found:
                            if kind == _OPTION:
                                seconds, nanoseconds = _STAMP.unpack(content[: _STAMP.size])
                                ahead = time.time_ns() - time.monotonic_ns()
                                self.at = (seconds * 10**9 + nanoseconds - ahead) / 1e9
        finally:
            self._socket.close()
