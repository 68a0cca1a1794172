"""What the venue itself does not have: steering market time, looking inside, ordering faults.

Served under ``/sim`` without keys: the simulator listens on loopback only and holds no money.
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from engine.simulator.clock import ClockError
from engine.simulator.faults import Fault
from engine.simulator.orders import VenueError
from engine.simulator.venue import Venue
from engine.simulator.wire import answer, moment


class ControlRoutes:
    """Handlers over one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/sim/clock", self.steer),
            web.get("/sim/state", self.state),
            web.get("/sim/requests", self.requests),
            web.get("/sim/faults", self.faults),
            web.post("/sim/faults", self.order_faults),
            web.delete("/sim/faults", self.clear_faults),
        ]

    async def steer(self, request: web.Request) -> web.Response:
        """Applies hold_at, then jump_to, then rate. 422: impossible; 409: a jump over trading."""
        body = _body(await request.read())
        unknown = set(body) - {"rate", "jump_to", "hold_at"} if isinstance(body, dict) else {"(no object)"}
        if unknown:
            raise VenueError(422, None, f"unknown clock order {', '.join(sorted(unknown))}")
        venue = self._venue
        venue.advance()
        try:
            if "hold_at" in body:
                venue.clock.set_hold(None if body["hold_at"] is None else moment(body["hold_at"]))
            if body.get("jump_to") is not None:
                target = moment(body["jump_to"])
                venue.clock.check_jump(target)
                if venue.exchange.busy and not venue.market_sleeps_until(target):
                    raise VenueError(
                        409, None, "no jump over trading hours while orders are open or positions exist"
                    )
                venue.jump(target)
            if body.get("rate") is not None:
                venue.clock.set_rate(float(body["rate"]))
        except (ClockError, ValueError, TypeError) as error:
            raise VenueError(422, None, str(error)) from error
        venue.note_clock()
        return answer(venue.clock_json())

    async def state(self, request: web.Request) -> web.Response:
        return answer(self._venue.state_json())

    async def requests(self, request: web.Request) -> web.Response:
        return answer(self._venue.asked.json())

    async def faults(self, request: web.Request) -> web.Response:
        return answer([f.json() for f in self._venue.faults.waiting])

    async def order_faults(self, request: web.Request) -> web.Response:
        body = _body(await request.read())
        try:
            ordered = [Fault.parse(item) for item in (body if isinstance(body, list) else [body])]
        except ValueError as error:
            raise VenueError(422, None, str(error)) from error
        self._venue.advance()
        try:
            for fault in ordered:
                self._venue.order_fault(fault)
        except ValueError as error:
            raise VenueError(422, None, str(error)) from error
        return answer([f.json() for f in self._venue.faults.waiting])

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._venue.clear_faults()
        return answer([])


def _body(text: bytes) -> Any:
    try:
        return orjson.loads(text or b"{}")
    except orjson.JSONDecodeError as error:
        raise VenueError(400, None, f"not JSON: {error}") from error
