"""The engine's alert desk: events and states in, alerts out, whether or not a console is open.

It hears every event before the journal does, because the worst alerts are about a disk that does
not take them any more. Its book is kept in the journal: an acknowledgement that was answered
survives a kill. Nothing here waits for a sink, and nothing here may fail a publisher.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.alerts import rules
from engine.alerts.alert import Alert, Finding, Severity, Telling, Topic
from engine.alerts.book import AlertBook, Plan, Policy, loaded
from engine.alerts.condition_watch import ConditionWatch
from engine.alerts.delivery import Delivery
from engine.alerts.quiet_hours import quiet_hours
from engine.alerts.sink import Note, Outcome, Scrubber, Sink, note_of
from engine.errors import OperatorError
from engine.events import (
    AlertAcknowledged,
    AlertNotTold,
    AlertRaised,
    AlertRecovered,
    AlertTold,
    Event,
    EventSink,
    Reconciled,
)
from engine.home import Home
from engine.journal import JournalDb
from engine.settings import AlertSettings
from engine.view_board import ViewBoard
from engine.views import AlertView

LOOK_S = 1.0
DISK_S = 30.0
SHOWN = 20
TEST_SHOWN_S = 10.0
TEST_KEY = "alert-test"
_KEPT = "alerts"  # the book's key in the journal

log = logging.getLogger(__name__)


def policy_of(settings: AlertSettings, configured: Mapping[str, str]) -> Policy:
    """The ladders with the sinks that are there; ``configured``: sink to how, "" for not."""

    def plan(ladder: Sequence[str], repeat_s: float) -> Plan:
        steps = [frozenset(name for name in step.split("+") if configured.get(name)) for step in ladder]
        return Plan(tuple(steps), repeat_s)

    return Policy(
        {
            Severity.NOTICE: plan(settings.notice, settings.notice_repeat_s),
            Severity.WARNING: plan(settings.warning, settings.warning_repeat_s),
            Severity.CRITICAL: plan(settings.critical, settings.critical_repeat_s),
        },
        settings.repeat_limit,
        quiet_hours(settings),
    )


class AlertDesk:
    """``take`` hears events, ``start`` begins to look at the board; consoles read the overview's alerts."""

    def __init__(
        self,
        settings: AlertSettings,
        journal: JournalDb,
        events: EventSink,
        board: ViewBoard,
        home: Home,
        sinks: Sequence[Sink],
        *,
        mode: str,
        scrub: Scrubber,
        journal_problem: Callable[[], str] = lambda: "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        look_s: float = LOOK_S,
    ) -> None:
        self._settings, self._journal, self._events, self._board = settings, journal, events, board
        self._home, self._mode, self._scrub = home, mode, scrub
        self._journal_problem, self._now, self._monotonic, self._look_s = journal_problem, now, monotonic, look_s
        self._delivery = Delivery(sinks, self._delivered)
        self._book = AlertBook(policy_of(settings, {sink.name: sink.in_force() for sink in sinks}))
        self._watch = ConditionWatch()
        self._limits = rules.Limits(
            timedelta(seconds=settings.approval_before_s), disk_free_mb=settings.disk_free_mb
        )
        self._reconcile_problem = ""
        self._disk: tuple[float, float | None] = (float("-inf"), None)  # (looked at, free MB)
        self._sinks_down: dict[str, str] = {}
        self._looked = False
        self._changed = asyncio.Event()
        self._saving = asyncio.Lock()
        self._saved: list[dict[str, Any]] = []
        self._save_problem = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._tests: set[asyncio.Task[None]] = set()

    # --- life ----------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Reads what an earlier life of the engine left; before anything is published."""
        try:
            kept = loaded(await self._journal.get(_KEPT, []))
        except (OperatorError, sqlite3.Error, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the kept alerts cannot be read (%r): the book begins empty", error)
            kept = []
        known = {alert.key: alert for alert in self._book.alerts}  # raised before we came to read
        self._book = AlertBook(self._book.policy, [a for a in kept if a.key not in known] + list(known.values()))
        holding = [(a.key, a.severity, a.topic) for a in self._book.alerts if a.is_open and a.holds]
        self._watch = ConditionWatch(holding)
        self._show()

    def start(self) -> None:
        self._delivery.start()
        self._tasks = [
            asyncio.create_task(self._every(self._look_s, self._look), name="alert conditions"),
            asyncio.create_task(self._keep(), name="alert keeper"),
        ]

    async def stop(self) -> None:
        """Lets what is queued leave for a moment, keeps the book, ends."""
        for task in (*self._tasks, *self._tests):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._tests, return_exceptions=True)
        await self._delivery.stop()
        await self._save()

    # --- what is heard ---------------------------------------------------------------------------

    def take(self, event: Event) -> bool:
        """Hears an event before the journal; False when it is an alert that is open already."""
        if isinstance(event, AlertRaised):
            return self._raise(event)
        if isinstance(event, AlertRecovered):
            self._watch.forget(event.key)
            if self._book.recover(event.key, self._now(), event.message) is not None:
                self._news()
            return True
        if isinstance(event, Reconciled):
            self._reconcile_problem = "" if event.clean else event.detail or "not clean"
        # What follows from an event is published after it, so that the journal has the cause first.
        finding = rules.raised_by(event)
        if finding is not None:
            asyncio.get_running_loop().call_soon(self._publish, finding)
        for key, words in rules.ended_by(event, self._book.open_keys()):
            over = AlertRecovered(key=key, message=words)
            asyncio.get_running_loop().call_soon(self._events.publish, over)
        return True

    def _raise(self, event: AlertRaised) -> bool:
        severity, topic = rules.weight_of(event.key)
        if event.severity:
            severity = Severity(event.severity)
        if event.topic:
            topic = Topic(event.topic)
        finding = Finding(event.key, severity, topic, event.message, holds=event.holds)
        news = self._book.raise_alert(finding, self._now(), self._board.status.market_time)
        self._news()
        return news

    def _publish(self, finding: Finding) -> None:
        """Findings become events like everybody else's alerts: the journal has them all."""
        self._events.publish(
            AlertRaised(
                key=finding.key,
                message=finding.text,
                severity=finding.severity.value,
                topic=finding.topic.value,
                holds=finding.holds,
            )
        )

    # --- what is seen ----------------------------------------------------------------------------

    async def _look(self) -> None:
        """Once a second: states that became or ceased to be alerts, and what is due to be told again."""
        await self._measure_disk()
        facts = self._facts()
        if facts is not None:
            if not self._looked:
                self._looked = True
                back = rules.restarted(facts)
                if back is not None:
                    self._publish(back)
            findings = rules.conditions(facts, self._limits)
            began, ended = self._watch.look(findings, self._monotonic())
            for finding in began:
                self._publish(finding)
            for finding in findings:
                if self._watch.has_begun(finding.key):
                    self._book.reword(finding.key, finding.text)
            for key in ended:
                alert = self._book.get(key)
                if alert is not None and alert.is_open:
                    self._events.publish(AlertRecovered(key=key, message=alert.text))
        self._tell_due()

    def _facts(self) -> rules.Facts | None:
        """What the views say; None before the first of them were painted."""
        status = self._board.status
        if not status.pid:
            return None
        return rules.Facts(
            market_open=status.market_open,
            market_now=status.market_time,
            positions=self._board.positions.rows,
            orders=self._board.positions.orders,
            prices=status.prices,
            trades=status.orders,
            broker=status.broker,
            flatten=self._board.flatten,
            shortlist=self._board.shortlist,
            latched=status.latched,
            journal_problem=self._journal_problem(),
            reconcile_problem=self._reconcile_problem,
            orders_open=status.orders_open,
            disk_free_mb=self._disk[1],
            sinks_down=dict(self._sinks_down),
        )

    async def _measure_disk(self) -> None:
        now = self._monotonic()
        if now - self._disk[0] < DISK_S:
            return
        try:
            free: float | None = (await asyncio.to_thread(shutil.disk_usage, self._home.folder)).free / 1e6
        except OSError as error:
            log.warning("the free disk space cannot be read: %s", error)
            free = None
        self._disk = (now, free)

    # --- telling -----------------------------------------------------------------------------------

    def _tell_due(self) -> None:
        now = self._now()
        tellings = self._book.due(now)
        for telling in tellings:
            note = self._note(telling, now)
            for sink in telling.sinks:
                if sink in self._delivery.sinks:
                    self._delivery.send(sink, note)
        if tellings:
            self._show()
            self._changed.set()

    def _note(self, telling: Telling, now: datetime) -> Note:
        return note_of(telling, mode=self._mode, home=self._home.folder.name, at=now, scrub=self._scrub)

    def _delivered(self, note: Note, outcome: Outcome) -> None:
        if outcome.state == "sent":
            self._sinks_down.pop(outcome.sink, None)
            told = AlertTold(key=note.key, what=note.what, sink=outcome.sink, detail=outcome.detail or "sent")
            self._events.publish(told)
        elif outcome.state == "failed":
            self._sinks_down[outcome.sink] = outcome.detail
            self._events.publish(
                AlertNotTold(key=note.key, what=note.what, sink=outcome.sink, reason=outcome.detail)
            )

    # --- commands ----------------------------------------------------------------------------------

    async def acknowledge(self, key: str, by: str) -> str:
        """Why it cannot be acknowledged, or "" once the acknowledgement is on disk."""
        if not self._book.acknowledge(key, by, self._now()):
            waiting = [alert.key for alert in self._book.alerts if alert.waiting]
            return f"no alert '{key}' waits to be acknowledged; {_waiting_words(waiting)}"
        self._events.publish(AlertAcknowledged(key=key, by=by))
        self._news()
        await self._save()
        return self._save_problem and f"acknowledged, but not over a restart: {self._save_problem}"

    async def test(self, by: str) -> list[Outcome]:
        """Tells a test by every sink there is, now and whatever the hour, and what became of it."""
        now = self._now()
        words = f"test of the alerts, asked for by {by}"
        alert = Alert(TEST_KEY, Severity.NOTICE, Topic.TEST, words, True, now, now)
        earlier = self._book.get(TEST_KEY)
        rings = (earlier.rings if earlier else 0) + 1
        self._book.put(replace(alert, step=1, told_at=now, rings=rings))
        self._show()
        self._tests.add(ending := asyncio.create_task(self._end_test()))
        ending.add_done_callback(self._tests.discard)
        note = self._note(Telling(replace(alert, rings=rings), "test", ()), now)
        outcomes = await asyncio.gather(*(sink.send(note) for sink in self._delivery.sinks.values()))
        for outcome in outcomes:
            self._delivered(note, outcome)
        return list(outcomes)

    async def _end_test(self) -> None:
        await asyncio.sleep(TEST_SHOWN_S)
        self._book.recover(TEST_KEY, self._now())
        self._news()

    # --- showing and keeping -------------------------------------------------------------------------

    def views(self) -> tuple[AlertView, ...]:
        """The latest alerts, every open one among them."""
        alerts = self._book.alerts
        settled = [alert for alert in alerts if not alert.is_open]
        room = max(0, SHOWN - (len(alerts) - len(settled)))
        shown = {alert.key for alert in settled[len(settled) - min(room, len(settled)) :]}
        return tuple(self._view(alert) for alert in alerts if alert.is_open or alert.key in shown)

    def _view(self, alert: Alert) -> AlertView:
        plan = self._book.policy.plans.get(alert.severity, Plan())
        sinks = plan.sinks(max(0, alert.step - 1)) if alert.key != TEST_KEY else frozenset(self._delivery.sinks)
        return AlertView(
            key=alert.key,
            at=alert.market_at or alert.last_at,
            text=alert.text,
            acknowledged=bool(alert.acknowledged_by),
            severity=alert.severity.value,
            count=alert.count,
            over=alert.over_at is not None,
            rings=alert.rings,
            ring_notice="desktop" in sinks and self._settings.desktop != "off",
            ring_bell="sound" in sinks and self._settings.bell and alert.over_at is None,
        )

    def _show(self) -> None:
        overview = self._board.overview
        self._board.overview = overview.model_copy(update={"alerts": self.views()})

    def _news(self) -> None:
        """The book changed: consoles see it at once, sinks are told, the journal keeps it."""
        self._tell_due()
        self._show()
        self._changed.set()

    async def _keep(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._save()
            await asyncio.sleep(0.2)  # what changes together is kept together

    async def _save(self) -> None:
        """Keeps the book; a journal that cannot be written is an alert of its own, never an exception."""
        async with self._saving:
            kept = self._book.dump()
            if kept == self._saved:
                return
            try:
                await self._journal.put(_KEPT, kept)
            except (OperatorError, sqlite3.Error, OSError, ValueError) as error:
                if not self._save_problem:
                    log.warning("the alerts cannot be kept over a restart: %s", error)
                self._save_problem = str(error)
            else:
                self._saved, self._save_problem = kept, ""

    async def _every(self, period_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:  # whatever a look meets, the next one must come
                log.exception("a look for alerts failed; it is tried again")
            await asyncio.sleep(period_s)


def _waiting_words(keys: Sequence[str]) -> str:
    return f"waiting: {', '.join(keys)}" if keys else "none is waiting"
