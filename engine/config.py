"""The settings in force: read from their four places, with the origin of each value.

Rising order: built-in defaults, ``tsh.toml`` in the home folder, environment
(``TSH_SECTION__KEY``), command line. Unknown keys are refused with the nearest valid name:
a typo in a limit must never mean "no limit". Secrets are not settings: keys come from
APCA_API_KEY_ID / APCA_API_SECRET_KEY or the OS keyring (``engine.broker.credentials``).
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import UsageError
from engine.home import Home
from engine.setting_values import masked_address
from engine.settings import BrokerSettings, Settings


@dataclass(frozen=True)
class EffectiveSettings:
    """The settings in force and where each value came from: default, tsh.toml, TSH_..., command line."""

    settings: Settings
    origins: Mapping[str, str]

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """(key, value, origin) of every setting, in the order of the sections."""
        for section, values in self.settings.model_dump(mode="json").items():
            for key, value in values.items():
                name = f"{section}.{key}"
                shown = masked_address(value) if name == "alerts.webhook_url" else str(value)
                yield name, shown, self.origins.get(name, "default")


def valid_keys() -> list[str]:
    return [
        f"{section}.{key}"
        for section, info in Settings.model_fields.items()
        for key in info.default.__class__.model_fields
    ]


def _refuse_unknown(name: str, origin: str) -> None:
    keys = valid_keys()
    sections = sorted({key.split(".")[0] for key in keys})
    candidates = keys if "." in name else [*sections, *keys]
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=0.4)
    if not near and "." in name:
        near = [key for key in keys if key.endswith("." + name.split(".")[-1])][:1]
    hint = f"did you mean '{near[0]}'?" if near else f"the sections are {', '.join(sections)}"
    raise UsageError(f"unknown setting '{name}' ({origin}): {hint}")


def _layer(values: Mapping[str, Any], origin: str) -> dict[str, dict[str, Any]]:
    """Checks the names of one source; {section: {key: value}}."""
    known = set(valid_keys())
    sections = {key.split(".")[0] for key in known}
    result: dict[str, dict[str, Any]] = {}
    for section, content in values.items():
        if section not in sections:
            _refuse_unknown(section, origin)
        if not isinstance(content, Mapping):
            raise UsageError(f"'{section}' ({origin}) is a section: write [{section}] and its keys below it")
        for key, value in content.items():
            if f"{section}.{key}" not in known:
                _refuse_unknown(f"{section}.{key}", origin)
            result.setdefault(section, {})[key] = value
    return result


def _environment(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for name in environ:
        if name.startswith("TSH_") and name != "TSH_HOME":
            section, _, key = name[4:].lower().partition("__")
            if not key:
                _refuse_unknown(section, f"environment {name}; write TSH_SECTION__KEY")
            nested.setdefault(section, {})[key] = environ[name]
    checked = _layer(nested, "environment")
    return {
        section: {key: _json_or_text(value) for key, value in content.items()}
        for section, content in checked.items()
    }


def _json_or_text(value: str) -> Any:
    """Tables and lists are written as JSON in the environment: TSH_PRUNER__KEEP='{"adx": 50}'."""
    if value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise UsageError(f"environment value {value!r} is not valid JSON: {error}; correct it there") from error


def load_settings(
    home: Home,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> EffectiveSettings:
    """The settings of ``home``, with ``overrides`` ({"training.cycles": 2}) from the command line on top.

    Raises UsageError for an unknown key, a wrong value or a broken file, naming all three
    of key, origin and remedy.
    """
    layers: list[tuple[str, dict[str, dict[str, Any]]]] = []
    layers.append(("tsh.toml", _layer(_file_table(home), str(home.settings))))
    layers.append(("environment", _environment(os.environ if environ is None else environ)))
    command_line: dict[str, dict[str, Any]] = {}
    for name, value in (overrides or {}).items():
        section, _, key = name.partition(".")
        command_line.setdefault(section, {})[key] = value
    layers.append(("command line", _layer(command_line, "command line")))

    merged: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for section, content in layer.items():
            for key, value in content.items():
                merged.setdefault(section, {})[key] = value
                name = f"{section}.{key}"
                origins[name] = f"TSH_{section}__{key}".upper() if origin == "environment" else origin
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise UsageError(_plain_validation(error, origins)) from error
    return EffectiveSettings(settings, origins)


def load_broker_settings(
    home: Home,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[BrokerSettings, str]:
    """What an exit needs, and what is wrong with the other settings (empty when nothing is).

    A mistake in a limit must not block the way out, so [broker] counts although another section is wrong.
    UsageError when [broker] itself cannot be trusted and the command line does not name the mode: whether it
    is simulated or real money is never guessed.
    """
    try:
        return load_settings(home, overrides, environ).settings.broker, ""
    except UsageError as wrong:
        given = {key.partition(".")[2]: v for key, v in (overrides or {}).items() if key.startswith("broker.")}
        try:
            alone = _broker_alone(home, os.environ if environ is None else environ)
            return Settings.model_validate({"broker": {**alone, **given}}).broker, str(wrong)
        except (UsageError, ValidationError):
            if "mode" not in given:
                raise UsageError(f"{wrong}; --broker sim, paper or live goes on without the file") from None
            return Settings.model_validate({"broker": given}).broker, str(wrong)


def _broker_alone(home: Home, environ: Mapping[str, str]) -> dict[str, Any]:
    """[broker] of file and environment. UsageError where a name elsewhere could be a misspelt [broker]."""
    table = _file_table(home)
    known = {key.split(".")[0] for key in valid_keys()}
    for section in table:
        if section not in known:
            _refuse_unknown(section, str(home.settings))
    in_file = _layer({"broker": table.get("broker", {})}, str(home.settings))
    around = _environment({name: value for name, value in environ.items() if name.startswith("TSH_BROKER__")})
    return {**in_file.get("broker", {}), **around.get("broker", {})}


def _file_table(home: Home) -> dict[str, Any]:
    if not home.settings.exists():
        return {}
    try:
        return tomllib.loads(home.settings.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{home.settings} is not valid TOML: {error}; correct that line or move the file away"
        ) from error


def _plain_validation(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"])
        origin = next((o for key, o in origins.items() if name.startswith(key)), "default")
        hidden = isinstance(item.get("input"), dict) or name == "alerts.webhook_url"
        shown = "" if hidden else f" (it is {item.get('input')!r})"
        lines.append(f"setting '{name}' from {origin}{shown}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines) + "; correct it there, 'tshc doctor' shows every value in force"


def market_file(settings: Settings) -> Path | None:
    """The daily-bar file of a replay market, or None for the synthetic one."""
    return None if settings.sim.market == "synthetic" else Path(settings.sim.market)
