"""The training worker: ``python -m engine.training.worker``, started by the engine, one run of mp1.

It holds the home's training lock as the only writer of variation_results, reads the week's
windows read-only, runs the loop beside the pipe to the engine, and ends with it. Wire:
``engine.worker_pipe``; request and answer: ``engine.training.launch``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.compute import ALGORITHMS, ComputeEngine, OfficeEngine, close_engine, open_engine
from engine.decision import overlap
from engine.errors import DataError, RefusedError
from engine.home import FileLock, Home
from engine.model import DAYS, Floats
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.cross_check import OTHER, CrossCheck
from engine.training.launch import TrainingRequest
from engine.training.mp1_loop import LoopPlan, Mp1Loop, run_key
from engine.training.mp1_p1_variation_tester import VariationTester
from engine.training.report import TrainingReport
from engine.views import TrainingView
from engine.worker_pipe import WorkerServer, serve

REFRESH_S = 1.0


async def acquire(lock: FileLock, wait_s: float) -> None:
    """Takes the lock, waiting for a predecessor that finishes its cycle; RefusedError after ``wait_s`` seconds."""
    deadline = time.monotonic() + wait_s
    while not lock.acquire():
        if time.monotonic() >= deadline:
            raise RefusedError(
                f"another training run of this home is still writing (it holds {lock.path}): "
                "wait until it has ended, or stop it with 'tshc engine stop'"
            )
        await asyncio.sleep(0.1)


async def load_week(path: Path) -> tuple[tuple[str, ...], list[Floats]]:
    """The sampled symbols and the windows of day1..day5; DataError when the days disagree."""
    stocks = await StocksDataDb.open(path, read_only=True)
    try:
        loaded = [await stocks.day_windows(day) for day in range(1, DAYS + 1)]
    finally:
        await stocks.close()
    symbols = loaded[0][0]
    if any(other != symbols for other, _ in loaded):
        raise DataError(
            "the five training days hold different tickers: run 'tshc weekend --replace' to build the week again"
        )
    return symbols, [windows for _, windows in loaded]


def _warm_up(engine: ComputeEngine, tell: Callable[[str], None]) -> None:
    what = "starting offices" if isinstance(engine, OfficeEngine) else "compiling kernels"
    engine.warm_up(lambda done, total, name: tell(f"{what} {done}/{total}: {name}"))
    overlap.warm_up(lambda done, total, name: tell(f"compiling kernels {done}/{total}: {name}"))


async def _run_telling(mp1: Mp1Loop) -> TrainingReport:
    """The run, with a view a second in between: a batch in an office takes several."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            mp1.refresh()

    telling = asyncio.create_task(tell())
    try:
        return await mp1.run()
    finally:
        telling.cancel()


async def work(server: WorkerServer) -> dict[str, Any]:
    """One run, from request to report."""
    request = TrainingRequest.model_validate(server.request)
    plan = LoopPlan(
        cycles=request.cycles,
        slots=request.slots,
        seed=request.seed,
        exhaustive=request.exhaustive,
        backend=request.backend,
    )
    state = TrainingView(state="running", backend=plan.backend, cycles=plan.cycles)

    def tell(view: TrainingView) -> None:
        server.progress(view.model_dump(mode="json"), force=True)  # the loop itself tells at most 4 Hz

    lock = FileLock(Home(Path(request.home)).training_lock)
    await acquire(lock, request.lock_wait_s)
    try:
        brackets = request.bracket_table()
        loop = asyncio.get_running_loop()

        def tell_detail(detail: str) -> None:
            loop.call_soon_threadsafe(tell, state.model_copy(update={"detail": detail}))

        with contextlib.ExitStack() as engines:

            def opened(name: str) -> ComputeEngine:
                engine = open_engine(
                    name, brackets=brackets, exit_model=request.exit_model, workbook=request.workbook
                )
                engines.callback(close_engine, engine)
                _warm_up(engine, tell_detail)
                return engine

            engine = await asyncio.to_thread(opened, request.backend)
            symbols, days = await load_week(Path(request.stocks_db))
            check = None
            if request.verify:
                other = await asyncio.to_thread(opened, OTHER[request.backend])
                check = CrossCheck(other, request.backend, symbols, days, count=request.verify, seed=request.seed)
            tester = await asyncio.to_thread(VariationTester, engine, days)
            spaces = list(ALGORITHMS.values())
            key = run_key(symbols, days, spaces, plan, brackets, request.exit_model)
            results = await VariationResultsDb.open(Path(request.results_db), spaces=spaces)
            engines_used: list[object] = [engine, check.other] if check else [engine]
            offices = [used.status for used in engines_used if isinstance(used, OfficeEngine)]
            try:
                mp1 = Mp1Loop(
                    tester, results, spaces, plan, key, tell, office=offices[0] if offices else None, check=check
                )
                server.listen(
                    lambda command: {"pause": mp1.pause, "resume": mp1.resume, "stop": mp1.stop}[command]()
                )
                report = await _run_telling(mp1)
            finally:
                await results.close()
    finally:
        lock.release()
    return report.plain()


def main() -> int:
    return serve(work)


if __name__ == "__main__":
    sys.exit(main())
