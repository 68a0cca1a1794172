"""The panels of the overview: the week, what comes next, the account, evidence, alerts, stages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar

from app import formatting as f
from app.widgets.board_panel import STATES
from app.widgets.box import EMPTY, Box, Line, Span, between, cells, fitted, joined, plain
from app.widgets.journal_table import LEVEL_GLYPHS
from app.widgets.table import Column, Table
from engine.model import NEW_YORK
from engine.views import (
    AlertView,
    BoardView,
    DayTile,
    EventView,
    HealthRow,
    OverviewView,
    StageView,
    StatusView,
    TrackMark,
)

TILE_GLYPHS = {"past": "", "future": "", "no_trade": "○", "failed": "✕"}
HEALTH_GLYPHS = {"good": ("●", "accent"), "watch": ("◐", "warn"), "bad": ("✕", "alarm"), "off": ("○", "dim")}
STAGE_GLYPHS = {
    "waiting": ("·", "dim"),
    "running": ("▶", "accent"),
    "paused": ("‖", "warn"),
    "done": ("✓", "accent"),
    "failed": ("✕", "alarm"),
}


class WeekPanel(Box):
    """The week as a time line: one column a day, a dot where market time stands, and the day's moments below."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("This week", id=id)
        self._tiles: tuple[DayTile, ...] = ()
        self._track: tuple[TrackMark, ...] = ()
        self._now: datetime | None = None

    def show(self, view: OverviewView, status: StatusView) -> None:
        self._tiles, self._track, self._now = view.week, view.track, status.market_time
        running = next((s for s in view.stages if s.state in ("running", "paused")), None)
        if running is not None:
            glyph, ink = STAGE_GLYPHS[running.state]
            share = f" {running.progress * 100:.0f} %" if running.progress is not None else ""
            self.note = ((f"{glyph} ", ink), (f"{running.stage}{share}", "text"))
        else:
            self.note = plain(next((item.text for item in view.next if item.active), ""), "text")
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        tiles = self._tiles
        if not tiles:
            return [plain("the week appears when the engine knows the market's calendar", "dim")]
        columns = [(self._title(tile), self._texts(tile)) for tile in tiles]
        size = width // len(tiles)
        needs = [2 + max(cells(line) for line in (title, *texts)) for title, texts in columns]
        widths = [size] * len(tiles) if max(needs) <= size else shared_widths(needs, width)
        widths[-1] += width - sum(widths)
        height = max(len(texts) for _, texts in columns)
        rows = [[title for title, _ in columns]]
        rows += [[texts[y] if y < len(texts) else EMPTY for _, texts in columns] for y in range(height)]
        drawn: list[Line] = [_side_by_side(row, widths) for row in rows]
        drawn.insert(1, _time_line([tile.done for tile in tiles], [tile.state for tile in tiles], widths))
        if self._track:
            drawn += [EMPTY] * (width >= 100) + [track_line(self._track, self._now, width)]
        return drawn

    @staticmethod
    def _title(tile: DayTile) -> Line:
        ink = {"present": "accent", "future": "dim", "failed": "warn"}.get(tile.state, "strong")
        day = "" if tile.title == "Weekend" else f" {tile.day.day}"
        if tile.state == "present":
            return ((f"{tile.title}{day}", "accent"), (" ◂ now", "dim"))
        glyph = TILE_GLYPHS[tile.state]
        return ((f"{tile.title}{day}", ink), (f" {glyph}" if glyph else "", ink))

    @staticmethod
    def _texts(tile: DayTile) -> list[Line]:
        """What there is to say of a day; many short lines go two by two."""
        texts = list(tile.lines)
        if len(texts) > 3:
            texts = [" ".join(texts[i : i + 2]) for i in range(0, len(texts), 2)]
        quiet = "dim" if tile.state == "future" else "text"
        sign = {"+": "gain", "-": "loss"}
        return [plain(text, sign.get(text[:1], quiet)) for text in texts]


