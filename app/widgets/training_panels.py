"""The training screen's panels: the loop's progress, and one row an algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from app import formatting as f
from app.widgets import plot
from app.widgets.box import EMPTY, Box, Line, between, cells, joined, plain
from app.widgets.table import Column, Table
from engine.views import AlgorithmRow, StageView, TrainingView

STATE_GLYPHS = {
    "idle": ("○", "dim"),
    "running": ("▶", "accent"),
    "paused": ("‖", "warn"),
    "stopping": ("■", "warn"),
    "done": ("✓", "accent"),
    "failed": ("✕", "alarm"),
}


def state_line(state: str, detail: str = "") -> Line:
    """``▶ running``: glyph, word, and what the engine adds."""
    glyph, ink = STATE_GLYPHS[state]
    return joined([((f"{glyph} ", ink), (state, "strong")), plain(detail, "dim")])


def work_before(stages: Sequence[StageView], this: str) -> Line:
    """While an earlier stage of the run is at work: which one and how far; empty when none is."""
    stage = next((s for s in stages if s.state in ("running", "paused")), None)
    if stage is None or stage.stage == this:
        return EMPTY
    share = "" if stage.progress is None else f" {stage.progress * 100:.0f} %"
    glyph, ink = STATE_GLYPHS[stage.state]
    return joined([((f"{glyph} ", ink), (f"{stage.stage}{share}", "strong")), plain(stage.detail, "dim")])


class LoopPanel(Box):
    """mp1_loop: cycles done, what a cycle costs, when it ends, which batches the present cycle has done."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("mp1 loop", id=id)
        self._view = TrainingView()
        self._before: Line = EMPTY

    def show(self, view: TrainingView, stages: Sequence[StageView] = ()) -> None:
        self._view, self._before = view, work_before(stages, "mp1_loop")
        self.note = self._agreement() if view.cycles else plain(view.backend, "dim")
        running = view.state in ("running", "paused", "stopping")
        self.foot = (
            (
                ("p", "key:training.pause"),
                (" pause / resume   ", "dim"),
                ("s", "key:training.stop"),
                (" stop after this cycle", "dim"),
            )
            if running
            else EMPTY
        )
        self.repaint()

    def _agreement(self) -> Line:
        """The engine, and how many batches the other backend computed alike."""
        view = self._view
        if not view.verified:
            return ((view.backend, "text"), (" · no batch verified", "dim"))
        ties = f", {len(view.ties)} {'tie' if len(view.ties) == 1 else 'ties'}" if view.ties else ", no tie"
        return (
            (view.backend, "text"),
            (" · ", "dim"),
            (f"verified {f.count(view.verified)} batches{ties}", "text"),
        )

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        if view.state == "idle" and not view.cycles:
            if self._before:
                return [plain("no training yet; the run is on its way to it", "dim"), self._before]
            return [
                plain("no training yet", "dim"),
                (("w", "key:weekend"), (" runs the weekend: data, then these cycles, then the groups", "dim")),
            ]
        share = view.cycle / view.cycles if view.cycles else None
        head: Line = (
            *state_line(view.state),
            ("   cycle ", "dim"),
            (f"{f.count(view.cycle)} / {f.count(view.cycles)}", "strong"),
        )
        tail: Line = ((f"{(share or 0) * 100:.0f} %", "strong"),)
        if view.eta_s is not None and view.state in ("running", "paused"):
            tail = (*tail, (f"   {f.duration(view.eta_s)} left", "text"))
        full, rest = f.bar(share, max(4, width - cells(head) - cells(tail) - 4))
        first: Line = (*head, ("  ", "text"), (full, "accent"), (rest, "frame"), ("  ", "text"), *tail)
        batches, volume, costs = self._batches(), self._volume(), self._costs()
        together = cells(batches) + cells(costs) + 4 <= width
        detail = plain(view.detail, "dim")
        below = [between(batches, costs, width)] if together else [batches, costs]
        return [
            first,
            *below,
            *([between(volume, detail, width)] if cells(volume) + cells(detail) < width else [volume, detail]),
            *([office] if (office := self._office()) else []),
        ]

    def _office(self) -> Line:
        """The workbook backend: office, instances, speed, restarts. Empty for the native one."""
        view, parts = self._view, list[Line]()
        if view.office:
            parts.append(((view.office, "strong"), (f" x {view.instances}", "dim")))
            if view.tickers_per_s is not None:
                parts.append(((f"{view.tickers_per_s:.1f}", "strong"), (" tickers/s", "dim")))
            ink = "warn" if view.restarts else "dim"
            parts.append(((f"{f.count(view.restarts)} restarts", ink),))
        return joined(parts, "   ")

    def _costs(self) -> Line:
        parts: list[Line] = []
        if self._view.kernel_ms is not None:
            parts.append(((f"{self._view.kernel_ms:.1f}", "strong"), (" ms kernels", "dim")))
        if self._view.cycle_ms is not None:
            parts.append(((f"{self._view.cycle_ms:.0f}", "strong"), (" ms a cycle", "dim")))
        return joined(parts, "   ")

    def _volume(self) -> Line:
        parts: list[Line] = []
        if self._view.evaluations_per_s is not None:
            rate = f.metric(self._view.evaluations_per_s)
            parts.append(((rate, "strong"), (" evaluations/s", "dim")))
        parts.append(((f.count(self._view.distinct), "strong"), (" distinct sets tested", "dim")))
        return joined(parts, "   ")

    def _batches(self) -> Line:
        days: list[Line] = []
        for number, batches in enumerate(self._view.batches, start=1):
            done = "".join("■" if b else "" for b in batches)
            todo = "".join("" if b else "□" for b in batches)
            days.append(((f"day {number} ", "dim"), (done, "accent"), (todo, "frame")))
        return joined(days, "   ") if days else plain("no batch in progress", "dim")


