"""7: everything that happened; type after / to filter, f to stand still, enter for the whole event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from app import formatting as f
from app.client import EngineState
from app.screens.base import ConsoleScreen
from app.widgets.box import EMPTY, Box, Line, joined, plain
from app.widgets.journal_table import LEVELS, JournalTable
from app.widgets.table import Table
from engine.views import EventView


class EventPanel(Box):
    """The event under the cursor with all its facts."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Event", id=id)
        self._row: EventView | None = None

    def show(self, row: EventView | None) -> None:
        self._row = row
        self.title = plain(f"Event {row.seq}  " if row else "Event", "strong") + plain(
            row.kind if row else "", "dim"
        )
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        row = self._row
        if row is None:
            return [plain("no event is marked", "dim")]
        lines = [plain(piece) for piece in f.wrapped(row.text, width, 3)]
        pattern = "%Y-%m-%d %H:%M:%S ET"
        times = f"wall {f.eastern(row.at, pattern)}   market {f.eastern(row.market_at, pattern)}"
        lines.append(plain(f"{row.level}   {times}", "dim"))
        for key, value in row.data.items():
            text = value if isinstance(value, str) else json.dumps(value)
            pieces = f.wrapped(text, max(10, width - 18), 3) or [""]
            for i, piece in enumerate(pieces):
                lines.append(((f.fit(key if i == 0 else "", 18), "dim"), (piece, "text")))
        return lines


class JournalScreen(ConsoleScreen):
    MODE = "journal"
    KEYS = (
        ("/", "filter: words that must all occur in kind or text; Esc clears"),
        ("f", "follow the newest, or stand still and read"),
        ("l", "from which level on: all, info, notice, warning, alert"),
        ("enter", "the marked event with all its facts; Enter again closes"),
        ("↑ ↓", "walk (stands still)"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "follow / freeze"),
        Binding("l", "level", "level"),
        Binding("escape", "clear", "clear the filter", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._follow = True
        self._level = 1  # debug is hidden at first
        self._words: tuple[str, ...] = ()
        self._frozen: tuple[EventView, ...] = ()

    def content(self) -> ComposeResult:
        yield JournalTable(id="journal-table")
        yield EventPanel(id="event")
        yield Input(placeholder="filter the journal", id="filter", compact=True)

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.query_one("#event").display = False

    def layout_now(self) -> dict[str, Any]:
        return {"level": LEVELS[self._level], "follow": self._follow, "filter": " ".join(self._words)}

    def restore(self, remembered: Mapping[str, Any]) -> None:
        level, words = remembered.get("level"), remembered.get("filter")
        if level in LEVELS:
            self._level = LEVELS.index(level)
        self._follow = remembered.get("follow") is not False
        if isinstance(words, str) and words.strip():
            box = self.query_one("#filter", Input)
            box.value, box.display = words, True
            self._words = tuple(words.lower().split())

    def show(self, state: EngineState) -> None:
        if self._follow or not self._frozen:
            self._frozen = tuple(state.events)
        lowest = LEVELS[self._level :]
        rows = [e for e in self._frozen if e.level in lowest and self._matches(e)]
        table = self.query_one(JournalTable)
        newer = state.seq - self._frozen[-1].seq if self._frozen else 0
        table.note = joined(
            [
                plain(f"{len(rows):,} of {len(self._frozen):,}", "dim"),
                plain(f"from {LEVELS[self._level]}", "text"),
                plain("filter: " + " ".join(self._words), "accent") if self._words else EMPTY,
                plain("following", "accent") if self._follow else plain(f"FROZEN, {newer} newer", "warn"),
            ],
            " · ",
        )
        table.foot = (
            ("/", "key:find"), (" filter  ", "dim"), ("f", "key:journal.follow"), (" follow/freeze  ", "dim"),
            ("l", "key:journal.level"), (" level  ", "dim"), ("enter", "key:table.open"), (" facts", "dim"),
        )  # fmt: skip
        table.empty = [
            plain(
                "nothing matches; Esc clears the filter, l shows more levels"
                if self._frozen
                else "nothing has happened yet",
                "dim",
            )
        ]
        if self._follow and rows:
            table.cursor = len(rows) - 1
            table.cursor_key = table.key(rows[-1])
        table.show(rows)
        self._show_event()

    def _matches(self, event: EventView) -> bool:
        text = f"{event.kind} {event.text}".lower()
        return all(word in text for word in self._words)

    def _show_event(self) -> None:
        panel = self.query_one(EventPanel)
        if panel.display:
            panel.show(self.query_one(JournalTable).current)

    def on_table_moved(self, event: Table.Moved) -> None:
        table = self.query_one(JournalTable)
        last = table.cursor >= len(table.rows) - 1
        if self._follow and not last:
            self._follow = False
            self.show(self.state)
        self._show_event()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        panel = self.query_one(EventPanel)
        panel.display = not panel.display
        self._show_event()

    def action_follow(self) -> None:
        self._follow = not self._follow
        self.show(self.state)

    def action_level(self) -> None:
        self._level = (self._level + 1) % len(LEVELS)
        self.show(self.state)

    def find(self) -> None:
        """Opens the filter line."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._words = tuple(event.value.lower().split())
        self.show(self.state)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.query_one(JournalTable).focus()
        self.query_one("#filter").display = bool(self._words)

    def action_clear(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        box.display = False
        self._words = ()
        self.query_one(JournalTable).focus()
        self.show(self.state)
