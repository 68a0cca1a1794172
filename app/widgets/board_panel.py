"""The GO / NO-GO board as it is drawn: the verdict in large letters, every gate with its number and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from app import formatting as f
from app.silence import account_words
from app.widgets.box import EMPTY, Box, Line, between, cells, fitted, joined, plain
from engine.views import BoardView, GateView, ShortlistView, StatusView

# Word, glyph and ink of a gate's state: the word alone says it, without colour and without shape.
STATES = {
    "go": ("GO", "✓", "accent"),
    "caution": ("CHECK", "!", "warn"),
    "waiting": ("WAIT", "◌", "text"),
    "no_go": ("NO-GO", "✕", "alarm"),
}
LETTERS = {
    "G": ("█▀▀", "█▄█"),
    "O": ("█▀█", "█▄█"),
    "N": ("█▄ █", "█ ▀█"),
    "-": ("  ", "▀▀"),
    "W": ("█ █ █", "▀▄▀▄▀"),
    "A": ("▄▀█", "█▀█"),
    "I": ("█", "█"),
    "T": ("▀█▀", " █ "),
}
NAME_WIDTH, STATE_WIDTH = 18, 9
BoardDetail = Literal["remedies", "gates", "names", "verdict"]  # of the summary, from the fullest on


def large(word: str) -> tuple[str, str]:
    """A word in letters of two lines."""
    return " ".join(LETTERS[c][0] for c in word), " ".join(LETTERS[c][1] for c in word)


def verdict_lines(view: BoardView, now: datetime | None, width: int) -> list[Line]:
    """Two lines: the verdict in large letters, beside it what it means and how long there is."""
    if view.verdict == "none":
        return [plain("the board appears when the engine knows the market's calendar", "dim")]
    word, _, ink = STATES[view.verdict]
    upper, lower = large(word)
    ink = "loss" if ink == "alarm" else ink  # a reversed block letter would be a solid bar
    room = width - len(upper) - 3
    first = f.wrapped(view.summary, max(10, room), 2)
    day = f"{view.session:%A %d %B}" if view.session else ""
    second = plain(first[1], "strong") if len(first) > 1 else joined([plain(day, "dim"), _left(view, now)], "   ")
    return [
        ((upper, ink), ("   ", "text"), (first[0] if first else "", "strong")),
        ((lower, ink), ("   ", "text"), *second),
    ]


def _left(view: BoardView, now: datetime | None) -> Line:
    left = f.until(view.opens_at, now)
    if left is None:
        return EMPTY
    if left > 0:
        return (("opens in ", "dim"), (f.duration(left), "text"))
    left = f.until(view.window_end, now)
    if left is None or left <= 0:
        return EMPTY
    return (("window closes in ", "dim"), (f.duration(left), "text"))


ROOMY = 44  # cells of the measured column, where the terminal has them


def _measured(gate: GateView, now: datetime | None) -> str:
    """What was measured, with the time that is left where that is part of it."""
    left, quiet = f.until(gate.until, now), gate.state == "go"
    if left is None or left <= 0 or (quiet and gate.gate != "window"):
        return gate.measured
    ahead = quiet and gate.measured != "open now"
    return gate.measured + (f", in {f.duration(left)}" if ahead else f", {f.duration(left)} left")


def gate_lines(gates: Sequence[GateView], now: datetime | None, width: int) -> list[Line]:
    """One line a gate - state, name, measured, limit - and its remedy below when it is not GO."""
    rest = max(20, width - STATE_WIDTH - NAME_WIDTH)
    limit = max((cells(plain(gate.limit)) for gate in gates), default=0)
    measures = max((cells(plain(_measured(gate, now))) for gate in gates if gate.state == "go"), default=0)
    limit = min(limit, max(rest // 3, rest - 2 - measures))
    lines: list[Line] = []
    for gate in gates:
        word, glyph, ink = STATES[gate.state]
        quiet = gate.state == "go"
        measured = _measured(gate, now)
        column = min(rest - limit - 2, max(measures + 2, ROOMY))  # the limit stays near what was measured
        pieces = [measured] if quiet else f.wrapped(measured, column, 3)
        state: Line = ((f"{glyph} ", ink if ink != "alarm" else "loss"), (word, "strong" if not quiet else "dim"))
        if gate.state == "no_go":
            state = ((f" {word} ", "alarm"),)
        lines.append(
            (
                *fitted(state, STATE_WIDTH),
                (f.fit(gate.name, NAME_WIDTH), "text" if quiet else "strong"),
                (f.fit(pieces[0] if pieces else "", column) + "  ", "text" if quiet else "strong"),
                (f.fit(gate.limit, limit), "dim"),
            )
        )
        indent = " " * (STATE_WIDTH + NAME_WIDTH)
        lines += [((indent, "text"), (piece, "strong")) for piece in pieces[1:]]
        if gate.remedy and not quiet:
            for index, piece in enumerate(f.wrapped(gate.remedy, max(10, rest - 2), 2)):
                lines.append(((indent + ("→ " if not index else "  "), "accent"), (piece, "text")))
    return lines


def board_summary(
    view: BoardView, now: datetime | None, width: int, detail: BoardDetail = "remedies"
) -> list[Line]:
    """For the approval's dialog: the verdict, every gate besides the yes itself that is not GO.

    Less ``detail`` is one line a gate without its remedy, their names alone, or their number alone.
    """
    if view.verdict == "none":
        return []
    word, glyph, ink = STATES[view.verdict]
    open_gates = [g for g in view.gates if g.state != "go" and not (g.gate == "approval" and g.state == "waiting")]
    asked = len(view.gates) - sum(g.gate == "approval" and g.state == "waiting" for g in view.gates)
    count = f"{asked - len(open_gates)} of {asked} gates GO besides your yes"
    if not open_gates:
        return [(("board  ", "dim"), ("✓ GO", "accent"), (f"   {count}", "text"))]
    head: Line = (
        ("board  ", "dim"),
        (f" {word} " if ink == "alarm" else f"{glyph} {word}", ink if ink != "text" else "strong"),
        (f"   {count}", "text"),
    )
    lines = [head]
    if detail == "verdict":
        return [joined([head, (("g", "key:go.board"), (" shows each", "dim"))])]
    if detail == "names":
        return [head, *_names_by_state(open_gates, width)]
    for gate in open_gates:
        word, glyph, ink = STATES[gate.state]
        remedy = f" → {gate.remedy}" if gate.remedy and detail == "remedies" else ""
        text = f"{gate.name}: {gate.measured}{remedy}"
        lead = f"{glyph} {word}"
        for index, piece in enumerate(f.wrapped(text, max(10, width - 16), 3 if detail == "remedies" else 1)):
            shown = f.fit(lead if not index else "", 9)
            lines.append((("       ", "text"), (shown, "loss" if ink == "alarm" else ink), (piece, "text")))
    return lines


def _names_by_state(gates: Sequence[GateView], width: int) -> list[Line]:
    """``✕ NO-GO  groups, entry latch``: one line for the gates of each state, two where they are many."""
    lines: list[Line] = []
    for state in ("no_go", "caution", "waiting"):
        names = ", ".join(gate.name for gate in gates if gate.state == state)
        word, glyph, ink = STATES[state]
        for index, piece in enumerate(f.wrapped(names, max(10, width - 16), 2) if names else []):
            shown = f.fit(f"{glyph} {word}" if not index else "", 9)
            lines.append((("       ", "text"), (shown, "loss" if ink == "alarm" else ink), (piece, "text")))
    return lines


class BoardPanel(Box):
    """Every gate and the verdict; its height follows the gates."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("GO / NO-GO", id=id)
        self._view = BoardView()
        self._now: datetime | None = None
        self.foot_note = (
            ("4", "key:go.shortlist"),
            (" the list  ", "dim"),
            ("u", "key:unlatch"),
            (" unlatch", "dim"),
        )

    def show(self, view: BoardView, status: StatusView) -> None:
        self._view, self._now = view, status.market_time
        digits = f"{view.list_hash[:4]}·{view.list_hash[4:8]}"
        self.note = joined(
            [
                plain(f"{view.session:%a %d %b}" if view.session else "", "strong"),
                plain(account_words(status), "dim"),
                (("list ", "dim"), (digits, "strong")) if view.list_hash else EMPTY,
            ]
        )
        go = sum(gate.state == "go" for gate in view.gates)
        self.foot = plain(f"{go} of {len(view.gates)} gates GO", "dim") if view.gates else EMPTY
        self.repaint()

    def rows_to_export(self) -> Sequence[GateView]:
        return self._view.gates

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        lines = verdict_lines(view, self._now, width)
        if view.gates:
            lines += [EMPTY, *gate_lines(view.gates, self._now, width)]
        return lines


class AtTheOpenPanel(Box):
    """The names that would be bought, and what each of them is still asked when its quote is there."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("At the open", id=id)
        self._view, self._list = BoardView(), ShortlistView()

    def show(self, view: BoardView, shortlist: ShortlistView) -> None:
        self._view, self._list = view, shortlist
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        lines: list[Line] = []
        if view.symbols:
            for row in self._list.rows:
                if row.symbol in view.symbols:
                    head: Line = (
                        (f.fit(row.symbol, 7), "strong"),
                        (f"{f.fit(f.price(row.close), 9, right=True)} $", "text"),
                        (f"   score {row.score:.3f}   ", "dim"),
                    )
                    lines.append(between(joined([head, plain(row.reason, "dim")], ""), EMPTY, width))
        else:
            lines.append(plain("no name yet", "dim"))
        if view.at_the_open:
            lines.append(EMPTY)
            asked = f"each name is asked then: {view.at_the_open}"
            lines += [plain(piece, "dim") for piece in f.wrapped(asked, width, 3)]
        return lines
