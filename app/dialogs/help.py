"""? : the keys of this screen, the keys that work everywhere, and what the signs mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app import formatting as f
from app.dialogs.frame import InfoDialog, Words
from app.widgets.box import EMPTY, Line, plain

Keys = Sequence[tuple[str, str]]

SIGNS: Keys = (
    ("● ◐ ◌ ⊘ ✕ ○", "a link: live, stale, connecting, refused, down, off"),
    ("▶ ‖ ✓ ✕ ·", "a stage: running, paused, done, failed, waiting"),
    ("├─┊─◇─▵─●─┤", "stop, entry, arms here, high, price, target"),
    ("A  B", "the group that trades, the one that runs in shadow"),
    ("6.1s!", "a price too old to trust; exits then use REST quotes"),
)


class KeyWords(Words):
    """Keys and meanings; a long meaning goes on below itself."""

    def __init__(self, keys: Keys, everywhere: Keys) -> None:
        super().__init__()
        self._keys, self._everywhere = keys, everywhere

    def draw(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        for title, keys in (("", self._keys), ("everywhere", self._everywhere), ("signs", SIGNS)):
            if title:
                lines += [EMPTY, plain(title, "dim")]
            for key, meaning in keys:
                for i, piece in enumerate(f.wrapped(meaning, max(10, width - 14))):
                    lines.append(((f.fit(key if i == 0 else "", 14), "accent"), (piece, "text")))
        return [*lines, EMPTY, plain("↑ ↓ scroll, Esc closes", "dim")]


class HelpDialog(InfoDialog):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "leave", show=False, id="help")]

    def __init__(self, screen_name: str, keys: Keys, everywhere: Keys) -> None:
        super().__init__(f"Keys of {screen_name}")
        self._keys, self._everywhere = keys, everywhere

    def body(self) -> ComposeResult:
        yield KeyWords(self._keys, self._everywhere)
