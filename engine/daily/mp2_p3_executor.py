"""mp2_p3: the selected group on today's bars, from the universe to a ranked shortlist.

Execution mode: the 64 bars of a window end at today's close, which is the signal bar, so a
buy is a candidate for tomorrow's open. A candidate is what **every** member of the group
buys. The group is also evaluated on each of the last 21 signal days: what followed those
firings is the largest part of a candidate's rank.

The one thing to know: rank 2 of the week runs beside rank 1 every day (shadow), through
the same functions and the same windows, but only the first one's shortlist is traded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from engine.brackets import BracketTable
from engine.compute import ComputeEngine
from engine.compute.algorithms import ALGORITHMS
from engine.daily import ranking
from engine.errors import DataError, RefusedError
from engine.events import AlertRaised, EventSink, Progress
from engine.model import (
    CLOSE,
    LOOKBACK,
    TICKERS,
    Bools,
    ExitModel,
    Ints,
    Panel,
    ParameterSet,
    excess_of,
    mean_or_zero,
    profit_percentage,
)
from engine.records import Candidate, FinalGroup
from engine.settings import DailySettings
from engine.storage.stocks_data_db import StocksDataDb

STAGE = "mp2_p3_executor"
DRIFT_LOW, DRIFT_HIGH = 0.3, 3.0  # today's candidates against what the training days promise


@dataclass(frozen=True, slots=True)
class GroupDay:
    """One group's answer to one signal day."""

    group: FinalGroup
    name: str
    session: date  # the signal day: its close is the signal bar
    universe: int  # tickers that were asked
    ranked: tuple[Candidate, ...]  # the shortlist, best first, at most ``DailySettings.shortlist``
    vetoed: tuple[Candidate, ...]  # what the lookback check forbids, rank 0, in order of score
    symbols: tuple[str, ...]  # every candidate without a veto in order of score: what a ledger judges
    past_picks: tuple[int, ...]  # candidates on each of the last signal days, oldest first
    past_excess_pct: float  # mean excess of all those picks on the following sessions
    expected: float  # candidates that the training days promise for this universe
    reason: str  # why the shortlist is empty; "" otherwise
    drift: str  # why today's count is alarming; "" otherwise

    @property
    def rows(self) -> tuple[Candidate, ...]:
        """The rows of ``shortlist``: the ranked ones, then the vetoed ones."""
        return self.ranked + self.vetoed

    @property
    def candidates(self) -> int:
        """How many tickers the group buys today, vetoed ones included."""
        return len(self.symbols) + len(self.vetoed)


@dataclass(frozen=True, slots=True)
class ExecutorOutcome:
    """The shortlist that is traded, and the shadow group's, which is only recorded."""

    traded: GroupDay
    shadow: GroupDay | None


@dataclass(frozen=True, slots=True)
class _Universe:
    """What is the same for every group of the day."""

    panel: Panel
    measures: ranking.Lookback
    vetoes: list[str]
    excess: Ints  # [past days, tickers], of the session after each past signal day


def group_name(members: Sequence[ParameterSet]) -> str:
    """The group as a person reads it: ``adx n 11  thr 18  k 3 · rsi n 9 ...``."""
    return " · ".join(f"{m.algorithm} {ALGORITHMS[m.algorithm].text(m.values)}" for m in members)


def _checked(panel: Panel, settings: DailySettings) -> None:
    needed = LOOKBACK + max(settings.lookback_sessions, ranking.ATR_SESSIONS)
    if not panel.symbols or len(panel.sessions) < needed:
        raise DataError(
            f"the dictionary holds {len(panel.symbols):,} tickers and {len(panel.sessions)} sessions, "
            f"the executor needs {needed} sessions: run 'tshc weekday', its daily snapshot fills them"
        )
    if not np.all(np.isfinite(panel.bars)) or np.any(panel.bars[:, :, :4] <= 0):
        bad = ~(np.isfinite(panel.bars).all(axis=(1, 2)) & (panel.bars[:, :, :4] > 0).all(axis=(1, 2)))
        symbol = panel.symbols[int(np.argmax(bad))]
        raise DataError(
            f"{int(bad.sum())} tickers of the dictionary have a bar without a price, {symbol} first: "
            "run 'tshc weekday' again, its daily snapshot replaces them"
        )


