"""What every screen shares: the strip above, the notices, the key line below, painted at 4 Hz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widget import Widget

from app import keys
from app.client import Client, EngineState, Link
from app.widgets.box import Box, Known
from app.widgets.status_strip import KeyLine, Notices, StatusStrip
from app.widgets.table import Table
from app.widgets.transport import TransportLine

if TYPE_CHECKING:
    from app.console import TshConsole


def hidden(panel: Widget, nothing: bool) -> None:
    """A panel with nothing to say gives its place away; how it shows otherwise is the style sheet's."""
    panel.set_class(nothing, "-nothing")


class ConsoleScreen(Screen[None]):
    """Subclasses give ``content`` (widgets), ``show`` (data into them) and their keys for the help."""

    MODE: ClassVar[str] = ""
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = ()
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup,ctrl+up", "scroll_body(-1)", "page up", show=False, id="scroll.up"),
        Binding("pagedown,ctrl+down", "scroll_body(1)", "page down", show=False, id="scroll.down"),
    ]

    def __init_subclass__(cls, **options: Any) -> None:
        """Gives every binding of the screen its id, so that it can be remapped and listed."""
        if "BINDINGS" in cls.__dict__:
            cls.BINDINGS = keys.with_ids(cls.MODE, cls.__dict__["BINDINGS"])
        super().__init_subclass__(**options)

    def __init__(self) -> None:
        super().__init__(id=self.MODE)
        self._shown = (-1, 0)  # revision of what the body shows, and whole seconds that its engine is silent
        self._known: Known = "now"
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
        remembered = self.console.remembered
        if remembered is not None:
            self.restore(remembered.screen(self.MODE))
        self.ready = True
        self.paint(self.console.client)

    def layout_now(self) -> dict[str, Any]:
        """What this screen wants remembered for the next console (JSON); nothing by default."""
        return {}

    def restore(self, remembered: Mapping[str, Any]) -> None:
        """Takes back what ``layout_now`` said once; anything else in there is passed over."""

    def content(self) -> ComposeResult:
        raise NotImplementedError

    def show(self, state: EngineState) -> None:
        """Gives the newest views to the panels."""
        raise NotImplementedError

    def paint(self, client: Client) -> None:
        """Called at 4 Hz while on the stack; the body only when something changed.

        Only the body can be frozen: strip and notices are always of now. Of a lost engine it is dim.
        """
        self.query_one("#strip", StatusStrip).show(client, self.console.time_shift)
        self.query_one("#transport", TransportLine).show(self.console.time_shift)
        self.query_one("#notices", Notices).show(client, self.MODE)
        self._paint_body(client)

    def _paint_body(self, client: Client) -> None:
        known: Known = "now"
        if client.link is not Link.LIVE:
            known = "old" if client.state.status.known else "nothing"
        if known != self._known:
            self._known = known
            for box in self.query_one("#body").query(Box).results(Box):
                box.set_known(known)
        state = self.state
        shown = (state.revision, int(client.silent_s) if known == "old" else 0)  # ages go on without news
        if shown != self._shown:
            self._shown = shown
            self.show(state)

    def action_scroll_body(self, step: int) -> None:
        body = self.query_one("#body", VerticalScroll)
        body.scroll_relative(y=step * max(1, body.size.height - 2), animate=False)

    def on_screen_resume(self) -> None:
        self._shown = (-1, 0)
        if self.ready and self.console.is_running:
            self.paint(self.console.client)

    async def on_key_line_pressed(self, event: KeyLine.Pressed) -> None:
        await self.console.press(event.command)
