"""Desktop notifications: by the attached consoles, or by the machine's own notifier when there is none.

A console writes OSC 9 or 777 to its terminal, which reaches the desk of whoever is attached over
ssh; here it is only counted. The machine's notifier is used when it exists: notify-send, osascript,
or a toast by PowerShell. Texts are passed as arguments or environment, never as part of a script.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.alerts.alert import Severity
from engine.alerts.program import run_program
from engine.alerts.sink import Note, Outcome
from engine.model import Mode
from engine.settings import AlertSettings

_TOAST_APP = r"{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\WindowsPowerShell\v1.0\powershell.exe"
_TOAST = (
    "$k = [Windows.UI.Notifications.ToastNotificationManager,"
    " Windows.UI.Notifications, ContentType=WindowsRuntime];"
    "$x = $k::GetTemplateContent([Windows.UI.Notifications.ToastTemplateType]::ToastText02);"
    "$t = $x.GetElementsByTagName('text');"
    "$null = $t.Item(0).AppendChild($x.CreateTextNode($env:TSH_ALERT_TITLE));"
    "$null = $t.Item(1).AppendChild($x.CreateTextNode($env:TSH_ALERT_BODY));"
    "$n = New-Object Windows.UI.Notifications.ToastNotification $x;"
    f"$k::CreateToastNotifier('{_TOAST_APP}').Show($n)"
)
_OSASCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)
_URGENCY = {Severity.NOTICE: "low", Severity.WARNING: "normal", Severity.CRITICAL: "critical"}


@dataclass(frozen=True, slots=True)
class Notifier:
    """A program of this machine that shows a notification."""

    name: str
    command: Callable[[Note], Sequence[str]]
    by_environment: bool = field(default=False)  # title and body go as TSH_ALERT_TITLE and TSH_ALERT_BODY

    async def show(self, note: Note) -> str:
        """Why it failed, or ""."""
        extra = {"TSH_ALERT_TITLE": note.title, "TSH_ALERT_BODY": note.body} if self.by_environment else {}
        return await run_program(self.command(note), extra=extra)


def find_notifier(
    which: Callable[[str], str | None] = shutil.which, platform: str = sys.platform
) -> Notifier | None:
    """The machine's own notifier, or None."""
    if platform == "win32":
        path = which("powershell") or which("pwsh")
        shell = (path or "", "-NoProfile", "-NonInteractive", "-Command", _TOAST)
        return Notifier("PowerShell", lambda note: shell, by_environment=True) if path else None
    if platform == "darwin":
        path = which("osascript")
        script = (path or "", *(word for line in _OSASCRIPT for word in ("-e", line)))
        return Notifier("osascript", lambda note: (*script, note.title, note.body)) if path else None
    path = which("notify-send")
    program = path or ""
    return Notifier("notify-send", lambda note: _notify_send(program, note)) if path else None


def _notify_send(path: str, note: Note) -> Sequence[str]:
    # The body may be read as markup by the notification server.
    body = note.body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return (path, "--app-name=TSH Console", f"--urgency={_URGENCY[note.severity]}", "--", note.title, body)


class DesktopSink:
    """``consoles``: how many are attached now; they read what to show from the alerts' view."""

    name = "desktop"

    def __init__(
        self,
        settings: AlertSettings,
        mode: Mode,
        consoles: Callable[[], int],
        notifier: Callable[[], Notifier | None] = find_notifier,
    ) -> None:
        self._settings, self._consoles, self._find = settings, consoles, notifier
        wanted = settings.desktop
        self._always = wanted == "always"
        self._native = self._always or (wanted == "auto" and mode is not Mode.SIM)

    def in_force(self) -> str:
        if self._settings.desktop == "off":
            return ""
        consoles = f"attached consoles (OSC {self._settings.osc})" if self._settings.osc != "off" else ""
        if not self._native:
            return consoles
        notifier = self._find()
        if notifier is None:
            return consoles and f"{consoles}; this machine has no notifier for when none is attached"
        when = "as well" if self._always else "when none is attached"
        return f"{consoles}, {notifier.name} {when}" if consoles else notifier.name

    async def send(self, note: Note) -> Outcome:
        if not self.in_force():
            return Outcome(self.name, "not configured")
        attached = self._consoles()
        if attached and self._settings.osc != "off" and not self._always:
            return Outcome(self.name, "sent", f"by {attached} attached console{'s' if attached > 1 else ''}")
        if not self._native:
            return Outcome(self.name, "not configured", "no console is attached")
        notifier = self._find()
        if notifier is None:
            return Outcome(self.name, "not configured", "no console is attached and this machine has no notifier")
        if notifier.name == "notify-send" and not _has_desktop():
            return Outcome(self.name, "not configured", "no console is attached and no desktop session is here")
        problem = await notifier.show(note)
        return Outcome(self.name, "failed", problem) if problem else Outcome(self.name, "sent", notifier.name)

    async def close(self) -> None:
        return


def _has_desktop() -> bool:
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"))
