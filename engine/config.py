"""Settings: every default of the pipeline, typed, with the origin of each effective value.

Rising order: built-in defaults, ``tsh.toml`` in the home folder, environment
(``TSH_SECTION__KEY``), command line. Unknown keys are refused with the nearest valid name:
a typo in a limit must never mean "no limit". Secrets are not settings: keys come from
APCA_API_KEY_ID / APCA_API_SECRET_KEY or the OS keyring (``engine.broker.credentials``).
"""

from __future__ import annotations

import datetime as dt
import difflib
import ipaddress
import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from engine.brackets import DEFAULT_BRACKETS, Bracket, BracketTable
from engine.errors import UsageError
from engine.home import Home
from engine.model import ExitModel, Mode
from engine.trade_costs import CostModel

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: Any) -> Any:
    """``"24h"``, ``"90m"``, ``"60s"``, ``"1h30m"`` or a number of seconds, as seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    try:
        return float(text)
    except ValueError:
        pass
    parts = re.findall(r"([0-9.]+)(ms|[smhd])", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise ValueError(f"'{value}' is not a duration; write 60s, 90m, 24h or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BrokerSettings(Section):
    mode: Mode = Mode.SIM
    timeout_s: Duration = 10.0
    requests_per_minute: int = Field(200, ge=1)
    exit_reserve: int = Field(40, ge=0, description="requests a minute that only exits may use")
    feed: Literal["sip", "iex"] = "iex"  # live prices: the plan's feed
    trading_url: str = ""  # "" means Alpaca's own address for the mode
    data_url: str = ""
    trade_stream_url: str = ""
    price_stream_url: str = ""
    reconcile_s: Duration = 30.0


class SimSettings(Section):
    """The embedded market; used only when broker.mode is sim."""

    market: str = "synthetic"  # or the path of a daily-bar parquet file
    date: dt.date = dt.date(2026, 11, 20)  # last session that has closed when the simulator starts
    seed: int = 7
    symbols: int = Field(6000, ge=50, le=20000)
    cash: int = Field(100_000, ge=1000)  # dollars
    speed: float = Field(300.0, ge=1, le=1000)  # market seconds per wall second with open positions
    entry_speed: float = Field(20.0, ge=1, le=300)  # during the entry window
    faults: str = ""  # path of a TOML script of what goes wrong when (engine.simulator.fault_script)


class DataSettings(Section):
    price_low: float = Field(2.0, gt=0)  # dollars
    price_high: float = Field(200.0, gt=0)
    dollar_volume: float = Field(1_000_000.0, ge=0)  # dollars a day, median
    median_sessions: int = Field(20, ge=1, le=64)
    history_feed: Literal["sip", "iex"] = "sip"
    seed: int = 1
    settle_minutes: int = Field(20, ge=0)  # a daily bar is final this long after the close

    @model_validator(mode="after")
    def _ordered(self) -> DataSettings:
        if self.price_low >= self.price_high:
            raise ValueError("price_low must be below price_high")
        return self


class TrainingSettings(Section):
    cycles: int = Field(200, ge=1, le=100_000)
    slots: int = Field(8, ge=1, le=64)
    seed: int = 1
    backend: Literal["native", "workbook"] = "native"
    exhaustive: bool = False
    verify: int = Field(0, ge=0)  # batches a cycle cross-checked on the other backend
    exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE


class WorkbookSettings(Section):
    """The workbook backend; used when training.backend is workbook, and by cross-checks."""

    instances: int = Field(2, ge=1, le=32)  # offices at once
    chunk: int = Field(25, ge=1, le=250)  # tickers a macro call works through
    deadline_s: Duration = 60.0  # wall seconds for one such call; then the office is replaced
    office: str = ""  # path of soffice; "" finds Excel or LibreOffice by itself


class PrunerSettings(Section):
    """Percentages are percentage points of mean excess unless named otherwise."""

    keep: dict[str, int] = Field(
        default_factory=lambda: {
            "adx": 100, "ema": 200, "macd": 200, "rsi": 150, "bb": 150,
            "stoch": 150, "cci": 150, "mfi": 150, "donch": 250, "kelt": 250,
        }
    )  # fmt: skip
    keep_default: int = Field(150, ge=1)  # for an algorithm not named in keep
    min_buys_day: int = Field(4, ge=1)
    min_buys: int = Field(50, ge=1)
    max_density_pct: Percent = 20.0
    min_positive_days: int = Field(3, ge=0, le=5)
    worst_day: Finite = -1.0
    near_duplicate: float = Field(0.9, gt=0, le=1)  # Jaccard of 5-day picks


LEAST_SHUFFLES = 19  # p = (1 + those that reach the score) / (1 + all): with fewer it stays above 0.05


class SearchSettings(Section):
    budget_s: Duration = 86_400.0
    min_picks: int = Field(8, ge=1)
    max_size: int = Field(10, ge=2, le=10)
    top_k: int = Field(100, ge=2, le=10_000)
    threads: int = Field(0, ge=0, le=64)  # 0: min(4, max(2, cores))
    score_lambda: float = Field(0.5, ge=0, allow_inf_nan=False)
    day_floor: Finite = -0.5  # worst allowed day, percentage points of mean excess
    min_positive_days: int = Field(3, ge=0, le=5)
    tests: int | None = Field(None, ge=1)  # fixed quota of tests per anchor: reproducible, not exhaustive
    objective: Literal["mean_minus_deviation", "mean", "worst_day"] = "mean_minus_deviation"
    permutations: int = Field(200, ge=0, le=100_000)  # shuffled searches behind a p-value, 19 or more; 0: none
    cluster: str = Field(
        "", pattern=r"^(|local:[1-9]\d{0,2}|(tcp|tls|ws|wss|ucx)://\S+)$"
    )  # dask; "": this machine

    @field_validator("permutations")
    @classmethod
    def _enough_for_a_verdict(cls, shuffles: int) -> int:
        if 0 < shuffles < LEAST_SHUFFLES:
            raise ValueError(
                f"of {shuffles} shuffled searches the least p is {1 / (1 + shuffles):.3f}, so no group could ever "
                f"reach 0.05: at least {LEAST_SHUFFLES}, or 0 for no p-value"
            )
        return shuffles

    def thread_count(self) -> int:
        return self.threads or min(4, max(2, os.cpu_count() or 2))

    def penalty(self) -> float:
        """Weight of the deviation over days in the search's score."""
        return self.score_lambda if self.objective == "mean_minus_deviation" else 0.0


