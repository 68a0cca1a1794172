"""Every setting of the pipeline, by section, with its default, its bounds and what holds between them.

Shares and dollars are exact, durations are seconds, percentages are 0-100. A value that could
turn a limit off by accident is refused here, with what to write instead.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from engine.brackets import DEFAULT_BRACKETS, Bracket, BracketTable
from engine.model import ExitModel, Mode
from engine.setting_values import (
    Duration,
    Finite,
    Interval,
    Ladder,
    Percent,
    is_private_host,
    quiet_window,
    words_of_command,
)
from engine.trade_costs import CostModel

LEAST_SHUFFLES = 19  # p = (1 + those that reach the score) / (1 + all): with fewer it stays above 0.05


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
