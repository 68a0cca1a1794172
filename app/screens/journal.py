"""7: everything that happened; / filters, s searches, f stands still, enter shows the whole event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from app import formatting as f
from app.client import EngineState
from app.journal_filter import LEVELS, EventFilter
from app.screens.base import ConsoleScreen
from app.widgets.box import EMPTY, Box, Line, joined, plain
from app.widgets.journal_table import JournalTable
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
        ("/", "filter: words, -words, kind:order, level:warning; Esc clears"),
        ("k", "only the marked event's kind, and back"),
        ("l", "from which level on: all, info, notice, warning, alert"),
        ("s", "search: marks what you type; n and N go to the next and the one before"),
        ("f", "follow the newest, or stand still and read"),
        ("e", "export the rows that are shown as CSV into the home's exports"),
        ("enter", "the marked event with all its facts; Enter again closes"),
        ("↑ ↓", "walk (stands still)"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "follow / freeze"),
        Binding("l", "level", "level"),
        Binding("k", "kind", "this kind"),
        Binding("s", "search", "search"),
        Binding("n", "hit(1)", "next hit", id="journal.next_hit"),
        Binding("N", "hit(-1)", "hit before", id="journal.hit_before"),
        Binding("escape", "clear", "clear the filter", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._level = 1  # debug is hidden at first
        self._typed = ""  # the filter's text
        self._kind = ""
        self._sought = ""
        self._asking: Literal["filter", "search"] = "filter"
        self._frozen_at: int | None = None  # seq of the newest event that is shown; None: following
        self._freezes = False  # as soon as there are events: it stood still when it was left
        self._rows: list[EventView] = []
        self._waiting: list[EventView] = []  # match, but came after the freeze
        self._scanned: tuple[EventFilter, int | None] | None = None  # what _rows and _waiting were made for
        self._seen = 0  # seq up to which events were looked at

    def content(self) -> ComposeResult:
        yield JournalTable(id="journal-table")
        yield EventPanel(id="event")
        yield Input(id="filter", compact=True)

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.query_one("#event").display = False

    def layout_now(self) -> dict[str, Any]:
        follow = self._frozen_at is None and not self._freezes
        return {"level": LEVELS[self._level], "follow": follow, "filter": self._typed.strip(), "kind": self._kind}

    def restore(self, remembered: Mapping[str, Any]) -> None:
        level, typed, kind = (remembered.get(name) for name in ("level", "filter", "kind"))
        if level in LEVELS:
            self._level = LEVELS.index(level)
        self._typed = typed if isinstance(typed, str) else ""
        self._kind = kind if isinstance(kind, str) else ""
        self._freezes = remembered.get("follow") is False

    # --- what is shown --------------------------------------------------------------------

    @property
    def filter(self) -> EventFilter:
        return EventFilter.parse(self._typed).at_least(self._level).of_kind(self._kind)

    def show(self, state: EngineState) -> None:
        self._scan(state)
        if self._freezes and state.events:
            self._freezes = False
            self._freeze()
        table = self.query_one(JournalTable)
        rows = list(self._rows)
        table.note = self._summary(len(state.events))
        table.foot = joined(
            [
                (("/", "key:find"), (" filter", "dim")), (("s", "key:journal.search"), (" search", "dim")),
                (("k", "key:journal.kind"), (" kind", "dim")), (("l", "key:journal.level"), (" level", "dim")),
                (("f", "key:journal.follow"), (" follow/freeze", "dim")),
                (("e", "key:export.table"), (" export", "dim")), (("enter", "key:table.open"), (" facts", "dim")),
            ],
        )  # fmt: skip
        table.empty = [
            plain(
                "nothing matches; Esc clears the filter, l shows more levels"
                if state.events
                else "nothing has happened yet: w runs the weekend, d the market day, and each step is told here",
                "dim",
            )
        ]
        table.sought = self._sought
        if self._frozen_at is None and rows:
            table.cursor = len(rows) - 1
            table.cursor_key = table.key(rows[-1])
        table.show(rows)
        self._show_event()

    def _scan(self, state: EngineState) -> None:
        """Brings ``_rows`` and ``_waiting`` up to date; only new events are looked at while the filter stays."""
        wanted = (self.filter, self._frozen_at)
        if wanted != self._scanned or state.seq < self._seen:
            self._rows, self._waiting, self._seen, self._scanned = [], [], 0, wanted
        fresh = []
        for event in reversed(state.events):
            if event.seq <= self._seen:
                break
            fresh.append(event)
        for event in reversed(fresh):
            if wanted[0].matches(event):
                late = self._frozen_at is not None and event.seq > self._frozen_at
                (self._waiting if late else self._rows).append(event)
        self._seen = max(self._seen, state.seq)
        if state.events and self._frozen_at is None:  # the oldest are forgotten
            oldest = state.events[0].seq
            gone = next((i for i, row in enumerate(self._rows) if row.seq >= oldest), len(self._rows))
            del self._rows[:gone]

    def _summary(self, known: int) -> Line:
        hits = self._hits()
        at = self.query_one(JournalTable).cursor
        place = f"hit {hits.index(at) + 1} of {len(hits)}" if at in hits else f"{len(hits)} hits"
        return joined(
            [
                plain(f"{len(self._rows):,} of {known:,}", "dim"),
                plain(f"from {LEVELS[self._level]}", "text") if self._level else EMPTY,
                plain(self._kind, "accent"),
                plain(f"filter: {self._typed.strip()}", "accent") if self._typed.strip() else EMPTY,
                plain(f"“{self._sought}” {place}", "accent") if self._sought else EMPTY,
                plain("following", "accent")
                if self._frozen_at is None
                else plain(f"FROZEN, {len(self._waiting):,} newer", "warn"),
            ],
            " · ",
        )

    def _hits(self) -> list[int]:
        """The shown rows that the search finds."""
        if not self._sought:
            return []
        return [i for i, row in enumerate(self._rows) if self._sought in f"{row.kind}\n{row.text}".lower()]

    def _show_event(self) -> None:
        panel = self.query_one(EventPanel)
        if panel.display:
            panel.show(self.query_one(JournalTable).current)

    # --- walking and standing still -------------------------------------------------------

    def _freeze(self) -> None:
        if self._frozen_at is None:
            self._frozen_at = self._seen
            self._scanned = (self.filter, self._frozen_at)  # what is shown stays what it is

    def on_table_moved(self, event: Table.Moved) -> None:
        table = self.query_one(JournalTable)
        if self._frozen_at is None and table.cursor < len(table.rows) - 1:
            self._freeze()
        self.show(self.state)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        panel = self.query_one(EventPanel)
        panel.display = not panel.display
        self._show_event()

    def action_follow(self) -> None:
        if self._frozen_at is None:
            self._freeze()
        else:
            self._frozen_at = None
        self.show(self.state)

    def action_level(self) -> None:
        self._level = (self._level + 1) % len(LEVELS)
        self.show(self.state)

    def action_kind(self) -> None:
        row = self.query_one(JournalTable).current
        self._kind = "" if self._kind or row is None else row.kind
        self.show(self.state)

    # --- typing ---------------------------------------------------------------------------

    def find(self) -> None:
        """Opens the filter line."""
        self._ask("filter", "filter: words, -words, kind:order, level:warning", self._typed)

    def action_search(self) -> None:
        self._ask("search", "search in what is shown", self._sought)

    def _ask(self, what: Literal["filter", "search"], hint: str, text: str) -> None:
        self._asking = what
        box = self.query_one("#filter", Input)
        box.placeholder = hint
        box.value = text
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._asking == "filter":
            self._typed = event.value
        else:
            self._sought = event.value.strip().lower()
        self.show(self.state)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.query_one(JournalTable).focus()
        self.query_one("#filter").display = False
        if self._asking == "search":
            self.action_hit(-1)

    def action_hit(self, step: int) -> None:
        """The next hit below, or above; over the end it goes on at the other one."""
        table, hits = self.query_one(JournalTable), self._hits()
        if not hits:
            self.console.say("nothing to go to: s searches in what is shown" if not self._sought else "no hit")
            return
        self._freeze()
        if step > 0:
            found = next((i for i in hits if i > table.cursor), hits[0])
        else:
            found = next((i for i in reversed(hits) if i < table.cursor), hits[-1])
        table.move_to(found)

    def action_clear(self) -> None:
        """Escape: first the line that is open, then the search, then the filter."""
        box = self.query_one("#filter", Input)
        asking = box.display
        box.display = False
        self.query_one(JournalTable).focus()
        if self._sought and (not asking or self._asking == "search"):
            self._sought = ""
        else:
            self._typed, self._kind = "", ""
        self.show(self.state)
