"""The simulated exchange: takes orders, matches them against the tape, keeps the account. No I/O.

Life of an order: in a closed market it is ``accepted`` (reserving buying power), becomes
``new`` at 04:00 of its session and meets the opening price at 09:30. In an open market it is
``pending_new`` until the next ``settle``, which makes it ``new`` and lets it meet the quote.
A cancel is a request: ``pending_cancel`` until the next ``settle``, and a fill may come first.
Day orders expire at the close. Fills are whole, at the ask or bid for marketable orders, at
the limit for resting ones, unless partial fills are asked for.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from engine.model import Session
from engine.simulator import admission
from engine.simulator.account import Account, account_number, position_json
from engine.simulator.books import Kept
from engine.simulator.complex_orders import Legs, check_legs, leg_requests
from engine.simulator.faults import Faults
from engine.simulator.market import Listing, Market
from engine.simulator.order_groups import OrderGroups
from engine.simulator.orders import (
    INVALID,
    NOT_FOUND,
    UNPROCESSABLE,
    Json,
    Order,
    OrderRequest,
    Status,
    VenueError,
    reached,
    within_limit,
)
from engine.simulator.sessions import Moment, Phase
from engine.simulator.tape import Tape, TopOfBook, exact, seeded_share
from engine.simulator.wire import rfc3339

GTC_LASTS = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Update:
    """One change of one order, as the trade stream tells it."""

    event: str
    order: Json
    at: datetime
    price: Decimal | None = None
    shares: Decimal | None = None
    position: Decimal | None = None
    execution_id: str | None = None
    flag: str = ""


class Exchange:
    """Orders and positions of one account on one tape; ``tell`` hears every update in order."""

    def __init__(
        self,
        tape: Tape,
        *,
        cash: Decimal,
        seed: int,
        opened_at: datetime,
        faults: Faults,
        tell: Callable[[Update], None],
        partial_fills: float = 0.0,
        number: str = "",
    ) -> None:
        self.tape = tape
        market: Market = tape.market
        self.listings: dict[str, Listing] = {}
        for listing in market.listings:
            self.listings[listing.symbol] = listing
            self.listings[listing.id] = listing
        self.orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self._by_client_id: dict[str, Order] = {}
        self.groups = OrderGroups(self.orders, lambda leg: self._arrived.append(leg), self._end)
        self._arrived: list[Order] = []
        self._leaving: list[Order] = []
        self._faults, self._tell, self._partial = faults, tell, partial_fills
        self._seed, self._made, self._opened_at = seed, 0, opened_at
        self.account = Account(
            self._uuid("account"), number or account_number("sim", seed), cash, last_equity=cash
        )

    def go_on(self, kept: Kept) -> None:
        """Takes up the orders and the account of an earlier life."""
        self._made = kept.made
        self.account.cash, self.account.last_equity = kept.cash, kept.last_equity
        self.account.positions = {p.symbol: p for p in kept.positions}
        for order in kept.orders:
            self.orders[order.id] = self._by_client_id[order.request.client_order_id] = order
            if order.open:
                self._open[order.id] = order
            if order.status is Status.PENDING_NEW:
                self._arrived.append(order)
            elif order.status is Status.PENDING_CANCEL:
                self._leaving.append(order)

    @property
    def ids_made(self) -> int:
        return self._made

    def _uuid(self, kind: str) -> str:
        """Ids are numbered from the seed, so that two runs with the same requests have the same ids."""
        self._made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"tsh-sim|{self._seed}|{kind}|{self._made}"))

    # --- what the account shows -----------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Orders or positions exist: time must not jump now."""
        return bool(self._open or self.account.positions)

    @property
    def open_orders(self) -> list[Order]:
        return list(self._open.values())

    def reserved(self) -> Decimal:
        """Dollars that open buys take from buying power."""
        buys = (o for o in self._open.values() if o.buy and o.status is not Status.HELD)
        return sum((o.remaining * o.reserve_price for o in buys), Decimal(0))

    def held_for_orders(self, symbol: str, besides: str = "") -> Decimal:
        """Shares that open sells hold, once for the legs of a group; without the group of parent ``besides``."""
        held: dict[str, Decimal] = {}
        for order in self._open.values():
            if order.buy or order.request.symbol != symbol or order.status is Status.HELD:
                continue
            if not order.parent or order.parent != besides:
                group = order.parent or order.id
                held[group] = max(held.get(group, Decimal(0)), order.remaining)
        return sum(held.values(), Decimal(0))

    def market_value(self, at: datetime) -> Decimal:
        return sum((p.shares * self._last(p.symbol, at) for p in self.account.positions.values()), Decimal(0))

    def _last(self, symbol: str, at: datetime) -> Decimal:
        """The last trade, or the average entry for a symbol whose record has ended."""
        last = self.tape.last(symbol, at)
        if last is not None:
            return exact(last.price)
        position = self.account.positions.get(symbol)
        return position.average if position else Decimal(0)

    def account_json(self, at: datetime) -> Json:
        return self.account.json(self.market_value(at), self.reserved(), rfc3339(self._opened_at))

    def positions_json(self, at: datetime) -> list[Json]:
        return [self.position_json(symbol, at) for symbol in sorted(self.account.positions)]

    def position_json(self, symbol_or_id: str, at: datetime) -> Json:
        listing = self.listings.get(symbol_or_id)
        position = self.account.positions.get(listing.symbol if listing else symbol_or_id)
        if position is None or listing is None:
            raise VenueError(404, NOT_FOUND, "position does not exist")
        return position_json(
            position,
            asset_id=listing.id,
            exchange=listing.exchange,
            held_for_orders=self.held_for_orders(position.symbol),
            price=self._last(position.symbol, at),
            last_close=self._previous_close(position.symbol, at) or position.average,
        )

    def _previous_close(self, symbol: str, at: datetime) -> Decimal | None:
        session = self.tape.sessions.last_opened(at)
        if session is None:
            return None
        bars = self.tape.market.bars(symbol, session.day - timedelta(days=30), session.day - timedelta(days=1))
        return exact(bars[-1].bar.close) if bars else None

    def order(self, order_id: str) -> Order:
        found = self.orders.get(order_id)
        if found is None:
            raise VenueError(404, NOT_FOUND, f"order not found for {order_id}")
        return found

    def order_by_client_id(self, client_order_id: str) -> Order:
        found = self._by_client_id.get(client_order_id)
        if found is None:
            raise VenueError(404, NOT_FOUND, f"order not found for {client_order_id}")
        return found

    # --- requests -------------------------------------------------------------------------

    def submit(
        self, request: OrderRequest, now: datetime, legs: Legs | None = None, *, parent: str | None = None
    ) -> Order:
        """The order as accepted, or VenueError. A refused request does not take its client id.

        ``legs`` follow its fill; ``parent`` is set when it takes the place of a leg.
        """
        if request.client_order_id in self._by_client_id:
            raise VenueError(422, INVALID, "client_order_id must be unique")
        ordered = self._faults.refusal(request.symbol, f"{request.qty:f}")
        if ordered is not None:
            raise ordered
        listing = admission.tradable(request, self.listings.get(request.symbol))
        session = self.tape.sessions.in_progress(now)
        admission.check_auctions(request, self.tape.sessions, now)
        if request.side == "sell":
            held = self.held_for_orders(request.symbol, besides=parent or "")
            admission.check_shares(request, self.account.held(request.symbol), held)
        admission.check_wash_trade(request, self._open.values())
        reserve = admission.reserve_price(request, self.tape, now)
        if legs is not None:
            check_legs(legs, request, request.limit_price or request.stop_price or reserve)
        if request.side == "buy":
            admission.check_buying_power(request, reserve, self.account.cash - self.reserved())
        status = Status.ACCEPTED if session is None else Status.PENDING_NEW
        expiry = now + GTC_LASTS if request.time_in_force == "gtc" else self.tape.sessions.next_close(now)
        order = Order(self._uuid("order"), request, listing.id, reserve, status, now, now, expiry, parent=parent)
        self._enter(order)
        for wanted in leg_requests(legs, request, lambda: self._uuid("leg")) if legs is not None else ():
            leg = Order(self._uuid("order"), wanted, listing.id, reserve, Status.HELD, now, now, expiry)
            self.groups.bind(order, leg)
            self._enter(leg)
        self._publish(order, status.value, now)
        for leg_id in order.legs:
            self._publish(self.orders[leg_id], Status.HELD.value, now)
        if session is not None:
            self._arrived.append(order)
        return order

    def _enter(self, order: Order) -> None:
        self.orders[order.id] = self._open[order.id] = self._by_client_id[order.request.client_order_id] = order

    def cancel(self, order_id: str, now: datetime) -> None:
        """Requests the cancel; 422 for an order that has ended."""
        order = self.order(order_id)
        if not order.open:
            raise VenueError(422, UNPROCESSABLE, f'order is already in "{order.status.value}" state')
        if self._faults.take_order("lose_cancel", order.request.symbol):
            return
        if order.status is not Status.PENDING_CANCEL:
            order.status = Status.PENDING_CANCEL
            self._leaving.append(order)
            self._publish(order, "pending_cancel", now)

    def cancel_all(self, now: datetime) -> list[Json]:
        """One entry an open order: 200 requested, 500 not (then with the error); a fault can make it 500."""
        entries: list[Json] = []
        for order in self.open_orders:
            if self._faults.take_order("refuse_cancel", order.request.symbol):
                failed = {"code": 50010000, "message": "internal server error occurred"}
                entries.append({"id": order.id, "status": 500, "body": failed})
                continue
            self.cancel(order.id, now)
            entries.append({"id": order.id, "status": 200})
        return entries

    def close_position(
        self, symbol_or_id: str, now: datetime, *, qty: Decimal | None = None, percentage: Decimal | None = None
    ) -> Order:
        """A market sell of the whole position, of ``qty`` shares, or of a percentage (rounded down to a share)."""
        listing = self.listings.get(symbol_or_id)
        position = self.account.positions.get(listing.symbol if listing else symbol_or_id)
        if position is None:
            raise VenueError(404, NOT_FOUND, "position does not exist")
        shares = position.shares if qty is None else qty
        if percentage is not None:
            if not 0 < percentage <= 100:
                raise VenueError(422, INVALID, "percentage must be between 0 and 100")
            shares = (position.shares * percentage / 100).to_integral_value(ROUND_DOWN)
        if shares <= 0:
            raise VenueError(422, INVALID, "qty must be > 0")
        request = OrderRequest(
            position.symbol, "sell", "market", "day", shares, None, None, self._uuid("close"), extended_hours=False
        )
        return self.submit(request, now)

    def close_all(self, now: datetime, *, cancel_orders: bool) -> list[Json]:
        """One entry a position. With ``cancel_orders`` cancels are only requested: a close may lose to them."""
        if cancel_orders:
            self.cancel_all(now)
        entries: list[Json] = []
        for symbol in sorted(self.account.positions):
            try:
                body, status = self.close_position(symbol, now).json(), 200
            except VenueError as refusal:
                body, status = refusal.body, refusal.http
            entries.append({"symbol": symbol, "status": status, "body": body})
        return entries

    def replace(self, order_id: str, changes: Json, now: datetime) -> Order:
        """A new order, the same but for ``changes``; VenueError in a state that cannot be replaced."""
        old = self.order(order_id)
        if old.status not in (Status.NEW, Status.PARTIALLY_FILLED):
            raise VenueError(422, UNPROCESSABLE, f"cannot replace order in {old.status.value} status")
        r = old.request
        body: Json = {"symbol": r.symbol, "side": r.side, "type": r.kind, "time_in_force": r.time_in_force}
        body |= {"qty": f"{r.qty:f}", "extended_hours": r.extended_hours}
        body |= {
            k: f"{v:f}" for k, v in (("limit_price", r.limit_price), ("stop_price", r.stop_price)) if v is not None
        }
        trail = "trail_price" if r.trail_price is not None else "trail_percent"
        if r.kind == "trailing_stop":
            body[trail] = f"{r.trail_price or r.trail_percent:f}"
            changes = {trail if k == "trail" else k: v for k, v in changes.items()}
        allowed = ("qty", "time_in_force", "limit_price", "stop_price", "client_order_id", trail)
        request = OrderRequest.parse(body | {k: v for k, v in changes.items() if k in allowed and v is not None})
        request = replace(request, order_class=r.order_class)
        if old.legs and any(k in changes for k in ("qty", "time_in_force")):
            raise VenueError(422, UNPROCESSABLE, "the legs follow qty and time_in_force: cancel the group instead")
        if request.qty <= old.filled:
            raise VenueError(422, UNPROCESSABLE, f"qty must be above the {old.filled:f} already filled")
        del self._open[old.id]
        status = old.status
        old.status = Status.REPLACED
        try:
            fresh = self.submit(replace(request, qty=request.qty - old.filled), now, parent=old.parent)
        except VenueError:
            old.status, self._open[old.id] = status, old
            raise
        self.groups.hand_over(old, fresh)
        old.replaced_at, old.replaced_by, fresh.replaces = now, fresh.id, old.id
        self._publish(old, "replaced", now)
        return fresh

    # --- time passes ----------------------------------------------------------------------

    def step(self, moment: Moment) -> None:
        """One moment of the market, in order; see ``Sessions.moments``."""
        session, at = moment.session, moment.at
        if session is None:
            return
        if moment.phase is Phase.DAWN:
            self._begin_day(session, at)
        elif moment.phase is Phase.OPEN:
            self._open_auction(session, at)
        elif moment.phase in (Phase.TRADE, Phase.BETWEEN):
            self._match_all(at)
        elif moment.phase is Phase.CLOSE:
            self._close_auction(session, at)

    def settle(self, now: datetime) -> None:
        """Takes what has arrived: new orders meet the market, requested cancels take effect."""
        arrived, self._arrived = self._arrived, []
        in_session = self.tape.sessions.in_progress(now) is not None
        for order in arrived:
            if not order.open:
                continue
            if self._faults.take_order("reject_order", order.request.symbol):
                order.failed_at = now
                self._end(order, Status.REJECTED, "rejected", now)
                continue
            if order.status is Status.PENDING_NEW:
                order.status = Status.NEW
                self._publish(order, "new", now)
            if in_session:
                self._match(order, now)
        leaving, self._leaving = self._leaving, []
        for order in leaving:
            if order.open:
                order.canceled_at = now
                self._end(order, Status.CANCELED, "canceled", now)

    def _begin_day(self, session: Session, at: datetime) -> None:
        """04:00: last equity is that of the previous close, and last evening's orders are taken."""
        self.account.last_equity = self.account.cash + self.market_value(at)
        for position in self.account.positions.values():
            position.bought_today = Decimal(0)
        for order in self.open_orders:
            if order.status is Status.ACCEPTED:
                self._take(order, at)
        for symbol in list(self.account.positions):
            if self.tape.market.gone_after(symbol, session.day):
                self._exit_at_last_price(symbol, at)

    def _take(self, order: Order, at: datetime) -> None:
        if self._faults.take_order("reject_order", order.request.symbol):
            order.failed_at = at
            self._end(order, Status.REJECTED, "rejected", at)
            return
        order.status = Status.NEW
        self._publish(order, "new", at)

    def _exit_at_last_price(self, symbol: str, at: datetime) -> None:
        """A symbol whose record has ended: its orders go, its position is paid out at the last price, flagged."""
        for order in self.open_orders:
            if order.request.symbol == symbol:
                order.canceled_at = at
                self._end(order, Status.CANCELED, "canceled", at)
        shares, last = self.account.held(symbol), self._last(symbol, at)
        request = OrderRequest(
            symbol, "sell", "market", "day", shares, None, None, self._uuid("delisted"), extended_hours=False
        )
        order = Order(self._uuid("order"), request, self.listings[symbol].id, last, Status.NEW, at, at, None)
        self._enter(order)
        self._fill(order, last, at, flag="symbol disappeared: paid out at its last price")

    def _open_auction(self, session: Session, at: datetime) -> None:
        """09:30: everything that the opening price satisfies fills at it; opg orders that do not are cancelled."""
        self.settle(at)
        for order in self.open_orders:
            if order.status is Status.ACCEPTED:
                self._take(order, at)
            if order.open:
                self._match_auction(order, session, at, opening=True)
            if order.open and order.request.time_in_force in ("opg", "ioc", "fok"):
                order.canceled_at = at
                self._end(order, Status.CANCELED, "canceled", at)

    def _close_auction(self, session: Session, at: datetime) -> None:
        """The close: what the closing price satisfies fills at it, what is left of the day expires."""
        self.settle(at)
        for order in self.open_orders:
            self._match_auction(order, session, at, opening=False)
            if order.open and order.request.time_in_force != "gtc":
                order.expired_at = at
                self._end(order, Status.EXPIRED, "expired", at)

    def _match_auction(self, order: Order, session: Session, at: datetime, *, opening: bool) -> None:
        if opening and order.request.time_in_force == "cls":
            return
        if order.status in (Status.HELD, Status.PENDING_NEW):
            return
        path = self.tape.path(order.request.symbol, session)
        if path is None:
            return
        if self.tape.halted(order.request.symbol, at):
            return
        price = exact(path.price(at))
        if reached(order, price) and within_limit(order, price):
            self._fill(order, price, at)
        order.resting = True

    def _match_all(self, at: datetime) -> None:
        for order in self.open_orders:
            self._match(order, at)
        self.settle(at)

    def _match(self, order: Order, at: datetime) -> None:
        """Lets an order meet the quote of its own session; a symbol without trades today has none."""
        request = order.request
        session = self.tape.sessions.in_progress(at)
        waits = order.status in (Status.PENDING_NEW, Status.HELD)
        if waits or session is None or request.time_in_force in ("opg", "cls"):
            return
        trades = self.tape.trades_in(request.symbol, session) and not self.tape.halted(request.symbol, at)
        quote = self.tape.quote(request.symbol, at) if trades else None
        if quote is not None:
            self._meet(order, quote, at)
        if order.open and request.time_in_force in ("ioc", "fok"):
            order.canceled_at = at
            self._end(order, Status.CANCELED, "canceled", at)
        order.resting = True

    def _meet(self, order: Order, quote: TopOfBook, at: datetime) -> None:
        last = self.tape.last(order.request.symbol, at)
        if last is None or not reached(order, exact(last.price)):
            return
        touch = exact(quote.ask if order.buy else quote.bid)
        if not within_limit(order, touch):
            return
        limit = order.request.limit_price
        # A limit that was resting trades at its own price: the market came through it.
        own_price = limit is not None and order.resting and order.request.kind == "limit"
        self._fill(order, limit if limit is not None and own_price else touch, at)

    def _fill(self, order: Order, price: Decimal, at: datetime, flag: str = "") -> None:
        """Fills what is left of an order, or its first part when it is one that fills in two."""
        shares = order.remaining
        if self._splits(order):
            order.split = True
            share = Decimal(str(round(0.2 + 0.6 * seeded_share("part", self._seed, order.id), 3)))
            shares = max(Decimal(1), (shares * share).to_integral_value(ROUND_DOWN))
        order.filled += shares
        order.cost += shares * price
        (self.account.buy if order.buy else self.account.sell)(order.request.symbol, shares, price)
        done = not order.remaining
        if done:
            order.status, order.filled_at = Status.FILLED, at
            self._open.pop(order.id, None)
        elif order.status is not Status.PENDING_CANCEL:
            order.status = Status.PARTIALLY_FILLED
        order.updated_at = at
        position = self.account.held(order.request.symbol)
        self._tell(
            Update(
                "fill" if done else "partial_fill",
                order.json(),
                at,
                price,
                shares,
                position,
                self._uuid("fill"),
                flag,
            )
        )
        if done:
            self.groups.filled(order, at)

    def _splits(self, order: Order) -> bool:
        if order.split or order.parent or order.remaining < 2 or order.request.time_in_force == "fok":
            return False
        wanted = self._faults.take_order("partial_fill", order.request.symbol)
        return wanted or (self._partial > 0 and seeded_share("split", self._seed, order.id) < self._partial)

    def _end(self, order: Order, status: Status, event: str, at: datetime) -> None:
        order.status = status
        self._open.pop(order.id, None)
        self._publish(order, event, at)
        self.groups.ended(order, at)

    def _publish(self, order: Order, event: str, at: datetime) -> None:
        order.updated_at = at
        self._tell(Update(event, order.json(), at, position=self.account.held(order.request.symbol)))
