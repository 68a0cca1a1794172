"""The forward ledger: what all candidates of a frozen group earned on days that nobody had seen.

A day of a group is judged once, when its bars are final, from what was recorded before its
open: every candidate (up to a limit, best first) is bought at the open and leaves by PP and by
TSH's pessimistic path; excess is against the equal-weight mean of that day's universe under
the same exit. The one thing to know: costs are taken from the candidates alone. The
universe pays none, because nobody trades it; what is left is what trading the group added.

A week's entry is the plain mean of its judged days. Pure: records and bars in, records out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from engine.brackets import BracketTable
from engine.daily.ledger_sessions import WeekSessions
from engine.daily.pessimistic_exit import tsh_pessimistic
from engine.journal import LedgerEntry
from engine.ledger_log import LedgerCandidates, LedgerDay
from engine.model import MICRO, OPEN, ExitModel, Floats, Mode, Panel, mean_or_zero, profit_percentage
from engine.orders_model import Fill
from engine.trade_costs import CostModel


def live_results(fills: Iterable[Fill]) -> dict[str, float | None]:
    """What each name bought in a session really brought, percent of its cost.

    ``fills``: the executions of the session's orders. None where not all bought shares are sold by
    them (CARRIED): that trade has no result of this day. Names only sold are not the day's.
    """
    shares: dict[tuple[str, str], int] = defaultdict(int)
    dollars: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for fill in fills:
        shares[fill.symbol, fill.side] += fill.shares
        dollars[fill.symbol, fill.side] += fill.shares * fill.price
    bought = sorted(symbol for symbol, side in shares if side == "buy")
    return {
        symbol: float(100 * (dollars[symbol, "sell"] / dollars[symbol, "buy"] - 1))
        if shares[symbol, "sell"] == shares[symbol, "buy"]
        else None
        for symbol in bought
    }


def judged(
    record: LedgerCandidates,
    bars: Panel,
    live: Mapping[str, float | None],
    brackets: BracketTable,
    exit_model: ExitModel,
    costs: CostModel,
) -> LedgerDay:
    """The day of one group. ``bars``: one session, of those universe and candidate tickers that traded in it.

    A ticker without a bar could not be bought: it is counted neither as candidate nor in the
    universe. ``live``: as ``live_results``; names that are not candidates are left out, and
    an empty mapping is right for the shadow group. ValueError for bars of another session.
    """
    if bars.sessions != (record.session,):
        raise ValueError(f"bars of {record.session} are needed, not of {', '.join(map(str, bars.sessions))}")
    day, place = bars.bars[:, 0], {symbol: i for i, symbol in enumerate(bars.symbols)}
    pp = profit_percentage(day, brackets, exit_model) / MICRO
    tsh = tsh_pessimistic(day, brackets) / MICRO
    universe = [place[symbol] for symbol in record.universe if symbol in place]
    own = [(place[s], volume) for s, volume in record.candidates if s in place]
    rows = [row for row, _ in own]
    cost = np.array(costs.round_trips_pct(day[rows, OPEN].tolist(), [volume for _, volume in own]))
    pp_universe, tsh_universe = _mean(pp, universe), _mean(tsh, universe)
    pp_net, tsh_net = pp[rows] - cost - pp_universe, tsh[rows] - cost - tsh_universe

    symbols = [bars.symbols[row] for row in rows]
    traded = [k for k, symbol in enumerate(symbols) if symbol in live]
    closed = [(k, result) for k in traded if (result := live[symbols[k]]) is not None]
    live_net = [result - pp_universe for _, result in closed]
    gaps = [result - pp_universe - float(pp_net[k]) for k, result in closed]
    return LedgerDay(
        session=record.session,
        selected=record.selected,
        source=record.source,
        week=record.week,
        members=record.members,
        universe=len(universe),
        candidates=len(rows),
        cost=_mean(cost, range(len(rows))),
        pp_universe=pp_universe,
        tsh_universe=tsh_universe,
        pp_excess=_mean_or_none(pp_net.tolist()),
        tsh_excess=_mean_or_none(tsh_net.tolist()),
        traded=len(traded),
        traded_pp_excess=_mean_or_none([float(pp_net[k]) for k in traded]),
        traded_tsh_excess=_mean_or_none([float(tsh_net[k]) for k in traded]),
        traded_live_excess=_mean_or_none(live_net),
        pp_to_live_gap=_mean_or_none(gaps),
        reconstructed=record.reconstructed,
    )


def week_entries(days: Iterable[LedgerDay]) -> list[LedgerEntry]:
    """One entry for each week, group and source that has a day with a candidate.

    All days of a week count, also when its group was replaced in between: then ``members`` names
    both, because dropping the first one's days would be choosing among results.
    """
    weeks: dict[tuple[object, ...], list[LedgerDay]] = defaultdict(list)
    for day in sorted(days, key=lambda d: (d.week, d.selected, d.source, d.session)):
        if day.candidates:
            weeks[day.week, day.selected, day.source].append(day)
    return [_entry(own) for own in weeks.values()]


def _entry(days: Sequence[LedgerDay]) -> LedgerEntry:
    def mean(of: Callable[[LedgerDay], float | None]) -> float | None:
        return _mean_or_none([value for value in map(of, days) if value is not None])

    pp = [day.pp_excess for day in days if day.pp_excess is not None]
    tsh = [day.tsh_excess for day in days if day.tsh_excess is not None]
    first = days[0]
    return LedgerEntry(
        week=first.week,
        selected=first.selected,
        source=first.source,
        members=" then ".join(dict.fromkeys(day.members for day in days)),
        sessions=len(days),
        candidates=sum(day.candidates for day in days),
        pp_excess=mean_or_zero(pp),
        pp_error=standard_error(pp),
        tsh_excess=mean_or_zero(tsh),
        tsh_error=standard_error(tsh),
        traded=sum(day.traded for day in days),
        traded_pp_excess=mean(lambda day: day.traded_pp_excess),
        traded_tsh_excess=mean(lambda day: day.traded_tsh_excess),
        traded_live_excess=mean(lambda day: day.traded_live_excess),
        pp_to_live_gap=mean(lambda day: day.pp_to_live_gap),
    )


@dataclass(frozen=True, slots=True)
class CountedWeek:
    """One week of the traded group as a grade looks at it; excess in percent a day, net."""

    week: date
    judged: int  # sessions
    tsh_excess: float  # mean over the sessions with candidates, by TSH's pessimistic path
    pp_excess: float
    candidates: float  # a session
    sessions: WeekSessions | None = None  # None: not known of weeks before they were counted

    @property
    def missing(self) -> int:
        """Sessions that are over and not judged."""
        return 0 if self.sessions is None else max(0, self.sessions.possible - self.judged)

    @property
    def counts(self) -> bool:
        """A whole week alone counts as one: over, and judged on each of its sessions."""
        return self.sessions is None or (self.sessions.over and not self.missing)


def ledger_weeks(
    days: Iterable[LedgerDay], mode: Mode, sessions: Mapping[date, WeekSessions] | None = None
) -> list[CountedWeek]:
    """The weeks of traded groups that speak for ``mode``, oldest first, each once; not all of them count.

    A simulated market says nothing of a real one; paper and live share theirs. A session that was
    judged as paper and as live is one session. A week without any candidate says nothing.
    """
    sources = counted_sources(mode)
    weeks: dict[date, dict[date, LedgerDay]] = defaultdict(dict)
    for day in days:
        if day.selected == 1 and day.source in sources:
            weeks[day.week].setdefault(day.session, day)
    found = []
    for week, judged_days in sorted(weeks.items()):
        own = [day for day in judged_days.values() if day.tsh_excess is not None]
        if own:
            found.append(
                CountedWeek(
                    week=week,
                    judged=len(judged_days),
                    tsh_excess=mean_or_zero([day.tsh_excess for day in own if day.tsh_excess is not None]),
                    pp_excess=mean_or_zero([day.pp_excess for day in own if day.pp_excess is not None]),
                    candidates=mean_or_zero([float(day.candidates) for day in judged_days.values()]),
                    sessions=(sessions or {}).get(week),
                )
            )
    return found


def counted_sources(mode: Mode) -> frozenset[str]:
    """The sources of ledger rows that count in ``mode``."""
    if mode is Mode.SIM:
        return frozenset({Mode.SIM.value})
    return frozenset({Mode.PAPER.value, Mode.LIVE.value})


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of ``values``, from their own spread; None below two values."""
    if len(values) < 2:
        return None
    mean = mean_or_zero(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def _mean(values: Floats, rows: Sequence[int]) -> float:
    return float(np.mean(values[list(rows)])) if len(rows) else 0.0


def _mean_or_none(values: Sequence[float]) -> float | None:
    return mean_or_zero(values) if values else None
