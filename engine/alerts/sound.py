"""Sound: the bell of the attached consoles' terminals, and a player of the operator's own."""

from __future__ import annotations

from collections.abc import Callable

from engine.alerts.program import run_program
from engine.alerts.sink import Note, Outcome
from engine.settings import AlertSettings


class SoundSink:
    """What is over is told without a sound."""

    name = "sound"

    def __init__(self, settings: AlertSettings, consoles: Callable[[], int]) -> None:
        self._command, self._bell, self._consoles = settings.sound_command, settings.bell, consoles

    def in_force(self) -> str:
        ways = ["bell of attached consoles"] if self._bell else []
        return ", ".join([*ways, *([self._command[0]] if self._command else [])])

    async def send(self, note: Note) -> Outcome:
        attached = self._consoles() if self._bell else 0
        bell = f"bell of {attached} attached console{'s' if attached > 1 else ''}" if attached else ""
        if note.what == "recovered":
            return Outcome(self.name, "not configured", "no sound for what is over")
        if not self._command:
            if bell:
                return Outcome(self.name, "sent", bell)
            why = "no console is attached and alerts.sound_command is empty" if self._bell else ""
            return Outcome(self.name, "not configured", why)
        problem = await run_program(self._command)
        if problem:
            return Outcome(self.name, "failed", problem + (f"; {bell} rang" if bell else ""))
        return Outcome(self.name, "sent", ", ".join(filter(None, (self._command[0], bell))))

    async def close(self) -> None:
        return
