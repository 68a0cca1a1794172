"""Our two themes and the inks that every other theme gets derived.

One accent; gains lean on the accent, losses and warnings on orange, so the pair can be
told apart by colour-blind eyes - and the sign is always written anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="tsh-dark",
    primary="#4fc1b0",
    secondary="#6b7683",
    accent="#4fc1b0",
    warning="#f2a65a",
    error="#e5484d",
    success="#4fc1b0",
    foreground="#d3d9e0",
    background="#0f1318",
    surface="#151a21",
    panel="#1d242d",
    dark=True,
)
LIGHT = Theme(
    name="tsh-light",
    primary="#00756a",
    secondary="#5b6672",
    accent="#00756a",
    warning="#b0500a",
    error="#c0232b",
    success="#00756a",
    foreground="#1c2329",
    background="#f7f6f2",
    surface="#efeee8",
    panel="#e4e3dc",
    dark=False,
)


def inks(variables: dict[str, str], *, ansi: bool, dark: bool) -> dict[str, str]:
    """The CSS variables that are ours, for a theme; an ANSI theme keeps to the terminal's own colours."""
    if ansi:
        accent, warn = ("ansi_green", "ansi_yellow") if dark else ("ansi_blue", "ansi_red")
        return {
            "tsh-dim": "ansi_bright_black",
            "tsh-frame": "ansi_bright_black",
            "tsh-accent": accent,
            "tsh-gain": accent,
            "tsh-warn": warn,
            "tsh-alarm": "ansi_red",
            "tsh-cursor": "ansi_black" if dark else "ansi_white",
        }
    text, ground = Color.parse(variables["foreground"]), Color.parse(variables["background"])
    return {
        "tsh-dim": text.blend(ground, 0.42).hex,
        "tsh-frame": text.blend(ground, 0.74).hex,
        "tsh-accent": variables["accent"],
        "tsh-gain": variables["success"],
        "tsh-warn": variables["warning"],
        "tsh-alarm": variables["error"],
        "tsh-cursor": text.blend(ground, 0.84).hex,
    }


def ink_styles(variables: Mapping[str, str]) -> dict[str, Style]:
    """The style of every ink that a box writes with; ``variables`` include ours."""

    def colour(name: str) -> RichColor:
        return Color.parse(variables[name]).rich_color

    accent, alarm = colour("tsh-accent"), colour("tsh-alarm")
    return {
        "text": Style(),
        "dim": Style(color=colour("tsh-dim")),
        "strong": Style(bold=True),
        "accent": Style(color=accent),
        "gain": Style(color=colour("tsh-gain")),
        "loss": Style(color=colour("tsh-warn")),
        "warn": Style(color=colour("tsh-warn"), bold=True),
        "alarm": Style(color=alarm, bold=True, reverse=True),
        "badge": Style(color=accent, bold=True, reverse=True),
        "frame": Style(color=colour("tsh-frame")),
        "cursor": Style(bgcolor=colour("tsh-cursor")),
    }
