"""Small group-search problems and the plain, slow answer to them."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from engine.decision.top_groups import FoundGroup
from engine.model import DAYS, MICRO, TICKERS, Ints, Words, pack_picks, unpack_picks
from engine.records import picks_bytes


class Case(NamedTuple):
    bits: Words
    pp: Ints
    algorithm: Ints


def case(seed: int, *, algorithms: int = 4, each: int = 4, density: float = 0.5, tickers: int = 60) -> Case:
    """Items that pick among the first ``tickers``; items of an algorithm resemble each other, some are equal."""
    random = np.random.default_rng(seed)
    n = algorithms * each
    common = random.random((DAYS, tickers))
    buys = np.zeros((n, DAYS, TICKERS), bool)
    for item in range(n):
        buys[item, :, :tickers] = 0.5 * common + 0.5 * random.random((DAYS, tickers)) > 1 - density
    if n > 5:
        buys[n - 1] = buys[0]  # groups with the same picks
        buys[n - 2] |= buys[1]  # and nested ones
    pp = (random.standard_t(4, (DAYS, TICKERS)) * MICRO).astype(np.int64)
    pp[:, 3] = pp[:, 4]  # ties
    order = random.permutation(n)
    return Case(pack_picks(buys)[order], pp, np.repeat(np.arange(algorithms), each)[order])


def spread(seed: int, *, algorithms: int = 6, each: int = 25, common: float = 0.55) -> Case:
    """Large enough for slices and donations: correlated picks over all tickers, density 2-20 %."""
    random = np.random.default_rng(seed)
    shared = random.standard_normal((DAYS, TICKERS))
    buys = np.zeros((algorithms * each, DAYS, TICKERS), bool)
    for algorithm in range(algorithms):
        own = random.standard_normal((DAYS, TICKERS))
        for variation in range(each):
            signal = common * shared + 0.6 * own + 0.5 * random.standard_normal((DAYS, TICKERS))
            cut = np.quantile(signal, 1 - random.uniform(0.02, 0.2))
            buys[algorithm * each + variation] = signal > cut
    pp = ((random.standard_t(4, (DAYS, TICKERS)) + 0.2 * shared) * MICRO).astype(np.int64)
    return Case(pack_picks(buys), pp, np.repeat(np.arange(algorithms), each))


def all_groups(given: Case, *, min_picks: int, max_size: int, exclusive: bool = True, total: bool = False) -> list[
    tuple[tuple[int, ...], Words]
]:  # fmt: skip
    """Every frequent set of 1..max_size items with its picks, by trying all of them."""
    found = []
    for size in range(1, max_size + 1):
        for members in itertools.combinations(range(len(given.bits)), size):
            if exclusive and len(set(given.algorithm[list(members)])) < size:
                continue
            picks = np.bitwise_and.reduce(given.bits[list(members)], axis=0)
            counts = np.bitwise_count(picks).sum(axis=1)
            if (counts.sum() if total else counts.min()) >= min_picks:
                found.append((members, picks))
    return found


def brute_force(
    given: Case,
    *,
    min_picks: int,
    max_size: int,
    top_k: int,
    score_lambda: float = 0.5,
    day_floor: float | None = None,
    min_positive_days: int = 0,
    worst_day: bool = False,
) -> tuple[FoundGroup, ...]:
    """The top groups by the definition: every group scored, same picks once, sorted."""
    best: dict[bytes, FoundGroup] = {}
    for members, picks in all_groups(given, min_picks=min_picks, max_size=max_size):
        if len(members) < 2:
            continue
        buys = unpack_picks(picks)
        sums = [int(given.pp[d, buys[d]].sum()) for d in range(DAYS)]
        counts = [int(buys[d].sum()) for d in range(DAYS)]
        means = [s / (c * MICRO) for s, c in zip(sums, counts, strict=True)]
        if day_floor is not None and min(means) < day_floor:
            continue
        if sum(m > 0 for m in means) < min_positive_days:
            continue
        mean = 0.0
        for m in means:
            mean += m
        mean /= DAYS
        variance = 0.0
        for m in means:
            variance += (m - mean) * (m - mean)
        score = min(means) if worst_day else mean - score_lambda * float(np.sqrt(variance / DAYS))
        group = FoundGroup(members, score, tuple(sums), tuple(counts), picks_bytes(picks))
        known = best.get(group.stored_picks)
        if known is None or group.order < known.order:
            best[group.stored_picks] = group
    return tuple(sorted(best.values(), key=lambda g: g.order)[:top_k])
