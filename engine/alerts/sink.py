"""What a sink is given and what it answers. A sink never raises: what went wrong is its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from engine.alerts.alert import Severity, Telling, Topic, What

TEXT_LIMIT = 400  # characters of an alert's text that leave the engine
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET_LENGTH = 6  # shorter values are no secrets worth finding in a text


@dataclass(frozen=True, slots=True)
class Note:
    """One telling as a sink sees it. No account, no address, no key."""

    key: str
    what: What
    severity: Severity
    topic: Topic
    text: str
    count: int
    opened_at: datetime
    at: datetime
    mode: str  # sim, paper, live
    home: str  # name of the home folder
    number: int  # rises with every telling of the key: (key, number) names this one

    @property
    def title(self) -> str:
        word = {"recovered": "over", "test": "test"}.get(self.what, self.severity.value.upper())
        return f"TSH {self.mode.upper()} {word}"

    @property
    def body(self) -> str:
        again = f" (×{self.count})" if self.count > 1 else ""
        return f"{self.text}{again}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a telling at one sink."""

    sink: str
    state: Literal["sent", "not configured", "failed"]
    detail: str = ""


class Sink(Protocol):
    """One way out."""

    name: str

    def in_force(self) -> str:
        """How it would tell something, in words; "" when it is not configured."""
        ...

    async def send(self, note: Note) -> Outcome: ...

    async def close(self) -> None: ...


class Scrubber:
    """Takes known secrets out of texts before they leave: a broker's message may quote anything."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        found = {s for s in secrets if len(s) >= _SECRET_LENGTH}
        self._secrets = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Values of environment variables whose names say that they are secret."""
    return tuple(value for name, value in environ.items() if _SECRET_NAME.search(name) and value)


def note_of(telling: Telling, *, mode: str, home: str, at: datetime, scrub: Scrubber) -> Note:
    alert = telling.alert
    text = " ".join(scrub(alert.text).split())
    return Note(
        key=alert.key,
        what=telling.what,
        severity=alert.severity,
        topic=alert.topic,
        text=text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…",
        count=alert.count,
        opened_at=alert.opened_at,
        at=at,
        mode=mode,
        home=home,
        number=alert.rings,
    )
