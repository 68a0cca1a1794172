"""``tshc verify-day``: a recorded day decided again from the journal alone, row by row."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table

from app.options import Options, print_json, say
from engine.errors import EXIT_DONE, EXIT_FAILED, OperatorError, UsageError
from engine.execution.tsh_replay import Decision, against_the_journal, carried_over, replay
from engine.journal import JournalDb
from engine.model import NEW_YORK

COLUMNS = ("ET", "symbol", "event", "quiet prints", "phase", "stop", "exit", "replay")


async def verify_day(options: Options, day: str | None) -> int:
    """Prints every TSH decision of a session with its replay; 1 when one of them differs."""
    session, decisions, contradictions = await _verified(options, _day(day))
    wrong = sum(not d.same for d in decisions) + len(contradictions)
    positions = len({d.symbol for d in decisions})
    verdict = (
        f"{session}: {len(decisions)} decisions on {positions} tickers, decided again from the journal alone: "
        + (f"{wrong} DIFFER" if wrong else "all the same")
    )
    if options.as_json:
        rows = [{**asdict(d), "at": d.at.isoformat(), "same": d.same} for d in decisions]
        answer: dict[str, Any] = {"session": session.isoformat(), "same": not wrong, "decisions": rows}
        print_json({**answer, "contradictions": contradictions})
    else:
        _print(decisions, contradictions)
        print(verdict)
    return EXIT_FAILED if wrong else EXIT_DONE


async def _verified(options: Options, wanted: date | None) -> tuple[date, list[Decision], list[str]]:
    path = options.home.journal
    if not path.exists():
        raise OperatorError(f"{options.home.folder} holds no journal yet: trade a day first, or give --home")
    journal = await JournalDb.open(path, read_only=True)
    try:
        known = await journal.tsh_sessions()
        session = wanted or (known[-1] if known else None)
        if session is None or session not in known:
            days = f"the last ones are {', '.join(str(d) for d in known[-3:])}" if known else "there are none yet"
            raise OperatorError(f"no decisions of {session or 'any session'} are recorded: {days}")
        rows = await journal.tsh_rows(session)
        fills, intents = await journal.fills(session), await journal.intents(session)
        own = {(f.order_id, f.execution_id) for f in fills}
        later = [f for f in await journal.fills_since(session) if (f.order_id, f.execution_id) not in own]
        fills += carried_over(rows, later)
        names = {f.client_order_id for f in fills}
        seen = {i.client_order_id for i in intents}
        intents += [i for i in await journal.intents_since(session) if i.client_order_id in names - seen]
    finally:
        await journal.close()
    return session, replay(rows), against_the_journal(rows, fills, intents)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"'{text}' is not a date; write it as 2026-11-23") from error


def _print(decisions: Sequence[Decision], contradictions: Sequence[str]) -> None:
    rows = [
        (
            f"{d.at.astimezone(NEW_YORK):%H:%M:%S.%f}"[:-3], d.symbol, d.event, f"{d.prints:,}", d.phase, d.stop,
            d.exit, d.finding or "same",
        )
        for d in decisions
    ]  # fmt: skip
    if sys.stdout.isatty():
        table = Table(box=None)
        for column in COLUMNS:
            table.add_column(column, overflow="fold", justify="right" if column == "quiet prints" else "left")
        for row in rows:
            table.add_row(*row)
        Console().print(table, highlight=False, markup=False)
    else:
        for row in (COLUMNS, *rows):
            print("\t".join(row))
    for text in contradictions:
        say(f"tshc: {text}")
