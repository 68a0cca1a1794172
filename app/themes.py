"""Our two themes and the inks that every other theme gets derived.

One accent; gains lean on the accent, losses and warnings on orange, so the pair can be
told apart by colour-blind eyes - and the sign is always written anyway.
"""

from __future__ import annotations

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
    """The CSS variables of the boxes' inks for a theme; an ANSI theme keeps to the terminal's own colours."""
    if ansi:
        return {
            "tsh-dim": "ansi_bright_black",
            "tsh-frame": "ansi_bright_black",
            "tsh-accent": "ansi_green" if dark else "ansi_blue",
            "tsh-gain": "ansi_green" if dark else "ansi_blue",
            "tsh-loss": "ansi_yellow" if dark else "ansi_red",
            "tsh-warn": "ansi_yellow" if dark else "ansi_red",
            "tsh-alarm": "ansi_red",
            "tsh-cursor": "ansi_black" if dark else "ansi_white",
        }
    text, ground = Color.parse(variables["foreground"]), Color.parse(variables["background"])
    return {
        "tsh-dim": text.blend(ground, 0.42).hex,
        "tsh-frame": text.blend(ground, 0.74).hex,
        "tsh-accent": variables["accent"],
        "tsh-gain": variables["success"],
        "tsh-loss": variables["warning"],
        "tsh-warn": variables["warning"],
        "tsh-alarm": variables["error"],
        "tsh-cursor": text.blend(ground, 0.84).hex,
    }
