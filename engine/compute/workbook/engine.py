"""The workbook backend: evaluates windows in one or more offices at once.

The one thing to know: every office instance has a thread of its own that starts it, talks
to it and ends it (Excel's bridge demands that, and a hung office then blocks nobody else).
A call of ``evaluate`` is cut into jobs of at most 250 tickers, evenly over the instances;
its caller waits for all of them. The workbook answers PP unrounded; it is rounded here by
the function that the native backend uses, so that both give the same integers.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.brackets import DEFAULT_BRACKETS, BracketTable
from engine.compute.native import check_windows
from engine.compute.protocol import EvaluationMode, OfficeStatus, WarmUpProgress
from engine.compute.workbook.block_plan import BlockPass, plan_passes
from engine.compute.workbook.driver import BatchResult, DriverPlan, WorkbookDriver
from engine.compute.workbook.offices import WORKBOOK_FILE, find_office
from engine.errors import OperatorError
from engine.model import BATCH_TICKERS, Bools, Evaluation, ExitModel, Floats, ParameterSet, micro_percent
from engine.settings import WorkbookSettings

RATE_OVER_S = 20.0  # the shown tickers a second are those of the last so many seconds
Job = Callable[[WorkbookDriver], BatchResult | None]


class _Instance:
    """One office instance and its thread."""

    def __init__(self, plan: DriverPlan, number: int) -> None:
        self.driver = WorkbookDriver(plan, number)
        self.restarts_seen = 0
        self._jobs: queue.SimpleQueue[tuple[Job, Future[BatchResult | None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"workbook {number}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Future[BatchResult | None]:
        future: Future[BatchResult | None] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        self.driver.stop.set()
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, future = item
            try:
                future.set_result(job(self.driver))
            except BaseException as error:  # noqa: BLE001 - carried to whoever waits for the job
                future.set_exception(error)
        self.driver.close()


@dataclass
class _Rate:
    """Tickers of the last seconds, for the screen."""

    lock: threading.Lock
    marks: list[tuple[float, int]]

    def add(self, tickers: int) -> None:
        now = time.monotonic()
        with self.lock:
            self.marks.append((now, tickers))
            while self.marks and now - self.marks[0][0] > RATE_OVER_S:
                self.marks.pop(0)

    def per_second(self) -> float | None:
        with self.lock:
            marks = list(self.marks)
        span = time.monotonic() - marks[0][0] if marks else 0.0
        # the first mark says when its tickers were done, not how long they took
        return sum(n for _, n in marks[1:]) / span if len(marks) > 1 and span > 0 else None


class WorkbookEngine:
    """The workbook as a ``ComputeEngine``, for one thread at a time (``status`` for any).

    ``warm_up`` or the first call starts the offices; ``close`` ends them.
    """

    name = "workbook"

    def __init__(
        self,
        brackets: BracketTable = DEFAULT_BRACKETS,
        exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE,
        settings: WorkbookSettings | None = None,
        workbook: Path = WORKBOOK_FILE,
    ) -> None:
        self.settings = settings or WorkbookSettings()
        office = find_office(self.settings.office)
        self._plan = DriverPlan(
            office, workbook, self.settings.chunk, self.settings.deadline_s, brackets, exit_model
        )
        self._brackets, self._exit_model = brackets, exit_model
        self._instances: list[_Instance] = []
        self._rate = _Rate(threading.Lock(), [])
        self._closed = False

    # --- life --------------------------------------------------------------------------------

    def warm_up(self, progress: WarmUpProgress) -> None:
        """Starts every instance; OperatorError when the office or the workbook is not as it must be."""
        if self._closed:
            raise OperatorError("the workbook engine is closed: open another")
        if not self._instances:
            wanted = min(self.settings.instances, self._plan.office.most_instances)
            self._instances = [_Instance(self._plan, number) for number in range(1, wanted + 1)]
            opening = [instance.submit(_opened) for instance in self._instances]
            try:
                for number, future in enumerate(opening, start=1):
                    future.result()
                    progress(number, wanted, self._instances[number - 1].driver.office_version)
            except BaseException:
                self._end_instances()
                raise

    def close(self) -> None:
        """Ends every office, after its present chunk; leaves no process and no file."""
        self._closed = True
        self._end_instances()

    def _end_instances(self) -> None:
        instances, self._instances = self._instances, []
        for instance in instances:
            instance.driver.stop.set()
        for instance in instances:
            instance.close()

    def __enter__(self) -> WorkbookEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def drivers(self) -> tuple[WorkbookDriver, ...]:
        """The instances, for whoever watches them."""
        return tuple(instance.driver for instance in self._instances)

    def status(self) -> OfficeStatus:
        """What the console shows."""
        drivers = self.drivers
        return OfficeStatus(
            office=drivers[0].office_version if drivers else self._plan.office.name,
            instances=len(drivers),
            tickers=sum(driver.tickers for driver in drivers),
            tickers_per_s=self._rate.per_second(),
            restarts=sum(driver.restarts for driver in drivers),
        )

    # --- computing ---------------------------------------------------------------------------

    def evaluate(
        self, windows: Floats, parameter_sets: Sequence[ParameterSet], *, mode: EvaluationMode = "training"
    ) -> Evaluation:
        """See ``ComputeEngine.evaluate``; any number of windows and sets, in batches of 250 x 80."""
        check_windows(windows, mode)
        passes = plan_passes(parameter_sets)
        buys = np.zeros((len(windows), len(parameter_sets)), dtype=np.bool_)
        pp = np.zeros(len(windows)) if mode == "training" else None
        for each in passes if len(windows) else ():
            self._one_pass(windows, each, mode, buys, pp)
        return Evaluation(buys, None if pp is None else micro_percent(pp))

    def _one_pass(self, windows: Floats, each: BlockPass, mode: str, buys: Bools, pp: Floats | None) -> None:
        self.warm_up(lambda *_: None)
        share = min(BATCH_TICKERS, -(-len(windows) // len(self._instances)))
        waiting: list[tuple[slice, Future[BatchResult | None]]] = []
        for number, first in enumerate(range(0, len(windows), share)):
            part = slice(first, min(first + share, len(windows)))
            instance = self._instances[number % len(self._instances)]
            waiting.append((part, instance.submit(self._job(windows[part], each, mode))))
        failure: BaseException | None = None
        for part, future in waiting:
            try:
                answer = future.result()
            except BaseException as error:  # noqa: BLE001 - raised below, once no instance works on this call
                failure = failure or error
                continue
            assert answer is not None
            each.spread(answer.flags, buys[part])
            if pp is not None and answer.pp is not None:
                pp[part] = answer.pp
        if failure is not None:
            raise failure

    def _job(self, windows: Floats, each: BlockPass, mode: str) -> Job:
        def run(driver: WorkbookDriver) -> BatchResult:
            driver.write_blocks(dict(each.blocks))
            return driver.run_batch(windows, mode, self._rate.add)

        return run

    def write_blocks(self, parameter_sets: Sequence[ParameterSet]) -> None:
        """The next variations into the blocks of every instance, before their first batch."""
        blocks = dict(plan_passes(parameter_sets)[0].blocks)
        self.warm_up(lambda *_: None)

        def write(driver: WorkbookDriver) -> None:
            driver.write_blocks(blocks)

        for future in [instance.submit(write) for instance in self._instances]:
            future.result()


def _opened(driver: WorkbookDriver) -> None:
    driver.open()
