"""? : the keys of this screen, the keys that work everywhere, and what the signs mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app import formatting as f
from app.dialogs.frame import Dialog, Words
from app.widgets.box import EMPTY, Line, plain

Keys = Sequence[tuple[str, str]]

EVERYWHERE: Keys = (
    ("1 … 7", "overview, training, groups, shortlist, positions, evidence, journal"),
    ("w", "run the weekend: asks for cycles and search budget"),
    ("d", "run the market day: snapshot, shortlist, news, trade list"),
    ("/", "find in the journal"),
    ("ctrl+p", "every command by name"),
    ("F12", "FLATTEN: sell everything; works in any window, asks for a typed word"),
    ("q", "close this console; the engine goes on"),
)
SIGNS: Keys = (
    ("● ◐ ◌ ⊘ ✕ ○", "a link: live, stale, connecting, refused, down, off"),
    ("▶ ‖ ✓ ✕ ·", "a stage: running, paused, done, failed, waiting"),
    ("├─┊─◇─▵─●─┤", "stop, entry, arms here, high, price, target"),
    ("A  B", "the group that trades, the one that runs in shadow"),
    ("6.1s!", "a price too old to trust; exits then use REST quotes"),
)


class HelpDialog(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,q", "leave", show=False)]

    def __init__(self, screen_name: str, keys: Keys) -> None:
        super().__init__()
        self.HEADING = f"Keys of {screen_name}"
        self._keys = keys

    def body(self) -> ComposeResult:
        lines: list[Line] = []
        for title, keys in ((None, self._keys), ("everywhere", EVERYWHERE), ("signs", SIGNS)):
            if title:
                lines += [EMPTY, plain(title, "dim")]
            for key, meaning in keys:
                lines.append(((f.fit(key, 15), "accent"), (meaning, "text")))
        yield Words([*lines, EMPTY, plain("Esc closes", "dim")])
