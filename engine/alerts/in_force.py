"""The sinks of a home's settings, and what is in force in words (for the doctor)."""

from __future__ import annotations

from collections.abc import Callable

from engine.alerts.desktop import DesktopSink
from engine.alerts.sink import Sink
from engine.alerts.sound import SoundSink
from engine.alerts.webhook import WebhookSink, webhook_secret
from engine.errors import UsageError
from engine.settings import AlertSettings, Settings


def open_sinks(settings: Settings, consoles: Callable[[], int]) -> list[Sink]:
    """Every sink there is, configured or not. A webhook without its secret is there and says so: an engine
    that manages positions must start all the same.
    """
    alerts, secret, problem = settings.alerts, "", ""
    try:
        secret = webhook_secret(alerts)
    except UsageError as error:
        problem = str(error)
    return [
        DesktopSink(alerts, settings.broker.mode, consoles),
        SoundSink(alerts, consoles),
        WebhookSink(alerts, secret, problem=problem),
    ]


def ladder_words(settings: AlertSettings) -> list[tuple[str, str]]:
    """(severity, what happens) for each severity."""
    rows = []
    for severity, ladder, repeat_s in (
        ("notice", settings.notice, settings.notice_repeat_s),
        ("warning", settings.warning, settings.warning_repeat_s),
        ("critical", settings.critical, settings.critical_repeat_s),
    ):
        steps = ", then ".join(ladder) or "nowhere"
        again = f"; again every {repeat_s:g} s until acknowledged" if repeat_s and ladder else "; once"
        rows.append((severity, steps + again))
    return rows


def quiet_words(settings: AlertSettings) -> str:
    if not settings.quiet:
        return "none"
    zone = settings.quiet_zone or "this machine's time"
    return f"{settings.quiet} ({zone}); exits, flatten, unprotected positions and critical alerts are told anyway"