class DailySettings(Section):
    shortlist: int = Field(20, ge=1, le=100)
    lookback_sessions: int = Field(21, ge=2, le=60)
    weights: dict[str, float] = Field(
        default_factory=lambda: {
            "firings": 0.30, "month_mean": 0.20, "month_hits": 0.15,
            "liquidity": 0.15, "gap_risk": -0.10, "atr_distance": -0.10,
        }
    )  # fmt: skip
    veto_volatility_pct: Percent = 2.0  # top share of the universe by ATR%
    veto_loss_pct: Percent = 2.0  # bottom share by 5-session return


class QualSettings(Section):
    """News. The first block holds for every provider; the rest only when a model answers prompts."""

    provider: Literal["lexicon", "openai"] = "lexicon"  # openai: any server that speaks its chat protocol
    window_hours: float = Field(72.0, gt=0)  # only where no session calendar is at hand
    window_sessions: int = Field(3, ge=1, le=20)  # news since the close before the last so many sessions
    tilt: float = Field(0.15, ge=0, le=0.5)  # weight of the news score in the combination
    veto_below: float = Field(-0.6, ge=-1, le=0)
    kind_cap: int = Field(3, ge=1, le=20)  # most names of one kind: of one sector, or moving together
    kind_correlation: float = Field(0.8, gt=0, le=1)  # of 21 closes' returns: from here two names are of one kind
    sectors: str = ""  # a CSV file with the columns symbol,sector; without it correlation alone decides

    model: str = ""
    base_url: str = ""  # "" is OpenAI's own; http://127.0.0.1:11434/v1 for a local server
    key_name: str = Field("OPENAI_API_KEY", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")  # environment or keyring
    prompts: str = ""  # a folder of prompt files instead of those that ship with the program
    masking: Literal["off", "compare", "masked"] = "off"  # also ask without names; "masked": that answer votes
    structured: Literal["json_schema", "json_object", "off"] = "json_schema"  # what the server can enforce
    seed: int = 7
    answer_tokens: int = Field(600, ge=50, le=8000)
    concurrency: int = Field(20, ge=1, le=64)  # a server on this machine wants 1 to 4
    request_timeout_s: Duration = 20.0
    run_time_s: Duration = 120.0  # wall seconds of one run
    day_time_s: Duration = 3600.0  # seconds that all requests of a UTC day took, added up
    run_tokens: int = Field(400_000, ge=0)
    day_tokens: int = Field(1_200_000, ge=0)
    run_cost: float = Field(1.0, ge=0, allow_inf_nan=False)  # dollars
    day_cost: float = Field(3.0, ge=0, allow_inf_nan=False)
    price_in: float | None = Field(None, ge=0, allow_inf_nan=False)  # dollars per million tokens asked
    price_out: float | None = Field(None, ge=0, allow_inf_nan=False)  # dollars per million tokens answered

    @model_validator(mode="after")
    def _a_provider_needs_a_model(self) -> QualSettings:
        if self.provider == "openai" and not self.model:
            raise ValueError("provider openai needs qual.model, the name of the model to ask")
        return self


class ExecutionSettings(Section):
    names: int = Field(4, ge=1, le=20)
    allocation_share: float = Field(0.9, gt=0, le=1)
    advised_size: float = Field(1.0, gt=0, le=1)
    approval_deadline: dt.time = dt.time(9, 25)  # New York
    approval_valid_until: dt.time = dt.time(9, 35)
    entry_window_end: dt.time = dt.time(9, 35)
    quote_age_s: Duration = 5.0
    spread_cap_pct: Percent = 0.5
    gap_cap_pct: Percent = 5.0
    gap_cap_atr: float = Field(0.5, gt=0)  # not above + this many ATR(20)
    reprices: int = Field(3, ge=0, le=20)
    over_first_ask_pct: Percent = 0.3
    reprice_wait_s: Duration = 1.0
    day_loss_pct: Percent = 2.0  # of the allocation
    exit_minutes: Duration = 10.0  # market minutes before the close
    exit_wall_s: Duration = 10.0
    stale_after_s: Duration = 5.0
    target: Literal["capture", "ride"] = "capture"
    max_orders_a_day: int = Field(200, ge=1)
    brackets: tuple[Bracket, ...] = tuple(DEFAULT_BRACKETS)

    def bracket_table(self) -> BracketTable:
        return BracketTable(self.brackets)

    @model_validator(mode="after")
    def _brackets_hold(self) -> ExecutionSettings:
        BracketTable(self.brackets)
        return self


def quiet_window(text: str) -> tuple[dt.time, dt.time] | None:
    """``"22:00-07:00"`` as begin and end (local times, the end not included); None for ""."""
    if not text.strip():
        return None
    parts = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if parts is None:
        raise ValueError(f"'{text}' is not a window of the day; write 22:00-07:00, or leave it empty")
    begin_hour, begin_minute, end_hour, end_minute = (int(part) for part in parts.groups())
    begin, end = dt.time(begin_hour, begin_minute), dt.time(end_hour, end_minute)
    if begin == end:
        raise ValueError(f"'{text}' begins where it ends; write 22:00-07:00, or leave it empty")
    return begin, end


def ladder_steps(value: Any) -> Any:
    """``"desktop+sound, webhook"`` as its steps; a list stays one. Every sink must be one of ALERT_SINKS."""
    steps = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(steps, list | tuple):
        return value
    cleaned = []
    for step in steps:
        names = [name.strip() for name in str(step).split("+")]
        wrong = [name for name in names if name not in ALERT_SINKS]
        if wrong:
            known = ", ".join(ALERT_SINKS)
            raise ValueError(f"'{wrong[0]}' is no sink of alerts; there are {known}, joined with + in one step")
        cleaned.append("+".join(names))
    return tuple(cleaned)


def words_of_command(value: Any) -> Any:
    """``"paplay /usr/share/alarm.oga"`` as program and arguments (no shell); a list stays one."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"{error}; write the command as a list of its words") from error


ALERT_SINKS = ("desktop", "sound", "webhook")
Interval = Annotated[float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)]
Ladder = Annotated[tuple[str, ...], BeforeValidator(ladder_steps)]


class AlertSettings(Section):
    """How alerts leave the screen. A ladder names the sinks of each step, the later ones for who does not react.

    An alert that nobody acknowledges is told again every ``*_repeat_s`` (0: told once), one step higher each time.
    """

    # auto: the attached consoles, and without one the machine's own notifications unless the broker is sim;
    # always: these even then, and beside consoles.
    desktop: Literal["auto", "always", "console", "off"] = "auto"
    osc: Literal["auto", "9", "777", "both", "off"] = "auto"  # how a terminal is asked for a notification
    bell: bool = True  # of the consoles' terminals, part of sound
    sound_command: Annotated[tuple[str, ...], BeforeValidator(words_of_command)] = ()
    webhook_url: str = ""  # gets a POST of JSON
    webhook_secret_name: str = Field("", pattern=r"^([A-Za-z][A-Za-z0-9_]{0,63})?$")  # environment or keyring
    webhook_timeout_s: Duration = 5.0
    webhook_tries: int = Field(4, ge=1, le=10)
    webhook_backoff_s: Duration = 1.0  # before the second try; doubles
    notice: Ladder = ("desktop",)
    warning: Ladder = ("desktop+sound", "webhook")
    critical: Ladder = ("desktop+sound+webhook",)
    notice_repeat_s: Interval = 0.0
    warning_repeat_s: Interval = 600.0
    critical_repeat_s: Interval = 120.0
    repeat_limit: int = Field(30, ge=1, le=10_000)  # an alert is told so often at most
    quiet: str = ""  # "22:00-07:00"; never holds back exits, flatten, unprotected positions, critical alerts
    quiet_zone: str = ""  # of quiet: "Europe/Berlin"; "" is this machine's
    approval_before_s: Duration = 600.0  # market seconds before the approval closes
    disk_free_mb: int = Field(1000, ge=1)  # a tenth of it is critical

    @field_validator("quiet")
    @classmethod
    def _a_window(cls, value: str) -> str:
        quiet_window(value)
        return value.strip()

    @field_validator("quiet_zone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        try:
            if value:
                ZoneInfo(value)
        except (ValueError, ZoneInfoNotFoundError) as error:
            raise ValueError(f"'{value}' is no time zone; write one like Europe/Berlin") from error
        return value

    @field_validator("webhook_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)  # it and the port raise ValueError in their own words
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("write https://host/path")
        if parts.username or parts.password:
            raise ValueError("no name and no password in it; alerts.webhook_secret_name signs what is sent")
        if parts.scheme == "http" and not is_private_host(parts.hostname):
            raise ValueError(f"{parts.hostname} is not on this machine or a private network: use https://")
        return value


def is_private_host(host: str) -> bool:
    """This machine or a private network, by its name or address alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_link_local


class RecordingSettings(Section):
    """What the screens showed, one file a market day in the home's ``recordings`` (``tshc replay``)."""

    enabled: bool = True
    rate_hz: float = Field(4.0, ge=0.25, le=4)  # frames a second at most, where prices or orders move
    keep_days: int = Field(30, ge=1)  # days since a file was last written
    max_mb: int = Field(2000, ge=1)  # of all files together; the oldest go first


class LedgerSettings(Section):
    """How the forward ledger judges a day: on how many candidates, and what trading them is taken to cost."""

    candidates: int = Field(100, ge=1, le=1000)  # of each group, best first
    cost_by_volume: tuple[tuple[float, float], ...] = CostModel().by_volume  # from dollars a day: percent a side
    cost_by_price: tuple[tuple[float, float], ...] = CostModel().by_price  # below dollars: percent more a side

    def cost_model(self) -> CostModel:
        return CostModel(self.cost_by_volume, self.cost_by_price)

    @model_validator(mode="after")
    def _costs_hold(self) -> LedgerSettings:
        self.cost_model()
        return self


class Settings(Section):
    """All settings of one home folder. Build it with ``load_settings``."""

    broker: BrokerSettings = BrokerSettings()
    sim: SimSettings = SimSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    workbook: WorkbookSettings = WorkbookSettings()
    pruner: PrunerSettings = PrunerSettings()
    search: SearchSettings = SearchSettings()
    daily: DailySettings = DailySettings()
    qual: QualSettings = QualSettings()
    execution: ExecutionSettings = ExecutionSettings()
    alerts: AlertSettings = AlertSettings()
    recording: RecordingSettings = RecordingSettings()
    ledger: LedgerSettings = LedgerSettings()


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


def masked_address(url: str) -> str:
    """A webhook's scheme and host: what follows is often its secret."""
    if not url:
        return ""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/..."


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
    if home.settings.exists():
        try:
            table = tomllib.loads(home.settings.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{home.settings} is not valid TOML: {error}; correct that line or move the file away"
            ) from error
        layers.append(("tsh.toml", _layer(table, str(home.settings))))
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


def _plain_validation(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"])
        origin = next((o for key, o in origins.items() if name.startswith(key)), "default")
        hidden = isinstance(item.get("input"), dict) or name == "alerts.webhook_url"
        shown = "" if hidden else f" (it is {item.get('input')!r})"
        lines.append(f"setting '{name}' from {origin}{shown}: {item['msg']}")
    return "; ".join(lines) + "; correct it there, 'tshc doctor' shows every value in force"


def market_file(settings: Settings) -> Path | None:
    """The daily-bar file of a replay market, or None for the synthetic one."""
    return None if settings.sim.market == "synthetic" else Path(settings.sim.market)
