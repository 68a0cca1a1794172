"""Starting the weekend: how many cycles, how long to search, with the engine's settings already in place.

It archives and wipes last week's results, so Enter in a field only goes on, at last to Back: starting
takes a press of Start, or ``y``.

The settings in force are the engine's alone (file, environment and its command line), so
before the first attach no number is offered: the fields fill when the engine tells them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ValidationError
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label
from textual.widgets.input import Selection

from app import formatting as f
from app.client import Client
from app.dialogs.frame import Dialog, Tick, Words, buttons
from app.widgets.box import plain
from engine.settings import SearchSettings, TrainingSettings
from engine.views import StatusView

UNKNOWN = "the engine's settings"


@dataclass(frozen=True, slots=True)
class WeekendDefaults:
    """The engine's settings for a weekend: training cycles, and wall seconds of group search."""

    cycles: int
    budget_s: float

    @classmethod
    def told_by(cls, status: StatusView) -> WeekendDefaults | None:
        """None while no engine has told its settings."""
        if status.cycles and status.search_budget_s:
            return cls(status.cycles, status.search_budget_s)
        return None


def budget_text(seconds: float) -> str:
    """A budget as it is typed: ``24h``, ``90m``, ``60s``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


class Field(Input):
    """A number or a duration: neither has a ``y``, which starts the weekend wherever the cursor is."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key != "y" and super().check_consume_key(key, character)


class WeekendDialog(Dialog[dict[str, Any]]):
    """Answers the arguments of the command ``weekend``."""

    HEADING = "Run the weekend"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go_on", show=False, priority=True),  # before the field: keys may come faster than focus
        Binding("y", "start", show=False, priority=True),
        Binding("n", "leave", show=False),
    ]
    AFTER: ClassVar[dict[str | None, str]] = {"cycles": "#budget", "budget": "#back"}

    def __init__(self, defaults: WeekendDefaults | None) -> None:
        super().__init__()
        self._defaults = defaults

    def body(self) -> ComposeResult:
        yield Words(
            [
                plain("data → archive and wipe → training → pruning → groups → selection"),
                plain("last week's results are archived first; a stopped run resumes", "dim"),
                plain("enter goes on to the next field; Start or y starts", "dim"),
            ]
        )
        with Horizontal(classes="field"):
            yield Label("training cycles")
            yield Field(id="cycles", compact=True)
            yield Label(id="cycles-hint", classes="hint")
        with Horizontal(classes="field"):
            yield Label("search budget")
            yield Field(id="budget", compact=True)
            yield Label(id="budget-hint", classes="hint")
        yield Tick("replace this week's selection, if there is one", id="replace")
        yield Words(id="wrong")
        yield buttons(("back", "Back  esc"), ("start", "Start  y"))

    def on_mount(self) -> None:
        self.query_one("#wrong", Words).display = False
        self._offer(self._defaults)
        self.query_one("#cycles").focus()

    def paint(self, client: Client) -> None:
        """The settings may come after the dialog: an attach takes a moment."""
        if self._defaults is None:
            self._defaults = WeekendDefaults.told_by(client.state.status)
            if self._defaults is not None:
                self._offer(self._defaults)

    def _offer(self, defaults: WeekendDefaults | None) -> None:
        """Fills the fields that are empty still; what was typed already stays."""
        cycles = budget = UNKNOWN
        if defaults is not None:
            cycles, budget = str(defaults.cycles), budget_text(defaults.budget_s)
            for name, value in (("#cycles", cycles), ("#budget", budget)):
                field = self.query_one(name, Input)
                if not field.value:
                    field.value = value
                    if field.has_focus:  # what is typed next takes its place, as after walking there
                        field.selection = Selection(0, len(value))
            cycles, budget = f"default {cycles}", f"default {budget}"
        self.query_one("#cycles-hint", Label).update(cycles)
        self.query_one("#budget-hint", Label).update(f"{budget}; 60s, 90m, 24h")

    def action_go_on(self) -> None:
        """Enter in a field: to the next one. On a button or the tick it does what they do."""
        if not isinstance(self.focused, Input):
            raise SkipAction
        self.set_focus(self.query_one(self.AFTER[self.focused.id]))  # at once: a widget's own focus() comes later

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "start":
            self.action_start()
        else:
            self.action_leave()

    def action_start(self) -> None:
        known = self._defaults
        cycles = self.query_one("#cycles", Input).value.strip() or (str(known.cycles) if known else "")
        budget = self.query_one("#budget", Input).value.strip() or (budget_text(known.budget_s) if known else "")
        wrong = self.query_one("#wrong", Words)
        if not (cycles and budget):
            wrong.say([plain("no engine is attached yet: its settings come with it; nothing was sent", "warn")])
            return
        try:
            training = TrainingSettings.model_validate({"cycles": cycles})
        except ValidationError:
            wrong.say(
                [plain(f"'{f.fit(cycles, 20).strip()}' is not a number of cycles; write 1 to 100000", "warn")]
            )
            self.query_one("#cycles").focus()
            return
        try:
            search = SearchSettings.model_validate({"budget_s": budget})
        except ValidationError:
            wrong.say([plain(f"'{f.fit(budget, 20).strip()}' is not a duration; write 60s, 90m or 24h", "warn")])
            self.query_one("#budget").focus()
            return
        self.dismiss(
            {
                "cycles": training.cycles,
                "budget_s": search.budget_s,
                "replace": self.query_one("#replace", Tick).value,
            }
        )
