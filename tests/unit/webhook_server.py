"""A real HTTP server on loopback that answers as it is told: what a webhook meets out there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class WebhookServer:
    """``answers``: status of each request in turn, the last for all further; "slow" never answers."""

    answers: list[int | str] = field(default_factory=lambda: [200])
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            await asyncio.sleep(3600)
        return web.Response(status=int(answer), headers=self.headers)


@asynccontextmanager
async def webhook_server(*answers: int | str, **headers: str) -> AsyncIterator[WebhookServer]:
    server = WebhookServer(list(answers) or [200], {k.replace("_", "-"): v for k, v in headers.items()})
    application = web.Application()
    application.router.add_post("/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/hook/its-secret-part"
    try:
        yield server
    finally:
        await runner.cleanup()
