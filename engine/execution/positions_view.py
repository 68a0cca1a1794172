"""What the positions screen shows, as a pure function of the book, the orders and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from weakref import WeakKeyDictionary

from engine.broker.broker_types import BrokerOrder
from engine.execution.allocation import up_to_grid
from engine.execution.desk_order import DeskOrder
from engine.execution.positions_book import ClosedTrade, Holding, PositionsBook
from engine.execution.tsh_trade_management import ExitReason, Phase, TshState
from engine.model import NEW_YORK, Quote
from engine.orders_model import OrderState
from engine.views import FlattenView, OrderRow, PositionRow, PositionsView

CENT, HUNDREDTH = Decimal("0.01"), Decimal("0.0001")
WORDS = {
    ExitReason.TARGET: "target captured",
    ExitReason.TRAIL: "trailing stop",
    ExitReason.PROTECTIVE: "protective stop",
    ExitReason.END_OF_DAY: "end of day",
    ExitReason.MANUAL: "by hand",
    ExitReason.FLATTEN: "flattened",
    ExitReason.DAY_LOSS: "day's loss limit",
    ExitReason.CARRIED: "had missed the close",
    ExitReason.UNPROTECTED: "no stop was taken",
    ExitReason.OUTSIDE: "outside TSH",
}


def exit_sentence(trade: ClosedTrade, *, price: bool = True) -> str:
    """``sold 10:12:31 at 33.42, target captured``; without price ``10:12:31 target captured``; New York time."""
    at = trade.at.astimezone(NEW_YORK).strftime("%H:%M:%S")
    why = WORDS[ExitReason(trade.reason)]
    return f"sold {at} at {trade.exit.quantize(CENT):,}, {why}" if price else f"{at} {why}"


def position_row(
    holding: Holding,
    now_s: float,
    stale_after_s: float,
    *,
    market_open: bool,
    resting_stop: Decimal | None = None,
    trade: ClosedTrade | None = None,
    rate: float = 1.0,
) -> PositionRow:
    """``now_s`` monotonic; a position is stale when regular hours bring no price for ``stale_after_s``.

    ``trade`` is how a closed one ended: its price and its sentence stand in the row.
    """
    tsh = holding.tsh
    age = None if holding.priced_at is None else max(0.0, now_s - holding.priced_at)
    shares = tsh.shares or holding.sold
    pnl = holding.realised + holding.unrealised
    basis = tsh.entry * (holding.sold + tsh.shares)
    trouble = f"{tsh.why_next} - {holding.trouble}" if holding.trouble and not tsh.closed else tsh.why_next
    return PositionRow(
        symbol=holding.symbol,
        shares=shares,
        entry=tsh.entry.quantize(HUNDREDTH),
        last=tsh.last if trade is None else trade.exit.quantize(HUNDREDTH),
        age_s=age,
        stale=market_open and not tsh.closed and (age is None or age > stale_after_s),
        source=holding.source,
        high=tsh.high,
        stop=tsh.sells_at,
        resting_stop=resting_stop,
        arm=up_to_grid(tsh.arm_price),
        target=up_to_grid(tsh.target_price),
        state=tsh.phase.value,
        pnl=pnl.quantize(CENT),
        pnl_pct=float(pnl / basis * 100) if basis else None,
        why_next=trouble if trade is None else exit_sentence(trade),
        exits_when=_in_short(tsh, trouble, trade, rate),
    )


_rows: WeakKeyDictionary[DeskOrder, tuple[OrderState | None, int, str, OrderRow]] = WeakKeyDictionary()


def _in_short(tsh: TshState, why_next: str, trade: ClosedTrade | None, rate: float) -> str:
    if trade is not None:
        return exit_sentence(trade, price=False)
    return tsh.exits_when(rate) if why_next == tsh.why_next else why_next


def order_row(order: DeskOrder) -> OrderRow:
    """Made anew only when the order has changed: a day's orders are shown four times a second."""
    known = _rows.get(order)
    if known is not None and known[0] is order.state and known[1:3] == (order.filled, order.problem):
        return known[3]
    row = _order_row(order)
    _rows[order] = (order.state, order.filled, order.problem, row)
    return row


