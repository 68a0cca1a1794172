"""A real control channel for the console: the engine's own server, with recorded views behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from app.client import Link
from app.console import TshConsole
from engine.control import Answer, Caller, ControlServer
from engine.home import Home
from engine.view_board import ViewBoard


class RecordedEngine:
    """The engine's control server; it accepts every command unless told otherwise, and keeps them."""

    def __init__(self, home: Home, board: ViewBoard) -> None:
        self.home, self.board = home, board
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Answer] = {}
        self.delay_s = 0.0  # before each answer
        self.server = ControlServer(home, board, self._execute)

    async def _execute(self, command: str, arguments: dict[str, Any], caller: Caller) -> Answer:
        self.commands.append((command, arguments))
        await asyncio.sleep(self.delay_s)
        return self.answers.get(command, Answer(True))

    async def start(self) -> None:
        self.server = ControlServer(self.home, self.board, self._execute)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Waits for ``condition``; fails loudly when it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what we wait for has no event
            await asyncio.sleep(0.02)


async def painted(pilot: Pilot[None], app: TshConsole) -> None:
    """The console is attached and shows the newest views."""
    await until(lambda: app.client.link is Link.LIVE)
    app.paint()
    await pilot.pause()


def text_of(app: TshConsole) -> str:
    """What stands on the terminal, line by line."""
    return "\n".join("".join(part.text for part in strip) for strip in app.screen._compositor.render_strips())


def said(app: TshConsole) -> str:
    """What the console said at the bottom, whole (on the terminal it is wrapped)."""
    return "\n".join(notification.message for notification in app._notifications)
