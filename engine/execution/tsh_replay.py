"""The same journal gives the same decisions: a recorded day is decided again and compared.

Pure: rows, fills and intents in, findings out; no clock, no broker. Every recorded event is
put to the machine of ``tsh_trade_management`` again, with the quiet prints before it, and the
state and the exit that come out must be the recorded ones (``tsh_record`` says why the sparse
rows suffice). Then the record is held against the rest of the journal: shares and money
against the fills, exit orders against the decisions. After a finding the replay goes on from
what was recorded, so that one altered row does not condemn the day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.execution.order_ids import EXIT, is_outside
from engine.execution.tsh_record import (
    CLOSE_MOVED,
    OPENED,
    RESTORED,
    event_of,
    is_quiet,
    rules_of,
    state_json,
    state_of,
)
from engine.execution.tsh_trade_management import (
    ClockAdvanced,
    Exit,
    ExitReason,
    Phase,
    Sold,
    TshState,
    opened,
    step,
)
from engine.model import Tick
from engine.orders_model import Fill, OrderIntent
from engine.tsh_log import TshRow

_UNREADABLE = (KeyError, ValueError, TypeError, ArithmeticError)  # ArithmeticError: not a Decimal
_CLOSE_ENOUGH = Decimal("0.000001")  # dollars: an average of many fills is rounded at its 28th digit


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the record, decided again."""

    seq: int
    symbol: str
    at: datetime  # market time
    event: str
    prints: int  # quiet ones since the row before
    phase: str
    stop: str
    exit: str  # the reason of the exit that was asked for, or empty
    finding: str = ""  # how the replay differs from the record

    @property
    def same(self) -> bool:
        return not self.finding


def replay(rows: Sequence[TshRow]) -> list[Decision]:
    """Every recorded step decided again, in the order of the record."""
    states: dict[str, TshState] = {}
    numbers: dict[str, int] = {}
    decisions = []
    for row in rows:
        before = states.get(row.symbol)
        try:
            recorded, finding = _decide(row, before)
            number = int(row.data["number"])
            due = 0 if row.kind == RESTORED else numbers.get(row.symbol, number - 1) + 1
            if number != due:
                finding = f"row {number} of the ticker, {due} was due; {finding}".removesuffix("; ")
            numbers[row.symbol] = number
        except _UNREADABLE as error:
            recorded, finding = None, f"the row cannot be read ({type(error).__name__}: {error})"
        if recorded is not None:
            states[row.symbol] = recorded
        gap, exit_ = row.data.get("gap") or {}, row.data.get("exit") or {}
        decisions.append(
            Decision(
                seq=row.seq,
                symbol=row.symbol,
                at=row.market_at,
                event=row.kind,
                prints=gap.get("prints", 0) if isinstance(gap, dict) else 0,
                phase="?" if recorded is None else recorded.phase.value,
                stop="" if recorded is None or recorded.stop is None else f"{recorded.stop:f}",
                exit=str(exit_.get("reason", "")) if isinstance(exit_, dict) else "?",
                finding=finding,
            )
        )
    return decisions


def _decide(row: TshRow, before: TshState | None) -> tuple[TshState, str]:
    """(the state as recorded, how the machine's answer differs from it)."""
    data = row.data
    if row.kind in (OPENED, RESTORED):
        recorded = state_of(row.symbol, data["after"], rules_of(data["event"]["rules"]))
        return recorded, _beginning(row, recorded, before)
    if before is None:
        raise ValueError("a step of a position that was never opened")
    recorded = state_of(row.symbol, data["after"], before.rules)
    state, finding = _through_the_gap(before, data.get("gap"))
    if finding:
        return recorded, finding
    if row.kind == CLOSE_MOVED:
        return recorded, _difference(replace(state, session_close=recorded.session_close), None, data)
    after, exit_ = step(state, event_of(row.symbol, row.kind, data["event"]))
    return recorded, _difference(after, exit_, data)


def _beginning(row: TshRow, recorded: TshState, before: TshState | None) -> str:
    """A position opens by its first fill alone; a restored one goes on, at most with what its last life saved."""
    if row.kind == OPENED:
        if before is not None and not before.closed:
            return "opened while it was open"
        fresh = opened(
            row.symbol, recorded.shares, recorded.entry, recorded.last_at, recorded.session_close, recorded.rules
        )
        return _difference(fresh, None, row.data)
    if before is not None and before.closed:
        return "restored after it was closed"
    if before is not None and recorded.bought < before.bought:
        return f"restored with {recorded.bought} shares bought, {before.bought} were recorded"
    if before is not None and before.stop is not None and (recorded.stop is None or recorded.stop < before.stop):
        return f"restored with the stop at {recorded.stop}, it stood at {before.stop}: a trailing stop never falls"
    return ""


