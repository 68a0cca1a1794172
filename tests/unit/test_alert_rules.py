"""What becomes an alert, how severe, and what ends it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerts.alert import ALWAYS_TOLD, Severity, Topic
from engine.alerts.rules import Facts, Limits, conditions, ended_by, raised_by, restarted, weight_of
from engine.events import OrderChanged, PositionClosed, RunFinished, RunStarted
from engine.views import FlattenView, LinkView, PositionRow, ShortlistView

NOW = datetime(2026, 11, 23, 14, 20, tzinfo=UTC)
SESSION = date(2026, 11, 23)
LIMITS = Limits()


def row(symbol: str = "ABC", state: str = "WATCH", **fields: object) -> PositionRow:
    defaults: dict[str, object] = {"shares": 100, "resting_stop": Decimal("9.5")}
    return PositionRow(symbol=symbol, state=state, **(defaults | fields))  # type: ignore[arg-type]


def keys(facts: Facts) -> dict[str, Severity]:
    return {finding.key: finding.severity for finding in conditions(facts, LIMITS)}


def test_a_sound_engine_raises_nothing() -> None:
    assert conditions(Facts(), LIMITS) == []
    assert conditions(Facts(market_open=True, market_now=NOW, positions=(row(),)), LIMITS) == []


def test_a_position_without_a_stop_at_the_broker_is_critical_after_a_moment() -> None:
    (found,) = conditions(Facts(market_open=True, positions=(row(resting_stop=None),)), LIMITS)
    assert (found.key, found.severity, found.topic) == ("unprotected-ABC", Severity.CRITICAL, Topic.PROTECTION)
    assert found.after_s > 0
    assert "100 shares" in found.text
    assert conditions(Facts(market_open=False, positions=(row(resting_stop=None),)), LIMITS) == []


def test_a_position_that_is_leaving_needs_no_stop_but_must_leave() -> None:
    leaving = row(state="EXITING", resting_stop=None, why_next="market order - refused: halted")
    (found,) = conditions(Facts(market_open=True, positions=(leaving,)), LIMITS)
    assert found.key == "exit-ABC"
    assert "refused: halted" in found.text


@pytest.mark.parametrize("state", ["CLOSED", "REFUSED", "ENTERING", ""])
def test_what_is_not_held_is_no_position_in_danger(state: str) -> None:
    assert conditions(Facts(market_open=True, positions=(row(state=state, resting_stop=None),)), LIMITS) == []


@pytest.mark.parametrize("state", ["stale", "down", "refused", "connecting"])
def test_a_silent_price_stream_is_critical_while_something_is_held(state: str) -> None:
    silent = LinkView.model_validate({"state": state, "detail": "no message"})
    (held,) = conditions(Facts(market_open=True, positions=(row(),), prices=silent), LIMITS)
    assert (held.key, held.severity) == ("link-prices", Severity.CRITICAL)
    assert "ABC" in held.text
    idle = keys(Facts(market_open=True, prices=silent))
    assert idle == ({} if state == "connecting" else {"link-prices": Severity.WARNING})


def test_a_quiet_night_is_no_stale_stream() -> None:
    stale = LinkView(state="stale")
    assert conditions(Facts(positions=(row(),), prices=stale, trades=stale), LIMITS) == []


def test_one_symbol_without_a_price_is_told_only_while_the_stream_itself_lives() -> None:
    stale = (row(stale=True),)
    (blind,) = conditions(Facts(market_open=True, positions=stale), LIMITS)
    assert (blind.key, blind.severity) == ("stale-ABC", Severity.WARNING)
    assert blind.topic in ALWAYS_TOLD  # its exit sees nothing: no quiet hour holds that back
    down = LinkView(state="down")
    assert keys(Facts(market_open=True, positions=stale, prices=down)) == {"link-prices": Severity.CRITICAL}


@pytest.mark.parametrize(
    ("latched", "key", "severity"),
    [
        ("daily loss: -2.31 % of 2 %", "day-loss", Severity.CRITICAL),
        ("flatten by console", "entries-latched", Severity.NOTICE),
        ("the file LATCH exists", "entries-latched", Severity.WARNING),
    ],
)
def test_latched_entries_are_as_severe_as_their_cause(latched: str, key: str, severity: Severity) -> None:
    assert keys(Facts(latched=latched)) == {key: severity}


def test_a_journal_that_cannot_be_written_hides_no_other_alert() -> None:
    facts = Facts(
        market_open=True,
        journal_problem="the journal cannot be written (disk full)",
        latched="the journal cannot be written (disk full)",
        positions=(row(resting_stop=None),),
    )
    assert keys(facts) == {"unprotected-ABC": Severity.CRITICAL, "journal": Severity.CRITICAL}


@pytest.mark.parametrize(("minutes", "told"), [(11, False), (10, True), (1, True), (0, False), (-5, False)])
def test_a_waiting_approval_is_told_before_it_closes(minutes: int, told: bool) -> None:
    view = ShortlistView(state="pending", session=SESSION, deadline=NOW + timedelta(minutes=minutes))
    assert bool(conditions(Facts(market_now=NOW, shortlist=view), LIMITS)) is told
    decided = view.model_copy(update={"state": "approved"})
    assert conditions(Facts(market_now=NOW, shortlist=decided), LIMITS) == []


def test_flatten_that_is_not_flat_is_critical_and_one_that_waits_for_the_open_is_told() -> None:
    assert keys(Facts(flatten=FlattenView(state="failed", step="no keys"))) == {"flatten": Severity.CRITICAL}
    assert keys(Facts(flatten=FlattenView(state="running"))) == {"flatten-slow": Severity.CRITICAL}
    assert keys(Facts(flatten=FlattenView(state="queued"))) == {"flatten-queued": Severity.WARNING}
    assert keys(Facts(flatten=FlattenView(state="flat"))) == {}


def test_drift_between_journal_and_broker_weighs_more_with_positions_open() -> None:
    assert keys(Facts(reconcile_problem="ABC: 100 and 90")) == {"reconcile": Severity.WARNING}
    held = Facts(reconcile_problem="ABC: 100 and 90", positions=(row(),))
    assert keys(held) == {"reconcile": Severity.CRITICAL}
    (doubt,) = conditions(Facts(reconcile_problem="order X is in doubt", orders_open=1), LIMITS)
    assert doubt.topic in ALWAYS_TOLD  # it may have become a position


@pytest.mark.parametrize(
    ("free", "severity"), [(None, None), (1000.0, None), (999.0, Severity.WARNING), (99.0, Severity.CRITICAL)]
)
def test_a_disk_that_fills_up_is_told_twice(free: float | None, severity: Severity | None) -> None:
    assert keys(Facts(disk_free_mb=free)).get("disk") is severity


def test_an_engine_that_comes_back_to_positions_says_so() -> None:
    assert restarted(Facts()) is None
    found = restarted(Facts(positions=(row(), row("DEF", "ARMED"), row("GHI", "CLOSED"))))
    assert found is not None
    assert found.topic in ALWAYS_TOLD
    assert "ABC, DEF" in found.text
    assert "GHI" not in found.text


@given(
    st.lists(
        st.builds(
            row,
            st.sampled_from(["ABC", "DEF", "GHI"]),
            st.sampled_from(["WATCH", "ARMED", "TARGET", "EXITING", "CARRIED", "CLOSED", "ENTERING", "REFUSED"]),
            resting_stop=st.sampled_from([None, Decimal(5)]),
            stale=st.booleans(),
        ),
        max_size=3,
        unique_by=lambda r: r.symbol,
    ),
    st.booleans(),
    st.sampled_from(["off", "connecting", "live", "stale", "refused", "down"]),
    st.sampled_from(["idle", "running", "flat", "queued", "failed"]),
    st.sampled_from(["", "ABC: 100 and 90"]),
)
def test_one_finding_a_key_and_danger_to_a_position_is_always_told(
    rows: list[PositionRow], market_open: bool, link: str, flatten: str, problem: str
) -> None:
    facts = Facts(
        market_open=market_open,
        positions=tuple(rows),
        prices=LinkView.model_validate({"state": link}),
        trades=LinkView.model_validate({"state": link}),
        broker=LinkView.model_validate({"state": link}),
        flatten=FlattenView.model_validate({"state": flatten}),
        reconcile_problem=problem,
    )
    found = conditions(facts, LIMITS)
    assert len({f.key for f in found}) == len(found)
    for finding in found:
        if facts.held or finding.key.startswith("flatten"):
            assert finding.topic in ALWAYS_TOLD or finding.severity is Severity.CRITICAL


# --- events ------------------------------------------------------------------------------------


def order(leg: str, status: str) -> OrderChanged:
    return OrderChanged(
        symbol="ABC",
        client_order_id=f"tsh-1a2b3c4d-20261123-ABC-{leg}-1",
        status=status,
        filled_shares=0,
        average_price=None,
        detail="insufficient qty available",
    )


@pytest.mark.parametrize("leg", ["exit", "flatten"])
@pytest.mark.parametrize("status", ["refused", "rejected"])
def test_a_refused_exit_is_critical_at_once(leg: str, status: str) -> None:
    found = raised_by(order(leg, status))
    assert found is not None
    assert (found.key, found.severity, found.topic, found.after_s) == (
        "exit-ABC",
        Severity.CRITICAL,
        Topic.EXITS,
        0.0,
    )
    assert "insufficient qty" in found.text


@pytest.mark.parametrize(("leg", "status"), [("entry", "rejected"), ("stop", "refused"), ("exit", "filled")])
def test_a_refused_entry_is_no_alert_and_neither_is_a_filled_exit(leg: str, status: str) -> None:
    assert raised_by(order(leg, status)) is None


def test_a_sold_position_ends_what_was_wrong_with_it_and_nothing_else() -> None:
    closed = PositionClosed(
        symbol="ABC", shares=1, entry=Decimal(1), exit=Decimal(1), pnl=Decimal(0), reason="TARGET"
    )
    keys_open = ["exit-ABC", "unprotected-ABC", "carried-ABC-2026-11-23", "exit-ABCD", "outside-ABC", "disk"]
    assert {key for key, _ in ended_by(closed, keys_open)} == {
        "exit-ABC",
        "unprotected-ABC",
        "carried-ABC-2026-11-23",
    }


def test_a_run_that_goes_on_ends_the_alert_that_it_failed() -> None:
    started = RunStarted(run="weekend-1", run_kind="weekend", resumed=True)
    assert [key for key, _ in ended_by(started, ["weekend-failed", "weekend-unfinished", "weekday-failed"])] == [
        "weekend-failed",
        "weekend-unfinished",
    ]
    failed = RunFinished(run="weekend-1", run_kind="weekend", outcome="failed", seconds=1.0, summary="")
    assert ended_by(failed, ["weekend-failed"]) == []


@pytest.mark.parametrize(
    ("key", "topic"),
    [
        ("unprotected-ABC", Topic.PROTECTION),
        ("carried-ABC-2026-11-23", Topic.EXITS),
        ("halt-ABC", Topic.EXITS),
        ("adopted-tsh-1a2b3c4d-20261123-ABC-entry-1", Topic.PROTECTION),
        ("flatten-failed", Topic.FLATTEN),
        ("weekend-failed", Topic.RUNS),
        ("something-new", Topic.ENGINE),
    ],
)
def test_the_key_of_an_alert_says_its_topic(key: str, topic: Topic) -> None:
    assert weight_of(key)[1] is topic
