"""The options that every command of ``tshc`` takes, what --read-only lets through, and how its work is run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from app.options import Options, chosen_home
from engine.errors import RefusedError, UsageError

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Home folder of the engine (or TSH_HOME).", show_default=False)
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting (repeatable).")
]

# Commands that only look, and may be called with --read-only; every other one is refused with it. They start no
# engine and make no home. The console and the browser's are read-only windows then.
LOOKING = frozenset(
    {
        "console", "web", "keys", "status", "board", "explain", "export", "replay", "verify-day", "doctor",
        "alerts list", "engine logs", "qual evaluate", "qual replay", "qual prompts",
        "workbook check",
    }
)  # fmt: skip


def run_to_end(work: Coroutine[Any, Any, int]) -> None:
    """Runs the command and leaves with its exit code."""
    raise typer.Exit(asyncio.run(work))


def pairs_of(given: Sequence[str]) -> dict[str, str]:
    """``section.key=value`` each; UsageError for anything else."""
    pairs = {}
    for pair in given:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set takes section.key=value, not '{pair}'")
        pairs[key] = value
    return pairs


def refuse_if_read_only(context: typer.Context, options: Options) -> None:
    """RefusedError when --read-only was given to a command that does more than look."""
    name = context.command_path.partition(" ")[2]
    if options.read_only and name not in LOOKING:
        raise RefusedError(
            f"'tshc {name}' does more than look, so --read-only refuses it and nothing was done; "
            "call it without --read-only"
        )


def options_of(
    context: typer.Context,
    home: Path | None,
    as_json: bool,
    settings: Sequence[str] | None,
    *,
    looks: bool = False,
) -> Options:
    """The global options, with those that the command itself was given on top.

    ``looks``: this call of a command that may also act only looks. RefusedError with --read-only for what acts.
    """
    options: Options = context.obj
    if not looks:
        refuse_if_read_only(context, options)
    if home is not None:
        options.home, options.home_given = chosen_home(home), True
    options.as_json = as_json
    options.overrides |= pairs_of(settings or [])
    return options
