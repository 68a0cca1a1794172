"""From JSON to values: Decimal, aware UTC, bounded text. Everything malformed is refused here.

Unbounded decimal strings, naive datetimes and ``inf`` never cross this border
(CONTRACTS, *Traps*). Errors are ``MalformedAnswer``, which the REST wrapper and the
streams turn into one plain sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.model import UTC
from engine.redaction import struck

_LONGEST_NUMBER = 40  # characters
_LARGEST = Decimal(10) ** 15  # dollars or shares


class MalformedAnswer(ValueError):  # noqa: N818 - it names what came, like its siblings in errors
    """A field of the broker's answer is missing or is not what it must be."""


def number(value: Any, name: str) -> Decimal:
    """A finite Decimal from a JSON string or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MalformedAnswer(f"{name} is {_shown(value)}, not a number")
    text = str(value)
    if len(text) > _LONGEST_NUMBER:
        raise MalformedAnswer(f"{name} has {len(text)} characters")
    try:
        parsed = Decimal(text)
    except InvalidOperation as error:
        raise MalformedAnswer(f"{name} is {_shown(value)}, not a number") from error
    if not parsed.is_finite() or abs(parsed) > _LARGEST:
        raise MalformedAnswer(f"{name} is {_shown(value)}, out of range")
    return parsed


def number_or_none(value: Any, name: str) -> Decimal | None:
    return None if value is None or value == "" else number(value, name)


def instant(value: Any, name: str) -> datetime:
    """An aware UTC datetime from RFC 3339, up to nanoseconds (cut to microseconds)."""
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        raise MalformedAnswer(f"{name} is {_shown(value)}, not a time")
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is not None:
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # an offset may lead out of the years 1 to 9999
        raise MalformedAnswer(f"{name} is {_shown(value)}, not a time") from error
    raise MalformedAnswer(f"{name} is {_shown(value)}, without an offset")


def text(value: Any, name: str, longest: int = 256) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise MalformedAnswer(f"{name} is {_shown(value)}, not a text of at most {longest} characters")
    return value


def texts(value: Any, name: str) -> list[str]:
    """A list of texts; an absent one is empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedAnswer(f"{name} is {_shown(value)}, not a list of texts")
    return [text(item, f"an entry of {name}") for item in value]


def record(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedAnswer(f"{name} is {_shown(value)}, not an object")
    return value


def records(value: Any, name: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise MalformedAnswer(f"{name} is {_shown(value)}, not a list")
    return [record(item, f"an entry of {name}") for item in value]


def _shown(value: Any) -> str:
    shown = struck(repr(value))
    return shown if len(shown) <= 60 else shown[:57] + "..."
