"""What every dialog shares: a box in the middle, its words, its buttons, and the safe way out.

Escape always leaves without doing anything, and the focus starts where Enter does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox

from app.client import Client, Link
from app.widgets.box import Box, Line, plain

if TYPE_CHECKING:
    from app.freezing_app import FreezingApp

Result = TypeVar("Result")
MOST_OF_HEIGHT, NARROW = 0.92, 100  # of the terminal, and cells below which there is no padding: the style sheet's


def rows_inside(terminal: Size) -> int:
    """Rows that a dialog has for its content before it must scroll."""
    return int(terminal.height * MOST_OF_HEIGHT) - (2 if terminal.width < NARROW else 4)


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

    ready = False  # every widget of the dialog is there

    def on_mount(self) -> None:
        """Called after the subclass's own: the first thing that is drawn has the live numbers, too."""
        self.ready = True
        self.paint(cast("FreezingApp", self.app).client)

    def paint(self, client: Client) -> None:
        """Live numbers, called only when ``ready``; nothing by default."""

    def action_leave(self) -> None:
        self.dismiss(None)


class InfoDialog(Dialog[None]):
    """Something in full, to read and close. ``live`` makes the lines anew from the client at each paint."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,q,space", "leave", show=False),
        Binding("up,pageup", "scroll(-3)", show=False),
        Binding("down,pagedown", "scroll(3)", show=False),
    ]

    def __init__(
        self,
        heading: str,
        lines: Sequence[Line] = (),
        *,
        live: Callable[[Client], Sequence[Line]] | None = None,
    ) -> None:
        super().__init__()
        self.HEADING = heading
        self._lines, self._live = lines, live

    def body(self) -> ComposeResult:
        yield Words(self._lines, id="words")

    def on_mount(self) -> None:
        self.query_one("#dialog").border_subtitle = "↑ ↓ scroll   esc closes"

    def paint(self, client: Client) -> None:
        if self._live is not None:
            lost = (
                []
                if client.link is Link.LIVE
                else [plain("ENGINE LOST: this is the last that was heard", "alarm")]
            )
            self.query_one("#words", Words).say([*lost, *self._live(client)])

    def action_scroll(self, lines: int) -> None:
        self.query_one("#dialog").scroll_relative(y=lines, animate=False)


class Tick(Checkbox):
    """A checkbox that shows its state by its shape: textual's own shows it by colour alone."""

    def __init__(self, label: str, *, id: str) -> None:
        super().__init__(label, id=id, compact=True)
        self.BUTTON_INNER = " "

    def watch_value(self) -> None:
        self.BUTTON_INNER = "✓" if self.value else " "
        super().watch_value()


def buttons(*named: tuple[str, str]) -> Horizontal:
    """A row of (id, label) buttons."""
    row = Horizontal(*(Button(label, id=name, compact=True) for name, label in named), classes="buttons")
    row.can_focus = False
    return row
