"""Problems for the group-search benchmarks: picks of 10 algorithms on 5 days of 1,000 tickers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.model import DAYS, MICRO, TICKERS, Ints, Words, pack_picks, unpack_picks

ALGORITHMS = 10
PROTOTYPES = Path(__file__).parents[2].parent / "shared" / "reference" / "prototypes"


class Instance(NamedTuple):
    """As ``GroupSearch`` takes it: picks, PP in micro-percent, algorithm of each item."""

    bits: Words
    pp: Ints
    algorithm: Ints

    def thinned(self, each: int) -> Instance:
        """``each`` evenly chosen variations of every algorithm."""
        kept = []
        for algorithm in np.unique(self.algorithm):
            own = np.flatnonzero(self.algorithm == algorithm)
            kept.append(own[np.linspace(0, len(own) - 1, each).astype(int)])
        rows = np.concatenate(kept)
        return Instance(np.ascontiguousarray(self.bits[rows]), self.pp, self.algorithm[rows])

    def baskets(self) -> list[list[int]]:
        """As an itemset miner takes it: the items of every day and ticker."""
        flat = unpack_picks(self.bits).reshape(len(self.bits), -1)
        return [np.flatnonzero(flat[:, at]).tolist() for at in range(flat.shape[1])]


def reference(each: int = 150) -> Instance | None:
    """The generator behind the published figures (seed 1); None when it is not beside the project."""
    if not PROTOTYPES.exists():
        return None
    if str(PROTOTYPES) not in sys.path:
        sys.path.append(str(PROTOTYPES))
    _, bits, pp, algorithm = importlib.import_module("group_instance").gen(n_var=each)
    return Instance(bits, pp.astype(np.int64) * 1000, algorithm.astype(np.int64))


def one_factor(seed: int, common: float, each: int) -> Instance:
    """One factor of weight ``common`` behind all variations: the larger it is, the harder the search."""
    random = np.random.default_rng(seed)
    shared = random.standard_normal((DAYS, TICKERS))
    buys = []
    for _ in range(ALGORITHMS):
        own = random.standard_normal((DAYS, TICKERS))
        for _ in range(each):
            rest = random.standard_normal((DAYS, TICKERS))
            signal = common * shared + (1 - common) * (0.6 * own + 0.5 * rest)
            buys.append(signal > np.quantile(signal, 1 - random.uniform(0.02, 0.2)))
    pp = (random.standard_t(4, (DAYS, TICKERS)) * MICRO).astype(np.int64)
    return Instance(pack_picks(np.array(buys)), pp, np.repeat(np.arange(ALGORITHMS), each))
