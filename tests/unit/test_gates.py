"""Each entry gate at its limit and on both sides of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from engine.execution import gates
from engine.execution.gates import ApprovedFor
from engine.model import Quote, Session
from engine.orders_model import Approval

DAY = date(2026, 11, 23)
OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
SESSION = Session(DAY, OPEN, OPEN + timedelta(hours=6.5))
UNTIL = OPEN + timedelta(minutes=5)
APPROVAL = Approval(DAY, "f" * 64, "PA1", "paper", "approved", "anna", ("ABCD",), OPEN - timedelta(hours=12))
WANTED = ApprovedFor(DAY, "f" * 64, "PA1", "paper")


def quote(bid: str, ask: str) -> Quote:
    return Quote("ABCD", Decimal(bid), Decimal(ask), OPEN, 0.0)


def test_the_approval_of_this_list_passes_until_it_expires() -> None:
    assert gates.approval_gate(APPROVAL, WANTED, UNTIL, UNTIL - timedelta(microseconds=1)).passed
    expired = gates.approval_gate(APPROVAL, WANTED, UNTIL, UNTIL)
    assert not expired.passed
    assert "09:35:00 ET" in expired.text


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"session": date(2026, 11, 24)}, "session"),
        ({"list_hash": "e" * 64}, "list hash"),
        ({"account": "PA2"}, "account"),
        ({"mode": "live"}, "mode"),
    ],
)
def test_an_approval_of_anything_else_is_none(changed: dict[str, object], word: str) -> None:
    report = gates.approval_gate(APPROVAL, replace(WANTED, **changed), UNTIL, OPEN)  # type: ignore[arg-type]
    assert not report.passed
    assert word in report.numbers


def test_no_approval_and_a_rejected_list_are_no() -> None:
    assert not gates.approval_gate(None, WANTED, UNTIL, OPEN).passed
    assert not gates.approval_gate(replace(APPROVAL, outcome="voided"), WANTED, UNTIL, OPEN).passed


def test_the_market_must_be_open_by_clock_and_calendar() -> None:
    assert gates.market_gate(True, OPEN, SESSION).passed
    assert not gates.market_gate(False, OPEN, SESSION).passed
    assert not gates.market_gate(True, SESSION.close, SESSION).passed
    assert not gates.market_gate(True, OPEN, None).passed


def test_the_window_is_half_open() -> None:
    assert gates.window_gate(OPEN, OPEN, UNTIL).passed
    assert not gates.window_gate(UNTIL, OPEN, UNTIL).passed
    assert not gates.window_gate(OPEN - timedelta(microseconds=1), OPEN, UNTIL).passed


def test_quotes_of_five_seconds_pass_and_older_ones_do_not() -> None:
    assert gates.quote_age_gate(5.0, 5.0).passed
    assert not gates.quote_age_gate(5.01, 5.0).passed
    assert not gates.quote_age_gate(None, 5.0).passed


def test_half_a_percent_of_spread_is_the_cap() -> None:
    assert gates.spread_gate(quote("19.95", "20.0498"), 0.5).passed
    assert not gates.spread_gate(quote("19.95", "20.06"), 0.5).passed
    assert not gates.spread_gate(quote("0", "20"), 0.5).passed
    assert not gates.spread_gate(quote("20.01", "20"), 0.5).passed


@pytest.mark.parametrize(
    ("opened", "passed"),
    [
        ("20.00", True),
        ("20.50", True),  # exactly half an ATR of one dollar
        ("20.51", False),
        ("19.00", True),  # five percent down
        ("18.99", False),
    ],
)
def test_the_gap_is_bounded_by_percent_both_ways_and_by_atr_above(opened: str, passed: bool) -> None:
    report = gates.gap_gate(Decimal(opened), Decimal(20), Decimal(1), cap_pct=5.0, cap_atr=0.5)
    assert report.passed is passed


def test_a_wild_atr_does_not_lift_the_percent_cap() -> None:
    assert not gates.gap_gate(Decimal("21.01"), Decimal(20), Decimal(10), cap_pct=5.0, cap_atr=0.5).passed


def test_without_atr_or_close_nothing_is_entered() -> None:
    assert not gates.gap_gate(Decimal(20), Decimal(20), None, cap_pct=5.0, cap_atr=0.5).passed
    assert not gates.gap_gate(Decimal(20), Decimal(0), Decimal(1), cap_pct=5.0, cap_atr=0.5).passed


def test_two_percent_of_the_allocation_is_the_days_loss() -> None:
    assert gates.day_loss_gate(Decimal("-1799.99"), Decimal(90_000), 2.0).passed
    assert not gates.day_loss_gate(Decimal("-1800"), Decimal(90_000), 2.0).passed
    assert not gates.day_loss_gate(Decimal(0), Decimal(0), 2.0).passed


def test_latch_halt_counts_and_holdings_refuse_with_their_numbers() -> None:
    assert gates.latch_gate("").passed
    assert "daily loss" in gates.latch_gate("daily loss").text
    assert not gates.halt_gate(True, "LULD").passed
    assert gates.order_count_gate(199, 200).passed
    assert not gates.order_count_gate(200, 200).passed
    assert not gates.position_count_gate(4, 4).passed
    assert not gates.held_gate("ABCD", {"ABCD"}).passed
    assert not gates.reconcile_gate(False, "").passed
    assert gates.link_gate("prices", "stale", "").passed
    assert not gates.link_gate("prices", "refused", "").passed


def test_go_needs_every_gate_and_an_empty_board_is_no_go() -> None:
    yes, no = gates.latch_gate(""), gates.latch_gate("x")
    assert gates.is_go([yes, yes])
    assert not gates.is_go([yes, no])
    assert not gates.is_go([])
    assert gates.first_refusal([yes, no]) is no
