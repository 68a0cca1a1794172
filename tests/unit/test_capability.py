"""The capability model refuses what the simulated venue refuses, with its words, and nothing that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.broker import capability
from engine.simulator.orders import OrderRequest, VenueError


@dataclass(frozen=True)
class Wish:
    symbol: str = "ABCD"
    side: str = "buy"
    kind: str = "limit"
    shares: int = 10
    limit_price: Decimal | None = Decimal("20.01")
    stop_price: Decimal | None = None
    time_in_force: str = "day"
    client_order_id: str = "tsh-0-1-ABCD-entry-1"

    def venue_says(self) -> str:
        """The refusal of the simulated venue, which was built from Alpaca's documents on its own."""
        body = {
            "symbol": self.symbol, "side": self.side, "type": self.kind, "qty": str(self.shares),
            "time_in_force": self.time_in_force, "client_order_id": self.client_order_id,
        }  # fmt: skip
        for name, price in (("limit_price", self.limit_price), ("stop_price", self.stop_price)):
            if price is not None:
                body[name] = f"{price:f}"
        try:
            OrderRequest.parse(body)
        except VenueError as refusal:
            return str(refusal)
        return ""


prices = st.one_of(
    st.none(), st.decimals(min_value="-1", max_value="400", places=4, allow_nan=False, allow_infinity=False)
)
wishes = st.builds(
    Wish,
    side=st.sampled_from(["buy", "sell"]),
    kind=st.sampled_from(["limit", "market", "stop", "trailing"]),
    shares=st.integers(-1, 20),
    limit_price=prices,
    stop_price=prices,
    time_in_force=st.sampled_from(["day", "gtc", "opg", "cls", "forever"]),
    client_order_id=st.sampled_from(["short", "x" * 129]),
)


@given(wishes)
def test_a_malformed_order_is_refused_exactly_when_the_venue_refuses_it(wish: Wish) -> None:
    assert bool(capability.malformed(wish)) == bool(wish.venue_says())


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(limit_price=Decimal("290.123")), "sub-penny increment does not fulfill minimum pricing criteria"),
        (Wish(kind="stop", limit_price=None), "stop_price is required"),
        (Wish(shares=0), "qty must be > 0"),
        (Wish(time_in_force="never"), "invalid time_in_force: never"),
        (Wish(kind="market"), "market orders must not have a limit_price"),
    ],
)
def test_the_words_are_those_of_the_venue(wish: Wish, words: str) -> None:
    assert words in capability.malformed(wish)
    assert words in wish.venue_says()


def test_an_open_order_of_the_other_side_is_a_wash_trade_when_either_crosses_or_is_no_limit() -> None:
    buy = Wish(limit_price=Decimal("20.00"))
    market = Wish(side="sell", kind="market", limit_price=None)
    stop = Wish(side="sell", kind="stop", limit_price=None, stop_price=Decimal("19"))
    assert "opposite side stop order exists" in capability.wash_trade(buy, [stop])
    assert "opposite side market order exists" in capability.wash_trade(market, [buy])
    assert capability.wash_trade(buy, [Wish(side="sell", limit_price=Decimal("20.01"))]) == ""
    assert "limit order exists" in capability.wash_trade(buy, [Wish(side="sell", limit_price=Decimal("20.00"))])
    assert capability.wash_trade(buy, [Wish(symbol="OTHER", side="sell", kind="market", limit_price=None)]) == ""
    assert capability.wash_trade(buy, [buy]) == ""  # the venue does not dedupe


def test_a_sell_may_take_what_no_other_sell_holds() -> None:
    sell = Wish(side="sell", shares=5)
    assert capability.short_of_shares(sell, 10, 5) == ""
    assert "(requested: 5, available: 4)" in capability.short_of_shares(sell, 10, 6)
    assert capability.short_of_shares(Wish(), 0, 0) == ""
