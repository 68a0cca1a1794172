"""``tshc board``: the GO / NO-GO board in a shell, with an exit code that a script can use."""

from __future__ import annotations

import asyncio

from rich.console import Console

from app import formatting as f
from app.client import EngineClient
from app.engine_process import engine_runs
from app.headless import attached
from app.options import Options, print_json, say
from app.shell_words import runs_elsewhere
from engine.errors import EXIT_DONE, EXIT_FAILED
from engine.views import BoardView

WORDS = {"go": "GO", "caution": "CHECK", "waiting": "WAIT", "no_go": "NO-GO", "none": "UNKNOWN"}
FIRST_BOARD_S = 5.0  # an engine that has just started needs the calendar first


async def board(options: Options) -> int:
    """Prints every gate; 0 on GO, 1 on anything else, also when no engine runs."""
    if not engine_runs(options.home):
        if options.as_json:
            print_json({"verdict": "no_go", "summary": "no engine runs", "home": str(options.home.folder)})
        elsewhere = runs_elsewhere(options.home)
        say(f"NO-GO: no engine runs on {options.home.folder}; 'tshc engine start' starts one{elsewhere}")
        return EXIT_FAILED
    async with attached(options, start=False) as client:
        view = await _board(client)
        if options.as_json:
            print_json(view.model_dump(mode="json"))
        else:
            print_board(view)
    return EXIT_DONE if view.verdict == "go" else EXIT_FAILED


async def _board(client: EngineClient) -> BoardView:
    try:
        async with asyncio.timeout(FIRST_BOARD_S):
            while client.state.board.verdict == "none":  # noqa: ASYNC110 - the view comes with the next paint
                await asyncio.sleep(0.1)
    except TimeoutError:
        say("the engine knows no calendar yet")
    return client.state.board


def print_board(view: BoardView, console: Console | None = None) -> None:
    """The verdict, every gate with its number and limit, and the remedy of those that are not GO."""
    out = console or Console()
    day = f" for {view.session}" if view.session else ""
    digits = f", list {view.list_hash[:8]}" if view.list_hash else ""
    out.print(f"{WORDS[view.verdict]}{day}{digits}: {view.summary}", highlight=False, markup=False)
    name = max((len(gate.name) for gate in view.gates), default=0)
    measured = max((len(gate.measured) for gate in view.gates), default=0)
    for gate in view.gates:
        numbers = f"{f.fit(gate.measured, measured)}  {gate.limit}"
        line = f"  {WORDS[gate.state]:<6} {f.fit(gate.name, name)}  {numbers}"
        out.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)
        if gate.remedy and gate.state != "go":
            out.print(f"{' ' * (11 + name)}→ {gate.remedy}", highlight=False, markup=False, soft_wrap=True)
    if view.at_the_open:
        out.print(f"each name is asked at the open: {view.at_the_open}", highlight=False, markup=False)
