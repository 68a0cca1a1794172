"""What every command of ``tshc`` shares: the home, the broker, overrides, and how answers are printed."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.config import EffectiveSettings, load_settings
from engine.errors import UsageError
from engine.home import Home
from engine.model import Mode


@dataclass
class Options:
    """The global options of one call."""

    home: Home
    broker: str | None = None
    read_only: bool = False
    as_json: bool = False
    overrides: dict[str, str] = field(default_factory=dict)
    home_given: bool = False  # by the call or its environment, not the default

    def settings(self) -> EffectiveSettings:
        """The settings in force for this call; UsageError names a wrong key, its origin and the remedy."""
        return load_settings(self.home, self.all_overrides())

    def all_overrides(self) -> dict[str, str]:
        mode = {"broker.mode": self.broker} if self.broker else {}
        return {**mode, **self.overrides}

    def engine_arguments(self) -> list[str]:
        """The overrides as the engine process takes them."""
        return [f"{key}={value}" for key, value in self.all_overrides().items()]


def chosen_home(given: Path | None) -> Home:
    """--home, else TSH_HOME, else the per-user data folder."""
    if given is not None:
        return Home(given)
    named = os.environ.get("TSH_HOME")
    return Home(Path(named)) if named else Home(Home.default_folder())


def checked_broker(value: str | None) -> str | None:
    """One of sim, paper, live."""
    if value is not None and value not in {mode.value for mode in Mode}:
        raise UsageError(f"--broker is sim, paper or live, not '{value}'")
    return value


def say(text: str) -> None:
    """A line for a person, on standard error so that --json stays clean on standard output."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str), flush=True)
