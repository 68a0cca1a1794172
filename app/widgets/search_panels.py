"""The groups screen's upper half: the search, bound and best over its time, and who gave time to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from app import formatting as f
from app.widgets.box import EMPTY, Box, Line, cells, fitted, flowed, joined, plain
from app.widgets.plot import Curve, plotted, trend
from app.widgets.table import Column, chosen_columns, header_line, row_line
from app.widgets.training_panels import state_line, work_before
from engine.views import FlowView, GapPoint, GroupsView, StageView

FRESH_S = 1.0  # search seconds for which a flow is marked as happening


class SearchPanel(Box):
    """mp2: how much of the budget is used, how good the best is, how much better another could be."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("mp2 group discovery", id=id)
        self._view = GroupsView()
        self._before: Line = EMPTY

    def show(self, view: GroupsView, stages: Sequence[StageView]) -> None:
        self._view, self._before = view, work_before(stages, "mp2_p2_group_discovery")
        share = view.elapsed_s / view.budget_s if view.budget_s else 0.0
        self.note = (
            (
                ("budget ", "dim"),
                (f.thread_time(view.budget_s, view.budget_s), "text"),
                ("  used ", "dim"),
                (f"{f.thread_time(view.elapsed_s, view.budget_s)}  {share * 100:.0f} %", "text"),
            )
            if view.budget_s
            else EMPTY
        )
        running = view.state in ("running", "paused", "stopping")
        self.foot = (
            (
                ("p", "key:groups.pause"),
                (" pause / resume   ", "dim"),
                ("s", "key:groups.stop"),
                (" stop with the best so far", "dim"),
            )
            if running
            else EMPTY
        )
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        if view.state == "idle" and not view.anchors:
            if self._before:
                return [plain("no search yet; the run is on its way to it", "dim"), self._before]
            return [
                plain("no search yet", "dim"),
                (("w", "key:weekend"), (" runs the weekend; the search follows the training", "dim")),
            ]
        state = state_line(view.state)
        full, rest = f.bar(view.elapsed_s / view.budget_s if view.budget_s else None, width - cells(state) - 2)
        gap = "0, proven" if view.proven else f"{view.gap:.3f}" if view.gap is not None else f.UNKNOWN
        over = " over worst kept" if view.gap is not None and not view.proven else ""
        rate = " tests/s mean" if view.state == "done" else " tests/s"
        numbers: list[Line] = [
            (("best ", "dim"), (f.signed(view.incumbent, 3), "strong")),
            (("bound ", "dim"), (f.signed(view.bound, 3), "strong")),
            (("gap ", "dim"), (gap, "accent" if view.proven else "strong"), *plain(over, "dim")),
            (("visited ", "dim"), (f.metric(view.visited), "strong")),
            ((f.metric(view.tests_per_s), "strong"), (rate, "dim")),
        ]
        if view.anchors:
            closed = f"{f.count(view.anchors_closed)} / {f.count(view.anchors)}"
            numbers.insert(3, (("anchors ", "dim"), (closed, "strong")))
        if view.shuffles and view.state != "done":  # then the line below says it
            numbers.append((("shuffles ", "dim"), (f"{view.shuffles_done} / {view.shuffles}", "strong")))
        lines: list[Line] = [
            (*state, ("  ", "text"), (full, "accent"), (rest, "frame")),
            *flowed(numbers, width, "   "),
        ]
        if self.short and (gaps := gaps_of(view)):
            first, last = f"{gaps[0]:.3f} ", f" {gaps[-1]:.3f}"
            drawn = trend(gaps, max(4, width - 4 - len(first) - len(last)))
            lines.append((("gap ", "dim"), (first, "text"), (drawn, "accent"), (last, "text")))
        if view.detail:
            lines.append(plain(view.detail, "dim"))
        return lines

    @property
    def short(self) -> bool:
        """Whether the terminal leaves no room for the curve's own panel."""
        return self.is_attached and self.screen.has_class("-short")


def unproven(view: GroupsView) -> str:
    """What a search without a proof leaves open, in words; empty with one, or before it knows.

    The gap reaches down to the worst group kept; what the best could still be beaten by is less.
    """
    if view.proven or view.gap is None:
        return ""
    if view.bound is None or view.incumbent is None:  # a stored search knows its gap alone
        return f"another group could score up to {view.gap:.3f} points more than the worst kept"
    if view.bound <= view.incumbent:
        return f"none scores higher than the best, but up to {view.gap:.3f} points more than the worst kept"
    return f"another group could score up to {view.bound - view.incumbent:.3f} points more than the best"


def gaps_of(view: GroupsView) -> list[float]:
    """How far the bound lay above what a new group must beat, point by point; a proof ends at 0."""
    gaps = [p.bound - p.threshold for p in view.curve if p.bound is not None and p.threshold is not None]
    return [*gaps, 0.0] if gaps and view.proven else gaps


