"""The commands of two words: ``tshc qual ...``, ``alerts ...``, ``engine ...``, ``workbook ...``."""

from __future__ import annotations

from typing import Annotated

import typer

from app import cli_alerts, cli_engine, cli_qual
from app.cli_options import HomeOption, Json, Set, options_of, refuse_if_read_only, run_to_end

qual = typer.Typer(help="The news scores: evidence, record, prompts.", no_args_is_help=True, rich_markup_mode=None)


@qual.command("evaluate")
def qual_evaluate(context: typer.Context, home: HomeOption = None, as_json: Json = False) -> None:
    """Rank correlation of recorded scores with next-day PP, with intervals, by prompt and model."""
    run_to_end(cli_qual.evaluate_scores(options_of(context, home, as_json, None)))


@qual.command("replay")
def qual_replay(
    context: typer.Context,
    session: Annotated[str | None, typer.Option(help="Only this traded session (YYYY-MM-DD).")] = None,
    home: HomeOption = None,
    as_json: Json = False,
) -> None:
    """Parses every recorded answer again, offline, and says which gives another score today."""
    run_to_end(cli_qual.replay_records(options_of(context, home, as_json, None), session))


@qual.command("prompts")
def qual_prompts(
    context: typer.Context, home: HomeOption = None, settings: Set = None, as_json: Json = False
) -> None:
    """Checks and lists the prompt files in force."""
    raise typer.Exit(cli_qual.list_prompts(options_of(context, home, as_json, settings)))


alerts = typer.Typer(help="Alerts: what waits, and a test.", no_args_is_help=True, rich_markup_mode=None)


@alerts.command("test")
def alerts_test(
    context: typer.Context, home: HomeOption = None, settings: Set = None, as_json: Json = False
) -> None:
    """Sends a test by every sink and says what became of it. Exit code 1 when one failed."""
    run_to_end(cli_alerts.test_sinks(options_of(context, home, as_json, settings)))


@alerts.command("list")
def alerts_list(context: typer.Context, home: HomeOption = None, as_json: Json = False) -> None:
    """The engine's alerts, those that wait to be acknowledged first."""
    run_to_end(cli_alerts.list_alerts(options_of(context, home, as_json, None)))


@alerts.command("ack")
def alerts_ack(
    context: typer.Context,
    key: Annotated[str | None, typer.Argument(help="The alert's key; without it, all that wait.")] = None,
    home: HomeOption = None,
) -> None:
    """Acknowledges an alert: it is not told again."""
    run_to_end(cli_alerts.acknowledge(options_of(context, home, False, None), key))


engine = typer.Typer(help="The engine process of the home folder.", no_args_is_help=True, rich_markup_mode=None)


@engine.command("start")
def engine_start(context: typer.Context, home: HomeOption = None, settings: Set = None) -> None:
    """Starts the engine in the background."""
    raise typer.Exit(cli_engine.start(options_of(context, home, False, settings)))


@engine.command("stop")
def engine_stop(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Even with open positions, or when it hangs.")] = False,
    home: HomeOption = None,
) -> None:
    """Stops the engine; refuses while it manages positions."""
    run_to_end(cli_engine.stop(options_of(context, home, False, None), force=force))


@engine.command("logs")
def engine_logs(
    context: typer.Context,
    lines: Annotated[int, typer.Option("-n", help="How many lines.")] = 60,
    home: HomeOption = None,
) -> None:
    """Prints the end of the engine's log."""
    raise typer.Exit(cli_engine.logs(options_of(context, home, False, None), lines))


workbook = typer.Typer(help="The workbook backend.", no_args_is_help=True, rich_markup_mode=None)


@workbook.command("check")
def workbook_check(
    context: typer.Context,
    tickers: Annotated[int, typer.Option(min=1, help="How many tickers are compared, in each mode.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic bars and of the random parameter sets.")] = 1,
    home: HomeOption = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Compares the workbook with the native kernels, cell by cell. Exit code 1 on a disagreement."""
    from app import cli_workbook  # with the kernels, which no other command needs

    raise typer.Exit(cli_workbook.check(options_of(context, home, as_json, settings), tickers, seed))


@workbook.command("build")
def workbook_build(context: typer.Context) -> None:
    """Makes workbook/tsh_engine.xlsm from its sources."""
    from app import cli_workbook

    refuse_if_read_only(context, context.obj)
    raise typer.Exit(cli_workbook.build())


FAMILIES = {"qual": qual, "alerts": alerts, "engine": engine, "workbook": workbook}
