"""mp1_loop: N cycles of testing (mp1_p1), recording, and proposing the next sets (mp1_p2).

The one thing to know: a cycle is all or nothing. Its results are one transaction, and what
the next cycle tests is a pure function of the data, the seed and the stored results. So a
run that is killed at any moment and started again ends with the same tables as one that was
never touched; the run key, stored with the results, refuses to continue them with other
data or settings.

An exhaustive run tests every parameter set of every algorithm instead: the spaces in their
order, each enumerated in lexicographic order, 2,560 sets a cycle, cycles counted from 1.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from engine.brackets import BracketTable
from engine.compute import OfficeStatus
from engine.errors import RefusedError
from engine.model import BATCHES, DAYS, TICKERS, ExitModel, Floats, ParameterSet
from engine.records import VariationResult
from engine.spaces import ParameterSpace
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.cross_check import CrossCheck
from engine.training.mp1_p1_variation_tester import VariationTester
from engine.training.mp1_p2_optimizer import propose
from engine.training.report import TrainingReport
from engine.training.results_book import ResultsBook
from engine.views import TrainingView

EXHAUSTIVE_SETS = 2_560  # a cycle of an exhaustive run
TELL_INTERVAL = 0.25  # wall seconds between two progress views
SMOOTHING = 0.2  # weight of the newest cycle in the shown times

State = Literal["idle", "running", "paused", "stopping", "done", "failed"]


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """What a run is asked to do. ``cycles`` and ``slots`` mean nothing to an exhaustive one."""

    cycles: int = 200
    slots: int = 8  # new parameter sets of each algorithm a cycle
    seed: int = 1
    exhaustive: bool = False
    backend: str = "native"


def run_key(
    symbols: Sequence[str],
    days: Sequence[Floats],
    spaces: Sequence[ParameterSpace],
    plan: LoopPlan,
    brackets: BracketTable,
    exit_model: ExitModel,
) -> str:
    """What the results of a run depend on, as JSON of named parts (data and tables as digests).

    The number of cycles and the backend are not among them: a run may be prolonged, and both
    backends compute the same.
    """
    data = hashlib.sha256("\n".join(symbols).encode())
    for windows in days:
        data.update(np.ascontiguousarray(windows, dtype="<f8").tobytes())
    shapes = [
        [s.algorithm, s.rising, [[p.name, p.low, p.high, str(p.step)] for p in s.parameters]] for s in spaces
    ]
    parts = {
        "data": data.hexdigest()[:16],
        "spaces": _digest(shapes),
        "exit model": str(exit_model),
        "brackets": _digest([asdict(b) for b in brackets]),
        "exhaustive": plan.exhaustive,
        "seed": None if plan.exhaustive else plan.seed,
        "slots": None if plan.exhaustive else plan.slots,
    }
    return json.dumps(parts, sort_keys=True)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _refusal(stored: str, wanted: str) -> str:
    old, new = json.loads(stored), json.loads(wanted)
    changed = [
        f"{name} ({old.get(name)} before, {new.get(name)} now)"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    return (
        f"the stored training results were made with another {', '.join(changed)} and cannot be continued: "
        "run 'tshc weekend --replace', it archives and wipes them first, or set the old values again"
    )


class _CycleClock:
    """Smoothed times of the cycles of this run, without what was paused."""

    def __init__(self) -> None:
        self.kernel_ms: float | None = None
        self.cycle_ms: float | None = None
        self.evaluations_per_s: float | None = None
        self._cycle_at = self._kernels_at = 0.0
        self._kernels_s = self._held_s = 0.0

    def begin(self) -> None:
        self._cycle_at, self._held_s = time.monotonic(), 0.0

    def kernels_begin(self) -> None:
        self._kernels_at = time.monotonic()

    def batch_done(self) -> None:
        self._kernels_s = time.monotonic() - self._kernels_at - self._held_s

    def forget(self, seconds: float) -> None:
        """Leaves a pause inside the kernels' time out of every measure."""
        self._held_s += seconds

    def end(self, evaluations: int) -> None:
        """``evaluations``: parameter sets times windows of the cycle."""
        cycle_ms = 1000.0 * (time.monotonic() - self._cycle_at - self._held_s)
        kernel_ms = 1000.0 * self._kernels_s
        self.cycle_ms = _smoothed(self.cycle_ms, cycle_ms)
        self.kernel_ms = _smoothed(self.kernel_ms, kernel_ms)
        if kernel_ms > 0:
            self.evaluations_per_s = _smoothed(self.evaluations_per_s, 1000.0 * evaluations / kernel_ms)


