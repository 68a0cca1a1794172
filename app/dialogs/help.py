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

EVERYWHERE: Keys = (
    ("1 … 7", "overview, training, groups, shortlist, positions, evidence, journal"),
    ("g", "the GO / NO-GO board: every gate before the open, with its number"),
    ("u", "allow entries again after a latch (asks)"),
    ("w", "run the weekend: asks for cycles and search budget"),
    ("d", "run the market day: snapshot, shortlist, news, trade list"),
    ("/", "find in the journal"),
    ("z", "freeze the screens; data, alarms and F12 go on. z or Esc: back to now"),
    ("← → [ ]", "while frozen: 1 s back or forth (shift: 10 s), the event before or after"),
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
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "leave", show=False)]

    def __init__(self, screen_name: str, keys: Keys, everywhere: Keys = EVERYWHERE) -> None:
        super().__init__(f"Keys of {screen_name}")
        self._keys, self._everywhere = keys, everywhere

    def body(self) -> ComposeResult:
        yield KeyWords(self._keys, self._everywhere)
