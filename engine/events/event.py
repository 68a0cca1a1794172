"""What every event is: frozen, with a level, one plain line (``text``) and its numbers as fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from engine.model import utc_text


class Level(StrEnum):
    """How much of the operator's attention an event asks for."""

    DEBUG = "debug"
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ALERT = "alert"


def plain(value: Any) -> Any:
    """A JSON-safe form: Decimal and dates as text; TypeError for what has no faithful form."""
    if value is None or isinstance(value, bool | int | str | float):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    raise TypeError(f"an event cannot carry {type(value).__name__}")


def dollars(price: Decimal | None) -> str:
    """A price as it is written: two decimals, more only where they say something; ``?`` when unknown."""
    if price is None:
        return "?"
    exact = f"{price:f}"
    whole, _, decimals = exact.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


@dataclass(frozen=True, kw_only=True)
class Event:
    """The base: every subclass sets ``level`` and says itself in ``text``."""

    level: ClassVar[Level] = Level.INFO

    @classmethod
    def kind(cls) -> str:
        """``OrderSubmitted`` is stored as ``order_submitted``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def text(self) -> str:
        raise TypeError(f"{type(self).__name__} does not say itself")

    def data(self) -> dict[str, Any]:
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}


class EventSink(Protocol):
    """Where a stage publishes; the engine journals each event and passes it to the consoles."""

    def publish(self, event: Event) -> None: ...
