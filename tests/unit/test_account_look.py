"""Whose shares they are: what flatten may sell, what it leaves alone, and what is never flat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.broker.broker_types import BrokerOrder, BrokerPosition
from engine.execution.account_look import our_shares, seen_in
from engine.orders_model import client_order_id

HOME8 = "0a1b2c3d"
BEGAN = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)


def order(minute: int, ours: bool, side: str, shares: int | str) -> BrokerOrder:
    at = BEGAN + timedelta(minutes=minute)
    client_id = client_order_id(HOME8, at.date(), "ABCD", "exit", minute + 1) if ours else f"a-person-{minute}"
    filled = Decimal(shares)
    return BrokerOrder(
        id=str(minute),
        client_order_id=client_id,
        symbol="ABCD",
        side=side,
        kind="market",
        status="filled",
        shares=filled,
        filled=filled,
        average_price=Decimal(10),
        limit_price=None,
        stop_price=None,
        time_in_force="day",
        submitted_at=at,
        updated_at=at,
    )


def account(shares: int | str) -> list[BrokerPosition]:
    held = Decimal(shares)
    return [BrokerPosition("ABCD", held, held, Decimal(10), Decimal(10), held * 10)]


def test_the_sale_of_what_was_bought_before_the_window_does_not_hide_todays_position() -> None:
    orders = [order(0, True, "sell", 100), order(9, True, "buy", 100)]
    seen = seen_in(orders, account(100), HOME8, include_foreign=False)
    assert not seen.flat
    assert [int(p.shares) for p in seen.positions] == [100]
    assert seen.foreign == ()


def test_what_a_person_buys_after_selling_our_position_by_hand_stays_his() -> None:
    orders = [order(0, True, "buy", 100), order(1, False, "sell", 100), order(2, False, "buy", 60)]
    seen = seen_in(orders, account(60), HOME8, include_foreign=False)
    assert seen.flat
    assert seen.foreign == ("ABCD 60 shares",)


def test_a_person_who_trades_his_own_shares_leaves_ours_alone() -> None:
    orders = [order(0, True, "buy", 100), order(1, False, "buy", 60), order(2, False, "sell", 60)]
    assert our_shares(Decimal(100), orders, HOME8) == 100
    assert our_shares(Decimal(100), [order(0, True, "buy", 100), order(1, False, "sell", 60)], HOME8) == 100


def test_a_short_that_our_sales_made_is_never_flat_and_another_program_s_is_not_ours() -> None:
    orders = [order(0, True, "buy", 100), order(1, True, "sell", 100), order(2, True, "sell", 100)]
    seen = seen_in(orders, account(-100), HOME8, include_foreign=False)
    assert not seen.flat
    assert seen.short == ("ABCD",)
    theirs = seen_in([*orders[:2], order(2, False, "sell", 100)], account(-100), HOME8, include_foreign=False)
    assert theirs.flat
    assert theirs.foreign == ("ABCD -100 shares",)
    everything = seen_in([order(2, False, "sell", 100)], account(-100), HOME8, include_foreign=True)
    assert not everything.flat


FILLS = st.lists(st.tuples(st.booleans(), st.sampled_from(["buy", "sell"]), st.integers(1, 50)), max_size=12)


@given(st.integers(0, 80), FILLS)
def test_ours_are_what_is_left_of_our_fills_as_long_as_each_sells_its_own(
    before: int, fills: list[tuple[bool, str, int]]
) -> None:
    """Against an account kept share by share, of people who never sell what is not theirs."""
    mine, theirs, orders = 0, before, []
    for minute, (ours, side, shares) in enumerate(fills):
        have = mine if ours else theirs
        traded = shares if side == "buy" else min(shares, have)
        if traded == 0:
            continue
        change = traded if side == "buy" else -traded
        mine, theirs = (mine + change, theirs) if ours else (mine, theirs + change)
        orders.append(order(minute, ours, side, traded))
    assert our_shares(Decimal(mine + theirs), orders, HOME8) == mine
    seen = seen_in(orders, account(mine + theirs), HOME8, include_foreign=False)
    assert seen.flat == (mine == 0)
    assert sum(int(p.shares) for p in seen.positions) == mine
