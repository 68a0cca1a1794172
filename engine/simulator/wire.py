"""How times and answers look on the venue's wire."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, overload

import orjson
from aiohttp import web

from engine.model import NEW_YORK, UTC


@overload
def rfc3339(at: datetime) -> str: ...
@overload
def rfc3339(at: None) -> None: ...
def rfc3339(at: datetime | None) -> str | None:
    """UTC with microseconds and Z; None stays None."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_york(at: datetime | None) -> str | None:
    """With New York's offset, as the venue's clock writes it."""
    return None if at is None else at.astimezone(NEW_YORK).isoformat()


def midnight(day: date) -> str:
    """The timestamp of a daily bar: midnight New York, in UTC."""
    return datetime.combine(day, time(0), NEW_YORK).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")


def moment(text: str) -> datetime:
    """A time the client sent: RFC 3339, or a date; naive means UTC. ValueError for anything else."""
    at = datetime.fromisoformat(text.replace(" ", "+"))  # a bare + in a query string arrives as a space
    return at if at.tzinfo else at.replace(tzinfo=UTC)
