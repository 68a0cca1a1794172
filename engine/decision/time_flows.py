"""Who gave search time to whom: the ledger's pool, told as flows.

Time in a pool has no name, so the order in which it is given out again is a convention, and
this is it: a *grant* comes from the budget that nobody has held yet; *help* comes first from
what the other lanes gave back (the largest giver first), then from what the lane gave back
itself, then from the untouched budget. With it every nanosecond a lane received has exactly one
giver, and no giver gives more than it donated (both without what a lane took again itself).

A flow is what went from one giver to one taker; those of one moment are added up. What a lane
gave back and took again itself (most of it: help comes in quarter seconds, and few anchors use one
up), and what it got of the untouched budget, is no gift: it is in the totals, not among the latest.
Nothing here reads a clock: ``at`` is the time that all lanes together had used.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

BUDGET, SHUFFLES, SAVED = "budget", "shuffles", "saved"
TOGETHER_NS = 20_000_000  # used time within which flows between the same two are one
KEPT = 24


@dataclass(frozen=True, slots=True)
class Flow:
    """``giver`` and ``taker``: a lane's number, BUDGET, SHUFFLES or SAVED; times in nanoseconds."""

    giver: int | str
    taker: int | str
    amount: int
    times: int
    at: int  # used by all lanes when it happened last
    began: int  # and when it happened first


class FlowBook:
    """What every giver still has in the pool, the latest flows, and the total between each two."""

    def __init__(self, pool: int) -> None:
        self._left: dict[int | str, int] = {BUDGET: pool}
        self._recent: deque[Flow] = deque(maxlen=KEPT)
        self._totals: dict[tuple[int | str, int | str], Flow] = {}

    @property
    def recent(self) -> tuple[Flow, ...]:
        """The latest gifts from one to another, oldest first."""
        return tuple(self._recent)

    @property
    def totals(self) -> tuple[Flow, ...]:
        """Everything that ever went between two, the largest first."""
        return tuple(sorted(self._totals.values(), key=lambda flow: -flow.amount))

    def granted(self, amount: int) -> None:
        """A lane's first grant for an anchor left the pool: not a donation, but it uses the pool up."""
        for giver in self._in_order(None, budget_first=True):
            amount -= self._draw(giver, amount)

    def donated(self, giver: int | str, amount: int) -> None:
        if amount:
            self._left[giver] = self._left.get(giver, 0) + amount

    def received(self, taker: int | str, amount: int, at: int) -> int:
        """``amount`` left the pool for ``taker``; it is told who gave it. Returns what it had given itself."""
        own = 0
        for giver in self._in_order(taker, budget_first=False):
            if (part := self._draw(giver, amount)) > 0:
                amount -= part
                own += part if giver == taker else 0
                self._note(giver, taker, part, at)
        return own

    def saved(self, giver: int | str, amount: int, at: int) -> None:
        """``giver`` has ended and gave back what it did not need."""
        self.donated(giver, amount)
        if amount:
            self._note(giver, SAVED, amount, at)

    def _in_order(self, taker: int | str | None, *, budget_first: bool) -> list[int | str]:
        own = 2 if budget_first else 1

        def place(giver: int | str) -> tuple[int, int]:
            first = -1 if budget_first else 3
            rank = first if giver == BUDGET else own if giver == taker else 0
            return rank, -self._left[giver]

        return sorted(self._left, key=place)

    def _draw(self, giver: int | str, wanted: int) -> int:
        part = min(self._left[giver], max(0, wanted))
        self._left[giver] -= part
        return part

    def _note(self, giver: int | str, taker: int | str, amount: int, at: int) -> None:
        flow = Flow(giver, taker, amount, 1, at, at)
        before = self._totals.get((giver, taker))
        self._totals[giver, taker] = flow if before is None else _joined(before, flow)
        if giver == taker or (giver == BUDGET and isinstance(taker, int)):
            return
        for index in range(len(self._recent) - 1, -1, -1):
            last = self._recent[index]
            if at - last.began > TOGETHER_NS:
                break
            if (last.giver, last.taker) == (giver, taker):
                self._recent[index] = _joined(last, flow)
                return
        self._recent.append(flow)


def _joined(before: Flow, now: Flow) -> Flow:
    return replace(before, amount=before.amount + now.amount, times=before.times + now.times, at=now.at)
