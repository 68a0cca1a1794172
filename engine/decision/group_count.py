"""How many groups there are: the kernel's walk without scores, as itemset miners count."""

from __future__ import annotations

import numpy as np

from engine.decision.group_kernel import count_all
from engine.decision.group_problem import rank_problem
from engine.decision.kernel_arrays import NEVER, Limits, new_hits, new_workspace
from engine.model import DAYS, TICKERS, Ints, Words


def count_groups(
    bits: Words, algorithm: Ints, *, min_picks: int, max_size: int, exclusive: bool = True, total: bool = False
) -> int:
    """How many item sets of 1..``max_size`` are frequent (single items count, the empty set does not).

    Frequent: at least ``min_picks`` shared tickers on every day, or with ``total`` summed
    over the days, as itemset miners count. ``exclusive``: at most one item an algorithm.
    """
    problem = rank_problem(
        bits,
        np.zeros((DAYS, TICKERS), np.int64),
        algorithm,
        min_picks=min_picks,
        max_size=max_size,
        exclusive=exclusive,
        total=total,
        scored=False,
    )
    limits = Limits(max_size=max_size, final_size=max_size, counted_size=0, best_sum=NEVER, score=0.0)
    found = count_all(problem.kernel, limits, new_workspace(problem.count), new_hits(1))
    return problem.count + int(found)
