"""The positions' panels: each trade between its exits, the orders, and what the day made of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from app import formatting as f
from app.widgets.box import EMPTY, Box, Line, fitted, flowed, joined, plain
from app.widgets.table import Column, Table
from engine.views import OrderRow, PositionRow, PositionsView

STATE_GLYPHS = {
    "ENTERING": ("◌", "dim"),
    "WATCH": ("○", "text"),
    "ARMED": ("◆", "accent"),
    "TARGET": ("▲", "accent"),
    "EXITING": ("▼", "warn"),
    "CLOSED": ("·", "dim"),
    "REFUSED": ("✕", "warn"),
    "CARRIED": ("!", "alarm"),
}
GONE = ("CLOSED", "REFUSED")
SENTENCE = 36  # cells that how a position was closed needs


def stop_ribbon(row: PositionRow, width: int) -> Line:
    """``├──●────┤``: left the stop, right the target.

    The stop is the trailing one, before that the protective one at the broker; without either the
    line begins as far below the entry as the target is above.

    ┊ entry, ◇ where it arms, ▵ the high, ● the price; ◀ or ▶ when the price is beyond an end.
    """
    if row.target is None or row.entry is None or row.last is None or row.state in GONE:
        return EMPTY
    stop = row.stop if row.stop is not None else row.resting_stop
    low = stop if stop is not None else row.entry - (row.target - row.entry)
    marks: list[tuple[float, str]] = [(float(row.entry), "┊")]
    if row.arm is not None and row.stop is None:
        marks.append((float(row.arm), "◇"))
    if row.high is not None:
        marks.append((float(row.high), "▵"))
    marks.append((float(row.last), "●"))
    inks = {"line": "frame", "┊": "dim", "◇": "dim", "▵": "text", "●": "dim" if row.stale else "accent"}
    spans: list[tuple[str, str]] = []
    for glyph, kind in f.ribbon(width, float(low), float(row.target), marks):
        ink = inks[kind]
        if spans and spans[-1][1] == ink:
            spans[-1] = (spans[-1][0] + glyph, ink)
        else:
            spans.append((glyph, ink))
    return tuple(spans)


def pnl_ink(value: Decimal | None) -> str:
    return "dim" if value is None else "gain" if value >= 0 else "loss"


class PositionsTable(Table[PositionRow]):
    """One line a position; the price's age is always beside it, and a stale one says so."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("symbol", "ticker", 6, 1),
        Column("shares", "shares", 6, 5, right=True),
        Column("entry", "entry $", 7, 5, right=True),
        Column("last", "last $", 7, 1, right=True),
        Column("age", "age", 5, 1, right=True),
        Column("high", "high $", 7, 7, right=True),
        Column("stop", "stop $", 7, 2, right=True),  # what may be lost comes before what is earned in percent
        Column("ribbon", "stop ●  target", 14, 4, most=36),
        Column("target", "target $", 8, 6, right=True),
        Column("pnl", "P&L $", 9, 1, right=True),
        Column("pct", "P&L %", 6, 3, right=True),
        Column("state", "state", 10, 1),
        Column("why", "exits next when", 26, 1, most=36),
    )
    TIGHT = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Positions", id=id)
        self.empty = [
            plain("no position", "dim"),
            (("4", "key:go.shortlist"), (" the shortlist: an approved list is entered at the open", "dim")),
        ]

    def show_view(self, view: PositionsView) -> None:
        session = view.session.strftime("%a %d %b") if view.session else ""
        self.note = plain(session, "dim")
        roomy = self.size.width >= 100
        self.foot = totals(view, roomy=roomy) if view.rows else EMPTY
        held = any(row.shares and row.state not in GONE for row in view.rows)
        self.foot_note = (
            (("x", "key:positions.exit_one"), (" sell the marked one" if roomy else " sell", "dim"))
            if held
            else EMPTY
        )
        self.show(view.rows)

    def key(self, row: PositionRow) -> str:
        return row.symbol

    def cell(self, row: PositionRow, column: str, width: int) -> Line:
        quiet = "dim" if row.stale or row.state in GONE else "text"
        match column:
            case "symbol":
                return plain(row.symbol, "dim" if row.state in GONE else "strong")
            case "shares":
                return plain(f.count(row.shares) if row.shares else f.UNKNOWN, quiet)
            case "entry":
                return plain(f.price(row.entry), quiet)
            case "last":
                return plain(f.price(row.last), "dim" if quiet == "dim" else "strong")
            case "age":
                if row.state in GONE:
                    return EMPTY
                return plain(f.age(row.age_s, stale=row.stale), "warn" if row.stale else "dim")
            case "high":
                return plain(f.price(row.high), quiet)
            case "stop":
                if row.state in GONE:
                    return EMPTY
                if row.stop is None and row.resting_stop is not None:
                    return plain(f.price(row.resting_stop), "dim")  # not armed: what rests at the broker
                return plain(f.price(row.stop), quiet)
            case "ribbon":
                return stop_ribbon(row, width)
            case "target":
                return plain(f.price(row.target), quiet)
            case "pnl":
                return plain(f.money(row.pnl, signed=True), pnl_ink(row.pnl))
            case "pct":
                return plain(f.signed(row.pnl_pct), pnl_ink(row.pnl))
            case "state":
                glyph, ink = STATE_GLYPHS.get(row.state, ("·", "text"))
                return ((f"{glyph} ", ink), (row.state, "strong" if ink in ("accent", "warn", "alarm") else quiet))
            case _:
                source = f" ({row.source} prices)" if row.source != "stream" and row.state not in GONE else ""
                stale = "STALE " if row.stale else ""
                words = row.exits_when or row.why_next
                return (((stale, "warn"),) if stale else ()) + plain(words + source, quiet)

    def row_line(self, row: PositionRow, columns: Sequence[tuple[Column, int]], gap: int) -> Line:
        """A closed position says how it ended, across the prices that mean nothing any more."""
        before = [(c, w) for c, w in columns if c.key != "symbol"]
        before = before[: next((i for i, (c, _) in enumerate(before) if c.key == "pnl"), 0)]
        room = sum(w for _, w in before) + gap * (len(before) - 1)
        if row.state != "CLOSED" or room < SENTENCE:
            return super().row_line(row, columns, gap)
        out: list[Line] = []
        spanned = [c.key for c, _ in before]
        for column, width in columns:
            if column.key not in spanned:
                text = EMPTY if column.key == "why" else self.cell(row, column.key, width)
                out.append(fitted(text, width, right=column.right))
            elif column.key == spanned[0]:
                out.append(fitted(plain(row.why_next, "text"), room))
        return joined(out, " " * gap)


