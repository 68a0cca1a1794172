"""The evidence lane: what the search leaves of its budget goes into shuffled weeks.

After the proof, or at the end of the search's part of the budget, the same threads take shuffles
from a queue, one each, and do to them what was done to the real week (``shuffled_weeks``; what that
is good for says ``permutation_null``). Number 0 is the real week, by the same procedure.

What counts is the unbroken row from number 1 on, so shuffles that were quick by chance are not
preferred, and neither threads nor pauses nor kills change a p: time decides only how many are
done. A kill costs the shuffles under way, each about a second at most.

Times are monotonic, a pause consumes nothing, and the time is the ledger's.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.decision.permutation_null import Shuffled, hopeless, judge, reaches
from engine.decision.search_clock import RunClock
from engine.decision.search_state import EvidenceState
from engine.decision.shuffled_weeks import FoundBest, ShuffledWeeks, WeekSearch
from engine.decision.watchdog import Ledger, LedgerSums

log = logging.getLogger(__name__)

SLICE_TESTS = 500_000  # a lane looks up this often, after some 20 ms
LEAST_S = 0.02  # wall seconds; less is not worth beginning


@dataclass(frozen=True, slots=True)
class EvidenceSnapshot:
    """The lane now; ``elapsed_s`` wall seconds without pauses."""

    state: Literal["running", "paused", "stopping", "done"]
    planned: int
    best: tuple[float, ...]  # of the shuffles that count, in order; -inf: no group passed
    observed: float | None  # the real week's best by the same procedure; None before it was searched
    elapsed_s: float
    ledger: LedgerSums

    @property
    def done(self) -> int:
        return len(self.best)


class EvidenceLane:
    """One run over one week whose search has ended; ``start``, then ``wait``, then ``result``."""

    def __init__(
        self,
        weeks: ShuffledWeeks,
        scores: Sequence[float],
        *,
        ledger: Ledger,
        threads: int,
        shuffles: int,
        time_left_s: float,
        resume: EvidenceState | None = None,
    ) -> None:
        """``scores`` of the found groups, ``time_left_s`` wall seconds.

        ``resume``: the ``state`` of an earlier life with the same week.
        """
        self._weeks, self._scores, self._time_left_s = weeks, tuple(scores), time_left_s
        self._planned = shuffles if scores else 0
        self._ledger = ledger
        ledger.inherit()
        self._found: dict[int, FoundBest] = {}
        if resume is not None:
            self._found = {number: FoundBest(score, cut) for number, score, cut in resume.found}
        self._row: list[FoundBest] = []  # what counts: numbers 1, 2, ... without a gap
        self._reached = 0  # of the row
        self._settled = False  # p > 0.05 is certain
        self._next = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._count()
        self._error: BaseException | None = None
        self._clock = RunClock(0.0 if resume is None else resume.elapsed_s)
        self._running = threads
        self._threads = [
            threading.Thread(target=self._run, name=f"evidence-{i}", daemon=True) for i in range(threads)
        ]

    # --- commands ------------------------------------------------------------------------

    def start(self) -> None:
        self._clock.start()
        if not self._planned or self._time_left_s < LEAST_S:
            self._stopping = True
        for thread in self._threads:
            thread.start()

    def pause(self) -> None:
        with self._changed:
            self._clock.pause()

    def resume(self) -> None:
        with self._changed:
            self._clock.resume()
            self._changed.notify_all()

    def stop(self) -> None:
        """Ends the lane after the present slices; the shuffles that were done count."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether the lane has ended. Raises what a thread raised."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        if self._error is not None:
            raise self._error
        return self._clock.ended

    def result(self) -> tuple[Shuffled, ...]:
        """What the shuffles say about each group, in the order of ``scores``; RuntimeError before the end."""
        if not self._clock.ended:
            raise RuntimeError("the evidence lane has not ended")
        observed = self._observed()
        quota = min(self._weeks.all_tests, self._weeks.anchor_tests)
        cut = any(found.cut for found in (observed, *self._row))
        best = [found.score for found in self._row]
        return judge(self._scores, best, observed.score, self._planned, quota if cut else None, self._weeks.scope)

    def state(self) -> EvidenceState:
        """What a later life needs to go on."""
        with self._changed:
            found = tuple((number, best.score, best.cut) for number, best in sorted(self._found.items()))
            return EvidenceState(found, self._clock.elapsed_s)

    def snapshot(self) -> EvidenceSnapshot:
        with self._changed:
            state: Literal["running", "paused", "stopping", "done"] = "running"
            if self._clock.ended:
                state = "done"
            elif self._stopping:
                state = "stopping"
            elif self._clock.paused:
                state = "paused"
            return EvidenceSnapshot(
                state=state,
                planned=self._planned,
                best=tuple(found.score for found in self._row),
                observed=self._observed().score if 0 in self._found else None,
                elapsed_s=self._clock.elapsed_s,
                ledger=self._ledger.sums(),
            )

    # --- what counts ---------------------------------------------------------------------

    def _observed(self) -> FoundBest:
        return self._found.get(0, FoundBest(math.inf, cut=False))

    def _count(self) -> None:
        """Lengthens the row by what is done, up to where p > 0.05 is certain (lock held)."""
        if 0 not in self._found or not self._planned:
            return
        highest = min(max(self._scores), self._observed().score)
        while not self._settled and len(self._row) < self._planned and len(self._row) + 1 in self._found:
            self._row.append(self._found[len(self._row) + 1])
            self._reached += reaches(self._row[-1].score, highest)
            self._settled = hopeless(self._reached, self._planned)
        self._stopping |= self._settled

    # --- the threads ---------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # wait() raises it
            log.exception("the evidence lane failed")
            with self._changed:
                self._error, self._stopping = self._error or error, True
        finally:
            with self._changed:
                self._running -= 1
                if not self._running:
                    self._clock.end()
                    self._ledger.settle()
                self._changed.notify_all()

    def _work(self) -> None:
        while (number := self._take()) is not None:
            began = time.monotonic_ns()
            week = self._weeks.begin(number)
            self._charge(began)
            if not self._search(week):
                return
            with self._changed:
                self._found[number] = week.result()
                self._count()

    def _search(self, week: WeekSearch) -> bool:
        """Whether the week was searched to its end."""
        while self._go_on():
            began = time.monotonic_ns()
            ended = week.advance(SLICE_TESTS)
            self._charge(began)
            if ended:
                return True
        return False

    def _take(self) -> int | None:
        """The next number that is not done; None at the end."""
        if not self._go_on():
            return None
        with self._changed:
            while self._next in self._found:
                self._next += 1
            number, self._next = self._next, self._next + 1
            return number if number <= self._planned else None

    def _go_on(self) -> bool:
        """Waits out a pause; False when the lane must end."""
        with self._changed:
            while self._clock.paused and not self._stopping:
                self._changed.wait()
            if self._clock.elapsed_s >= self._time_left_s:
                self._stopping = True
            return not self._stopping

    def _charge(self, began: int) -> None:
        now = time.monotonic_ns()
        with self._changed:
            self._ledger.use_evidence(now - began)
