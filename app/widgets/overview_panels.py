"""The panels of the overview: the week, what comes next, the account, evidence, alerts, stages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from app import formatting as f
from app.widgets.box import EMPTY, Box, Line, between, cells, fitted, joined, plain
from app.widgets.journal_table import LEVEL_GLYPHS
from app.widgets.table import Column, Table
from engine.model import NEW_YORK
from engine.views import AlertView, DayTile, EventView, OverviewView, StageView, StatusView

TILE_GLYPHS = {"past": "", "present": "▶", "future": "", "no_trade": "○", "failed": "✕"}
STAGE_GLYPHS = {
    "waiting": ("·", "dim"),
    "running": ("▶", "accent"),
    "paused": ("‖", "warn"),
    "done": ("✓", "accent"),
    "failed": ("✕", "alarm"),
}


class WeekPanel(Box):
    """One tile a day: what was, what is, what comes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("This week", id=id)
        self._tiles: tuple[DayTile, ...] = ()

    def show(self, view: OverviewView) -> None:
        self._tiles = view.week
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        tiles = self._tiles
        if not tiles:
            return [plain("the week appears when the engine knows the market's calendar", "dim")]
        shown = [self._lines_of(tile) for tile in tiles]
        height = max(len(lines) for lines in shown)
        widths = shared_widths([2 + max(cells(line) for line in lines) for lines in shown], width)
        return [
            tuple(
                span
                for lines, size in zip(shown, widths, strict=True)
                for span in (*fitted(lines[y] if y < len(lines) else EMPTY, size - 1), (" ", "text"))
            )
            for y in range(height)
        ]

    @staticmethod
    def _lines_of(tile: DayTile) -> list[Line]:
        """The title and what there is to say; many short lines go two by two."""
        ink = {"present": "accent", "future": "dim", "failed": "warn"}.get(tile.state, "strong")
        glyph = TILE_GLYPHS[tile.state]
        title: Line = ((f"{glyph} " if glyph else "", ink), (tile.title, ink))
        texts = list(tile.lines)
        if len(texts) > 3:
            texts = [" ".join(texts[i : i + 2]) for i in range(0, len(texts), 2)]
        quiet = "dim" if tile.state == "future" else "text"
        sign = {"+": "gain", "-": "loss"}
        return [title, *(plain(text, sign.get(text[:1], quiet)) for text in texts)]


