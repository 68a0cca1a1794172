"""6: what is known about the groups that were selected, and what is not known yet."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from app import formatting as f
from app.client import EngineState
from app.screens.base import ConsoleScreen
from app.widgets.box import EMPTY, Box, Line, flowed, plain
from app.widgets.groups_panels import group_lines
from engine.views import GroupRow, GroupsView, OverviewView


class SelectedGroups(Box):
    """Group A and group B with their training numbers, replication and verdict."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("The selected groups", id=id)
        self._rows: list[GroupRow] = []

    def show(self, view: GroupsView) -> None:
        chosen = [row for row in view.groups if row.selected]
        self._rows = sorted(chosen, key=lambda row: row.selected or 9)
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        if not self._rows:
            return [
                plain("no group is selected", "dim"),
                (("w", "key:weekend"), (" runs the weekend; its last step selects two groups", "dim")),
            ]
        lines: list[Line] = []
        for row in self._rows:
            if lines:
                lines.append(EMPTY)
            lines.extend(group_lines(row, width))
        return lines


class SearchProof(Box):
    """How complete the search was: without a proof another group may be better."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("The search behind them", id=id)
        self._view = GroupsView()

    def show(self, view: GroupsView) -> None:
        self._view = view
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        if not view.anchors:
            return [plain("no search has run", "dim")]
        if view.proven:
            mark, text = ("✓ ", "accent"), "proven: no group of these variations scores higher"
        elif view.gap is not None:
            mark, text = (
                ("! ", "warn"),
                f"not proven: another group could score up to {view.gap:.3f} points more",
            )
        else:
            mark, text = ("○ ", "dim"), "not finished"
        numbers: list[Line] = [
            (("anchors closed ", "dim"), (f"{f.count(view.anchors_closed)} / {f.count(view.anchors)}", "strong")),
            (("groups visited ", "dim"), (f.metric(view.visited), "strong")),
            (("tests ", "dim"), (f.metric(view.tests), "strong")),
            (("time ", "dim"), (f.duration(view.elapsed_s), "strong")),
        ]
        verdict = [plain(piece) for piece in f.wrapped(text, width - 2, 2)]
        return [(mark, *verdict[0]), *verdict[1:], *flowed(numbers, width)]


class Advice(Box):
    """The engine's own words about evidence and size."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("What follows from it", id=id)
        self._said: tuple[str, ...] = ()

    def show(self, view: OverviewView) -> None:
        self._said = view.evidence
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        lines = [plain(piece) for text in self._said for piece in f.wrapped(text, width, 4)]
        caution = (
            "A best group of five days is mostly luck: it was chosen because it was best. What counts is the "
            "hold-out (tickers never trained on, same days) and, over the weeks, what its candidates then earned."
        )
        return [*lines, *([EMPTY] if lines else []), *(plain(p, "dim") for p in f.wrapped(caution, width, 6))]


class EvidenceScreen(ConsoleScreen):
    MODE = "evidence"
    KEYS = (("↑ ↓", "scroll"),)

    def content(self) -> ComposeResult:
        yield SelectedGroups(id="selected")
        yield SearchProof(id="proof")
        yield Advice(id="advice")

    def show(self, state: EngineState) -> None:
        self.query_one(SelectedGroups).show(state.groups)
        self.query_one(SearchProof).show(state.groups)
        self.query_one(Advice).show(state.overview)
