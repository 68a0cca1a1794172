"""Faults on order: a short list of things that go wrong next, each a given number of times.

Kinds and their arguments (``POST /sim/faults``, a fault or a list of them):

- ``answer``: ``method``, ``path`` (a prefix), ``status`` (401, 429, 500, 504 ...), ``times``:
  the request is answered so and never reaches the venue.
- ``answer_after_accept``: the same, but the request takes effect first (the ambiguous POST).
- ``slow``: ``method``, ``path``, ``seconds`` (wall), ``times``: the answer comes late.
- ``reject_order``: ``symbol`` (empty: any), ``times``: accepted at first, rejected a moment later.
- ``partial_fill``: ``symbol``, ``times``: the order fills in two parts.
- ``refuse_cancel``: ``symbol``, ``times``: a cancel in a cancel-all answers 500 and does nothing.
- ``mute``: ``socket`` ("price" or "trade"), ``seconds`` (wall): connected, answering pings, but silent.
- ``drop``: ``socket`` ("price", "trade" or empty for both): closes the connections now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "answer", "answer_after_accept", "slow", "reject_order", "partial_fill", "refuse_cancel", "mute", "drop",
)  # fmt: skip
AT_ONCE = ("mute", "drop")  # acted upon when ordered; the others wait for their occasion


@dataclass(slots=True)
class Fault:
    kind: str
    method: str = ""
    path: str = ""
    status: int = 500
    times: int = 1
    symbol: str = ""
    socket: str = ""
    seconds: float = 0.0

    @classmethod
    def parse(cls, body: Any) -> Fault:
        """ValueError saying what is wrong with the order for a fault."""
        if not isinstance(body, Mapping) or body.get("kind") not in KINDS:
            raise ValueError(f"a fault needs a kind of {', '.join(KINDS)}")
        unknown = set(body) - set(cls.__slots__)
        if unknown:
            raise ValueError(f"unknown fault argument {', '.join(sorted(unknown))}")
        fault = cls(**body)
        if fault.socket not in ("", "price", "trade"):
            raise ValueError("socket is 'price', 'trade' or empty")
        if not (isinstance(fault.times, int) and fault.times > 0 and 100 <= int(fault.status) < 600):
            raise ValueError("times must be above 0 and status an HTTP status")
        return fault

    def json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass
class Faults:
    """The faults still to come, in the order they were asked for."""

    waiting: list[Fault] = field(default_factory=list)

    def order(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def clear(self) -> None:
        self.waiting.clear()

    def take_answer(self, kind: str, method: str, path: str) -> Fault | None:
        """The first fault of ``kind`` that this request meets, used up once."""
        return self._take(
            lambda f: f.kind == kind and f.method.upper() in ("", method) and path.startswith(f.path)
        )

    def take_order(self, kind: str, symbol: str) -> bool:
        """Whether a fault of ``kind`` meets an order in ``symbol``; used up once."""
        return self._take(lambda f: f.kind == kind and f.symbol in ("", symbol)) is not None

    def _take(self, meets: Callable[[Fault], bool]) -> Fault | None:
        for fault in self.waiting:
            if meets(fault):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None
