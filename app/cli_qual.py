"""Commands about the news: what the scores were worth, and whether the record still says what it said.

They read the databases of the home and need no engine, no model and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from rich.console import Console
from rich.table import Table

from app.options import Options, print_json
from engine.errors import EXIT_DONE, EXIT_FAILED, UsageError
from engine.journal import JournalDb
from engine.qual.evaluation import LEAST_SESSIONS, LEAST_TICKERS, PromptRecord, Recorded, evaluate
from engine.qual.prompt_files import load_prompts, shares
from engine.qual.replay import replay_all
from engine.storage.stocks_data_db import StocksDataDb


async def evaluate_scores(options: Options) -> int:
    """Rank correlation of recorded scores with the PP of the session that followed, by prompt and model."""
    scores, outcomes = await _recorded(options)
    records = evaluate(scores, outcomes)
    scored = len({row[0] for row in scores})
    judged = len({session for session, symbol, *_ in scores if (session, symbol) in outcomes})
    summary = evaluation_summary(records, scored, judged)
    if options.as_json:
        rows = [asdict(record) | {"verdict": record.verdict} for record in records]
        print_json({"scored_sessions": scored, "sessions_with_outcome": judged, "summary": summary, "rows": rows})
    else:
        _print_evaluation(records, summary)
    return EXIT_DONE


async def _recorded(options: Options) -> tuple[list[Recorded], dict[tuple[date, str], int]]:
    """All recorded scores and every outcome that the journal or the stored bars know; nothing before the first."""
    settings = options.settings().settings
    if not options.home.journal.exists():
        return [], {}
    journal = await JournalDb.open(options.home.journal, read_only=True)
    try:
        scores, outcomes = await journal.qual_scores_recorded(), await journal.outcomes()
        if scores and options.home.stocks_data.exists():
            stocks = await StocksDataDb.open(options.home.stocks_data, read_only=True)
            # loaded here: it brings the broker's library along, and every start of a console would pay for it
            from engine.pipeline.news_outcomes import outcomes_at_hand

            try:
                fresh = await outcomes_at_hand(journal, stocks, settings)
            finally:
                await stocks.close()
            outcomes |= {(session, symbol): pp for session, found in fresh.items() for symbol, pp in found.items()}
    finally:
        await journal.close()
    return scores, outcomes


def evaluation_summary(records: Sequence[PromptRecord], scored: int, judged: int) -> str:
    """The whole in one sentence, plainly."""
    if not scored:
        return "no evidence: 0 recorded sessions; 'tshc weekday' records scores with every shortlist"
    days = f"{scored} recorded session{'' if scored == 1 else 's'}, {judged} with an outcome"
    if not judged:
        return f"no evidence: {days}; the next snapshot after the traded session brings the first"
    shown = [r for r in records if r.low is not None and r.high is not None and (r.low > 0 or r.high < 0)]
    if not shown:
        return (
            f"no relation is shown: {days}; of {len(records)} rows none has an interval that leaves out zero "
            f"(an interval needs {LEAST_SESSIONS} sessions with {LEAST_TICKERS} tickers)"
        )
    chance = f"; of {len(records)} rows one in twenty would by luck" if len(records) > 1 else ""
    return f"{days}; {len(shown)} of {len(records)} rows have an interval that leaves out zero{chance}"


def _print_evaluation(records: Sequence[PromptRecord], summary: str) -> None:
    console = Console()
    if records:
        table = Table(
            box=None, title="rank correlation with next-day PP, mean over sessions", title_justify="left"
        )
        for name in ("prompt", "names", "model"):
            table.add_column(name)
        for name in ("sessions", "pairs", "missing", "mean", "95 % interval"):
            table.add_column(name, justify="right")
        table.add_column("verdict", overflow="fold")
        for r in records:
            table.add_row(
                r.prompt,
                "shown" if r.variant == "named" else "masked",
                r.model,
                f"{r.sessions} of {r.recorded}",
                str(r.pairs),
                str(r.missing),
                "-" if r.mean is None else f"{r.mean:+.3f}",
                "-" if r.low is None or r.high is None else f"{r.low:+.3f} .. {r.high:+.3f}",
                r.verdict,
            )
        console.print(table, highlight=False, markup=False)
    console.print(summary, highlight=False, markup=False)


async def replay_records(options: Options, session: str | None) -> int:
    """Parses every recorded answer again, offline; 1 when one gives something else than was recorded."""
    day, decisions = _day(session), []
    if options.home.journal.exists():
        journal = await JournalDb.open(options.home.journal, read_only=True)
        try:
            decisions = await journal.qual_decisions(day)
        finally:
            await journal.close()
    played = replay_all(decisions)
    different = [p for p in played if p.difference]
    rows = [
        {
            "record": p.decision.seq,
            "session": p.decision.session.isoformat(),
            "symbol": p.decision.symbol,
            "prompt": p.decision.prompt,
            "version": p.decision.version,
            "variant": p.decision.variant,
            "model": p.decision.model,
            "outcome": p.decision.outcome,
            "score": p.decision.score,
            "cost": p.decision.cost_micro / 1e6,
            "seconds": p.decision.seconds,
            "note": p.decision.note,
            "difference": p.difference,
        }
        for p in played
    ]
    if options.as_json:
        print_json({"records": rows, "different": len(different)})
        return EXIT_FAILED if different else EXIT_DONE
    for row in rows:
        score = "no score" if row["score"] is None else f"{row['score']:+.2f}"
        print(
            f"{row['record']:>6} {row['session']} {row['symbol']:<6} {row['prompt']:<10} {score:>8} "
            f"{row['outcome']:<11} {row['model']} {row['note']}"
            + (f"  DIFFERENT: {row['difference']}" if row["difference"] else "")
        )
    print(f"{len(rows)} records, {len(different)} give something else today" if rows else "no records yet")
    return EXIT_FAILED if different else EXIT_DONE


def list_prompts(options: Options) -> int:
    """The prompts in force with version, scale and share; refuses a file that cannot be used."""
    prompts = load_prompts(options.settings().settings.qual.prompts)
    share = shares(prompts)
    rows = [
        {
            "prompt": p.name,
            "version": p.version,
            "scale": f"{p.head.low}..{p.head.high}",
            "good": p.head.good,
            "share": share[p.name],
            "question": p.head.question,
        }
        for p in prompts
    ]
    if options.as_json:
        print_json(rows)
    else:
        for p, row in zip(prompts, rows, strict=True):
            print(f"{p.version:<24} {row['scale']:>6} {p.head.good:<5} {share[p.name]:>5.0%}  {p.head.question}")
    return EXIT_DONE


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--session takes a date like 2026-11-23, not '{text}'") from error
