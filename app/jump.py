"""Jump mode: a letter on everything that can be reached; the letter goes there, Escape leaves.

Reached are the rows of tables, fields and buttons (they get the focus), and what a click on the
last line would do. The screen goes on beneath; a letter keeps its row even when the rows move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from textual import events
from textual.app import ComposeResult
from textual.errors import NoWidget
from textual.geometry import Offset, Size
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from app.widgets.box import Box, Line

# The hand's home row first; capitals are never needed, a second letter is.
LETTERS = "asdfghjklqwertyuiopzxcvbnm"


@dataclass(frozen=True, slots=True)
class Target:
    """A place on the terminal (cells from its top left) and what its letter does."""

    at: Offset
    go: Callable[[], object]


@runtime_checkable
class Reachable(Protocol):
    """A widget with places of its own to jump to, at offsets inside it."""

    def jump_targets(self) -> Iterable[tuple[Offset, Callable[[], object]]]: ...


def labels(count: int) -> list[str]:
    """``count`` different labels, none the beginning of another: single letters, then pairs as needed."""
    pairs_from = 0  # how many letters, from the end of the row, begin a pair
    while len(LETTERS) - pairs_from + pairs_from * len(LETTERS) < count and pairs_from < len(LETTERS):
        pairs_from += 1
    single = LETTERS[: len(LETTERS) - pairs_from]
    double = [first + second for first in LETTERS[len(single) :] for second in LETTERS]
    return [*single, *double][:count]


def targets_of(screen: Screen[Any]) -> list[Target]:
    """Everything on ``screen`` that is seen and can be reached, from the top left to the bottom right."""
    found: list[Target] = []
    for widget in screen.query("*").results(Widget):
        if not widget.display or widget.disabled or not widget.visible:
            continue
        try:
            geometry = screen.find_widget(widget)
        except NoWidget:  # inside something that is hidden
            continue
        for inside, go in _places(widget):
            at = geometry.region.offset + inside
            if geometry.visible_region.contains_point(at):
                found.append(Target(at, go))
    return sorted(found, key=lambda target: (target.at.y, target.at.x))


def _places(widget: Widget) -> Iterator[tuple[Offset, Callable[[], object]]]:
    own = list(widget.jump_targets()) if isinstance(widget, Reachable) else []
    if own:
        yield from own
    elif widget.focusable:
        yield Offset(0, 0), widget.focus


class JumpLabel(Box):
    """The letters of one target."""

    FRAMED = False

    def __init__(self, label: str, at: Offset) -> None:
        super().__init__()
        self.label = label
        self.typed = 0
        self.styles.offset = (at.x, at.y)
        self.styles.width = len(label)

    def draw(self, width: int) -> Sequence[Line]:
        return [((self.label[: self.typed], "dim"), (self.label[self.typed :], "badge"))]


class JumpScreen(ModalScreen[Target | None]):
    """Answers the target whose letters were pressed, or None."""

    def __init__(self, targets: Sequence[Target]) -> None:
        super().__init__()
        self._targets = dict(zip(labels(len(targets)), targets, strict=False))
        self._typed = ""
        self._size_at_start: Size | None = None

    def compose(self) -> ComposeResult:
        for label, target in self._targets.items():
            yield JumpLabel(label, target.at)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        character = (event.character or "").lower()
        typed = self._typed + character
        if event.key == "backspace" and self._typed:
            typed = self._typed[:-1]
        elif not character or not any(label.startswith(typed) for label in self._targets):
            self.dismiss(None)  # Escape, or a letter that stands nowhere
            return
        if typed in self._targets:
            self.dismiss(self._targets[typed])
            return
        self._typed = typed
        for shown in self.query(JumpLabel):
            shown.display = shown.label.startswith(typed)
            shown.typed = len(typed)
            shown.repaint()

    def on_click(self) -> None:
        self.dismiss(None)

    def on_resize(self, event: events.Resize) -> None:
        if self._size_at_start not in (None, event.size):  # the letters would stand on other things
            self.dismiss(None)
        self._size_at_start = event.size
