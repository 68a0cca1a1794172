"""mp1_p3: the gates, the order, near-duplicates, and what is said when little is left."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision.mp1_p3_pruner import NEAR_DUPLICATE, gate_failed, prune, select
from engine.errors import OperatorError
from engine.events import AlgorithmPruned, Event
from engine.model import DAYS, MICRO, TICKERS, Bools, Parameter, pack_picks
from engine.records import VariationResult, picks_bytes
from engine.settings import PrunerSettings
from engine.spaces import ParameterSpace
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb

SPACE = ParameterSpace("toy", (Parameter("a", 0, 5000), Parameter("b", 0, 9)))


def result(
    values: tuple[int, ...] = (1, 1),
    *,
    buys: tuple[int, ...] = (20, 20, 20, 20, 20),
    means: tuple[float, ...] = (0.1, 0.1, 0.1, 0.1, 0.1),
    score: float = 0.5,
    picks: Bools | None = None,
    slot: int = 1,
) -> VariationResult:
    """A result that passes every gate unless told otherwise; its picks are seeded by its values."""
    if picks is None:
        picks = np.zeros((DAYS, TICKERS), dtype=bool)
        rng = np.random.default_rng(abs(hash(values)))
        for day, count in enumerate(buys):
            picks[day, rng.choice(TICKERS, count, replace=False)] = True
    return VariationResult(
        algorithm="toy",
        cycle=1,
        slot=slot,
        values=values,
        buys=buys,
        pp_sum=(0,) * DAYS,
        excess_sum=tuple(round(m * b * MICRO) for m, b in zip(means, buys, strict=True)),
        score=score,
        score_mean=score,
        score_deviation=0.0,
        score_shortage=0.0,
        overlap_max=0.0,
        overlap_mean=0.0,
        picks=picks_bytes(pack_picks(picks)),
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (result(buys=(3, 20, 20, 20, 20)), "fewer than 4 buys on a day"),
        (result(buys=(4, 10, 10, 10, 10)), "fewer than 50 buys in all"),
        (result(buys=(201, 200, 200, 200, 200)), "denser than 20 %"),
        (result(means=(1.0, 1.0, 0.0, -0.1, -0.1)), "fewer than 3 positive days"),
        (result(means=(1.0, 1.0, 1.0, 1.0, -1.1)), "a day below -1.00"),
    ],
)
def test_each_gate_drops_with_its_own_words(changed: VariationResult, words: str) -> None:
    kept, dropped = select([changed], PrunerSettings(), "toy")
    assert kept == []
    assert len(dropped) == 1
    assert words in next(iter(dropped))


@pytest.mark.parametrize(
    "edge",
    [
        result(buys=(4, 12, 12, 12, 10)),
        result(buys=(200, 200, 200, 200, 200)),
        result(means=(0.1, 0.1, 0.1, -1.0, 0.0)),
    ],
)
def test_a_variation_exactly_at_a_gate_passes(edge: VariationResult) -> None:
    assert gate_failed(edge, PrunerSettings()) is None


def test_the_better_of_two_near_duplicates_is_kept() -> None:
    picks = np.zeros((DAYS, TICKERS), dtype=bool)
    picks[:, :20] = True
    near = picks.copy()
    near[0, 0] = False  # Jaccard 99/100
    far = np.zeros_like(picks)
    far[:, 10:30] = True  # Jaccard 1/3
    good = result((1, 1), score=0.9, picks=picks)
    copy = result((2, 1), score=0.8, picks=near)
    other = result((3, 1), score=0.7, picks=far)
    kept, dropped = select([copy, other, good], PrunerSettings(), "toy")
    assert [k.result for k in kept] == [good, other]
    assert dropped == Counter({NEAR_DUPLICATE: 1})
    assert kept[0].reasons == "rank 1 of 3 that pass the gates"
    assert kept[1].reasons == "rank 2 of 3 that pass the gates; nearest better one 0.33"


def test_a_duplicate_of_something_that_was_itself_dropped_stays() -> None:
    def window(first: int) -> Bools:
        picks = np.zeros((DAYS, TICKERS), dtype=bool)
        picks[:, first : first + 100] = True
        return picks

    chain = [result((i, 0), score=1 - i / 10, picks=window(4 * i)) for i in range(3)]  # neighbours .92, ends .85
    kept, dropped = select(chain, PrunerSettings(), "toy")
    assert [k.result.values[0] for k in kept] == [0, 2]
    assert dropped[NEAR_DUPLICATE] == 1


def test_equal_scores_are_ordered_by_parameters() -> None:
    kept, _ = select([result((9, 1)), result((2, 5)), result((2, 3))], PrunerSettings(), "toy")
    assert [k.result.values for k in kept] == [(2, 3), (2, 5), (9, 1)]


def test_each_algorithm_has_its_own_number_of_places() -> None:
    many = [result((i, 0), score=i / 100) for i in range(30)]
    kept, dropped = select(many, PrunerSettings(keep={"toy": 10}), "toy")
    assert [k.result.values[0] for k in kept] == list(range(29, 19, -1))
    assert [k.rank for k in kept] == list(range(1, 11))
    assert dropped == Counter({"beyond the best 10": 20})
    assert len(select(many, PrunerSettings(keep={}, keep_default=12), "toy")[0]) == 12


@st.composite
def weeks(draw: st.DrawFn) -> list[VariationResult]:
    count = draw(st.integers(0, 25))
    seeds = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    scores = draw(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=count, max_size=count))
    buys = draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))
    rows = []
    for i in range(count):
        picks = np.zeros((DAYS, TICKERS), dtype=bool)
        picks[:, seeds[i] : seeds[i] + buys[i]] = True
        rows.append(result((i, 0), buys=(buys[i],) * DAYS, score=scores[i], picks=picks))
    return rows


@settings(max_examples=60)
@given(rows=weeks(), data=st.data())
def test_kept_and_dropped_are_everything_and_the_order_of_arrival_does_not_matter(
    rows: list[VariationResult], data: st.DataObject
) -> None:
    rules = PrunerSettings(keep={"toy": 8}, min_buys_day=10)
    kept, dropped = select(rows, rules, "toy")
    assert len(kept) + sum(dropped.values()) == len(rows)
    assert len(kept) <= 8
    keys = [(-k.result.score, k.result.values) for k in kept]
    assert keys == sorted(keys)
    again, dropped_again = select(data.draw(st.permutations(rows)), rules, "toy")
    assert (again, dropped_again) == (kept, dropped)


def test_sixteen_hundred_results_fill_all_places() -> None:
    rng = np.random.default_rng(5)
    rows = []
    for i in range(1600):
        picks = rng.random((DAYS, TICKERS)) < 0.04
        buys = tuple(int(n) for n in picks.sum(axis=1))
        rows.append(result((i, 0), buys=buys, score=float(rng.normal()), picks=picks))
    kept, dropped = select(rows, PrunerSettings(keep={"toy": 250}), "toy")
    assert len(kept) == 250
    assert min(k.result.score for k in kept) > sorted(r.score for r in rows)[-251 - dropped[NEAR_DUPLICATE]]


class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


async def test_the_stage_replaces_the_pruned_table_and_tells_the_counts(tmp_path: Path) -> None:
    sink = Sink()
    async with _databases(tmp_path) as (results, stocks):
        rows = [result((i, 0), score=i / 10, slot=i) for i in range(1, 7)]
        await results.append_cycle(1, [*rows, result((50, 0), buys=(1,) * DAYS, slot=7)])
        report = await prune(results, stocks, [SPACE], PrunerSettings(keep={"toy": 20}), sink)
        stored = await stocks.pruned(SPACE)
        assert [p.result.values[0] for p in stored] == [6, 5, 4, 3, 2, 1]
        assert stored[0].result == replace(rows[-1])
        assert report.kept == {"toy": 6}
        assert "fewer than asked: toy 6 of 20" in report.summary()
        assert [type(e) for e in sink.events] == [AlgorithmPruned]
        assert "kept 6" in sink.events[0].text
        await prune(results, stocks, [SPACE], PrunerSettings(keep={"toy": 2}), sink)
        assert len(await stocks.pruned(SPACE)) == 2


async def test_a_week_in_which_nothing_passes_says_why_and_what_to_do(tmp_path: Path) -> None:
    async with _databases(tmp_path) as (results, stocks):
        with pytest.raises(OperatorError, match="tshc weekend"):
            await prune(results, stocks, [SPACE], PrunerSettings(), Sink())
        await results.append_cycle(1, [result((1, 1), buys=(1,) * DAYS)])
        with pytest.raises(OperatorError, match=r"1 tested, 1 with fewer than 4 buys on a day.*--cycles"):
            await prune(results, stocks, [SPACE], PrunerSettings(), Sink())


class _databases:  # noqa: N801 - reads as a function
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __aenter__(self) -> tuple[VariationResultsDb, StocksDataDb]:
        self._results = await VariationResultsDb.open(self._folder / "results.db", spaces=[SPACE])
        self._stocks = await StocksDataDb.open(self._folder / "stocks.db")
        return self._results, self._stocks

    async def __aexit__(self, *_: object) -> None:
        await self._results.close()
        await self._stocks.close()
