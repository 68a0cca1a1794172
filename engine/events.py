"""What happened, as typed facts. The journal stores them, the console shows them, tests read them.

An event is frozen, says itself in one plain line (``text``) and carries its numbers as
fields. Money is Decimal dollars, quantities are whole shares, times are aware UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from engine.model import utc_text


class Level(StrEnum):
    """How much of the operator's attention an event asks for."""

    DEBUG = "debug"
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ALERT = "alert"


def plain(value: Any) -> Any:
    """A JSON-safe form: Decimal and dates as text; TypeError for what has no faithful form."""
    if value is None or isinstance(value, bool | int | str | float):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    raise TypeError(f"an event cannot carry {type(value).__name__}")


def dollars(price: Decimal | None) -> str:
    """A price as it is written: two decimals, more only where they say something; ``?`` when unknown."""
    if price is None:
        return "?"
    exact = f"{price:f}"
    whole, _, decimals = exact.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


@dataclass(frozen=True, kw_only=True)
class Event:
    """The base: every subclass sets ``level`` and says itself in ``text``."""

    level: ClassVar[Level] = Level.INFO

    @classmethod
    def kind(cls) -> str:
        """``OrderSubmitted`` is stored as ``order_submitted``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def text(self) -> str:
        raise TypeError(f"{type(self).__name__} does not say itself")

    def data(self) -> dict[str, Any]:
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}


class EventSink(Protocol):
    """Where a stage publishes; the engine journals each event and passes it to the consoles."""

    def publish(self, event: Event) -> None: ...


# --- the engine and its links ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class EngineStarted(Event):
    level: ClassVar[Level] = Level.NOTICE
    mode: str
    account: str
    pid: int

    @property
    def text(self) -> str:
        return f"engine started: {self.mode.upper()} account {self.account}, pid {self.pid}"


@dataclass(frozen=True, kw_only=True)
class EngineStopped(Event):
    level: ClassVar[Level] = Level.NOTICE
    reason: str

    @property
    def text(self) -> str:
        return f"engine stopped: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class LinkChanged(Event):
    """A stream or the broker's REST changed state: connecting, live, stale, refused, down."""

    link: str
    state: str
    detail: str = ""

    @property
    def text(self) -> str:
        return f"{self.link}: {self.state}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, kw_only=True)
class AlertRaised(Event):
    """Something the operator must see; while it is open, the same ``key`` again only counts.

    ``severity`` and ``topic`` as ``engine.alerts.alert`` names them; left empty, the key says both.
    ``holds``: it describes a state and closes itself when that has ended.
    """

    level: ClassVar[Level] = Level.ALERT
    key: str
    message: str
    severity: str = ""
    topic: str = ""
    holds: bool = False

    @property
    def text(self) -> str:
        return self.message


@dataclass(frozen=True, kw_only=True)
class AlertRecovered(Event):
    """The reason of an alert is gone: it closes itself."""

    level: ClassVar[Level] = Level.NOTICE
    key: str
    message: str

    @property
    def text(self) -> str:
        return f"over: {self.message}"


@dataclass(frozen=True, kw_only=True)
class AlertTold(Event):
    """An alert left the engine; ``what``: raised, repeated, escalated, recovered."""

    key: str
    what: str
    sink: str
    detail: str

    @property
    def text(self) -> str:
        return f"alert '{self.key}' {self.what}: {self.sink} {self.detail}"


@dataclass(frozen=True, kw_only=True)
class AlertNotTold(Event):
    """A sink could not pass an alert on."""

    level: ClassVar[Level] = Level.WARNING
    key: str
    what: str
    sink: str
    reason: str

    @property
    def text(self) -> str:
        return f"alert '{self.key}' {self.what}: {self.sink} FAILED: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class AlertAcknowledged(Event):
    key: str
    by: str

    @property
    def text(self) -> str:
        return f"alert '{self.key}' acknowledged by {self.by}"


@dataclass(frozen=True, kw_only=True)
class RecordingStopped(Event):
    """What the screens show is no longer kept for a replay."""

    level: ClassVar[Level] = Level.WARNING
    reason: str

    @property
    def text(self) -> str:
        return f"the recording of the screens stopped: {self.reason}; everything else goes on"


@dataclass(frozen=True, kw_only=True)
class CommandReceived(Event):
    command: str
    arguments: dict[str, Any]
    accepted: bool
    reason: str = ""

    @property
    def text(self) -> str:
        verdict = "accepted" if self.accepted else f"refused: {self.reason}"
        return f"command {self.command} {verdict}"


