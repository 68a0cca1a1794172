"""g: may entries leave at the next open? Every gate with its number, its limit and its remedy."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.client import EngineState
from app.screens.base import ConsoleScreen
from app.widgets.board_panel import AtTheOpenPanel, BoardPanel


class BoardScreen(ConsoleScreen):
    MODE = "board"
    KEYS = (
        ("a", "approve the list that waits (asks, shows what is not GO)"),
        ("r", "reject the list: no trade that day (asks)"),
        ("u", "allow entries again after a latch (asks)"),
        ("GO CHECK", "a gate that holds; one that warns and does not stop"),
        ("WAIT NO-GO", "something is still missing; something stops the entries"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "approve", "approve"),
        Binding("r", "reject", "reject"),
    ]

    def content(self) -> ComposeResult:
        yield BoardPanel(id="board-panel")
        yield AtTheOpenPanel(id="at-the-open")

    def show(self, state: EngineState) -> None:
        self.query_one(BoardPanel).show(state.board, state.status)
        self.query_one(AtTheOpenPanel).show(state.board, state.shortlist)

    def action_approve(self) -> None:
        self.console.ask_approval()

    def action_reject(self) -> None:
        self.console.ask_rejection()
