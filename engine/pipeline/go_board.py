"""The GO / NO-GO board before the open, as a pure function: facts in, every gate with its number out.

The gates that concern the account are the very ones that ``execution`` asks at the open; around
them stand what must exist before (groups, list, yes) and what must work (journal, broker,
streams). A gate that nothing was measured for has no row. Before the open a closed market is
no reason against GO: the board says when the entries leave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from engine.daily.mp2_p3_executor import DRIFT_HIGH, DRIFT_LOW
from engine.decision.grade import Grade
from engine.execution.gates import GateReport
from engine.execution.trading_calendar import at_new_york
from engine.model import NEW_YORK, UTC, Mode, Session
from engine.settings import ExecutionSettings
from engine.views import BoardView, GateView, LinkView, ShortlistRow, ShortlistView

CENT = Decimal("0.01")
State = Literal["go", "caution", "waiting", "no_go"]

NAMES = {
    "latch": "entry latch",
    "reconcile": "books and broker",
    "day_loss": "loss of the day",
    "order_count": "orders",
    "position_count": "places",
    "account": "account",
}
LINKS = {"prices_link": "price stream", "orders_link": "order stream"}


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What is known now. ``reports`` come from ``ExecutionDesk.go_board`` for ``session``."""

    now: datetime  # market time
    session: Session  # whose open comes next
    rules: ExecutionSettings
    shortlist: ShortlistView
    week: date | None  # of the selection in force, None without one
    group: str  # its traded group
    reports: Sequence[GateReport]
    held: frozenset[str]  # every symbol of the account
    allocation: Decimal | None  # dollars that the day may use
    broker: LinkView
    timeout_s: float
    links: tuple[LinkView, LinkView]  # prices, orders
    reconciled_age_s: float | None
    reconcile_s: float
    commit_ms: float | None  # how long the journal's last commit took
    journal_failed: str
    drift: tuple[str, ...] = ()  # between books and broker
    advice: Grade | None = None  # of the selection in force


def board_session(
    now: datetime, sessions: Sequence[Session], rules: ExecutionSettings, entered: Callable[[date], bool]
) -> Session | None:
    """The session whose entries are still to come: its window has not ended, its names are not bought yet."""
    return next((s for s in sessions if now < window_end(s, rules) and not entered(s.day)), None)


def window_end(session: Session, rules: ExecutionSettings) -> datetime:
    return at_new_york(session.day, rules.entry_window_end).astimezone(UTC)


def board_view(facts: BoardFacts) -> BoardView:
    """Every gate in the order of the day, and the verdict that follows from them."""
    mine = facts.shortlist.session == facts.session.day
    chosen = [row for row in facts.shortlist.rows if row.chosen] if mine else []
    reports = {report.gate: report for report in facts.reports}
    gates = [
        _groups(facts),
        _list(facts, mine, chosen),
        *_candidates(facts, mine),
        *_evidence(facts),
        _approval(facts, mine, reports.get("approval")),
        *_capital(facts, chosen),
        *_held(facts, chosen),
        *(_report(facts, reports[name]) for name in NAMES if name in reports and _counts(facts, name)),
        *_journal(facts),
        *_broker(facts),
        *_links(facts, reports),
        _window(facts),
    ]
    return BoardView(
        verdict=_verdict(gates),
        summary=_summary(facts, gates),
        session=facts.session.day,
        opens_at=facts.session.open,
        window_end=window_end(facts.session, facts.rules),
        list_hash=facts.shortlist.list_hash if mine else "",
        symbols=tuple(row.symbol for row in chosen),
        per_name=None if facts.allocation is None else (facts.allocation / facts.rules.names).quantize(CENT),
        gates=tuple(gates),
        at_the_open=(
            f"quote at most {facts.rules.quote_age_s:g} s old, spread at most {facts.rules.spread_cap_pct:g} %, "
            f"gap at most {facts.rules.gap_cap_pct:g} % either way and not above "
            f"+{facts.rules.gap_cap_atr:g} ATR, not halted"
        ),
    )


# --- what must exist --------------------------------------------------------------------------


def _groups(facts: BoardFacts) -> GateView:
    if facts.week is None:
        return GateView(
            gate="groups",
            name="groups",
            state="no_go",
            measured=f"none for {facts.session.day:%a %d %b}",
            limit="one selected",
            remedy="w runs the weekend",
        )
    return GateView(
        gate="groups",
        name="groups",
        state="go",
        measured=f"week of {facts.week:%d %b}: {facts.group}",
        limit="one selected",
    )


def _list(facts: BoardFacts, mine: bool, chosen: Sequence[ShortlistRow]) -> GateView:
    limit = f"1 to {facts.rules.names} names"
    if not mine or facts.shortlist.state == "none":
        return GateView(
            gate="list",
            name="trade list",
            state="waiting",
            measured="0 names, not made yet",
            limit=limit,
            remedy="d runs the market day: the list comes after the close before",
        )
    if not chosen:
        why = facts.shortlist.detail.partition(";")[0] or "no candidate"
        return GateView(
            gate="list",
            name="trade list",
            state="no_go",
            measured=f"0 names: {why}",
            limit=limit,
            remedy="no trade that day",
        )
    names = " ".join(row.symbol for row in chosen)
    return GateView(gate="list", name="trade list", state="go", measured=f"{len(chosen)}: {names}", limit=limit)


