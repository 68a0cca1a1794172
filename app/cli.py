"""The ``tshc`` command: the console without arguments, the same week headless with them.

Every command talks to the one engine of its home folder and starts it when none runs. With --read-only
only those run that look (``cli_options.LOOKING``), and nothing is started.
Exit codes: 0 done, 1 failed, 2 usage, 3 refused (a gate, an approval), 130 interrupted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from app import (
    cli_board,
    cli_console,
    cli_engine,
    cli_replay,
    cli_runs,
    cli_status,
    cli_subcommands,
    cli_verify,
    cli_web,
)
from app import export as cli_export
from app.cli_options import HomeOption, Json, Set, options_of, pairs_of, run_to_end
from app.demo import demo_console, demo_headless, demo_options
from app.options import Options, checked_broker, chosen_home, say
from engine.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, OperatorError
from engine.redaction import StrikingFormatter, strike_tracebacks

app = typer.Typer(
    name="tshc",
    help="TSH Console: train on the weekend, approve before the open, watch the exits, flatten at any moment.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    home: HomeOption = None,
    broker: Annotated[str | None, typer.Option(help="sim, paper or live.", show_default=False)] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Look, command nothing: refuses commands that act.")
    ] = False,
    settings: Set = None,
) -> None:
    """Without a command: opens the console on the engine of the home folder, starting it if none runs."""
    given = home is not None or "TSH_HOME" in os.environ
    context.obj = Options(
        chosen_home(home), checked_broker(broker), read_only, overrides=pairs_of(settings or []), home_given=given
    )
    if context.invoked_subcommand is None:
        raise typer.Exit(cli_console.open_console(context.obj))


@app.command()
def console(
    context: typer.Context,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Look, command nothing; starts no engine.")
    ] = False,
    home: HomeOption = None,
    settings: Set = None,
) -> None:
    """The console; what 'tshc' alone opens."""
    options = options_of(context, home, False, settings)
    options.read_only = options.read_only or read_only
    raise typer.Exit(cli_console.open_console(options))


@app.command()
def web(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="A loopback address; others are refused.")] = cli_web.LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = cli_web.DEFAULT_PORT,
    home: HomeOption = None,
) -> None:
    """The console in a browser of this machine, read-only. Needs the extra 'web'."""
    raise typer.Exit(cli_web.serve(options_of(context, home, False, None), host, port))


@app.command()
def keys(
    context: typer.Context,
    defaults: Annotated[bool, typer.Option("--defaults", help="As they are without a console.toml.")] = False,
    card: Annotated[bool, typer.Option("--card", help="The key card (app/KEYS.md).")] = False,
    home: HomeOption = None,
    as_json: Json = False,
) -> None:
    """Every key of the console: its id, what it does, and where other keys come from."""
    raise typer.Exit(
        cli_console.print_keys(options_of(context, home, as_json, None), defaults=defaults, card=card)
    )


@app.command()
def demo(
    context: typer.Context,
    headless: Annotated[
        bool, typer.Option("--headless", help="The whole week unattended, with a report.")
    ] = False,
    home: HomeOption = None,
    market: Annotated[str, typer.Option(help="'synthetic' or a daily-bar parquet file.")] = "synthetic",
    date: Annotated[str | None, typer.Option(help="Last session of the training week (YYYY-MM-DD).")] = None,
    cycles: Annotated[int, typer.Option(help="Training cycles.")] = 200,
    search_budget: Annotated[str, typer.Option(help="Wall time of the group search.")] = "60s",
    search_tests: Annotated[
        int | None, typer.Option(help="Fixed tests an anchor instead of wall time: reproducible.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the synthetic market.")] = None,
    speed: Annotated[
        float, typer.Option(min=1, max=300, help="Market seconds a wall second with positions.")
    ] = 300.0,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """The embedded market with a fast clock: no keys, no money, the real code path."""
    options = options_of(context, home, as_json, settings)
    options = demo_options(
        options,
        home_given=options.home_given,
        market=market,
        day=date,
        cycles=cycles,
        search_budget=search_budget,
        search_tests=search_tests,
        seed=seed,
        speed=speed,
    )
    if headless:
        run_to_end(demo_headless(options))
    raise typer.Exit(demo_console(options))


@app.command()
def weekend(
    context: typer.Context,
    cycles: Annotated[int | None, typer.Option(help="Training cycles.")] = None,
    search_budget: Annotated[str | None, typer.Option(help="Wall time of the search: 60s, 24h.")] = None,
    search_tests: Annotated[int | None, typer.Option(help="Fixed tests an anchor: reproducible.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Search on a dask cluster: tcp://host:8786, or local:4.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training proposals.")] = None,
    backend: Annotated[str | None, typer.Option(help="native or workbook.")] = None,
    verify: Annotated[int | None, typer.Option(help="Batches a cycle computed by the other backend too.")] = None,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Every parameter set of every space.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a live selection or an unfinished run.")
    ] = False,
    home: HomeOption = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Data, training, pruning, group search, selection. Resumes an unfinished run."""
    arguments = {
        "cycles": cycles,
        "budget_s": search_budget,
        "tests": search_tests,
        "cluster": cluster,
        "seed": seed,
        "backend": backend,
        "verify": verify,
        "exhaustive": exhaustive or None,
        "replace": replace,
    }
    run_to_end(cli_runs.weekend(options_of(context, home, as_json, settings), arguments))


