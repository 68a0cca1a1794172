"""The groups screen's panels: the search, its lanes and ledger, the best groups, one group in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from app import formatting as f
from app.widgets.box import EMPTY, Box, Line, between, cells, fitted, flowed, joined, plain
from app.widgets.plot import Curve, plotted, trend
from app.widgets.table import Column, Table, chosen_columns, header_line, row_line
from app.widgets.training_panels import STATE_GLYPHS, state_line, work_before
from engine.views import FlowView, GapPoint, GroupRow, GroupsView, LaneView, LedgerView, StageView

LEDGER_TOLERANCE_S = 0.5
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
        rate = " tests/s mean" if view.state == "done" else " tests/s"
        numbers: list[Line] = [
            (("best ", "dim"), (f.signed(view.incumbent, 3), "strong")),
            (("bound ", "dim"), (f.signed(view.bound, 3), "strong")),
            (("gap ", "dim"), (gap, "accent" if view.proven else "strong")),
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
        open_gap = (("gap ", "dim"), (f"{view.gap:.3f} pp", "strong")) if view.gap else EMPTY
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


class LanesPanel(Box):
    """The watchdog: what each thread got, used, gave away and received; below, the ledger that sums."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("thread", "thread", 6, 1, right=True),
        Column("state", "state", 11, 1),
        Column("anchor", "anchor", 14, 4, most=30),
        Column("depth", "depth", 7, 6, right=True),
        Column("rate", "tests/s", 8, 3, right=True),
        Column("granted", "granted", 8, 2, right=True),
        Column("used", "used", 8, 1, right=True),
        Column("share", "of budget", 10, 7, most=30),
        Column("donated", "donated", 9, 1, right=True),
        Column("received", "received", 9, 1, right=True),
        Column("stall", "stall s", 7, 8, right=True),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Lanes", id=id)
        self.note = plain("thread time", "dim")
        self._view = GroupsView()
        self._lanes: tuple[LaneView, ...] = ()
        self._ledger = LedgerView()
        self._fresh: set[tuple[int, str]] = set()  # (thread, column) that just gave or got

    def show(self, view: GroupsView) -> None:
        before = {lane.thread: lane for lane in self._lanes}
        if view.lanes != self._lanes:
            self._fresh = {
                (lane.thread, name)
                for lane in view.lanes
                for name in ("donated", "received")
                if lane.thread in before and getattr(lane, name) > getattr(before[lane.thread], name)
            }
        self._lanes, self._ledger, self._view = view.lanes, view.ledger, view
        self.repaint()

    def rows_to_export(self) -> Sequence[LaneView]:
        return self._lanes

    def draw(self, width: int) -> Sequence[Line]:
        if not self._lanes:
            return [plain("each search thread gets a lane here while it works", "dim")]
        columns = chosen_columns(self.COLUMNS, width)
        lines = [header_line(columns)]
        for lane in self._lanes:
            lines.append(row_line(columns, [self._cell(lane, c.key, size) for c, size in columns]))
        # on a small terminal the flows have no panel of their own
        short = self.is_attached and (self.screen.has_class("-short") or self.screen.has_class("-narrow"))
        flows = flow_totals_line(self._view) if short else EMPTY
        return [*lines, self._ledger_line(width), *([flows] if flows else [])]

    def _cell(self, lane: LaneView, column: str, width: int) -> Line:
        match column:
            case "thread":
                return plain(str(lane.thread), "strong")
            case "state":
                glyph, ink = {
                    "searching": STATE_GLYPHS["running"],
                    "done": STATE_GLYPHS["done"],
                    "paused": STATE_GLYPHS["paused"],
                }.get(lane.state, STATE_GLYPHS["idle"])
                return ((f"{glyph} ", ink), (lane.state, "text"))
            case "anchor":
                return plain(lane.anchor or f.UNKNOWN)
            case "depth":
                return plain(f"{lane.depth} / {lane.max_depth}" if lane.max_depth else f.UNKNOWN)
            case "rate":
                return plain(f.metric(lane.tests_per_s) if lane.tests_per_s else f.UNKNOWN)
            case "granted":
                return plain(self._time(lane.granted))
            case "used":
                return plain(self._time(lane.used), "strong")
            case "share":
                budget = self._view.budget_s
                full, rest = f.bar(lane.used / budget if budget else None, width)
                return ((full, "accent"), (rest, "frame"))
            case "donated":
                return self._transfer(lane.thread, "donated", "-", lane.donated)
            case "received":
                return self._transfer(lane.thread, "received", "+", lane.received)
            case _:
                return plain(f"{lane.stall_s:.1f}", "warn" if lane.stall_s >= 1 else "dim")

    def _transfer(self, thread: int, name: str, sign: str, seconds: float) -> Line:
        if seconds <= 0:
            return plain(f.UNKNOWN, "dim")
        return plain(sign + self._time(seconds), "accent" if (thread, name) in self._fresh else "text")

    def _time(self, seconds: float) -> str:
        return f.amount(seconds) if self._ledger.capacity <= 1200 else f.stopwatch(seconds)

    def _ledger_line(self, width: int) -> Line:
        ledger = self._ledger
        total = ledger.open_grants + ledger.used + ledger.pool
        sums = abs(total - ledger.capacity) <= LEDGER_TOLERANCE_S
        long = width >= 80
        parts: Line = (
            ("ledger  " if long else "", "dim"),
            (self._time(ledger.used), "strong"),
            (" used + ", "dim"),
            (self._time(ledger.open_grants), "strong"),
            (" granted + ", "dim"),
            (self._time(ledger.pool), "strong"),
            (" pool = ", "dim"),
            (self._time(ledger.capacity), "strong"),
        )
        verdict: Line = ((" ✓", "accent"),) if sums else ((f" ≠ {self._time(total)}", "alarm"),)
        evidence: Line = EMPTY
        if long and ledger.evidence > 0:
            evidence = (
                ("   shuffles ", "dim"),
                (self._time(ledger.evidence), "strong"),
                (" of the used", "dim"),
            )
        return (*parts, *verdict, *evidence)


