"""The watchdog's ledger: who may use how much of the search's time, and who gave it to whom.

Capacity is threads x budget in thread-seconds. A lane (one thread) gets a *grant* for its
present anchor; what an anchor leaves unused goes back to the pool (the lane *donated* it),
and an anchor that ran out is helped from the pool (its lane *received* it). What a lane takes
again of its own is neither: else time that only went round would count many times over. Time is
kept in whole nanoseconds, so that the identity

    open grants + used + pool = capacity

holds exactly at every moment.

The policy: every anchor of a pass is first tried for 0.2 ms, best bound first. The work of an
anchor is spread over five orders of magnitude and cannot be told beforehand: in an easy week
most close within that time and donate the rest, and one that does not has shown what it needs.
Those wait with their stack until all have been tried. Then the pool helps them, and because
the gap is the largest open bound minus the threshold, it works on both ends. Two thirds of the
time go round all that wait, each round with four times the last one's grant (at most a quarter
second): many looks raise the threshold, and a higher one closes others without another test. A
third goes to the anchor of the largest bound, in steps of a quarter second: no other anchor's
time can lower it.

An equal split reaches the large bounds late and cannot narrow the gap before; without donation
what anchors leave is lost as well (``tests/benchmarks/bench_watchdog.py`` measures all three).
The weakness: where the whole proof fits into the budget, cutting anchors off and going on with
them later costs up to a fifth of the time that an equal split would take.

Nothing here reads a clock: a lane reports what it used, so a pause, in which nobody reports,
consumes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.decision.time_flows import SHUFFLES, Flow, FlowBook

SECOND = 1_000_000_000  # nanoseconds
SLICE_NS = 50_000_000  # a lane looks up from its work this often: pause, stop and donation wait no longer
FIRST_GRANT_NS = 200_000  # most anchors of an easy week close within it; the others show that they need more
DONATION_NS = 250_000_000  # at most so much before the next look at which anchor deserves it most
TURNS = 2  # so many times the help of the largest bound goes round all that wait
ROUND_FACTOR = 4  # each round over the waiting anchors helps with so many times the last one's grant


@dataclass(frozen=True, slots=True)
class LaneAccount:
    """One lane's totals in nanoseconds: granted + received = used + donated + open.

    ``donated``: given back and not taken again by the lane itself; ``received``: not its own.
    """

    granted: int = 0
    received: int = 0
    used: int = 0
    donated: int = 0

    @property
    def open(self) -> int:
        return self.granted + self.received - self.used - self.donated


@dataclass(frozen=True, slots=True)
class LedgerSums:
    """The whole ledger at one moment, thread-seconds; ``saved`` is set once the search has ended."""

    capacity: float
    open_grants: float
    used: float
    pool: float
    donated: float
    received: float
    evidence: float  # what the evidence lane was given
    evidence_used: float
    saved: float
    overrun: float  # clock time beyond the capacity, never more than one slice a lane
    flows: tuple[Flow, ...] = ()  # the latest, oldest first
    flow_totals: tuple[Flow, ...] = ()  # between each two, the largest first

    def as_dict(self) -> dict[str, float]:
        """The sums alone."""
        return {name: value for name in self.__slots__ if isinstance(value := getattr(self, name), float)}


class Ledger:
    """The transfers between pool and lanes. Not thread-safe: its owner holds a lock."""

    def __init__(self, threads: int, budget_s: float) -> None:
        """``budget_s`` wall seconds; ValueError when there is no thread or no time."""
        if threads < 1 or not 0 < budget_s < 1e9:
            raise ValueError(
                f"{threads} threads with a budget of {budget_s:g} s: both must be positive and finite"
            )
        self.capacity = threads * round(budget_s * SECOND)
        self.pool = self.capacity
        self.overrun = 0
        self.saved = 0
        self._lanes = [LaneAccount() for _ in range(threads)]
        self._evidence = LaneAccount()
        self.flows = FlowBook(self.pool)

    def add_lane(self, time_left: int) -> int:
        """A thread joins with ``time_left`` ns of its own; its number."""
        self.capacity += time_left
        self.pool += time_left
        self._lanes.append(LaneAccount())
        return len(self._lanes) - 1

    def withdraw(self, time_left: int) -> int:
        """A thread was lost with ``time_left`` ns that nobody can use; what the pool could give back of it."""
        gone = self._take(time_left)
        self.capacity -= gone
        return gone

    def lane(self, lane: int) -> LaneAccount:
        return self._lanes[lane]

    def grant(self, lane: int, wanted: int) -> int:
        """Opens a lane's new anchor with up to ``wanted`` ns from the pool; returns what it got."""
        given = self._take(wanted)
        self.flows.granted(given)
        account = self._lanes[lane]
        self._lanes[lane] = LaneAccount(account.granted + given, account.received, account.used, account.donated)
        return given

    def receive(self, lane: int, wanted: int) -> int:
        """Helps an anchor that ran out with up to ``wanted`` ns from the pool; returns what it got."""
        given = self._take(wanted)
        own = self.flows.received(lane, given, self.used)
        account = self._lanes[lane]
        received, donated = account.received + given - own, account.donated - own
        self._lanes[lane] = LaneAccount(account.granted, received, account.used, donated)
        return given

    def use(self, lane: int, spent: int) -> None:
        """Charges a slice. A slice that ran over its grant receives the rest; beyond the pool it is overrun."""
        if spent < 0:
            raise ValueError("time cannot be given back by using it")
        missing = spent - self._lanes[lane].open
        if missing > 0:
            missing -= self.receive(lane, missing)
            self.overrun += missing
            spent -= missing
        account = self._lanes[lane]
        self._lanes[lane] = LaneAccount(account.granted, account.received, account.used + spent, account.donated)

    def donate(self, lane: int) -> int:
        """Returns what the lane's present anchor has left to the pool."""
        account = self._lanes[lane]
        left = account.open
        self._lanes[lane] = LaneAccount(account.granted, account.received, account.used, account.donated + left)
        self.pool += left
        self.flows.donated(lane, left)
        return left

    def inherit(self) -> int:
        """The search has ended: the evidence lane receives the pool, ns."""
        given = self._take(self.pool)
        self.flows.received(SHUFFLES, given, self.used)
        used = self._evidence.used  # of an earlier life
        self._evidence = LaneAccount(received=used + given, used=used)
        return given

    def use_evidence(self, spent: int) -> None:
        """Charges the evidence lane; what it did beyond its inheritance is overrun."""
        if spent < 0:
            raise ValueError("time cannot be given back by using it")
        charged = min(spent, self._evidence.open)
        self.overrun += spent - charged
        account = self._evidence
        self._evidence = LaneAccount(0, account.received, account.used + charged, account.donated)

    def settle(self) -> None:
        """Everybody gives back what he holds; the pool is what was saved (until the evidence lane inherits it)."""
        for lane in range(len(self._lanes)):
            self.donate(lane)
        account, left = self._evidence, self._evidence.open
        self._evidence = LaneAccount(0, account.received, account.used, account.donated + left)
        self.pool += left
        self.flows.saved(SHUFFLES, left, self.used)
        self.saved = self.pool

    def accounts(self) -> tuple[tuple[LaneAccount, ...], LaneAccount]:
        """Every lane's account and the evidence lane's, as if all had given back what they hold."""

        def closed(account: LaneAccount) -> LaneAccount:
            given_back = account.donated + account.open
            return LaneAccount(account.granted, account.received, account.used, given_back)

        return tuple(closed(account) for account in self._lanes), closed(self._evidence)

    def restore(self, lanes: Sequence[LaneAccount], evidence: LaneAccount) -> None:
        """Takes over the closed accounts of an earlier life with as many lanes; ValueError for others."""
        if len(lanes) != len(self._lanes) or any(account.open for account in (*lanes, evidence)):
            raise ValueError(f"{len(lanes)} accounts for {len(self._lanes)} lanes, or an account is open")
        self._lanes, self._evidence = list(lanes), evidence
        used = sum(account.used for account in self._accounts())
        if used > self.capacity:
            raise ValueError("the accounts use more than the capacity")
        self.pool = self.capacity - used
        self.flows = FlowBook(self.pool)  # who gave what before is not known any more

    def sums(self) -> LedgerSums:
        return LedgerSums(
            capacity=self.capacity / SECOND,
            open_grants=self.open_grants / SECOND,
            used=self.used / SECOND,
            pool=self.pool / SECOND,
            donated=sum(a.donated for a in self._lanes) / SECOND,
            received=sum(a.received for a in self._lanes) / SECOND,
            evidence=self._evidence.received / SECOND,
            evidence_used=self._evidence.used / SECOND,
            saved=self.saved / SECOND,
            overrun=self.overrun / SECOND,
            flows=self.flows.recent,
            flow_totals=self.flows.totals,
        )

    @property
    def open_grants(self) -> int:
        return sum(a.open for a in self._accounts())

    @property
    def used(self) -> int:
        return sum(a.used for a in self._accounts())

    def _accounts(self) -> Iterable[LaneAccount]:
        yield from self._lanes
        yield self._evidence

    def _take(self, wanted: int) -> int:
        given = max(0, min(wanted, self.pool))
        self.pool -= given
        return given


