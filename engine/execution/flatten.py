"""Flatten: from whatever there is to nothing, and FLAT only when the broker has said so twice.

latch entries -> cancel -> wait until none is open -> sell what is available, again and
again with the reason shown -> two confirmations. The machine needs REST and a way to send
a sell; the engine gives it the journalled order path, ``flatten_without_engine`` its own.
Each step is persisted, so that a restarted engine goes on. With the market closed it
cancels, queues market sells for the next open and says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.broker_types import BrokerOrder, BrokerPosition
from engine.broker.errors import AuthRefused, BrokerError, OrderRefused, OrderUnknown
from engine.execution.account_look import Seen, look
from engine.execution.latch_file import write_latch
from engine.execution.order_ids import FLATTEN
from engine.home import Home
from engine.model import NEW_YORK, UTC
from engine.orders_model import OrderIntent, client_order_id
from engine.views import FlattenRow, FlattenView

log = logging.getLogger(__name__)

CONFIRMATIONS = 2
PAUSE_S = 0.5
CANCEL_AGAIN_S = 5.0
SIGN_OF_LIFE_S = 2.0  # well below what ``latch_file`` takes for gone
PATIENCE_S = 300.0  # wall seconds with an open market before the machine says FAILED and why

State = Literal["idle", "running", "flat", "queued", "failed"]


@dataclass(frozen=True, slots=True)
class FlattenPorts:
    """What the machine is given; all of it works without an engine."""

    look: Callable[[], Awaitable[Seen]]
    cancel: Callable[[BrokerOrder], Awaitable[None]]
    sell: Callable[[str, int], Awaitable[str]]  # symbol, shares; why it was refused, or empty
    close: Callable[[str], Awaitable[str]]  # what no sale of whole shares can close; the id of the broker's order
    market_open: Callable[[], Awaitable[bool]]
    save: Callable[[State, str], Awaitable[None]]
    report: Callable[[FlattenView], None]
    pause: Callable[[], Awaitable[None]]


class Flattener:
    """One run; ``view`` is always the latest truth."""

    def __init__(self, ports: FlattenPorts, begun_at: datetime | None = None) -> None:
        self._ports = ports
        self.view = FlattenView(begun_at=begun_at)
        self._seen: Seen | None = None  # the last look
        self._reasons: dict[str, str] = {}
        self._queued: set[str] = set()
        self._closing: set[str] = set()  # ids of the broker's own closing orders

    async def run(self, patience_s: float = PATIENCE_S, *, keys_proven: bool = False) -> FlattenView:
        """Works until flat, queued or out of patience; a broker that does not answer is asked again.

        Raises AuthRefused when the keys are refused from the start, unless they are ``keys_proven`` already.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        confirmations, answered = 0, keys_proven
        cancelled_at: dict[str, float] = {}
        await self._say("running", "entries latched, looking at the account", None, 0)
        while loop.time() < deadline:
            try:
                seen = await self._ports.look()
                open_market = await self._ports.market_open()
            except AuthRefused as error:
                if not answered:
                    raise  # wrong keys from the start: nothing here can work
                confirmations = 0
                await self._say("running", f"the broker refuses the keys, trying again: {error}", None, 0)
                await self._ports.pause()
                continue
            except BrokerError as error:
                confirmations = 0  # a failed query is never "flat"
                await self._say("running", f"the broker cannot be asked, trying again: {error}", None, 0)
                await self._ports.pause()
                continue
            answered = True
            if seen.flat:
                confirmations += 1
                if confirmations >= CONFIRMATIONS:
                    return await self._say("flat", "no orders, no positions: confirmed twice", seen, confirmations)
                await self._say("running", "nothing left, confirming", seen, confirmations)
                await self._ports.pause()
                continue
            confirmations = 0
            waiting = [o for o in seen.orders if not self._sells_for_us(o)]
            if waiting:
                await self._say("running", f"cancelling {len(waiting)} orders", seen, 0, market_open=open_market)
                await self._cancel(waiting, cancelled_at, loop.time())
            # A symbol whose orders hang must not keep the others: each is sold once nothing of it is open.
            blocked = {o.symbol for o in waiting} | seen.in_doubt
            self._reasons.update((symbol, "an order got no answer yet: looking it up") for symbol in seen.in_doubt)
            await self._sell(seen, [p for p in seen.positions if p.symbol not in blocked], open_market)
            if seen.in_doubt and not waiting and all(p.symbol in blocked for p in seen.positions):
                names = " ".join(sorted(seen.in_doubt))
                await self._say("running", f"orders in doubt: {names}", seen, 0, market_open=open_market)
            if seen.short and not seen.positions and not seen.orders:
                names = " ".join(seen.short)
                advice = "buy back at the broker, or flatten with --all"
                self._reasons |= dict.fromkeys(seen.short, f"short by a sale of ours: {advice}")
                await self._say("running", f"short: {names}; {advice}", seen, 0)
            nothing_else = bool(seen.positions) and not seen.short and not seen.in_doubt
            nothing_else = nothing_else and all(p.symbol in self._queued for p in seen.positions)
            if nothing_else and not waiting and not open_market:
                names = " ".join(sorted(self._queued))
                return await self._say(
                    "queued", f"the market is closed: sells queued for the open: {names}", seen, 0
                )
            await self._ports.pause()
        reasons = "; ".join(f"{s}: {r}" for s, r in sorted(self._reasons.items()) if r) or "no reason was given"
        return await self._say(
            "failed", f"not flat after {patience_s:.0f} s: {reasons}; look at the broker", None, 0
        )

    async def _cancel(self, orders: list[BrokerOrder], asked_at: dict[str, float], now: float) -> None:
        for order in orders:
            if now - asked_at.get(order.id, -CANCEL_AGAIN_S) < CANCEL_AGAIN_S:
                continue  # a cancel is a request: its end comes later
            asked_at[order.id] = now
            try:
                await self._ports.cancel(order)
            except BrokerError as error:
                self._reasons[order.symbol] = f"cancel: {error}"

    async def _sell(self, seen: Seen, positions: list[BrokerPosition], open_market: bool) -> None:
        if not positions:
            return
        selling = {o.symbol for o in seen.orders if self._sells_for_us(o)}
        for position in positions:
            symbol, shares = position.symbol, int(position.available)
            # Only somebody else's: ours are whole shares, and readable.
            odd = position.shares < 0 or position.shares % 1 != 0 or not position.readable
            if symbol in selling or (shares <= 0 and not odd):
                if symbol in selling:
                    self._queued.add(symbol)
                    self._reasons[symbol] = "sell order is out"
                else:
                    self._reasons[symbol] = "no shares available yet"
                continue
            reason = ""
            try:
                if odd:
                    self._closing.add(await self._ports.close(symbol))
                else:
                    reason = await self._ports.sell(symbol, shares)
            except BrokerError as error:
                reason = str(error)
            what = f"closing {position.shares.normalize():f}" if odd else f"selling {shares}"
            self._reasons[symbol] = reason or what
            if not reason:
                self._queued.add(symbol)
        await self._say("running", "selling", seen, 0, market_open=open_market)

    def _sells_for_us(self, order: BrokerOrder) -> bool:
        ours = f"-{FLATTEN}-" in order.client_order_id and order.side == "sell"
        return ours or order.id in self._closing

    async def _say(
        self, state: State, step: str, seen: Seen | None, confirmations: int, *, market_open: bool | None = None
    ) -> FlattenView:
        changed = (state, step) != (self.view.state, self.view.step)
        self._seen = seen or self._seen  # without an answer, what was held is still held as far as anybody knows
        positions = () if self._seen is None else self._seen.positions
        self.view = FlattenView(
            state=state,
            begun_at=self.view.begun_at,
            step=step,
            rows=tuple(
                FlattenRow(symbol=p.symbol, shares=int(p.shares), step=self._reasons.get(p.symbol, "waiting"))
                for p in positions
            ),
            looked=self._seen is not None,
            confirmations=confirmations,
            exposure=None if self._seen is None else self._seen.exposure,
            positions=len(positions),
            orders=0 if self._seen is None else len(self._seen.orders),
            market_open=self.view.market_open if market_open is None else market_open,
            foreign=() if self._seen is None else self._seen.foreign,
        )
        self._ports.report(self.view)
        if changed:
            await self._ports.save(state, step)
        return self.view


