"""Commands about the week: weekend, weekday, approve, trade, unlatch, explain."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from rich.console import Console

from app.cli_board import WORDS
from app.client import EngineClient
from app.headless import Follower, attached, command
from app.options import Options, print_json, say
from app.reporting import print_report
from app.shell_words import in_a_shell
from engine.errors import EXIT_DONE, EXIT_REFUSED, OperatorError, RefusedError, UsageError
from engine.views import GradeView

SHORTEST_HASH = 8


async def weekend(options: Options, arguments: dict[str, Any]) -> int:
    """Runs or resumes the weekend and prints its report."""
    options.settings()
    async with attached(options) as client:
        answer = await command(client, "weekend", {k: v for k, v in arguments.items() if v is not None})
        return await _to_the_end(client, options, "weekend", answer.data["run"])


async def weekday(options: Options, *, until_list: bool) -> int:
    """Runs or resumes the weekday; with ``until_list`` returns when the trade list waits."""
    options.settings()
    async with attached(options) as client:
        answer = await client.command("weekday")
        if not answer.accepted and "weekday run is under way" not in answer.reason:
            raise RefusedError(answer.reason)
        run = answer.data.get("run") or await _running(client, "weekday")
        listed = asyncio.Event()

        def look(_: str) -> None:
            if client.state.shortlist.state == "pending" and not listed.is_set():
                listed.set()
                if not until_list:
                    way = in_a_shell("approve", options.home)
                    say(f"the trade list waits for '{way}' in another terminal (or the console)")

        look("")
        if not until_list:
            ended = await Follower(client, as_json=options.as_json).until(run, look)
            return await _ended(client, options, "weekday", ended)
        following = asyncio.create_task(Follower(client, as_json=options.as_json).until(run, look))
        waiting = asyncio.create_task(listed.wait())
        await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not listed.is_set():
            return await _ended(client, options, "weekday", following.result())
        following.cancel()
        _print_list(client, options)
        return EXIT_DONE


async def trade(options: Options) -> int:
    """Follows the day that is under way until it is flat."""
    async with attached(options) as client:
        return await _to_the_end(client, options, "weekday", await _running(client, "weekday"))


async def approve(
    options: Options, list_hash: str | None, *, reject: bool = False, against_advice: bool = False
) -> int:
    """Shows the list that waits, or decides on it when its hash is given.

    ``against_advice``: already acknowledged; otherwise a terminal asks for the word where it is needed.
    """
    async with attached(options, start=False) as client:
        waiting = client.state.shortlist
        if waiting.state != "pending":
            raise RefusedError(f"no trade list waits for a decision (the last one is {waiting.state})")
        if list_hash is None:
            _print_list(client, options)
            return EXIT_DONE
        given = list_hash.replace("·", "")
        if len(given) < SHORTEST_HASH:
            raise UsageError(f"give at least {SHORTEST_HASH} digits of the hash ({waiting.list_hash})")
        if not waiting.list_hash.startswith(given):
            raise RefusedError(
                f"the list that waits is {waiting.list_hash[:8]}, not {given[:8]}: read it again, then decide"
            )
        what: dict[str, Any] = {"session": str(waiting.session), "list_hash": waiting.list_hash}
        if not reject and (against_advice or client.state.overview.grade.against):
            what["against_advice"] = against_advice or _acknowledged(client.state.overview.grade)
        answer = await command(client, "reject" if reject else "approve", what)
        print(answer.data["text"])
        return EXIT_DONE


def _acknowledged(grade: GradeView) -> bool:
    """Asks for the word before real money trades against the advice. RefusedError when it is not given."""
    if not sys.stdin.isatty():
        raise RefusedError(
            f"real money against the advice ({grade.text}; {grade.reason}): nothing was approved. "
            "Run it in a terminal, which asks for a word, or give --against-advice"
        )
    say(f"AGAINST THE ADVICE, with real money: {grade.text}; {grade.reason}")
    if input("type AGAINST to go: ").strip() != "AGAINST":
        raise RefusedError("not confirmed: nothing was approved")
    return True


async def unlatch(options: Options) -> int:
    async with attached(options, start=False) as client:
        await command(client, "unlatch")
    print("entries are allowed again")
    return EXIT_DONE


async def explain(options: Options, identifier: str) -> int:
    """Prints the chain behind one trade, from the databases alone."""
    from engine.pipeline.explain import explain_trade  # with the kernels' libraries, which no other command needs

    found = await explain_trade(options.home, identifier)
    if options.as_json:
        print_json(found)
        return EXIT_DONE
    console = Console()
    for title, lines in found.items():
        console.print(title, style="bold", highlight=False, markup=False)
        for line in lines:
            console.print(f"  {line}", highlight=False, markup=False)
    return EXIT_DONE


async def _running(client: EngineClient, kind: str) -> str:
    report = (await command(client, "report")).data[kind]
    if report is None or report["state"] != "running":
        raise RefusedError(f"no {kind} run is under way: 'tshc {kind}' begins one")
    return str(report["run"])


async def _to_the_end(client: EngineClient, options: Options, kind: str, run: str) -> int:
    ended = await Follower(client, as_json=options.as_json).until(run)
    return await _ended(client, options, kind, ended)


async def _ended(client: EngineClient, options: Options, kind: str, ended: dict[str, Any]) -> int:
    report = (await command(client, "report")).data[kind]
    if options.as_json:
        print_json({**report, "outcome": ended["outcome"]})
    else:
        print_report(report)
    if ended["outcome"] == "failed":
        raise OperatorError(str(ended["summary"]))
    if ended["outcome"] == "refused":
        return EXIT_REFUSED
    return EXIT_DONE


def _print_list(client: EngineClient, options: Options) -> None:
    view = client.state.shortlist
    if options.as_json:
        overview = client.state.overview
        grade = overview.grade.model_dump(mode="json")
        print_json({**view.model_dump(mode="json"), "evidence": list(overview.evidence), "grade": grade})
        return
    print(
        f"trade list {view.list_hash[:8]} for {view.session}, decision until {view.deadline}; without it: NO TRADE"
    )
    for row in view.rows:
        mark = "✓" if row.chosen else " "
        news = "no news" if row.news_score is None else f"{row.news_score:+.2f} {row.news_label}"
        print(f" {mark} {row.rank:>2}  {row.symbol:<6} {row.score:6.3f}  {news:<16} {row.veto or row.reason}")
    print(
        f"board: {WORDS[client.state.board.verdict]}, {client.state.board.summary}  ('tshc board' lists the gates)"
    )
    for text in client.state.overview.evidence or ("evidence: no group is selected",):
        print(f"  {text}")
    against = "  --against-advice (or the word it asks for)" if client.state.overview.grade.against else ""
    print(f"approve with: tshc approve {view.list_hash[:8]}{against}")
