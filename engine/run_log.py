"""The journal's run log: which run and which stage began, ended, failed - and where a killed one resumes.

A run ("weekend-3") is unfinished until somebody finishes it; a stage is a row of its run with
the digest of its inputs and a small JSON payload that the stage replaces as it gets on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiosqlite

from engine.database import Database, Row
from engine.errors import StorageError
from engine.model import UTC, utc_text

RUN_LOG_MIGRATION = (
    """CREATE TABLE runs (
        run TEXT PRIMARY KEY, number INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
        started TEXT NOT NULL, ended TEXT, payload TEXT NOT NULL, note TEXT NOT NULL, UNIQUE (kind, number))""",
    """CREATE TABLE stage_runs (
        run TEXT NOT NULL REFERENCES runs (run), stage TEXT NOT NULL, position INTEGER NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL, started TEXT NOT NULL, ended TEXT, digest TEXT NOT NULL,
        note TEXT NOT NULL, progress TEXT NOT NULL, PRIMARY KEY (run, stage))""",
)
_STAGE_COLUMNS = "run, stage, state, attempts, started, ended, digest, note, progress"
_STAGE_SELECT = f"SELECT {_STAGE_COLUMNS} FROM stage_runs WHERE run = ? AND stage = ?"


def now_text() -> str:
    """Wall time as stored."""
    return utc_text(datetime.now(UTC))


def time_or_none(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class StageRun:
    """One stage of one run; ``progress`` is what the stage needs to go on after a kill."""

    run: str
    stage: str
    state: str  # "running", "done", "failed"
    attempts: int
    started: datetime
    ended: datetime | None
    digest: str  # of the stage's inputs
    note: str
    progress: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One weekend or weekday run; ``payload`` is what it was started with (settings, dates)."""

    run: str
    kind: str
    state: str  # "running", "done", "failed", "abandoned"
    started: datetime
    ended: datetime | None
    payload: dict[str, Any]
    note: str