def fires(
    panel: Panel, ends: Sequence[int], groups: Sequence[Sequence[ParameterSet]], engine: ComputeEngine
) -> list[Bools]:
    """For each group, bool[len(ends), tickers]: what all its members buy on windows ending at each session index.

    One evaluation a day serves every group: members that two groups share are asked once.
    """
    sets = list(dict.fromkeys(member for group in groups for member in group))
    columns = [[sets.index(member) for member in group] for group in groups]
    fired = [np.zeros((len(ends), len(panel.symbols)), dtype=np.bool_) for _ in groups]
    for row, end in enumerate(ends):
        buys = engine.evaluate(panel.windows(end, LOOKBACK), sets, mode="execution").buys
        for out, chosen in zip(fired, columns, strict=True):
            out[row] = buys[:, chosen].all(axis=1)
    return fired


def following_excess(
    panel: Panel, signal_days: Sequence[int], brackets: BracketTable, exit_model: ExitModel
) -> Ints:
    """int64[days, tickers]: PP of the session after each signal day minus that day's universe mean."""
    pp = [profit_percentage(panel.bars[:, end + 1], brackets, exit_model) for end in signal_days]
    return excess_of(np.stack(pp))


def _candidate(
    universe: _Universe,
    i: int,
    rank: int,
    score: float,
    parts: dict[str, float],
    fired: tuple[int, float],
    names: Mapping[str, str],
    sessions: int,
) -> Candidate:
    panel, m = universe.panel, universe.measures
    symbol = panel.symbols[i]
    return Candidate(
        rank=rank,
        symbol=symbol,
        name=names.get(symbol, ""),
        close=float(panel.bars[i, -1, CLOSE]),
        rank_score=score,
        parts=parts,
        measures={
            "firings": float(fired[0]),
            "firings_excess_pct": fired[1],  # shrunk mean
            "month_mean_pct": float(m.month_mean_pct[i]),
            "month_hits": float(m.month_hits[i]),
            "dollar_volume": float(m.dollar_volume[i]),
            "gap_risk_pct": float(m.gap_pct[i]),
            "atr_pct": float(m.atr_pct[i]),
            "atr_distance_pct": float(m.atr_distance_pct[i]),
            "return_5_sessions_pct": float(m.return_5_pct[i]),
        },
        closes=tuple(float(c) for c in panel.bars[i, -sessions:, CLOSE]),
        veto=universe.vetoes[i],
    )


def _group_day(
    group: FinalGroup, fired: Bools, universe: _Universe, settings: DailySettings, names: Mapping[str, str]
) -> GroupDay:
    """``fired``: [past days + today, tickers]; the last row is today."""
    panel = universe.panel
    past, today = fired[:-1], fired[-1]
    counts, firings = ranking.shrunk_firings(past, universe.excess)
    ranks = ranking.components(firings, universe.measures)
    scores, parts = ranking.rank_scores(ranks, settings.weights)
    bought = [int(i) for i in np.flatnonzero(today)]
    ordered = [bought[k] for k in ranking.order(scores[bought], [panel.symbols[i] for i in bought])]
    free = [i for i in ordered if not universe.vetoes[i]]
    forbidden = [i for i in ordered if universe.vetoes[i]]

    def row(i: int, rank: int) -> Candidate:
        own = {name: float(values[i]) for name, values in parts.items()}
        history = (int(counts[i]), float(firings[i]))
        return _candidate(universe, i, rank, float(scores[i]), own, history, names, settings.lookback_sessions)

    expected = mean_or_zero(group.day_picks) * len(panel.symbols) / TICKERS
    return GroupDay(
        group=group,
        name=group_name(group.members),
        session=panel.sessions[-1],
        universe=len(panel.symbols),
        ranked=tuple(row(i, k + 1) for k, i in enumerate(free[: settings.shortlist])),
        vetoed=tuple(row(i, 0) for i in forbidden),
        symbols=tuple(panel.symbols[i] for i in free),
        past_picks=tuple(int(n) for n in past.sum(axis=1)),
        past_excess_pct=float(universe.excess[past].mean() / 1e6) if past.any() else 0.0,
        expected=expected,
        reason=_emptiness(len(panel.symbols), len(forbidden)) if not free else "",
        drift=drift_of(len(bought), expected),
    )


