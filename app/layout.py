"""What a console remembers from one time to the next: the screen, the theme, filters, follow or freeze.

A convenience and nothing more: a file that is damaged is put aside, never repaired and never a
reason not to start. Written whole beside the old one and then renamed, so a kill leaves one of the two.
Two consoles of one home: the last change stays. A read-only console reads it and writes nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from engine.home import Home

VERSION = 1
FILE = "console.json"


class LayoutFile:
    """``console.json`` in the home folder. ``content`` is what was remembered; change it, then ``save``."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.content: dict[str, Any] = {}
        self.trouble = ""  # what a person should know about the file, said once
        self._writes = writes
        self._saved = ""
        self._read()

    @classmethod
    def of(cls, home: Home, *, read_only: bool = False) -> LayoutFile:
        return cls(home.folder / FILE, writes=not read_only)

    def text(self, name: str) -> str:
        """A remembered word, or ``""``."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""

    def screen(self, mode: str) -> dict[str, Any]:
        """What the screen ``mode`` remembered; the screen itself checks each value."""
        screens = self.content.get("screens")
        value = screens.get(mode) if isinstance(screens, dict) else None
        return value if isinstance(value, dict) else {}

    def keep(self, mode: str, remembered: dict[str, Any]) -> None:
        if remembered:
            screens = self.content.get("screens")
            self.content["screens"] = {**(screens if isinstance(screens, dict) else {}), mode: remembered}

    def save(self) -> None:
        """Writes the content if it changed. What goes wrong is said in ``trouble`` and stops the remembering."""
        text = json.dumps({"version": VERSION, **self.content}, indent=1, sort_keys=True) + "\n"
        if not self._writes or text == self._saved:
            return
        self._saved = text
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self.path)
        except OSError as error:
            self._writes = False
            self.trouble = f"the layout cannot be remembered in {self.path}: {error.strerror}; all else works"

    def _read(self) -> None:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except OSError as error:
            self._writes = False
            self.trouble = (
                f"the remembered layout {self.path} cannot be read ({error.strerror}): the default is used"
            )
            return
        except UnicodeDecodeError:
            self._put_aside("is not text")
            return
        try:
            content = json.loads(text)
        except ValueError:
            self._put_aside("is damaged")
            return
        if not isinstance(content, dict) or content.get("version") != VERSION:
            self._put_aside("is not of this version")
            return
        del content["version"]
        self.content, self._saved = content, text

    def _put_aside(self, why: str) -> None:
        """Keeps what is there under another name; the first free one, so nothing is overwritten."""
        said = f"the remembered layout {self.path} {why}: the default is used"
        if not self._writes:
            self.trouble = said
            return
        aside = self.path.with_name(f"{self.path.name}.damaged")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.damaged{number}")
        try:
            self.path.rename(aside)
        except OSError as error:
            self._writes = False
            self.trouble = f"{said}; it cannot be put aside either ({error.strerror})"
        else:
            self.trouble = f"{said}; the old file is kept as {aside.name}"
