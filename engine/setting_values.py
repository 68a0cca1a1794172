"""How a setting's value is written: durations, windows of the day, ladders of sinks, commands, addresses."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import shlex
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: Any) -> Any:
    """``"24h"``, ``"90m"``, ``"60s"``, ``"1h30m"`` or a number of seconds, as seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    try:
        return float(text)
    except ValueError:
        pass
    parts = re.findall(r"([0-9.]+)(ms|[smhd])", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise ValueError(f"'{value}' is not a duration; write 60s, 90m, 24h or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def quiet_window(text: str) -> tuple[dt.time, dt.time] | None:
    """``"22:00-07:00"`` as begin and end (local times, the end not included); None for ""."""
    if not text.strip():
        return None
    parts = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if parts is None:
        raise ValueError(f"'{text}' is not a window of the day; write 22:00-07:00, or leave it empty")
    begin_hour, begin_minute, end_hour, end_minute = (int(part) for part in parts.groups())
    begin, end = dt.time(begin_hour, begin_minute), dt.time(end_hour, end_minute)
    if begin == end:
        raise ValueError(f"'{text}' begins where it ends; write 22:00-07:00, or leave it empty")
    return begin, end


def ladder_steps(value: Any) -> Any:
    """``"desktop+sound, webhook"`` as its steps; a list stays one. Every sink must be one of ALERT_SINKS."""
    steps = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(steps, list | tuple):
        return value
    cleaned = []
    for step in steps:
        names = [name.strip() for name in str(step).split("+")]
        wrong = [name for name in names if name not in ALERT_SINKS]
        if wrong:
            known = ", ".join(ALERT_SINKS)
            raise ValueError(f"'{wrong[0]}' is no sink of alerts; there are {known}, joined with + in one step")
        cleaned.append("+".join(names))
    return tuple(cleaned)


def words_of_command(value: Any) -> Any:
    """``"paplay /usr/share/alarm.oga"`` as program and arguments (no shell); a list stays one."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"{error}; write the command as a list of its words") from error


ALERT_SINKS = ("desktop", "sound", "webhook")
Interval = Annotated[float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)]
Ladder = Annotated[tuple[str, ...], BeforeValidator(ladder_steps)]


def is_private_host(host: str) -> bool:
    """This machine or a private network, by its name or address alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_link_local


def masked_address(url: str) -> str:
    """A webhook's scheme and host: what follows is often its secret."""
    if not url:
        return ""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/..."