class AlgorithmTable(Table[AlgorithmRow]):
    """Each algorithm: how much of its space is tested, how good its best and its median are, how both grew."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("name", "algorithm", 9, 1),
        Column("tested", "tested", 9, 2, right=True),
        Column("space", "of space %", 10, 8, right=True),
        Column("best", "best pp", 8, 1, right=True),
        Column("top100", "top-100 pp", 10, 3, right=True),
        Column("trend", "best so far", 12, 4, most=26),
        Column("median", "median so far", 13, 4, most=33),
        Column("buys", "buys/day", 8, 5, right=True),
        Column("worst", "worst day %", 11, 6, right=True),
        Column("parameters", "best parameters", 18, 2, most=22),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Algorithms", id=id)
        self.note = plain("score in percentage points of excess", "dim")
        self.empty = [plain("each of the ten algorithms gets a row with the first cycle", "dim")]

    def columns(self) -> Sequence[Column]:
        told = any(row.median_trend for row in self.rows)  # days recorded long ago have none
        return self.COLUMNS if told else [c for c in self.COLUMNS if c.key != "median"]

    def key(self, row: AlgorithmRow) -> str:
        return row.name

    def cell(self, row: AlgorithmRow, column: str, width: int) -> Line:
        match column:
            case "name":
                return plain(row.name, "strong")
            case "tested":
                return plain(f.count(row.tested))
            case "space":
                return plain(f"{100 * row.tested / row.space:.2f}" if row.space else f.UNKNOWN, "dim")
            case "best":
                return plain(f.signed(row.best, 3), "strong")
            case "top100":
                return plain(f.signed(row.top100, 3))
            case "trend":
                return plain(plot.trend(row.trend, width), "accent")
            case "median":
                number = f.signed(row.median, 3)
                return ((plot.trend(row.median_trend, width - len(number) - 1), "accent"), (f" {number}", "text"))
            case "buys":
                return plain(f.UNKNOWN if row.buys_day is None else f"{row.buys_day:.0f}")
            case "worst":
                ink = "text" if row.worst_day is None or row.worst_day >= 0 else "loss"
                return plain(f.signed(row.worst_day), ink)
            case _:
                return plain(row.best_parameters or f.UNKNOWN)


class TrendPanel(Box):
    """How the best score of the algorithm under the cursor grew, where there is room for a chart."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Best score", id=id)
        self._row: AlgorithmRow | None = None
        self._cycle = 0

    def show(self, row: AlgorithmRow | None, cycle: int) -> None:
        self._row, self._cycle = row, cycle
        self.title = plain("Best score", "strong") + (((" of ", "dim"), (row.name, "accent")) if row else EMPTY)
        self.note = plain(row.best_parameters if row else "", "dim")
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        row, height = self._row, max(1, self.size.height - 2)
        if row is None or not row.trend:
            return [plain("the curve of each algorithm's best appears with the first cycles", "dim")]
        last = max(2, self._cycle)
        step = (last - 1) / max(1, len(row.trend) - 1)
        points = [(1 + i * step, value) for i, value in enumerate(row.trend)]
        best = plot.Curve((*points, (last, row.trend[-1])), f"best {f.signed(row.best, 3)}")
        curves = [best]
        if row.top100 is not None and min(row.trend) <= row.top100:
            curves.append(plot.Curve(((last, row.top100),), f"top-100 {f.signed(row.top100, 3)}", "dim"))
        return plot.plotted(
            curves, width, height, number=lambda v: f.signed(v, 3), time=lambda cycle: f"cycle {cycle:.0f}"
        )
