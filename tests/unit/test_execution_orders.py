"""The order desk books executions once, and the book turns them into positions and money."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.brackets import DEFAULT_BRACKETS
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import BrokerOrder, TradeUpdate
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.errors import RefusedError
from engine.events import Event
from engine.execution.orders import OrderDesk
from engine.execution.positions_book import PositionsBook
from engine.execution.tsh_trade_management import ExitReason, Phase, TshRules
from engine.home import Home
from engine.journal import JournalDb
from engine.model import Session, Tick
from engine.orders_model import Fill, OrderIntent, client_order_id
from engine.settings import BrokerSettings

DAY = date(2026, 11, 23)
OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
CLOSE = OPEN + timedelta(hours=6.5)
NOWHERE = Endpoints.of_simulator("http://127.0.0.1:9", "ws://127.0.0.1:9", "ws://127.0.0.1:9")


class Told:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


class Bench:
    """An order desk on a real journal, with no broker behind it."""

    def __init__(self, home: Home, journal: JournalDb) -> None:
        self.fills: list[Fill] = []
        self.home, self.journal = home, journal
        rest = AlpacaRest(BrokerSettings(), NOWHERE, Credentials("k", "s"))
        self.desk = OrderDesk(rest, journal, home, Told(), self._on_fill)

    async def _on_fill(self, fill: Fill, intent: OrderIntent) -> None:
        self.fills.append(fill)


def on_bench(work: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder))
            home.create()
            journal = await JournalDb.open(home.journal)
            try:
                await work(Bench(home, journal))
            finally:
                await journal.close()

    asyncio.run(run())


def order(home: Home, filled: int, average: str, status: str, minute: int) -> BrokerOrder:
    return BrokerOrder(
        id="o-1",
        client_order_id=client_order_id(home.id8, DAY, "ABCD", "entry", 1),
        symbol="ABCD",
        side="buy",
        kind="limit",
        status=status,
        shares=Decimal(100),
        filled=Decimal(filled),
        average_price=Decimal(average) if filled else None,
        limit_price=Decimal("20.50"),
        stop_price=None,
        time_in_force="day",
        submitted_at=OPEN,
        updated_at=OPEN + timedelta(minutes=minute),
    )


def story(home: Home) -> list[tuple[BrokerOrder, TradeUpdate | None]]:
    """One order's life as stream and REST tell it: 40 at 20.00, 35 at 20.20, 25 at 20.40."""
    new = order(home, 0, "0", "new", 0)
    first = order(home, 40, "20.00", "partially_filled", 1)
    second = order(home, 75, "20.0933", "partially_filled", 2)
    last = order(home, 100, "20.17", "filled", 3)
    return [
        (new, TradeUpdate("new", new, OPEN)),
        (first, TradeUpdate("partial_fill", first, OPEN, "e1", Decimal(40), Decimal("20.00"))),
        (second, TradeUpdate("partial_fill", second, OPEN, "e2", Decimal(35), Decimal("20.20"))),
        (last, TradeUpdate("fill", last, OPEN, "e3", Decimal(25), Decimal("20.40"))),
        (first, None),
        (second, None),
        (last, None),
    ]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 6), max_size=12))
def test_any_order_and_repetition_of_news_books_the_same_shares_and_money(steps: list[int]) -> None:
    async def work(bench: Bench) -> None:
        news = story(bench.home)
        for step in [*steps, 6]:
            await bench.desk.apply(*news[step])
        assert sum(f.shares for f in bench.fills) == 100
        cost = sum((f.shares * f.price for f in bench.fills), Decimal(0))
        assert abs(cost - Decimal("2017.00")) < Decimal("0.01")
        assert await bench.journal.fills(DAY) == sorted(
            bench.fills, key=lambda f: (f.at, f.order_id, f.execution_id)
        )
        (known,) = bench.desk.orders.values()
        assert known.ended
        assert known.remaining == 0

    on_bench(work)


def test_an_order_counts_as_ended_only_when_all_its_shares_are_booked() -> None:
    async def work(bench: Bench) -> None:
        seen: list[int] = []
        await bench.desk.apply(order(bench.home, 0, "0", "new", 0))
        (known,) = bench.desk.orders.values()

        async def watcher() -> None:
            await bench.desk.settle(known, 5)
            seen.append(known.filled)

        waiting = asyncio.create_task(watcher())
        await asyncio.sleep(0)
        await bench.desk.apply(order(bench.home, 100, "20.17", "filled", 3))
        await waiting
        assert seen == [100]

    on_bench(work)


def test_foreign_orders_are_listed_and_never_booked() -> None:
    async def work(bench: Bench) -> None:
        from dataclasses import replace

        foreign = replace(order(bench.home, 40, "20", "partially_filled", 1), client_order_id="a-person")
        assert await bench.desk.apply(foreign) is None
        assert list(bench.desk.foreign) == ["o-1"]
        assert bench.fills == []
        await bench.desk.apply(replace(foreign, status="canceled"))
        assert bench.desk.foreign == {}

    on_bench(work)


def test_a_restored_desk_knows_orders_and_fills_and_does_not_book_them_again() -> None:
    async def work(bench: Bench) -> None:
        for news in story(bench.home)[:3]:
            await bench.desk.apply(*news)
        again = Bench(bench.home, bench.journal)
        restored = await again.desk.restore(DAY)
        assert [f.shares for f, _ in restored] == [40, 35]
        await again.desk.apply(*story(bench.home)[3])
        assert [f.shares for f in again.fills] == [25]

    on_bench(work)


