"""The keys as data: what may be pressed where, by id, and which keys the operator put in their place.

A binding's id is ``place.action`` (``training.pause``), or what the binding itself says; the
operator's ``console.toml`` maps ids to keys. A key that would do two things, an id that does not
exist and a flatten without F12 are refused before a screen is taken over: under stress a key must do
what its owner believes it does.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs
from textual.binding import Binding, BindingType
from textual.keys import KEY_ALIASES, KEY_NAME_REPLACEMENTS, Keys, format_key

from engine.errors import UsageError
from engine.home import Home

EVERYWHERE = "everywhere"
TABLES = "table"
FLATTEN_KEY = "f12"
FILE = "console.toml"
# Ways out and around that every dialog, field and table relies on; textual's own quit and copy.
TAKEN = frozenset({"escape", "enter", "tab", "shift+tab", "ctrl+c", "ctrl+q"})
SHOWN_NAMES = {"enter": "enter", "delete": "delete", "backspace": "backspace"}  # textual shows signs for them


@dataclass(frozen=True, slots=True)
class Command:
    """What one binding does; ``keys`` in textual's names, ``place`` a screen, TABLES or EVERYWHERE."""

    id: str
    place: str
    keys: tuple[str, ...]
    action: str
    text: str
    name: str = ""  # the same in a word or two
    priority: bool = False  # works under any window and with a field focused

    @property
    def shown(self) -> str:
        """Its first key as it is written on the screen."""
        return shown_key(self.keys[0])


def shown_key(key: str) -> str:
    """``question_mark`` is ``?``, ``f12`` is ``F12``, ``upper_e`` and ``E`` are ``E``."""
    *modifiers, base = key.split("+")
    base = base.upper() if re.fullmatch(r"f\d+", base) else SHOWN_NAMES.get(base) or format_key(base)
    return "+".join([*modifiers, base])


def with_ids(place: str, bindings: Iterable[BindingType]) -> list[BindingType]:
    """The bindings of a screen, each with the id that ``console.toml`` may name it by."""
    named: list[BindingType] = []
    for given in bindings:
        binding = given if isinstance(given, Binding) else Binding(*given)
        name = re.sub(r"[^a-z0-9_]+", ".", binding.action.lower()).strip(".")
        named.append(binding if binding.id else replace(binding, id=f"{place}.{name}"))
    return named


def commands_of(
    place: str, bindings: Iterable[BindingType], said: Sequence[tuple[str, str]] = ()
) -> list[Command]:
    """The commands of one class; ``said`` are its help lines (shown key, meaning), else the binding's own words.

    A binding without an id cannot be remapped; it is listed all the same.
    """
    meanings = dict(said)
    found: list[Command] = []
    for given in bindings:
        binding = given if isinstance(given, Binding) else Binding(*given)
        keys = tuple(normal_key(key) or key for key in binding.key.split(","))
        text = meanings.get(shown_key(keys[0])) or binding.tooltip or binding.description
        name = binding.description or text
        found.append(Command(binding.id or "", place, keys, binding.action, text, name, binding.priority))
    return found


# --- the names of keys -------------------------------------------------------------------------

_KNOWN = {key.value for key in Keys if "<" not in key.value} | {"space", "backspace"}
_SIGNED = {"up", "down", "left", "right"}  # shown as one arrow, but not text
_CANONICAL = {alias: key for key, aliases in KEY_ALIASES.items() for alias in aliases}


def normal_key(text: str) -> str | None:
    """The key by textual's name (``?`` is ``question_mark``); None for what no terminal sends."""
    text = text.strip() or text
    if len(text) == 1:
        if text.isalnum():
            return text
        try:
            name = unicodedata.name(text).lower().replace("-", "_").replace(" ", "_")
        except ValueError:
            return None
        return KEY_NAME_REPLACEMENTS.get(name, name)
    lower = _CANONICAL.get(text.lower(), text.lower())
    if lower in _KNOWN or (len(lower) > 1 and _letter(lower)):
        return lower
    *modifiers, base = lower.split("+")
    named = {"ctrl", "shift", "alt"}
    if modifiers and set(modifiers) <= named and len(set(modifiers)) == len(modifiers):
        order = [m for m in ("alt", "ctrl", "shift") if m in modifiers]
        inner = normal_key(base)
        if inner is not None and not (order == ["shift"] and len(base) == 1):  # shift+e is E
            return _CANONICAL.get("+".join([*order, inner]), "+".join([*order, inner]))
    return None


def _letter(key: str) -> bool:
    """Whether a field would take the key as text."""
    return "+" not in key and (key == "space" or len(shown_key(key)) == 1) and key not in _SIGNED


