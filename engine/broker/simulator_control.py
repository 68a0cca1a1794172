"""The simulator's clock control: rate, jump, hold. The real broker has no such thing."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Literal

import requests

from engine.broker.broker_types import ClockReading
from engine.broker.credentials import Credentials
from engine.broker.errors import BrokerUnavailable, RequestRefused
from engine.broker.wire import MalformedAnswer, record
from engine.model import utc_text
from engine.redaction import struck


class SimulatorControl:
    """Loopback only; every call answers with the clock as it is afterwards."""

    def __init__(self, rest_url: str, credentials: Credentials, *, timeout_s: float = 10.0) -> None:
        self._url = rest_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(
            {"APCA-API-KEY-ID": credentials.key, "APCA-API-SECRET-KEY": credentials.secret}
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._session.close)

    async def sim_clock(
        self,
        *,
        rate: float | None = None,
        jump_to: datetime | None = None,
        hold_at: datetime | Literal["release"] | None = None,
    ) -> ClockReading:
        """Changes what is given. ``hold_at="release"`` lets time go on.

        Raises RequestRefused for a step backwards (422) or a jump while orders are open or
        positions exist (409), BrokerUnavailable when the simulator does not answer.
        """
        body: dict[str, Any] = {}
        if rate is not None:
            body["rate"] = rate
        if jump_to is not None:
            body["jump_to"] = utc_text(jump_to)
        if hold_at is not None:
            body["hold_at"] = None if hold_at == "release" else utc_text(hold_at)
        return ClockReading.parse(record(await self._ask("POST", "/sim/clock", body), "clock"))

    async def state(self) -> dict[str, Any]:
        """The simulator's own view of itself (tests and drills)."""
        return dict(record(await self._ask("GET", "/sim/state", None), "state"))

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        def send() -> Any:
            response = self._session.request(method, self._url + path, json=body, timeout=self._timeout_s)
            if 400 <= response.status_code < 500:
                raise RequestRefused(response.status_code, None, struck(response.text)[:300])
            response.raise_for_status()
            return response.json()

        try:
            return await asyncio.to_thread(send)
        except (requests.RequestException, MalformedAnswer) as error:
            raise BrokerUnavailable(
                f"the simulator does not answer ({type(error).__name__}); stop the engine and start it again"
            ) from error
