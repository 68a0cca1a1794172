"""4: the day's names - why each is on the list, which four would be traded, and the yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.client import Client, EngineState
from app.dialogs.frame import InfoDialog
from app.screens.base import ConsoleScreen, hidden
from app.widgets.box import Line
from app.widgets.candidate_window import candidate_window
from app.widgets.shortlist_panels import CandidatePanel, ShortlistTable
from app.widgets.table import Table


class ShortlistScreen(ConsoleScreen):
    MODE = "shortlist"
    KEYS = (
        ("a", "approve the ticked names (asks, shows the list's hash)"),
        ("r", "reject the list: no trade that day (asks)"),
        ("space", "swap: on a ticked name, then on the one that takes its place"),
        ("esc", "forget a half-made swap"),
        ("↑ ↓", "walk the list; the marked one shows its rank parts and its news"),
        ("enter", "all news behind the marked name's score, and the vetoes"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "approve", "approve"),
        Binding("r", "reject", "reject"),
        Binding("space", "swap", "swap"),
        Binding("escape", "forget_swap", "forget the swap", show=False),
    ]

    def content(self) -> ComposeResult:
        yield ShortlistTable(id="shortlist-table")
        yield CandidatePanel(id="candidate")

    def show(self, state: EngineState) -> None:
        self.query_one(ShortlistTable).show_list(state.shortlist, state.status, state.overview.stages)
        self._show_candidate()

    def _show_candidate(self) -> None:
        row, vetoed = self.query_one(ShortlistTable).current, self.state.shortlist.vetoed
        hidden(self.query_one(CandidatePanel), row is None and not vetoed)
        self.query_one(CandidatePanel).show(row, vetoed)

    def on_table_moved(self, event: Table.Moved) -> None:
        self._show_candidate()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """The news in full, as they are at every moment that the window is open."""
        symbol = event.key

        def lines(client: Client) -> Sequence[Line]:
            return candidate_window(client.state.shortlist, symbol, 66)

        self.app.push_screen(InfoDialog(f"News of {symbol}", lines(self.console.client), live=lines))

    def action_approve(self) -> None:
        self.console.ask_approval()

    def action_reject(self) -> None:
        self.console.ask_rejection()

    def action_swap(self) -> None:
        table = self.query_one(ShortlistTable)
        row = table.current
        if row is None:
            return
        view = self.state.shortlist
        if view.state not in ("pending", "approved"):
            self.console.say(f"this list is over ({view.state}): nothing in it can be swapped", wrong=True)
            return
        marked = next((r for r in table.rows if r.symbol == table.marked), None)
        if marked is not None and marked.chosen != row.chosen:
            out, into = (marked, row) if marked.chosen else (row, marked)
            table.marked = ""
            self.console.ask_swap(out.symbol, into.symbol)
        else:  # the first half, or another choice for it; the same name again forgets it
            table.marked = "" if row.symbol == table.marked else row.symbol
        table.show_list(self.state.shortlist, self.state.status, self.state.overview.stages)

    def action_forget_swap(self) -> None:
        table = self.query_one(ShortlistTable)
        table.marked = ""
        table.show_list(self.state.shortlist, self.state.status, self.state.overview.stages)