# --- the operator's own keys --------------------------------------------------------------------


def setting_files(home: Home) -> tuple[Path, ...]:
    """The person's file and the home's; what the home's says comes on top."""
    return Path(platformdirs.user_config_dir("tsh-console")) / FILE, home.folder / FILE


@dataclass(frozen=True, slots=True)
class Wish:
    """One line of ``[keys]``: the keys wanted for an id, and the file that says so."""

    keys: tuple[str, ...]
    origin: Path


def read_wishes(files: Iterable[Path], commands: Sequence[Command]) -> dict[str, Wish]:
    """The keys that the files ask for. UsageError for a broken file, an unknown id, a key that is none."""
    wishes: dict[str, Wish] = {}
    known = [command.id for command in commands if command.id]
    for path in files:
        for name, value in _key_lines(path):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'? " if near else ""
                raise UsageError(f"unknown key id '{name}' ({path}): {hint}'tshc keys --defaults' lists every id")
            wishes[name] = Wish(_keys_of(name, value, path), path)
    return wishes


def _key_lines(path: Path) -> list[tuple[str, Any]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); correct its permissions or move it away"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}; correct that line or move the file away") from error
    for section, content in table.items():
        if section != "keys" or not isinstance(content, Mapping):
            raise UsageError(f"'{section}' ({path}) is no section of the console's settings: there is only [keys]")
    return list(_flat(table.get("keys", {})))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """``training.pause = "P"`` without quotes around the id is a table in TOML; both spellings are taken."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _keys_of(name: str, value: Any, path: Path) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    parts: list[str] = []
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f'the key of {name} ({path}) is not text: write {name} = "KEY" or ["KEY", "KEY"]')
        parts += [text] if text.strip() in ("", ",") else text.split(",")
    if not parts or not any(part.strip() for part in parts):
        raise UsageError(f"{name} ({path}) would have no key: write one, or delete the line to get the default")
    keys: list[str] = []
    for part in parts:
        key = normal_key(part)
        if key is None:
            raise UsageError(
                f"'{part.strip()}' for {name} ({path}) is not a key a terminal sends: "
                "write p, P, f5, ctrl+g, space or ?"
            )
        keys.append(key)
    return tuple(dict.fromkeys(keys))


def remapped(commands: Sequence[Command], wishes: Mapping[str, Wish]) -> list[Command]:
    """The commands with the wished keys. UsageError for a key that would do two things, and for F12."""
    result = [replace(c, keys=wishes[c.id].keys) if c.id in wishes else c for c in commands]
    for command in result:
        wish = wishes.get(command.id)
        if wish is not None:
            _check_alone(command, wish, result)
            for other in result:
                if other is not command and _meet(command, other):
                    _refuse_clash(command, other, wish.origin)
    return result


def _check_alone(command: Command, wish: Wish, all_of_them: Sequence[Command]) -> None:
    flatten = next((c.id for c in all_of_them if FLATTEN_KEY in c.keys and c.priority and c.id != command.id), "")
    if command.id == "flatten" and FLATTEN_KEY not in command.keys:
        raise UsageError(
            f"flatten must keep F12 ({wish.origin}): it is the one key that works under every window; "
            'write flatten = "f12,KEY" to give it a second one, or delete the line'
        )
    for key in command.keys:
        if key == FLATTEN_KEY and flatten:
            raise UsageError(f"F12 is FLATTEN and nothing else ({wish.origin}): give {command.id} another key")
        if key in TAKEN:
            raise UsageError(
                f"'{shown_key(key)}' for {command.id} ({wish.origin}) belongs to the dialogs and fields: "
                "choose another key"
            )
        if command.priority and _letter(key):
            raise UsageError(
                f"'{shown_key(key)}' for {command.id} ({wish.origin}) would swallow that letter in every field: "
                "choose a function key or one with ctrl"
            )


def _meet(one: Command, other: Command) -> bool:
    """Whether both may be reached from one screen and share a key."""
    together = one.place == other.place or {one.place, other.place} & {EVERYWHERE, TABLES}
    return bool(together) and bool(set(one.keys) & set(other.keys))


def _refuse_clash(command: Command, other: Command, origin: Path) -> None:
    key = shown_key(sorted(set(command.keys) & set(other.keys))[0])
    raise UsageError(
        f"the key '{key}' would be both {command.id} and {other.id} ({origin}): "
        f"give one of them another key; 'tshc keys --defaults' shows what is taken"
    )


def keymap(commands: Sequence[Command], wishes: Mapping[str, Wish]) -> dict[str, str]:
    """What textual's ``App.set_keymap`` takes."""
    return {command.id: ",".join(command.keys) for command in commands if command.id in wishes}
