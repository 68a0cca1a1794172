"""What every screen shares: the strip above, the notices, the key line below, painted at 4 Hz."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen

from app.client import Client, EngineState, Link
from app.widgets.status_strip import KeyLine, Notices, StatusStrip
from app.widgets.table import Table
from app.widgets.transport import TransportLine

if TYPE_CHECKING:
    from app.console import TshConsole


class ConsoleScreen(Screen[None]):
    """Subclasses give ``content`` (widgets), ``show`` (data into them) and their keys for the help."""

    MODE: ClassVar[str] = ""
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = ()
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup,ctrl+up", "scroll_body(-1)", show=False),
        Binding("pagedown,ctrl+down", "scroll_body(1)", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id=self.MODE)
        self._shown = -1
        self.ready = False  # every widget of the screen is there

    @property
    def console(self) -> TshConsole:
        return cast("TshConsole", self.app)

    @property
    def state(self) -> EngineState:
        """What the body shows: the newest views, or those of the moment that it is frozen at."""
        return self.console.shown

    def compose(self) -> ComposeResult:
        yield StatusStrip(id="strip")
        yield TransportLine(id="transport")
        yield Notices(id="notices")
        with VerticalScroll(id="body", can_focus=False):
            yield from self.content()
        yield KeyLine(self.MODE, id="keys")

    def on_mount(self) -> None:
        for table in self.query(Table).results(Table):
            table.focus(scroll_visible=False)  # the top of the page stays in view
            break
        self.ready = True
        self.paint(self.console.client)

    def content(self) -> ComposeResult:
        raise NotImplementedError

    def show(self, state: EngineState) -> None:
        """Gives the newest views to the panels."""
        raise NotImplementedError

    def paint(self, client: Client) -> None:
        """Called at 4 Hz while on the stack; the body only when something changed.

        Only the body can be frozen: strip and notices are always of now.
        """
        self.query_one("#strip", StatusStrip).show(client, self.console.time_shift)
        self.query_one("#transport", TransportLine).show(self.console.time_shift)
        self.query_one("#notices", Notices).show(client)
        self.set_class(client.link is not Link.LIVE, "-lost")
        state = self.state
        if state.revision != self._shown:
            self._shown = state.revision
            self.show(state)

    def action_scroll_body(self, step: int) -> None:
        body = self.query_one("#body", VerticalScroll)
        body.scroll_relative(y=step * max(1, body.size.height - 2), animate=False)

    def on_screen_resume(self) -> None:
        self._shown = -1
        if self.ready and self.console.is_running:
            self.paint(self.console.client)

    def on_key_line_pressed(self, event: KeyLine.Pressed) -> None:
        self.console.press(event.key)
