"""A real HTTP server that speaks the OpenAI chat protocol, as well or as badly as a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Body = dict[str, Any]
Behaviour = Callable[[Body], "web.StreamResponse | Awaitable[web.StreamResponse]"]


def completion(content: str | None, *, refusal: str | None = None, finish: str = "stop", usage: Any = ...) -> Body:
    """A chat completion as servers send it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-model",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, "refusal": refusal},
            }
        ],
        "usage": {"prompt_tokens": 900, "completion_tokens": 80, "total_tokens": 980} if usage is ... else usage,
    }


def asked(body: Body) -> Body:
    """The data part of a question: ticker, articles, ..."""
    return json.loads(body["messages"][1]["content"])


def prompt_of(body: Body) -> str:
    """Which prompt is asked, by the words of its file."""
    system = body["messages"][0]["content"]
    marks = {
        "concrete, new, dated reason": "catalyst",
        "one coherent story": "narrative",
        "event risk for a holder": "risk",
        "already in the price": "priced_in",
    }
    return next(name for mark, name in marks.items() if mark in system)


def answer(score: int, quote: str = "", article: str = "A1", reason: str = "because", **more: Any) -> str:
    evidence = [{"article": article, "quote": quote}] if quote else []
    return json.dumps({"score": score, "evidence": evidence, "reason": reason, **more})


def good(body: Body) -> web.Response:
    """A sensible grader: quotes the first headline whole."""
    headline = asked(body)["articles"][0]["headline"]
    score = {"catalyst": 4, "narrative": 2, "risk": 1, "priced_in": 3}[prompt_of(body)]
    more = {"kinds": ["other"]} if prompt_of(body) == "risk" else {}
    return web.json_response(completion(answer(score, headline[:150].rsplit(" ", 1)[0], **more)))


def says(content: str | None, **options: Any) -> Behaviour:
    return lambda _: web.json_response(completion(content, **options))


def fails(status: int, **headers: str) -> Behaviour:
    return lambda _: web.json_response({"error": {"message": "no", "type": "x"}}, status=status, headers=headers)


class ChatServer:
    """Counts what it is asked; ``behaviour`` may be changed at any time."""

    def __init__(self, behaviour: Behaviour, delay_s: float) -> None:
        self.behaviour, self.delay_s = behaviour, delay_s
        self.bodies: list[Body] = []
        self.keys: list[str] = []
        self.inside = self.most_inside = 0
        self.url = ""
        self.arrived = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("Authorization", ""))
        self.inside += 1
        self.arrived.set()
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            made = self.behaviour(body)
            return await made if isinstance(made, Awaitable) else made
        finally:
            self.inside -= 1


@asynccontextmanager
async def chat_server(behaviour: Behaviour = good, *, delay_s: float = 0.0, cut_after: int | None = None):
    """``cut_after``: so many bytes of each answer, then the connection is closed."""
    server = ChatServer(behaviour, delay_s)

    async def handler(request: web.Request) -> web.StreamResponse:
        made = await server.handle(request)
        if cut_after is not None:
            body = made.body if isinstance(made, web.Response) else b""
            stream = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100000"})
            await stream.prepare(request)
            await stream.write(bytes(body or b"")[:cut_after])
            if request.transport is not None:
                request.transport.abort()
            return stream
        return made

    app = web.Application(client_max_size=10_000_000)
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()
