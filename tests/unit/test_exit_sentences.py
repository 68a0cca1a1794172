"""What a position's row says: when it would leave, and how it left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.brackets import DEFAULT_BRACKETS, BracketTable
from engine.execution.positions_book import ClosedTrade, PositionsBook
from engine.execution.positions_view import exit_sentence, positions_view
from engine.execution.tsh_trade_management import ExitReason, TshRules, opened, step
from engine.model import Tick
from engine.orders_model import Fill

ENTRY = datetime(2026, 11, 23, 14, 30, 4, tzinfo=UTC)
CLOSE = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
RULES = TshRules(BracketTable(tuple(DEFAULT_BRACKETS)))


def fill(side: str, shares: int, price: str, at: datetime) -> Fill:
    return Fill(f"o-{side}", f"x-{side}-{at}", f"c-{side}", "ABCD", side, shares, Decimal(price), at)  # type: ignore[arg-type]


def test_a_watched_position_says_what_arms_it_and_when_the_day_ends() -> None:
    state = opened("ABCD", 412, Decimal("60.00"), ENTRY, CLOSE, RULES)
    assert state.exits_when() == "≥ 60.54 arms, 15:50 sells"
    assert state.exits_when(300.0) == "≥ 60.54 arms, 15:10 sells"  # 10 wall seconds are 50 market minutes


def test_an_armed_position_says_both_prices() -> None:
    state = opened("ABCD", 412, Decimal("60.00"), ENTRY, CLOSE, RULES)
    state, _ = step(state, Tick("ABCD", Decimal("60.60"), ENTRY + timedelta(minutes=1), 1.0))
    assert state.exits_when() == f"≤ {state.sells_at} or ≥ {state.target_price:.2f} sells"


@pytest.mark.parametrize("reason", list(ExitReason))
def test_every_reason_has_its_words(reason: ExitReason) -> None:
    at = datetime(2026, 11, 23, 15, 12, 31, tzinfo=UTC)
    trade = ClosedTrade("ABCD", at.date(), 10, Decimal(1), Decimal("33.4217"), Decimal(2), str(reason), at)
    said = exit_sentence(trade)
    assert said.startswith("sold 10:12:31 at 33.42, ")
    assert exit_sentence(trade, price=False) == "10:12:31 " + said.partition(", ")[2]


def test_a_closed_row_carries_the_average_exit_price_and_the_sentence() -> None:
    book = PositionsBook(RULES)
    book.on_fill(fill("buy", 10, "60.00", ENTRY), ENTRY.date(), CLOSE)
    book.request_exit("ABCD", ExitReason.MANUAL)
    later = ENTRY + timedelta(minutes=10)
    book.on_fill(fill("sell", 4, "60.10", later), ENTRY.date(), CLOSE)
    book.on_fill(fill("sell", 6, "60.20", later), ENTRY.date(), CLOSE)
    view = positions_view(
        book, (), (), (), session=ENTRY.date(), entering=(), refused={}, allocation=None,
        now_s=0.0, stale_after_s=5.0, market_open=True,
    )  # fmt: skip
    row = view.rows[0]
    assert row.state == "CLOSED"
    assert row.last == Decimal("60.1600")
    assert row.why_next == "sold 09:40:04 at 60.16, by hand"
    assert row.exits_when == "09:40:04 by hand"
