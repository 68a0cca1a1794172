"""The box every live panel is: a frame with four captions, drawn line by line.

A box draws what it is given and knows no engine. It is painted at 4 Hz, so only lines that
changed are sent to the terminal, and the layout is touched only when the number of lines
changes. Text is made of spans (text, ink); the app holds the style of each ink for its theme
in one table, because CSS component classes for them cost half of a screen's start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol, cast

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

Span = tuple[str, str]  # text, ink
Line = tuple[Span, ...]

EMPTY: Line = ()
# Of now; the last that a lost engine told, written in the quiet ink; nothing told yet: then no default is shown.
Known = Literal["now", "old", "nothing"]
FADING = frozenset({"text", "strong", "accent", "gain", "loss"})  # inks that what is old has no more
NOTHING_KNOWN = "not known: no engine attached"


class Inked(Protocol):
    """What a box needs of its app: the style of every ink (``themes.ink_styles``)."""

    ink_styles: Mapping[str, Style]


def plain(text: str, ink: str = "text") -> Line:
    return ((text, ink),) if text else ()


def cells(line: Line) -> int:
    """How many terminal cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def fitted(line: Line, width: int, *, right: bool = False) -> Line:
    """Exactly ``width`` cells: padded on the other side, or cut with an ellipsis."""
    if width <= 0:
        return ()
    size = cells(line)
    if size < width:
        pad: Span = (" " * (width - size), "text")
        return (pad, *line) if right else (*line, pad)
    if size == width:
        return line
    kept: list[Span] = []
    room = width - 1
    ink = "text"
    for text, ink in line:
        length = cell_len(text)
        if length > room:
            kept.append((set_cell_size(text, room), ink))
            break
        kept.append((text, ink))
        room -= length
    return (*kept, ("…", ink))


def joined(lines: Iterable[Line], gap: str = "  ") -> Line:
    """Lines one after the other on one line; empty ones are left out."""
    out: list[Span] = []
    for line in lines:
        if not line:
            continue
        if out:
            out.append((gap, "text"))
        out.extend(line)
    return tuple(out)


def between(left: Line, right: Line, width: int) -> Line:
    """``left`` at the left end, ``right`` at the right end; the right one gives way when both do not fit."""
    room = width - cells(left)
    if right and room >= cells(right) + 1:
        return (*left, (" " * (room - cells(right)), "text"), *right)
    return fitted(left, width)


def flowed(parts: Sequence[Line], width: int, gap: str = "    ") -> list[Line]:
    """Parts side by side, going on below when a line is full."""
    lines: list[Line] = []
    line: Line = ()
    for part in parts:
        longer = joined([line, part], gap)
        if line and cells(longer) > width:
            lines.append(line)
            line = part
        else:
            line = longer
    return [*lines, line] if line else lines


