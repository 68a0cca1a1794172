"""Small made-up weeks for the storage and data tests: everything a pure function of a seed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from engine.model import DAYS, WORDS, DailyBar, Panel, Parameter, ParameterSet
from engine.records import FinalGroup, PrunedVariation, SearchOutcome, VariationResult, picks_bytes
from engine.spaces import ParameterSpace

ADX = ParameterSpace("adx", (Parameter("n", 5, 28), Parameter("thr", 5, 30), Parameter("k", 1, 8)))
KELT = ParameterSpace(
    "kelt", (Parameter("n", 5, 40), Parameter("m", 5, 30), Parameter("k", 3, 23, Decimal("0.1")))
)
SPACES = (ADX, KELT)


def weekdays(count: int, last: date = date(2026, 11, 20)) -> tuple[date, ...]:
    """The ``count`` weekdays up to ``last``, oldest first."""
    days: list[date] = []
    day = last
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(days=1)
    return tuple(reversed(days))


def panel(symbols: Sequence[str], sessions: Sequence[date], seed: int = 1) -> Panel:
    """Sound bars: rounded prices between 10 and 100 dollars, high and low around them."""
    rng = np.random.default_rng(seed)
    shape = (len(symbols), len(sessions))
    opened = rng.uniform(10, 100, shape).round(2)
    close = (opened * rng.uniform(0.95, 1.05, shape)).round(2)
    high = (np.maximum(opened, close) * 1.01).round(2)
    low = (np.minimum(opened, close) * 0.99).round(2)
    volume = rng.integers(100_000, 5_000_000, shape).astype(float)
    return Panel(tuple(symbols), tuple(sessions), np.stack([opened, high, low, close, volume], axis=2))


def bars(of: Panel) -> list[DailyBar]:
    return [
        DailyBar(symbol, day, *map(float, of.bars[i, k]))
        for i, symbol in enumerate(of.symbols)
        for k, day in enumerate(of.sessions)
    ]


def names(count: int, prefix: str = "S") -> tuple[str, ...]:
    """``count`` distinct symbols in symbol order."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return tuple(prefix + letters[i // 676] + letters[i // 26 % 26] + letters[i % 26] for i in range(count))


def result(
    space: ParameterSpace, cycle: int, slot: int, values: tuple[int, ...], seed: int = 1
) -> VariationResult:
    rng = np.random.default_rng([seed, cycle, slot, *values])
    buys = tuple(int(b) for b in rng.integers(0, 30, DAYS))
    words = rng.integers(0, 2**63, (DAYS, WORDS)).astype(np.uint64)
    return VariationResult(
        algorithm=space.algorithm,
        cycle=cycle,
        slot=slot,
        values=values,
        buys=buys,
        pp_sum=tuple(int(x) * (b > 0) for x, b in zip(rng.integers(-(10**12), 10**12, DAYS), buys, strict=True)),
        excess_sum=tuple(int(x) * (b > 0) for x, b in zip(rng.integers(-(10**9), 10**9, DAYS), buys, strict=True)),
        score=float(rng.normal()),
        score_mean=float(rng.normal()),
        score_deviation=float(-abs(rng.normal())),
        score_shortage=-0.25,
        overlap_max=float(rng.random()),
        overlap_mean=float(rng.random()),
        picks=picks_bytes(words),
    )


def cycle(number: int, spaces: Sequence[ParameterSpace] = SPACES) -> list[VariationResult]:
    """Eight new parameter sets of each space; no two cycles below 150 share one."""
    rows = []
    for space in spaces:
        first, second, third = space.parameters
        for slot in range(1, 9):
            place = (number - 1) * 8 + slot - 1
            a, rest = place % 24, place // 24
            values = (first.low + a, second.low + rest % 24, third.low + rest // 24)
            rows.append(result(space, number, slot, values))
    return rows


def pruned(space: ParameterSpace, count: int) -> list[PrunedVariation]:
    results = [r for number in range(1, count // 8 + 2) for r in cycle(number, [space])][:count]
    return [PrunedVariation(r, rank, f"rank {rank} of {count}") for rank, r in enumerate(results, start=1)]


def group(rank: int, selected: int | None = None, *, holdout: bool = True) -> FinalGroup:
    rng = np.random.default_rng(rank)
    words = rng.integers(0, 2**63, (DAYS, WORDS)).astype(np.uint64)
    return FinalGroup(
        rank=rank,
        members=(ParameterSet("adx", (9, 20, 2)), ParameterSet("kelt", (20, 10, 7))),
        score=1.0 / rank,
        mean=0.7,
        deviation=0.2,
        day_means=(0.5, 0.6, 0.7, 0.8, 0.9),
        day_picks=(8, 9, 10, 11, 12),
        pp_mean=0.4,
        picks=picks_bytes(words),
        leave_one_out=0.3,
        selection_score=0.25,
        standard_error=0.1,
        holdout_mean=0.05 if holdout else None,
        holdout_error=0.08 if holdout else None,
        holdout_picks=(11, 9, 14, 8, 10) if holdout else (),
        p_value=0.03 if rank == 2 else None,
        shuffles_reached=6 if rank == 2 else None,
        shuffles_done=232 if rank == 2 else None,
        shuffles_planned=300 if rank == 2 else None,
        shuffles_bounded=4_000 if rank == 2 else None,
        shuffles_observed=0.61 if rank == 2 else None,
        shuffles_scope="tested" if rank == 2 else None,
        overlap_first=None if selected == 1 else 0.2,
        selected=selected,
        verdict="trades" if selected == 1 else "",
    )


def outcome(week: date = date(2026, 11, 20)) -> SearchOutcome:
    return SearchOutcome(week, True, 0.0, 123_456, 789, 12.5, 60.0, 2, {"used": 24.0, "donated": 3.5})


def child(code: str, *arguments: Path | str) -> subprocess.Popen[bytes]:
    """A Python process that runs ``code`` with this folder importable; talk to it through its pipes."""
    importable = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    command = [sys.executable, "-c", importable + code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
