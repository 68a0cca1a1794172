"""The life of alerts under an injected clock: counted, told, escalated, held back, acknowledged, over."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alerts.alert import ALWAYS_TOLD, Alert, Finding, Severity, Telling, Topic
from engine.alerts.book import AGAIN_S, AlertBook, Plan, Policy, loaded
from engine.alerts.condition_watch import GONE_S, ConditionWatch
from engine.alerts.quiet_hours import covers, quiet_hours
from engine.settings import AlertSettings

BEGIN = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
DESKTOP, WEBHOOK = frozenset({"desktop"}), frozenset({"webhook"})
PLANS = {
    Severity.NOTICE: Plan((DESKTOP,), 0.0),
    Severity.WARNING: Plan((DESKTOP, WEBHOOK), 600.0),
    Severity.CRITICAL: Plan((DESKTOP | WEBHOOK,), 120.0),
}


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def finding(
    key: str = "disk",
    severity: Severity = Severity.WARNING,
    topic: Topic = Topic.ENGINE,
    text: str = "words",
    holds: bool = True,
) -> Finding:
    return Finding(key, severity, topic, text, holds=holds)


def book(**policy: object) -> AlertBook:
    return AlertBook(replace(Policy(PLANS), **policy))  # type: ignore[arg-type]


def said(tellings: list[Telling]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(t.alert.key, t.what, t.sinks) for t in tellings]


# --- counting ----------------------------------------------------------------------------------


def test_the_same_key_again_is_counted_and_not_told_again() -> None:
    alerts = book()
    assert alerts.raise_alert(finding(text="first"), at(0))
    assert len(alerts.due(at(0))) == 1
    for second in range(1, 50):
        assert not alerts.raise_alert(finding(text=f"time {second}"), at(second))
        assert alerts.due(at(second)) == []
    (alert,) = alerts.alerts
    assert (alert.count, alert.text, alert.opened_at, alert.last_at) == (50, "time 49", at(0), at(49))


def test_what_gets_worse_is_told_at_once_even_after_an_acknowledgement() -> None:
    alerts = book()
    alerts.raise_alert(finding(), at(0))
    alerts.due(at(0))
    assert alerts.acknowledge("disk", "anna", at(1))
    assert alerts.raise_alert(finding(severity=Severity.CRITICAL), at(2))
    assert said(alerts.due(at(2))) == [("disk", "raised", ("desktop", "webhook"))]


def test_what_happened_once_is_settled_by_its_acknowledgement_and_new_when_it_happens_again() -> None:
    alerts = book()
    alerts.raise_alert(finding("exit-ABC", holds=False), at(0))
    alerts.due(at(0))
    assert alerts.acknowledge("exit-ABC", "anna", at(1))
    assert alerts.open_keys() == []
    assert alerts.raise_alert(finding("exit-ABC", holds=False), at(2))
    assert said(alerts.due(at(2))) == [("exit-ABC", "raised", ("desktop",))]
    assert alerts.alerts[0].count == 2


def test_what_comes_and_goes_keeps_its_count_and_is_not_told_at_every_turn() -> None:
    alerts = book()
    told = []
    for turn in range(20):
        alerts.raise_alert(finding(), at(turn * 10))
        told += [t.what for t in alerts.due(at(turn * 10))]
        alerts.recover("disk", at(turn * 10 + 5))
        told += [t.what for t in alerts.due(at(turn * 10 + 5))]
    assert told == ["raised", "recovered"]
    assert alerts.alerts[0].count == 20


def test_a_danger_to_a_position_that_was_told_to_be_over_is_told_at_once_when_it_is_back() -> None:
    alerts = book()
    again = finding("unprotected-ABC", Severity.CRITICAL, Topic.PROTECTION)
    told = []
    for second in (0, 20):
        alerts.raise_alert(again, at(second))
        told += [t.what for t in alerts.due(at(second))]
        alerts.recover("unprotected-ABC", at(second + 5))
        told += [t.what for t in alerts.due(at(second + 5))]
    assert told == ["raised", "recovered", "raised", "recovered"]


def test_what_comes_back_much_later_is_a_new_alert() -> None:
    alerts = book()
    alerts.raise_alert(finding(), at(0))
    alerts.recover("disk", at(1))
    alerts.raise_alert(finding(), at(2 + AGAIN_S))
    assert alerts.alerts[0].count == 1
    assert alerts.alerts[0].opened_at == at(2 + AGAIN_S)


# --- escalation --------------------------------------------------------------------------------


def test_an_alert_that_nobody_acknowledges_climbs_its_ladder_at_its_interval() -> None:
    alerts = book()
    alerts.raise_alert(finding(), at(0))
    told = [(second, *said(found)[0][1:]) for second in range(0, 1900, 10) if (found := alerts.due(at(second)))]
    assert told == [
        (0, "raised", ("desktop",)),
        (600, "escalated", ("desktop", "webhook")),
        (1200, "repeated", ("desktop", "webhook")),
        (1800, "repeated", ("desktop", "webhook")),
    ]


def test_an_acknowledged_alert_is_silent_until_it_is_over_and_then_says_so_where_it_was_told() -> None:
    alerts = book()
    alerts.raise_alert(finding(), at(0))
    alerts.due(at(0))
    alerts.acknowledge("disk", "anna", at(5))
    assert all(not alerts.due(at(second)) for second in range(10, 5000, 60))
    alerts.recover("disk", at(5000))
    assert said(alerts.due(at(5000))) == [("disk", "recovered", ("desktop",))]
    assert alerts.due(at(9000)) == []


def test_an_alert_is_told_a_bounded_number_of_times() -> None:
    alerts = book(repeat_limit=3)
    alerts.raise_alert(finding(severity=Severity.CRITICAL), at(0))
    assert sum(len(alerts.due(at(second))) for second in range(0, 10_000, 10)) == 3


def test_what_ended_before_it_was_told_is_never_told() -> None:
    alerts = book(is_quiet=lambda now: now < at(100))
    alerts.raise_alert(finding(), at(0))
    alerts.recover("disk", at(50))
    assert alerts.due(at(200)) == []


def test_a_sink_that_does_not_work_is_not_asked_to_say_so() -> None:
    alerts = book()
    alerts.raise_alert(finding("sink-webhook", Severity.CRITICAL, Topic.SINKS), at(0))
    assert said(alerts.due(at(0))) == [("sink-webhook", "raised", ("desktop",))]


def test_nobody_can_acknowledge_what_is_not_there_or_settled() -> None:
    alerts = book()
    assert not alerts.acknowledge("disk", "anna", at(0))
    alerts.raise_alert(finding(), at(0))
    assert alerts.acknowledge("disk", "anna", at(1))
    assert not alerts.acknowledge("disk", "bert", at(2))
    assert alerts.alerts[0].acknowledged_by == "anna"


# --- quiet hours -------------------------------------------------------------------------------


def test_what_quiet_hours_hold_back_is_told_when_they_end() -> None:
    alerts = book(is_quiet=lambda now: now < at(3600))
    alerts.raise_alert(finding(), at(0))
    assert not any(alerts.due(at(second)) for second in range(0, 3600, 60))
    assert said(alerts.due(at(3600))) == [("disk", "raised", ("desktop",))]


@given(st.sampled_from(Severity), st.sampled_from(sorted(ALWAYS_TOLD)), st.booleans())
def test_quiet_hours_never_hold_back_exits_flatten_or_protection(
    severity: Severity, topic: Topic, holds: bool
) -> None:
    alerts = book(is_quiet=lambda now: True)
    alerts.raise_alert(finding("any", severity, topic, holds=holds), at(0))
    assert [t.what for t in alerts.due(at(0))] == ["raised"]
    alerts.recover("any", at(1))
    assert [t.what for t in alerts.due(at(1))] == ["recovered"]


def test_what_comes_to_concern_a_position_is_told_at_once_in_quiet_hours() -> None:
    alerts, watch = book(is_quiet=lambda now: True), ConditionWatch()
    idle = finding("link-broker", topic=Topic.STREAMS)
    held = replace(idle, topic=Topic.EXITS)
    looks: list[tuple[Finding, list[str]]] = [(idle, []), (idle, []), (held, ["raised"]), (held, []), (idle, [])]
    for second, (seen, expected) in enumerate(looks):
        for began in watch.look([seen], float(second))[0]:
            alerts.raise_alert(began, at(second))
        assert [t.what for t in alerts.due(at(second))] == expected


@given(st.times(), st.times(), st.times())
def test_a_window_and_its_complement_cover_the_day_once(begin: time, end: time, moment: time) -> None:
    if begin != end:
        assert covers(begin, end, moment) is not covers(end, begin, moment)


def test_quiet_hours_are_local_and_follow_daylight_saving() -> None:
    quiet = quiet_hours(AlertSettings(quiet="22:00-07:00", quiet_zone="Europe/Berlin"))
    winter, summer = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 7, 10, tzinfo=UTC)
    assert [quiet(winter + timedelta(hours=h)) for h in (5, 6, 20, 21)] == [True, False, False, True]
    assert [quiet(summer + timedelta(hours=h)) for h in (4, 5, 19, 20)] == [True, False, False, True]
    assert not quiet_hours(AlertSettings())(winter)


# --- any history -------------------------------------------------------------------------------

KEYS = ("a", "b")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("raise"),
            st.sampled_from(KEYS),
            st.sampled_from(Severity),
            st.sampled_from(Topic),
            st.booleans(),
        ),
        st.tuples(st.just("recover"), st.sampled_from(KEYS)),
        st.tuples(st.just("acknowledge"), st.sampled_from(KEYS)),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 120, 600, 4000])),
    ),
    max_size=40,
)


def _is_quiet(now: datetime) -> bool:
    return (now - BEGIN).total_seconds() // 1000 % 2 == 1


@settings(max_examples=300)
@given(STEPS)
def test_whatever_happens_tellings_keep_the_rules(steps: list[tuple[object, ...]]) -> None:
    alerts, now = book(is_quiet=_is_quiet, repeat_limit=5), at(0)
    told: dict[str, tuple[datetime, Alert]] = {}
    settled: set[str] = set()  # keys that were acknowledged, got worse or ended since they were last told
    for step in steps:
        match step:
            case ("raise", str(key), Severity() as severity, Topic() as topic, bool(holds)):
                before = alerts.get(key)
                alerts.raise_alert(finding(key, severity, topic, holds=holds), now)
                back = before is not None and not before.is_open and topic in ALWAYS_TOLD
                endangers = before is not None and topic in ALWAYS_TOLD and not before.always_told
                if before is None or severity.rank > before.severity.rank or endangers or back:
                    settled.add(key)
            case ("recover", str(key)):
                alerts.recover(key, now)
            case ("acknowledge", str(key)):
                if alerts.acknowledge(key, "anna", now):
                    settled.add(key)
            case ("wait", int(seconds)):
                now += timedelta(seconds=seconds)
        for telling in alerts.due(now):
            alert = telling.alert
            assert alert.always_told or not _is_quiet(now)
            assert set(telling.sinks) <= DESKTOP | WEBHOOK
            if telling.what == "recovered":
                assert not alert.is_open
                assert telling.sinks
            else:
                assert alert.waiting
                last = told.get(alert.key)
                if last is not None and alert.key not in settled and last[1].opened_at == alert.opened_at:
                    assert (now - last[0]).total_seconds() >= PLANS[alert.severity].repeat_s
                told[alert.key] = (now, alert)
                settled.discard(alert.key)
        assert alerts.due(now) == []  # asking twice tells nothing twice
        for alert in alerts.alerts:
            if alert.waiting and (alert.always_told or not _is_quiet(now)):
                assert alert.told_at is not None  # nothing that may be told waits
        assert loaded(json.loads(json.dumps(alerts.dump()))) == list(alerts.alerts)


@pytest.mark.parametrize("rows", [[{}], [{"key": "a"}], [{"nonsense": 1, "opened_at": None}]])
def test_a_damaged_book_is_refused_whole(rows: list[dict[str, object]]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        loaded(rows)


# --- from findings to beginnings and ends ------------------------------------------------------


def test_a_finding_must_last_before_it_counts() -> None:
    watch = ConditionWatch()
    slow = Finding("exit-ABC", Severity.CRITICAL, Topic.EXITS, "words", after_s=30.0)
    assert watch.look([slow], 0.0) == ([], [])
    assert watch.look([], 20.0) == ([], [])
    assert watch.look([slow], 21.0) == ([], [])  # it began anew
    assert watch.look([slow], 50.0) == ([], [])
    assert watch.look([slow], 51.0) == ([slow], [])
    assert watch.look([slow], 52.0) == ([], [])


def test_a_link_that_comes_back_for_a_moment_only_is_still_away() -> None:
    watch = ConditionWatch()
    down = Finding("link-prices", Severity.CRITICAL, Topic.STREAMS, "words", after_s=10.0)
    for second in range(10):
        assert watch.look([] if second % 3 == 2 else [down], float(second)) == ([], [])
    assert watch.look([down], 10.0) == ([down], [])


def test_a_state_has_ended_when_it_was_away_for_a_while() -> None:
    watch = ConditionWatch()
    low = finding()
    assert watch.look([low], 0.0) == ([low], [])
    assert watch.look([], 1.0) == ([], [])
    assert watch.look([low], 2.0) == ([], [])
    assert watch.look([], 2.0 + GONE_S) == ([], ["disk"])


def test_alerts_of_an_earlier_life_end_when_their_state_is_not_found_again() -> None:
    watch = ConditionWatch(
        [("disk", Severity.WARNING, Topic.ENGINE), ("reconcile", Severity.CRITICAL, Topic.RECONCILE)]
    )
    assert watch.look([finding()], 100.0) == ([], [])
    assert watch.look([finding()], 100.0 + GONE_S) == ([], ["reconcile"])
