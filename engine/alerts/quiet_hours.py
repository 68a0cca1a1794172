"""Quiet hours: a window of the local day. Pure; daylight saving is the zone's business."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from zoneinfo import ZoneInfo

from engine.setting_values import quiet_window
from engine.settings import AlertSettings


def covers(begin: time, end: time, at: time) -> bool:
    """Whether ``at`` lies in [begin, end) of a day; a window may go over midnight."""
    return begin <= at < end if begin < end else at >= begin or at < end


def quiet_hours(settings: AlertSettings) -> Callable[[datetime], bool]:
    """Whether a moment lies in the window of ``alerts.quiet``; never without one."""
    window = quiet_window(settings.quiet)
    if window is None:
        return lambda at: False
    begin, end = window
    zone = ZoneInfo(settings.quiet_zone) if settings.quiet_zone else None  # None: this machine's
    return lambda at: covers(begin, end, at.astimezone(zone).time())
