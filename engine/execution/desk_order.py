"""One of our orders in the engine's memory: the intent, what the broker said, what is booked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from engine.orders_model import OrderIntent, OrderState


@dataclass(eq=False)
class DeskOrder:
    """One of our orders: the intent and what is known of it."""

    intent: OrderIntent
    state: OrderState | None = None
    filled: int = 0  # shares booked
    cost: Decimal = Decimal(0)  # dollars of the booked shares
    problem: str = ""  # "refused: ...", "unknown", "absent"; empty while all is well
    doubted: bool = False  # its request got no usable answer: it may still arrive at the broker
    cancel_asked: bool = False  # by us, in this life of the engine
    sending: bool = False  # its request is under way: nobody else may judge it
    changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def ended(self) -> bool:
        """Nothing more can happen to it: terminal and all booked, refused, or certainly never there."""
        if self.state is not None:
            return self.state.terminal and self.filled >= self.state.filled_shares
        return self.problem.startswith("refused") or self.problem == "absent"

    @property
    def unresolved(self) -> bool:
        """Nobody knows whether the broker has it."""
        return self.state is None and not self.ended and not self.sending

    @property
    def status(self) -> str:
        return self.state.status if self.state is not None else self.problem or "intent"

    @property
    def remaining(self) -> int:
        return self.intent.shares - self.filled