@app.command()
def weekday(
    context: typer.Context,
    until_list: Annotated[bool, typer.Option("--until-list", help="Return when the trade list waits.")] = False,
    home: HomeOption = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Snapshot, shortlist, news, approval, entries, exits - until flat. Resumes an unfinished run."""
    run_to_end(cli_runs.weekday(options_of(context, home, as_json, settings), until_list=until_list))


@app.command()
def approve(
    context: typer.Context,
    list_hash: Annotated[str | None, typer.Argument(help="At least 8 digits of the hash of the list.")] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Say no instead.")] = False,
    against_advice: Annotated[
        bool, typer.Option("--against-advice", help="Real money although the grade is C or D.")
    ] = False,
    home: HomeOption = None,
    as_json: Json = False,
) -> None:
    """Shows the trade list that waits and the evidence behind it; with its hash, approves it."""
    options = options_of(context, home, as_json, None, looks=list_hash is None)
    run_to_end(cli_runs.approve(options, list_hash, reject=reject, against_advice=against_advice))


@app.command()
def trade(context: typer.Context, home: HomeOption = None, as_json: Json = False) -> None:
    """Follows the approved list from the open until flat."""
    run_to_end(cli_runs.trade(options_of(context, home, as_json, None)))


@app.command()
def flatten(
    context: typer.Context,
    include_foreign: Annotated[bool, typer.Option("--all", help="Also what TSH did not open.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the typed word.")] = False,
    home: HomeOption = None,
    as_json: Json = False,
) -> None:
    """Stops entries, cancels orders, sells everything, verifies flat. Works when the engine is dead."""
    from app import cli_flatten  # with the broker's library, which no other command needs

    run_to_end(
        cli_flatten.flatten(options_of(context, home, as_json, None), include_foreign=include_foreign, yes=yes)
    )


@app.command()
def unlatch(context: typer.Context, home: HomeOption = None) -> None:
    """Lets entries in again after a flatten or a daily-loss stop."""
    run_to_end(cli_runs.unlatch(options_of(context, home, False, None)))


@app.command()
def status(context: typer.Context, home: HomeOption = None, as_json: Json = False) -> None:
    """The engine's strip: mode, links, market time, equity, positions."""
    run_to_end(cli_status.status(options_of(context, home, as_json, None)))


@app.command()
def board(context: typer.Context, home: HomeOption = None, as_json: Json = False) -> None:
    """The GO / NO-GO board: every gate before the open with its number. Exit code 0 on GO, 1 otherwise."""
    run_to_end(cli_board.board(options_of(context, home, as_json, None)))


@app.command()
def explain(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(help="A client order id, or a symbol for its last trade.")],
    home: HomeOption = None,
    as_json: Json = False,
) -> None:
    """From a trade back to fill, intent, approval, news, rank, group and variations."""
    run_to_end(cli_runs.explain(options_of(context, home, as_json, None), identifier))


