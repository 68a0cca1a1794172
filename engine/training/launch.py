"""The engine's side of the training worker: what it is asked, and a client that speaks in views and reports.

Imports nothing that compiles: the engine process starts a worker, it does not become one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict

from engine.brackets import Bracket, BracketTable
from engine.home import Home
from engine.model import ExitModel
from engine.settings import Settings, WorkbookSettings
from engine.training.report import TrainingReport
from engine.views import TrainingView
from engine.worker_pipe import WorkerClient

MODULE = "engine.training.worker"
NAME = "training worker"
REMEDY = "run 'tshc weekend' again, training resumes after the last stored cycle"


class TrainingRequest(BaseModel):
    """The one line that a training worker gets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: str
    stocks_db: str
    results_db: str
    cycles: int
    slots: int
    seed: int
    backend: str
    exhaustive: bool
    exit_model: ExitModel
    brackets: tuple[Bracket, ...]
    verify: int = 0  # batches a cycle computed by the other backend too
    workbook: WorkbookSettings = WorkbookSettings()
    lock_wait_s: float = 15.0  # wall seconds for a predecessor that is finishing its cycle

    @classmethod
    def of(cls, home: Home, settings: Settings) -> TrainingRequest:
        training = settings.training
        return cls(
            home=str(home.folder),
            stocks_db=str(home.stocks_data),
            results_db=str(home.variation_results),
            cycles=training.cycles,
            slots=training.slots,
            seed=training.seed,
            backend=training.backend,
            exhaustive=training.exhaustive,
            exit_model=training.exit_model,
            brackets=settings.execution.brackets,
            verify=training.verify,
            workbook=settings.workbook,
        )

    def line(self) -> dict[str, Any]:
        """JSON-safe, as ``WorkerClient.start`` sends it."""
        return self.model_dump(mode="json") | {"brackets": [asdict(b) for b in self.brackets]}

    def bracket_table(self) -> BracketTable:
        return BracketTable(self.brackets)


class TrainingProcess:
    """One run of the training worker.

    ``start``, then ``async for view in process.views()``; afterwards ``report`` is set. An
    OperatorError from ``views`` is the worker's own sentence, or says how it died and that
    the run can be resumed.
    """

    def __init__(self, on_log: Callable[[str], None] | None = None) -> None:
        self._client = WorkerClient(MODULE, name=NAME, remedy=REMEDY, on_log=on_log)

    @property
    def pid(self) -> int | None:
        return self._client.pid

    @property
    def running(self) -> bool:
        return self._client.running

    @property
    def report(self) -> TrainingReport | None:
        """How the run ended; None until it did."""
        return None if self._client.result is None else TrainingReport.of(self._client.result)

    async def start(self, request: TrainingRequest) -> None:
        await self._client.start(request.line())

    async def views(self) -> AsyncIterator[TrainingView]:
        """Each training view as it comes, at most about four a second; ends with the run."""
        async for payload in self._client.messages():
            yield TrainingView.model_validate(payload)

    async def pause(self) -> bool:
        """False when the worker has already ended; so for the other commands."""
        return await self._client.command("pause")

    async def resume(self) -> bool:
        return await self._client.command("resume")

    async def stop(self) -> bool:
        """Ends the run after its present cycle; ``report.stopped`` is then true."""
        return await self._client.command("stop")

    async def close(self, wait_s: float = 10.0) -> None:
        """Ends the worker after its present cycle, by force after ``wait_s`` seconds; loses no cycle."""
        await self._client.close(wait_s)

    async def run(
        self, request: TrainingRequest, on_view: Callable[[TrainingView], None] | None = None
    ) -> TrainingReport:
        """``start``, every view, the report; the worker is closed whatever happens."""
        await self.start(request)
        try:
            async for view in self.views():
                if on_view is not None:
                    on_view(view)
        finally:
            await self.close()
        assert self.report is not None
        return self.report