def _candidates(facts: BoardFacts, mine: bool) -> list[GateView]:
    """Today's count against what the training days promise: outside of 0.3 to 3 times it warns."""
    view = facts.shortlist
    if not mine or view.expected is None:
        return []
    low, high = DRIFT_LOW * view.expected, DRIFT_HIGH * view.expected
    return [
        GateView(
            gate="candidates",
            name="model drift",
            state="caution" if view.drift else "go",
            measured=f"{view.candidates} candidates",
            limit=f"{low:.0f} to {high:.0f} ({view.expected:.0f} promised)",
            remedy="the market differs from the training week: consider r, no trade" if view.drift else "",
        )
    ]


def _evidence(facts: BoardFacts) -> list[GateView]:
    """On a live account: what the ledger allows. Without real money advice holds nothing up."""
    advice = facts.advice
    if advice is None or advice.mode is not Mode.LIVE:
        return []
    return [
        GateView(
            gate="evidence",
            name="evidence",
            state="caution" if advice.against else "go",
            measured=f"grade {advice.letter}, {advice.standing}: {advice.advice}",
            limit="A or B",
            remedy="no trade; a yes must say that it is against the advice" if advice.against else "",
        )
    ]


def _approval(facts: BoardFacts, mine: bool, report: GateReport | None) -> GateView:
    view = facts.shortlist
    deadline = view.deadline if mine else None
    if report is not None and report.passed:
        return GateView(
            gate="approval",
            name="approval",
            state="go",
            measured=f"given {report.measured}",
            limit=f"valid until {_clock(view.valid_until)}" if mine else "",
            until=view.valid_until if mine else None,
        )
    by = f"by {_clock(deadline)}" if deadline else f"by {facts.rules.approval_deadline:%H:%M} ET"
    if mine and view.state in ("rejected", "expired"):
        return GateView(
            gate="approval",
            name="approval",
            state="no_go",
            measured="rejected" if view.state == "rejected" else "not given in time",
            limit=by,
            remedy="no trade that day",
        )
    if mine and view.state == "approved" and report is not None:  # approved, and yet it does not hold
        return GateView(
            gate="approval",
            name="approval",
            state="no_go",
            measured=report.measured,
            limit=report.limit,
            remedy=report.remedy,
        )
    waiting = mine and view.state == "pending"
    return GateView(
        gate="approval",
        name="approval",
        state="waiting",
        measured="not given" if waiting else "nothing to approve yet",
        limit=by,
        remedy="a on the shortlist (4), or 'tshc approve'" if waiting else "",
        until=deadline if waiting else None,
    )


# --- money ------------------------------------------------------------------------------------


def _capital(facts: BoardFacts, chosen: Sequence[ShortlistRow]) -> list[GateView]:
    """A quarter of the allocation must buy at least one share of each name at its last close."""
    if facts.allocation is None:
        return []
    part = facts.allocation / facts.rules.names
    measured = f"{part:,.2f} $ a name"
    if not chosen:
        state: State = "go" if part > 0 else "no_go"
        limit = "more than 0 $"
        if facts.held and facts.session.day > _today(facts):
            limit += ", positions leave first"
    else:
        dear = [row.symbol for row in chosen if Decimal(str(row.close)) > part]
        state = "no_go" if len(dear) == len(chosen) else "caution" if dear else "go"
        dearest = max(chosen, key=lambda row: row.close)
        limit = f"one share: {dearest.symbol} {dearest.close:,.2f} $"
    remedy = "" if state == "go" else "more capital, or swap the dear name"
    return [GateView(gate="capital", name="capital", state=state, measured=measured, limit=limit, remedy=remedy)]


def _held(facts: BoardFacts, chosen: Sequence[ShortlistRow]) -> list[GateView]:
    if not chosen:
        return []
    inside = [row.symbol for row in chosen if row.symbol in facts.held]
    state: State = "no_go" if len(inside) == len(chosen) else "caution" if inside else "go"
    return [
        GateView(
            gate="held",
            name="already held",
            state=state,
            measured=f"{len(inside)} of {len(chosen)}" + (f": {' '.join(inside)}" if inside else ""),
            limit="0",
            remedy="swap it, or sell it first" if inside else "",
        )
    ]


def _counts(facts: BoardFacts, gate: str) -> bool:
    """A later session has no loss yet: today's number says nothing of it."""
    return gate != "day_loss" or facts.session.day <= _today(facts)


