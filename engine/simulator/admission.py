"""Whether the venue takes an order: the refusals that depend on the asset, the account and other open orders.

Pure rules; each raises VenueError with the venue's own status, code and numbers
(ALPACA.md section 2, *Errors*, and section 6), or returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from decimal import Decimal

from engine.model import NEW_YORK
from engine.simulator.market import Listing
from engine.simulator.orders import FORBIDDEN, UNPROCESSABLE, Order, OrderRequest, VenueError, stop_limit_of
from engine.simulator.sessions import Sessions
from engine.simulator.tape import Tape, exact

_EVENING = time(19, 0)  # New York; auction orders for the next session are taken from here


def tradable(request: OrderRequest, listing: Listing | None) -> Listing:
    """The listing, when this order may be sent for it."""
    if listing is None or listing.symbol != request.symbol:
        raise VenueError(422, UNPROCESSABLE, f'asset "{request.symbol}" not found')
    if listing.status != "active":
        raise VenueError(422, UNPROCESSABLE, f'asset "{request.symbol}" is not active')
    if not listing.tradable or ("ptp_no_exception" in listing.attributes and request.side == "buy"):
        raise VenueError(422, UNPROCESSABLE, f'asset "{request.symbol}" is not tradable')
    if "ipo" in listing.attributes and request.kind != "limit":
        raise VenueError(422, UNPROCESSABLE, f'asset "{request.symbol}" accepts limit orders only')
    if request.qty % 1:
        if request.kind == "trailing_stop":
            raise VenueError(422, UNPROCESSABLE, "fractional orders cannot be trailing stops")
        if not listing.fractionable:
            raise VenueError(422, UNPROCESSABLE, f'asset "{request.symbol}" is not fractionable')
        if request.time_in_force != "day":
            raise VenueError(422, UNPROCESSABLE, "fractional orders must be DAY orders")
    return listing


def check_auctions(request: OrderRequest, sessions: Sessions, now: datetime) -> None:
    """opg is refused 09:28-19:00, cls 15:50-19:00 New York on trading days (earlier on half days)."""
    local = now.astimezone(NEW_YORK)
    session = sessions.on(local.date())
    if session is None or request.time_in_force not in ("opg", "cls") or local.time() >= _EVENING:
        return
    opening, closing = session.open - timedelta(minutes=2), session.close - timedelta(minutes=10)
    if now >= (opening if request.time_in_force == "opg" else closing):
        raise VenueError(422, UNPROCESSABLE, f"{request.time_in_force} orders are not accepted at this time")


def check_shares(request: OrderRequest, existing: Decimal, held: Decimal) -> None:
    """No shorts, and no sale of shares that other open sells hold already."""
    if not existing:
        raise VenueError(422, UNPROCESSABLE, f'asset "{request.symbol}" cannot be sold short')
    available = existing - held
    if request.qty > available:
        raise VenueError(
            403,
            FORBIDDEN,
            f"insufficient qty available for order (requested: {request.qty:f}, available: {available:f})",
            symbol=request.symbol,
            existing_qty=f"{existing:f}",
            held_for_orders=f"{held:f}",
            available=f"{available:f}",
        )


def check_wash_trade(request: OrderRequest, open_orders: Iterable[Order]) -> None:
    """Refused against an open order of the other side: always with a market or stop, else when they cross."""
    for other in open_orders:
        theirs = other.request
        if theirs.symbol != request.symbol or theirs.side == request.side:
            continue
        if any(o.order_class or o.kind == "trailing_stop" for o in (request, theirs)):
            continue  # complex orders are exempt
        reason = ""
        if "market" in (request.kind, theirs.kind):
            reason = "opposite side market order exists"
        elif "stop" in (request.kind, theirs.kind):
            reason = "opposite side stop order exists"
        else:
            buy, sell = (request, theirs) if request.side == "buy" else (theirs, request)
            if (buy.limit_price or Decimal(0)) >= (sell.limit_price or Decimal(0)):
                reason = "opposite side limit order exists"
        if reason:
            raise VenueError(
                403,
                FORBIDDEN,
                "potential wash trade detected. use complex orders",
                existing_order_id=other.id,
                reject_reason=reason,
            )


def reserve_price(request: OrderRequest, tape: Tape, now: datetime) -> Decimal:
    """Dollars a share that an open buy reserves.

    The limit, or the stop's own limit; for a market order the ask when open and the last
    trade when shut.
    """
    if request.limit_price is not None:
        return request.limit_price
    if request.stop_price is not None:
        return stop_limit_of(request.stop_price)
    quote, last = tape.quote(request.symbol, now), tape.last(request.symbol, now)
    if quote is not None and tape.sessions.in_progress(now):
        return exact(quote.ask)
    if last is None:
        raise VenueError(422, UNPROCESSABLE, f'asset "{request.symbol}" has no price to reserve buying power with')
    return exact(last.price)


def check_buying_power(request: OrderRequest, reserve: Decimal, power: Decimal) -> None:
    cost = request.qty * reserve
    if cost > power:
        raise VenueError(
            403, FORBIDDEN, "insufficient buying power", buying_power=f"{power:.2f}", cost_basis=f"{cost:.2f}"
        )
