"""A real control channel for the console: the engine's own server, with recorded views behind it.

And how a test waits for the console: never for a time, always until all that was asked is done and
drawn. Textual's pilot measures whether the process uses its processor, and so calls a console idle that
only was not given one by a busy machine; ``settled`` asks the event loop and the screens instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from textual._context import active_app, visible_screen_stack
from textual.app import App, ScreenStackError
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from app.client import Link
from app.console import TshConsole
from app.dialogs.frame import Dialog
from app.screens.base import ConsoleScreen
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


READY = "something is ready to run"
QUIET_TURNS = 3  # of the event loop, one after the other: in each the sockets are looked at once


class NotPaintedError(AssertionError):
    """A screen that nothing was drawn on yet: neither what it says nor what it does not say means anything."""


def screens_seen(app: App[Any]) -> list[Screen[Any]]:
    """The screen on top and those that are seen through it; none while they change places."""
    try:
        return [app.screen, *app._background_screens]
    except ScreenStackError:
        return []


def drawn_by_the_one_on_top(widget: Widget) -> bool:
    """Textual keeps dirty widgets of a screen that is seen through another for ever when none of them is seen."""
    return bool(widget._repaint_regions) and widget in widget.screen._compositor.visible_widgets


def unfinished(screen: Screen[Any]) -> list[str]:
    """What of widgets, layout, paint and what waits for a paint is still to come."""
    on_top = screen is screen.app.screen
    left = {
        "its widgets": isinstance(screen, ConsoleScreen | Dialog) and not screen.ready,
        "a layout": screen._layout_required or screen._scroll_required or screen._recompose_required,
        "a paint": on_top and screen._repaint_required,  # one that is seen through another keeps asking
        "widgets to draw": any(on_top or drawn_by_the_one_on_top(widget) for widget in screen._dirty_widgets),
        "what comes after a paint": screen._callbacks,
    }
    return [f"{what} of {screen}" for what, is_left in left.items() if is_left]


def at_work(app: App[Any]) -> list[str]:
    """What is ready to run in this loop, or not drawn yet on the screen."""
    loop: Any = asyncio.get_running_loop()
    seen = screens_seen(app)
    left = {
        READY: loop._ready,
        "no screen": not seen,
        "a batch of changes": app._batch_count,
        "a new size": app._resize_timer is not None,
    }
    return [what for what, is_left in left.items() if is_left] + [w for s in seen for w in unfinished(s)]


async def settled(app: App[Any], seconds: float = 60.0) -> None:
    """Waits until the console has done and drawn all that it was asked; timers alone may still be waiting."""
    quiet, left = 0, list[str]()
    try:
        async with asyncio.timeout(seconds):
            while quiet < QUIET_TURNS and app.is_running and not app._exit:
                left = at_work(app)
                quiet = 0 if left else quiet + 1
                if left and READY not in left:
                    for screen in screens_seen(app):
                        if screen._layout_required:
                            # Textual forgets one that it met while it made another screen. No other screen is
                            # reminded: one behind a dialog would ask for another paint of the dialog each time.
                            screen.check_idle()
                await asyncio.sleep(0 if quiet else 0.001)
    except TimeoutError:
        raise TimeoutError(f"the console never came to rest: {left}") from None


async def idle_as_the_pilot_asks(min_sleep: float = 0.0, max_sleep: float = 60.0) -> None:
    """In the place of textual's ``wait_for_idle``, with which its pilot waits after a key and in a pause."""
    await settled(active_app.get(), max(max_sleep, min_sleep))


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits for ``condition``; fails loudly when it does not come.

    Beside a console it is asked only when that is settled, so what a test sees right after it is one drawn
    picture: with all that the same news brought, and with nothing left of what went.
    """
    app = active_app.get(None)
    try:
        async with asyncio.timeout(seconds):
            while True:
                if app is not None:
                    await settled(app, 2 * seconds)
                with suppress(NotPaintedError):
                    if condition():
                        return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise TimeoutError(f"it never came; at work: {at_work(app) if app is not None else []}") from None


async def painted(pilot: Pilot[None], app: TshConsole) -> None:
    """The console is attached and shows the newest views."""
    await until(lambda: app.client.link is Link.LIVE)
    app.paint()
    await settled(app)


def strips_of(app: TshConsole) -> list[Strip]:
    """What stands on the terminal, line by line, with its styles.

    It is drawn as the console itself draws it: with the screens that are seen through the one on top.
    Without them a dialog is drawn on nothing, and that empty ground is kept for the next picture.
    """
    if not screens_seen(app) or not app.screen._compositor.visible_widgets:
        raise NotPaintedError
    visible_screen_stack.set(app._background_screens)
    strips = app.screen._compositor.render_strips()
    if not any(strip.text.strip() for strip in strips):
        raise NotPaintedError
    return strips


def text_of(app: TshConsole) -> str:
    """What stands on the terminal, line by line."""
    return "\n".join(strip.text for strip in strips_of(app))


def said(app: TshConsole) -> str:
    """What the console said at the bottom, whole (on the terminal it is wrapped)."""
    return "\n".join(notification.message for notification in app._notifications)
