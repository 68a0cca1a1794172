"""A small home for the group stage: bars of 1,150 tickers, pruned variations that the native engine measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from synthetic_week import panel

from engine.brackets import DEFAULT_BRACKETS
from engine.compute import ALGORITHMS, ComputeEngine, open_engine
from engine.decision.mp1_p3_pruner import select
from engine.decision.mp2_p2_group_discovery import DiscoveryPlan
from engine.decision.scoring import variation_score
from engine.model import (
    DAYS,
    LOOKBACK,
    TICKERS,
    DailyBar,
    ExitModel,
    Panel,
    ParameterSet,
    excess_of,
    pack_picks,
    profit_percentage,
)
from engine.records import PrunedVariation, VariationResult, picks_bytes
from engine.settings import PrunerSettings, SearchSettings
from engine.spaces import ParameterSpace
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb

OUTSIDE = 150  # hold-out tickers
SPACES = tuple(ALGORITHMS.values())


def results_of(path: Path) -> Path:
    return path.with_name("variation_results.db")


def native() -> ComputeEngine:
    return open_engine("native")


async def store(path: Path, *, each: int, seed: int = 5, rules: PrunerSettings | None = None) -> None:
    """Writes the week and ``each`` variations of every algorithm, all measured for real.

    With ``rules`` they are what training tested (``results_of(path)``), and the pruned ones are chosen from them.
    """
    bars = panel(seed, TICKERS + OUTSIDE, LOOKBACK + DAYS)
    rows = [
        DailyBar(symbol, day, *map(float, bars.bars[i, k]))
        for i, symbol in enumerate(bars.symbols)
        for k, day in enumerate(bars.sessions)
    ]
    stocks = await StocksDataDb.open(path)
    try:
        await stocks.begin_history("test", bars.sessions)
        await stocks.append_history(0, rows)
        await stocks.replace_weekly_data(bars.symbols[:TICKERS], seed=seed)
        random = np.random.default_rng(seed)
        for space in SPACES:
            points = list(space.enumerate())
            chosen = random.choice(len(points), min(each, len(points)), replace=False)
            sets = [ParameterSet(space.algorithm, points[i]) for i in chosen]
            measured = _measured(bars, space, sets)
            if rules is not None:
                results = await VariationResultsDb.open(results_of(path), spaces=SPACES)
                await results.append_cycle(0, [kept.result for kept in measured])
                await results.close()
                measured, _ = select([kept.result for kept in measured], rules, space.algorithm)
            await stocks.replace_pruned(space, measured)
    finally:
        await stocks.close()


def _measured(bars: Panel, space: ParameterSpace, sets: list[ParameterSet]) -> list[PrunedVariation]:
    engine = native()
    windows = [bars.windows(LOOKBACK + day, LOOKBACK + 1)[:TICKERS] for day in range(DAYS)]
    buys = np.stack([engine.evaluate(w, sets).buys.T for w in windows], axis=1)  # [sets, 5, 1000]
    pp = np.stack([profit_percentage(w[:, 0], DEFAULT_BRACKETS, ExitModel.TARGET_OR_CLOSE) for w in windows])
    excess = excess_of(pp)
    kept = []
    for rank, parameter_set in enumerate(sets, start=1):
        own = buys[rank - 1]
        buys_a_day = tuple(int(b) for b in own.sum(axis=1))
        excess_sums = tuple(int(excess[d][own[d]].sum()) for d in range(DAYS))
        score = variation_score(buys_a_day, excess_sums)
        result = VariationResult(
            algorithm=space.algorithm, cycle=0, slot=1, values=parameter_set.values,
            buys=buys_a_day,
            pp_sum=tuple(int(pp[d][own[d]].sum()) for d in range(DAYS)),
            excess_sum=excess_sums,
            score=score.score, score_mean=score.mean, score_deviation=score.deviation,
            score_shortage=score.shortage, overlap_max=0.0, overlap_mean=0.0,
            picks=picks_bytes(pack_picks(own)),
        )  # fmt: skip
        kept.append(PrunedVariation(result, rank, "test"))
    return kept


def plan(
    path: Path,
    *,
    used_before_s: float = 0.0,
    checkpoint: Path | None = None,
    rules: PrunerSettings | None = None,
    **settings: object,
) -> DiscoveryPlan:
    chosen = {
        "budget_s": 30.0,
        "min_picks": 4,
        "threads": 2,
        "top_k": 20,
        "max_size": 6,
        "permutations": 20,
    } | settings
    return DiscoveryPlan(
        stocks_db=path,
        spaces=SPACES,
        settings=SearchSettings.model_validate(chosen),
        brackets=DEFAULT_BRACKETS,
        exit_model=ExitModel.TARGET_OR_CLOSE,
        used_before_s=used_before_s,
        checkpoint=checkpoint,
        results_db=None if rules is None else results_of(path),
        pruner=rules,
    )
