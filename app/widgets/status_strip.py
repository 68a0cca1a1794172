"""The first and the last line of every screen, and the notices between them; they never leave.

The strip answers, at a glance and without colour: whose money is this, is everything
connected, how old is what I see, is the market open, how is the day. What does not fit is
said shorter; the mode, the engine, the clock and the day's P&L are said at any width.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from app import formatting as f
from app.client import EngineClient, Link
from app.widgets.box import Box, Line, between, cells, fitted, joined, plain
from engine.views import LinkView, OrderRow, StatusView

LINK_GLYPHS = {"live": "●", "connecting": "◌", "stale": "◐", "refused": "⊘", "down": "✕", "off": "○"}
ENGINE_GLYPHS = {Link.LIVE: "●", Link.ATTACHING: "◌", Link.LOST: "✕", Link.CLOSED: "○"}
MODE_TEXT = {"sim": " SIM ", "paper": " ‹PAPER› ", "live": " ▶▶ LIVE MONEY ◀◀ "}
BAR: Line = (("▏", "frame"),)


def link_glyph(state: str) -> tuple[str, str]:
    """Shape first, ink second: a link that is not live looks different without colour."""
    ink = "accent" if state == "live" else "dim" if state in ("off", "connecting") else "warn"
    return LINK_GLYPHS[state], ink


class StatusStrip(Box):
    """One line; ``show`` it the client and the newest status."""

    FRAMED = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._status = StatusView()
        self._link = Link.ATTACHING
        self._read_only = False

    def show(self, client: EngineClient) -> None:
        self._status, self._link, self._read_only = client.state.status, client.link, client.read_only
        self.set_class(self._status.mode == "live", "-live")
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        for detail in (3, 2, 1, 0):
            left, right = self._left(detail), self._right(detail)
            if cells(left) + cells(right) + 1 <= width or detail == 0:
                return [between(left, right, width)]
        return []

    def _left(self, detail: int) -> Line:
        status = self._status
        parts: list[Line] = [plain(MODE_TEXT[status.mode], "badge")]
        if self._read_only:
            parts.append(plain("READ-ONLY " if detail else "R/O ", "warn"))
        engine_ink = "accent" if self._link is Link.LIVE else "alarm" if self._link is Link.LOST else "dim"
        parts.append(self._part(detail, "engine", "eng", (ENGINE_GLYPHS[self._link], engine_ink), ""))
        parts.append(self._link_part(detail, "broker", "brk", status.broker, latency=True))
        parts.append(self._link_part(detail, "prices", "px", status.prices, latency=False))
        parts.append(self._link_part(detail, "orders", "ord", status.orders, latency=None))
        if status.watchdog and detail == 3:
            parts.append(joined([plain("search", "dim"), plain(status.watchdog + " ")], " "))
        if status.latched:
            parts.append(plain("LATCHED ", "alarm"))
        parts.append(self._clock(detail))
        line: list[tuple[str, str]] = []
        for index, part in enumerate(parts):
            if index:
                line.extend(BAR)
            line.extend(part)
        return tuple(line)

    def _part(self, detail: int, long: str, short: str, glyph: tuple[str, str], number: str) -> Line:
        name = long if detail >= 2 else short
        label: Line = ((f"{name} ", "dim"),) if detail else ()
        tail: Line = ((f" {number}", "text"),) if number else ()
        return (*label, glyph, *tail, (" ", "text"))

    def _link_part(self, detail: int, long: str, short: str, link: LinkView, *, latency: bool | None) -> Line:
        number = ""
        if latency is True and link.latency_ms is not None and detail >= 2:
            number = f"{link.latency_ms:.0f} ms"
        elif latency is False and link.age_s is not None and detail >= 1:
            number = f"{link.age_s:.1f} s" if link.age_s < 100 else f.duration(link.age_s)
        if link.state not in ("live", "off") and detail >= 2:
            number = f"{link.state.upper()} {number}".rstrip()
        return self._part(detail, long, short, link_glyph(link.state), number)

    def _clock(self, detail: int) -> Line:
        status = self._status
        if status.market_time is None:
            return plain("no market clock yet", "dim")
        pattern = {3: "%a %d %b %H:%M:%S ET", 2: "%a %H:%M:%S ET", 1: "%a %H:%M:%S ET", 0: "%H:%M:%S"}[detail]
        state = "open" if status.market_open else "closed"
        left = f.until(status.next_event_at, status.market_time)
        ahead = f", {status.next_event} in {f.duration(left)}" if left is not None and detail >= 2 else ""
        if left is not None and detail == 1:
            ahead = " " + f.duration(left).replace(" ", "")
        rate = f"  ×{status.clock_rate:g}" if status.clock_rate != 1 and detail >= 2 else ""
        return (
            (f.eastern(status.market_time, pattern), "text"),
            (f"  {state}" if detail >= 2 else f" {state}", "strong" if status.market_open else "dim"),
            (ahead, "text"),
            (rate, "dim"),
        )

    def _right(self, detail: int) -> Line:
        status = self._status
        if status.day_pnl is None:
            return plain("day · ", "dim") if detail else EMPTY_DAY
        ink = "gain" if status.day_pnl >= 0 else "loss"
        text = f.money(status.day_pnl, signed=True) + (" $" if detail >= 2 else "")
        if detail and status.day_pnl_pct is not None:
            text += f"  {f.percent(status.day_pnl_pct)}"
        label: Line = (("day  ", "dim"),) if detail >= 2 else ()
        exposure: Line = ()
        if detail == 3 and status.positions_open:
            exposure = ((f"{status.positions_open} positions {f.money(status.exposure)} $   ", "text"),)
        return (*exposure, *label, (text + " ", ink))


EMPTY_DAY: Line = ()


def resting_stops(orders: Sequence[OrderRow]) -> list[OrderRow]:
    """Sell stops that are open at the broker: they work without this machine."""
    done = {"filled", "canceled", "expired", "rejected", "replaced", "done_for_day"}
    return [o for o in orders if o.side == "sell" and "stop" in o.kind and o.status not in done]


class Notices(Box):
    """Lines below the strip that say what is wrong now; no line at all when nothing is."""

    FRAMED = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._said: list[Line] = []

    def show(self, client: EngineClient) -> None:
        self._said = list(notices(client))
        self.display = bool(self._said)
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        for line in self._said:
            ink = line[0][1]
            text = "".join(part for part, _ in line)
            pieces = f.wrapped(text, max(1, width - 2), 3)
            lines.extend(fitted(((f" {piece}", ink),), width) for piece in pieces)
        return [
            tuple(
                (part + " " * (width - cells(line)) if i == len(line) - 1 else part, ink)
                for i, (part, ink) in enumerate(line)
            )
            for line in lines
        ]


def notices(client: EngineClient) -> list[Line]:
    """What stands above every screen: a lost engine and what still protects, a latch, kernels compiling."""
    state, said = client.state, []
    if client.link is Link.LOST:
        said.append(plain(_engine_lost(client), "alarm"))
    elif client.link is Link.ATTACHING:
        said.append(plain(f"attaching to the engine of {client.home.folder} … {client.trouble}".rstrip(), "warn"))
    if state.status.latched:
        said.append(
            plain(f"LATCHED  no new entries: {state.status.latched} (ctrl+p, 'allow entries again')", "alarm")
        )
    if state.status.kernels:
        said.append(plain(f"first use: {state.status.kernels}; it is kept for the next start", "warn"))
    if state.flatten.state in ("running", "queued", "failed"):
        said.append(plain(f"FLATTEN {state.flatten.state}: {state.flatten.step} (F12 shows it)", "alarm"))
    return said


def _engine_lost(client: EngineClient) -> str:
    state = client.state
    text = f"ENGINE LOST for {client.silent_s:.0f} s ({client.trouble}); what you see is old. "
    stops = resting_stops(state.positions.orders)
    covered = {order.symbol for order in stops}
    open_rows = [r for r in state.positions.rows if r.shares > 0]
    bare = [row.symbol for row in open_rows if row.symbol not in covered]
    if not open_rows and not state.status.positions_open:
        return text + "No positions were open."
    if stops:
        resting = ", ".join(f"{o.symbol} {f.price(o.price)}" for o in stops)
        text += f"Resting stops at the broker still protect {resting}. "
    if bare or not stops:
        names = " ".join(bare) or f"{state.status.positions_open} positions"
        text += f"NOTHING sells {names} until the engine is back. "
    return text + "In a shell: 'tshc flatten' needs no engine."


MODE_KEYS = (
    ("1", "overview", "over"), ("2", "training", "train"), ("3", "groups", "group"), ("4", "shortlist", "list"),
    ("5", "positions", "pos"), ("6", "evidence", "evid"), ("7", "journal", "jrnl"),
)  # fmt: skip
GLOBAL_KEYS = (("w", "weekend", "wkend"), ("d", "day", "day"), ("?", "help", "help"), ("q", "quit", "quit"))


class KeyLine(Box):
    """The last line: where one can go, what can be done anywhere, and F12 at its end. Clickable."""

    FRAMED = False

    class Pressed(Message):
        """A key of the line was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, mode: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._mode = mode
        self._targets: list[tuple[int, int, str]] = []

    def draw(self, width: int) -> Sequence[Line]:
        for names in (1, 2):
            spans: list[tuple[str, str]] = []
            self._targets = []
            used = 0
            for group in (MODE_KEYS, GLOBAL_KEYS):
                for item in group:
                    here = item[1] == self._mode
                    text = f" {item[0]} {item[names]} "
                    spans += (
                        [(text, "badge")] if here else [(f" {item[0]}", "accent"), (f" {item[names]} ", "dim")]
                    )
                    self._targets.append((used, used + len(text), item[0]))
                    used += len(text)
                if group is MODE_KEYS and names == 1:
                    spans.append(("  ", "dim"))
                    used += 2
            last = " F12 FLATTEN "
            if used + len(last) <= width or names == 2:
                line = between(tuple(spans), ((last, "alarm"),), width)
                if used + len(last) >= width:  # never without it: the keys before it give way
                    line = (*fitted(tuple(spans), width - len(last)), (last, "alarm"))
                self._targets.append((width - len(last), width, "f12"))
                return [line]
        return []

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._targets:
            if start <= event.x < end:
                self.post_message(self.Pressed(key))
                return
