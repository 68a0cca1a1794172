"""2: mp1 at work - the cycles, the batches of the present one, and what each algorithm has found."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.client import EngineState
from app.screens.base import ConsoleScreen, hidden
from app.widgets.table import Table
from app.widgets.training_panels import AlgorithmTable, LoopPanel, TrendPanel


class TrainingScreen(ConsoleScreen):
    MODE = "training"
    KEYS = (
        ("p", "pause or resume the training"),
        ("s", "stop after the present cycle (asks)"),
        ("↑ ↓", "walk the algorithms"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause / resume"),
        Binding("s", "stop", "stop after cycle"),
    ]

    def content(self) -> ComposeResult:
        yield LoopPanel(id="loop")
        yield AlgorithmTable(id="algorithms")
        yield TrendPanel(id="trend")

    def show(self, state: EngineState) -> None:
        hidden(self.query_one(TrendPanel), not state.training.algorithms)
        self.query_one(LoopPanel).show(state.training, state.overview.stages)
        self.query_one(AlgorithmTable).show(state.training.algorithms)
        self._show_trend()

    def _show_trend(self) -> None:
        self.query_one(TrendPanel).show(self.query_one(AlgorithmTable).current, self.state.training.cycle)

    def on_table_moved(self, event: Table.Moved) -> None:
        self._show_trend()

    def action_pause(self) -> None:
        self.console.pause_or_resume("training", self.state.training.state)

    def action_stop(self) -> None:
        view = self.state.training
        self.console.stop_work(
            "training", f"The training ends after cycle {view.cycle} of {view.cycles}; pruning goes on with those."
        )
