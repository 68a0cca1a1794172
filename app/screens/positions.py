"""5: the open trades between their exits, live; the orders; what the day made of it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.client import EngineState
from app.screens.base import ConsoleScreen
from app.widgets.positions_panels import GONE, OrdersTable, PositionsTable


class PositionsScreen(ConsoleScreen):
    MODE = "positions"
    KEYS = (
        ("x", "sell the marked position now (asks)"),
        ("tab", "from the positions to the orders and back"),
        ("↑ ↓", "walk the positions"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "exit_one", "sell this one")]

    def content(self) -> ComposeResult:
        yield PositionsTable(id="positions-table")
        yield OrdersTable(id="orders-table")

    def show(self, state: EngineState) -> None:
        self.query_one(PositionsTable).show_view(state.positions)
        self.query_one(OrdersTable).show_view(state.positions)

    def action_exit_one(self) -> None:
        row = self.query_one(PositionsTable).current
        if row is None or not row.shares or row.state in GONE:
            self.console.say("no open position is marked; walk with ↑ ↓")
            return
        self.console.ask_exit(row.symbol)