@app.command()
def export(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="Table to write; without it, the list of tables.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write (standard output otherwise).")] = None,
    home: HomeOption = None,
) -> None:
    """Any table of the home as CSV."""
    run_to_end(cli_export.export(options_of(context, home, False, None), table, out))


@app.command()
def replay(
    context: typer.Context,
    day: Annotated[str | None, typer.Argument(help="2026-11-20 or last; without it, the recorded days.")] = None,
    speed: Annotated[float, typer.Option(help="Seconds of the day a second, 1 to 3600.")] = 60.0,
    home: HomeOption = None,
    as_json: Json = False,
) -> None:
    """Plays a recorded day in the console; without a day, lists them. Commands nothing."""
    options = options_of(context, home, as_json, None)
    code = cli_replay.list_days(options) if day is None else cli_replay.open_replay(options, day, speed)
    raise typer.Exit(code)


@app.command()
def sim(
    context: typer.Context,
    market: Annotated[str | None, typer.Option(help="'synthetic' or a daily-bar parquet file.")] = None,
    date: Annotated[str | None, typer.Option(help="Last closed session (YYYY-MM-DD).")] = None,
    speed: Annotated[float, typer.Option(help="Market seconds a wall second.")] = 1.0,
    faults: Annotated[str | None, typer.Option(help="A TOML script of what goes wrong when.")] = None,
    home: HomeOption = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Runs the simulator alone, in the foreground, and prints its addresses and keys."""
    options = options_of(context, home, as_json, settings)
    if market is not None:
        options.overrides["sim.market"] = market
    if date is not None:
        options.overrides["sim.date"] = date
    if faults is not None:
        options.overrides["sim.faults"] = faults
    raise typer.Exit(cli_engine.run_simulator(options, speed))


@app.command("verify-day")
def verify_day(
    context: typer.Context,
    day: Annotated[str | None, typer.Argument(help="Session (YYYY-MM-DD); without it, the last recorded.")] = None,
    home: HomeOption = None,
    as_json: Json = False,
) -> None:
    """Decides a recorded day's exits again, from the journal alone. Exit code 1 when one differs."""
    run_to_end(cli_verify.verify_day(options_of(context, home, as_json, None), day))


@app.command()
def doctor(context: typer.Context, home: HomeOption = None, as_json: Json = False) -> None:
    """Checks the home, the databases, the keys and the kernels; prints every setting with its origin."""
    run_to_end(cli_engine.doctor(options_of(context, home, as_json, None)))


for name, family in cli_subcommands.FAMILIES.items():
    app.add_typer(family, name=name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a command and turns every failure into one sentence and an exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one call."""
    handler = logging.StreamHandler()
    handler.setFormatter(StrikingFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    strike_tracebacks()
    as_json = "--json" in arguments
    try:
        code = app(args=list(arguments), prog_name="tshc", standalone_mode=False)
        return int(code) if isinstance(code, int) else EXIT_DONE
    except typer.Exit as ended:
        return ended.exit_code
    except TyperException as error:
        help_text = "'tshc --help' lists the commands and 'tshc COMMAND --help' their options"
        say(f"tshc: {error.format_message().rstrip('.')}; {help_text}")
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort, asyncio.CancelledError):
        say("tshc: interrupted; the engine goes on ('tshc engine stop' ends it)")
        return EXIT_INTERRUPTED
    except OperatorError as error:
        if as_json:
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
        say(f"tshc: {error}")
        return error.exit_code
    except BrokenPipeError:
        return EXIT_FAILED


if __name__ == "__main__":
    main()
