"""Entry gates: each a pure function that answers yes or no with its numbers and the remedy.

Gates block entries and nothing else: an exit never asks one. The same results make the
GO / NO-GO board before the open and the ``EntryRefused`` events after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from engine.model import NEW_YORK, Mode, Quote, Session
from engine.orders_model import Approval

TRADED_GRADES = ("A", "B")  # with real money and without a further word (CONTRACTS, Evidence)


@dataclass(frozen=True, slots=True)
class GateReport:
    """One gate's answer: what was ``measured`` against which ``limit``, and the ``remedy``."""

    gate: str
    passed: bool
    measured: str
    remedy: str = ""
    limit: str = ""

    @property
    def numbers(self) -> str:
        """Both in one line."""
        return f"{self.measured}, {self.limit}" if self.limit else self.measured

    @property
    def text(self) -> str:
        if self.passed or not self.remedy:
            return self.numbers
        return f"{self.numbers}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class ApprovedFor:
    """What is about to be traded; the approval must name the same four things."""

    session: date
    list_hash: str
    account: str
    mode: str


def approval_gate(
    approval: Approval | None, wanted: ApprovedFor, valid_until: datetime, now: datetime
) -> GateReport:
    """A valid, unexpired yes to this very list; ``valid_until`` and ``now`` are market time."""
    again = "approve the present list ('tshc approve' or a on the shortlist)"
    if approval is None:
        return GateReport("approval", False, f"no approval for {wanted.session}", again)
    if approval.outcome != "approved":
        return GateReport("approval", False, f"the list was {approval.outcome}", again)
    given = ApprovedFor(approval.session, approval.list_hash, approval.account, approval.mode)
    for name in ("session", "list_hash", "account", "mode"):
        approved, present = getattr(given, name), getattr(wanted, name)
        if approved != present:
            numbers = f"approved for {name.replace('_', ' ')} {_short(approved)}, now {_short(present)}"
            return GateReport("approval", False, numbers, again)
    if approval.mode == Mode.LIVE and approval.grade not in TRADED_GRADES and not approval.against_advice:
        numbers = (
            f"grade {approval.grade or 'unknown'}, and the approval does not say that it is against the advice"
        )
        return GateReport("approval", False, numbers, again)
    until = f"valid until {_clock(valid_until)}, now {_clock(now)}"
    if now >= valid_until:
        return GateReport("approval", False, f"expired: {until}", "the next session needs a new approval")
    return GateReport("approval", True, f"by {approval.by}", limit=until)


def market_gate(is_open: bool, now: datetime, session: Session | None) -> GateReport:
    """The regular session is open, by the broker's clock and calendar."""
    if session is None:
        return GateReport("market", False, f"no session on {now.astimezone(NEW_YORK):%Y-%m-%d}", "wait for one")
    passed = is_open and session.open <= now < session.close
    hours = f"{_clock(session.open)}-{_clock(session.close)}, now {_clock(now)}"
    return GateReport("market", passed, f"{'open' if passed else 'closed'}: {hours}", "" if passed else "wait")


def window_gate(now: datetime, opens: datetime, ends: datetime) -> GateReport:
    """Inside the entry window [opens, ends), market time."""
    passed = opens <= now < ends
    numbers = f"window {_clock(opens)}-{_clock(ends)}, now {_clock(now)}"
    return GateReport("window", passed, numbers, "" if passed else "entries are only made at the open")


def quote_age_gate(age_s: float | None, cap_s: float) -> GateReport:
    """The quote is fresh; ages in wall seconds."""
    if age_s is None:
        return GateReport("quote_age", False, "no quote", "check the price link and the data plan")
    passed = age_s <= cap_s
    return GateReport(
        "quote_age",
        passed,
        f"quote {age_s:.1f} s old",
        "" if passed else "check the price link",
        f"at most {cap_s:g} s",
    )


def spread_gate(quote: Quote, cap_pct: float) -> GateReport:
    """The spread in percent of the middle."""
    if quote.bid <= 0 or quote.ask <= 0 or quote.ask < quote.bid:
        return GateReport(
            "spread", False, f"one-sided quote: bid {quote.bid}, ask {quote.ask}", "wait for two sides"
        )
    spread = spread_pct(quote)
    passed = spread <= Decimal(str(cap_pct))
    remedy = "" if passed else "too dear to cross"
    return GateReport("spread", passed, f"spread {spread:.2f} %", remedy, f"at most {cap_pct:g} %")


