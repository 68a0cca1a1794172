"""The life of alerts: raised, counted, told, repeated, escalated, acknowledged, over. No I/O, no clock of its own.

Every method takes the present wall time. ``due`` hands out what must leave the engine now and
notes it as told, so asking twice tells nothing twice. Quiet hours hold a telling back, they never
drop it: what is still open and unacknowledged when they end is told then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from engine.alerts.alert import ALWAYS_TOLD, Alert, Finding, Severity, Telling, Topic, What

AGAIN_S = 300.0  # what comes back within this time is the same alert: its count goes on
KEPT = 100  # settled alerts remembered


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one severity: the sinks of each step, and the wall seconds between two tellings (0: told once)."""

    ladder: tuple[frozenset[str], ...] = ()
    repeat_s: float = 0.0

    def sinks(self, step: int) -> frozenset[str]:
        """Who is told at the ``step``-th time (from 0): everybody up to that rung."""
        return frozenset[str]().union(*self.ladder[: step + 1])


@dataclass(frozen=True, slots=True)
class Policy:
    plans: Mapping[Severity, Plan]
    repeat_limit: int = 30
    is_quiet: Callable[[datetime], bool] = lambda at: False


class AlertBook:
    """All alerts of one engine by key."""

    def __init__(self, policy: Policy, alerts: Iterable[Alert] = ()) -> None:
        self.policy = policy
        self._alerts = {alert.key: alert for alert in alerts}

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(self._alerts.values())

    def open_keys(self) -> list[str]:
        return [key for key, alert in self._alerts.items() if alert.is_open]

    def get(self, key: str) -> Alert | None:
        return self._alerts.get(key)

    # --- what happens ----------------------------------------------------------------------------

    def raise_alert(self, finding: Finding, now: datetime, market_at: datetime | None = None) -> bool:
        """Opens or counts; whether it is news: a new episode, or worse than before."""
        old = self._alerts.get(finding.key)
        ended = None if old is None else old.ended_at
        if old is None or (ended is not None and now - ended > timedelta(seconds=AGAIN_S)):
            rings = 0 if old is None else old.rings
            self.put(_opened(finding, now, market_at, rings))
            return True
        worse = finding.is_worse_than(old.severity, old.topic)
        known = replace(old, text=finding.text, last_at=now, market_at=market_at, count=old.count + 1)
        if not old.is_open:
            # Back so soon: told at its interval only, unless somebody was told that a danger to a position is
            # over, or has settled it himself.
            news = replace(
                known, severity=finding.severity, topic=finding.topic, holds=finding.holds,
                over_at=None, acknowledged_by="", acknowledged_at=None,
            )  # fmt: skip
            at_once = worse or bool(old.acknowledged_by) or finding.topic in ALWAYS_TOLD
            self.put(_from_the_start(news) if at_once else news)
            return True
        known = replace(known, holds=old.holds or finding.holds)
        if worse:
            known = _from_the_start(
                replace(
                    known, severity=max(finding.severity, old.severity, key=lambda s: s.rank), topic=finding.topic,
                    acknowledged_by="", acknowledged_at=None,
                )
            )  # fmt: skip
        self.put(known)
        return worse

    def reword(self, key: str, text: str) -> None:
        """The same state says itself in other words; nothing is counted."""
        alert = self._alerts.get(key)
        if alert is not None and alert.is_open and alert.text != text:
            self._alerts[key] = replace(alert, text=text)

    def recover(self, key: str, now: datetime, words: str = "") -> Alert | None:
        """Closes an open alert whose reason is gone, with ``words`` as its last text; None when there is none."""
        alert = self._alerts.get(key)
        if alert is None or not alert.is_open:
            return None
        self.put(replace(alert, over_at=now, text=words or alert.text))
        return self._alerts[key]

    def acknowledge(self, key: str, by: str, now: datetime) -> bool:
        """Somebody has seen it; False when nothing of that key waits."""
        alert = self._alerts.get(key)
        if alert is None or not alert.waiting:
            return False
        self.put(replace(alert, acknowledged_by=by, acknowledged_at=now))
        return True

    # --- what is told ----------------------------------------------------------------------------

    def due(self, now: datetime) -> list[Telling]:
        """What must leave now, most severe first; noted as told."""
        quiet = self.policy.is_quiet(now)
        tellings = []
        for alert in self.alerts:
            if quiet and not alert.always_told:
                continue
            telling = self._telling(alert, now)
            if telling is not None:
                self._alerts[alert.key] = telling.alert
                tellings.append(telling)
        return sorted(tellings, key=lambda t: -t.alert.severity.rank)

    def _telling(self, alert: Alert, now: datetime) -> Telling | None:
        if alert.over_at is not None:
            if not alert.told_to:
                return None
            return Telling(replace(alert, told_to=(), rings=alert.rings + 1), "recovered", alert.told_to)
        if not alert.waiting or not self._is_due(alert, now):
            return None
        plan = self.policy.plans.get(alert.severity, Plan())
        sinks = plan.sinks(alert.step) - {_own_sink(alert)}
        before = plan.sinks(alert.step - 1) if alert.step else frozenset[str]()
        what: What = "raised" if alert.step == 0 else "escalated" if sinks - before else "repeated"
        told = replace(
            alert,
            step=alert.step + 1,
            told_at=now,
            told_to=tuple(sorted({*alert.told_to, *sinks})),
            rings=alert.rings + bool(sinks),
        )
        return Telling(told, what, tuple(sorted(sinks)))

    def _is_due(self, alert: Alert, now: datetime) -> bool:
        if alert.step == 0 or alert.told_at is None:
            return True
        repeat_s = self.policy.plans.get(alert.severity, Plan()).repeat_s
        return 0 < repeat_s <= (now - alert.told_at).total_seconds() and alert.step < self.policy.repeat_limit

    def put(self, alert: Alert) -> None:
        """Keeps an alert as it is; the latest news stands last."""
        self._alerts.pop(alert.key, None)
        self._alerts[alert.key] = alert
        settled = [key for key, kept in self._alerts.items() if not kept.is_open]
        for key in settled[: max(0, len(settled) - KEPT)]:
            del self._alerts[key]

    # --- over a restart ----------------------------------------------------------------------------

    def dump(self) -> list[dict[str, Any]]:
        """JSON-able; ``loaded`` reads it."""
        return [
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in asdict(a).items()
            }
            for a in self._alerts.values()
        ]


def loaded(rows: Iterable[Mapping[str, Any]]) -> list[Alert]:
    """What ``dump`` wrote. ValueError, KeyError or TypeError for anything else."""
    alerts = []
    for row in rows:
        values = dict(row)
        for name in ("opened_at", "last_at", "market_at", "acknowledged_at", "over_at", "told_at"):
            values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
        values |= {
            "severity": Severity(values["severity"]),
            "topic": Topic(values["topic"]),
            "told_to": tuple(values["told_to"]),
        }
        alerts.append(Alert(**values))
    return alerts


def _opened(finding: Finding, now: datetime, market_at: datetime | None, rings: int) -> Alert:
    return Alert(
        finding.key, finding.severity, finding.topic, finding.text, finding.holds,
        opened_at=now, last_at=now, market_at=market_at, rings=rings,
    )  # fmt: skip


def _from_the_start(alert: Alert) -> Alert:
    """Told at once, from the first step of its ladder."""
    return replace(alert, step=0, told_at=None)


def _own_sink(alert: Alert) -> str:
    """A sink that does not work is not asked to say so."""
    return alert.key.removeprefix("sink-") if alert.topic is Topic.SINKS else ""
