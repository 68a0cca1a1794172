"""The fault matrix: every fault while entering, holding, exiting and flattening, on a real simulator.

A cell trades two names, orders its faults in the middle of the situation, lets them pass,
and asks the venue whether anything was lost. By hand, all cells:
``python -m tests.faults.matrix [how many at once]``; the suite runs ``SAMPLE``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.brackets import Bracket
from engine.broker.errors import BrokerError
from engine.errors import OperatorError, RefusedError
from engine.execution.order_ids import ENTRY
from engine.execution.tsh_replay import against_the_journal, replay
from engine.execution.tsh_trade_management import Phase
from engine.orders_model import TERMINAL_STATUSES
from tests.contract.execution_rig import Rig, rig, until

from .audit import differences

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 40.0)
ORDERS = {"method": "POST", "path": "/v2/orders"}
PENDING_BUY = {"kind": "an order of ours that rests"}  # made here, before the other faults of its row
TIMEOUT_S = 1.0  # of every request, so that slow answers time out within a test
RECOVERED_S = 90.0  # wall seconds; a hung cell, not a measurement
AGREED_S = 5.0  # wall seconds that news may be under way between venue and journal

FAULTS: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "mute order stream": [{"kind": "mute", "socket": "trade", "seconds": 4}],
    "mute price stream": [{"kind": "mute", "socket": "price", "seconds": 4}],
    "both streams drop": [{"kind": "drop"}],
    "prices 405": [{"kind": "socket_error", "status": 405, "times": 4}, {"kind": "drop", "socket": "price"}],
    "prices 406": [{"kind": "socket_error", "status": 406}],
    "prices 407": [{"kind": "socket_error", "status": 407}],
    "prices 409": [{"kind": "socket_error", "status": 409}],
    "500 on reads": [{"kind": "answer", "method": "GET", "path": "/v2/", "status": 500, "times": 12}],
    "500 on orders": [{"kind": "answer", **ORDERS, "status": 500, "times": 2}],
    "500 after accept": [{"kind": "answer_after_accept", **ORDERS, "status": 500, "times": 2}],
    "504 after accept": [{"kind": "answer_after_accept", **ORDERS, "status": 504, "times": 2}],
    "504, mute, reads fail": [
        {"kind": "answer_after_accept", **ORDERS, "status": 504, "times": 1},
        {"kind": "mute", "socket": "trade", "seconds": 4},
        {"kind": "answer", "method": "GET", "path": "/v2/orders", "status": 500, "times": 8},
    ],
    "429 storm": [{"kind": "answer", "path": "/v2/", "status": 429, "times": 6}],
    "mute, 429 storm, pending buy": [
        PENDING_BUY,
        {"kind": "mute", "socket": "trade", "seconds": 8},
        {"kind": "mute", "socket": "price", "seconds": 8},
        {"kind": "answer", "path": "/v2/", "status": 429, "times": 12},
    ],
    "401 for a moment": [{"kind": "answer", "path": "/v2/orders", "status": 401, "times": 2}],
    "slow answers": [{"kind": "slow", "path": "/v2/", "seconds": 0.4, "times": 8}],
    "answers drip": [{"kind": "drip", "path": "/v2/", "seconds": 60, "times": 6}],
    "answer after the timeout": [{"kind": "slow_after_accept", **ORDERS, "seconds": 2.5, "times": 2}],
    "request arrives after the timeout": [{"kind": "slow", **ORDERS, "seconds": 2.5, "times": 1}],
    # Every look-up has been answered by then: 1 s until the timeout, 5.6 s of looking.
    "request arrives after the look-ups": [{"kind": "slow", **ORDERS, "seconds": 8.0, "times": 2}],
    "connection cut before": [{"kind": "hang_up", **ORDERS, "times": 2}],
    "connection cut after": [{"kind": "hang_up_after_accept", **ORDERS, "times": 2}],
    "partial fills": [{"kind": "partial_fill", "times": 4}],
    "late rejects": [{"kind": "reject_order", "times": 2}],
    "held quantity": [{"kind": "refuse_order", "reason": "held", "times": 2}],
    "wash trade": [{"kind": "refuse_order", "reason": "wash_trade", "times": 2}],
    "cancel lost": [{"kind": "lose_cancel", "times": 2}],
    "cancel fails": [{"kind": "answer", "method": "DELETE", "path": "/v2/orders", "status": 500, "times": 2}],
    "updates twice": [{"kind": "duplicate_update", "times": 12}],
    "updates swapped": [{"kind": "swap_updates", "times": 6}],
    "updates lost": [{"kind": "lose_update", "times": 6}],
    "halt with a gap": [{"kind": "halt", "market_seconds": 60, "gap_pct": -3.0}],
    "early close": [{"kind": "early_close", "market_seconds": 120}],
    "clock ahead": [{"kind": "clock_skew", "market_seconds": 20}],
    "clock behind": [{"kind": "clock_skew", "market_seconds": -20}],
}
SITUATIONS = ("entering", "holding", "exiting", "flattening")
SAMPLE = (
    ("504, mute, reads fail", "exiting"),
    ("504 after accept", "entering"),
    ("request arrives after the timeout", "entering"),
    ("request arrives after the look-ups", "exiting"),
    ("partial fills", "entering"),
    ("late rejects", "holding"),
    ("both streams drop", "holding"),
    ("early close", "holding"),
    ("halt with a gap", "exiting"),
    ("held quantity", "exiting"),
    ("cancel lost", "flattening"),
    ("429 storm", "flattening"),
    ("mute, 429 storm, pending buy", "flattening"),
    ("connection cut after", "flattening"),
)


async def cell(fault: str, situation: str, folder: Path) -> list[str]:
    """What is wrong after ``fault`` in ``situation``; empty when everything is as it must be."""
    broker = {"timeout_s": TIMEOUT_S, "reconcile_s": 2.0}
    async with rig(folder, broker=broker, brackets=(NEVER,), exit_minutes=1.0, exit_wall_s=1.0) as r:
        names = r.names[:2]
        if situation == "entering":
            await r.go_to(r.session.open - timedelta(seconds=10))
            await _order(r, fault)
            # Away at the very open, or answering only after the window: no entries, and nothing else may be wrong.
            with suppress(BrokerError, RefusedError):
                await r.enter(names)
        else:
            await r.enter(names)
            await r.protected()
            await _order(r, fault)
            if situation == "holding":
                await _take_a_stop_away(r, names[0])
                await asyncio.sleep(3.0)
            elif situation == "exiting":
                for name in names:
                    with suppress(RefusedError):  # the fault may have sold it already
                        await r.desk.exit_one(name, "anna")
            else:
                view = await r.desk.flatten("anna")
                if view.state != "flat":
                    return [f"flatten ended {view.state}: {view.step}"]
                truth = r.sim.state()
                working = [o["client_order_id"] for o in truth["orders"] if o["status"] not in TERMINAL_STATUSES]
                if truth["positions"] or working:
                    return [f"flatten said FLAT before it was: {truth['positions']} {working}"]
        found = await _recover(r, must_be_flat=situation in ("exiting", "flattening"))
        found += [f"recovered: {text}" for text in await _audit(r)]
        r.sim.clear_faults()
        await r.desk.flatten("the end of the cell")
        found += await _recover(r, must_be_flat=True)
        found += [f"at the end: {text}" for text in await _audit(r)]
        found += await _when_all_has_arrived(r)
        return found + [f"decided again: {text}" for text in await _decided_again(r)]


async def _when_all_has_arrived(r: Rig) -> list[str]:
    """What is wrong once every request that was held back has reached the venue: a late entry buys after all."""
    while r.sim.state()["held_back"]:  # noqa: ASYNC110 - the venue is another process
        await asyncio.sleep(0.1)
    found = await _recover(r, must_be_flat=False)
    found += [f"after the late requests: {text}" for text in await _audit(r)]
    if r.desk.book.open_holdings():
        await r.desk.flatten("the end of what came late")
        found += await _recover(r, must_be_flat=True)
        found += [f"late, at the end: {text}" for text in await _audit(r)]
    return found


async def _take_a_stop_away(r: Rig, symbol: str) -> None:
    """Somebody cancels a protective stop at the broker: the next one has to be placed under the fault."""

    def resting() -> list[dict[str, Any]]:
        """Protection counts from the answer on; the venue makes the order ``new`` a moment later."""
        wanted = (symbol, "stop", "new")
        return [o for o in r.sim.state()["orders"] if (o["symbol"], o["type"], o["status"]) == wanted]

    await until(resting, "the stop rests at the venue")
    (stop,) = resting()
    with suppress(OperatorError):  # the fault may have met this request
        await asyncio.to_thread(r.sim.request, "DELETE", f"/v2/orders/{stop['id']}")


async def _order(r: Rig, fault: str) -> None:
    for how in FAULTS[fault]:
        if how is PENDING_BUY:
            await _buy_that_rests(r, r.names[2])
        else:
            r.sim.fault(**how)


async def _buy_that_rests(r: Rig, symbol: str) -> None:
    """An entry of ours far below the market, open at the venue; whoever flattens has to get it out of the way."""
    limit = Decimal(str(round(r.closes[symbol] * 0.6, 2)))
    order = await r.desk.desk.send(
        r.session.day, symbol, "buy", 5, "limit", limit, leg=ENTRY, why="the matrix: a buy that rests"
    )
    if order.problem:
        raise AssertionError(f"the pending buy was not taken: {order.problem}")


async def _recover(r: Rig, *, must_be_flat: bool) -> list[str]:
    """Waits until the desk is clean, and flat or protected; what is missing when it never is."""
    deadline = time.monotonic() + RECOVERED_S
    missing = ""
    while time.monotonic() < deadline:
        missing = await _missing(r, must_be_flat)
        if not missing:
            return []
        await asyncio.sleep(0.25)
    return [f"never recovered: {missing}"]


async def _missing(r: Rig, must_be_flat: bool) -> str:
    desk = r.desk
    if not desk.is_clean or not (await desk.reconcile()).clean:
        return "reconcile is not clean"
    if desk.desk.unresolved():
        return "orders are in doubt"
    rows = [row for row in desk.views().rows if row.state in ("WATCH", "ARMED", "TARGET", "EXITING")]
    if must_be_flat or not desk.clock.is_open:
        return f"still open: {[(row.symbol, row.state, row.why_next) for row in rows]}" if rows else ""
    bare = [row.symbol for row in rows if row.resting_stop is None or row.state == "EXITING"]
    return f"neither protected nor sold: {bare}" if bare else ""


async def _audit(r: Rig) -> list[str]:
    """What venue and journal do not agree about; a request may arrive in the very moment of the look."""
    deadline = time.monotonic() + AGREED_S
    while found := await _disagreements(r):
        if time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.25)
    return []


async def _disagreements(r: Rig) -> list[str]:
    managed = {h.symbol: h.tsh.shares for h in r.desk.book.open_holdings()}
    idle = [
        h.symbol
        for h in r.desk.book.open_holdings()
        if h.tsh.phase is Phase.EXITING and not r.desk._exits.running(h.symbol)
    ]
    found = await differences(
        r.journal, r.session.day, r.sim.state(), r.sim.log(), managed=managed, home8=r.home.id8
    )
    return found + [f"{symbol} is leaving and nobody sells it" for symbol in idle]


async def _decided_again(r: Rig) -> list[str]:
    """Where the day's TSH decisions, repeated from the journal alone, are not the recorded ones."""
    await r.desk._keep_decisions()
    session = r.session.day
    rows, fills = await r.journal.tsh_rows(session), await r.journal.fills(session)
    found = [f"{d.symbol} {d.event}: {d.finding}" for d in replay(rows) if not d.same]
    return found + against_the_journal(rows, fills, await r.journal.intents(session))


async def run(cells: list[tuple[str, str]], at_once: int) -> dict[tuple[str, str], list[str]]:
    """Every cell on a simulator of its own, some at once; what is wrong in each."""
    slots = asyncio.Semaphore(at_once)
    results: dict[tuple[str, str], list[str]] = {}

    async def one(fault: str, situation: str) -> None:
        async with slots:
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                try:
                    found = await cell(fault, situation, Path(folder))
                except Exception as error:  # noqa: BLE001 - a cell that breaks is a result
                    found = [f"broke: {error!r}"]
                results[fault, situation] = found
                print(
                    f"{fault:34} {situation:11} {time.monotonic() - began:5.1f} s  {found or 'holds'}", flush=True
                )

    await asyncio.gather(*(one(*which) for which in cells))
    return results


def main(at_once: int, only: str = "") -> int:
    cells = [(f, s) for f in FAULTS for s in SITUATIONS if only in f"{f} {s}"]
    results = asyncio.run(run(cells, at_once))
    wrong = sum(bool(found) for found in results.values())
    print(f"{len(results)} cells ({len(FAULTS)} faults x {len(SITUATIONS)} situations), {wrong} do not hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2, *sys.argv[2:3]))
