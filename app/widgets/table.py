"""A table a person walks through and the engine repaints: columns drop by importance.

One line a row, a pinned header, a cursor that stays on its row (by key, not by position)
when the rows change under it. Drawn as strips: a full repaint costs a fifth of a DataTable's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip

from app.widgets.box import Box, Line, fitted, plain

T = TypeVar("T")
GAP, TIGHT_GAP = 2, 1


@dataclass(frozen=True, slots=True)
class Column:
    """``importance`` 1 never drops; higher numbers drop first. ``most`` > ``width``: may grow."""

    key: str
    title: str
    width: int
    importance: int = 1
    right: bool = False
    most: int = 0


def chosen_columns(columns: Sequence[Column], width: int, gap: int = GAP) -> list[tuple[Column, int]]:
    """The columns that fit ``width`` cells, each with its width; spare cells go to the most important first."""
    kept = list(columns)
    while len(kept) > 1 and sum(c.width for c in kept) + gap * (len(kept) - 1) > width:
        worst = max(c.importance for c in kept)
        if worst == 1:
            break
        kept.reverse()
        kept.remove(next(c for c in kept if c.importance == worst))
        kept.reverse()
    spare = width - sum(c.width for c in kept) - gap * (len(kept) - 1)
    widths = {c.key: c.width for c in kept}
    for column in sorted(kept, key=lambda c: c.importance):
        more = max(0, min(spare, column.most - column.width))
        widths[column.key] += more
        spare -= more
    return [(c, widths[c.key]) for c in kept]


def row_line(columns: Sequence[tuple[Column, int]], parts: Sequence[Line], gap: int = GAP) -> Line:
    """One line of cells, each in its column."""
    out: list[tuple[str, str]] = []
    for index, ((column, width), part) in enumerate(zip(columns, parts, strict=True)):
        if index:
            out.append((" " * gap, "text"))
        out.extend(fitted(part, width, right=column.right))
    return tuple(out)


def header_line(columns: Sequence[tuple[Column, int]], gap: int = GAP) -> Line:
    return row_line(columns, [plain(column.title, "dim") for column, _ in columns], gap)


class Table(Box, Generic[T], can_focus=True):
    """Subclasses give ``COLUMNS``, ``key`` and ``cell``; ``empty`` says what to do when there is no row."""

    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    HEADER: ClassVar[bool] = True
    TIGHT: ClassVar[bool] = False  # rather columns close together than a column dropped
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False, id="table.up"),
        Binding("down", "move(1)", "down", show=False, id="table.down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="table.page_up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="table.page_down"),
        Binding("home", "edge(0)", "first", show=False, id="table.first"),
        Binding("end", "edge(1)", "last", show=False, id="table.last"),
        Binding("enter", "choose", "open", show=False, id="table.open"),
    ]

    def columns(self) -> Sequence[Column]:
        """The columns that have something to say about the present rows; all of them by default."""
        return self.COLUMNS

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, table: Table[object], key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> Table[object]:
            return self.table

    class Chosen(Moved):
        """Enter, or a second click, on the row under the cursor."""

    def __init__(self, title: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(title, id=id, classes=classes)
        self.rows: Sequence[T] = ()
        self.empty: Sequence[Line] = ()
        self.cursor_key = ""
        self.cursor = 0
        self._top = 0  # index of the first visible row

    # --- for subclasses -------------------------------------------------------------------

    def key(self, row: T) -> str:
        raise NotImplementedError

    def cell(self, row: T, column: str, width: int) -> Line:
        raise NotImplementedError

    def row_line(self, row: T, columns: Sequence[tuple[Column, int]], gap: int) -> Line:
        """The row's line; by default one cell a column."""
        return row_line(columns, [self.cell(row, c.key, w) for c, w in columns], gap)

    # --- data -----------------------------------------------------------------------------

    def show(self, rows: Sequence[T]) -> None:
        """New rows; the cursor follows its row, or stays at its place when that row is gone."""
        self.rows = rows
        self._keep_cursor()
        self.repaint()

    @property
    def current(self) -> T | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    def rows_to_export(self) -> Sequence[object]:
        return self.rows

    def _keep_cursor(self) -> None:
        if not self.rows:
            self.cursor = 0
            return
        self.cursor = min(self.cursor, len(self.rows) - 1)
        if self.cursor_key and self.key(self.rows[self.cursor]) != self.cursor_key:
            for index, row in enumerate(self.rows):
                if self.key(row) == self.cursor_key:
                    self.cursor = index
                    break
        self.cursor_key = self.key(self.rows[self.cursor])

    # --- drawing --------------------------------------------------------------------------

    @property
    def visible_rows(self) -> int:
        return max(1, self.size.height - 2 - self.HEADER)

    def draw(self, width: int) -> Sequence[Line]:
        if not self.rows:
            return list(self.empty)
        wanted = self.columns()
        columns, gap = chosen_columns(wanted, width), GAP
        if self.TIGHT and len(columns) < len(wanted):
            columns, gap = chosen_columns(wanted, width, TIGHT_GAP), TIGHT_GAP
        room = self._room()
        self._top = max(0, min(self._top, len(self.rows) - room))
        if self.cursor < self._top:
            self._top = self.cursor
        elif self.cursor >= self._top + room:
            self._top = self.cursor - room + 1
        lines = [header_line(columns, gap)] if self.HEADER else []
        for row in self.rows[self._top : self._top + room]:
            lines.append(self.row_line(row, columns, gap))
        return lines

    def _room(self) -> int:
        """Rows that can be seen; all of them when the height follows the content."""
        height = self.styles.height
        if height is not None and height.is_auto:
            return min(len(self.rows), self._most_rows())
        return self.visible_rows

    def _most_rows(self) -> int:
        most = self.styles.max_height
        return int(most.value) - 2 - self.HEADER if most is not None and most.is_cells else 10_000

    def _compose_lines(self, width: int) -> list[Line]:
        lines = super()._compose_lines(width)
        room = self._room()
        if len(self.rows) > room:  # a thumb on the right edge says where we are
            first, total = self._top, len(self.rows)
            size = max(1, room * room // total)
            at = round(first / max(1, total - room) * (room - size))
            for y in range(size):
                index = 1 + self.HEADER + at + y
                if index < len(lines) - 1:
                    lines[index] = (*lines[index][:-1], (" ┃", "accent"))
        return lines

    def render_line(self, y: int) -> Strip:
        if self.rows and self.has_focus and y == self.cursor - self._top + 1 + self.HEADER:
            lines = self._lines(self.size.width)
            if y < len(lines) - 1:
                line = lines[y]
                inner = (("▸", "accent"), (line[0][0][1:], "frame"), *line[1:])
                middle = self.strip((("│", "frame"),))
                under = self.ink("cursor")
                body = self.strip((inner[0], *inner[2:-1]), under)
                return Strip([*middle, *body, *self.strip((line[-1],))]).adjust_cell_length(
                    self.size.width, self.rich_style
                )
        return super().render_line(y)

    # --- walking --------------------------------------------------------------------------

    def move_to(self, index: int) -> None:
        if not self.rows:
            return
        self.cursor = max(0, min(len(self.rows) - 1, index))
        self.cursor_key = self.key(self.rows[self.cursor])
        self._stale = True
        self.refresh()
        self.post_message(self.Moved(self, self.cursor_key))  # type: ignore[arg-type]

    def go_to(self, key: str) -> None:
        """Takes the focus and stands on the row ``key``, if it is still there."""
        self.focus()
        index = next((i for i, row in enumerate(self.rows) if self.key(row) == key), None)
        if index is not None:
            self.move_to(index)

    def jump_targets(self) -> Iterator[tuple[Offset, Callable[[], object]]]:
        """Each row that is seen, by its place inside the table."""
        for y, row in enumerate(self.rows[self._top : self._top + self._room()]):
            yield Offset(0, 1 + self.HEADER + y), partial(self.go_to, self.key(row))

    def action_move(self, step: int) -> None:
        self.move_to(self.cursor + step)

    def action_page(self, step: int) -> None:
        if len(self.rows) <= self._room():
            raise SkipAction  # all rows are seen: the page itself may scroll
        self.move_to(self.cursor + step * max(1, self._room() - 1))

    def action_edge(self, last: int) -> None:
        self.move_to(len(self.rows) - 1 if last else 0)

    def action_choose(self) -> None:
        if self.rows:
            self.post_message(self.Chosen(self, self.cursor_key))  # type: ignore[arg-type]

    def on_click(self, event: events.Click) -> None:
        index = event.y - 1 - self.HEADER + self._top
        if 0 <= index < len(self.rows) and event.y > self.HEADER:
            again = index == self.cursor
            self.move_to(index)
            if again and event.chain > 1:
                self.action_choose()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_move(-3)

    def on_focus(self, event: events.Focus) -> None:
        self.refresh()

    def on_blur(self, event: events.Blur) -> None:
        self.refresh()