class CurvePanel(Box):
    """Best and bound over the search's time; the dotted ground between them is what is not proven yet."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Bound and best", id=id)
        self._view = GroupsView()

    def show(self, view: GroupsView) -> None:
        self._view = view
        closed = plain("gap closed: proven", "accent") if view.proven else EMPTY
        open_gap = (
            (("gap ", "dim"), (f"{view.gap:.3f} pp", "strong"), (" over worst kept", "dim")) if view.gap else EMPTY
        )
        self.note = (closed or open_gap) if view.curve else EMPTY
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        view, curve = self._view, self._view.curve
        if not curve:
            hint = "the stored search kept no curve" if view.anchors or view.groups else "best and bound meet here"
            return [plain(hint, "dim")]
        last = curve[-1]
        kept = "worst kept"
        curves = [
            Curve(_points(curve, "bound"), f"bound {f.signed(last.bound, 3)}", "warn"),
            Curve(_points(curve, "threshold"), f"{kept} {f.signed(last.threshold, 3)}", "dim"),
            Curve(_points(curve, "incumbent"), f"best {f.signed(last.incumbent, 3)}", "accent"),
        ]
        return plotted(
            curves,
            width,
            max(4, self.size.height - 2),
            number=lambda value: f.signed(value, 3),
            time=f.amount,
            shaded=(0, 1),
        )


def _points(curve: Sequence[GapPoint], name: str) -> list[tuple[float, float]]:
    return [(p.at_s, value) for p in curve if (value := getattr(p, name)) is not None]


class FlowsPanel(Box):
    """Who gave search time to whom: the latest first, and what it comes to since the start."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("at", "at", 8, 1, right=True),
        Column("giver", "from", 8, 1, right=True),
        Column("arrow", "", 1, 1),
        Column("taker", "to", 8, 1),
        Column("amount", "thread time", 11, 1, right=True),
        Column("bar", "", 6, 3, most=24),
        Column("times", "times", 5, 2, right=True),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Donations", id=id)
        self._view = GroupsView()

    def show(self, view: GroupsView) -> None:
        self._view = view
        between_threads = sum(t.seconds for t in view.flow_totals if is_donation(t))
        self.note = (
            (("given by threads ", "dim"), (f.amount(between_threads), "strong")) if view.flow_totals else EMPTY
        )
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        if not view.flows:
            hint = "what a thread gives back and another receives is listed here as it happens"
            return [plain(piece, "dim") for piece in f.wrapped(hint, width, 3)]
        columns = chosen_columns(self.COLUMNS, width)
        room = max(1, self.size.height - 4)
        latest = sorted(view.flows, key=lambda flow: flow.at_s)[::-1][:room]
        most = max(flow.seconds for flow in latest)
        lines = [header_line(columns)]
        for flow in latest:
            lines.append(row_line(columns, [self._cell(flow, c.key, size, most) for c, size in columns]))
        lines += [EMPTY] * (room - len(latest))
        return [*lines, fitted(flow_totals_line(view), width)]

    def _cell(self, flow: FlowView, column: str, width: int, most: float) -> Line:
        fresh = self._view.state == "running" and self._view.elapsed_s - flow.at_s < FRESH_S
        match column:
            case "at":
                return plain(f.amount(flow.at_s), "accent" if fresh else "dim")
            case "giver":
                return plain(flow.giver, "strong" if is_donation(flow) else "dim")
            case "arrow":
                return plain("▶", "accent")
            case "taker":
                return plain(flow.taker, "strong" if flow.taker.isdigit() else "text")
            case "amount":
                return plain(f.amount(flow.seconds), "accent" if fresh else "text")
            case "bar":
                full, _ = f.bar(flow.seconds / most if most else None, width)
                return plain(full.rstrip("─"), "accent" if is_donation(flow) else "dim")
            case _:
                return plain(f"{flow.times} ×", "dim")


def is_donation(flow: FlowView) -> bool:
    """Whether a thread gave it to another: not budget that nobody had held, nor what it took again itself."""
    return flow.giver.isdigit() and flow.giver != flow.taker


def flow_totals_line(view: GroupsView) -> Line:
    """``in all  2▶1 1.10 s  budget▶shuffles 15.2 s  own again 3.2 s``: the threads' gifts to others first."""
    if not view.flow_totals:
        return EMPTY
    given = [flow for flow in view.flow_totals if flow.giver != flow.taker]
    own = sum(flow.seconds for flow in view.flow_totals if flow.giver == flow.taker)
    parts: list[Line] = [
        ((f"{flow.giver}▶{flow.taker} ", "dim"), (f.amount(flow.seconds), "text"))
        for flow in sorted(given, key=lambda flow: (not is_donation(flow), -flow.seconds))
    ]
    if own:
        parts.append((("own again ", "dim"), (f.amount(own), "text")))
    return joined([plain("in all", "dim"), *parts], "  ")
