"""From findings at one moment to what began and what ended. Pure; time is a monotonic clock in seconds.

A finding counts when it has lasted as long as it asks for, and has ended when it was away for
``GONE_S``: a value that flickers around its limit raises one alert, not ten, and a link that
comes back for a moment only is still away.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.alerts.alert import Finding, Severity, Topic

GONE_S = 3.0


class ConditionWatch:
    """``active``: keys of alerts that an earlier life of the engine left open."""

    def __init__(self, active: Iterable[tuple[str, Severity, Topic]] = ()) -> None:
        self._active = {key: (severity, topic) for key, severity, topic in active}
        self._since: dict[str, float] = {}
        self._seen: dict[str, float] = {}

    def look(self, findings: Iterable[Finding], now_s: float) -> tuple[list[Finding], list[str]]:
        """(findings to raise: new ones and those that got worse, keys that ended)."""
        present = {finding.key: finding for finding in findings}
        began = []
        for key, finding in present.items():
            since = self._since.setdefault(key, now_s)
            self._seen[key] = now_s
            known = self._active.get(key)
            lasted = now_s - since >= finding.after_s
            if (known is None and lasted) or (known is not None and finding.is_worse_than(*known)):
                self._active[key] = (finding.severity, finding.topic)
                began.append(finding)
        ended = []
        for key in {*self._since, *self._active} - present.keys():
            if now_s - self._seen.setdefault(key, now_s) >= GONE_S:
                if key in self._active:
                    ended.append(key)
                self.forget(key)
        return began, sorted(ended)

    def has_begun(self, key: str) -> bool:
        """Whether an alert was raised for it (a finding may not have lasted long enough yet)."""
        return key in self._active

    def forget(self, key: str) -> None:
        """Its alert was closed by an event: what is found from now on is a new one."""
        self._active.pop(key, None)
        self._since.pop(key, None)
        self._seen.pop(key, None)
