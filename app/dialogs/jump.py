"""Where to go in a replay: a time of the day."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.widgets import Input

from app.dialogs.frame import Dialog, Words
from app.widgets.box import plain
from engine.errors import OperatorError


class JumpDialog(Dialog[None]):
    """``jump`` takes what was typed; its OperatorError is shown and the dialog stays."""

    HEADING = "Go to a time"

    def __init__(self, jump: Callable[[str], None]) -> None:
        super().__init__()
        self._jump = jump

    def body(self) -> ComposeResult:
        yield Words([plain("New York's clock: 9:31 or 09:31:05, then Enter; Esc goes back", "dim")])
        yield Input(id="time", compact=True)
        yield Words(id="wrong")

    def on_mount(self) -> None:
        self.query_one("#wrong").display = False
        self.query_one("#time").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            self._jump(event.value)
        except OperatorError as error:
            self.query_one("#wrong", Words).say([plain(str(error), "warn")])
        else:
            self.dismiss(None)
