"""How much may be asked: seconds, tokens and dollars, of one run and of one day.

What a request may cost at most is taken before it is sent and given back when its true
cost is known, so that twenty requests in flight cannot pass a limit together. Nothing is
given back when the cost stays unknown: a server may charge for an answer that never came.
Money is in whole micro-dollars. Pure but for the clock that is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.settings import QualSettings

CHARACTERS_PER_TOKEN = 3.0  # English has about four; erring upward is erring to the safe side


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used of a run or a day."""

    seconds: float = 0.0  # of requests, added up
    tokens: int = 0
    cost_micro: int = 0  # micro-dollars

    def plus(self, other: Spent) -> Spent:
        return Spent(self.seconds + other.seconds, self.tokens + other.tokens, self.cost_micro + other.cost_micro)

    def minus(self, other: Spent) -> Spent:
        return Spent(self.seconds - other.seconds, self.tokens - other.tokens, self.cost_micro - other.cost_micro)


class LimitReached(Exception):  # noqa: N818 (an answer, not a fault)
    """The request is not sent; the sentence names the limit and its setting."""


class SpendingMeter:
    """The limits of one run, begun with what the day has already used."""

    def __init__(self, settings: QualSettings, today: Spent, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._before = today
        self._used = Spent()
        self._taken = Spent()  # by requests in flight
        self._deadline = clock() + settings.run_time_s

    @property
    def used(self) -> Spent:
        """By this run, without what is in flight."""
        return self._used

    def seconds_left(self) -> float:
        """Wall seconds until this run must have its last answer."""
        return max(0.0, self._deadline - self._clock())

    def price(self, tokens_in: int, tokens_out: int) -> int:
        """Micro-dollars: a dollar per million tokens is a micro-dollar a token."""
        s = self._settings
        return math.ceil(tokens_in * (s.price_in or 0.0) + tokens_out * (s.price_out or 0.0))

    def most(self, characters: int) -> Spent:
        """What a request of so many characters may use of tokens and money."""
        tokens_in = math.ceil(characters / CHARACTERS_PER_TOKEN)
        tokens_out = self._settings.answer_tokens
        return Spent(0.0, tokens_in + tokens_out, self.price(tokens_in, tokens_out))

    def take(self, most: Spent) -> None:
        """Takes what a request may use. LimitReached when the run or the day does not have it."""
        s = self._settings
        if self.seconds_left() <= 0:
            raise LimitReached(f"the run's time is used up ({s.run_time_s:g} s, qual.run_time_s)")
        run = self._used.plus(self._taken).plus(most)
        day = run.plus(self._before)
        if day.seconds >= s.day_time_s:
            raise LimitReached(f"the day's time is used up ({s.day_time_s:g} s, qual.day_time_s)")
        for spent, tokens, cost, which in (
            (run, s.run_tokens, s.run_cost, "run"),
            (day, s.day_tokens, s.day_cost, "day"),
        ):
            if spent.tokens > tokens:
                raise LimitReached(f"the {which}'s tokens are used up ({tokens:,}, qual.{which}_tokens)")
            if spent.cost_micro > round(cost * 1e6):
                raise LimitReached(f"the {which}'s money is used up ({cost:g} $, qual.{which}_cost)")
        self._taken = self._taken.plus(most)

    def settle(self, most: Spent, true: Spent) -> None:
        """Gives back what was taken for a request and books what it used."""
        self._taken = self._taken.minus(most)
        self._used = self._used.plus(true)

    def unknown(self, most: Spent, seconds: float) -> Spent:
        """What is booked for a request whose cost nobody told: all of it."""
        return replace(most, seconds=seconds)