def spread_pct(quote: Quote) -> Decimal:
    return (quote.ask - quote.bid) / ((quote.ask + quote.bid) / 2) * 100


def gap_gate(
    opened: Decimal, last_close: Decimal, atr: Decimal | None, *, cap_pct: float, cap_atr: float
) -> GateReport:
    """The open's distance from the last close: within +-cap_pct percent, and not above +cap_atr x ATR(20)."""
    if last_close <= 0:
        return GateReport("gap", False, f"last close {last_close}", "take a new daily snapshot")
    gap = opened - last_close
    percent = gap / last_close * 100
    if abs(percent) > Decimal(str(cap_pct)):
        return GateReport(
            "gap", False, f"gap {percent:+.2f} %, at most {cap_pct:g} % either way", "the signal is stale"
        )
    if atr is None:
        return GateReport("gap", False, f"gap {percent:+.2f} %, no ATR(20)", "take a new daily snapshot")
    cap = Decimal(str(cap_atr)) * atr
    passed = gap <= cap
    numbers = f"gap {gap:+.2f} $ ({percent:+.2f} %), at most +{cap:.2f} $ ({cap_atr:g} ATR)"
    return GateReport("gap", passed, numbers, "" if passed else "the move has already happened")


def halt_gate(halted: bool, detail: str = "") -> GateReport:
    numbers = f"halted {detail}".strip() if halted else "trading"
    return GateReport("halt", not halted, numbers, "wait for the resumption" if halted else "")


def day_loss_gate(day_pnl: Decimal, allocated: Decimal, cap_pct: float) -> GateReport:
    """The day's realised and open loss against the allocation."""
    limit = -allocated * Decimal(str(cap_pct)) / 100
    passed = allocated > 0 and day_pnl > limit
    return GateReport(
        "day_loss",
        passed,
        f"day {day_pnl:+.2f} $",
        "" if passed else "no further entries today",
        f"limit {limit:+,.2f} $ (-{cap_pct:g} % of {allocated:,.0f} $)",
    )


def latch_gate(latched: str) -> GateReport:
    """``latched`` is the reason while entries are off, or empty."""
    return GateReport(
        "latch",
        not latched,
        f"entries latched off: {latched}" if latched else "not latched",
        "unlatch when the cause is understood (u on the console, or 'tshc unlatch')" if latched else "",
    )


def reconcile_gate(clean: bool, detail: str) -> GateReport:
    return GateReport(
        "reconcile",
        clean,
        "clean" if clean else f"not clean: {detail or 'not run yet'}",
        "" if clean else "entries wait until orders and positions agree with the broker",
    )


def link_gate(name: str, state: str, detail: str) -> GateReport:
    """A stream is connected; stale counts as connected, because outside regular hours all are mute."""
    passed = state in ("live", "stale")
    numbers = f"{name} {state}" + (f" ({detail})" if detail else "")
    return GateReport(f"{name}_link", passed, numbers, "" if passed else "see the status strip")


def order_count_gate(sent: int, cap: int) -> GateReport:
    return GateReport(
        "order_count",
        sent < cap,
        f"{sent} orders today",
        "" if sent < cap else "raise max_orders_a_day",
        f"at most {cap}",
    )


def position_count_gate(positions: int, cap: int) -> GateReport:
    return GateReport(
        "position_count",
        positions < cap,
        f"{positions} TSH positions",
        "" if positions < cap else "a name must leave first",
        f"at most {cap}",
    )


def held_gate(symbol: str, held: Collection[str]) -> GateReport:
    """Not already in the account, whoever bought it: shares of two owners cannot be told apart at the broker."""
    inside = symbol in held
    return GateReport(
        "held", not inside, "already held" if inside else "not held", "sell it first" if inside else ""
    )


def first_refusal(reports: Iterable[GateReport]) -> GateReport | None:
    return next((report for report in reports if not report.passed), None)


def is_go(reports: Sequence[GateReport]) -> bool:
    """GO needs every gate; an empty board is NO-GO."""
    return bool(reports) and all(report.passed for report in reports)


def _clock(at: datetime) -> str:
    return f"{at.astimezone(NEW_YORK):%H:%M:%S} ET"


def _short(value: object) -> str:
    text = str(value)
    return text[:8] if len(text) == 64 else text
