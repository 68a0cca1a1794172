"""The options that every command of ``tshc`` takes, and how its work is run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from app.options import Options, chosen_home
from engine.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Home folder of the engine (or TSH_HOME).", show_default=False)
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting (repeatable).")
]


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


def options_of(
    context: typer.Context, home: Path | None, as_json: bool, settings: Sequence[str] | None
) -> Options:
    """The global options, with those that the command itself was given on top."""
    options: Options = context.obj
    if home is not None:
        options.home, options.home_given = chosen_home(home), True
    options.as_json = as_json
    options.overrides |= pairs_of(settings or [])
    return options
