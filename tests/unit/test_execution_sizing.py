"""Allocation, whole shares, the price grid, client order ids, the LATCH file."""

from __future__ import annotations

import os
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.broker.capability import price_grid
from engine.events import Event
from engine.execution.allocation import allocation, entry_limit, shares_for
from engine.execution.entry_latch import EntryLatch
from engine.execution.latch_file import ACTING_S, lift_latch, read_latch, write_latch
from engine.execution.order_ids import is_foreign, parse
from engine.home import Home
from engine.journal import JournalDb
from engine.orders_model import client_order_id

dollars = st.decimals(min_value=Decimal("0.01"), max_value=Decimal("1000000"), places=2)
asks = st.decimals(min_value=Decimal("0.0100"), max_value=Decimal("500"), places=4)


class Unheard:
    """Where the latch publishes, with nobody listening."""

    def publish(self, event: Event) -> None:
        del event


@given(dollars, dollars, asks)
def test_four_quarters_never_exceed_the_allocation(equity: Decimal, power: Decimal, price: Decimal) -> None:
    allocated = allocation(equity, power, share=0.9, advised_size=1.0)
    assert allocated <= min(equity, power) * Decimal("0.9")
    assert 4 * shares_for(allocated, 4, price) * price <= allocated


def test_the_allocation_is_nine_tenths_of_the_smaller_at_the_advised_size() -> None:
    assert allocation(Decimal(100_000), Decimal(80_000), share=0.9, advised_size=0.5) == Decimal("36000.00")
    assert allocation(Decimal(-5), Decimal(80_000), share=0.9, advised_size=1.0) == 0


def test_shares_are_a_quarter_in_whole_shares_and_may_be_none() -> None:
    assert shares_for(Decimal(90_000), 4, Decimal("51.44")) == 437
    assert shares_for(Decimal(90), 4, Decimal("51.44")) == 0


@given(asks, asks)
def test_an_entry_limit_lies_on_the_grid_and_within_the_cap(ask: Decimal, first: Decimal) -> None:
    limit = entry_limit(ask, first, 0.3)
    assert limit % price_grid(limit) == 0
    step = price_grid(first)
    assert limit <= max(first * Decimal("1.003"), first + step)


def test_an_entry_limit_follows_the_ask_up_to_the_cap() -> None:
    assert entry_limit(Decimal("20.03"), Decimal("20.00"), 0.3) == Decimal("20.03")
    assert entry_limit(Decimal("20.50"), Decimal("20.00"), 0.3) == Decimal("20.06")
    assert entry_limit(Decimal("19.90"), Decimal("20.00"), 0.3) == Decimal("19.90")


def test_a_client_order_id_reads_back_into_its_parts() -> None:
    parts = parse(client_order_id("0a1b2c3d", date(2026, 11, 23), "BRK.B", "entry", 2))
    assert parts is not None
    assert (parts.home, parts.session, parts.symbol, parts.leg, parts.attempt) == (
        "0a1b2c3d",
        date(2026, 11, 23),
        "BRK.B",
        "entry",
        2,
    )


def test_other_homes_programs_and_people_are_foreign() -> None:
    ours = client_order_id("0a1b2c3d", date(2026, 11, 23), "ABCD", "exit", 1)
    assert not is_foreign(ours, "0a1b2c3d")
    assert is_foreign(ours, "ffffffff")
    assert is_foreign("6f1c2d3e-0000-4000-8000-000000000000", "0a1b2c3d")
    assert is_foreign("tsh-0a1b2c3d-20261399-ABCD-entry-1", "0a1b2c3d")


def test_the_latch_file_latches_with_its_reason_until_it_is_lifted(tmp_path: Path) -> None:
    path = tmp_path / "LATCH"
    assert read_latch(path) is None
    write_latch(path, "tshc flatten")
    latch = read_latch(path)
    assert latch is not None
    assert (latch.reason, latch.acting) == ("tshc flatten", False)
    lift_latch(path)
    assert read_latch(path) is None


def test_a_latch_file_that_cannot_be_read_still_latches(tmp_path: Path) -> None:
    path = tmp_path / "LATCH"
    path.write_text("touched by hand")
    assert read_latch(path) is not None
    path.write_text("")
    assert read_latch(path) is not None


def test_another_seller_counts_as_acting_only_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    path = tmp_path / "LATCH"
    path.write_text('{"reason": "tshc flatten", "acting": true, "pid": 0}')
    latch = read_latch(path)
    assert latch is not None
    assert latch.acting
    old = time.time() - ACTING_S - 1
    os.utime(path, (old, old))
    latch = read_latch(path)
    assert latch is not None
    assert not latch.acting


async def test_a_late_command_does_not_silence_who_sells_behind_the_file(tmp_path: Path) -> None:
    """``tshc flatten`` asked, got no answer, and sells itself; now the engine wakes up and reads its command."""
    home = Home(tmp_path)
    journal = await JournalDb.open(tmp_path / "journal.db")
    latch = EntryLatch(journal, home, Unheard())
    home.latch.write_text('{"reason": "tshc flatten", "acting": true, "pid": 0}')
    await latch.set("flatten by tshc flatten")
    assert latch.another_acts()
    assert latch.another_was_here()
    assert latch.reason == "tshc flatten"
    assert await journal.latch() == "flatten by tshc flatten"
    await journal.close()
