"""What a killed exchange finds when it comes back: its orders, its money, its time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from engine.simulator.orders import OrderRequest
from engine.simulator.synthetic import SyntheticMarket
from engine.simulator.venue import Venue, VenueOptions

DAY = date(2026, 11, 20)
MARKET = SyntheticMarket(DAY, seed=7, symbols=60)


def venue(folder: Path, *, resume: bool, seed: int = 7) -> Venue:
    options = VenueOptions(DAY, seed, Decimal(100_000), 1.0, folder, "key", "secret", resume=resume)
    return Venue(MARKET, options)


def order(symbol: str, side: str, shares: int, name: str, *, stop: str | None = None) -> OrderRequest:
    stop_price = None if stop is None else Decimal(stop)
    kind = "market" if stop is None else "stop"
    return OrderRequest(symbol, side, kind, "day", Decimal(shares), None, stop_price, name, extended_hours=False)


def trading(folder: Path) -> Venue:
    """A venue in the session with a filled buy, a resting stop, one that is being cancelled and one that came."""
    market = venue(folder, resume=False)
    opens = market.market.sessions.next_open(market.at)
    assert opens is not None
    market.jump(opens + timedelta(minutes=5))
    symbol = next(
        x.symbol for x in MARKET.listings if x.tradable and market.tape.trades_in(x.symbol, _session(market))
    )
    exchange = market.exchange
    exchange.submit(order(symbol, "buy", 40, "entry"), market.at)
    exchange.settle(market.at)
    exchange.submit(order(symbol, "sell", 15, "kept", stop="0.50"), market.at)
    exchange.settle(market.at)
    exchange.submit(order(symbol, "sell", 10, "leaving", stop="0.50"), market.at)
    exchange.settle(market.at)
    exchange.cancel(exchange.order_by_client_id("leaving").id, market.at)
    exchange.submit(order(symbol, "sell", 5, "arriving", stop="0.50"), market.at)
    market.note_clock()
    return market


def _session(market: Venue):  # type: ignore[no-untyped-def]
    found = market.market.sessions.in_progress(market.at)
    assert found is not None
    return found


def test_orders_positions_and_cash_are_what_they_were(tmp_path: Path) -> None:
    killed = trading(tmp_path)
    back = venue(tmp_path, resume=True)
    for name in killed.exchange._by_client_id:
        assert back.exchange.order_by_client_id(name).json() == killed.exchange.order_by_client_id(name).json()
    assert list(back.exchange.orders) == list(killed.exchange.orders)
    assert back.exchange.account.cash == killed.exchange.account.cash
    assert back.exchange.account.positions == killed.exchange.account.positions
    assert back.exchange.reserved() == killed.exchange.reserved()
    assert back.at == killed.at
    assert back.clock.now() >= killed.clock.now()


def test_what_was_under_way_is_finished(tmp_path: Path) -> None:
    trading(tmp_path)
    back = venue(tmp_path, resume=True)
    back.exchange.settle(back.at)
    states = {name: o.status.value for name, o in back.exchange._by_client_id.items()}
    assert states == {"entry": "filled", "kept": "new", "leaving": "canceled", "arriving": "new"}


def test_ids_are_never_given_twice(tmp_path: Path) -> None:
    killed = trading(tmp_path)
    back = venue(tmp_path, resume=True)
    symbol = next(iter(back.exchange.account.positions))
    fresh = back.exchange.submit(order(symbol, "sell", 1, "fresh", stop="0.50"), back.at)
    assert fresh.id not in killed.exchange.orders


def test_a_line_that_the_kill_has_cut_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    killed = trading(tmp_path)
    books = tmp_path / "books.jsonl"
    whole = books.read_bytes()
    books.write_bytes(whole[: -len(whole.splitlines()[-1]) // 2])
    back = venue(tmp_path, resume=True)
    assert set(killed.exchange.orders) - set(back.exchange.orders) == {
        killed.exchange.order_by_client_id("arriving").id
    }
    back.exchange.settle(back.at)  # and goes on writing behind it
    again = venue(tmp_path, resume=True)
    assert again.exchange.order_by_client_id("leaving").status.value == "canceled"


def test_books_of_another_market_and_a_new_start_begin_anew(tmp_path: Path) -> None:
    trading(tmp_path)
    assert venue(tmp_path, resume=True, seed=8).exchange.orders == {}
    trading(tmp_path)
    fresh = venue(tmp_path, resume=False)
    assert fresh.exchange.orders == {}
    assert fresh.at < datetime(2026, 11, 21, tzinfo=UTC)