def _through_the_gap(state: TshState, gap: Mapping[str, Any] | None) -> tuple[TshState, str]:
    """The state after the quiet prints and beats, and why they could not have been quiet."""
    if not gap:
        return state, ""
    if "prints" in gap:
        at = datetime.fromisoformat(gap["last_at"])
        low, high, last = Decimal(gap["low"]), Decimal(gap["high"]), Decimal(gap["last"])
        if not low <= last <= high or at < state.last_at:
            return state, f"the quiet prints contradict themselves ({low} to {high}, last {last})"
        for price in (low, high):
            after, exit_ = step(state, Tick(state.symbol, price, at, 0.0))
            if exit_ is not None or not is_quiet(state, after):
                decided = f"{exit_.reason} exit" if exit_ is not None else f"{after.phase}, stop {after.stop}"
                return state, f"a print at {price} passed for quiet, the machine decides {decided}"
        state = replace(state, high=max(state.high, high), last=last, last_at=at)
    if "clock_at" in gap:
        beat = ClockAdvanced(datetime.fromisoformat(gap["clock_at"]), float(gap["clock_rate"]))
        after, exit_ = step(state, beat)
        if exit_ is not None or after is not state:
            return state, f"the clock of {gap['clock_at']} passed for quiet, the machine decides END_OF_DAY"
    return state, ""


def _difference(after: TshState, exit_: Exit | None, data: Mapping[str, Any]) -> str:
    """Where state and exit of the machine are not the recorded ones."""
    found = []
    asked = None if exit_ is None else {"reason": exit_.reason.value, "at_price": str(exit_.at_price)}
    if asked != data.get("exit"):
        found.append(f"exit {_words(asked)}, recorded {_words(data.get('exit'))}")
    decided = state_json(after)
    for name, value in decided.items():
        if value != data["after"].get(name):
            found.append(f"{name} {value}, recorded {data['after'].get(name)}")
    return "; ".join(found)


def _words(exit_: Mapping[str, Any] | None) -> str:
    return "none" if not exit_ else f"{exit_.get('reason')} at {exit_.get('at_price')}"


# --- against the rest of the journal ----------------------------------------------------------


def against_the_journal(
    rows: Sequence[TshRow], fills: Sequence[Fill], intents: Sequence[OrderIntent]
) -> list[str]:
    """Where the record and the journal's fills and exit orders contradict each other, symbol by symbol.

    ``fills`` and ``intents`` are those of the session; ``carried_over`` adds what later sessions sold of it.
    """
    found: list[str] = []
    by_symbol: dict[str, list[TshRow]] = defaultdict(list)
    for row in rows:
        by_symbol[row.symbol].append(row)
    for symbol, own in by_symbol.items():
        try:
            lives = _lives(own)
            found += _money(symbol, lives, own, [f for f in fills if f.symbol == symbol])
        except _UNREADABLE as error:
            found.append(f"{symbol}: the record cannot be read ({type(error).__name__})")
            continue
        decided = {(row.data.get("exit") or {}).get("reason") for row in own} | {
            row.data["after"].get("reason") for row in own
        }
        for intent in intents:
            if intent.symbol == symbol and intent.leg == EXIT and intent.why not in decided:
                found.append(
                    f"{symbol}: exit order {intent.client_order_id} says {intent.why}, nothing decided so"
                )
    for fill in fills:
        if fill.symbol not in by_symbol:
            found.append(f"{fill.symbol}: a fill of {fill.shares} shares, and no decision was recorded")
            by_symbol[fill.symbol] = []
    return found


def carried_over(rows: Sequence[TshRow], later: Sequence[Fill]) -> list[Fill]:
    """Of the fills of later sessions those that sold positions which this record carried over its close."""
    carried = {row.symbol for row in rows if row.data.get("after", {}).get("phase") == Phase.CARRIED.value}
    ends = {row.symbol: row.market_at for row in rows}  # the last row of each symbol
    return [f for f in later if f.side == "sell" and f.symbol in carried and f.at <= ends[f.symbol]]


def _lives(rows: Sequence[TshRow]) -> list[TshState]:
    """The last recorded state of each position of a symbol: bought, sold, and perhaps bought again."""
    lives: list[TshState] = []
    for row in rows:
        rules = rules_of(row.data["event"]["rules"]) if row.kind in (OPENED, RESTORED) else None
        if rules is None and not lives:
            raise ValueError("no beginning")
        state = state_of(row.symbol, row.data["after"], rules or lives[-1].rules)
        if row.kind == OPENED or not lives:
            lives.append(state)
        else:
            lives[-1] = state
    return lives


def _money(symbol: str, lives: Sequence[TshState], rows: Sequence[TshRow], fills: Sequence[Fill]) -> list[str]:
    bought, cost, sold = 0, Decimal(0), 0
    for fill in fills:
        if fill.side == "buy":
            bought, cost = bought + fill.shares, cost + fill.price * fill.shares
        elif not is_outside(fill.client_order_id):  # counted by the record: early journals have no fill of them
            sold += fill.shares
    outside = sum(
        int(row.data["event"]["shares"])
        for row in rows
        if row.kind == Sold.__name__ and row.data["event"].get("reason") == ExitReason.OUTSIDE.value
    )
    recorded = sum(state.bought for state in lives)
    money = sum((state.entry * state.bought for state in lives), Decimal(0))
    left = sum(state.shares for state in lives)
    found = []
    if recorded != bought:
        found.append(f"{symbol}: {bought} shares bought by the fills, {recorded} by the record")
    elif abs(money - cost) > _CLOSE_ENOUGH:
        found.append(f"{symbol}: entries cost {cost:.4f} $ by the fills, {money:.4f} $ by the record")
    if recorded - left != sold + outside:
        found.append(f"{symbol}: {sold} shares sold by the fills, {recorded - left - outside} by the record")
    if any(state.phase is Phase.CLOSED and state.shares for state in lives):
        found.append(f"{symbol}: closed with shares left")
    return found
