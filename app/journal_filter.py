"""What an operator types to find events: words, ``-words``, ``kind:`` and ``level:``. Pure.

fill abcd            both words in kind or text
kind:order -pending  the kind contains "order", "pending" occurs nowhere
level:warning        this level and those above it
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.views import EventView

LEVELS = ("debug", "info", "notice", "warning", "alert")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All of it must hold; the words are lower case."""

    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()  # parts of a kind
    lowest: int = 0  # index into LEVELS
    kind: str = ""  # exactly this kind

    @classmethod
    def parse(cls, text: str) -> EventFilter:
        """Every text is a filter: what is not understood as a term is a word to look for."""
        words, without, kinds, lowest = [], [], [], 0
        for term in text.lower().split():
            name, colon, value = term.partition(":")
            if colon and name == "kind" and value:
                kinds.append(value)
            elif colon and name == "level" and value in LEVELS:
                lowest = LEVELS.index(value)
            elif term.startswith("-") and len(term) > 1:
                without.append(term[1:])
            else:
                words.append(term)
        return cls(tuple(words), tuple(without), tuple(kinds), lowest)

    def at_least(self, level: int) -> EventFilter:
        """The same, from ``level`` on."""
        return replace(self, lowest=max(self.lowest, level))

    def of_kind(self, kind: str) -> EventFilter:
        return replace(self, kind=kind)

    def matches(self, event: EventView) -> bool:
        if self.kind and event.kind != self.kind:
            return False
        if event.level in LEVELS and LEVELS.index(event.level) < self.lowest:
            return False
        if not all(part in event.kind for part in self.kinds):
            return False
        if not self.words and not self.without:
            return True
        text = f"{event.kind} {event.text}".lower()
        return all(word in text for word in self.words) and not any(word in text for word in self.without)
