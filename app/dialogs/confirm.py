"""Yes or back, with the consequence in words; what cannot be undone asks for a typed word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widgets import Button, Input

from app.client import Client, Link
from app.dialogs.frame import Dialog, Words, buttons, rows_inside
from app.silence import CANNOT_SEND
from app.widgets.box import Line, plain

TYPED_ROWS, BUTTON_ROWS = 4, 2  # below the words: the demand and its field, or the buttons; with their margins


def room_for_words(terminal: Size, *, typed: bool) -> int:
    """Lines that a question may have so that the way to answer it is seen with all of them."""
    return rows_inside(terminal) - (TYPED_ROWS if typed else BUTTON_ROWS)


class ConfirmDialog(Dialog[bool]):
    """Answers True only after ``y``, the yes button, or (``word`` given) that very word and Enter.

    ``live`` makes the lines anew from the client at each paint, for numbers that move.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", show=False),
        Binding("n", "leave", show=False),
    ]

    def __init__(
        self,
        heading: str,
        lines: Sequence[Line] = (),
        *,
        yes: str,
        word: str = "",
        live: Callable[[Client], Sequence[Line]] | None = None,
    ) -> None:
        super().__init__()
        self.HEADING = heading
        self._lines, self._yes, self._word, self._live = lines, yes, word, live
        self._answered = False

    def body(self) -> ComposeResult:
        yield Words(self._lines, id="words")
        if self._word:
            yield Words(
                [(("type ", "dim"), (self._word, "strong"), (" and Enter; Esc goes back", "dim"))], id="ask"
            )
            yield Input(id="word", compact=True)
        else:
            yield buttons(("back", "Back  esc"), ("yes", f"{self._yes}  y"))

    def on_mount(self) -> None:
        (self.query_one("#word") if self._word else self.query_one("#back")).focus()

    def paint(self, client: Client) -> None:
        lines = self._live(client) if self._live is not None else self._lines
        lost = [] if client.link is Link.LIVE else [plain(CANNOT_SEND, "alarm")]
        self.query_one("#words", Words).say([*lost, *lines])

    def action_yes(self) -> None:
        if not self._word:
            self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._answer()
        else:
            self.action_leave()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._word:
            self._answer()
        else:
            event.input.value = ""  # the word typed next must not be glued to the wrong one
            self.query_one("#ask", Words).say([plain(f"that is not {self._word}; nothing was done", "warn")])

    def _answer(self) -> None:
        if not self._answered:  # a second press while the dialog is closing is harmless
            self._answered = True
            self.dismiss(True)
