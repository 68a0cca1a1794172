"""Faults on order: a short list of things that go wrong next, each a given number of times.

Kinds and their arguments (``POST /sim/faults``, a fault or a list of them):

- ``answer``: ``method``, ``path`` (a prefix), ``status`` (401, 429, 500, 504 ...), ``times``:
  the request is answered so and never reaches the venue.
- ``echo``: the same, by a careless gateway: the message repeats the headers that it was sent, keys and all
  (status 200: a page instead of JSON).
- ``answer_after_accept``: the same as ``answer``, but the request takes effect first (the ambiguous POST).
- ``slow``, ``slow_after_accept``: ``method``, ``path``, ``seconds`` (wall), ``times``: the answer comes late;
  the request takes effect after the wait, or before it, also when its sender has hung up meanwhile.
- ``drip``: ``method``, ``path``, ``seconds`` (wall), ``times``: the request takes effect at once, its answer comes
  byte by byte over that time.
- ``hang_up``, ``hang_up_after_accept``: the same without ``seconds``: the connection ends instead of an answer.
- ``refuse_order``: ``symbol``, ``reason`` (held, wash_trade, buying_power, not_tradable), ``times``: refused in
  the venue's words.
- ``reject_order``: ``symbol`` (empty: any), ``times``: accepted at first, rejected a moment later.
- ``partial_fill``: ``symbol``, ``times``: the order fills in two parts.
- ``refuse_cancel``: ``symbol``, ``times``: a cancel in a cancel-all answers 500 and does nothing.
- ``lose_cancel``: ``symbol``, ``times``: a cancel is taken (204) and never takes effect.
- ``lose_update``, ``duplicate_update``, ``swap_updates``: ``symbol``, ``times``: an order update is never told,
  told twice, or told after the one that follows it.
- ``mute``: ``socket`` ("price" or "trade"), ``seconds`` (wall): connected, answering pings, but silent.
- ``drop``: ``socket`` ("price", "trade" or empty for both): closes the connections now.
- ``socket_error``: ``status`` (406, 407, 409 ...), ``times``: price connections end with this code; all but 407
  also meet the next ``times`` logins. 405 ends nothing: the next ``times`` subscriptions are refused.
- ``halt``: ``symbol`` (empty: all that have orders or positions), ``market_seconds``, ``gap_pct``: no fills and no
  prices, then trading resumes at a price so much above (or below) the last one.
- ``early_close``: ``market_seconds``: the session in progress closes at the first whole minute after that.
- ``clock_skew``: ``market_seconds``: the venue's clock answers are off by so much until the faults are cleared.

A script (``tshc sim --faults FILE``) adds ``at``: see ``fault_script``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.simulator.orders import FORBIDDEN, UNPROCESSABLE, VenueError

KINDS = (
    "answer", "echo", "answer_after_accept", "slow", "slow_after_accept", "drip",
    "hang_up", "hang_up_after_accept",
    "refuse_order", "reject_order", "partial_fill", "refuse_cancel", "lose_cancel",
    "lose_update", "duplicate_update", "swap_updates",
    "mute", "drop", "socket_error", "halt", "early_close", "clock_skew",
)  # fmt: skip
# Acted upon when ordered; the others wait for their occasion.
AT_ONCE = ("mute", "drop", "socket_error", "halt", "early_close", "clock_skew")
REASONS = ("held", "wash_trade", "buying_power", "not_tradable")


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
    market_seconds: float = 0.0
    gap_pct: float = 0.0
    reason: str = ""

    @classmethod
    def parse(cls, body: Any) -> Fault:
        """ValueError saying what is wrong with the order for a fault."""
        if not isinstance(body, Mapping) or body.get("kind") not in KINDS:
            raise ValueError(f"a fault needs a kind of {', '.join(KINDS)}")
        unknown = set(body) - set(cls.__slots__)
        if unknown:
            raise ValueError(f"unknown fault argument {', '.join(sorted(unknown))}")
        for name in ("status", "times", "seconds", "market_seconds", "gap_pct"):
            value = body.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} is a number, not {value!r}")
        fault = cls(**body)
        if fault.socket not in ("", "price", "trade"):
            raise ValueError("socket is 'price', 'trade' or empty")
        if not (isinstance(fault.times, int) and fault.times > 0 and 100 <= int(fault.status) < 600):
            raise ValueError("times must be above 0 and status an HTTP status")
        if (fault.kind == "refuse_order") != (fault.reason in REASONS):
            raise ValueError(f"refuse_order, and nothing else, needs a reason of {', '.join(REASONS)}")
        if fault.kind in ("halt", "early_close") and fault.market_seconds <= 0:
            raise ValueError(f"{fault.kind} needs market_seconds above 0")
        if not -90 <= fault.gap_pct <= 900:
            raise ValueError("gap_pct lies between -90 and 900")
        return fault

    def json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass
class Faults:
    """The faults still to come, in the order they were asked for."""

    waiting: list[Fault] = field(default_factory=list)
    held_back: int = 0  # requests that a ``slow`` keeps from taking effect right now

    def order(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def clear(self) -> None:
        self.waiting.clear()

    def take_answer(self, kind: str, method: str, path: str) -> Fault | None:
        """The first fault of ``kind`` that this request meets, used up once."""
        return self._take(
            lambda f: f.kind == kind and f.method.upper() in ("", method) and path.startswith(f.path)
        )

    def refusal(self, symbol: str, shares: str) -> VenueError | None:
        """What a ``refuse_order`` says to an order in ``symbol``, if there is one; used up once."""
        fault = self._take(lambda f: f.kind == "refuse_order" and f.symbol in ("", symbol))
        if fault is None:
            return None
        if fault.reason == "held":
            words = f"insufficient qty available for order (requested: {shares}, available: 0)"
            return VenueError(403, FORBIDDEN, words, symbol=symbol, available="0")
        if fault.reason == "wash_trade":
            words = "potential wash trade detected. use complex orders"
            return VenueError(403, FORBIDDEN, words, reject_reason="opposite side market order exists")
        if fault.reason == "buying_power":
            return VenueError(403, FORBIDDEN, "insufficient buying power", buying_power="0", cost_basis="1")
        return VenueError(422, UNPROCESSABLE, f'asset "{symbol}" is not tradable')

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