# --- without the engine --------------------------------------------------------------------------


async def flatten_without_engine(
    rest: AlpacaRest,
    home: Home,
    include_foreign: bool,
    report: Callable[[FlattenView], None],
    *,
    patience_s: float = PATIENCE_S,
    pause_s: float = PAUSE_S,
) -> FlattenView:
    """``tshc flatten`` when nothing else works: only keys, REST and the home folder.

    Writes LATCH first (an engine that still runs yields to it), keeps its intents in
    ``flatten.jsonl`` of the home, synced before each order leaves, and leaves the latch in
    force. Raises OSError when the home cannot be written and BrokerError for refused keys.
    """
    write_latch(home.latch, "tshc flatten", acting=True)
    sender = _DirectSender(rest, home)

    async def show_life() -> None:
        """A round may take long, when the broker is slow: the engine must not think meanwhile that we are gone."""
        while True:
            await asyncio.sleep(SIGN_OF_LIFE_S)
            try:
                write_latch(home.latch, "tshc flatten", acting=True)
            except OSError as error:
                log.error("the LATCH file cannot be written (%s); a running engine may sell beside us", error)

    async def pause() -> None:
        await asyncio.sleep(pause_s)

    async def close(symbol: str) -> str:
        return (await rest.close_position(symbol)).id

    async def cancel(order: BrokerOrder) -> None:
        await rest.cancel(order.id)

    async def market_open() -> bool:
        return (await rest.clock()).is_open

    async def save(state: State, step: str) -> None:
        log.info("flatten %s: %s", state, step)

    async def look_now() -> Seen:
        now = (await rest.clock()).at
        return await look(rest, home.id8, now, include_foreign=include_foreign)

    ports = FlattenPorts(look_now, cancel, sender.sell, close, market_open, save, report, pause)
    life = asyncio.create_task(show_life(), name="sign of life")
    try:
        return await Flattener(ports).run(patience_s)
    finally:
        life.cancel()
        write_latch(home.latch, "tshc flatten")