class GroupsTable(Table[GroupRow]):
    """The best groups: A trades, B runs in shadow."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("rank", "rank", 4, 1, right=True),
        Column("score", "score pp", 8, 1, right=True),
        Column("selection", "select pp", 9, 6, right=True),
        Column("mean", "mean %/day", 10, 2, right=True),
        Column("worst", "worst day %", 11, 3, right=True),
        Column("picks", "picks/day", 9, 6, right=True),
        Column("members", "members", 40, 1, most=70),
        Column("holdout", "hold-out %/day", 14, 5, right=True),
        Column("p", "p", 5, 4, right=True),
        Column("verdict", "verdict", 20, 7, most=60),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Best groups", id=id)
        self.note = (("A", "accent"), (" trades  ", "dim"), ("B", "accent"), (" runs in shadow", "dim"))
        self.empty = [
            plain("the best groups appear here while the search finds them, the two selected ones in front", "dim")
        ]

    def key(self, row: GroupRow) -> str:
        return str(row.rank)

    def cell(self, row: GroupRow, column: str, width: int) -> Line:
        match column:
            case "rank":
                letter = {1: "A ", 2: "B "}.get(row.selected or 0, "")
                return ((letter, "accent"), (str(row.rank), "strong" if letter else "text"))
            case "score":
                return plain(f.signed(row.score, 3), "strong" if row.selected else "text")
            case "selection":
                return plain(f.signed(row.selection_score, 3))
            case "mean":
                return plain(f.signed(row.mean_day))
            case "worst":
                return plain(f.signed(row.worst_day), "loss" if row.worst_day < 0 else "text")
            case "picks":
                return plain(f"{row.picks_day:.1f}")
            case "members":
                return plain(" ".join(row.members.split()))
            case "holdout":
                short = holdout_text(row).split(" %/day")[0]
                return plain(short or f.UNKNOWN, "text" if row.holdout else "dim")
            case "p":
                return plain(p_text(row), "text" if row.p_value is not None else "dim")
            case _:
                overlap = "" if row.overlap is None or row.selected == 1 else f"overlap with A {row.overlap:.0%}"
                return plain(" · ".join(x for x in (row.verdict, overlap) if x) or f.UNKNOWN, "dim")


class GroupDetail(Box):
    """The group under the cursor, with what a narrow table had to leave out."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Group", id=id)
        self._row: GroupRow | None = None

    def show(self, row: GroupRow | None) -> None:
        self._row = row
        self.title = plain(f"Group {row.rank}" if row is not None else "Group", "strong")
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        row = self._row
        if row is None:
            return [plain("walk the table with ↑ ↓ to see a group in full", "dim")]
        return group_lines(row, width)


def p_text(row: GroupRow) -> str:
    """How often shuffled weeks hold a group as good: ``.09``, three digits where it is small."""
    if row.p_value is None:
        return f.UNKNOWN
    return (f"{row.p_value:.3f}" if row.p_value < 0.05 else f"{row.p_value:.2f}").removeprefix("0")


def holdout_text(row: GroupRow) -> str:
    """The replication without the label that the column carries already."""
    return row.holdout.removeprefix("hold-out ").replace("+-", "±")


def group_lines(row: GroupRow, width: int) -> list[Line]:
    """Everything known about one group."""
    role = {1: "A, trades", 2: "B, shadow"}.get(row.selected or 0, "")
    numbers: list[Line] = [
        plain(role, "accent"),
        (("score ", "dim"), (f.signed(row.score, 3), "strong")),
        (("selection ", "dim"), (f.signed(row.selection_score, 3), "strong")),
        (("mean ", "dim"), (f"{f.signed(row.mean_day)} %/day", "strong")),
        (("worst day ", "dim"), (f.percent(row.worst_day), "strong")),
        (("picks ", "dim"), (f"{row.picks_day:.1f}/day", "strong")),
    ]
    lines = list(flowed([n for n in numbers if n], width))
    for label, text in (
        ("members", row.members),
        ("hold-out", holdout_text(row) or "not measured"),
        (
            "overlap",
            "" if row.overlap is None or row.selected == 1 else f"{row.overlap:.0%} of the picks shared with A",
        ),
        ("luck", row.luck),
        ("verdict", row.verdict),
    ):
        if text:
            pieces = f.wrapped(text, max(8, width - 10), 3)
            for index, piece in enumerate(pieces):
                lines.append(((f.fit(label if index == 0 else "", 10), "dim"), (piece, "text")))
    return lines


def summary(row: GroupRow, width: int) -> Line:
    """One line for a group elsewhere."""
    return between(plain(row.members, "strong"), plain(f"{f.signed(row.mean_day)} %/day", "dim"), width)
