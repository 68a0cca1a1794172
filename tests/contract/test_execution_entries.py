"""Names that are bought in part: what ends them is told, what was bought is not forgotten, the quarter holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from execution_rig import Rig, rig, until

from engine.brackets import Bracket
from engine.events import EntryRefused, Event, FillReceived
from engine.execution.latch_file import write_latch
from engine.execution.order_ids import ENTRY
from engine.orders_model import OrderIntent

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)


async def bought_in_part(r: Rig, then: Callable[[], None]) -> Any:
    """The outcome of one name whose first order fills in part and rests in a halt; ``then`` comes in between."""
    told, symbol = r.told.publish, r.names[0]

    def publish(event: Event) -> None:
        told(event)
        if isinstance(event, FillReceived) and event.side == "buy":
            r.told.publish = told  # type: ignore[method-assign]
            r.sim.fault("halt", symbol=symbol, market_seconds=2)
            then()

    r.told.publish = publish  # type: ignore[method-assign]
    r.sim.fault("partial_fill", symbol=symbol, times=1)
    await r.go_to(r.session.open - timedelta(seconds=3), rate=1)
    report = await r.enter((symbol,))
    await r.protected()
    return report.outcomes[0]


async def test_a_latch_after_a_part_was_bought_ends_the_name_and_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        outcome = await bought_in_part(r, lambda: write_latch(r.home.latch, "a person"))
        held = r.desk.book.shares(r.names[0])
        assert outcome.shares == held == int((await r.rest.positions())[0].shares) > 0
        (refused,) = r.told.of(EntryRefused)
        assert (refused.symbol, refused.gate, refused.shares) == (r.names[0], "latch", held)
        assert f"entered with {held} shares only" in refused.text


async def test_a_re_price_that_cannot_be_journalled_forgets_no_share(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        keep = r.journal.record_intent

        async def full_disk(intent: OrderIntent) -> None:
            if intent.leg == ENTRY:
                raise OSError("no space left on device")
            await keep(intent)

        def disk_fills_up() -> None:
            r.journal.record_intent = full_disk  # type: ignore[method-assign]

        outcome = await bought_in_part(r, disk_fills_up)
        held = r.desk.book.shares(r.names[0])
        assert outcome.shares == held == int((await r.rest.positions())[0].shares) > 0
        assert outcome.average == r.desk.book.holdings[r.names[0]].tsh.entry
        (refused,) = r.told.of(EntryRefused)
        assert (refused.gate, refused.shares) == ("engine", held)


async def test_a_re_price_buys_no_more_than_the_quarter_pays_for(tmp_path: Path) -> None:
    """The ask has risen since the first limit: the rest of the shares no longer fits into the quarter."""
    async with rig(tmp_path, brackets=(NEVER,), over_first_ask_pct=20.0, gap_cap_pct=50.0, gap_cap_atr=5.0) as r:
        told, symbol = r.told.publish, r.names[0]

        def publish(event: Event) -> None:
            told(event)
            if isinstance(event, FillReceived) and event.side == "buy":
                r.told.publish = told  # type: ignore[method-assign]
                r.sim.fault("halt", symbol=symbol, market_seconds=2, gap_pct=4.0)

        r.told.publish = publish  # type: ignore[method-assign]
        r.sim.fault("partial_fill", symbol=symbol, times=1)
        await r.go_to(r.session.open - timedelta(seconds=3), rate=1)
        report = await r.enter((symbol,))
        outcome = report.outcomes[0]
        first, *later = (line["body"] for line in r.sent() if line["body"]["side"] == "buy")
        assert later
        quarter = report.allocation / 4
        assert outcome.average is not None
        assert outcome.shares * outcome.average <= quarter
        assert outcome.shares < int(first["qty"])  # at the first price it would have been more
        price = Decimal(str(later[-1]["limit_price"]))
        assert quarter - outcome.shares * outcome.average < price  # and not one share less than possible
        await until(lambda: r.desk.is_clean, "clean")
