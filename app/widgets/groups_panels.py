"""The groups screen's lower half: the lanes and their ledger, the best groups, one group in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from app import formatting as f
from app.widgets.box import EMPTY, Box, Line, between, flowed, plain
from app.widgets.search_panels import flow_totals_line
from app.widgets.table import Column, Table, chosen_columns, header_line, row_line
from app.widgets.training_panels import STATE_GLYPHS
from engine.views import GroupRow, GroupsView, LaneView, LedgerView

LEDGER_TOLERANCE_S = 0.5


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
        Column("members", "members", 40, 1, most=120),
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

    def columns(self) -> Sequence[Column]:
        """Before the hold-out was measured its columns are empty in every row: the members get their place."""
        empty = set()
        if not any(row.holdout for row in self.rows):
            empty |= {"holdout", "verdict"}
        if all(row.p_value is None for row in self.rows):
            empty.add("p")
        if all(row.selection_score is None for row in self.rows):
            empty.add("selection")
        return [column for column in self.COLUMNS if column.key not in empty]

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
    return (f"{row.p_value:.3f}" if row.p_value <= 0.05 else f"{row.p_value:.2f}").removeprefix("0")


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