@dataclass(frozen=True, slots=True)
class Policy:
    """How the pool is shared out; the search uses ``DONATING``, the others are what it is measured against."""

    largest_first_grant: int  # ns
    helps: bool  # an anchor that ran out may be helped from the pool
    rounds: bool = False  # help also goes round all that wait; else all of it to the largest bound

    def first_grant(self, pool: int, anchors_open: int) -> int:
        """What an anchor begins with, ns: a fair share of the pool, but no more than most anchors need."""
        return min(self.largest_first_grant, pool // max(1, anchors_open))


DONATING = Policy(FIRST_GRANT_NS, helps=True, rounds=True)
EQUAL_SPLIT = Policy(2**62, helps=True)  # the same part for everybody; only what is left in the end helps
NO_DONATION = Policy(2**62, helps=False)


def donation(pool: int, lanes: int, round_: int | None = None) -> int:
    """What an anchor that ran out is helped with, ns: a quarter second, or its ``round_``'s grant.

    At most a lane's part of the pool, and never nothing while the pool holds something.
    """
    most = DONATION_NS
    if round_ is not None and round_ < 20:
        most = min(DONATION_NS, FIRST_GRANT_NS * ROUND_FACTOR ** (round_ + 1))
    return min(pool, max(1, min(most, pool // max(1, lanes))))


def pass_allowance(used: int, capacity: int, *, final: bool) -> int:
    """Up to which used total, ns, a pass of the iterative deepening may go: a quarter of what is left.

    The last pass has no limit: it alone can complete the proof.
    """
    return capacity if final else used + (capacity - used) // 4