# --- stages ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    level: ClassVar[Level] = Level.NOTICE
    run: str
    run_kind: str
    resumed: bool = False

    @property
    def text(self) -> str:
        return f"{self.run_kind} run {self.run} {'resumed' if self.resumed else 'started'}"


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The end of a weekend or weekday run; ``outcome``: done, failed, stopped, refused."""

    level: ClassVar[Level] = Level.NOTICE
    run: str
    run_kind: str
    outcome: str
    seconds: float
    summary: str

    @property
    def text(self) -> str:
        return f"{self.run_kind} run {self.run} {self.outcome} after {self.seconds:.1f} s: {self.summary}"


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    run: str
    stage: str
    resumed: bool = False

    @property
    def text(self) -> str:
        return f"{self.stage} {'resumed' if self.resumed else 'started'}"


@dataclass(frozen=True, kw_only=True)
class StageFinished(Event):
    level: ClassVar[Level] = Level.NOTICE
    run: str
    stage: str
    seconds: float
    summary: str
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.stage} done in {self.seconds:.1f} s: {self.summary}"


@dataclass(frozen=True, kw_only=True)
class StageFailed(Event):
    level: ClassVar[Level] = Level.ALERT
    run: str
    stage: str
    reason: str

    @property
    def text(self) -> str:
        return f"{self.stage} failed: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """A step inside a stage; shown live, not kept in the journal."""

    level: ClassVar[Level] = Level.DEBUG
    stage: str
    done: float
    total: float
    detail: str = ""

    @property
    def text(self) -> str:
        return f"{self.stage} {self.done:g}/{self.total:g} {self.detail}".rstrip()


@dataclass(frozen=True, kw_only=True)
class BackendTie(Event):
    """Both compute backends are right: an indicator lies within rounding of its threshold."""

    what: str  # ticker, day, algorithm, parameters, both values

    @property
    def text(self) -> str:
        return f"backends tie: {self.what}"


@dataclass(frozen=True, kw_only=True)
class AlgorithmPruned(Event):
    algorithm: str
    kept: int
    dropped: dict[str, int]

    @property
    def text(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
        return f"{self.algorithm}: kept {self.kept}; dropped {reasons or 'none'}"


@dataclass(frozen=True, kw_only=True)
class SearchProgressed(Event):
    """A line of the solver log; ``columns`` as ``engine.decision.solver_log`` names them."""

    level: ClassVar[Level] = Level.DEBUG
    columns: dict[str, Any]

    @property
    def text(self) -> str:
        c = self.columns
        best = "none" if c["incumbent"] is None else f"{c['incumbent']:+.3f}"
        gap = "proven" if c["proven"] else "gap unknown" if c["gap"] is None else f"gap {c['gap']:.3f}"
        return (
            f"search at {c['elapsed_s']:.1f} s: best {best}, {gap}, {c['anchors_open']:,} of {c['anchors']:,} "
            f"anchors open, {c['groups_visited']:,} groups, {c['tests_per_s'] / 1e6:.1f} M tests/s, "
            f"{c['shuffles_done']} of {c['shuffles']} shuffles"
        )


@dataclass(frozen=True, kw_only=True)
class GroupsSelected(Event):
    level: ClassVar[Level] = Level.NOTICE
    week: date
    first: str
    second: str
    proven: bool
    gap: float

    @property
    def text(self) -> str:
        state = "proven" if self.proven else f"gap {self.gap:.3f}"
        return f"groups selected ({state}): {self.first} | {self.second or 'no alternative'}"


# --- the trade list --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TradeListReady(Event):
    level: ClassVar[Level] = Level.NOTICE
    session: date
    list_hash: str
    symbols: tuple[str, ...]
    reason: str = ""

    @property
    def text(self) -> str:
        if not self.symbols:
            return f"no trade list for {self.session}: {self.reason}"
        return f"trade list {self.list_hash[:8]} for {self.session}: {' '.join(self.symbols)}"


@dataclass(frozen=True, kw_only=True)
class CandidatesRecorded(Event):
    """Every candidate of a selected group for one session: what the forward ledger will judge."""

    session: date
    selected: int  # 1 trades, 2 runs in shadow
    group: str
    symbols: tuple[str, ...]

    @property
    def text(self) -> str:
        role = "traded" if self.selected == 1 else "shadow"
        return f"{role} group has {len(self.symbols)} candidates for {self.session}"


@dataclass(frozen=True, kw_only=True)
class LedgerDayJudged(Event):
    """A day of a selected group entered the forward ledger; excess in percent, net of costs."""

    session: date
    selected: int
    candidates: int
    pp_excess: float | None  # None: no candidate
    tsh_excess: float | None

    @property
    def text(self) -> str:
        role = "traded" if self.selected == 1 else "shadow"
        if self.pp_excess is None or self.tsh_excess is None:
            return f"forward ledger {self.session}: the {role} group had no candidate"
        return (
            f"forward ledger {self.session}: candidates of the {role} group: {self.candidates}, net excess "
            f"{self.pp_excess:+.2f} % by PP, {self.tsh_excess:+.2f} % by TSH's pessimistic path"
        )


@dataclass(frozen=True, kw_only=True)
class LedgerNotWritten(Event):
    """The forward ledger could not take or judge a day; trading is not concerned."""

    level: ClassVar[Level] = Level.WARNING
    what: str
    reason: str

    @property
    def text(self) -> str:
        return f"the forward ledger {self.what}: {self.reason}; trading is not concerned"


@dataclass(frozen=True, kw_only=True)
class ApprovalGiven(Event):
    level: ClassVar[Level] = Level.NOTICE
    session: date
    list_hash: str
    account: str
    mode: str
    by: str
    symbols: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.by} approved {self.list_hash[:8]} for {self.session}: {' '.join(self.symbols)}"


@dataclass(frozen=True, kw_only=True)
class ApprovalEnded(Event):
    """A trade list left the approval without a yes: rejected, voided by a swap, or expired."""

    level: ClassVar[Level] = Level.NOTICE
    session: date
    list_hash: str
    outcome: str
    by: str = ""

    @property
    def text(self) -> str:
        return f"trade list {self.list_hash[:8]} for {self.session} {self.outcome}" + (
            f" by {self.by}" if self.by else ""
        )


# --- orders and positions --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class EntryRefused(Event):
    level: ClassVar[Level] = Level.WARNING
    symbol: str
    gate: str
    reason: str

    @property
    def text(self) -> str:
        return f"{self.symbol} not entered, {self.gate}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class OrderSent(Event):
    symbol: str
    side: str
    shares: int
    kind_of_order: str
    limit_price: Decimal | None
    client_order_id: str
    why: str

    @property
    def text(self) -> str:
        price = f" at {dollars(self.limit_price)}" if self.limit_price is not None else ""
        return f"{self.side} {self.shares} {self.symbol} {self.kind_of_order}{price} ({self.why})"


@dataclass(frozen=True, kw_only=True)
class OrderChanged(Event):
    symbol: str
    client_order_id: str
    status: str
    filled_shares: int
    average_price: Decimal | None
    detail: str = ""

    @property
    def text(self) -> str:
        fill = f", {self.filled_shares} filled at {dollars(self.average_price)}" if self.filled_shares else ""
        return f"{self.symbol} order {self.status}{fill}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, kw_only=True)
class FillReceived(Event):
    level: ClassVar[Level] = Level.NOTICE
    symbol: str
    side: str
    shares: int
    price: Decimal
    client_order_id: str

    @property
    def text(self) -> str:
        return f"filled: {self.side} {self.shares} {self.symbol} at {dollars(self.price)}"


@dataclass(frozen=True, kw_only=True)
class TshChanged(Event):
    symbol: str
    state: str
    price: Decimal
    why_next: str

    @property
    def text(self) -> str:
        return f"{self.symbol} {self.state} at {dollars(self.price)}: {self.why_next}"


@dataclass(frozen=True, kw_only=True)
class PositionClosed(Event):
    level: ClassVar[Level] = Level.NOTICE
    symbol: str
    shares: int
    entry: Decimal
    exit: Decimal
    pnl: Decimal
    reason: str

    @property
    def text(self) -> str:
        prices = f"{dollars(self.entry)} to {dollars(self.exit)}"
        return f"{self.symbol} closed by {self.reason}: {prices}, {self.pnl:+.2f} $"


@dataclass(frozen=True, kw_only=True)
class Reconciled(Event):
    level: ClassVar[Level] = Level.DEBUG
    clean: bool
    open_orders: int
    positions: int
    foreign: tuple[str, ...] = ()
    detail: str = ""

    @property
    def text(self) -> str:
        verdict = "clean" if self.clean else f"NOT clean: {self.detail}"
        return f"reconciled: {verdict}, {self.open_orders} orders, {self.positions} positions"


DAY_LOSS = "daily loss"  # how the reason of a latch begins that the day's loss set


@dataclass(frozen=True, kw_only=True)
class DriftFound(AlertRaised):
    """The engine and the broker disagree about something that nobody here did."""

    ours: str
    theirs: str


@dataclass(frozen=True, kw_only=True)
class DriftEnded(AlertRecovered):
    """Belief and broker agree again."""

    @property
    def text(self) -> str:
        return f"drift settled: {self.message}"


@dataclass(frozen=True, kw_only=True)
class EntriesLatched(Event):
    level: ClassVar[Level] = Level.ALERT
    reason: str

    @property
    def text(self) -> str:
        return f"entries latched off: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class EntriesUnlatched(Event):
    level: ClassVar[Level] = Level.NOTICE
    by: str

    @property
    def text(self) -> str:
        return f"entries allowed again by {self.by}"


@dataclass(frozen=True, kw_only=True)
class FlattenChanged(Event):
    level: ClassVar[Level] = Level.NOTICE
    step: str
    symbol: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        return (
            f"flatten: {self.step}"
            + (f" {self.symbol}" if self.symbol else "")
            + (f" - {self.detail}" if self.detail else "")
        )


@dataclass(frozen=True, kw_only=True)
class DayClosed(Event):
    level: ClassVar[Level] = Level.NOTICE
    session: date
    pnl: Decimal
    trades: int

    @property
    def text(self) -> str:
        return f"{self.session} closed: {self.trades} trades, {self.pnl:+.2f} $"
