"""Commands as they must be typed in a shell to reach a certain home.

A bare ``tshc flatten`` acts on the shell's own home. A console of the demo, or one that was given
--home, must name its home in every command it advises, else the advice ends at another account.
"""

from __future__ import annotations

from app.options import chosen_home
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


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
