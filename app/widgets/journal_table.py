"""The journal: what happened, in order; follow the newest or stand still and read."""

from __future__ import annotations

from typing import ClassVar

from app import formatting as f
from app.widgets.box import Line, plain
from app.widgets.table import Column, Table
from engine.views import EventView

LEVEL_GLYPHS = {
    "debug": (" ", "dim"),
    "info": ("·", "dim"),
    "notice": ("•", "accent"),
    "warning": ("!", "warn"),
    "alert": ("‼", "warn"),
}


class JournalTable(Table[EventView]):
    """Oldest first, as a log reads."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("level", "", 2, 1),
        Column("market", "market ET", 12, 1),
        Column("wall", "wall ET", 8, 6),
        Column("kind", "kind", 18, 3),
        Column("text", "what happened", 30, 1, most=400),
        Column("seq", "no", 7, 5, right=True),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Journal", id=id)
        self.sought = ""  # lower case; its occurrences are marked

    def key(self, row: EventView) -> str:
        return str(row.seq)

    def cell(self, row: EventView, column: str, width: int) -> Line:
        match column:
            case "level":
                return (LEVEL_GLYPHS.get(row.level, ("·", "dim")),)
            case "market":
                return plain(f.eastern(row.market_at, "%a %H:%M:%S"), "dim")
            case "wall":
                return plain(f.eastern(row.at), "dim")
            case "kind":
                return marked(row.kind, self.sought, "dim")
            case "text":
                ink = {"warning": "warn", "alert": "strong", "notice": "text"}.get(row.level, "dim")
                return marked(row.text, self.sought, ink)
            case _:
                return plain(str(row.seq), "dim")


def marked(text: str, sought: str, ink: str) -> Line:
    """``text`` with every occurrence of ``sought`` as a badge, so that it is seen without colour too."""
    if not sought:
        return plain(text, ink)
    lower, spans, start = text.lower(), list[tuple[str, str]](), 0
    while (at := lower.find(sought, start)) >= 0:
        if at > start:
            spans.append((text[start:at], ink))
        spans.append((text[at : at + len(sought)], "badge"))
        start = at + len(sought)
    if start < len(text):
        spans.append((text[start:], ink))
    return tuple(spans)
