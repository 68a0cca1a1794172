"""Our themes and the inks that every other theme gets derived.

One accent; gains lean on the accent, losses and warnings on orange, and the sign is always
written anyway: no meaning rests on a colour alone. An alarm and the mode badge are reversed,
which is seen without any colour. Text on its background reaches WCAG AA (4.5 : 1) in the three
themes with colours of their own; `tsh-ansi` takes the terminal's sixteen and whatever ground it
has. With NO_COLOR only bold, dim, underline and reverse are left.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme

DARK = Theme(
    name="tsh-dark",
    primary="#4fc1b0",
    secondary="#8994a1",
    accent="#4fc1b0",
    warning="#f2a65a",
    error="#f4696e",
    success="#4fc1b0",
    foreground="#d3d9e0",
    background="#0f1318",
    surface="#151a21",
    panel="#1d242d",
    dark=True,
)
LIGHT = Theme(
    name="tsh-light",
    primary="#006358",
    secondary="#5b6672",
    accent="#006358",
    warning="#953f00",
    error="#b51d26",
    success="#006358",
    foreground="#1c2329",
    background="#f7f6f2",
    surface="#efeee8",
    panel="#e8e7e0",
    dark=False,
)
# Blue against orange is the pair that protanopes, deuteranopes and tritanopes all tell apart; the alarm is
# paler than both, so that it differs in lightness too.
COLOURBLIND = Theme(
    name="tsh-colourblind",
    primary="#62b0f0",
    secondary="#8c95a3",
    accent="#62b0f0",
    warning="#f09a2e",
    error="#ffc46b",
    success="#62b0f0",
    foreground="#dadee6",
    background="#10131a",
    surface="#161a23",
    panel="#1e2430",
    dark=True,
)
ANSI = Theme(
    name="tsh-ansi",
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_default",
    accent="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "border-blurred": "ansi_default",
        "block-cursor-foreground": "ansi_default",
        "block-cursor-background": "ansi_default",
        "block-cursor-text-style": "bold reverse",
        "block-cursor-blurred-text-style": "reverse",
        "input-cursor-background": "ansi_default",
        "input-cursor-foreground": "ansi_default",
        "input-cursor-text-style": "reverse",
        "input-selection-background": "ansi_cyan",
        "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_cyan",
        "screen-selection-foreground": "ansi_black",
        "scrollbar": "ansi_default",
        "scrollbar-hover": "ansi_default",
        "scrollbar-active": "ansi_default",
        "scrollbar-background": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "block-hover-background": "ansi_default",
    },
)
OURS = (DARK, LIGHT, COLOURBLIND, ANSI)
DEFAULT = DARK.name


def colourless() -> bool:
    """Whether NO_COLOR asks for no colour at all; an empty one asks for nothing (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def line_filters(present: list[LineFilter], *, colour: bool) -> list[LineFilter]:
    """What the app's lines go through. Without colour: no colour code at all, instead of textual's greys."""
    kept = [one for one in present if not isinstance(one, Monochrome | NoColor)]
    return kept if colour else [*kept, NoColor()]


def inks(variables: dict[str, str], *, ansi: bool, dark: bool) -> dict[str, str]:
    """The CSS variables that are ours, for a theme; an ANSI theme keeps to the terminal's own colours."""
    if ansi:
        return {
            "tsh-dim": "ansi_bright_black",
            "tsh-frame": "ansi_bright_black",
            "tsh-accent": variables["accent"],
            "tsh-gain": variables["accent"],
            "tsh-warn": "ansi_yellow" if dark else "ansi_red",
            "tsh-alarm": "ansi_red",
            "tsh-cursor": "ansi_default",
        }
    text, ground = Color.parse(variables["foreground"]), Color.parse(variables["background"])
    return {
        "tsh-dim": text.blend(ground, 0.36 if dark else 0.30).hex,
        "tsh-frame": text.blend(ground, 0.72).hex,
        "tsh-accent": variables["accent"],
        "tsh-gain": variables["success"],
        "tsh-warn": variables["warning"],
        "tsh-alarm": variables["error"],
        "tsh-cursor": text.blend(ground, 0.89).hex,
    }


def ink_styles(variables: Mapping[str, str], *, ansi: bool = False, colour: bool = True) -> dict[str, Style]:
    """The style of every ink that a box writes with; ``variables`` include ours.

    Without colour, and with the terminal's own, what is dim is faint and the cursor's line is
    underlined: a grey of our own might vanish on the terminal's ground.
    """
    if not colour:
        return COLOURLESS

    def of(name: str) -> RichColor:
        return Color.parse(variables[name]).rich_color

    accent, alarm = of("tsh-accent"), of("tsh-alarm")
    return {
        "text": Style(),
        "dim": Style(dim=True) if ansi else Style(color=of("tsh-dim")),
        "strong": Style(bold=True),
        "accent": Style(color=accent),
        "gain": Style(color=of("tsh-gain")),
        "loss": Style(color=of("tsh-warn")),
        "warn": Style(color=of("tsh-warn"), bold=True),
        "alarm": Style(color=alarm, bold=True, reverse=True),
        "badge": Style(color=accent, bold=True, reverse=True),
        "frame": Style(dim=True) if ansi else Style(color=of("tsh-frame")),
        "cursor": Style(underline=True) if ansi else Style(bgcolor=of("tsh-cursor")),
    }


# Every ink by its shape alone: a warning is underlined, an alarm and the mode badge are reversed.
COLOURLESS: dict[str, Style] = {
    "text": Style(),
    "dim": Style(dim=True),
    "strong": Style(bold=True),
    "accent": Style(bold=True),
    "gain": Style(),
    "loss": Style(),
    "warn": Style(bold=True, underline=True),
    "alarm": Style(bold=True, reverse=True),
    "badge": Style(bold=True, reverse=True),
    "frame": Style(dim=True),
    "cursor": Style(underline=True),
}