def shared_widths(needs: Sequence[int], width: int) -> list[int]:
    """``width`` cells for columns of these needs: the widest give way first, spare cells go round evenly."""
    widths = list(needs)
    while sum(widths) > width and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    spare = max(0, width - sum(widths))
    return [w + spare // len(widths) + (i < spare % len(widths)) for i, w in enumerate(widths)]


class NextPanel(Box):
    """What happens next and when, in market time."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Next", id=id)
        self._view = OverviewView()
        self._now: datetime | None = None

    def show(self, view: OverviewView, status: StatusView) -> None:
        self._view, self._now = view, status.market_time
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        if not self._view.next:
            return [
                plain("nothing is planned", "dim"),
                (("w", "accent"), (" runs the weekend, ", "dim"), ("d", "accent"), (" the market day", "dim")),
            ]
        lines: list[Line] = []
        for item in self._view.next:
            left = f.until(item.at, self._now)
            when = f"in {f.duration(left)}" if left is not None and left > 0 else ""
            if item.active:
                label: Line = (("▶ ", "accent"), (item.text, "strong"))
            else:
                label = ((f"{self._moment(item.at)} ", "dim"), (item.text, "text"))
            lines.append(between(label, plain(when, "dim"), width))
        return lines

    def _moment(self, at: datetime | None) -> str:
        if at is None:
            return "     "
        today = self._now is not None and at.astimezone(NEW_YORK).date() == self._now.astimezone(NEW_YORK).date()
        return f.eastern(at, "%H:%M" if today else "%a %H:%M")


class AccountPanel(Box):
    """Dollars: what there is, what is in the market, how the day goes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Account", id=id)
        self._rows: list[tuple[str, str, str]] = []

    def show(self, view: OverviewView, status: StatusView) -> None:
        self.note = plain(f"{status.account}  $".strip(), "dim")
        pnl_ink = "text" if status.day_pnl is None else "gain" if status.day_pnl >= 0 else "loss"
        self._rows = [
            ("equity", f.money(status.equity), "strong"),
            ("cash", f.money(view.cash), "text"),
            ("buying power", f.money(view.buying_power), "text"),
            ("exposure", f.money(status.exposure), "text"),
            ("day", f"{f.money(status.day_pnl, signed=True)}  {f.percent(status.day_pnl_pct)}", pnl_ink),
            ("day low", f.percent(view.day_low_pct), "text"),
        ]
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        return [between(plain(label, "dim"), plain(value, ink), width) for label, value, ink in self._rows]


class EvidencePanel(Box):
    """What is known about the selected group, in the engine's own words."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Evidence", id=id)
        self.note = (("6", "accent"), (" more", "dim"))
        self._said: tuple[str, ...] = ()

    def show(self, view: OverviewView) -> None:
        self._said = view.evidence
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        if not self._said:
            return [plain("no group is selected yet", "dim"), (("w", "accent"), (" runs the weekend", "dim"))]
        return [plain(piece) for text in self._said for piece in f.wrapped(text, width, 2)]


class AlertsTable(Table[AlertView]):
    """What the operator must see, newest first; acknowledged ones stay, dimmed."""

    HEADER = False
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("at", "time ET", 8, 1),
        Column("text", "what", 24, 1, most=400),
        Column("state", "", 4, 2),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Alerts", id=id)
        self.empty = [plain("none", "dim")]

    def show_alerts(self, alerts: Sequence[AlertView]) -> None:
        ordered = sorted(alerts, key=lambda a: (a.acknowledged, -a.at.timestamp()))
        waiting = sum(1 for a in alerts if not a.acknowledged)
        self.note = plain(f"{waiting} to acknowledge", "warn") if waiting else EMPTY
        self.foot_note = (("k", "accent"), (" acknowledge", "dim")) if waiting else EMPTY
        self.show(ordered)

    def key(self, row: AlertView) -> str:
        return row.key

    def cell(self, row: AlertView, column: str, width: int) -> Line:
        ink = "dim" if row.acknowledged else "text"
        if column == "at":
            return plain(f.eastern(row.at), "dim")
        if column == "state":
            return plain("seen" if row.acknowledged else "", "dim")
        mark: Line = (("  ", "dim"),) if row.acknowledged else (("! ", "warn"),)
        return (*mark, (row.text, ink))


class StagesPanel(Box):
    """The stages of the present or last run, each with how far it is and what it says."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Stages", id=id)
        self._stages: tuple[StageView, ...] = ()

    def show(self, view: OverviewView) -> None:
        self._stages = view.stages
        self.repaint()

    def rows_to_export(self) -> Sequence[StageView]:
        return self._stages

    def draw(self, width: int) -> Sequence[Line]:
        if not self._stages:
            return [
                plain("no run yet", "dim"),
                (("w", "accent"), (" starts the weekend: data, training, pruning, groups", "dim")),
            ]
        name = max(len(stage.stage) for stage in self._stages)
        return [self._stage_line(stage, name, width) for stage in self._stages]

    @staticmethod
    def _stage_line(stage: StageView, name: int, width: int) -> Line:
        glyph, ink = STAGE_GLYPHS[stage.state]
        strong = "strong" if stage.state in ("running", "failed", "paused") else "text"
        time = "" if stage.state == "waiting" else f.duration(stage.seconds)
        if stage.state == "done" and stage.seconds < 10:
            time = f"{stage.seconds:.1f} s"
        head: Line = (
            (f"{glyph} ", ink),
            (f.fit(stage.stage, name), "dim" if stage.state == "waiting" else strong),
            ("  ", "text"),
            (f.fit(time, 9, right=True), "dim"),
        )
        if stage.progress is not None and stage.state in ("running", "paused"):
            size = max(6, min(24, (width - cells(head)) // 3))
            full, rest = f.bar(stage.progress, size)
            head = joined([head, ((full, "accent"), (rest, "frame"), (f" {stage.progress * 100:3.0f} %", "text"))])
        return joined([head, plain(stage.detail, "dim")])


class RecentPanel(Box):
    """The last notable events, where there is room for them; the journal has all."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Lately", id=id)
        self.note = (("7", "accent"), (" journal", "dim"))
        self._events: list[EventView] = []

    def show(self, events: Sequence[EventView]) -> None:
        self._events = [e for e in events if e.level in ("notice", "warning", "alert")][-40:]
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        room = max(1, self.size.height - 2)
        lines: list[Line] = []
        for event in reversed(self._events[-room:]):
            glyph, ink = LEVEL_GLYPHS[event.level]
            when = f.eastern(event.market_at or event.at, "%a %H:%M:%S")
            lines.append(((f"{glyph} ", ink), (f"{when}  ", "dim"), (event.text, "text")))
        return lines or [plain("nothing notable has happened yet", "dim")]
