"""The console on a recorded day: the same screens, keys to move through time, and nothing to command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from app.client import EngineState
from app.console import MODES, TshConsole
from app.dialogs.help import HelpDialog
from app.dialogs.jump import JumpDialog
from app.replay_client import ReplayClient
from app.screens.base import ConsoleScreen
from app.time_shift import TimeShift
from engine.errors import OperatorError

KEYS = (
    ("space", "play or pause"),
    ("← →", "10 s back or forth; with shift 1 min"),
    ("[ ]", "to the event before or after"),
    ("+ -", "faster, slower: 1× to 3600×"),
    ("home end", "to the beginning, to the end"),
    ("t", "to a time of the day"),
    ("1 … 7", "overview, training, groups, shortlist, positions, evidence, journal"),
    ("g", "the GO / NO-GO board"),
    ("/", "find in the journal"),
    ("j", "a letter on everything: press it to go there"),
    ("e  E", "the marked table as CSV, the screen as SVG, into exports"),
    ("ctrl+p", "every command by name"),
    ("F12 w d a", "refused: a replay commands nothing"),
    ("q", "close the replay"),
)


class ReplayConsole(TshConsole):
    # Priority, because tables and screens have these keys too; check_action gives them to who is typing.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tape_play", "play / pause", priority=True, id="replay.play"),
        Binding("left", "tape_step(-10)", show=False, priority=True, id="replay.back"),
        Binding("right", "tape_step(10)", show=False, priority=True, id="replay.forth"),
        Binding("shift+left", "tape_step(-60)", show=False, priority=True, id="replay.back_more"),
        Binding("shift+right", "tape_step(60)", show=False, priority=True, id="replay.forth_more"),
        Binding("left_square_bracket", "tape_event(-1)", show=False, priority=True, id="replay.event_before"),
        Binding("right_square_bracket", "tape_event(1)", show=False, priority=True, id="replay.event_after"),
        Binding("plus,equals_sign", "tape_speed(1)", show=False, priority=True, id="replay.faster"),
        Binding("minus", "tape_speed(-1)", show=False, priority=True, id="replay.slower"),
        Binding("home", "tape_edge(0)", show=False, priority=True, id="replay.begin"),
        Binding("end", "tape_edge(1)", show=False, priority=True, id="replay.end"),
        Binding("t", "tape_jump", show=False, priority=True, id="replay.jump"),
    ]

    def __init__(self, client: ReplayClient) -> None:
        super().__init__(client, read_only=True)
        self.replay = client
        self._told = ""

    @property
    def shown(self) -> EngineState:
        return self.client.state

    @property
    def time_shift(self) -> TimeShift | None:
        return self.replay.time_shift()

    def on_mount(self) -> None:
        self.replay.playing = True
        if self.replay.data.note:
            self.say(self.replay.data.note, wrong=True)

    def keep_moment(self) -> None:
        """The whole day is kept already; said once is why it does not play on."""
        if self.replay.trouble != self._told:
            self._told = self.replay.trouble
            if self._told:
                self.say(self._told, wrong=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action.startswith("tape_"):
            return self.at_a_screen
        return super().check_action(action, parameters)

    # --- through time -------------------------------------------------------------------------

    def action_tape_play(self) -> None:
        replay = self.replay
        if not replay.playing and replay.at_the_end and not replay.still_recorded:
            replay.seek(0.0)
        replay.playing = not replay.playing
        self.paint()

    def action_freeze(self) -> None:
        self.action_tape_play()

    def action_tape_step(self, seconds: float) -> None:
        self._moved(lambda: self.replay.step(seconds))

    def action_tape_event(self, direction: int) -> None:
        self.replay.playing = False
        self._moved(lambda: self._to_event(direction))

    def _to_event(self, direction: int) -> None:
        event = self.replay.step_event(direction)
        if event is None:
            self.say("no event after this moment" if direction > 0 else "no event of this day before this moment")
        else:
            self.say(f"event {event.seq}: {event.text}")

    def action_tape_speed(self, steps: int) -> None:
        self.replay.faster(steps)
        self.paint()

    def action_tape_edge(self, which: int) -> None:
        self._moved(lambda: self.replay.seek(self.replay.data.tape.length_s if which else 0.0))

    def action_tape_jump(self) -> None:
        self.push_screen(JumpDialog(self.replay.jump))

    def _moved(self, move: Callable[[], object]) -> None:
        try:
            move()
        except OperatorError as error:
            self.say(str(error), wrong=True)
        self.paint()

    # --- what a replay is not ------------------------------------------------------------------

    def ring(self) -> None:
        """Nobody is rung for an alert of the past."""

    def may_command(self) -> bool:
        self.say(f"refused: {self.replay.refusal}", wrong=True)
        return False

    def action_flatten(self) -> None:
        self.say(
            f"F12: this is a replay of {self.replay.data.day}; nothing was sold. "
            "To sell everything now: F12 in 'tshc', or 'tshc flatten' in a shell",
            wrong=True,
        )

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            looking = [(key, does) for key, does in screen.KEYS if key in ("↑ ↓", "enter", "tab", "/", "f", "l")]
            self.push_screen(HelpDialog(screen.MODE, looking, KEYS))

    async def action_quit(self) -> None:
        self.exit(
            message=f"The replay of {self.replay.data.day} is closed. 'tshc replay' lists the recorded days."
        )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for number, mode in enumerate(MODES, start=1):
            yield SystemCommand(f"Go to {mode}", f"key {number}", lambda mode=mode: self.action_go(mode))
        yield SystemCommand("Go to board", "key g", lambda: self.action_go("board"))
        yield SystemCommand("Play or pause", "space", self.action_tape_play)
        yield SystemCommand("Go to a time", "key t", self.action_tape_jump)
        yield SystemCommand("Next event", "key ]", lambda: self.action_tape_event(1))
        yield SystemCommand("Event before", "key [", lambda: self.action_tape_event(-1))
        yield SystemCommand("Faster", "key +", lambda: self.action_tape_speed(1))
        yield SystemCommand("Slower", "key -", lambda: self.action_tape_speed(-1))
        yield SystemCommand("Find in the journal", "key /", self.action_find)
        yield SystemCommand("Keys", "the keys of this screen (?)", self.action_help)
        yield SystemCommand("Theme", "another look", self.action_change_theme)
        yield from self.export_commands(screen)
        yield SystemCommand("Quit", "closes the replay (q)", self.action_quit)
