"""What every dialog shares: a box in the middle, its words, its buttons, and the safe way out.

Escape always leaves without doing anything, and the focus starts where Enter does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button

from app.client import EngineClient
from app.widgets.box import Box, Line

Result = TypeVar("Result")


class Words(Box):
    """Lines of a dialog; ``say`` replaces them."""

    FRAMED = False

    def __init__(self, lines: Sequence[Line] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._said: Sequence[Line] = lines

    def say(self, lines: Sequence[Line]) -> None:
        self._said = lines
        self.display = bool(lines)
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        return self._said


class Dialog(ModalScreen[Result]):
    """Subclasses give ``body``; ``paint`` is called at 4 Hz for those that show live numbers."""

    HEADING = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="dialog", can_focus=False) as frame:
            frame.border_title = self.HEADING
            yield from self.body()

    def body(self) -> ComposeResult:
        raise NotImplementedError

    def paint(self, client: EngineClient) -> None:
        """Live numbers; nothing by default."""

    def action_leave(self) -> None:
        self.dismiss(None)


def buttons(*named: tuple[str, str]) -> Horizontal:
    """A row of (id, label) buttons."""
    row = Horizontal(*(Button(label, id=name, compact=True) for name, label in named), classes="buttons")
    row.can_focus = False
    return row