class _DirectSender:
    """Market sells with the usual ids, written to ``flatten.jsonl`` before they leave.

    A sale without an answer is sent again under the same id, of which the broker takes one only.
    """

    def __init__(self, rest: AlpacaRest, home: Home) -> None:
        self._rest, self._home8 = rest, home.id8
        self._record: Path = home.folder / "flatten.jsonl"
        self._attempt: dict[str, int] = defaultdict(int)
        self._doubted: dict[str, OrderIntent] = {}  # by symbol: may still arrive at the broker

    async def sell(self, symbol: str, shares: int) -> str:
        """Why nothing was sold, or empty when a sale is out. Raises BrokerError when nobody answers."""
        first = self._doubted.get(symbol)
        intent = (
            await self._intent(symbol, shares)
            if first is None
            else replace(first, shares=min(shares, first.shares))
        )
        await asyncio.to_thread(self._write, intent)
        self._doubted[symbol] = intent
        try:
            await self._rest.submit(intent)
        except OrderUnknown:
            await asyncio.sleep(0.5)
            if await self._rest.order_by_client_id(intent.client_order_id) is None:
                return "the sale got no answer; sending it again"
        except OrderRefused as refusal:
            # Its first request may have arrived meanwhile, or an earlier flatten of this session used the id.
            there = await self._rest.order_by_client_id(intent.client_order_id)
            del self._doubted[symbol]
            if there is None:
                return refusal.reason
            return "looking again after an earlier sale" if there.ended else ""
        del self._doubted[symbol]
        return ""

    async def _intent(self, symbol: str, shares: int) -> OrderIntent:
        clock = await self._rest.clock()
        session: date = clock.at.astimezone(NEW_YORK).date()
        self._attempt[symbol] += 1
        return OrderIntent(
            client_order_id=client_order_id(self._home8, session, symbol, FLATTEN, self._attempt[symbol]),
            session=session,
            symbol=symbol,
            side="sell",
            shares=shares,
            kind="market",
            limit_price=None,
            stop_price=None,
            time_in_force="day",
            leg=FLATTEN,
            attempt=self._attempt[symbol],
            why="tshc flatten",
            at=datetime.now(UTC),
        )

    def _write(self, intent: OrderIntent) -> None:
        line = json.dumps(
            {
                "client_order_id": intent.client_order_id,
                "symbol": intent.symbol,
                "shares": intent.shares,
                "at": intent.at.isoformat(),
            }
        )
        with self._record.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