def _report(facts: BoardFacts, report: GateReport) -> GateView:
    """A gate of the execution, in its own numbers."""
    state: State = "go" if report.passed else "no_go"
    measured, limit, remedy = report.measured, report.limit, report.remedy
    if report.gate == "latch":
        measured, limit = ("0 set" if report.passed else report.measured), "0"
    elif report.gate == "reconcile":
        if facts.reconciled_age_s is None:
            state, measured = "waiting", "not compared yet"
        elif report.passed:
            measured = f"agree, {facts.reconciled_age_s:.0f} s ago"
            if facts.drift:
                state, measured = "caution", facts.drift[0]
                remedy = "k on the overview acknowledges it once it is explained"
        limit = f"every {facts.reconcile_s:g} s"
    elif report.gate == "day_loss" and report.limit:
        measured, limit = report.measured.removeprefix("day "), report.limit.replace("limit ", "above ")
    elif report.gate == "order_count" and facts.session.day > _today(facts):
        measured = measured.replace(" today", f" for {facts.session.day:%a %d %b}")  # today's are not among them
    elif report.gate == "position_count" and not report.passed and facts.session.day > _today(facts):
        state, remedy = "waiting", "today's positions leave before the close"
    elif report.gate == "account":
        measured, limit = report.measured.removeprefix("account "), "ACTIVE, not blocked"
    return GateView(
        gate=report.gate, name=NAMES[report.gate], state=state, measured=measured, limit=limit, remedy=remedy
    )


# --- machine ----------------------------------------------------------------------------------


def _journal(facts: BoardFacts) -> list[GateView]:
    if facts.journal_failed:
        return [
            GateView(
                gate="journal",
                name="journal",
                state="no_go",
                measured=facts.journal_failed,
                limit="takes every intent",
                remedy="free the disk, then restart the engine",
            )
        ]
    if facts.commit_ms is None:
        return []
    measured = f"last commit {facts.commit_ms:.1f} ms"
    return [GateView(gate="journal", name="journal", state="go", measured=measured, limit="takes every intent")]


def _broker(facts: BoardFacts) -> list[GateView]:
    limit = f"answers within {facts.timeout_s:g} s"
    if facts.broker.state == "live" and facts.broker.latency_ms is not None:
        measured = f"{facts.broker.latency_ms:.0f} ms"
        return [GateView(gate="broker", name="broker", state="go", measured=measured, limit=limit)]
    if facts.broker.state == "connecting":
        return [GateView(gate="broker", name="broker", state="waiting", measured="no answer yet", limit=limit)]
    return [
        GateView(
            gate="broker",
            name="broker",
            state="no_go",
            measured=f"{facts.broker.state}{_since(facts.broker)}: {facts.broker.detail}".rstrip(": "),
            limit=limit,
            remedy="check the network; 'tshc doctor' names the address",
        )
    ]


def _since(link: LinkView) -> str:
    return "" if link.age_s is None else f" {link.age_s:.0f} s"


def _links(facts: BoardFacts, reports: dict[str, GateReport]) -> list[GateView]:
    rows = []
    for (gate, name), link in zip(LINKS.items(), facts.links, strict=True):
        report = reports.get(gate)
        if report is None:
            continue
        age = "" if link.age_s is None else f", heard {link.age_s:.1f} s ago"
        state: State = "go" if report.passed else "waiting" if link.state == "connecting" else "no_go"
        detail = f" ({link.detail})" if link.detail and not report.passed else ""
        remedy = "" if report.passed else "it reconnects by itself; refused means wrong keys or plan"
        rows.append(
            GateView(
                gate=gate,
                name=name,
                state=state,
                measured=f"{link.state}{age}{detail}",
                limit="connected",
                remedy=remedy,
            )
        )
    return rows


def _window(facts: BoardFacts) -> GateView:
    end = window_end(facts.session, facts.rules)
    is_open = facts.now >= facts.session.open
    return GateView(
        gate="window",
        name="entry window",
        state="go",
        measured="open now" if is_open else f"{facts.session.day:%a} {_clock(facts.session.open)}",
        limit=f"until {_clock(end)}",
        until=end if is_open else facts.session.open,
    )


# --- the verdict ------------------------------------------------------------------------------


def _verdict(gates: Sequence[GateView]) -> Literal["go", "waiting", "no_go"]:
    states = {gate.state for gate in gates}
    return "no_go" if "no_go" in states else "waiting" if "waiting" in states else "go"


def _summary(facts: BoardFacts, gates: Sequence[GateView]) -> str:
    stops = [gate.name for gate in gates if gate.state == "no_go"]
    waits = [gate.name for gate in gates if gate.state == "waiting"]
    looks = [gate.name for gate in gates if gate.state == "caution"]
    also = f"; look at {', '.join(looks)}" if looks else ""
    if stops:
        count = "1 gate stops" if len(stops) == 1 else f"{len(stops)} gates stop"
        return f"{count} the entries: {', '.join(stops)}" + (f"; missing: {', '.join(waits)}" if waits else "")
    if waits == ["approval"]:
        return f"only your yes is missing{also}"
    if waits:
        return f"missing: {', '.join(waits)}{also}"
    if facts.now >= facts.session.open:
        return f"entries may leave until {_clock(window_end(facts.session, facts.rules))}{also}"
    return f"entries leave {facts.session.day:%a %d %b} at {_clock(facts.session.open)}{also}"


def _today(facts: BoardFacts) -> date:
    return facts.now.astimezone(NEW_YORK).date()


def _clock(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(NEW_YORK):%H:%M:%S} ET"
