"""Every key of the console in one table, and what is made of it: the help, `tshc keys`, the key card.

Collected from the bindings themselves, so a key that exists is listed and a listed key exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import App

from app.keys import EVERYWHERE, TABLES, Command, commands_of, shown_key
from app.screens.base import ConsoleScreen
from app.widgets.table import Table

Lines = list[tuple[str, str]]
TITLES = {EVERYWHERE: "Everywhere", TABLES: "In every table"}


def every_command(app: type[App[Any]]) -> list[Command]:
    """The commands of the app, of each screen in its modes and of the tables, with their default keys."""
    found: list[Command] = []
    for kind in app.__mro__[: app.__mro__.index(App)]:
        found += commands_of(EVERYWHERE, kind.__dict__.get("BINDINGS", ()))
    for mode, screen in app.MODES.items():
        assert isinstance(screen, type)
        assert issubclass(screen, ConsoleScreen)
        for kind in screen.__mro__[: screen.__mro__.index(ConsoleScreen)]:
            found += commands_of(mode, kind.__dict__.get("BINDINGS", ()), screen.KEYS)
    return [*found, *commands_of(TABLES, Table.BINDINGS), *commands_of(EVERYWHERE, ConsoleScreen.BINDINGS)]


def keys_text(command: Command) -> str:
    """All keys of a command, as they are shown."""
    return " ".join(shown_key(key) for key in command.keys)


def screen_lines(
    mode: str, said: Sequence[tuple[str, str]], defaults: Sequence[Command], commands: Sequence[Command]
) -> Lines:
    """The help of one screen: its own words with the keys in force, then keys it has no words for."""
    now = {command.id: command for command in commands}
    spoken: dict[str, str] = {}  # default key as shown -> id
    for command in defaults:
        if command.place in (mode, EVERYWHERE):
            spoken.setdefault(command.shown, command.id)
    lines: Lines = []
    told: set[str] = set()
    for key, meaning in said:
        command_id = spoken.get(key)
        if command_id is None:
            lines.append((key, meaning))
        else:
            told.add(command_id)
            lines.append((keys_text(now[command_id]), meaning))
    return lines + [(keys_text(c), c.text) for c in commands if c.place == mode and c.id not in told]


def everywhere_lines(commands: Sequence[Command], *, brief: bool = False) -> Lines:
    """What works on every screen; the screens, the frozen screen and the tables are one line each."""
    screens = [c for c in commands if c.id.startswith("go.")]
    frozen = [c for c in commands if c.id.startswith("freeze.")]
    tables = [c for c in commands if c.place == TABLES]
    rest = [c for c in commands if c.place == EVERYWHERE and c not in screens and c not in frozen]
    numbers = _run([c.shown for c in screens])
    back, walk = (" ".join(keys_text(c) for c in group) for group in (frozen, tables))
    if brief:
        named = [(keys_text(c), c.name) for c in rest]
        return [(numbers, "screens"), *named, (back, "while frozen"), (walk, "walk a table")]
    return [
        (numbers, ", ".join(c.text for c in screens)),
        *((keys_text(c), c.text) for c in rest),
        (back, "while frozen: " + ", ".join(c.name for c in frozen)),
        (walk, "walk a table: " + ", ".join(c.text for c in tables)),
    ]


def _run(keys: Sequence[str]) -> str:
    """``1 … 7 g`` for digits in a row and others behind them."""
    digits = [key for key in keys if key.isdigit()]
    first = list(map(int, digits))
    if len(digits) > 2 and keys[: len(digits)] == digits and first == list(range(first[0], first[-1] + 1)):
        return " ".join([f"{digits[0]} … {digits[-1]}", *keys[len(digits) :]])
    return " ".join(keys)


def places(commands: Sequence[Command]) -> list[str]:
    """Everywhere first, then the screens in their order, then the tables."""
    screens = [c.place for c in commands if c.place not in (EVERYWHERE, TABLES)]
    return list(dict.fromkeys([EVERYWHERE, *screens, TABLES]))


def plain_table(commands: Sequence[Command]) -> str:
    """What `tshc keys` prints."""
    rows = [(keys_text(c), c.id, c.text, c.place) for c in commands]
    wide, names = max(len(r[0]) for r in rows), max(len(r[1]) for r in rows)
    out: list[str] = []
    for place in places(commands):
        out += ["", TITLES.get(place, f"On {place}")]
        out += [f"  {keys:{wide}}  {name:{names}}  {text}" for keys, name, text, at in rows if at == place]
    return "\n".join(out[1:])


def key_card(commands: Sequence[Command]) -> str:
    """app/KEYS.md: one page, the default keys."""
    out = [
        "# Keys",
        "",
        "Made from the bindings by `tshc keys --card`; a test compares. `?` shows the keys of a screen, `ctrl+p`",
        "every command by name, `j` a letter on everything that can be reached.",
        "",
        "A `console.toml` in the home folder, or in the per-user configuration folder for every home, gives other",
        "keys. `tshc keys` prints those in force and where they come from.",
        "",
        "```toml",
        "[keys]",
        'training.pause = "P"',
        'table.down = ["down", "n"]',
        "```",
        "",
        "F12 cannot be taken away. Dialogs: `esc` goes back, the arrows and `tab` move, `enter` presses what is",
        "marked (at first: back) and in the weekend's fields goes on to the next, `y` says yes where no word has",
        "to be typed, `n` no.",
    ]
    for place in places(commands):
        out += ["", f"## {TITLES.get(place, place.capitalize())}", "", "| key | does | id |", "|---|---|---|"]
        for command in commands:
            if command.place == place:
                keys = " ".join(f"`{shown_key(key)}`" for key in command.keys)
                out.append(f"| {keys} | {command.text} | `{command.id}` |")
    return "\n".join(out) + "\n"
