"""The trading half of the REST contract: account, assets, clock, calendar, orders, positions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import orjson
from aiohttp import web

from engine.model import NEW_YORK
from engine.simulator.complex_orders import parse_legs
from engine.simulator.market import Listing
from engine.simulator.order_log import wall_now
from engine.simulator.orders import (
    INVALID,
    NOT_FOUND,
    Json,
    OrderRequest,
    VenueError,
    boolean,
    decimal,
    filtered,
    quantity,
)
from engine.simulator.venue import Venue
from engine.simulator.wire import answer, moment

_MOST_ORDERS = 500


class TradingRoutes:
    """Handlers over one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v2/account", self.account),
            web.get("/v2/account/configurations", self.configurations),
            web.get("/v2/assets", self.assets),
            web.get("/v2/assets/{symbol}", self.asset),
            web.get("/v2/clock", self.clock),
            web.get("/v2/calendar", self.calendar),
            web.post("/v2/orders", self.submit),
            web.get("/v2/orders", self.orders),
            web.delete("/v2/orders", self.cancel_all),
            web.get("/v2/orders:by_client_order_id", self.order_by_client_id),
            web.get("/v2/orders/{order_id}", self.order),
            web.patch("/v2/orders/{order_id}", self.replace),
            web.delete("/v2/orders/{order_id}", self.cancel),
            web.get("/v2/positions", self.positions),
            web.delete("/v2/positions", self.close_all),
            web.get("/v2/positions/{symbol}", self.position),
            web.delete("/v2/positions/{symbol}", self.close_position),
        ]

    # --- account, assets, time ------------------------------------------------------------

    async def account(self, request: web.Request) -> web.Response:
        return answer(self._venue.exchange.account_json(self._venue.advance()))

    async def configurations(self, request: web.Request) -> web.Response:
        return answer(
            {
                "fractional_trading": True,
                "max_margin_multiplier": "1",
                "no_shorting": True,
                "suspend_trade": False,
                "trade_confirm_email": "none",
                "ptp_no_exception_entry": False,
            }
        )

    async def assets(self, request: web.Request) -> web.Response:
        query = request.query
        wanted = set(filter(None, query.get("attributes", "").split(",")))
        rows = [
            asset_json(listing)
            for listing in self._venue.market.listings
            if query.get("status", listing.status) in (listing.status, "all")
            and query.get("asset_class", "us_equity") == "us_equity"
            and query.get("exchange", listing.exchange) == listing.exchange
            and (not wanted or wanted & set(listing.attributes))
        ]
        return answer(rows)

    async def asset(self, request: web.Request) -> web.Response:
        name = request.match_info["symbol"]
        listing = self._venue.exchange.listings.get(name)
        if listing is None:
            raise VenueError(404, NOT_FOUND, f"asset not found for {name}")
        return answer(asset_json(listing))

    async def clock(self, request: web.Request) -> web.Response:
        self._venue.advance()
        return answer(self._venue.clock_json())

    async def calendar(self, request: web.Request) -> web.Response:
        sessions = self._venue.market.sessions
        first = _day(request.query.get("start"), sessions.days[0])
        last = _day(request.query.get("end"), sessions.days[-1])
        return answer([_session_json(s.day, s.open, s.close) for s in sessions.between(first, last)])

    # --- orders ---------------------------------------------------------------------------

    async def submit(self, request: web.Request) -> web.Response:
        received, text = wall_now(), await request.read()
        body: Any = text.decode(errors="replace")
        market_at = self._venue.advance()
        try:
            body = _object(text)
            wanted = OrderRequest.parse(body)
            order = self._venue.exchange.submit(wanted, market_at, parse_legs(body, wanted))
            result, status = self._venue.exchange.groups.json(order, nested=True), 200
        except VenueError as refusal:
            result, status = refusal.body, refusal.http
        self._venue.log.write("request", received, market_at, body=body, http=status, result=result)
        self._venue.settle_soon()
        return answer(result, status)

    async def orders(self, request: web.Request) -> web.Response:
        query = request.query
        self._venue.advance()
        status = query.get("status", "open")
        if status not in ("open", "closed", "all"):
            raise VenueError(422, INVALID, f"invalid status: {status}")
        found = filtered(
            self._venue.exchange.orders.values(),
            status=status,
            symbols=frozenset(filter(None, query.get("symbols", "").split(","))),
            side=query.get("side", ""),
            after=_moment(query.get("after"), "after"),
            until=_moment(query.get("until"), "until"),
            oldest_first=query.get("direction", "desc") == "asc",
            limit=_limit(query.get("limit")),
        )
        nested = boolean(query.get("nested", ""))
        listed = (order for order in found if not (nested and order.parent))
        return answer([self._venue.exchange.groups.json(order, nested=nested) for order in listed])

    async def order(self, request: web.Request) -> web.Response:
        self._venue.advance()
        exchange, nested = self._venue.exchange, boolean(request.query.get("nested", ""))
        return answer(exchange.groups.json(exchange.order(request.match_info["order_id"]), nested=nested))

    async def order_by_client_id(self, request: web.Request) -> web.Response:
        self._venue.advance()
        return answer(self._venue.exchange.order_by_client_id(request.query.get("client_order_id", "")).json())

    async def replace(self, request: web.Request) -> web.Response:
        received, changes = wall_now(), _object(await request.read())
        market_at, order_id = self._venue.advance(), request.match_info["order_id"]
        return self._logged(
            "replace_request",
            lambda: (self._venue.exchange.replace(order_id, changes, market_at).json(), 200),
            received,
            market_at,
            order_id=order_id,
            body=changes,
        )

    async def cancel(self, request: web.Request) -> web.Response:
        received, market_at = wall_now(), self._venue.advance()
        order_id = request.match_info["order_id"]

        def requested() -> tuple[Any, int]:
            self._venue.exchange.cancel(order_id, market_at)
            return None, 204

        return self._logged("cancel_request", requested, received, market_at, order_id=order_id)

    async def cancel_all(self, request: web.Request) -> web.Response:
        received, market_at = wall_now(), self._venue.advance()
        return self._logged(
            "cancel_all_request", lambda: (self._venue.exchange.cancel_all(market_at), 207), received, market_at
        )

    # --- positions ------------------------------------------------------------------------

    async def positions(self, request: web.Request) -> web.Response:
        return answer(self._venue.exchange.positions_json(self._venue.advance()))

    async def position(self, request: web.Request) -> web.Response:
        at = self._venue.advance()
        return answer(self._venue.exchange.position_json(request.match_info["symbol"], at))

    async def close_position(self, request: web.Request) -> web.Response:
        received, market_at = wall_now(), self._venue.advance()
        symbol, query = request.match_info["symbol"], request.query
        qty = quantity(query["qty"]) if "qty" in query else None
        percentage = decimal(query["percentage"], "percentage") if "percentage" in query else None
        return self._logged(
            "close_request",
            lambda: (
                self._venue.exchange.close_position(symbol, market_at, qty=qty, percentage=percentage).json(),
                200,
            ),
            received,
            market_at,
            symbol=symbol,
        )

    async def close_all(self, request: web.Request) -> web.Response:
        received, market_at = wall_now(), self._venue.advance()
        cancel = boolean(request.query.get("cancel_orders", ""))
        return self._logged(
            "close_all_request",
            lambda: (self._venue.exchange.close_all(market_at, cancel_orders=cancel), 207),
            received,
            market_at,
        )

    def _logged(
        self, kind: str, act: Callable[[], tuple[Any, int]], received: datetime, market_at: datetime, **about: Any
    ) -> web.Response:
        """Does what was asked, writes request and result to the log, and answers."""
        try:
            result, status = act()
        except VenueError as refusal:
            result, status = refusal.body, refusal.http
        self._venue.log.write(kind, received, market_at, **about, http=status, result=result)
        self._venue.settle_soon()
        return web.Response(status=204) if status == 204 else answer(result, status)


