"""The first and the last line of every screen, and the notices between them; they never leave.

The strip answers, at a glance and without colour: whose money is this, is everything
connected, how old is what I see, is the market open, how is the day. What does not fit is
said shorter; the mode, the engine, the clock and the day's P&L are said at any width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Literal

from textual import events
from textual.geometry import Offset
from textual.message import Message

from app import formatting as f
from app.client import Client, Link
from app.next_step import yes_wanted
from app.shell_words import in_a_shell
from app.silence import attaching_words, entries_in_flight, open_orders
from app.time_shift import TimeShift
from app.widgets.box import Box, Line, Span, between, cells, fitted, plain
from engine.views import OrderRow, StatusView

LINK_GLYPHS = {"live": "●", "connecting": "◌", "stale": "◐", "refused": "⊘", "down": "✕", "off": "○"}
ENGINE_GLYPHS = {Link.LIVE: "●", Link.ATTACHING: "◌", Link.LOST: "✕", Link.CLOSED: "○"}
MODE_TEXT = {"sim": " SIM ", "paper": " ‹PAPER› ", "live": " ▶▶ LIVE MONEY ◀◀ "}
UNKNOWN_MODE = " ? "  # no engine has told yet whose money it is
BAR: Line = (("▏", "frame"),)
SHORT_NAMES = {"engine": "eng", "broker": "brk", "prices": "px", "orders": "ord"}


@dataclass(frozen=True, slots=True)
class Wording:
    """How much the strip says; the first wording that fits the width is used."""

    names: Literal["long", "short", "initial", "none"]
    numbers: bool
    clock: str
    countdown: Literal["long", "short", "none"]
    extras: bool = False
    search: bool = False  # the watchdog's budget, while a search runs
    searching: bool = False  # this wording is only for that time
    percent: bool = True  # the day's P&L also in percent


WORDINGS = (
    Wording("long", True, "%a %d %b %H:%M:%S ET", "long", extras=True, search=True),
    Wording("long", True, "%a %H:%M:%S ET", "long", search=True),
    Wording("long", False, "%a %H:%M:%S ET", "long", search=True),
    Wording("short", True, "%a %H:%M:%S ET", "long", search=True),
    Wording("long", True, "%a %H:%M:%S ET", "short", search=True),
    Wording("long", False, "%a %H:%M:%S ET", "short", search=True),
    Wording("short", True, "%a %H:%M:%S ET", "short", search=True),
    Wording("short", False, "%H:%M:%S", "none", search=True, searching=True),
    Wording("short", True, "%H:%M:%S", "short"),
    Wording("short", False, "%H:%M:%S ET", "short"),
    Wording("short", False, "%H:%M:%S", "short"),
    Wording("short", False, "%H:%M:%S", "short", percent=False),
    Wording("initial", False, "%H:%M:%S", "short", percent=False),
    Wording("short", False, "%H:%M:%S", "none", percent=False),
    Wording("none", False, "%H:%M:%S", "none", percent=False),
)


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
        self._shift: TimeShift | None = None

    def show(self, client: Client, shift: TimeShift | None = None) -> None:
        self._status, self._link, self._read_only = client.state.status, client.link, client.read_only
        self._shift = shift
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        for wording in WORDINGS:
            if wording.searching and (self._old or not self._status.watchdog):
                continue
            left, right = self._left(wording), self._right(wording)
            if cells(left) + cells(right) + 1 <= width:
                break
        line = between(left, right, width)
        if (
            self._status.known and self._status.mode == "live" and not self._past
        ):  # the whole line is reversed: seen without colour, from across a room
            line = (line[0], *((text, "alarm") for text, _ in line[1:]))
        return [line]

    @property
    def _past(self) -> bool:
        """A replay: what looks like real money here is none."""
        return self._shift is not None and self._shift.past

    @property
    def _old(self) -> bool:
        """The engine is lost: every number is the last one known."""
        return self._link is Link.LOST

    def _mode(self) -> list[Line]:
        status = self._status
        if self._past:
            mode = plain(f" of {status.mode.upper() if status.known else '?'} ", "strong")
        else:
            mode = plain(MODE_TEXT[status.mode] if status.known else UNKNOWN_MODE, "badge")
        return [mode] if self._shift is None else [plain(f" {self._shift.badge} ", "alarm"), mode]

    def _left(self, wording: Wording) -> Line:
        status = self._status
        parts = self._mode()
        if self._read_only and not self._past:
            parts.append(plain("READ-ONLY ", "warn"))
        if status.latched:
            parts.append(plain(" LATCHED ", "alarm"))
        if status.drift:
            parts.append(plain(" DRIFT ", "alarm"))
        engine_ink = {Link.LIVE: "accent", Link.LOST: "alarm"}.get(self._link, "dim")
        lost = "LOST" if self._old else ""
        parts.append(self._link_part(wording, "engine", (ENGINE_GLYPHS[self._link], engine_ink), lost))
        if status.broker.latency_ms is not None:
            latency = f"{status.broker.latency_ms:.0f} ms"
        else:  # it does not answer: since when
            latency = "" if status.broker.age_s is None else f.duration(status.broker.age_s)
        age = ""
        if status.prices.age_s is not None:
            age = f"{status.prices.age_s:.1f} s" if status.prices.age_s < 100 else f.duration(status.prices.age_s)
        for name, link, number in (
            ("broker", status.broker, latency),
            ("prices", status.prices, age),
            ("orders", status.orders, ""),
        ):
            if link.state not in ("live", "off"):
                number = f"{link.state.upper()} {number}".rstrip()
            glyph = link_glyph(link.state)
            if self._old:  # nobody tells how they are now
                glyph, number = ("?", "dim"), ""
            fine = link.state in ("live", "off")  # what is wrong is said in words as long as there are names
            said = wording if fine or wording.names == "none" else replace(wording, numbers=True)
            parts.append(self._link_part(said, name, glyph, number))
        if status.watchdog and wording.search and not self._old:
            used = status.watchdog if wording.extras else status.watchdog.rpartition(", ")[2]
            parts.append((("search ", "dim"), (used + " ", "text")))
        parts.append(self._clock(wording))
        line: list[tuple[str, str]] = []
        for index, part in enumerate(parts):
            if index:
                line.extend(BAR)
            line.extend(part)
        return tuple(line)

    @staticmethod
    def _link_part(wording: Wording, name: str, glyph: tuple[str, str], number: str) -> Line:
        short = SHORT_NAMES[name]
        label = {"long": f"{name} ", "short": f"{short} ", "initial": short[0], "none": ""}[wording.names]
        tail: Line = ((f" {number}", "text"),) if number and wording.numbers else ()
        return ((label, "dim"), glyph, *tail, (" ", "text"))

    def _clock(self, wording: Wording) -> Line:
        status = self._status
        if status.market_time is None:
            return plain("no market clock yet", "dim")
        if self._old:  # whether the market is open now, and what comes next, nobody tells
            return plain(f"as of {f.eastern(status.market_time, wording.clock)}", "dim")
        left = f.until(status.next_event_at, status.market_time)
        ahead = ""
        if left is not None and left > 0:  # what is over is not counted down to
            ahead = {
                "long": f", {_brief(status.next_event)} in {f.duration(left)}",
                "short": f" {short_event(status.next_event)} {f.duration(left).replace(' ', '')}".replace(
                    "  ", " "
                ),
                "none": "",
            }[wording.countdown]
        rate = f"  ×{status.clock_rate:g}" if status.clock_rate != 1 and wording.names == "long" else ""
        return (
            (f.eastern(status.market_time, wording.clock), "text"),
            (" open" if status.market_open else " closed", "strong" if status.market_open else "dim"),
            (ahead, "text"),
            (rate, "dim"),
        )

    def _right(self, wording: Wording) -> Line:
        status = self._status
        if status.day_pnl is None:
            return (("day ", "dim"), (f"{f.UNKNOWN} ", "dim"))
        ink = "gain" if status.day_pnl >= 0 else "loss"
        text = f.money(status.day_pnl, signed=True) + (" $" if wording.extras else "")
        if status.day_pnl_pct is not None and wording.percent:
            text += f" {f.percent(status.day_pnl_pct)}"
        if status.account_stale:  # the broker's last word, not the present
            ink, text = "dim", f"{text} {f.duration(status.account_age_s)} old"
        exposure: Line = ()
        if wording.extras and status.positions_open:
            exposure = ((f"{status.positions_open} positions {f.money(status.exposure)} $   ", "text"),)
        if self._old:
            return plain("".join(part for part, _ in exposure) + f"day {text} (old) ", "dim")
        return (*exposure, ("day ", "dim"), (text + " ", ink))


def _brief(text: str) -> str:
    """The event without its explanation: ``approval closes; without it no trade`` is ``approval closes``."""
    head = text.partition(";")[0].partition(":")[0].strip()
    return head.removeprefix("market ") if len(head) <= 28 else f.fit(head, 28).strip()


# What comes next in one word, by how the engine's text begins (``engine.pipeline.overview.next_items``).
SHORT_EVENTS = {
    "approval closes": "yes",
    "market opens": "opens",
    "end-of-day exits": "exits",
    "market closes": "closes",
    "bars are final": "list",
}


def short_event(text: str) -> str:
    """The name of a countdown where there is room for one word: of what it is must never be guessed."""
    known = next((word for head, word in SHORT_EVENTS.items() if text.startswith(head)), "")
    return known or f.fit(text, 8).strip()


def resting_stops(orders: Sequence[OrderRow]) -> list[OrderRow]:
    """Our sell stops that are open at the broker: they work without this machine."""
    return [order for order in open_orders(orders) if order.side == "sell" and "stop" in order.kind]


MOST_LINES = 7  # of one notice: the command at its end, with the path of a home, must not be cut off


class Notices(Box):
    """Lines below the strip that say what is wrong now; no line at all when nothing is."""

    FRAMED = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._said: list[tuple[Span]] = []

    def show(self, client: Client, mode: str = "") -> None:
        self._said = [((text, ink),) for text, ink in notices(client, mode, self.key_of)]
        self.display = bool(self._said)
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        for ((text, ink),) in self._said:
            pieces = f.wrapped(text, max(1, width - 2), MOST_LINES)
            lines.extend(((f.fit(f" {piece}", width), ink),) for piece in pieces)
        return lines


SAYS_YES_ITSELF = ("overview", "shortlist", "board")  # screens whose own panels ask for the yes


def notices(client: Client, mode: str, key_of: Callable[[str, str], str]) -> list[Span]:
    """What stands above every screen: a lost engine and what still protects, a latch, a list that waits.

    ``mode`` is the screen below, ``key_of`` gives the key in force of a command, and its default.
    """
    state = client.state
    said: list[Span] = []
    if client.link is Link.LOST:
        said.append((_engine_lost(client), "alarm"))
    elif client.link is Link.ATTACHING:
        said.append((attaching_words(client), "warn"))
    for text in state.status.drift:
        said.append((f"DRIFT  {text} ({key_of('go.board', 'g')} shows the board)", "alarm"))
    if state.status.latched:
        unlatch = key_of("unlatch", "u")
        said.append((f"LATCHED  no new entries: {state.status.latched} ({unlatch} allows them again)", "alarm"))
    if state.status.kernels:
        said.append((f"first use: {state.status.kernels}; kept for the next start", "warn"))
    if state.flatten.state in ("running", "queued", "failed"):
        flatten = key_of("flatten", "F12")
        then = " when the engine was lost" if client.link is Link.LOST else ""
        said.append((f"FLATTEN {state.flatten.state}{then}: {state.flatten.step} ({flatten} shows it)", "alarm"))
    if client.link is Link.LIVE and not client.read_only and mode not in SAYS_YES_ITSELF:
        yes = yes_wanted(state, key_of("go.shortlist", "4"), key_of("shortlist.approve", "a"))
        said += [(yes, "warn")] if yes else []
    return said


def _engine_lost(client: Client) -> str:
    """What is known of the positions, as of when, and what protects them without this machine."""
    state = client.state
    known = f", last known {f.eastern(state.status.market_time)} ET" if state.status.market_time else ""
    text = f"ENGINE LOST for {client.silent_s:.0f} s ({client.trouble}); what you see is old{known}. "
    open_rows = [r for r in state.positions.rows if r.shares > 0 and r.state not in ("CLOSED", "REFUSED")]
    stops: dict[str, Decimal | None] = {
        row.symbol: row.resting_stop for row in open_rows if row.resting_stop is not None
    }
    stops |= {order.symbol: order.price for order in resting_stops(state.positions.orders)}
    bare = [row.symbol for row in open_rows if row.symbol not in stops]
    if not state.status.known:
        return text + f"It never told what is open. {_flatten_there(client)}"
    held = bool(open_rows or state.status.positions_open)
    entries, symbols = entries_in_flight(state.status, state.positions)
    if entries:
        orders = "entry order" if entries == 1 else "entry orders"
        named = f" ({' '.join(symbols)})" if symbols else ""
        text += f"{entries} {orders}{named} may still fill, and nothing would protect them. "
    if not held:
        return text + (_flatten_there(client) if entries else "No positions were open.")
    if stops:
        resting = ", ".join(f"{symbol} {f.price(price)}" for symbol, price in stops.items())
        text += f"Resting stops at the broker still protect {resting}. "
    if bare or not stops:
        names = " ".join(bare) or f"{state.status.positions_open} positions"
        text += f"NOTHING sells {names} until the engine is back. "
    return text + _flatten_there(client)


def _flatten_there(client: Client) -> str:
    return f"In a shell: '{in_a_shell('flatten', client.home)}' needs no engine."


MODE_KEYS = (
    ("go.overview", "overview", "all"), ("go.training", "training", "trn"), ("go.groups", "groups", "grp"),
    ("go.shortlist", "shortlist", "list"), ("go.positions", "positions", "pos"), ("go.evidence", "evidence", "ev"),
    ("go.journal", "journal", "log"),
)  # fmt: skip
GLOBAL_KEYS = (
    ("go.board", "board", "go"), ("weekend", "weekend", "wk"), ("weekday", "day", "day"), ("help", "help", ""),
    ("quit", "quit", ""),
)  # fmt: skip
# From the whole line to the shortest: which names are short (the help's is the last to go), cells between
KEY_WORDINGS: tuple[tuple[frozenset[str], int], ...] = (
    (frozenset(), 2),
    (frozenset(), 1),
    (frozenset({"quit"}), 1),
    (frozenset({"quit", "go.board"}), 1),
    (frozenset({"quit", "go.board", "weekend"}), 1),
    (frozenset(command for command, _, _ in (*MODE_KEYS, *GLOBAL_KEYS)) - {"help"}, 1),
    (frozenset(command for command, _, _ in (*MODE_KEYS, *GLOBAL_KEYS)), 1),
)


class KeyLine(Box):
    """The last line: where one can go, what can be done anywhere, and F12 at its end. Clickable."""

    FRAMED = False

    class Pressed(Message):
        """A part of the line was clicked; ``command`` is the id of its key."""

        def __init__(self, command: str) -> None:
            super().__init__()
            self.command = command

    def __init__(self, mode: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._mode = mode
        self._targets: list[tuple[int, int, str]] = []

    def draw(self, width: int) -> Sequence[Line]:
        flatten: Line = ((f" {self.key_of('flatten', 'F12')} FLATTEN ", "alarm"),)
        room = width - cells(flatten)
        line: Line = ()
        for short, gap in KEY_WORDINGS:
            line = self._keys(short, gap)
            if cells(line) <= room:
                break
        self._targets.append((room, width, "flatten"))
        return [(*fitted(line, room), *flatten)]

    def _keys(self, short: frozenset[str], gap: int) -> Line:
        """The screen that is shown stands on a badge, whose own margins count as part of the gaps."""
        spans: list[Span] = []
        self._targets = []
        used = 0
        for command, long_name, short_name in (*MODE_KEYS, *GLOBAL_KEYS):
            key = self.key_of(command)
            text = f"{key} {short_name if command in short else long_name}".rstrip()
            here = long_name == self._mode
            after_badge = bool(spans) and spans[-1][1] == "badge"
            before = " " * (1 if not spans else gap - after_badge)
            if here:
                margin = before[:-1]  # the badge begins with the last cell of the gap
                spans += [(margin, "dim")] if margin else []
                spans.append((f" {text} ", "badge"))
            else:
                spans += [(before, "dim"), (key, "accent"), (text[len(key) :], "dim")]
            start = used + len(before)
            used = cells(tuple(spans))
            self._targets.append((start, used, command))
        return tuple(spans)

    def jump_targets(self) -> Iterator[tuple[Offset, Callable[[], object]]]:
        for start, _, command in self._targets:
            yield Offset(start, 0), partial(self.post_message, self.Pressed(command))

    def on_click(self, event: events.Click) -> None:
        for start, end, command in self._targets:
            if start <= event.x < end:
                self.post_message(self.Pressed(command))
                return
