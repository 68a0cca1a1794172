"""Patches as bytes: each is compressed against those just before it, because they look alike.

That makes a frame of four moving positions about 130 bytes instead of 320. A whole frame
starts anew, so a reader may begin at any of those, but must then read every frame in turn.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgpack

REMEMBERED = 4096  # bytes of what came before; more gains nothing
LEVEL = 6
_RAW = -zlib.MAX_WBITS  # no header: the check sum of a page is the database's affair


class FrameCodec:
    """One direction of one sequence of frames."""

    def __init__(self) -> None:
        self._before = b""

    def pack(self, tree: Any, *, whole: bool) -> bytes:
        plain = msgpack.packb(tree)
        if whole:
            squeezer = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW)
        else:
            squeezer = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW, zdict=self._before)
        self._remember(plain, whole)
        return squeezer.compress(plain) + squeezer.flush()

    def unpack(self, body: bytes, *, whole: bool) -> Any:
        """ValueError when ``body`` is not the frame that was packed here in turn."""
        try:
            opener = zlib.decompressobj(_RAW) if whole else zlib.decompressobj(_RAW, zdict=self._before)
            plain = opener.decompress(body) + opener.flush()
            if not opener.eof or opener.unused_data:
                raise ValueError("it is cut")
            tree = msgpack.unpackb(plain)
        except (zlib.error, msgpack.exceptions.UnpackException, ValueError) as error:
            raise ValueError(f"a frame cannot be read: {error}") from error
        self._remember(plain, whole)
        return tree

    def _remember(self, plain: bytes, whole: bool) -> None:
        self._before = (plain if whole else self._before + plain)[-REMEMBERED:]