class RunLog(Database):
    """The runs' part of ``JournalDb``."""

    async def begin_run(self, kind: str, payload: Mapping[str, Any] | None = None) -> Run:
        """Starts a run ("weekend", "weekday"); StorageError while one of its kind is unfinished."""
        async with self.transaction() as connection:
            known = list(
                await connection.execute_fetchall(
                    "SELECT run, state FROM runs WHERE kind = ? AND state = 'running'", (kind,)
                )
            )
            if known:
                raise StorageError(
                    f"the {kind} run {known[0][0]} is unfinished: 'tshc {kind}' resumes it, it cannot begin anew"
                )
            last = await connection.execute_fetchall("SELECT MAX(number) FROM runs WHERE kind = ?", (kind,))
            number = int(next(iter(last))[0] or 0) + 1
            run = f"{kind}-{number}"
            await connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, 'running', ?, NULL, ?, '')",
                (run, number, kind, now_text(), json.dumps(dict(payload or {}), sort_keys=True)),
            )
            row = next(iter(await connection.execute_fetchall("SELECT * FROM runs WHERE run = ?", (run,))))
        return _run(tuple(row))

    async def finish_run(self, run: str, state: str = "done", note: str = "") -> None:
        """Ends a run: "done", "failed" or "abandoned"; it will not be resumed."""
        async with self.transaction() as connection:
            await _one(
                await connection.execute(
                    "UPDATE runs SET state = ?, ended = ?, note = ? WHERE run = ?", (state, now_text(), note, run)
                ),
                f"run {run}",
            )

    async def unfinished_run(self, kind: str) -> Run | None:
        """The run of this kind that a killed or stopped engine left behind, or None."""
        row = await self.row("SELECT * FROM runs WHERE kind = ? AND state = 'running'", (kind,))
        return None if row is None else _run(row)

    async def last_run(self, kind: str) -> Run | None:
        row = await self.row("SELECT * FROM runs WHERE kind = ? ORDER BY number DESC LIMIT 1", (kind,))
        return None if row is None else _run(row)

    async def begin_stage(self, run: str, stage: str, digest: str = "") -> StageRun:
        """Marks the stage running: its first attempt, or the next one with the progress it left behind.

        Other inputs (another ``digest``) make the old progress worthless: it is dropped.
        """
        async with self.transaction() as connection:
            known = list(
                await connection.execute_fetchall(
                    "SELECT digest FROM stage_runs WHERE run = ? AND stage = ?", (run, stage)
                )
            )
            if not known:
                await connection.execute(
                    "INSERT INTO stage_runs VALUES (?, ?, (SELECT COUNT(*) + 1 FROM stage_runs WHERE run = ?), "
                    "'running', 1, ?, NULL, ?, '', '{}')",
                    (run, stage, run, now_text(), digest),
                )
            else:
                await connection.execute(
                    "UPDATE stage_runs SET state = 'running', attempts = attempts + 1, started = ?, ended = NULL, "
                    "note = '', progress = CASE WHEN digest = ? THEN progress ELSE '{}' END, digest = ? "
                    "WHERE run = ? AND stage = ?",
                    (now_text(), digest, digest, run, stage),
                )
            row = next(iter(await connection.execute_fetchall(_STAGE_SELECT, (run, stage))))
        return _stage(tuple(row))

    async def finish_stage(self, run: str, stage: str, note: str = "") -> None:
        await self._end_stage(run, stage, "done", note)

    async def fail_stage(self, run: str, stage: str, note: str) -> None:
        """The stage could not do its work; ``note`` is what the operator was told. Its progress stays."""
        await self._end_stage(run, stage, "failed", note)

    async def _end_stage(self, run: str, stage: str, state: str, note: str) -> None:
        async with self.transaction() as connection:
            await _one(
                await connection.execute(
                    "UPDATE stage_runs SET state = ?, ended = ?, note = ? WHERE run = ? AND stage = ?",
                    (state, now_text(), note, run, stage),
                ),
                f"stage {stage} of run {run}",
            )

    async def stage_state(self, run: str, stage: str) -> StageRun | None:
        """Where the stage stands, or None when it has not begun."""
        row = await self.row(_STAGE_SELECT, (run, stage))
        return None if row is None else _stage(row)

    async def stages(self, run: str) -> list[StageRun]:
        """The run's stages in the order they began."""
        rows = await self.rows(
            f"SELECT {_STAGE_COLUMNS} FROM stage_runs WHERE run = ? ORDER BY position",
            (run,),
        )
        return [_stage(row) for row in rows]

    async def set_stage_progress(self, run: str, stage: str, progress: Mapping[str, Any]) -> None:
        """Replaces what the stage needs to go on after a kill; on disk when it returns."""
        async with self.transaction() as connection:
            await _one(
                await connection.execute(
                    "UPDATE stage_runs SET progress = ? WHERE run = ? AND stage = ?",
                    (json.dumps(dict(progress), sort_keys=True), run, stage),
                ),
                f"stage {stage} of run {run}",
            )

    async def stage_progress(self, run: str, stage: str) -> dict[str, Any]:
        """What the stage last stored, {} at the beginning."""
        found = await self.stage_state(run, stage)
        return {} if found is None else found.progress


async def _one(cursor: aiosqlite.Cursor, what: str) -> None:
    if cursor.rowcount != 1:
        raise ValueError(f"{what} is not in the journal: it was never begun")


def _run(row: Row) -> Run:
    return Run(
        run=row[0], kind=row[2], state=row[3], started=datetime.fromisoformat(row[4]), ended=time_or_none(row[5]),
        payload=json.loads(row[6]), note=row[7],
    )  # fmt: skip


def _stage(row: Row) -> StageRun:
    return StageRun(
        run=row[0], stage=row[1], state=row[2], attempts=row[3], started=datetime.fromisoformat(row[4]),
        ended=time_or_none(row[5]), digest=row[6], note=row[7], progress=json.loads(row[8]),
    )  # fmt: skip
