"""The part of the console that can stand still: ``z``, the keys that look back, and what is said meanwhile.

Everything that commands or warns goes on from the live client; see ``app.freeze``.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.widgets import Input

from app.client import Client, EngineState
from app.freeze import Freeze
from app.screens.base import ConsoleScreen
from app.time_shift import TimeShift


class FreezingApp(App[None]):
    """Subclasses give ``client``; they call ``keep_moment`` at every paint."""

    # Priority, because tables, panes and screens have these keys too; check_action lets them go while live.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "z",
            "freeze",
            "freeze",
            id="freeze",
            tooltip="freeze the screens, or back to now; F12 and alarms go on",
        ),
        Binding(
            "escape",
            "frozen_end",
            "now",
            show=False,
            tooltip="while frozen: back to now",
            priority=True,
            id="freeze.end",
        ),
        Binding(
            "left",
            "frozen_step(-1)",
            "1 s back",
            show=False,
            tooltip="while frozen: 1 s back",
            priority=True,
            id="freeze.back",
        ),
        Binding(
            "right",
            "frozen_step(1)",
            "1 s forth",
            show=False,
            tooltip="while frozen: 1 s forth",
            priority=True,
            id="freeze.forth",
        ),
        Binding(
            "shift+left",
            "frozen_step(-10)",
            "10 s back",
            show=False,
            tooltip="while frozen: 10 s back",
            priority=True,
            id="freeze.back_more",
        ),
        Binding(
            "shift+right",
            "frozen_step(10)",
            "10 s forth",
            show=False,
            tooltip="while frozen: 10 s forth",
            priority=True,
            id="freeze.forth_more",
        ),
        Binding(
            "left_square_bracket",
            "frozen_event(-1)",
            "event before",
            show=False,
            tooltip="while frozen: to the event before",
            priority=True,
            id="freeze.event_before",
        ),
        Binding(
            "right_square_bracket",
            "frozen_event(1)",
            "event after",
            show=False,
            tooltip="while frozen: to the event after",
            priority=True,
            id="freeze.event_after",
        ),
    ]
    client: Client
    freezer: Freeze

    @property
    def shown(self) -> EngineState:
        """What the bodies of the screens show."""
        return self.freezer.state

    @property
    def time_shift(self) -> TimeShift | None:
        return self.freezer.time_shift()

    def say(self, text: str, *, wrong: bool = False) -> None:
        raise NotImplementedError

    def paint(self) -> None:
        raise NotImplementedError

    @property
    def at_a_screen(self) -> bool:
        """No dialog is open and nobody is typing: keys may move through time."""
        return isinstance(self.screen, ConsoleScreen) and not isinstance(self.focused, Input)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action.startswith("frozen_"):
            return self.freezer.frozen and self.at_a_screen
        return super().check_action(action, parameters)

    def keep_moment(self) -> None:
        """Keeps the present moment; alarms of now are said also over a frozen screen."""
        self.freezer.watch()
        for event in self.freezer.alarms():
            self.say(f"{event.level.upper()} now: {event.text}", wrong=True)

    def sees_the_present(self) -> bool:
        """False, with what to do said, while frozen: a command without a question must not rest on old rows."""
        if self.freezer.frozen:
            self.say("the screen is frozen: z goes back to now, then press the key again", wrong=True)
        return not self.freezer.frozen

    def action_freeze(self) -> None:
        if self.freezer.frozen:
            self.freezer.end()
        else:
            self.freezer.begin()
        self.paint()

    def action_frozen_end(self) -> None:
        self.freezer.end()
        self.paint()

    def action_frozen_step(self, seconds: float) -> None:
        self.freezer.step(seconds)
        self.paint()

    def action_frozen_event(self, direction: int) -> None:
        event = self.freezer.step_event(direction)
        self.paint()
        if event is None:
            where = "after" if direction > 0 else "before"
            self.say(f"no event {where} this moment is kept in memory; 'tshc replay' has the whole day")
        else:
            self.say(f"event {event.seq}: {event.text}")
