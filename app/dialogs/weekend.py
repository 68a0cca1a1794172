"""Starting the weekend: how many cycles, how long to search, with the defaults already in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label

from app import formatting as f
from app.dialogs.frame import Dialog, Tick, Words, buttons
from app.widgets.box import plain
from engine.config import SearchSettings, TrainingSettings


@dataclass(frozen=True, slots=True)
class WeekendDefaults:
    """The settings in force for a weekend: training cycles, and wall seconds of group search."""

    cycles: int = TrainingSettings().cycles
    budget_s: float = SearchSettings().budget_s


def budget_text(seconds: float) -> str:
    """A budget as it is typed: ``24h``, ``90m``, ``60s``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


class WeekendDialog(Dialog[dict[str, Any]]):
    """Answers the arguments of the command ``weekend``."""

    HEADING = "Run the weekend"

    def __init__(self, defaults: WeekendDefaults) -> None:
        super().__init__()
        self._defaults = defaults

    def body(self) -> ComposeResult:
        cycles, budget = str(self._defaults.cycles), budget_text(self._defaults.budget_s)
        yield Words(
            [
                plain("data → archive and wipe → training → pruning → groups → selection"),
                plain("last week's results are archived first; a stopped run resumes", "dim"),
            ]
        )
        with Horizontal(classes="field"):
            yield Label("training cycles")
            yield Input(cycles, id="cycles", compact=True)
            yield Label(f"default {cycles}", classes="hint")
        with Horizontal(classes="field"):
            yield Label("search budget")
            yield Input(budget, id="budget", compact=True)
            yield Label(f"default {budget}; 60s, 90m, 24h", classes="hint")
        yield Tick("replace this week's selection, if there is one", id="replace")
        yield Words(id="wrong")
        yield buttons(("start", "Start  enter"), ("back", "Back  esc"))

    def on_mount(self) -> None:
        self.query_one("#wrong", Words).display = False
        self.query_one("#cycles").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._start()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "start":
            self._start()
        else:
            self.action_leave()

    def _start(self) -> None:
        cycles = self.query_one("#cycles", Input).value.strip() or str(self._defaults.cycles)
        budget = self.query_one("#budget", Input).value.strip() or budget_text(self._defaults.budget_s)
        wrong = self.query_one("#wrong", Words)
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
