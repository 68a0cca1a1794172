"""Commands as they must be typed in a shell to reach a certain home.

A bare ``tshc flatten`` acts on the shell's own home. A console of the demo, or one that was given
--home, must name its home in every command it advises, else the advice ends at another account.
"""

from __future__ import annotations

from app.engine_process import engine_runs
from app.options import Options, chosen_home
from engine.config import load_settings
from engine.errors import UsageError
from engine.home import Home

DEMO = "demo"  # the folder of the demo's home, inside the default one


def demo_home() -> Home:
    """Where a demo lives that was not given a home."""
    return Home(Home.default_folder() / DEMO)


def in_a_shell(command: str, home: Home) -> str:
    """``tshc flatten``, with --home where the shell would take another home."""
    if chosen_home(None).folder == home.folder:
        return f"tshc {command}"
    return f"tshc {command} --home {_quoted(str(home.folder))}"


def console_again(home: Home) -> str:
    """The command that opens a console on ``home``."""
    if chosen_home(None).folder == home.folder:
        return "tshc"
    if demo_home().folder == home.folder:
        return "tshc demo"
    return f"tshc --home {_quoted(str(home.folder))}"


def runs_elsewhere(home: Home) -> str:
    """Ends a sentence about ``home``, where nothing runs: which other home has an engine, and how to reach it."""
    for other in (Home(Home.default_folder()), demo_home()):
        if other.folder != home.folder and engine_runs(other):
            what = "the demo's engine" if other.folder == demo_home().folder else "an engine"
            return f"; {what} runs on {other.folder}: give --home {_quoted(str(other.folder))}"
    return ""


def settings_not_applied(options: Options) -> str:
    """What of this call's --set and --broker an engine that runs already has not been told; empty for nothing.

    Only an engine's start takes settings: what is given later would be believed to be in force.
    """
    if not options.all_overrides() or not engine_runs(options.home):
        return ""
    try:
        stored = {key: value for key, value, _ in load_settings(options.home).rows()}
        given = [f"{key}={value}" for key, value, _ in options.settings().rows() if stored[key] != value]
    except UsageError:
        given = list(options.all_overrides())  # by name only: a value that was not read may be a secret
    if not given:
        return ""
    named = ", ".join(given)
    stop = in_a_shell("engine stop", options.home)
    return f"an engine runs already with the settings of its start: {named} is NOT applied ('{stop}' first)"


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