def _side_by_side(parts: Sequence[Line], widths: Sequence[int]) -> Line:
    return tuple(
        span
        for line, size in zip(parts, widths, strict=True)
        for span in (*fitted(line, max(0, size - 1)), (" ", "text"))
    )


def _time_line(done: Sequence[float], states: Sequence[str], widths: Sequence[int]) -> Line:
    """What has passed is heavy, what comes is light; the dot is now. A day begins with its own sign."""
    signs = {"past": "◆", "no_trade": "○", "failed": "✕", "present": "◆", "future": "◇"}
    spans: list[Span] = []
    for index, (share, state, size) in enumerate(zip(done, states, widths, strict=True)):
        passed = round(share * (size - 1))
        here = share > 0 and (share < 1 or index + 1 == len(done))
        reached = share > 0
        ink = "warn" if state == "failed" else "accent" if reached else "frame"
        if here:
            passed = min(size - 2, max(1, passed))
            spans += [
                (signs[state], ink),
                ("━" * (passed - 1), "accent"),
                ("●", "strong"),
                ("─" * (size - passed - 1), "frame"),
            ]
        else:
            spans += [
                (signs[state], ink),
                (("━" if reached else "─") * (size - 1), "accent" if reached else "frame"),
            ]
    return tuple(spans)


def _moment_label(mark: TrackMark, today: date) -> Line:
    pattern = "%H:%M" if mark.at.astimezone(NEW_YORK).date() == today else "%a %H:%M"
    name, when = {"past": ("dim", "dim"), "next": ("strong", "accent"), "future": ("text", "text")}[mark.state]
    done = "" if mark.state != "past" else "✓ " if mark.done else "○ "
    return (
        (done, "accent" if mark.done else "warn"),
        (f"{mark.text} ", name),
        (f.eastern(mark.at, pattern), when),
    )


