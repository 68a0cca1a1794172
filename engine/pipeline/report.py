"""What a run did, from the journal alone: every stage with its counts and duration, and the day's money."""

from __future__ import annotations

from typing import Any

from engine.journal import JournalDb
from engine.run_log import Run


async def run_report(journal: JournalDb, run: Run) -> dict[str, Any]:
    """One run as plain JSON: its stages in order with seconds (wall), counts and a one-line summary."""
    stages = [
        {
            "stage": stage.stage,
            "state": stage.state,
            "seconds": stage.progress.get("seconds"),
            "attempts": stage.attempts,
            "summary": stage.note,
            "counts": stage.progress.get("counts", {}),
        }
        for stage in await journal.stages(run.run)
    ]
    return {
        "run": run.run,
        "kind": run.kind,
        "state": run.state,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "setup": run.payload,
        "summary": run.note,
        "stages": stages,
    }


async def last_reports(journal: JournalDb) -> dict[str, Any]:
    """The last weekend and the last weekday run, None where there was none."""
    reports: dict[str, Any] = {}
    for kind in ("weekend", "weekday"):
        run = await journal.last_run(kind)
        reports[kind] = None if run is None else await run_report(journal, run)
    return reports
