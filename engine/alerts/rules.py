"""What becomes an alert, how severe it is, and what ends it. Pure: facts and events in, findings out.

A finding that must last before it counts says so (``after_s``): a stop that is being moved or a
stream that reconnects is no news. Key prefixes name the kind, what follows the symbol or the session.
Whatever is about a position that is held, or may be, is critical or has a topic that quiet hours never hold back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.alerts.alert import Finding, Severity, Topic
from engine.events import DAY_LOSS, Event, OrderChanged, PositionClosed, RunFinished, RunStarted
from engine.model import NEW_YORK
from engine.views import FlattenView, LinkView, OrderRow, PositionRow, ShortlistView

UNPROTECTED_S = 15.0  # placing a stop takes a moment, and an entry that is re-priced takes it away
UNSOLD_S = 30.0
SILENT_S = 10.0  # a stream that is not live while something is held
IDLE_SILENT_S = 60.0  # ... while nothing is
STALE_S = 60.0  # one symbol without a price
UNCLEAN_S = 15.0
NOT_FLAT_S = 30.0

HELD = frozenset({"WATCH", "ARMED", "TARGET", "EXITING", "CARRIED"})
PROTECTABLE = frozenset({"WATCH", "ARMED", "TARGET"})
EXIT_LEGS = frozenset({"exit", "flatten"})
REFUSED = frozenset({"refused", "rejected"})
_LIVE = LinkView(state="live")

# What parts of the engine raise themselves, by the beginning of its key.
RAISED: Mapping[str, tuple[Severity, Topic]] = {
    "unprotected": (Severity.CRITICAL, Topic.PROTECTION),
    "carried": (Severity.CRITICAL, Topic.EXITS),
    "exit": (Severity.CRITICAL, Topic.EXITS),
    "flatten": (Severity.CRITICAL, Topic.FLATTEN),
    "outside": (Severity.CRITICAL, Topic.PROTECTION),
    "halt": (Severity.WARNING, Topic.EXITS),
    "close": (Severity.WARNING, Topic.EXITS),
    "journal": (Severity.CRITICAL, Topic.ENGINE),
    "latch": (Severity.CRITICAL, Topic.ENTRIES),
    "link": (Severity.CRITICAL, Topic.STREAMS),
    "adopted": (Severity.WARNING, Topic.PROTECTION),  # an order, perhaps a position, that the journal did not know
    "drift": (Severity.WARNING, Topic.RUNS),
    "weekend": (Severity.WARNING, Topic.RUNS),
    "weekday": (Severity.WARNING, Topic.RUNS),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """The engine's state as the rules need it; None is unknown, and unknown raises nothing."""

    market_open: bool = False
    market_now: datetime | None = None
    positions: tuple[PositionRow, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    prices: LinkView = _LIVE
    trades: LinkView = _LIVE
    broker: LinkView = _LIVE
    flatten: FlattenView = field(default_factory=FlattenView)
    shortlist: ShortlistView = field(default_factory=ShortlistView)
    latched: str = ""
    journal_problem: str = ""
    reconcile_problem: str = ""
    orders_open: int = 0  # each may become a position, or be the exit of one
    disk_free_mb: float | None = None
    sinks_down: Mapping[str, str] = field(default_factory=dict)  # sink: why

    @property
    def held(self) -> tuple[PositionRow, ...]:
        return tuple(row for row in self.positions if row.state in HELD and row.shares > 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """From the settings: market time before an approval closes, free megabytes of the home's disk."""

    approval_before: timedelta = timedelta(minutes=10)
    disk_free_mb: float = 1000.0


def kind_of(key: str) -> str:
    """``unprotected`` of ``unprotected-ABC``."""
    return key.partition("-")[0]


def weight_of(key: str) -> tuple[Severity, Topic]:
    """Severity and topic of an alert that says neither itself; an unknown kind is a warning."""
    return RAISED.get(kind_of(key), (Severity.WARNING, Topic.ENGINE))


# --- states ------------------------------------------------------------------------------------


def conditions(facts: Facts, limits: Limits) -> list[Finding]:
    """Everything that is wrong right now; each ends when it is no longer found. One finding a key."""
    found = [*_positions(facts), *_streams(facts), *_flatten(facts), *_entries(facts), *_machine(facts, limits)]
    approval = _approval(facts, limits)
    return [*found, approval] if approval is not None else found


def _positions(facts: Facts) -> Iterable[Finding]:
    if not facts.market_open:
        return
    for row in facts.held:
        name = f"{row.symbol}: {row.shares:,} shares"
        if row.state in PROTECTABLE and row.resting_stop is None:
            words = f"{name} without a protective stop at the broker"
            yield _critical("unprotected", row.symbol, Topic.PROTECTION, words, UNPROTECTED_S)
        if row.state == "EXITING":
            words = f"{name} are still not sold ({row.why_next})"
            yield _critical("exit", row.symbol, Topic.EXITS, words, UNSOLD_S)
        if row.stale and facts.prices.state == "live":
            words = f"{name}, no price from stream or REST any more"
            # Its trailing stop and target see nothing: that concerns its exit, whatever the hour.
            yield Finding(f"stale-{row.symbol}", Severity.WARNING, Topic.EXITS, words, STALE_S)


def _streams(facts: Facts) -> Iterable[Finding]:
    names = ", ".join(row.symbol for row in facts.held)
    matters = bool(names) and facts.market_open
    severity, patience = (Severity.CRITICAL, SILENT_S) if matters else (Severity.WARNING, IDLE_SILENT_S)
    topic = Topic.EXITS if names else Topic.STREAMS  # what is held overnight leaves through them at the open
    suffix = f" with positions open ({names})" if names else ""
    for key, title, link in (
        ("link-prices", "the price stream", facts.prices),
        ("link-orders", "the trade stream", facts.trades),
        ("link-broker", "the broker's REST", facts.broker),
    ):
        silent = link.state in ("stale", "down", "refused") or (link.state == "connecting" and matters)
        if silent and (facts.market_open or link.state != "stale"):
            detail = f": {link.detail}" if link.detail else ""
            yield Finding(key, severity, topic, f"{title} is {link.state}{suffix}{detail}", patience)


def _flatten(facts: Facts) -> Iterable[Finding]:
    step = facts.flatten.step
    match facts.flatten.state:
        case "failed":
            yield Finding("flatten", Severity.CRITICAL, Topic.FLATTEN, f"FLATTEN DID NOT END FLAT: {step}")
        case "running":
            words = f"flatten is at work and not flat yet: {step}"
            yield Finding("flatten-slow", Severity.CRITICAL, Topic.FLATTEN, words, NOT_FLAT_S)
        case "queued":
            words = f"flatten waits for the market to open: {step}"
            yield Finding("flatten-queued", Severity.WARNING, Topic.FLATTEN, words)
        case _:
            return


def _entries(facts: Facts) -> Iterable[Finding]:
    if facts.journal_problem:
        words = f"{facts.journal_problem}: entries are off, exits go on; free the disk and restart the engine"
        yield Finding("journal", Severity.CRITICAL, Topic.ENGINE, words)
    elif facts.latched.startswith(DAY_LOSS):
        words = f"{facts.latched}: TSH positions are sold and entries are off"
        yield Finding("day-loss", Severity.CRITICAL, Topic.EXITS, words)
    elif facts.latched:
        asked = facts.latched.startswith("flatten by")  # a person did it and knows
        severity = Severity.NOTICE if asked else Severity.WARNING
        words = f"entries are latched off: {facts.latched}"
        yield Finding("entries-latched", severity, Topic.ENTRIES, words)


def _machine(facts: Facts, limits: Limits) -> Iterable[Finding]:
    if facts.reconcile_problem:
        severity = Severity.CRITICAL if facts.held else Severity.WARNING
        topic = Topic.PROTECTION if facts.held or facts.orders_open else Topic.RECONCILE
        words = f"journal and broker differ: {facts.reconcile_problem}"
        yield Finding("reconcile", severity, topic, words, UNCLEAN_S)
    free = facts.disk_free_mb
    if free is not None and free < limits.disk_free_mb:
        severity = Severity.CRITICAL if free < limits.disk_free_mb / 10 else Severity.WARNING
        words = (
            f"the disk of the home folder has {free:,.0f} MB left (alerts.disk_free_mb {limits.disk_free_mb:,.0f})"
        )
        yield Finding("disk", severity, Topic.ENGINE, words)
    for sink, why in sorted(facts.sinks_down.items()):
        yield Finding(f"sink-{sink}", Severity.WARNING, Topic.SINKS, f"alerts do not leave by {sink}: {why}")


def _approval(facts: Facts, limits: Limits) -> Finding | None:
    view, now = facts.shortlist, facts.market_now
    if view.state != "pending" or view.session is None or view.deadline is None or now is None:
        return None
    if not timedelta(0) < view.deadline - now <= limits.approval_before:
        return None
    closes = f"{view.deadline.astimezone(NEW_YORK):%H:%M}"
    words = f"the trade list for {view.session} waits for a yes until {closes} New York; without it no trade"
    return Finding(f"approval-{view.session}", Severity.WARNING, Topic.APPROVAL, words)


def restarted(facts: Facts) -> Finding | None:
    """Asked once in an engine's life, with its first facts."""
    if not facts.held:
        return None
    names = ", ".join(row.symbol for row in facts.held)
    words = f"the engine was restarted with positions open ({names}); it manages them again"
    return Finding("restarted", Severity.WARNING, Topic.PROTECTION, words, holds=False)


def _critical(kind: str, symbol: str, topic: Topic, text: str, after_s: float) -> Finding:
    return Finding(f"{kind}-{symbol}", Severity.CRITICAL, topic, text, after_s)


# --- events ------------------------------------------------------------------------------------


def raised_by(event: Event) -> Finding | None:
    """The alert that an event is, besides those that say so themselves."""
    if isinstance(event, OrderChanged) and event.status in REFUSED and _leg(event.client_order_id) in EXIT_LEGS:
        words = f"{event.symbol}: the exit was refused: {event.detail or event.status}"
        return Finding(f"exit-{event.symbol}", Severity.CRITICAL, Topic.EXITS, words, holds=False)
    return None


def ended_by(event: Event, open_keys: Iterable[str]) -> list[tuple[str, str]]:
    """(key, words) of the open alerts whose reason the event takes away."""
    if isinstance(event, PositionClosed):
        gone = {f"{kind}-{event.symbol}" for kind in ("unprotected", "exit", "stale", "halt")}
        carried = f"carried-{event.symbol}-"
        words = f"{event.symbol} is sold ({event.reason})"
        return [(key, words) for key in open_keys if key in gone or key.startswith(carried)]
    if isinstance(event, RunStarted):
        gone = {f"{event.run_kind}-failed", f"{event.run_kind}-unfinished"}
        return [(key, f"the {event.run_kind} run goes on") for key in open_keys if key in gone]
    if isinstance(event, RunFinished) and event.outcome == "done":
        return [
            (key, f"the {event.run_kind} run is done") for key in open_keys if key == f"{event.run_kind}-failed"
        ]
    return []


def _leg(client_order_id: str) -> str:
    """``exit`` of ``tsh-1a2b3c4d-20261123-ABC-exit-1``; "" for an id of somebody else."""
    parts = client_order_id.split("-")
    return parts[-2] if len(parts) >= 6 and parts[0] == "tsh" else ""