def _order_row(order: DeskOrder) -> OrderRow:
    intent, state = order.intent, order.state
    return OrderRow(
        at=intent.at if state is None else state.submitted_at,
        symbol=intent.symbol,
        side=intent.side,
        shares=intent.shares,
        filled=order.filled,
        kind=intent.kind,
        price=(intent.limit_price or intent.stop_price)
        if not order.filled
        else (order.cost / order.filled).quantize(HUNDREDTH),
        status=order.status,
        client_order_id=intent.client_order_id,
    )


def foreign_row(order: BrokerOrder) -> OrderRow:
    return OrderRow(
        at=order.submitted_at,
        symbol=order.symbol,
        side=order.side,
        shares=int(order.shares),
        filled=int(order.filled),
        kind=order.kind,
        price=order.limit_price or order.stop_price,
        status=order.status,
        client_order_id=order.client_order_id,
        foreign=True,
    )


def positions_view(
    book: PositionsBook,
    orders: Iterable[DeskOrder],
    foreign_orders: Iterable[BrokerOrder],
    foreign: Sequence[str],
    *,
    session: date,
    entering: Iterable[str],
    refused: dict[str, str],
    allocation: Decimal | None,
    now_s: float,
    stale_after_s: float,
    market_open: bool,
    resting_stop: Callable[[str], Decimal | None] = lambda symbol: None,
    rate: float = 1.0,
    older_orders: int = 0,
) -> PositionsView:
    """Open positions first, then names on their way in, refused ones, and what was closed this session."""
    shown = [
        h for h in book.holdings.values() if not h.tsh.closed or h.session == session or _left(h, book, session)
    ]
    shown.sort(key=lambda h: (h.tsh.phase is Phase.CLOSED, h.symbol))
    ended = {trade.symbol: trade for trade in book.closed}
    rows = [
        position_row(
            h,
            now_s,
            stale_after_s,
            market_open=market_open,
            resting_stop=resting_stop(h.symbol),
            trade=ended.get(h.symbol) if h.tsh.closed else None,
            rate=rate,
        )
        for h in shown
    ]
    present = {row.symbol for row in rows}
    rows += [
        PositionRow(symbol=s, state="ENTERING", why_next="entry orders are out")
        for s in sorted(entering)
        if s not in present
    ]
    rows += [
        PositionRow(symbol=s, state="REFUSED", why_next=why)
        for s, why in sorted(refused.items())
        if s not in present
    ]
    return PositionsView(
        session=session,
        rows=tuple(rows),
        orders=tuple(
            [order_row(o) for o in sorted(orders, key=lambda o: o.intent.at, reverse=True)]
            + [foreign_row(o) for o in foreign_orders]
        ),
        older_orders=older_orders,
        foreign=tuple(foreign),
        realised=book.realised(session).quantize(CENT),
        unrealised=book.unrealised().quantize(CENT),
        allocation=allocation,
    )


def flatten_preview(
    holdings: Sequence[Holding],
    quotes: Mapping[str, Quote],
    *,
    orders: int,
    market_open: bool,
    foreign: Sequence[str],
) -> FlattenView:
    """What flatten would close, and what crossing half of each spread may cost (None without every quote)."""
    known = [quotes.get(h.symbol) for h in holdings]
    halves = [(q.ask - q.bid) / 2 * h.tsh.shares for q, h in zip(known, holdings, strict=True) if q is not None]
    return FlattenView(
        exposure=sum((h.tsh.last * h.tsh.shares for h in holdings), Decimal(0)),
        positions=len(holdings),
        orders=orders,
        market_open=market_open,
        expected_cost=sum(halves, Decimal(0)) if len(halves) == len(holdings) else None,
        foreign=tuple(foreign),
    )


def _left(holding: Holding, book: PositionsBook, session: date) -> bool:
    return any(trade.symbol == holding.symbol and trade.session == session for trade in book.closed)