class PositionPanel(Box):
    """The position under the cursor in full: what ends it next, and every price it depends on."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Position", id=id)
        self._row: PositionRow | None = None

    def show(self, row: PositionRow | None) -> None:
        self._row = row
        self.title = plain(row.symbol if row else "Position", "strong")
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        return position_lines(self._row, width) if self._row else [plain("walk with ↑ ↓", "dim")]


def position_lines(row: PositionRow, width: int) -> list[Line]:
    """Why and when it would exit, in full; what is held at which price of what age; its prices in dollars."""
    room = max(10, width - 10)
    gone = row.state in GONE
    words = [plain(piece) for piece in f.wrapped(row.why_next or "nothing is planned", room, 3)]
    glyph, ink = STATE_GLYPHS.get(row.state, ("·", "text"))
    now: list[Line] = [((f"{glyph} ", ink), (row.state, "strong"))]
    if row.shares:
        now.append(((f.count(row.shares), "strong"), (" shares", "dim")))
    if row.last is not None and not gone:
        source = f", {row.source} quotes" if row.stale else f" from {row.source}"
        old = ("STALE " if row.stale else "") + f.age(row.age_s, stale=row.stale)
        last = (("last ", "dim"), (f.price(row.last), "dim" if row.stale else "strong"))
        now.append((*last, (f"  {old}{source}", "warn" if row.stale else "dim")))
    if row.pnl is not None:
        percent = f" {f.percent(row.pnl_pct)}" if row.pnl_pct is not None else ""
        now.append((("P&L ", "dim"), (f"{f.money(row.pnl, signed=True)} ${percent}", pnl_ink(row.pnl))))
    prices: list[Line] = [
        ((f"{label} ", "dim"), (f.price(value), "strong"))
        for label, value in (
            ("entry", row.entry),
            ("high", row.high),
            ("stop", row.stop),
            ("rests at the broker", row.resting_stop if not gone else None),
            ("arms", row.arm),
            ("target", row.target),
        )
        if value is not None
    ]
    return [
        *_labelled("next" if not gone else "ended", words),
        *_labelled("now", flowed(now, room, "   ")),
        *_labelled("prices $", flowed(prices, room, "   ")),
    ]


def _labelled(label: str, lines: Sequence[Line]) -> list[Line]:
    return [((f.fit(label if i == 0 else "", 10), "dim"), *line) for i, line in enumerate(lines)]


def position_window(view: PositionsView, symbol: str, width: int) -> list[Line]:
    """One position as it is now, with its ribbon; one that the engine does not list any more says so."""
    row = next((row for row in view.rows if row.symbol == symbol), None)
    if row is None:
        return [plain(f"{symbol} is not among the positions any more", "warn")]
    ribbon = stop_ribbon(row, width - 24)
    left = "stop " if row.stop is not None or row.resting_stop is not None else ""
    return [*position_lines(row, width), *([((left, "dim"), *ribbon, (" target", "dim"))] if ribbon else [])]


def totals(view: PositionsView, *, roomy: bool = True) -> Line:
    """Realised, unrealised, together; dollars. ``roomy`` also says what the percent are of."""
    both = view.realised + view.unrealised
    parts: list[Line] = [
        (("realised ", "dim"), (f.money(view.realised, signed=True), pnl_ink(view.realised))),
        (("open ", "dim"), (f.money(view.unrealised, signed=True), pnl_ink(view.unrealised))),
        (("together ", "dim"), (f.money(both, signed=True), pnl_ink(both))),
    ]
    if view.allocation:
        share = float(both / view.allocation * 100)
        of: Line = ((f" of {view.allocation:,.0f} $", "dim"),) if roomy else EMPTY
        parts.append(((f.percent(share), pnl_ink(both)), *of))
    return joined(parts, "   ")


class OrdersTable(Table[OrderRow]):
    """The day's orders, newest first; those of another program are marked foreign."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("at", "time ET", 8, 1),
        Column("symbol", "ticker", 6, 1),
        Column("side", "side", 4, 1),
        Column("filled", "filled/shares", 13, 1, right=True),
        Column("kind", "kind", 6, 2, most=10),  # a stop must not look like a sale
        Column("price", "price $", 9, 2, right=True),
        Column("status", "status", 16, 1),
        Column("id", "client order id", 20, 6, most=46),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Orders", id=id)
        self.empty = [plain("no order today", "dim")]

    def show_view(self, view: PositionsView) -> None:
        self.note = plain("foreign: " + " ".join(view.foreign), "warn") if view.foreign else EMPTY
        if view.older_orders and not view.foreign:
            self.note = plain(f"{view.older_orders:,} older: journal", "dim")
        self.show(sorted(view.orders, key=lambda o: o.at, reverse=True))

    def key(self, row: OrderRow) -> str:
        return row.client_order_id or f"{row.at}{row.symbol}"

    def cell(self, row: OrderRow, column: str, width: int) -> Line:
        match column:
            case "at":
                return plain(f.eastern(row.at), "dim")
            case "symbol":
                return plain(row.symbol, "strong")
            case "side":
                return plain(row.side)
            case "filled":
                return plain(f"{row.filled:,}/{row.shares:,}")
            case "kind":
                return plain(row.kind)
            case "price":
                return plain(f.price(row.price))
            case "status":
                ink = "warn" if row.status in ("rejected", "expired") else "text"
                return plain(("foreign " if row.foreign else "") + row.status, ink)
            case _:
                return plain(row.client_order_id, "dim")