def test_while_latched_an_entry_is_refused_before_anything_is_written() -> None:
    async def work(bench: Bench) -> None:
        await bench.desk.latch.set("a test")
        with pytest.raises(RefusedError, match="latched off: a test"):
            await bench.desk.send(DAY, "ABCD", "buy", 1, "limit", Decimal(20), leg="entry", why="test")
        assert await bench.journal.intents(DAY) == []
        bench.home.latch.unlink()
        again = Bench(bench.home, bench.journal)
        await again.desk.restore(DAY)
        assert again.desk.latched == "a test"

    on_bench(work)


def test_an_order_that_could_not_leave_is_known_as_absent_and_its_id_is_used_up() -> None:
    async def work(bench: Bench) -> None:
        first = await bench.desk.send(DAY, "ABCD", "sell", 1, "market", None, leg="exit", why="test")
        second = await bench.desk.send(DAY, "ABCD", "sell", 1, "market", None, leg="exit", why="test")
        assert (first.problem, first.ended) == ("absent", True)
        assert [first.intent.attempt, second.intent.attempt] == [1, 2]
        assert len(await bench.journal.intents(DAY)) == 2

    on_bench(work)


def test_an_exit_leaves_even_when_the_journal_cannot_be_written() -> None:
    async def work(bench: Bench) -> None:
        async def broken(intent: OrderIntent) -> None:
            raise OSError("no space left on device")

        bench.journal.record_intent = broken  # type: ignore[method-assign]
        sent = await bench.desk.send(DAY, "ABCD", "sell", 1, "market", None, leg="exit", why="test")
        assert sent.problem == "absent"  # it was tried: nobody listens on that port
        with pytest.raises(RefusedError, match="journal cannot be written"):
            await bench.desk.send(DAY, "ABCD", "buy", 1, "limit", Decimal(20), leg="entry", why="test")

    on_bench(work)


# --- the book ------------------------------------------------------------------------------------


def fill(side: str, shares: int, price: str, minute: int = 0) -> Fill:
    at = OPEN + timedelta(minutes=minute)
    return Fill("o", f"{side}{minute}", "c", "ABCD", side, shares, Decimal(price), at)


def book_with(shares: int = 100, price: str = "20") -> PositionsBook:
    book = PositionsBook(TshRules(DEFAULT_BRACKETS))
    book.on_fill(fill("buy", shares, price), DAY, CLOSE)
    return book


def tick(price: str, minute: int) -> Tick:
    return Tick("ABCD", Decimal(price), OPEN + timedelta(minutes=minute), 0.0)


def test_partial_sells_add_up_to_one_closed_trade_with_its_money() -> None:
    book = book_with()
    book.request_exit("ABCD", ExitReason.MANUAL)
    book.on_fill(fill("sell", 60, "21", 1), DAY, CLOSE)
    assert (book.realised(DAY), book.shares("ABCD")) == (Decimal(60), 40)
    change = book.on_fill(fill("sell", 40, "19", 2), DAY, CLOSE)
    assert change is not None
    assert change.closed is not None
    assert (change.closed.shares, change.closed.pnl, change.closed.exit) == (100, Decimal(20), Decimal("20.2"))
    assert (book.realised(DAY), book.unrealised()) == (Decimal(20), 0)


def test_a_symbol_bought_again_after_its_exit_is_a_new_position() -> None:
    book = book_with()
    book.on_fill(fill("sell", 100, "21", 1), DAY, CLOSE)
    book.on_fill(fill("buy", 10, "22", 2), DAY, CLOSE)
    assert book.holdings["ABCD"].tsh.phase is Phase.WATCH
    assert (book.shares("ABCD"), book.realised(DAY)) == (10, Decimal(100))


def test_the_clock_carries_a_missed_position_and_sells_it_at_the_next_open() -> None:
    book = book_with()
    (carried,) = book.on_clock(CLOSE, 1.0, None)
    assert carried.holding.tsh.phase is Phase.CARRIED
    tomorrow = Session(DAY + timedelta(days=1), OPEN + timedelta(days=1), CLOSE + timedelta(days=1))
    assert book.on_clock(tomorrow.open - timedelta(seconds=1), 1.0, tomorrow) == []
    (leaving,) = book.on_clock(tomorrow.open, 1.0, tomorrow)
    assert leaving.exit is not None
    assert leaving.exit.reason is ExitReason.CARRIED
    assert book.on_clock(tomorrow.open, 1.0, tomorrow) == []


def test_levels_survive_a_restart_with_the_high_and_the_stop() -> None:
    book = book_with()
    book.on_tick(tick("20.30", 1))
    book.on_tick(tick("20.20", 2))
    kept = book.levels()
    again = book_with()
    assert again.restore_levels(kept) == []
    assert again.holdings["ABCD"].tsh == book.holdings["ABCD"].tsh
    book.on_tick(tick("20.10", 3))
    assert again.restore_levels(book.levels()) == ["ABCD"]


def test_a_sell_without_a_position_books_nothing() -> None:
    book = PositionsBook(TshRules(DEFAULT_BRACKETS))
    assert book.on_fill(fill("sell", 10, "20"), DAY, CLOSE) is None
    assert book.closed == []