def _emptiness(universe: int, vetoed: int) -> str:
    if vetoed:
        return f"all {vetoed} candidates are vetoed by the lookback check"
    return f"the group buys none of the {universe:,} tickers today"


def drift_of(count: int, expected: float) -> str:
    """A sentence when ``count`` is outside 0.3-3 times ``expected``, else ""."""
    if DRIFT_LOW * expected <= count <= DRIFT_HIGH * expected:
        return ""
    return (
        f"{count} candidates today where the training days promise about {expected:.0f}: outside "
        f"{DRIFT_LOW:g}-{DRIFT_HIGH:g} times; today's market differs from the week the group was chosen on"
    )


def execute(
    groups: Sequence[FinalGroup],
    panel: Panel,
    engine: ComputeEngine,
    settings: DailySettings,
    brackets: BracketTable,
    exit_model: ExitModel,
    names: Mapping[str, str] | None = None,
) -> list[GroupDay]:
    """Each group's day on the same panel (its last session is the signal day). Computes only, reads nothing.

    Raises DataError for a panel that is too short or holds unusable bars.
    """
    _checked(panel, settings)
    today = len(panel.sessions) - 1
    past = list(range(today - settings.lookback_sessions, today))
    measures = ranking.lookback(panel.bars, settings.lookback_sessions)
    universe = _Universe(
        panel,
        measures,
        ranking.vetoes(measures, settings.veto_volatility_pct, settings.veto_loss_pct),
        following_excess(panel, past, brackets, exit_model),
    )
    fired = fires(panel, [*past, today], [g.members for g in groups], engine)
    return [
        _group_day(group, own, universe, settings, names or {}) for group, own in zip(groups, fired, strict=True)
    ]


async def shortlist(
    traded: FinalGroup | None,
    shadow: FinalGroup | None,
    stocks: StocksDataDb,
    engine: ComputeEngine,
    settings: DailySettings,
    brackets: BracketTable,
    exit_model: ExitModel,
    events: EventSink,
    names: Mapping[str, str] | None = None,
) -> ExecutorOutcome:
    """The stage: reads the dictionary, ranks both groups' candidates, replaces ``shortlist`` with the first's.

    Rerunnable. An empty shortlist is an answer, told in ``traded.reason``. Raises RefusedError
    without a selected group and DataError without usable bars.
    """
    if traded is None:
        raise RefusedError("no group is selected: run 'tshc weekend' first")
    session, panel = await stocks.dictionary()
    events.publish(Progress(stage=STAGE, done=0, total=1, detail=f"{len(panel.symbols):,} tickers"))
    groups = [traded] if shadow is None else [traded, shadow]
    days = await asyncio.to_thread(execute, groups, panel, engine, settings, brackets, exit_model, names)
    first = days[0]
    await stocks.replace_shortlist(session, first.name, first.rows)
    if first.drift:
        events.publish(AlertRaised(key=f"drift-{session}", message=first.drift))
    events.publish(Progress(stage=STAGE, done=1, total=1, detail=f"{len(first.ranked)} candidates"))
    return ExecutorOutcome(first, days[1] if len(days) > 1 else None)
