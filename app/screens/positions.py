"""5: the open trades between their exits, live; the orders; what the day made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.client import Client, EngineState
from app.dialogs.frame import InfoDialog
from app.screens.base import ConsoleScreen, hidden
from app.silence import positions_now
from app.widgets.box import Line
from app.widgets.positions_panels import GONE, OrdersTable, PositionPanel, PositionsTable, position_window
from app.widgets.table import Table


class PositionsScreen(ConsoleScreen):
    MODE = "positions"
    KEYS = (
        ("x", "sell the marked position now (asks)"),
        ("tab", "from the positions to the orders and back"),
        ("↑ ↓", "walk the positions; enter shows the marked one in full"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "exit_one", "sell this one")]

    def content(self) -> ComposeResult:
        yield PositionsTable(id="positions-table")
        yield PositionPanel(id="position")
        yield OrdersTable(id="orders-table")

    def show(self, state: EngineState) -> None:
        self.query_one(PositionsTable).show_view(positions_now(self.console.client, state.positions))
        self.query_one(OrdersTable).show_view(state.positions)
        self._show_position()

    def _show_position(self) -> None:
        row = self.query_one(PositionsTable).current
        hidden(self.query_one(PositionPanel), row is None)
        self.query_one(PositionPanel).show(row)

    def on_table_moved(self, event: Table.Moved) -> None:
        self._show_position()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        row = self.query_one(PositionsTable).current
        if row is not None and isinstance(event.table, PositionsTable):
            self._open(row.symbol)

    def _open(self, symbol: str) -> None:
        """The position in full, as it is at every moment that the window is open."""

        def lines(client: Client) -> Sequence[Line]:
            return position_window(positions_now(client), symbol, 66)

        self.app.push_screen(InfoDialog(symbol, lines(self.console.client), live=lines))

    def action_exit_one(self) -> None:
        row = self.query_one(PositionsTable).current
        if row is None or not row.shares or row.state in GONE:
            self.console.say("no open position is marked; walk with ↑ ↓")
            return
        self.console.ask_exit(row.symbol)