def _smoothed(before: float | None, now: float) -> float:
    return now if before is None else before + SMOOTHING * (now - before)


class Mp1Loop:
    """One run of the training loop. Build it, ``await run()``; command it from the same event loop.

    ``on_progress`` gets the latest view at most 4 times a second and at every change of state.
    ``office`` says how a workbook engine is doing; ``check`` compares batches with the other backend.
    """

    def __init__(
        self,
        tester: VariationTester,
        results: VariationResultsDb,
        spaces: Sequence[ParameterSpace],
        plan: LoopPlan,
        key: str,
        on_progress: Callable[[TrainingView], None] | None = None,
        *,
        office: Callable[[], OfficeStatus] | None = None,
        check: CrossCheck | None = None,
    ) -> None:
        self._office, self._check = office, check
        self._tester, self._results, self._plan, self._key = tester, results, plan, key
        self._books = {space.algorithm: ResultsBook(space) for space in spaces}
        self._on_progress = on_progress
        self._state: State = "idle"
        self._go = threading.Event()
        self._go.set()
        self._stopping = False
        self._cycle = self._resumed_at = 0
        self._grid = [[False] * BATCHES for _ in range(DAYS)]
        self._clock = _CycleClock()
        self._told_at = 0.0
        self._rows = tuple(book.row() for book in self._books.values())
        self._cycles = plan.cycles
        if plan.exhaustive:
            total = sum(space.size for space in spaces)
            self._cycles = -(-total // EXHAUSTIVE_SETS)

    # --- commands, in the event loop -----------------------------------------------------------

    def pause(self) -> None:
        """Holds the run after the present batch of tickers; nothing is lost and nothing is consumed."""
        if self._state in ("idle", "running"):
            self._go.clear()
            self._become("paused")

    def resume(self) -> None:
        if self._state == "paused":
            self._go.set()
            self._become("running")

    def stop(self) -> None:
        """Ends the run after the present cycle, which is stored; a paused run finishes its cycle first."""
        if self._state in ("running", "paused", "idle"):
            self._stopping = True
            self._go.set()
            self._become("stopping")

    # --- the run -------------------------------------------------------------------------------

    async def run(self) -> TrainingReport:
        """Continues after the last stored cycle until the plan is fulfilled, exhausted or stopped.

        Raises RefusedError when the stored results belong to another run, and whatever the
        compute engine or the database raise; every cycle told as done is stored.
        """
        started = time.monotonic()
        try:
            await self._restore()
            if not self._stopping:
                self._become("running" if self._go.is_set() else "paused")
            while self._cycle < self._cycles and not self._stopping:
                if not await self._next_cycle():
                    break
        except BaseException:
            self._state = "failed"
            raise
        exhausted = tuple(a for a, book in self._books.items() if book.exhausted)
        stopped = self._stopping and self._cycle < self._cycles
        self._become("done")
        return TrainingReport(
            cycle=self._cycle,
            cycles=self._cycles,
            resumed_at=self._resumed_at,
            stopped=stopped,
            distinct=sum(book.tested for book in self._books.values()),
            tested={a: book.tested for a, book in self._books.items()},
            exhausted=exhausted,
            seconds=time.monotonic() - started,
            verified=self._check.batches if self._check else 0,
            ties=tuple(self._check.ties) if self._check else (),
            restarts=self._office().restarts if self._office else 0,
        )

    async def _restore(self) -> None:
        stored = await self._results.run_key()
        self._cycle = self._resumed_at = await self._results.last_cycle()
        if stored is None:
            if self._cycle:
                raise RefusedError(
                    f"{self._results.path} holds {self._cycle} cycles that do not say what they were trained on: "
                    "run 'tshc weekend --replace', it archives and wipes them first"
                )
            await self._results.set_run_key(self._key)
        elif stored != self._key:
            if self._cycle:
                raise RefusedError(_refusal(stored, self._key))
            await self._results.set_run_key(self._key)
        for book in self._books.values():
            rows = await self._results.results(book.space)
            await asyncio.to_thread(book.restore, rows)
        self._rows = tuple(book.row() for book in self._books.values())

    async def _next_cycle(self) -> bool:
        """One cycle: propose, test, record. False when nothing is left to test."""
        loop = asyncio.get_running_loop()
        cycle = self._cycle + 1
        self._clock.begin()
        rows = await asyncio.to_thread(self._computed, cycle, loop)
        if not rows:
            return False
        await self._results.append_cycle(cycle, rows)
        self._cycle = cycle
        self._rows = tuple(book.row() for book in self._books.values())
        self._clock.end(len(rows) * DAYS * TICKERS)
        self._tell()
        return True

    def _computed(self, cycle: int, loop: asyncio.AbstractEventLoop) -> list[VariationResult]:
        """The cycle's results with overlaps. In a thread: kernels and proposals leave the event loop free."""
        sets = self._sets(cycle)
        if not sets:
            return []
        self._grid = [[False] * BATCHES for _ in range(DAYS)]
        self._clock.kernels_begin()

        def batch_done(day: int, batch: int) -> None:
            self._clock.batch_done()
            self._grid[day - 1][batch - 1] = True
            if time.monotonic() - self._told_at >= TELL_INTERVAL:
                loop.call_soon_threadsafe(self._tell)
            if not self._go.is_set():
                held = time.monotonic()
                self._go.wait()
                self._clock.forget(time.monotonic() - held)

        if self._check is None:
            measured = self._tester.test(sets, cycle=cycle, on_batch=batch_done)
        else:
            chosen = self._check.chosen(cycle)
            measured = self._tester.test(
                sets, cycle=cycle, on_batch=batch_done, check=self._check.compare, checked=chosen
            )
        by_algorithm: dict[str, list[VariationResult]] = {}
        for result in measured:
            by_algorithm.setdefault(result.algorithm, []).append(result)
        finished: list[VariationResult] = []
        for algorithm, results in by_algorithm.items():
            finished += self._books[algorithm].add(results)
        return finished

    def _sets(self, cycle: int) -> list[ParameterSet]:
        plan = self._plan
        if plan.exhaustive:
            every = (
                ParameterSet(algorithm, values)
                for algorithm, book in self._books.items()
                for values in book.space.enumerate()
            )
            first = (cycle - 1) * EXHAUSTIVE_SETS
            return list(itertools.islice(every, first, first + EXHAUSTIVE_SETS))
        return [
            proposed
            for book in self._books.values()
            for proposed in propose(book.space, book.history, plan.slots, plan.seed)
        ]

    # --- what it tells -------------------------------------------------------------------------

    def view(self) -> TrainingView:
        """The present truth for the training screen."""
        clock, left = self._clock, max(0, self._cycles - self._cycle)
        exhausted = [row.name for row in self._rows if row.tested >= row.space]
        details = []
        if self._resumed_at:
            details.append(f"resumed after cycle {self._resumed_at}")
        if exhausted:
            details.append(f"every set tested: {', '.join(exhausted)}")
        office, check = self._office() if self._office else None, self._check
        return TrainingView(
            state=self._state,
            backend=self._plan.backend,
            cycle=self._cycle,
            cycles=self._cycles,
            kernel_ms=clock.kernel_ms,
            cycle_ms=clock.cycle_ms,
            eta_s=None if clock.cycle_ms is None else left * clock.cycle_ms / 1000.0,
            evaluations_per_s=clock.evaluations_per_s,
            distinct=sum(row.tested for row in self._rows),
            batches=tuple(tuple(day) for day in self._grid),
            algorithms=self._rows,
            detail="; ".join(details),
            office=office.office if office else "",
            instances=office.instances if office else 0,
            tickers_per_s=office.tickers_per_s if office else None,
            restarts=office.restarts if office else 0,
            verified=check.batches if check else 0,
            ties=tuple(check.ties) if check else (),
        )

    def refresh(self) -> None:
        """Tells the present view again: a batch in an office takes seconds, and no screen should stand still."""
        self._tell()

    def _become(self, state: State) -> None:
        self._state = state
        self._tell(force=True)

    def _tell(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self._on_progress is not None and (force or now - self._told_at >= TELL_INTERVAL):
            self._told_at = now
            self._on_progress(self.view())