def track_line(marks: Sequence[TrackMark], now: datetime | None, width: int) -> Line:
    """The day's moments on one line; between the last that has passed and the next the dot is now."""
    marks = list(marks)
    today = marks[-1].at.astimezone(NEW_YORK).date()
    while True:
        labels = [_moment_label(mark, today) for mark in marks]
        room = width - sum(cells(label) for label in labels) - 2 * (len(labels) - 1)
        if room >= 3 * (len(labels) - 1) or len(marks) < 2 or marks[1].state != "past":
            break
        del marks[0]  # what is long past gives way
    if len(marks) < 2 or room < len(labels) - 1:
        return fitted(joined(labels, " ─ "), width)
    each = [room // (len(labels) - 1) + (i < room % (len(labels) - 1)) for i in range(len(labels) - 1)]
    line: list[Span] = [*labels[0]]
    for index, size in enumerate(each):
        start, end = marks[index], marks[index + 1]
        line.append((" ", "text"))
        if end.state == "past":
            line.append(("━" * size, "accent"))
        elif start.state == "past" and now is not None and end.at > start.at:
            share = min(1.0, max(0.0, (now - start.at) / (end.at - start.at)))
            at = min(size - 1, int(share * size))
            line += [("━" * at, "accent"), ("●", "strong"), ("─" * (size - at - 1), "frame")]
        else:
            line.append(("─" * size, "frame"))
        line += [(" ", "text"), *labels[index + 1]]
    return tuple(line)


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
        self._view, self._board = OverviewView(), BoardView()
        self._now: datetime | None = None
        self._step: Line = EMPTY

    def show(self, view: OverviewView, status: StatusView, board: BoardView, step: Line = EMPTY) -> None:
        """``step`` is what the operator can do next (``next_step``)."""
        self._view, self._now, self._board, self._step = view, status.market_time, board, step
        self.foot = EMPTY
        if board.verdict != "none":  # else there is no session to judge: the last verdict was another one's
            word, glyph, ink = STATES[board.verdict]
            day = f"{board.session:%a} " if board.session else ""
            self.foot = (
                ("g", "key:go.board"),
                (f" {day}", "dim"),
                (f"{glyph} {word}", "loss" if ink == "alarm" else ink),
            )
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        if not self._view.next:
            return [
                plain("nothing is planned", "dim"),
                (
                    ("w", "key:weekend"),
                    (" runs the weekend, ", "dim"),
                    ("d", "key:weekday"),
                    (" the market day", "dim"),
                ),
            ]
        lines: list[Line] = [(("→ ", "strong"), *self._step)] if self._step else []
        for item in self._view.next:
            left = f.until(item.at, self._now)
            when = f"in {f.duration(left)}" if left is not None and left > 0 else ""
            if item.active:
                label: Line = (("▶ ", "accent"), (item.text, "strong"))
            else:
                moment = f"{self._moment(item.at)} "
                text = item.text if len(moment) + len(item.text) <= width else _head(item.text)
                label = ((moment, "dim"), (text, "text"))
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
        self._track: tuple[float, ...] = ()

    def show(self, view: OverviewView, status: StatusView) -> None:
        old = status.account_stale  # what the broker said last is not the present: dim, and how old
        self.note = plain(f"{status.account}  $".strip(), "dim")
        if old:
            self.note = plain(f"◐ {f.duration(status.account_age_s)} old  $", "warn")
        ink = "dim" if old else "text"
        pnl_ink = ink if old or status.day_pnl is None else "gain" if status.day_pnl >= 0 else "loss"
        share = ""
        if status.exposure is not None and status.equity:
            share = f"  {float(status.exposure / status.equity * 100):.0f} %"
        self._track = view.day_track
        self._rows = [
            ("equity", f.money(status.equity), "dim" if old else "strong"),
            ("cash", f.money(view.cash), ink),
            ("exposure", f.money(status.exposure) + share, "text"),
            ("day", f"{f.money(status.day_pnl, signed=True)}  {f.percent(status.day_pnl_pct)}", pnl_ink),
            (view.day_low_name, f.percent(view.day_low_pct), "text"),
        ]
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        lines = [between(plain(label, "dim"), plain(value, ink), width) for label, value, ink in self._rows]
        if len(self._track) > 1:
            low, high = min(self._track), max(self._track)
            ends = f" {low:+.2f}…{high:+.2f} %"
            spark = f.sparkline(f.resampled(self._track, width - len(ends)), width - len(ends))
            lines.append(between(plain(spark, "accent"), plain(ends, "dim"), width))
        return lines


class EvidencePanel(Box):
    """What is known about the selected group, in the engine's own words."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Evidence", id=id)
        self.note = (("6", "key:go.evidence"), (" more", "dim"))
        self._said: tuple[str, ...] = ()

    def show(self, view: OverviewView) -> None:
        self._said = view.evidence
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        if not self._said:
            return [plain("no group is selected yet", "dim"), (("w", "key:weekend"), (" runs the weekend", "dim"))]
        return [
            plain(piece, "strong" if index == 0 else "text")
            for index, text in enumerate(self._said)
            for piece in f.wrapped(text, width, 2)
        ]


class AlertsTable(Table[AlertView]):
    """What the operator must see, newest first; acknowledged ones sink below those that wait, dimmed."""

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
        ordered = sorted(alerts, key=lambda a: (not a.waiting, -a.at.timestamp()))
        waiting = sum(1 for a in alerts if a.waiting)
        self.note = plain(f"{waiting} to acknowledge", "warn") if waiting else EMPTY
        self.foot_note = (("k", "key:overview.acknowledge"), (" acknowledge", "dim")) if waiting else EMPTY
        marked = self.current
        seen = {alert.key for alert in alerts if alert.acknowledged}
        if waiting and marked is not None and marked.waiting and marked.key in seen:
            self.cursor, self.cursor_key = 0, ""  # it was seen: the cursor goes on to the next that waits
        self.show(ordered)

    def key(self, row: AlertView) -> str:
        return row.key

    def cell(self, row: AlertView, column: str, width: int) -> Line:
        ink = "text" if row.waiting else "dim"
        if column == "at":
            return plain(f.eastern(row.at), "dim")
        if column == "state":
            return plain("over" if row.over else "seen" if row.acknowledged else "", "dim")
        glyph = "‼ " if row.severity == "critical" else "! "
        mark: Line = ((glyph, "warn"),) if row.waiting else (("  ", "dim"),)
        count: Line = ((f"×{row.count}  ", "dim"),) if row.count > 1 else EMPTY
        return (*mark, *count, (row.text, ink))


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
                plain("no run since the engine started", "dim"),
                (("w", "key:weekend"), (" starts the weekend: data, training, pruning, groups", "dim")),
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
        room = width - cells(head) - 2
        return joined([head, plain(stage.detail, "dim")]) if room >= min(12, cells(plain(stage.detail))) else head


def _head(text: str) -> str:
    """What comes, without its explanation: ``bars are final: d makes the list`` is ``bars are final``."""
    return text.partition(";")[0].partition(":")[0]


def _whole_parts(text: str, width: int) -> str:
    """As many of the parts of ``a · b · c`` as fit; the first one always."""
    parts = text.split(" · ")
    while len(parts) > 1 and cells(plain(" · ".join(parts))) > width:
        parts.pop()
    return " · ".join(parts)


class HealthPanel(Box):
    """Every part of the machine with its measured number; two columns of short ones where height is scarce."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Health", id=id)
        self._rows: tuple[HealthRow, ...] = ()

    def show(self, view: OverviewView) -> None:
        self._rows = view.health
        wrong = [row for row in view.health if row.state in ("bad", "watch")]
        self.note = plain(f"{len(wrong)} to look at", "warn") if wrong else EMPTY
        self.repaint()

    @property
    def short(self) -> bool:
        return self.screen.has_class("-short") or self.screen.has_class("-narrow")

    def draw(self, width: int) -> Sequence[Line]:
        if not self._rows:
            return [plain("measured as soon as the engine is attached", "dim")]
        if self.short:
            return self._grid(width)
        name = max(len(row.name) for row in self._rows)
        value = max(len(row.value) for row in self._rows)
        lines: list[Line] = []
        for row in self._rows:
            glyph, ink = HEALTH_GLYPHS[row.state]
            calm = row.state in ("good", "off")
            head: Line = (
                (f"{glyph} ", "loss" if ink == "alarm" else ink),
                (f.fit(row.name, name), "dim"),
                (f"  {f.fit(row.value, value, right=True)}  ", "text" if calm else "strong"),
            )
            detail = _whole_parts(row.detail, width - cells(head)) if calm else row.detail
            lines.append((*head, (detail, "dim" if calm else "text")))
        return lines

    def _grid(self, width: int) -> list[Line]:
        """``● broker 38 ms`` side by side; what is not good says its detail on a line of its own."""
        count = max(1, width // 24)
        size = width // count
        calm = [row for row in self._rows if row.state in ("good", "off")]
        lines: list[Line] = []
        for row in self._rows:
            if row not in calm:
                glyph, ink = HEALTH_GLYPHS[row.state]
                said = f"{row.name} {row.value}: {row.detail}".rstrip(": ")
                lines.append(((f"{glyph} ", "loss" if ink == "alarm" else ink), (said, "strong")))
        for start in range(0, len(calm), count):
            parts: list[Line] = []
            for row in calm[start : start + count]:
                glyph, ink = HEALTH_GLYPHS[row.state]
                parts.append(((f"{glyph} ", ink), (f"{row.name} ", "dim"), (row.value, "text")))
            lines.append(_side_by_side(parts, [size] * len(parts)))
        return lines


class RecentPanel(Box):
    """The last notable events, where there is room for them; the journal has all."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Lately", id=id)
        self.note = (("7", "key:go.journal"), (" journal", "dim"))
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
