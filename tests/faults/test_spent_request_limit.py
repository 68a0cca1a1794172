"""The minute's 200 trading requests really spent, at the simulator's own bucket: exits have their reserve.

No 429 is injected here: the venue counts, as Alpaca does, and so does the engine. Where a test has to wait
for the window's end, the venue's window is shorter than Alpaca's minute; the engine is told its end by the
venue either way.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from engine.brackets import Bracket
from engine.broker.rate_limit import WINDOW_S
from engine.orders_model import TERMINAL_STATUSES
from tests.contract.execution_rig import Rig, rig, until

pytestmark = pytest.mark.slow

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
WINDOW_HERE_S = 20.0
STILL_S = 8.0  # wall seconds that the window must have left when it is spent, so that there is a wait to see
LIMIT = {"sim": {"trading_limit": 200}, "broker": {"requests_per_minute": 200, "exit_reserve": 40}}


def answered(r: Rig, status: int) -> int:
    """How many trading requests the venue answered so."""
    lines: list[dict[str, Any]] = r.sim.request("GET", "/sim/requests")
    return sum(n["count"] for n in lines if n["status"] == status and "stocks" not in n["route"])


async def flattened(r: Rig) -> None:
    """Flattens; whenever the view says FLAT the venue is asked at once whether that is so."""
    flattening = asyncio.create_task(r.desk.flatten("anna"))
    while r.desk.flatten_view().state != "flat":
        await asyncio.sleep(0.01)
        assert not flattening.done() or flattening.result().state == "flat"
    truth = r.sim.state()
    assert truth["positions"] == []
    assert [o for o in truth["orders"] if o["status"] not in TERMINAL_STATUSES] == []
    view = await flattening
    assert (view.state, view.confirmations) == ("flat", 2)


async def test_the_reserve_sells_everything_when_our_own_questions_have_spent_the_minute(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,), **LIMIT) as r:
        await r.enter()
        await r.protected()
        budget = r.rest.trading.budget
        while (left := int(budget.available) - budget.exit_reserve) > 0:
            await asyncio.gather(*(r.rest.account() for _ in range(min(left, 8))))
        assert budget.available <= budget.exit_reserve + 1
        began = time.monotonic()
        await flattened(r)
        took = time.monotonic() - began
        assert answered(r, 429) == 0  # the reserve was there: the broker had to refuse nothing
        assert took < WINDOW_S / 2  # and nothing waited for the minute to end
        sold = [o for o in r.sim.state()["orders"] if o["side"] == "sell" and o["type"] == "market"]
        assert len(sold) == 4


async def test_when_somebody_else_has_spent_the_minute_flatten_waits_for_the_next_and_ends_flat(
    tmp_path: Path,
) -> None:
    """Another program with the same keys: our own count knows nothing of it, the broker's 429 does."""
    venue = LIMIT["sim"] | {"limit_window_s": WINDOW_HERE_S}
    async with rig(tmp_path, brackets=(NEVER,), sim=venue, broker=LIMIT["broker"]) as r:
        await r.enter(r.names[:2])
        await r.protected()
        keys = {"APCA-API-KEY-ID": r.sim.key, "APCA-API-SECRET-KEY": r.sim.secret}

        def spend() -> float:
            """Asks until the venue refuses, early in its window; the wall time at which that window ends."""
            with requests.Session() as other:
                other.trust_env = False
                while True:
                    answer = other.get(f"{r.sim.rest_url}/v2/clock", headers=keys, timeout=60)
                    if answer.status_code == 429:
                        assert answer.headers["X-RateLimit-Remaining"] == "0"
                        ends = float(answer.headers["X-RateLimit-Reset"])
                        if ends - time.time() > STILL_S:
                            return ends
                        time.sleep(max(0.0, ends - time.time()))

        ends = await asyncio.to_thread(spend)
        await flattened(r)
        assert time.time() >= ends - 1.5  # it could not have been flat any sooner
        assert answered(r, 429) > 1
        await until(lambda: not r.desk.book.open_holdings(), "the book is flat too")