class Box(Widget):
    """A framed panel. Subclasses give ``draw``; the owner calls ``repaint`` after giving new data."""

    ALLOW_SELECT = False
    FRAMED: ClassVar[bool] = True

    def __init__(self, title: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.title: Line = plain(title, "strong")
        self.note: Line = EMPTY  # top right
        self.foot: Line = EMPTY  # bottom left
        self.foot_note: Line = EMPTY  # bottom right
        self._drawn: list[Line] = []
        self._drawn_for = (-1, -1)  # width and height that the lines were made for
        self._stale = True
        self._known: Known = "now"

    # --- for subclasses -------------------------------------------------------------------

    def draw(self, width: int) -> Sequence[Line]:
        """The content as lines of at most ``width`` cells (they are cut and padded here)."""
        raise NotImplementedError

    def rows_to_export(self) -> Sequence[object]:
        """The rows behind what is drawn, views or dataclasses of one kind; none for a panel without rows."""
        return ()

    def repaint(self) -> None:
        """New data arrived: draws again, and sends to the terminal what differs."""
        self._stale = True
        if not self.is_attached or self.size.width == 0:
            return
        before, height = self._drawn, len(self._drawn)
        after = self._lines(self.size.width)
        if len(after) != height and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
            return
        width = self.size.width
        changed = [
            Region(0, y, width, 1)
            for y in range(max(height, len(after)))
            if y >= height or y >= len(after) or before[y] != after[y]
        ]
        if changed:
            self.refresh(*changed)

    def set_known(self, known: Known) -> None:
        """How far what it was given can be trusted; the owner says so whenever that changes."""
        if known != self._known:
            self._known = known
            self._stale = True
            self.refresh(layout=self.styles.height is not None and self.styles.height.is_auto)

    # --- drawing --------------------------------------------------------------------------

    @property
    def inner_width(self) -> int:
        """Cells for content inside the frame and its padding."""
        return max(0, self.size.width - 4) if self.FRAMED else self.size.width

    def _lines(self, width: int) -> list[Line]:
        size = (width, self.size.height)
        if self._stale or size != self._drawn_for:
            self._drawn = self._compose_lines(width)
            self._drawn_for = size
            self._stale = False
        return self._drawn

    def _compose_lines(self, width: int) -> list[Line]:
        if not self.FRAMED:
            return [fitted(self._keyed(line), width) for line in self._content(width)]
        inside = max(0, width - 4)
        body = [self._framed(fitted(self._keyed(line), inside)) for line in self._content(inside)]
        height = self.styles.height
        if (height is None or not height.is_auto) and self.size.height >= 2:  # the layout gave the height
            blank = self._framed(((" " * inside, "text"),))
            body = [*body, *([blank] * (self.size.height - 2 - len(body)))][: self.size.height - 2]
        return [self._edge("╭", "╮", self.title, self._keyed(self.note), width), *body, self._bottom(width)]

    def _content(self, width: int) -> Sequence[Line]:
        return [plain(NOTHING_KNOWN, "dim")] if self._known == "nothing" else self.draw(width)

    def _keyed(self, line: Line) -> Line:
        """A hint that names a key: ``("p", "key:training.pause")`` is written with the key in force."""
        if not any(ink.startswith("key:") for _, ink in line):
            return line
        return tuple(
            (self.key_of(ink[4:], text), "accent") if ink.startswith("key:") else (text, ink) for text, ink in line
        )

    def _framed(self, line: Line) -> Line:
        return (("│ ", "frame"), *line, (" │", "frame"))

    def _bottom(self, width: int) -> Line:
        return self._edge("╰", "╯", self._keyed(self.foot), self._keyed(self.foot_note), width)

    @staticmethod
    def _edge(start: str, end: str, left: Line, right: Line, width: int) -> Line:
        """A horizontal edge with a caption at either side; the right caption gives way first."""
        room = width - 2
        used_left = cells(left) + 3 if left else 0
        used_right = cells(right) + 3 if right else 0
        if used_left + used_right > room:
            if used_left and room - used_left >= 12:
                right = fitted(right, room - used_left - 3)
            else:
                right = EMPTY
            used_right = cells(right) + 3 if right else 0
        if used_left > room:
            left = fitted(left, max(0, room - 3))
            used_left = cells(left) + 3 if left else 0
        out: list[Span] = [(start, "frame")]
        if left:
            out += [("─ ", "frame"), *left, (" ", "frame")]
        out.append(("─" * max(0, room - used_left - used_right), "frame"))
        if right:
            out += [(" ", "frame"), *right, (" ─", "frame")]
        out.append((end, "frame"))
        return tuple(out)

    def key_of(self, command: str, default: str = "?") -> str:
        """The key of a command as the operator has it, to be printed; ``default`` in an app without keys."""
        keys: Mapping[str, str] = getattr(self.app, "shown_keys", {})
        return keys.get(command, default)

    def ink(self, name: str) -> Style:
        return cast("Inked", self.app).ink_styles[name]

    def strip(self, line: Line, under: Style | None = None) -> Strip:
        """Spans with their styles; ``under`` (a cursor's background) lies below them."""
        base = self.rich_style if under is None else self.rich_style + under
        styles = cast("Inked", self.app).ink_styles
        if self._known == "old":
            line = tuple((text, "dim" if ink in FADING else ink) for text, ink in line)
        return Strip([Segment(text, base + styles[ink]) for text, ink in line])

    # --- what textual asks ----------------------------------------------------------------

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width)) if width else 0

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self._lines(width)
        if y >= len(lines):
            return Strip.blank(width, self.rich_style)
        return self.strip(lines[y]).adjust_cell_length(width, self.rich_style)

    def on_resize(self, event: events.Resize) -> None:
        self._stale = True
