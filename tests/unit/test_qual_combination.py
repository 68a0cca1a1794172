"""No four of one kind: the likeness cap, and what a missing score does to the combination."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.qual.combination import combine
from engine.qual.likeness import Likeness, correlation, read_sectors, returns_of
from engine.records import Candidate, PromptScore, QualScore
from engine.settings import QualSettings

RULES = QualSettings()


def candidate(symbol: str, rank_score: float, closes: tuple[float, ...] = (10.0,)) -> Candidate:
    return Candidate(1, symbol, "", 10.0, rank_score, {"liquidity": 0.1}, {}, closes)


def walk(seed: int, common: int | None = None) -> tuple[float, ...]:
    """21 closes; those with the same ``common`` move together."""
    own = np.random.default_rng(seed).normal(0, 0.02, 20)
    returns = own if common is None else np.random.default_rng(900 + common).normal(0, 0.02, 20) + own / 20
    return tuple(float(c) for c in 10 * np.cumprod(np.concatenate(([1.0], 1 + returns))))


def test_the_fourth_of_a_kind_gives_way_to_the_next_best_of_another() -> None:
    rows = [candidate(f"A{i}", 0.9 - i / 100, walk(i, common=1)) for i in range(5)]
    rows.append(candidate("ZZZ", 0.1, walk(77)))
    combined = combine(rows, [], RULES, 4)
    assert [p.symbol for p in combined.picks] == ["A0", "A1", "A2", "ZZZ"]
    passed = combined.verdict("A3")
    assert passed is not None
    assert passed.passed.startswith("passed over, 3 of its kind are chosen: A0 (correlation 1.00)")
    assert "passed over" in passed.reason, "an operator who swaps it in reads why it was not chosen"


def test_without_another_kind_the_place_stays_in_cash() -> None:
    rows = [candidate(f"A{i}", 0.9 - i / 100, walk(i, common=1)) for i in range(5)]
    combined = combine(rows, [], RULES, 4)
    assert [p.symbol for p in combined.picks] == ["A0", "A1", "A2"]
    assert combined.reason == (
        "3 of 4 names: 5 candidates, 2 passed over as too alike; the rest of the allocation stays in cash"
    )


def test_a_known_sector_is_a_kind_and_an_unknown_one_is_not() -> None:
    rows = [candidate(f"S{i}", 0.9 - i / 100) for i in range(5)]
    sectors = {"S0": "Energy", "S1": "Energy", "S2": "Energy", "S3": "Energy"}
    assert [p.symbol for p in combine(rows, [], RULES, 4, sectors=sectors).picks] == ["S0", "S1", "S2", "S4"]
    assert [p.symbol for p in combine(rows, [], RULES, 4).picks] == ["S0", "S1", "S2", "S3"]


def test_what_does_not_move_or_is_too_short_is_like_nothing() -> None:
    assert returns_of((10.0,) * 21) is None
    assert returns_of((10.0, 11.0)) is None
    assert returns_of((*walk(1)[:20], float("nan"))) is None
    assert returns_of((*walk(1)[:20], 0.0)) is None
    assert correlation(None, returns_of(walk(1))) is None
    alike = Likeness.of([candidate("A", 1, walk(1)), candidate("B", 1)], {}, 0.8)
    assert alike.why("A", "B") == ""
    assert alike.why("A", "UNKNOWN") == ""


@given(a=st.integers(0, 50), b=st.integers(0, 50), scale=st.floats(0.1, 100))
def test_correlation_is_symmetric_bounded_and_blind_to_the_price_level(a: int, b: int, scale: float) -> None:
    one, other = returns_of(walk(a)), returns_of(walk(b))
    assert one is not None
    assert other is not None
    value = correlation(one, other)
    assert value is not None
    assert -1 <= value <= 1
    assert value == correlation(other, one)
    assert value == pytest.approx(float(np.corrcoef(one, other)[0, 1]))
    scaled = returns_of(tuple(c * scale for c in walk(a)))
    assert correlation(scaled, other) == pytest.approx(value)


kinds = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0, 1), st.sampled_from(["", "Energy", "Health"])),
    min_size=1,
    max_size=14,
)


@settings(max_examples=60)
@given(drawn=kinds, cap=st.integers(1, 4), names=st.integers(1, 6), data=st.data())
def test_no_more_than_the_cap_are_all_of_one_kind_and_nobody_gives_way_without_need(
    drawn: list[tuple[int, float, str]], cap: int, names: int, data: st.DataObject
) -> None:
    rows = [candidate(f"T{i:02}", score, walk(i, common)) for i, (common, score, _) in enumerate(drawn)]
    sectors = {f"T{i:02}": sector for i, (_, _, sector) in enumerate(drawn) if sector}
    rules = RULES.model_copy(update={"kind_cap": cap})
    combined = combine(rows, [], rules, names, sectors=sectors)
    likeness = Likeness.of(rows, sectors, rules.kind_correlation)
    chosen = [p.symbol for p in combined.picks]
    for group in itertools.combinations(chosen, cap + 1):
        assert not all(likeness.why(a, b) for a, b in itertools.combinations(group, 2))
    for verdict in combined.verdicts:
        if verdict.passed:
            assert sum(bool(likeness.why(verdict.symbol, symbol)) for symbol in chosen) >= cap
    assert set(chosen) <= {c.symbol for c in rows}
    if len(chosen) < names:
        assert all(v.passed or v.symbol in chosen for v in combined.verdicts)
    assert combine(data.draw(st.permutations(rows)), [], rules, names, sectors=sectors) == combined


def test_sectors_are_read_from_a_file_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sectors.csv"
    file.write_text("symbol,sector\nabc, Energy \nXYZ,\n", encoding="utf-8")
    assert read_sectors(str(file)) == {"ABC": "Energy"}
    assert read_sectors("") == {}
    file.write_text("ticker,branch\nABC,Energy\n", encoding="utf-8")
    with pytest.raises(UsageError, match="columns symbol and sector"):
        read_sectors(str(file))
    with pytest.raises(UsageError, match="cannot be read"):
        read_sectors(str(tmp_path / "none.csv"))


def test_no_score_counts_as_zero_and_says_so() -> None:
    silent = PromptScore("catalyst", None, 0.4, "m", "catalyst@1 0", "unavailable", reason="no answer within 20 s")
    spoke = PromptScore("risk", -0.1, 0.25, "m", "risk@1 0", "scored", quotes=((5, "an inquiry"),))
    none = QualScore("ABC", None, "m", prompts=(silent,))
    some = QualScore("ABC", -0.025, "m", quotes=((5, "an inquiry", -0.025),), prompts=(silent, spoke))
    rows = [candidate("ABC", 0.5)]
    (pick,) = combine(rows, [none], RULES, 4).picks
    assert (pick.score, pick.news_score) == (0.5, None)
    assert pick.reason.endswith("no score from m (catalyst: unavailable)")
    (pick,) = combine(rows, [some], RULES, 4).picks
    assert pick.score == pytest.approx(0.5 - 0.15 * 0.025)
    assert pick.reason.endswith('news -0.03 "an inquiry" (m) #5; no score for catalyst: unavailable')
    (pick,) = combine(rows, [], RULES, 4, window="3 sessions").picks
    assert pick.reason.endswith("no news in 3 sessions")
