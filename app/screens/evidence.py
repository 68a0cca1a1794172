"""6: what is known about the groups that were selected, and what is not known yet."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal

from app.client import EngineState
from app.screens.base import ConsoleScreen, hidden
from app.widgets.evidence_panels import ForwardTable, ProofPanel, ShufflesPanel, VerdictPanel


class EvidenceScreen(ConsoleScreen):
    MODE = "evidence"
    KEYS = (
        ("↑ ↓", "walk the weeks of the forward ledger"),
        ("page up", "scroll; page down"),
    )

    def content(self) -> ComposeResult:
        yield VerdictPanel(id="verdict")
        with Horizontal(id="luck"):
            yield ShufflesPanel(id="shuffles")
            yield ProofPanel(id="proof")
        yield ForwardTable(id="forward")

    def show(self, state: EngineState) -> None:
        hidden(self.query_one("#luck"), not state.groups.groups)
        self.query_one(VerdictPanel).show(state.groups, state.overview.grade)
        self.query_one(ShufflesPanel).show(state.groups)
        self.query_one(ProofPanel).show(state.groups)
        self.query_one(ForwardTable).show_rows(state.overview.forward, state.overview.grade)