def asset_json(listing: Listing) -> Json:
    """An asset as the venue sends it."""
    active = listing.status == "active" and listing.tradable
    return {
        "id": listing.id,
        "class": "us_equity",
        "exchange": listing.exchange,
        "symbol": listing.symbol,
        "name": listing.name,
        "status": listing.status,
        "tradable": listing.tradable,
        "marginable": active,
        "maintenance_margin_requirement": 100,
        "margin_requirement_long": "100",
        "margin_requirement_short": "100",
        "shortable": False,
        "easy_to_borrow": False,
        "borrow_status": "hard_to_borrow",
        "fractionable": listing.fractionable,
        "attributes": list(listing.attributes),
    }


def _session_json(day: date, opened: datetime, closed: datetime) -> Json:
    return {
        "date": day.isoformat(),
        "open": opened.astimezone(NEW_YORK).strftime("%H:%M"),
        "close": closed.astimezone(NEW_YORK).strftime("%H:%M"),
        "session_open": "0400",
        "session_close": "2000" if closed.astimezone(NEW_YORK).hour >= 16 else "1700",
        "settlement_date": day.isoformat(),
    }


def _object(text: bytes) -> Json:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise VenueError(400, 40010000, "request body format is invalid")
    return body


def _day(text: str | None, otherwise: date) -> date:
    if not text:
        return otherwise
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise VenueError(422, INVALID, f"invalid date: {text}") from None


def _moment(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    try:
        return moment(text)
    except ValueError:
        raise VenueError(422, INVALID, f"invalid {name}: {text}") from None


def _limit(text: str | None) -> int:
    if text is None:
        return 50
    if not text.isdigit() or not 1 <= int(text) <= _MOST_ORDERS:
        raise VenueError(422, INVALID, f"invalid limit: must be between 1 and {_MOST_ORDERS}")
    return int(text)
