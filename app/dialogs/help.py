"""? : the keys of this screen, the keys that work everywhere, and what the signs mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app import formatting as f
from app.dialogs.frame import InfoDialog, Words, rows_inside
from app.widgets.box import EMPTY, Line, cells, flowed, plain

Keys = Sequence[tuple[str, str]]

SIGNS: Keys = (
    ("SIM  PAPER", "a simulated market, a paper account: no real money"),
    ("● ◐ ◌ ⊘ ✕ ○", "a link: live, stale, connecting, refused, down, off"),
    ("▶ ‖ ✓ ✕ ·", "a stage: running, paused, done, failed, waiting"),
    ("├─┊─◇─▵─●─┤", "stop, entry, arms here, high, price, target"),
    ("A  B", "the group that trades, the one that runs in shadow"),
    ("6.1s!", "a price too old to trust; exits then use REST quotes"),
)


class KeyWords(Words):
    """Keys and meanings; a long meaning goes on below itself.

    On a terminal that is too short for all of it, what works everywhere is said in a word each, so
    that every key is seen without scrolling.
    """

    def __init__(self, keys: Keys, everywhere: Keys, briefly: Keys = ()) -> None:
        super().__init__()
        self._keys, self._everywhere, self._briefly = keys, everywhere, briefly

    def draw(self, width: int) -> Sequence[Line]:
        here, signs = self._section(self._keys, width), self._section(SIGNS, width)
        everywhere = [EMPTY, plain("everywhere", "dim"), *self._section(self._everywhere, width)]
        if self._briefly and len(here) + len(everywhere) + len(signs) + 2 > rows_inside(self.app.size):
            parts: list[Line] = [((key, "accent"), (f" {name}", "text")) for key, name in self._briefly]
            everywhere = [plain("everywhere", "dim"), *flowed(parts, width, "   ")]
            return [*here, *everywhere, plain("signs", "dim"), *signs]
        return [*here, *everywhere, EMPTY, plain("signs", "dim"), *signs]

    @staticmethod
    def _section(keys: Keys, width: int) -> list[Line]:
        lines: list[Line] = []
        column = max(14, *(cells(plain(key)) + 2 for key, _ in keys)) if keys else 14
        column = min(column, width // 2)
        for key, meaning in keys:
            names = f.wrapped(key, column - 1)
            words = f.wrapped(meaning, max(10, width - column))
            for i in range(max(len(names), len(words))):
                name, piece = (names[i : i + 1] or [""])[0], (words[i : i + 1] or [""])[0]
                lines.append(((f.fit(name, column), "accent"), (piece, "text")))
        return lines


class HelpDialog(InfoDialog):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "leave", show=False, id="help")]

    def __init__(self, screen_name: str, keys: Keys, everywhere: Keys, briefly: Keys = ()) -> None:
        super().__init__(f"Keys of {screen_name}")
        self._words = KeyWords(keys, everywhere, briefly)

    def body(self) -> ComposeResult:
        yield self._words
