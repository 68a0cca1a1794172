"""3: mp2 at work - the search, its threads and ledger, and the best groups so far."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from app.client import EngineState
from app.dialogs.frame import InfoDialog
from app.screens.base import ConsoleScreen, hidden
from app.widgets.groups_panels import GroupDetail, GroupsTable, LanesPanel, group_lines
from app.widgets.search_panels import CurvePanel, FlowsPanel, SearchPanel, unproven
from app.widgets.table import Table


class GroupsScreen(ConsoleScreen):
    MODE = "groups"
    KEYS = (
        ("p", "pause or resume the search; a pause uses no budget"),
        ("s", "stop with the best groups so far (asks)"),
        ("↑ ↓", "walk the groups; enter shows the marked one in full"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause / resume"),
        Binding("s", "stop", "stop search"),
    ]

    def content(self) -> ComposeResult:
        yield SearchPanel(id="search")
        with Horizontal(id="research"):
            yield CurvePanel(id="curve")
            yield FlowsPanel(id="flows")
        yield LanesPanel(id="lanes")
        yield GroupsTable(id="groups-table")
        yield GroupDetail(id="group-detail")

    def show(self, state: EngineState) -> None:
        view = state.groups
        hidden(self.query_one("#research"), not view.curve and not view.flows)
        hidden(self.query_one("#lanes"), not view.lanes)
        hidden(self.query_one("#group-detail"), not view.groups)
        self.query_one(SearchPanel).show(state.groups, state.overview.stages)
        self.query_one(CurvePanel).show(state.groups)
        self.query_one(FlowsPanel).show(state.groups)
        self.query_one(LanesPanel).show(state.groups)
        self.query_one(GroupsTable).show(state.groups.groups)
        self._show_detail()

    def _show_detail(self) -> None:
        self.query_one(GroupDetail).show(self.query_one(GroupsTable).current)

    def on_table_moved(self, event: Table.Moved) -> None:
        self._show_detail()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        row = self.query_one(GroupsTable).current
        if row is not None:
            self.app.push_screen(InfoDialog(f"Group {row.rank}", group_lines(row, 66)))

    def action_pause(self) -> None:
        self.console.pause_or_resume("search", self.state.groups.state)

    def action_stop(self) -> None:
        view = self.state.groups
        open_ = f"; {said}" if (said := unproven(view)) else ""
        self.console.stop_work("search", f"The search ends now with the best groups so far{open_}.")
