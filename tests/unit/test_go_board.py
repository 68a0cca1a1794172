"""The GO / NO-GO board: every gate with a number, one verdict, and what is missing in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from engine.decision.grade import grade
from engine.execution import gates
from engine.execution.gates import GateReport
from engine.model import Mode, Session
from engine.pipeline.go_board import BoardFacts, board_session, board_view
from engine.settings import ExecutionSettings
from engine.views import BoardView, GateView, LinkView, ShortlistRow, ShortlistView

MONDAY = Session(
    date(2026, 11, 23), datetime(2026, 11, 23, 14, 30, tzinfo=UTC), datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
)
TUESDAY = Session(
    date(2026, 11, 24), datetime(2026, 11, 24, 14, 30, tzinfo=UTC), datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
)
BEFORE = MONDAY.open - timedelta(minutes=8)
RULES = ExecutionSettings()
LIVE = LinkView(state="live", age_s=0.4)


def the_list(state: str = "pending", closes: tuple[float, ...] = (60.0, 12.0), **more: object) -> ShortlistView:
    rows = [
        ShortlistRow(rank=i, symbol=name, close=close, chosen=True)
        for i, (name, close) in enumerate(zip(("ABCD", "EFGH"), closes, strict=True), start=1)
    ]
    return ShortlistView.model_validate(
        {
            "state": state, "session": MONDAY.day, "rows": rows, "candidates": 11, "expected": 9.0,
            "list_hash": "7f" * 32, "deadline": MONDAY.open - timedelta(minutes=5),
            "valid_until": MONDAY.open + timedelta(minutes=5), **more,
        }
    )  # fmt: skip


def account_reports(*, approved: bool = False, latched: str = "") -> list[GateReport]:
    yes = GateReport("approval", True, "by anna", limit="valid until 09:35:00 ET")
    no = GateReport("approval", False, "no approval for 2026-11-23", "approve")
    return [
        yes if approved else no,
        gates.latch_gate(latched),
        gates.reconcile_gate(True, ""),
        gates.day_loss_gate(Decimal("-12.50"), Decimal(90_000), 2.0),
        gates.order_count_gate(3, 200),
        gates.position_count_gate(0, 4),
        gates.link_gate("prices", "live", ""),
        gates.link_gate("orders", "live", ""),
        GateReport("account", True, "account SIM7: ACTIVE"),
    ]


FACTS = BoardFacts(
    now=BEFORE,
    session=MONDAY,
    rules=RULES,
    shortlist=the_list(),
    week=date(2026, 11, 20),
    group="adx · macd",
    reports=account_reports(),
    held=frozenset(),
    allocation=Decimal(90_000),
    broker=LinkView(state="live", latency_ms=38.0),
    timeout_s=10.0,
    links=(LIVE, LIVE),
    reconciled_age_s=12.0,
    reconcile_s=30.0,
    commit_ms=1.8,
    journal_failed="",
)
APPROVED = replace(FACTS, shortlist=the_list("approved"), reports=account_reports(approved=True))


def gate(view: BoardView, name: str) -> GateView:
    return next(found for found in view.gates if found.gate == name)


def test_a_list_that_waits_lacks_nothing_but_the_yes() -> None:
    view = board_view(FACTS)
    assert view.verdict == "waiting"
    assert view.summary == "only your yes is missing"
    approval = gate(view, "approval")
    assert (approval.state, approval.until) == ("waiting", FACTS.shortlist.deadline)
    assert "a on the shortlist" in approval.remedy


def test_an_approved_list_is_go_though_the_market_is_closed_before_the_open() -> None:
    view = board_view(APPROVED)
    assert view.verdict == "go"
    assert view.summary == "entries leave Mon 23 Nov at 09:30:00 ET"
    assert all(found.state == "go" for found in view.gates)
    assert view.symbols == ("ABCD", "EFGH")
    in_window = board_view(replace(APPROVED, now=MONDAY.open + timedelta(minutes=1)))
    assert in_window.summary == "entries may leave until 09:35:00 ET"


def test_before_there_is_a_list_the_board_says_what_is_missing() -> None:
    view = board_view(replace(FACTS, shortlist=ShortlistView()))
    assert view.verdict == "waiting"
    assert view.summary == "missing: trade list, approval"
    assert "d runs the market day" in gate(view, "list").remedy
    without_groups = board_view(replace(FACTS, shortlist=ShortlistView(), week=None, group=""))
    assert without_groups.verdict == "no_go"
    assert gate(without_groups, "groups").remedy == "w runs the weekend"


@pytest.mark.parametrize("facts", [FACTS, APPROVED, replace(FACTS, shortlist=ShortlistView())])
def test_every_gate_carries_a_number(facts: BoardFacts) -> None:
    for found in board_view(facts).gates:
        assert any(c.isdigit() for c in found.measured + found.limit), found.gate


@pytest.mark.parametrize(("state", "said"), [("rejected", "rejected"), ("expired", "not given in time")])
def test_a_decided_or_missed_approval_is_no_go(state: str, said: str) -> None:
    view = board_view(replace(FACTS, shortlist=the_list(state)))
    assert view.verdict == "no_go"
    assert gate(view, "approval").measured == said


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"reports": account_reports(approved=True, latched="daily loss")}, "latch"),
        ({"journal_failed": "the disk is full"}, "journal"),
        ({"broker": LinkView(state="down", detail="no connection")}, "broker"),
        ({"broker": LinkView(state="stale", age_s=12.3, detail="no answer yet")}, "broker"),
    ],
)
def test_one_gate_that_stops_makes_no_go_and_names_its_remedy(changed: dict[str, object], name: str) -> None:
    view = board_view(replace(APPROVED, **changed))  # type: ignore[arg-type]
    assert view.verdict == "no_go"
    stopping = [found for found in view.gates if found.state == "no_go"]
    assert [found.gate for found in stopping] == [name]
    assert stopping[0].remedy
    assert stopping[0].name in view.summary


def test_a_stream_that_is_down_stops_and_one_that_connects_is_waited_for() -> None:
    reports = [
        gates.link_gate("orders", "down", "lost") if r.gate == "orders_link" else r for r in APPROVED.reports
    ]
    down = board_view(replace(APPROVED, reports=reports, links=(LIVE, LinkView(state="down", detail="lost"))))
    assert gate(down, "orders_link").state == "no_go"
    coming = board_view(replace(APPROVED, reports=reports, links=(LIVE, LinkView(state="connecting"))))
    assert gate(coming, "orders_link").state == "waiting"


def test_drift_warns_and_does_not_stop() -> None:
    odd = the_list("approved", candidates=40, drift="40 candidates today")
    view = board_view(replace(APPROVED, shortlist=odd, drift=("cash +500.00 $ unexplained",)))
    assert view.verdict == "go"
    assert gate(view, "candidates").state == "caution"
    assert gate(view, "candidates").limit == "3 to 27 (9 promised)"
    assert gate(view, "reconcile").state == "caution"
    assert "look at model drift, books and broker" in view.summary


def test_capital_must_buy_a_share_of_each_name() -> None:
    poor = replace(APPROVED, allocation=Decimal(200))
    assert gate(board_view(poor), "capital").state == "caution"  # 50 $ a name: not the one at 60
    assert gate(board_view(replace(APPROVED, allocation=Decimal(20))), "capital").state == "no_go"


def test_a_name_that_the_account_holds_is_shown() -> None:
    one = board_view(replace(APPROVED, held=frozenset({"EFGH", "SPY"})))
    assert (gate(one, "held").state, gate(one, "held").measured) == ("caution", "1 of 2: EFGH")
    both = board_view(replace(APPROVED, held=frozenset({"ABCD", "EFGH"})))
    assert both.verdict == "no_go"


def test_the_next_sessions_places_and_loss_are_not_judged_by_todays_positions() -> None:
    full = [gates.position_count_gate(4, 4) if r.gate == "position_count" else r for r in FACTS.reports]
    view = board_view(replace(FACTS, session=TUESDAY, now=MONDAY.open + timedelta(hours=2), reports=full))
    assert gate(view, "position_count").state == "waiting"
    assert "day_loss" not in {found.gate for found in view.gates}


def test_the_board_goes_on_to_the_next_session_when_the_names_are_bought_or_the_window_has_ended() -> None:
    sessions = [MONDAY, TUESDAY]
    in_window = MONDAY.open + timedelta(minutes=1)
    assert board_session(in_window, sessions, RULES, lambda day: False) == MONDAY
    assert board_session(in_window, sessions, RULES, lambda day: day == MONDAY.day) == TUESDAY
    assert board_session(MONDAY.open + timedelta(minutes=5), sessions, RULES, lambda day: False) == TUESDAY
    assert board_session(TUESDAY.close, sessions, RULES, lambda day: False) is None


def test_on_a_live_account_the_board_says_what_the_evidence_allows() -> None:
    def evidence(mode: Mode, weeks: list[float]) -> list[GateView]:
        view = board_view(replace(FACTS, advice=grade(weeks, 0.05, mode=mode)))
        return [gate for gate in view.gates if gate.gate == "evidence"]

    [against] = evidence(Mode.LIVE, [])
    assert (against.state, against.measured) == ("caution", "grade C, undecided: paper only")
    assert "against the advice" in against.remedy
    [advised] = evidence(Mode.LIVE, [0.1, 0.3] * 4)
    assert (advised.state, advised.remedy) == ("go", "")
    assert evidence(Mode.PAPER, []) == []


def test_the_orders_of_a_later_session_are_not_called_todays() -> None:
    evening = replace(FACTS, now=MONDAY.close + timedelta(minutes=3), session=TUESDAY)
    measured = {gate.gate: gate.measured for gate in board_view(evening).gates}
    assert measured["order_count"] == "3 orders for Tue 24 Nov"
    measured = {gate.gate: gate.measured for gate in board_view(FACTS).gates}
    assert measured["order_count"] == "3 orders today"


def test_the_board_knows_what_a_name_may_cost() -> None:
    assert board_view(FACTS).per_name == Decimal("22500.00")
    assert board_view(replace(FACTS, allocation=None)).per_name is None
